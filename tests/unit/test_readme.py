"""The README says what the program does; where it quotes the program, it quotes it exactly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from proxy import contract
from proxy.catalog import Catalog, load_catalog
from proxy.config.load import load
from proxy.contract import PolicySpec
from proxy.errors import CODES
from proxy.runtime.plan import make_plan
from proxy.runtime.reference import markdown, settings_markdown

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
POLICIES = (ROOT / "config" / "POLICIES.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "config" / "SETTINGS.md").read_text(encoding="utf-8")
OBSERVABILITY = (ROOT / "config" / "OBSERVABILITY.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_policy_reference_is_what_the_command_prints() -> None:
    reference = POLICIES.partition("<!-- policies -->\n")[2]
    assert reference.strip() == markdown(load_catalog()).strip()


def test_the_reference_of_settings_is_what_the_command_prints() -> None:
    reference = SETTINGS.partition("<!-- settings -->\n")[2]
    assert reference.strip() == settings_markdown().strip()


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "yaml"])
def test_the_configurations_it_shows_are_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sidegate.yaml"
    file.write_text(text, encoding="utf-8")
    assert make_plan(load(file, environ={}), load_catalog()).routes


FRAGMENTS = re.findall(r"```yaml\n(.*?)```", OBSERVABILITY, re.DOTALL)


@pytest.mark.parametrize("text", FRAGMENTS)
def test_the_parts_of_configurations_that_others_show_are_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sidegate.yaml"
    file.write_text("upstreams: {app: http://127.0.0.1:3000}\n" + text, encoding="utf-8")
    assert make_plan(load(file, environ={}), load_catalog()).routes


def test_the_policy_it_shows_works(tmp_path: Path) -> None:
    [text] = [text for language, text in BLOCKS if language == "python"]
    names: dict[str, object] = {"__name__": "greeting"}
    exec(compile(text, "greeting.py", "exec"), names)
    spec = names["POLICY"]
    assert isinstance(spec, PolicySpec)
    # Whoever follows it has one of this name already.
    others = [other for other in load_catalog().specs.values() if other.name != spec.name]
    order = Catalog.of([*others, spec]).order
    assert order.index("security_headers") < order.index("greeting") < order.index("error_envelope")


def test_it_names_what_a_policy_may_have() -> None:
    section = README.partition("## A policy of your own")[2].partition("\n## ")[0]
    shapes = get_args(contract.Policy)
    methods = {name for shape in shapes for name in vars(shape) if not name.startswith("_")}
    assert len(methods) == 7
    assert [name for name in sorted(methods) if f"`{name}(" not in section] == []


def test_it_says_where_the_command_is_before_it_uses_it() -> None:
    assert -1 < README.index(".venv/bin/sidegate") < README.index("`sidegate check")


def test_the_codes_it_names_exist() -> None:
    table = README.partition("### What is refused")[2].partition("\n\nPaths that")[0]
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", table))
    assert named <= CODES.keys(), named - CODES.keys()
    assert len(named) > 15


@pytest.mark.parametrize(
    "name", ["sidecar.yaml", "gateway.yaml", "limits.yaml", "demo/sidegate.yaml"]
)
def test_the_examples_are_valid(name: str) -> None:
    document = load(ROOT / "config" / name, environ={})
    assert make_plan(document, load_catalog()).routes
    assert yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
