"""Interpreters are found once each, by what they say of themselves."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from tests.benchmarks.interpreters import LOCK, Interpreter, described, of_the_image


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


OWN = (platform.python_version(), sys.executable)


def test_the_images_interpreter_measures_from_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (found,) = described([sys.executable])
    folder = tmp_path / "bench" / found.name.replace(" ", "-")
    folder.mkdir(parents=True)
    (folder / "installed").write_bytes(LOCK.read_bytes())
    assert of_the_image(Path(sys.executable)) == (found.name, str(folder / "bin" / "python"))


def test_without_the_images_interpreter_the_benchmarks_own_measures(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    assert of_the_image(old) == OWN
    old.write_text('#!/bin/sh\necho \'{"version": [3, 10, 1], "base": "/x"}\'\n')
    old.chmod(0o755)
    assert of_the_image(old) == OWN


def test_the_systems_own_is_told_apart() -> None:
    assert Interpreter("/usr/bin/python3.11", "3.11.2").name == "3.11.2 of the system"
    assert Interpreter("/opt/python/bin/python3.11", "3.11.7").name == "3.11.7"
