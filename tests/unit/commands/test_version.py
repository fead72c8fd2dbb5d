"""What was loaded tells how it was built, and nothing that somebody set."""

from __future__ import annotations

import os
import platform
import sysconfig

from proxy.commands.version import release

PYTHON = f"Python {platform.python_version()}"


def test_sources_run_on_the_interpreter() -> None:
    assert release("proxy/http1/field.py").endswith(f" ({PYTHON})")


def test_extensions_are_compiled() -> None:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert release(f"proxy/http1/field{suffix}").endswith(f" (compiled by mypyc, {PYTHON})")


def test_this_is_the_build_that_is_meant_to_be_tested() -> None:
    assert ("compiled" in release()) == ("COMPILED_SIDEGATE_TESTED" in os.environ)
