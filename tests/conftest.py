"""What holds for every test, and the figures that tests print at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

# A busy machine makes one example slow and the next one quick, which proves nothing. Each run
# takes the same examples, so that one passes as the other did; HYPOTHESIS_EXAMPLES has it take
# others.
settings.register_profile(
    "house", deadline=None, database=None, derandomize="HYPOTHESIS_EXAMPLES" not in os.environ
)
settings.load_profile("house")

_FIGURES = "figures"


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Print a text at the end of the run, whichever process the test ran in."""
    return lambda text: record_property(_FIGURES, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured."""
    texts = [
        str(text)
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, text in report.user_properties
        if name == _FIGURES
    ]
    if texts:
        terminalreporter.section(_FIGURES)
        for text in texts:
            terminalreporter.write_line(text)
