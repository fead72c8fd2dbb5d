"""`make bench`: Sidegate beside other proxies, one core each, the same work, in turns.

What was measured is written after each section, into `results` or where `--results` says: all
figures, a report in Markdown and a plot.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.contest import Cores
from tests.benchmarks.interpreters import of_the_image
from tests.benchmarks.measures import IDLE, allow_descriptors
from tests.benchmarks.plot import charts, draw
from tests.benchmarks.programme import SECTIONS, Plan, peers
from tests.benchmarks.record import Record
from tests.benchmarks.report import report

RESULTS: Final = Path(__file__).with_name("results")
RECORD, REPORT, PLOT = "record.json", "README.md", "plot.svg"


def main(arguments: Sequence[str]) -> int:
    """Measure, write and print; 1 when a section failed, 2 when nothing can be measured."""
    options = _options(arguments)
    try:
        cores = Cores.usable()
        allow_descriptors(3 * IDLE)
    except RuntimeError as failure:
        print(failure)
        return 2
    version, python = of_the_image()
    among = [peer for peer in peers(python) if peer.name in options.peers]
    plan = Plan(options.rounds, options.seconds, among, cores, python)
    record = _record(options, version)
    names = [name for name in SECTIONS if _wanted(name, record, options)]
    failed = _measure(names, plan, record, options.results)
    print("\n" + report(record))
    if options.results is not None:
        print(f"Written to {options.results}")
    for name in failed:
        print(f"{name} failed; measure it again with `--only {name}`")
    return 1 if failed else 0


def _measure(names: Sequence[str], plan: Plan, record: Record, results: Path | None) -> list[str]:
    """Measure the sections; those that failed."""
    began = time.monotonic()
    meant = [SECTIONS[name].seconds(plan) for name in names]
    failed = []
    for number, name in enumerate(names):
        spent = time.monotonic() - began
        left = sum(meant[number:]) * (spent / sum(meant[:number]) if number else 1.0)
        print(
            f"{name} ({number + 1} of {len(names)}; {spent / 60:.1f} min gone, "
            f"about {left / 60:.1f} min to go)",
            flush=True,
        )
        try:
            SECTIONS[name].measure(plan, record)
        except (OSError, RuntimeError, ValueError) as failure:
            print(f"  failed: {failure}", flush=True)
            failed.append(name)
            continue
        record.taken[name] = _how(plan)
        if results is not None:
            _write(record, results)
    return failed


def _record(options: argparse.Namespace, version: str) -> Record:
    """What is there to go on with, or nothing yet. version: of the proxies' interpreter."""
    kept = None if options.results is None else options.results / RECORD
    goes_on = options.resume or options.only
    record = Record.read(kept) if goes_on and kept is not None and kept.exists() else Record()
    facts = _facts(version)
    if record.facts not in ({}, facts):
        sys.exit(f"{kept} is of another machine: {record.facts}; begin anew, or write elsewhere")
    record.facts = facts
    return record


def _wanted(name: str, record: Record, options: argparse.Namespace) -> bool:
    if options.only:
        return name in options.only
    return not (options.resume and name in record.taken)


def _write(record: Record, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record.write(folder / RECORD)
    (folder / PLOT).write_text(draw(charts(record)), encoding="utf-8")
    (folder / REPORT).write_text(report(record, PLOT), encoding="utf-8")


def _facts(version: str) -> dict[str, str]:
    """Of this machine, and of its interpreters."""
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    return {
        "processor": model,
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release().partition("-")[0],
        "Python of Sidegate, of aiohttp and of costs": version,
        "Python of profiles and counts, interpreted": platform.python_version(),
    }


def _how(plan: Plan) -> str:
    """When and how a section is measured."""
    taken = time.strftime("%Y-%m-%d", time.gmtime())
    git = ("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*")
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    commit = done.stdout.strip() or "unknown"
    return f"{taken} at {commit}, {plan.rounds} rounds of {plan.seconds:g} s"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    known = {peer.name.lower(): peer.name for peer in peers(sys.executable)}
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each proxy in each round")
    parser.add_argument(
        "--quick", action="store_true", help="one round of a second, which isn't kept"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="SECTION", help=f"measure these anew: {', '.join(SECTIONS)}"
    )
    parser.add_argument(
        "--resume", action="store_true", help="measure what the results don't have yet"
    )
    parser.add_argument(
        "--peers", nargs="+", metavar="PROXY", default=(),
        help=f"of {', '.join(known.values())}; what comes of it isn't kept",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, metavar="FOLDER", help="keep what was measured there"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1
    if options.rounds < 1 or options.seconds < 1:
        parser.error("rounds and seconds begin at 1")
    for name in options.only or ():
        if name not in SECTIONS:
            parser.error(f"no section {name!r}; there are {', '.join(SECTIONS)}")
    for name in options.peers:
        if name.lower() not in known:
            parser.error(f"no proxy {name!r}; there are {', '.join(known.values())}")
    if options.results is None and not options.quick and not options.peers:
        options.results = RESULTS
    options.peers = [known[name.lower()] for name in options.peers] or list(known.values())
    return options


if __name__ == "__main__":
    for needed in ("wrk", "taskset"):
        if shutil.which(needed) is None:
            sys.exit(f"{needed} is missing; `make bench` installs it")
    sys.exit(main(sys.argv[1:]))
