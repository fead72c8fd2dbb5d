"""`sidegate init`: writes a first configuration, from flags, an OpenAPI description or answers."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from proxy.catalog import Catalog
from proxy.commands.openapi import Proposal, propose
from proxy.commands.starter import Wishes, write_config
from proxy.config.address import as_address, check_endpoint, check_listen
from proxy.config.load import load
from proxy.runtime.plan import make_plan

OK: Final = 0
USAGE: Final = 2

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_SERVICE: Final = "http://127.0.0.1:3000"
_LISTEN: Final = "http://0.0.0.0:8080"
_ABOUT: Final = """\
Write a first configuration, explained line by line. Without --upstream it asks for what it
needs to know, if there is a terminal to ask on.
"""
_EXAMPLES: Final = """\
  sidegate init --upstream http://127.0.0.1:3000
  sidegate init --upstream users=http://users:80 --upstream shop=http://shop:80
  sidegate init --upstream http://127.0.0.1:3000 --openapi openapi.json
      propose a route for each path of the description
  sidegate init --upstream 3000 --kind sidecar --output -
      print it, for a container beside a service in Kubernetes
"""

Ask = Callable[[str], str]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "init",
        help="write a first configuration",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--upstream",
        action="append",
        default=[],
        metavar="[NAME=]URL",
        help="a service to stand before; may be repeated",
    )
    parser.add_argument("--listen", metavar="ADDR", help=f"where to listen; by default {_LISTEN}")
    parser.add_argument(
        "--kind",
        choices=("sidecar", "gateway"),
        help="beside one service in a Pod, or before others; by default gateway",
    )
    parser.add_argument("--openapi", metavar="FILE", help="propose routes by this description")
    parser.add_argument(
        "--output",
        default="sidegate.yaml",
        metavar="FILE",
        help="by default sidegate.yaml; - prints it",
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")


def run(options: argparse.Namespace, catalog: Catalog, ask: Ask | None = None) -> int:
    """Write the configuration and return the exit code.

    ask: puts a question to whoever sits at the terminal; None where nobody does.
    """
    if not options.upstream and ask is None:
        return _fail("name the service to stand before: sidegate init --upstream URL")
    try:
        if not options.upstream and ask is not None:
            _interview(options, ask)
        listen = as_address(options.listen or _LISTEN)
        check_listen(listen)
        wishes = Wishes(
            options.kind or "gateway",
            _upstreams(options.upstream),
            listen,
            _routes(options.openapi),
        )
    except (OSError, ValueError) as error:
        return _fail(str(error))
    text = write_config(wishes, "sidegate.yaml" if options.output == "-" else options.output)
    if options.output == "-":
        sys.stdout.write(text)
        return OK
    file = Path(options.output)
    try:
        with file.open("w" if options.force else "x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        return _fail(f"{file} is there already; --force replaces it, --output names another")
    except OSError as error:
        return _fail(f"{file}: {error.strerror}")
    # Addresses are checked like anybody's; a mistake in one is told with its line.
    plan = make_plan(load(file, environ={}, partial=True), catalog)
    sys.stdout.write(
        f"Wrote {file}: {len(plan.routes)} route{'s' if len(plan.routes) > 1 else ''} to "
        f"{', '.join(plan.config.upstreams)}.\n\n"
        f"  sidegate check {file}\n"
        f"  sidegate explain {file} GET http://localhost/\n"
        f"  sidegate run {file}\n"
    )
    return OK


def _interview(options: argparse.Namespace, ask: Ask) -> None:
    options.upstream = [ask(f"Service to stand before [{_SERVICE}]: ").strip() or _SERVICE]
    if options.kind is None:
        sidecar = ask("Beside it, in the same Pod? [y/N]: ").strip().lower()
        options.kind = "sidecar" if sidecar in ("y", "yes") else "gateway"
    if options.listen is None:
        options.listen = ask(f"Address to listen on [{_LISTEN}]: ").strip() or _LISTEN
    if options.openapi is None:
        options.openapi = ask("OpenAPI file to propose routes from [none]: ").strip() or None


def _upstreams(given: list[str]) -> dict[str, str]:
    upstreams: dict[str, str] = {}
    for text in given:
        name, equals, address = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            name, address = "app", text
        if name in upstreams:
            raise ValueError(f"there are two upstreams {name!r}; write --upstream NAME=URL")
        upstreams[name] = as_address(address)
        check_endpoint(upstreams[name])
    return upstreams


def _routes(file: str | None) -> list[Proposal]:
    if file is None:
        return []
    try:
        # JSON is YAML.
        description: Any = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read: {error}") from None
    try:
        return propose(description)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _fail(message: str) -> int:
    sys.stderr.write(f"sidegate: {message}\n")
    return USAGE
