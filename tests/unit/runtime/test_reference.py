"""The reference is made of docstrings and types, and of nothing else."""

from __future__ import annotations

import re

import pytest
import yaml

from proxy.catalog import load_catalog
from proxy.config.shape import fields_of
from proxy.runtime.reference import (
    first_line,
    markdown,
    policy_markdown,
    policy_text,
    settings_markdown,
    settings_text,
    summary,
)
from tests.unit.runtime.specimen import CATALOG


def test_the_summary_has_a_line_for_each_policy_outermost_first() -> None:
    lines = summary(CATALOG).splitlines()
    assert lines[2:7] == [
        "* ids     The options that every policy has. Unknown options are errors.",
        "* errors  The options that every policy has. Unknown options are errors.",
        "  limit   Admit so many requests.",
        "  answer  Answer by itself.",
        "  fussy   Its validator fails in a way of its own.",
    ]


def test_a_policys_text_tells_each_option_with_type_and_default() -> None:
    text = policy_text(CATALOG.specs["limit"])
    for part in (
        "Off unless asked for. Short form: `limit: LIMIT` sets `limit`.",
        "limit: rate (required)\n    How many.",
        "wait: duration (default 1500ms)\n    How long.",
        "burst: whole number\n    At once.",
        "bucket: mapping\n    Where they go.",
        "bucket.room: size (default 2KiB)\n    How much fits in.",
        "buckets.NAME.room: size (default 2KiB)",
        'json: text (default "")',
        "mode: `enforce`, `shadow` or `off` (default enforce)",
        "Example\n\n    policies:\n      limit:\n        limit: 5/min\n        key: global\n",
    ):
        assert part in text
    assert text.index("limit: rate") < text.index("mode: `enforce`")


@pytest.mark.parametrize(
    "name", ["upstreams.breaker", "upstreams.NAME.breaker", "upstreams.NAME.breaker."]
)
def test_the_settings_below_one(name: str) -> None:
    text = settings_text(name)
    keys = re.findall(r"^([\w.]+): ", text, re.MULTILINE)
    assert keys[0] == "upstreams.NAME.breaker"
    assert {key.rpartition(".")[0] for key in keys[1:]} == {"upstreams.NAME.breaker"}
    assert "upstreams.NAME.breaker.rest: duration (default 5s)\n    How long it stays open" in text


def test_a_setting_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r'"server\.wrokers"; did you mean "server\.workers"\?'):
        settings_text("server.wrokers")


def test_every_setting_is_documented() -> None:
    rows = [row for row in settings_markdown().splitlines() if row.startswith("|`")]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("||")] == []
    assert "|`server.trusted_proxies`|list of network|`[]`|" in settings_markdown()
    assert "Short form: a bare value sets `endpoints`." in settings_text("upstreams")


def test_what_answers_says_so() -> None:
    text = policy_text(CATALOG.specs["answer"])
    assert "It answers by itself; its route needs no upstream." in text


def test_markdown_has_a_table_whose_cells_stay_in_their_row() -> None:
    text = policy_markdown(CATALOG.specs["limit"])
    assert text.startswith("### limit\n\nAdmit so many requests.\n")
    assert "|`limit`|rate|required|How many.|" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


def test_every_policy_that_comes_with_sidegate_is_documented() -> None:
    catalog = load_catalog(plugins=[])
    text = markdown(catalog)
    for name in catalog.order:
        assert f"### {name}\n" in text
        options = catalog.specs[name].options
        undocumented = [key for key, info in fields_of(options).items() if not info.description]
        assert undocumented == []


def test_the_first_line_of_each_is_a_sentence() -> None:
    for spec in load_catalog(plugins=[]).specs.values():
        assert re.fullmatch(r"[A-Z].*\.", first_line(spec)), spec.name


def test_every_example_is_one_that_works() -> None:
    catalog = load_catalog(plugins=[])
    examples = 0
    for block in markdown(catalog).split("```yaml\n")[1:]:
        data = yaml.safe_load(block.partition("```")[0])
        for name, options in data["policies"].items():
            spec = catalog.specs[name]
            spec.options.model_validate(
                options if isinstance(options, dict) else {spec.shorthand: options}
            )
            examples += 1
    assert examples > 0
