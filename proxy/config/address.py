"""Addresses as a person writes them: `http://HOST:PORT` and `unix:/path.sock`. No look-ups."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


def check_listen(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no address to listen on."""
    parse_address(text, schemes=("http", "https"))


def check_admin(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no address for the admin API."""
    parse_address(text, schemes=("http",))


def check_endpoint(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no endpoint of an upstream."""
    parse_address(text, schemes=("http", "https"))


def parse_server(text: str) -> tuple[str, int]:
    """Address and port of a name server, from `10.0.0.10`, `127.0.0.1:5353` or `[::1]:53`. Raises
    ValueError with the fix in words."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
    try:
        address = str(ip_address(host.removeprefix("[").removesuffix("]")))
        number = int(port or "53")
    except ValueError:
        number = 0
        address = ""
    if not 0 < number <= 65535:
        raise ValueError(f"{text!r} is no name server; write 10.0.0.10 or 127.0.0.1:5353")
    return address, number


class Address(BaseModel):
    """A parsed `scheme://host:port` or `unix:/path`.

    host: without brackets, or the socket's path.
    """

    model_config = ConfigDict(frozen=True)

    scheme: Literal["http", "https", "redis", "rediss", "unix"]
    host: str
    port: int = 0


def parse_address(text: str, *, schemes: tuple[str, ...]) -> Address:
    """Read an address. Raises ValueError with the fix in words."""
    if text.startswith("unix:"):
        path = text[5:].removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(
                f"{text!r}: the socket's path must be absolute, as in unix:/run/app.sock"
            )
        return Address(scheme="unix", host=path)
    scheme, found, rest = text.partition("://")
    if not found or scheme not in schemes:
        wanted = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
        raise ValueError(f"{text!r} is not an address; write {wanted}, or unix:/path.sock")
    rest = rest.removesuffix("/")
    if "@" in rest:
        # What stands before it may be a password, and this text goes into logs.
        shown = f"{scheme}://…@{rest.rpartition('@')[2]}"
        raise ValueError(f"{shown!r}: only a host and a port belong here, no user")
    if any(mark in rest for mark in "/?#"):
        raise ValueError(f"{text!r}: only a host and a port belong here, no path")
    if rest.startswith("["):
        host, closed, port_text = rest[1:].partition("]")
        if not closed:
            raise ValueError(f"{text!r}: the bracket around the IPv6 address isn't closed")
        port_text = port_text.removeprefix(":")
    else:
        host, _, port_text = rest.partition(":")
    if not host:
        raise ValueError(f"{text!r} names no host")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{text!r}: {host!r} is no name of a host") from None
    if not port_text:
        port = _PORTS[scheme]
    elif port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535:
        port = int(port_text)
    else:
        raise ValueError(f"{text!r}: the port must be a number up to 65535")
    return Address.model_validate({"scheme": scheme, "host": host, "port": port})
