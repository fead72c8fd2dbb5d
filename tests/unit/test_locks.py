"""The locks are what everybody installs: whole, hashed, in step, and of no one machine."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-bench.lock",
    "requirements-compile.lock",
)
PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z0-9,_-]+\])?==([^ ;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Versions by name."""
    found = PIN.findall((ROOT / lock).read_text())
    return {canonicalize_name(name): version for name, version in found}


def wanted(lock: str) -> list[Requirement]:
    """What pyproject.toml asks of a lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime, groups = project["project"]["dependencies"], project["dependency-groups"]
    texts = {
        "requirements.lock": runtime,
        "requirements-dev.lock": runtime + groups["dev"],
        "requirements-bench.lock": groups["bench"],
        "requirements-compile.lock": runtime + groups["compile"],
    }
    return [Requirement(text) for text in texts[lock]]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_the_project_asks_for(lock: str) -> None:
    """Fails when pyproject.toml was changed and `make lock` forgotten."""
    pinned = pins(lock)
    for requirement in wanted(lock):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is missing; run `make lock`"
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_a_pin_names_the_extras_that_others_ask_of_it() -> None:
    """Without them pip takes the request for an unpinned one as soon as a newer version is
    out, and a fresh install fails."""
    lock = (ROOT / "requirements-dev.lock").read_text()
    asked = [
        requirement
        for name in pins("requirements-dev.lock")
        for requirement in map(Requirement, requires_of(name))
        if requirement.extras and (requirement.marker is None or requirement.marker.evaluate())
    ]
    assert asked
    for requirement in asked:
        found = re.search(rf"^{re.escape(requirement.name)}\[([^]]+)\]==", lock, re.MULTILINE)
        assert found is not None, requirement
        assert requirement.extras <= set(found[1].split(",")), requirement


def requires_of(name: str) -> list[str]:
    """What an installed package asks for; nothing for one of another platform."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock: str) -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) == len(PIN.findall("".join(entries)))
    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert re.findall(r"(?<![\w.])/\w+", text) == []
    assert "index-url" not in text


@pytest.mark.parametrize("lock", ["requirements-dev.lock", "requirements-compile.lock"])
def test_tests_and_types_are_of_the_versions_that_are_shipped(lock: str) -> None:
    there, shipped = pins(lock), pins("requirements.lock")
    assert {name: there.get(name) for name in shipped} == shipped


def test_what_passes_the_types_is_what_compiles() -> None:
    developing, compiling = pins("requirements-dev.lock"), pins("requirements-compile.lock")
    for name in ("hatchling", "mypy", "types-pyyaml"):
        assert developing[name] == compiling[name]
