"""Interpreters are found once each, by what they say of themselves."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from tests.benchmarks.interpreters import (
    Interpreter,
    described,
    of_debian,
    of_the_image,
    sources,
    suite_of_the_image,
)


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


def nowhere(suite: str) -> Path:
    """Brings nothing, as without a network."""
    raise RuntimeError(f"no mirror of {suite}")


def test_the_images_interpreter_measures_from_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (found,) = described([sys.executable])
    python = installed(tmp_path, found)
    assert of_the_image(lambda suite: Path(sys.executable)) == (found.name, python)


def test_without_the_images_interpreter_another_measures_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    own = (platform.python_version(), sys.executable)
    systems = described(["/usr/bin/python3"] if os.access("/usr/bin/python3", os.X_OK) else [])
    others = [own, *((found.name, installed(tmp_path, found)) for found in systems)]
    assert of_the_image(nowhere) == others[-1]
    assert f"no mirror of {suite_of_the_image()}" in capsys.readouterr().out


def installed(prefix: Path, interpreter: Interpreter) -> str:
    """An environment with the compiled wheel that needs no more."""
    folder = prefix / "bench" / f"{interpreter.name.replace(' ', '-')}-compiled"
    folder.mkdir(parents=True)
    (folder / "installed").write_bytes(sources())
    return str(folder / "bin" / "python")


def test_what_was_brought_once_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    folder = tmp_path / "bench" / "debian" / "duke"
    folder.mkdir(parents=True)
    (folder / "brought").touch()
    assert of_debian("duke") == folder / "usr" / "bin" / "python3"


RELEASE = 'PRETTY_NAME="Debian GNU/Linux {}"\nNAME="Debian GNU/Linux"\nID=debian\n{}'


@pytest.mark.parametrize(
    ("release", "name"),
    [
        (RELEASE.format("13 (trixie)", 'VERSION_ID="13"\n'), "3.13.5 of Debian 13"),
        (RELEASE.format("forky/sid", "VERSION_CODENAME=forky\n"), "3.13.5 of Debian sid"),
    ],
)
def test_a_distributions_own_is_told_apart(tmp_path: Path, release: str, name: str) -> None:
    program = str(tmp_path / "usr" / "bin" / "python3.13")
    assert Interpreter(program, "3.13.5").name == "3.13.5", "of no distribution"
    (tmp_path / "usr" / "lib").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "os-release").write_text(release)
    assert Interpreter(program, "3.13.5").name == name
    assert Interpreter(str(tmp_path / "bin" / "python3.13"), "3.13.5").name == "3.13.5"
