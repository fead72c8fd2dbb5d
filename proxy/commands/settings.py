"""`sidegate settings`: tells the settings of the file, policies aside."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from proxy.catalog import load_catalog
from proxy.runtime.reference import settings_markdown, settings_text

OK: Final = 0
USAGE: Final = 2

_EXAMPLES: Final = """\
  sidegate settings upstreams.breaker
  sidegate settings server.limits

`sidegate policies` tells the options of policies.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "settings",
        help="tell which settings there are besides policies",
        description="Tell which settings there are, all of them or those below one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="a part of the file")
    parser.add_argument(
        "--markdown", action="store_true", help="print all as Markdown, for documentation"
    )


def run(options: argparse.Namespace) -> int:
    """Print the reference, and return the exit code."""
    try:
        text = settings_markdown() if options.markdown else settings_text(options.name)
    except ValueError as error:
        name = options.name
        policy = name in load_catalog().specs
        fix = f'"{name}" is a policy; write sidegate policies {name}' if policy else error
        sys.stderr.write(f"sidegate: {fix}\n")
        return USAGE
    sys.stdout.write(text)
    return OK
