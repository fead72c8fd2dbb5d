"""The processes that tests start are of the build that is meant to be tested."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.integration.process import ROOT


def test_a_process_says_how_it_was_built() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "proxy", "--version"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ("compiled by mypyc" in done.stdout) == ("COMPILED_SIDEGATE_TESTED" in os.environ)
