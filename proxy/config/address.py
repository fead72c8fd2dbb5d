"""Addresses as a person writes them: `http://HOST:PORT` and `unix:/path.sock`. No look-ups."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

_PORTS: Final = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}
_WITH_PORT: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?:[0-9]{1,5}|[0-9]{1,5}")
_SEVERAL: Final = re.compile(r"[\s,;]")
_ALL: Final = "0.0.0.0"  # noqa: S104
_LOOPBACK: Final = "127.0.0.1"


def check_listen(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no address to listen on."""
    parse_address(text, schemes=("http", "https"), host=_ALL)


def check_admin(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no address for the admin API."""
    parse_address(text, schemes=("http",))


def check_endpoint(text: str) -> None:
    """Raise ValueError, naming the fix, when `text` is no endpoint of an upstream."""
    address = parse_address(text, schemes=("http", "https"))
    if address.scheme != "unix" and not address.port:
        raise ValueError(f"{text!r}: nobody can be reached at port 0")


def as_address(text: str, *, scheme: str = "http") -> str:
    """An address as people type it on a command line, with the scheme it needs.

    `3000` is that port of this machine and `:3000` that port of all its interfaces.
    """
    text = text.strip()
    if "://" in text or text.startswith("unix:") or not text:
        return text
    if text.isascii() and text.isdigit():
        return f"{scheme}://127.0.0.1:{text}"
    if text.startswith("/"):
        return f"unix:{text}"
    return f"{scheme}://0.0.0.0{text}" if text.startswith(":") else f"{scheme}://{text}"


def as_written(value: object) -> object:
    """A number as a text, so that it is told as an address that lacks the rest of it."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if number else value


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


def parse_address(text: str, *, schemes: tuple[str, ...], host: str = _LOOPBACK) -> Address:
    """Read an address. Raises ValueError with the fix in words.

    host: whose port it is likely to be that stands there alone.
    """
    if text.startswith("unix:"):
        path = text[5:].removeprefix("//")
        if not path.startswith("/"):
            raise ValueError(
                f"{text!r}: the socket's path must be absolute, as in unix:/run/app.sock"
            )
        return Address(scheme="unix", host=path)
    scheme, found, rest = text.partition("://")
    if not found or scheme not in schemes:
        raise ValueError(f"{text!r} is not an address; write {_meant(text, schemes, host)}")
    rest = rest.removesuffix("/")
    if "@" in rest:
        # What stands before it may be a password, and this text goes into logs.
        shown = f"{scheme}://…@{rest.rpartition('@')[2]}"
        raise ValueError(f"{shown!r}: only a host and a port belong here, no user")
    if _SEVERAL.search(rest):
        raise ValueError(f"{text!r}: one address stands in a text; write several as a list: [A, B]")
    if any(mark in rest for mark in "/?#"):
        raise ValueError(f"{text!r}: only a host and a port belong here, no path")
    if rest.startswith("["):
        name, closed, port_text = rest[1:].partition("]")
        if not closed:
            raise ValueError(f"{text!r}: the bracket around the IPv6 address isn't closed")
        port_text = port_text.removeprefix(":")
    else:
        name, _, port_text = rest.partition(":")
    if not name:
        raise ValueError(f"{text!r} names no host")
    try:
        name.encode("idna")
    except UnicodeError:
        raise ValueError(f"{text!r}: {name!r} is no name of a host") from None
    if not port_text:
        port = _PORTS[scheme]
    elif port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535:
        port = int(port_text)
    else:
        raise ValueError(f"{text!r}: the port must be a number up to 65535")
    return Address.model_validate({"scheme": scheme, "host": name, "port": port})


def _meant(text: str, schemes: tuple[str, ...], host: str) -> str:
    if _WITH_PORT.fullmatch(text) is None:
        wanted = " or ".join(f"{scheme}://HOST:PORT" for scheme in schemes)
        return f"{wanted}, or unix:/path.sock"
    name, _, port = text.rpartition(":")
    meant = f"{schemes[0]}://{name or host}:{port}"
    if name or host != _ALL:
        return meant
    return f"{meant}, or {schemes[0]}://{_LOOPBACK}:{port} for this machine alone"
