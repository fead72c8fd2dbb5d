"""How a server is reached and entered: addresses, credentials, TLS, the first commands."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import hiredis

from proxy.config.address import Address
from proxy.config.store import RedisOptions, StoreTls, locate
from proxy.store.redis.connection import LATE, Connection
from proxy.wire.tls import load_pair, make_client

CONNECT_SECONDS: Final = 1.0
"""How long it may take until a new connection can be used."""

_NAME: Final = "sidegate"


class Unfit(Exception):
    """What answers is not what can be asked; the text says why."""


FAILURES: Final = (OSError, Unfit, hiredis.ReplyError)
"""What says that a server can't be reached or asked."""


@dataclass(frozen=True, slots=True)
class Access:
    """What every server of a store asks for, and what is asked of it.

    database: its number. master: whether it has to be one: a replica can't count, and a server
    that Sentinels have just chosen may not know it yet. patience: seconds in which it has to
    answer before it is relied on.
    """

    username: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None
    server_name: str | None
    master: bool = False
    patience: float = CONNECT_SECONDS


def make_access(options: RedisOptions, patience: float = CONNECT_SECONDS) -> Access:
    """The access that options describe. patience: as in `Access`, at most the time for a
    connection. Raises ValueError for files that can't be used."""
    username, password, database = options.username, options.password, options.database
    tls = options.tls
    if options.url is not None:
        location = locate(options.url)
        username = username or location.username
        password = location.password if password is None else password
        database = database or location.database or 0
        if location.address.scheme == "rediss" and tls is None:
            tls = StoreTls()
    context = None if tls is None else make_context(tls)
    name = tls.server_name if tls else None
    patience = min(patience, CONNECT_SECONDS)
    return Access(username, password, database, context, name, not options.cluster, patience)


def make_context(tls: StoreTls) -> ssl.SSLContext:
    """TLS as a client. Raises ValueError for files that can't be used."""
    context = make_client(tls.ca_file, verify=tls.verify)
    if tls.cert_file is not None:
        load_pair(context, tls.cert_file, tls.key_file or tls.cert_file)
    elif tls.key_file is not None:
        raise ValueError("`key_file` is the key of a `cert_file`, which is missing")
    return context


async def open_connection(
    loop: asyncio.AbstractEventLoop,
    address: Address,
    access: Access,
    lost: Callable[[], None],
    missed: Callable[[int], None],
) -> Connection:
    """A connection that can be used. lost, missed: as in `Connection`.

    Raises one of `FAILURES`.
    """
    connection = Connection(loop, lost, missed)
    async with asyncio.timeout(CONNECT_SECONDS):
        if address.scheme == "unix":
            await loop.create_unix_connection(lambda: connection, address.host)
        else:
            name = (access.server_name or address.host) if access.tls is not None else None
            await loop.create_connection(
                lambda: connection,
                address.host,
                address.port,
                ssl=access.tls,
                server_hostname=name,
            )
    try:
        if access.password is not None:
            user = () if access.username is None else (access.username,)
            await connection.call("AUTH", *user, access.password, seconds=CONNECT_SECONDS)
        if access.database:
            await connection.call("SELECT", access.database, seconds=CONNECT_SECONDS)
        # What an access list may forbid isn't needed.
        with contextlib.suppress(hiredis.ReplyError):
            await connection.call("CLIENT", "SETNAME", _NAME, seconds=CONNECT_SECONDS)
        if access.master:
            await _require_master(connection)
        await connection.call("PING", seconds=access.patience)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _require_master(connection: Connection) -> None:
    try:
        role, *_ = await connection.call("ROLE", seconds=CONNECT_SECONDS)
    except hiredis.ReplyError:
        # An access list may forbid the question.
        return
    if role != b"master":
        raise Unfit("it is a replica")


async def ask_once(
    loop: asyncio.AbstractEventLoop, address: Address, access: Access, *words: str
) -> Any:
    """The answer of a server to a command, on a connection of its own. Raises `FAILURES`."""
    connection = await open_connection(loop, address, access, lambda: None, lambda _: None)
    try:
        return await connection.call(*words, seconds=CONNECT_SECONDS)
    finally:
        connection.abort()


def reason(error: BaseException) -> str:
    """Why a server couldn't be reached or entered, without anything secret."""
    match error:
        case hiredis.ReplyError():
            return str(error)[:200]
        case TimeoutError():
            return LATE
        case Unfit():
            return str(error)
        case OSError():
            return error.strerror or type(error).__name__
        case _:
            return type(error).__name__
