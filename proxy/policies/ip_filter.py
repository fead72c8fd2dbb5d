"""Admits requests by the client's address."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final

from pydantic import ConfigDict, PrivateAttr, model_validator

from proxy.config.files import read_whole
from proxy.config.listing import ONE_OR_MANY
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.http1.networks import Networks, Range, range_of, read_networks

_FILE_MAX: Final = 64 * 1024 * 1024


_Listed = Annotated[tuple[IPv4Network | IPv6Network, ...], ONE_OR_MANY]
_Files = Annotated[tuple[str, ...], ONE_OR_MANY]


class Options(PolicyOptions):
    """Admit or refuse requests by the client's address; 403 `forbidden`.

    The address is the one that `server.trusted_proxies` allow to be believed. What is
    denied is refused even where it is also allowed. With `allow` or `allow_files` everybody
    else is refused, clients of a UNIX socket too, which have no address.

    Files hold one address or network a line; `#` and `;` begin comments. They are read
    again when they change.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"allow": ["10.0.0.0/8", "192.0.2.7"]},
                {"deny": "198.51.100.0/24"},
            ]
        }
    )

    allow: _Listed = ()
    """Networks and addresses that are admitted."""
    deny: _Listed = ()
    """Networks and addresses that are refused."""
    allow_files: _Files = ()
    """Files of networks that are admitted."""
    deny_files: _Files = ()
    """Files of networks that are refused."""

    _allowed: Networks = PrivateAttr()
    _denied: Networks = PrivateAttr()

    @model_validator(mode="after")
    def _read(self) -> Options:
        if not (self.allow or self.deny or self.allow_files or self.deny_files):
            raise ValueError("nothing to decide by; give `allow`, `deny` or files of them")
        # Read here and not by the policy: a list may be long, routes may share it, and
        # options are validated beside the event loop.
        self._allowed = _collect(self.allow, self.allow_files)
        self._denied = _collect(self.deny, self.deny_files)
        return self

    def files(self) -> tuple[str, ...]:
        """The lists."""
        return (*self.allow_files, *self.deny_files)


def _collect(networks: Iterable[IPv4Network | IPv6Network], files: Iterable[str]) -> Networks:
    ranges: list[Range] = [range_of(network) for network in networks]
    for name in files:
        content = read_whole(name, _FILE_MAX)
        ranges += read_networks(content.decode("utf-8", "replace"), name)
    return Networks(ranges)


class IpFilter:
    """A gate; an address that was seen lately costs two look-ups."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._allowed = options._allowed
        self._denied = options._denied
        self._listed_only = bool(options.allow or options.allow_files)

    def check(self, request: Request) -> None:
        """Raise Refused `forbidden` for addresses that may not come in."""
        address = request.client_ip
        if address in self._denied or (self._listed_only and address not in self._allowed):
            raise Refused("forbidden")


POLICY = PolicySpec(
    "ip_filter",
    Options,
    IpFilter,
    after={"error_envelope"},
    before={"rate_limit", "cache"},
    shorthand="allow",
)
