"""What the user writes about the store that instances share, as typed and immutable values."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, NamedTuple, Self
from urllib.parse import unquote

from pydantic import Field, field_validator, model_validator

from proxy.config.address import Address, parse_address
from proxy.config.listing import ONE_OR_MANY
from proxy.config.settings import Settings
from proxy.config.units import Duration

_SCHEMES: Final = ("redis", "rediss")
_URL: Final = re.compile(r"(?P<scheme>rediss?)://(?:(?P<user>[^@]*)@)?(?P<rest>[^@]*)")
_DATABASE: Final = re.compile(r"/([0-9]{1,5})/?")


class Location(NamedTuple):
    """What a store's URL says. database: None where it says nothing."""

    address: Address
    username: str | None
    password: str | None
    database: int | None


class StoreTls(Settings):
    """How the connection to Redis is secured."""

    verify: bool = True
    """Check certificate and name. Turning it off is for development only."""
    ca_file: str | None = None
    """PEM file of authorities to trust instead of the system's."""
    cert_file: str | None = None
    """PEM file of a certificate to show, with its chain; the key too, unless `key_file` has it."""
    key_file: str | None = None
    """PEM file of its key."""
    server_name: str | None = None
    """Name to ask for and to verify; by default the host."""


class RedisOptions(Settings):
    """Where Redis is, and how it is entered. A text is its URL.

    local: settings that mean something without any server.
    """

    shorthand = "url"
    local: ClassVar[frozenset[str]] = frozenset({"url"})

    url: str | None = None
    """One server: `redis://HOST:PORT/DATABASE`, `rediss://…` with TLS, `unix:/path.sock`."""
    sentinels: Annotated[tuple[str, ...], ONE_OR_MANY] = ()
    """`HOST:PORT` of each Sentinel, which tell where the master is."""
    master: str = "mymaster"
    """The name under which the Sentinels know it."""
    cluster: Annotated[tuple[str, ...], ONE_OR_MANY] = ()
    """`HOST:PORT` of some nodes of a Redis Cluster; the others are asked for."""
    username: str | None = None
    """A user of Redis' access list; by default its `default`. It needs the keys that begin with
    `prefix`, and the commands `ping eval evalsha time get set del hgetall hset hdel expire`; for
    the cache `ping eval evalsha time get set del mget exists unlink pexpire pttl zadd zrange
    zremrangebyrank zremrangebyscore hget hmget hsetnx hincrby xadd xrange xread`; in a cluster also
    `cluster|slots` and `asking`, and with a `database` `select`.
    """
    password: str | None = None
    """The user's password; best as `!file /run/secrets/redis`."""
    sentinel_username: str | None = None
    """A user of the Sentinels, if they ask for one."""
    sentinel_password: str | None = None
    """That user's password."""
    database: int = Field(default=0, ge=0, le=65535)
    """Number of the database; a cluster has only 0."""
    tls: StoreTls | None = None
    """With TLS, which `rediss://` asks for by itself."""

    @field_validator("url", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        # As a variable of the environment that was left empty.
        return None if value == "" else value

    @field_validator("url")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            locate(value)
        return value

    @field_validator("sentinels", "cluster")
    @classmethod
    def _nodes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            read_node(text)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [name for name in ("url", "sentinels", "cluster") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give `{given[0]}` or `{given[1]}`, not both")
        if not given and self.model_fields_set - self.local:
            raise ValueError("where is it? give a `url`, `sentinels` or nodes of a `cluster`")
        if self.cluster and self.database:
            raise ValueError("a cluster has no `database` but 0")
        if self.url is None:
            return self
        location = locate(self.url)
        if location.password is not None and self.password is not None:
            raise ValueError("there is a password in `url` already; leave one of them out")
        if location.database is not None and self.database:
            raise ValueError("`url` names a database already; leave one of them out")
        if self.tls is not None and location.address.scheme != "rediss":
            raise ValueError("`tls` needs a `url` that begins with rediss://")
        return self

    @property
    def remote(self) -> bool:
        """Whether there is a server at all."""
        return bool(self.url or self.sentinels or self.cluster)


class StoreOptions(RedisOptions):
    """Where limits are counted: in Redis for all instances, else in memory. A text is its URL."""

    local = frozenset({"url", "keys"})

    deadline: Annotated[Duration, Field(ge=0.001, le=10.0)] = 0.05
    """How long a request waits for the answer; then `on_store_failure` of its limit decides."""
    prefix: str = Field(default="sidegate", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    """What the names of all keys begin with. Instances of one prefix share their limits."""
    keys: int = Field(default=100_000, ge=1, le=50_000_000)
    """Keys that the memory of an instance has room for, 53 bytes each. It counts there when no
    other store is given, and while that can't be asked. Takes effect at start.
    """


def locate(url: str) -> Location:
    """Read a store's URL. Raises ValueError with the fix; what it shows holds no password."""
    if url.startswith("unix:"):
        return Location(parse_address(url, schemes=()), None, None, None)
    match = _URL.fullmatch(url)
    if match is None:
        # What stands before it may be a password.
        shown = f"…@{url.rpartition('@')[2]}" if "@" in url else url
        raise ValueError(
            f"{shown!r} is no store; write redis://HOST:PORT/DATABASE, rediss://HOST:PORT "
            "(percent-encode what is no plain letter in a password) or unix:/path.sock"
        )
    rest, slash, tail = match["rest"].partition("/")
    database = _DATABASE.fullmatch(f"/{tail}") if tail else None
    if tail and database is None:
        raise ValueError(f"{slash + tail!r}: behind the address there may be a database's number")
    address = parse_address(f"{match['scheme']}://{rest}", schemes=_SCHEMES)
    username, colon, password = (match["user"] or "").partition(":")
    return Location(
        address,
        unquote(username) or None,
        unquote(password) if colon else None,
        int(database[1]) if database else None,
    )


def read_node(text: str) -> Address:
    """`HOST:PORT` of a server. Raises ValueError with the fix."""
    if "://" in text or "/" in text or "@" in text:
        raise ValueError(f"{text.rpartition('@')[2]!r}: write HOST:PORT and nothing else")
    return parse_address(f"redis://{text}", schemes=_SCHEMES)
