"""config/policies: an example of each policy. That it does what it says is shown by
tests/integration/test_examples.py, which explains how an example says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from proxy.catalog import load_catalog
from proxy.config.load import load
from proxy.runtime.plan import make_plan

FOLDER: Final = Path(__file__).parents[2] / "config" / "policies"
EXAMPLES: Final = sorted(path.stem for path in FOLDER.glob("*.yaml"))
HOW: Final = (
    "write config/policies/{}.yaml: an example that is worth copying, with what becomes of "
    "requests in its comments, as tests/integration/test_examples.py explains"
)


@pytest.mark.parametrize("policy", sorted(load_catalog().specs))
def test_every_policy_has_an_example(policy: str) -> None:
    assert policy in EXAMPLES, HOW.format(policy)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_uses_its_policy_and_tells_of_requests(name: str) -> None:
    assert name in load_catalog().specs
    file = FOLDER / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# "), "it says first what it is for"
    assert "\n#> " in text, "it tells what becomes of requests"
    assert re.search(rf"\b{name}:", re.sub("#.*", "", text))
    plan = make_plan(load(file, environ={}), load_catalog())
    assert name in {policy.spec.name for route in plan.routes for policy in route.policies}
