"""The command line: reads arguments, prints what other modules know, returns exit codes.

Exit codes: 0 all is well, 1 the configuration is wrong, 2 the command is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from proxy.catalog import CatalogError, load_catalog
from proxy.commands import health, init, observability, settings
from proxy.commands.version import release
from proxy.config.address import as_address
from proxy.config.load import Document, load
from proxy.config.location import DEFAULT_FILE, locate, misnamed
from proxy.config.problems import ConfigError, Problem, meant
from proxy.errors import GatewayError
from proxy.runtime.explanation import as_data, as_text, explain, read_request
from proxy.runtime.plan import Plan, draft_plan, make_plan
from proxy.runtime.reference import markdown, policy_markdown, policy_text, summary
from proxy.runtime.rehearsal import rehearse
from proxy.runtime.schema import make_schema

OK: Final = 0
INVALID: Final = 1
USAGE: Final = 2

_ABOUT: Final = """\
Sidegate stands in front of services nobody has to modify, and gives every one of them
request IDs, security headers, limits and one error format.
"""
_EXAMPLES: Final = """\
begin here:
  sidegate init
      write a first configuration, by what you answer
  sidegate run --upstream http://127.0.0.1:3000
      stand in front of one service, on http://127.0.0.1:8080, with the default policies
  sidegate check sidegate.yaml
      tell everything that is wrong with a file, with line and column
  sidegate explain sidegate.yaml GET http://example.com/products/7
      tell which route a request takes, and what is done to it
  sidegate policies rate_limit
      tell the options of a policy
  sidegate settings upstreams.breaker
      tell the settings of a part of the file

exit codes: 0 all is well, 1 the configuration is wrong, 2 the command line is wrong
"""
_RUN: Final = """\
Without FILE, the file is the one that SIDEGATE_CONFIG names, or ./sidegate.yaml.
With neither, --upstream (or SIDEGATE_UPSTREAM) is all that is needed.

Every setting can come from the environment as well; two underscores go one level down:

  SIDEGATE_SERVER__LISTEN=http://0.0.0.0:8080
  SIDEGATE_UPSTREAMS__APP__POOL__SIZE=128

The command line stands above the environment, and the environment above the file.
The file is read again on SIGHUP and when it changes; SIGTERM drains and stops; SIGUSR2
hands the sockets on to a new process, as after an upgrade.
"""
_EXPLAIN: Final = """\
Nothing is sent. URL is http://HOST/PATH, or /PATH alone.

  sidegate explain sidegate.yaml POST /api/auth/login -H 'Host: api.example.com'
"""
_SCHEMA: Final = """\
For editors that complete and check YAML by a JSON Schema:

  sidegate schema > sidegate.schema.json

and in the first line of sidegate.yaml:

  # yaml-language-server: $schema=./sidegate.schema.json
"""


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run a command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    command = next((word for word in words if not word.startswith("-")), "")
    if command and command not in _COMMANDS:
        return _fail(_unknown(command))
    parser, parsers = _parser()
    options, surplus = parser.parse_known_args(words)
    if surplus:
        return _fail(_surplus(surplus[0], parsers.get(options.command, parser)))
    if options.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    try:
        return _COMMANDS[options.command](options, environ)
    except ConfigError as error:
        _report(error.problems)
        return INVALID
    except CatalogError as error:
        return _fail(str(error))


def _parser() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """The parser of the command line, and that of each command."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="sidegate", description=_ABOUT, epilog=_EXAMPLES, formatter_class=text
    )
    parser.add_argument("--version", action="version", version=f"sidegate {release()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    init.add(commands)
    run = commands.add_parser(
        "run",
        help="run the proxy",
        description="Run the proxy.",
        epilog=_RUN,
        formatter_class=text,
    )
    run.add_argument("file", nargs="?", metavar="FILE", help="the configuration")
    run.add_argument(
        "--upstream", metavar="URL", help="the service to stand before: http://HOST:PORT, or PORT"
    )
    run.add_argument(
        "--listen", metavar="ADDR", help="where to listen: http://HOST:PORT, :PORT or PORT"
    )

    check = commands.add_parser(
        "check",
        help="tell everything that is wrong with configurations",
        description="Tell everything that is wrong, one line each: file:line:column: setting: why.",
    )
    check.add_argument(
        "files", nargs="*", metavar="FILE", help=f"configurations; by default ./{DEFAULT_FILE}"
    )

    described = commands.add_parser(
        "explain",
        help="tell what happens to a request",
        description="Tell which route a request takes, why the others don't, and which policies\n"
        "it meets with which settings.",
        epilog=_EXPLAIN,
        formatter_class=text,
    )
    described.add_argument("file", metavar="FILE", help="the configuration")
    described.add_argument("method", metavar="METHOD", help="GET, POST ...")
    described.add_argument("url", metavar="URL", help="http://HOST/PATH, or /PATH")
    described.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header field of the request; may be repeated",
    )
    described.add_argument(
        "--client-ip", default="192.0.2.1", metavar="IP", help="the address that connects"
    )
    described.add_argument("--json", action="store_true", help="print JSON, for programs")

    commands.add_parser(
        "schema",
        help="print the JSON Schema of the configuration",
        description="Print the JSON Schema of the configuration, policies included.",
        epilog=_SCHEMA,
        formatter_class=text,
    )

    policies = commands.add_parser(
        "policies",
        help="tell which policies there are, and their options",
        description="Tell which policies there are, or the options of one.",
    )
    policies.add_argument("name", nargs="?", metavar="NAME", help="a policy")
    policies.add_argument(
        "--markdown", action="store_true", help="print Markdown, for documentation"
    )
    settings.add(commands)
    health.add(commands)
    observability.add(commands)
    return parser, commands.choices


def _init(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return init.run(options, load_catalog(), input if sys.stdin.isatty() else None)


def _health(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return health.run(options, environ)


def _settings(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return settings.run(options)


def _observability(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return observability.run(options)


def _run(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if wrong := misnamed(options.file, f"sidegate run --upstream {options.file}"):
        return _fail(wrong)
    upstream = options.upstream or environ.get("SIDEGATE_UPSTREAM")
    file = locate(options.file, environ)
    if file is None and not upstream:
        return _fail(
            f"nothing to run: there is no ./{DEFAULT_FILE}. Name a file:\n"
            "    sidegate run FILE\n"
            "or the service to stand before:\n"
            "    sidegate run --upstream http://127.0.0.1:3000"
        )
    overrides: dict[str, Any] = {}
    if options.upstream:
        overrides["upstream"] = options.upstream
    if options.listen:
        overrides["server.listen"] = [as_address(part) for part in options.listen.split(",")]

    def read() -> Document:
        # Partial, so that the plan made of it can tell all problems at once.
        return load(file, environ=environ, overrides=overrides, partial=True)

    catalog = load_catalog()
    # Loads the event loop and the parsers, which no other command needs.
    from proxy import app

    return app.run(read, catalog)


def _check(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    for name in options.files:
        if wrong := misnamed(name, f"sidegate check {DEFAULT_FILE}"):
            return _fail(wrong)
    catalog = load_catalog()
    files = [Path(name) for name in options.files]
    if not files:
        found = locate(None, environ)
        if found is None:
            return _fail(f"nothing to check: there is no ./{DEFAULT_FILE}. Name a file.")
        files = [found]
    code = OK
    for file in files:
        try:
            document = load(file, environ=environ, partial=True)
            plan, problems = draft_plan(document, catalog)
            if problems := [*problems, *rehearse(plan, document)]:
                raise ConfigError(problems)
        except ConfigError as error:
            _report(error.problems)
            sys.stderr.write(f"{_count(len(error.problems), 'problem')} in {file}\n")
            code = INVALID
        else:
            sys.stdout.write(f"{file}: ok, {_inventory(plan)}\n")
    return code


def _explain(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    order = f"sidegate explain {DEFAULT_FILE} GET /"
    if wrong := misnamed(options.file, order):
        return _fail(wrong)
    if options.file.isupper() and not Path(options.file).exists():
        return _fail(f"{options.file!r} stands where the file belongs; write {order}")
    try:
        client = ip_address(options.client_ip)
    except ValueError:
        return _fail(f"--client-ip: {options.client_ip!r} is no IP address")
    document = load(Path(options.file), environ=environ, partial=True)
    plan = make_plan(document, load_catalog())
    trusted = any(client in network for network in document.config.server.trusted_proxies)
    try:
        fields = [_field(text) for text in options.header]
        request = read_request(
            options.method,
            options.url,
            fields,
            client_ip=str(client),
            trusted=trusted,
            paths=document.config.server.paths,
        )
        explanation = explain(document, plan, request, options.url)
    except ValueError as error:
        return _fail(str(error))
    except GatewayError as refusal:
        if options.json:
            _print_json({"refused": {"status": refusal.status, "code": refusal.code}})
        else:
            heading = f"{options.method} {options.url}"
            answer = f"{refusal.status} {refusal.code}: {refusal.detail}"
            sys.stdout.write(f"{heading}\n\nanswer    {answer} (no route takes it)\n")
        return OK
    if options.json:
        _print_json(as_data(explanation))
    else:
        sys.stdout.write(as_text(explanation))
    return OK


def _schema(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    _print_json(make_schema(load_catalog()))
    return OK


def _policies(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    catalog = load_catalog()
    if options.name is None:
        sys.stdout.write(markdown(catalog) if options.markdown else summary(catalog))
        return OK
    spec = catalog.specs.get(options.name)
    if spec is None:
        return _fail(f'unknown policy "{options.name}"{meant(options.name, catalog.specs)}')
    sys.stdout.write(policy_markdown(spec) if options.markdown else policy_text(spec))
    return OK


_COMMANDS: Final[Mapping[str, Callable[[argparse.Namespace, Mapping[str, str]], int]]] = {
    "run": _run,
    "check": _check,
    "explain": _explain,
    "schema": _schema,
    "policies": _policies,
    "settings": _settings,
    "init": _init,
    "health": _health,
    "observability": _observability,
}


def _unknown(command: str) -> str:
    """What to say of a command that there isn't."""
    if command in ("help", "version"):
        return f"{command!r} is no command; write sidegate --{command}"
    option = "--upstream " if "://" in command or command.isdigit() else ""
    if option or Path(command).is_file():
        return f"{command!r} is no command; write sidegate run {option}{command}"
    return f'unknown command "{command}"{meant(command, _COMMANDS)}'


def _surplus(word: str, parser: argparse.ArgumentParser) -> str:
    """What to say of an argument that a command doesn't take."""
    if not word.startswith("-"):
        return f"{word!r} is one argument too many; {parser.prog} --help tells which there are"
    option = word.partition("=")[0]
    known = re.findall(r"(?m)^  (?:-[^,]+, )?(--[a-z-]+)", parser.format_help())
    return f'unknown option "{option}" of {parser.prog}{meant(option, known)}'


def _field(text: str) -> tuple[str, str]:
    name, found, value = text.partition(":")
    if not found or not name.strip():
        raise ValueError(f"-H {text!r}: write 'Name: value'")
    return name.strip(), value.strip()


def _inventory(plan: Plan) -> str:
    names = {policy.spec.name for route in plan.routes for policy in route.policies}
    return ", ".join(
        (
            _count(len(plan.routes), "route"),
            _count(len(plan.config.upstreams), "upstream"),
            _count(len(names), "policy", "policies"),
        )
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _report(problems: Sequence[Problem]) -> None:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")


def _fail(message: str) -> int:
    sys.stderr.write(f"sidegate: {message}\n")
    return USAGE


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
