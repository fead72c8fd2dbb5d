"""Which modules are compiled stands in pyproject.toml; `make test-compiled` tests them so."""

from __future__ import annotations

import ast
import importlib
import os
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOOKS: Final = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
MODULES: Final[list[str]] = HOOKS["custom"]["modules"]


def test_the_list_is_in_order() -> None:
    assert sorted(set(MODULES)) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_what_is_tested_is_the_build_that_is_meant(module: str) -> None:
    loaded = importlib.import_module(module.removesuffix(".py").replace("/", "."))
    assert loaded.__file__ is not None
    file = Path(loaded.__file__)
    assert file.is_relative_to(ROOT)
    compiled = file.name.endswith(tuple(EXTENSION_SUFFIXES))
    assert compiled == ("COMPILED_SIDEGATE_TESTED" in os.environ)


@pytest.mark.parametrize("module", MODULES)
def test_the_source_of_what_is_compiled_is_beside_it(module: str) -> None:
    assert (ROOT / module).is_file()


@pytest.mark.parametrize("module", MODULES)
def test_what_waits_is_left_to_the_interpreter(module: str) -> None:
    tree = ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in tree)
