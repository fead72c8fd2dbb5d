"""Interpreters are found once each, by what they say of themselves."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from tests.benchmarks.interpreters import Interpreter, described


def test_an_interpreter_is_known_by_its_own_path(tmp_path: Path) -> None:
    link = tmp_path / "python3.11"
    link.symlink_to(sys.executable)
    (found,) = described([sys.executable, str(link)])
    assert found.version == platform.python_version()
    assert os.access(found.program, os.X_OK)


def test_what_does_not_run_is_left_out(tmp_path: Path) -> None:
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    old = tmp_path / "python3.13"
    old.write_text('#!/bin/sh\necho \'{"version": [3, 10, 1], "base": "/x"}\'\n')
    old.chmod(0o755)
    assert described([str(broken), str(old)]) == []


def test_the_systems_own_is_told_apart() -> None:
    assert Interpreter("/usr/bin/python3.11", "3.11.2").name == "3.11.2 of the system"
    assert Interpreter("/opt/python/bin/python3.11", "3.11.7").name == "3.11.7"
