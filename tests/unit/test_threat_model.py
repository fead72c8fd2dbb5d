"""The threat model names tests that exist, and leaves no promise without one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from proxy.catalog import load_catalog
from proxy.config.model import Config

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = (ROOT / "THREAT_MODEL.md").read_text(encoding="utf-8")
SECTIONS: Final = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PROMISES: Final = re.findall(
    r"^\*\*(.+?)\*\*(.*?)(?=^\*\*|\Z)", SECTIONS["What is promised"], re.MULTILINE | re.DOTALL
)
IS_TEST: Final = re.compile(r"^(?:    )?(?:async )?def test_|^Test\w+ = ", re.MULTILINE)
TESTS: Final = re.findall(r"`((?:unit|integration|security)/[\w/.]+)`", TEXT)


def test_it_says_what_there_is_to_say() -> None:
    assert list(SECTIONS) == [
        "What is to be protected",
        "Boundaries",
        "What is promised",
        "What is not promised",
        "Defaults that matter",
    ]
    assert len(PROMISES) > 20


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[0][:60])
def test_a_promise_names_the_tests_that_show_it(promise: tuple[str, str]) -> None:
    assert re.search(r"`(?:unit|integration|security)/[\w/.]+`", promise[1])


@pytest.mark.parametrize("name", sorted(set(TESTS)))
def test_a_test_that_is_named_is_there(name: str) -> None:
    path = ROOT / "tests" / name
    files = [path] if path.suffix == ".py" else sorted(path.rglob("test_*.py"))
    assert files
    for file in files:
        assert IS_TEST.search(file.read_text(encoding="utf-8")), file


def test_every_suite_of_attacks_is_named() -> None:
    """A suite that shows no promise is one that nobody misses."""
    there = {f"security/{file.name}" for file in (ROOT / "tests" / "security").glob("test_*.py")}
    assert there <= set(TESTS)


def test_defaults_are_those_of_settings_that_exist() -> None:
    catalog = load_catalog(plugins=[])
    known = {*Config.model_fields, *catalog.specs}
    rows = re.findall(r"^\| (`[^|]+`) \|", SECTIONS["Defaults that matter"], re.MULTILINE)
    assert len(rows) > 12
    for row in rows:
        for setting in re.findall(r"`([^`]+)`", row):
            section, *rest = setting.split(".")
            assert section in known, setting
            spec = catalog.specs.get(section)
            if spec is not None and rest:
                fields = {info.alias or name for name, info in spec.options.model_fields.items()}
                assert rest[0] in fields, setting
