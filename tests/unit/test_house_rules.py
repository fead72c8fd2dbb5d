"""The house rules that a linter can't be told: sizes, names, and who may touch the world.

The layers between modules are import-linter's part; see `[tool.importlinter]`.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PROXY: Final = ROOT / "proxy"
MODULES: Final = sorted(PROXY.rglob("*.py"))

# Names that say nothing of what a module holds.
SHAPELESS: Final = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|shared|base)(_|$)")

# What a clock, a source of randomness or a task is read from, and who may do so: the
# modules that hand them to everybody else.
AMBIENT: Final = {
    "time.time": "the toolkit's wall",
    "time.time_ns": "the toolkit's wall",
    "time.monotonic": "the toolkit's clock",
    "time.monotonic_ns": "the toolkit's clock",
    "time.perf_counter": "the toolkit's clock",
    "time.sleep": "a timer of the loop",
    "datetime.datetime.now": "the toolkit's wall",
    "datetime.datetime.utcnow": "the toolkit's wall",
    "random.*": "the toolkit's random",
    "secrets.*": "the toolkit's random",
    "os.urandom": "the toolkit's random",
    "uuid.uuid1": "the toolkit's random",
    "uuid.uuid4": "the toolkit's random",
    "asyncio.create_task": "the toolkit's spawn, or the loop that owns the task",
    "asyncio.ensure_future": "the toolkit's spawn, or the loop that owns the task",
}
MAY_TOUCH_THE_WORLD: Final = frozenset(
    {"app.py", "process/operations.py", "process/team.py", "process/worker.py", "runtime/state.py"}
)

PARSERS: Final = ("aiohttp.http", "aiohttp._http", "aiohttp.http_parser")
MAY_PARSE: Final = frozenset({"wire/parser.py"})


def shown(path: Path) -> str:
    """A module's path as messages and tables write it."""
    return path.relative_to(PROXY).as_posix()


@pytest.fixture(params=MODULES, ids=shown)
def module(request: pytest.FixtureRequest) -> Path:
    """Each module of the package in turn."""
    path: Path = request.param
    return path


def names_used(tree: ast.AST) -> dict[str, int]:
    """Full dotted names that a module imports or reads from what it imported, with a line.

    `from time import monotonic as now; now` and `import time; time.monotonic` both give
    `time.monotonic`.
    """
    bound: dict[str, str] = {}
    used: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                used.setdefault(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                bound[alias.asname or alias.name] = full
                used.setdefault(full, node.lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            path, root = [node.attr], node.value
            while isinstance(root, ast.Attribute):
                path.append(root.attr)
                root = root.value
            if isinstance(root, ast.Name) and root.id in bound:
                used.setdefault(".".join([bound[root.id], *reversed(path)]), node.lineno)
    return used


def ambient_uses(source: str) -> list[str]:
    """`line N: NAME; use …` for each reach into the world."""
    found = []
    for name, line in names_used(ast.parse(source)).items():
        rule = name if name in AMBIENT else f"{name.partition('.')[0]}.*"
        if rule in AMBIENT:
            found.append(f"line {line}: {name}; use {AMBIENT[rule]}")
    return found


def test_a_module_stays_under_400_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 400


def test_a_package_file_is_empty(module: Path) -> None:
    if module.name == "__init__.py":
        assert module.read_text() == ""


def test_a_module_is_named_for_what_it_holds(module: Path) -> None:
    for part in module.relative_to(PROXY).with_suffix("").parts:
        assert not SHAPELESS.search(part), f"{part!r} is no noun for what is in there"


def test_a_module_begins_with_what_may_live_there(module: Path) -> None:
    if module.name != "__init__.py":
        assert ast.get_docstring(ast.parse(module.read_text()))


def test_nothing_is_left_to_do(module: Path) -> None:
    marks = re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", module.read_text())
    assert not marks


def test_only_the_wire_reads_with_the_parsers_of_aiohttp(module: Path) -> None:
    if shown(module) in MAY_PARSE:
        return
    names = names_used(ast.parse(module.read_text()))
    assert not [name for name in names if name.startswith(PARSERS)]


def test_time_randomness_and_tasks_are_handed_in(module: Path) -> None:
    if shown(module) not in MAY_TOUCH_THE_WORLD:
        assert ambient_uses(module.read_text()) == []


@pytest.mark.parametrize("name", sorted(MAY_PARSE))
def test_an_exception_names_a_module_that_is_there(name: str) -> None:
    """A rule that excuses a module long gone would excuse the next one of that name."""
    assert (PROXY / name).exists()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.time()", "time.time"),
        ("import time as t\nnow = t.monotonic", "time.monotonic"),
        ("from time import monotonic as now", "time.monotonic"),
        ("from random import choice", "random.choice"),
        ("import random\nrandom.random()", "random.random"),
        ("import datetime as d\nd.datetime.now(d.UTC)", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.now()", "datetime.datetime.now"),
        ("import asyncio\nasyncio.create_task(x())", "asyncio.create_task"),
    ],
)
def test_the_rule_sees_through_aliases(source: str, found: str) -> None:
    assert any(found in use for use in ambient_uses(source))


@pytest.mark.parametrize(
    "source",
    [
        "import time\nlater = time.struct_time",
        "def f(time: Clock) -> float:\n    return time.time()",
        "loop.create_task(x())",
    ],
)
def test_the_rule_leaves_the_rest_alone(source: str) -> None:
    assert ambient_uses(source) == []
