"""Rows of CPU time that another interpreter's process takes of itself.

So what is measured is the build that is installed for it, which the sources of this checkout would
hide. May live here: how to start such a process, and how its rows come back.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.cost import Cost

# Sidegate as it is installed, and the tests from here.
_START: Final = f"""\
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from tests.benchmarks.inside import answer
answer(sys.argv[1], sys.argv[2:])
"""


def rows(python: str, measure: str, *arguments: int) -> list[Cost]:
    """What a function returns there. measure: its module and its name, as `telemetry:costs`.

    Raises RuntimeError, with the last of what was said, where it fails.
    """
    command = [python, "-P", "-c", _START, measure, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{measure} with {python}: {done.stderr.strip()[-300:]}")
    return [Cost(*row) for row in json.loads(done.stdout.splitlines()[-1])]


def answer(measure: str, arguments: Sequence[str]) -> None:
    """Call the function in this process, and print its rows."""
    module, _, name = measure.partition(":")
    function: Any = getattr(importlib.import_module(f"tests.benchmarks.{module}"), name)
    sys.stdout.write("\n" + json.dumps(function(*map(int, arguments))) + "\n")
