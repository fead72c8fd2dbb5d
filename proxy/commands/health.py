"""`sidegate health`: whether the instance on this machine serves, for probes without a shell."""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from proxy.config.address import Address, parse_address
from proxy.config.load import load
from proxy.config.location import locate, misnamed
from proxy.config.problems import ConfigError

HEALTHY: Final = 0
UNHEALTHY: Final = 1
USAGE: Final = 2

_ANSWER_MAX: Final = 512
_ABOUT: Final = """\
Ask the admin address of the running instance whether it can serve, or with --live whether it
is alive. The address is the configuration's, found as by `run`, unless --admin names one.
"""
_EXAMPLES: Final = """\
  HEALTHCHECK CMD ["sidegate", "health"]

exit codes: 0 it does, 1 it doesn't or can't be reached, 2 there is no such address
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "health",
        help="tell whether the running instance serves",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="the configuration")
    parser.add_argument("--admin", metavar="URL", help="the admin address, if not the file's")
    parser.add_argument(
        "--live", action="store_true", help="ask whether it is alive, not whether it is ready"
    )
    parser.add_argument(
        "--timeout", type=float, default=3.0, metavar="SECONDS", help="by default 3"
    )


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command line, which is this command's, and return its exit code."""
    parser = argparse.ArgumentParser(prog="sidegate")
    add(parser.add_subparsers())
    try:
        return run(parser.parse_args(arguments), environ)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return UNHEALTHY


def run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Ask, print the answer, and return the exit code. Raises ConfigError."""
    if not options.timeout > 0:
        sys.stderr.write("sidegate: --timeout: write a number of seconds above 0, such as 3\n")
        return USAGE
    text = options.admin
    if wrong := misnamed(options.file, f"sidegate health --admin {options.file}"):
        sys.stderr.write(f"sidegate: {wrong}\n")
        return USAGE
    if text is None:
        file = locate(options.file, environ)
        text = load(file, environ=environ, partial=True).config.admin.listen
        if text is None:
            sys.stderr.write("sidegate: `admin.listen` is null, so there is nobody to ask\n")
            return USAGE
    try:
        address = parse_address(text, schemes=("http",))
    except ValueError as error:
        sys.stderr.write(f"sidegate: {error}\n")
        return USAGE
    try:
        status, answer = _ask(address, "/healthz" if options.live else "/readyz", options.timeout)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        sys.stdout.write(f"not reached at {text}: {reason}\n")
        return UNHEALTHY
    sys.stdout.write(answer + "\n")
    return HEALTHY if status == 200 else UNHEALTHY


def _ask(address: Address, path: str, seconds: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection("localhost", address.port, timeout=seconds)
    connection.sock = _connect(address, seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(_ANSWER_MAX).decode("utf-8", "replace").strip()
        return answer.status, text
    finally:
        connection.close()


def _connect(address: Address, seconds: float) -> socket.socket:
    if address.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(seconds)
        sock.connect(address.host)
        return sock
    # Who listens on all addresses is reached by the one of this machine.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    return socket.create_connection((host, address.port), timeout=seconds)
