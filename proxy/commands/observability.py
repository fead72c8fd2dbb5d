"""`sidegate observability`: writes what Prometheus and Grafana need to watch Sidegate."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from proxy.config.units import parse_duration
from proxy.observability.files import make_files, write_files

OK: Final = 0
USAGE: Final = 2

_ABOUT: Final = """\
Write recording and alert rules for Prometheus, a dashboard for Grafana, and the list of
metrics, all made from the metrics that there are.
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's arguments."""
    parser = commands.add_parser(
        "observability",
        help="write rules for Prometheus and a dashboard for Grafana",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write them")
    parser.add_argument(
        "--objective",
        type=float,
        default=99.9,
        metavar="PERCENT",
        help="of requests that must not fail; by default 99.9",
    )
    parser.add_argument(
        "--latency",
        default="1s",
        metavar="DURATION",
        help="that 95 %% of a route's requests must stay under; by default 1s",
    )


def run(options: argparse.Namespace) -> int:
    """Write the files, print their paths, and return the exit code."""
    if not 0 < options.objective < 100:
        return _fail("--objective: write a percentage between 0 and 100, such as 99.9")
    try:
        latency = parse_duration(options.latency)
    except ValueError as error:
        return _fail(f"--latency: {error}")
    if latency == 0:
        return _fail("--latency: no request takes no time; write a duration such as 1s")
    try:
        paths = write_files(Path(options.out), make_files(options.objective, latency))
    except OSError as error:
        return _fail(f"{options.out}: {error.strerror}")
    for path in paths:
        sys.stdout.write(f"{path}\n")
    return OK


def _fail(message: str) -> int:
    sys.stderr.write(f"sidegate: {message}\n")
    return USAGE
