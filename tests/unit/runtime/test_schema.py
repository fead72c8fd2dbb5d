"""The JSON Schema allows what the loader takes, and knows each policy's options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import validator_for

from proxy.catalog import load_catalog
from proxy.runtime.schema import DIALECT, make_schema
from tests.unit.runtime.specimen import CATALOG

VARIABLE = {"type": "string", "pattern": r"\$\{", "title": "A variable"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return make_schema(CATALOG)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def test_it_names_its_dialect(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == DIALECT == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("catalog", [CATALOG, load_catalog(plugins=[])], ids=["small", "real"])
def test_every_reference_leads_somewhere(catalog: Any) -> None:
    made = make_schema(catalog)
    targets = {f"#/$defs/{name}" for name in made["$defs"]}
    assert set(references(made)) <= targets


def test_policies_are_the_same_for_all_and_for_a_route(schema: dict[str, Any]) -> None:
    route = schema["$defs"]["Route"]["properties"]["policies"]
    assert schema["properties"]["policies"]["$ref"] == route["$ref"] == "#/$defs/policies"
    assert list(schema["$defs"]["policies"]["properties"]) == list(CATALOG.order)
    assert schema["$defs"]["policies"]["additionalProperties"] is False


def test_a_policy_may_be_its_options_or_a_boolean_or_its_short_form(
    schema: dict[str, Any],
) -> None:
    entries = schema["$defs"]["policies"]["properties"]
    assert entries["limit"]["description"] == "Admit so many requests."
    forms = entries["limit"]["anyOf"]
    assert forms[0] == {"$ref": "#/$defs/limit"}
    assert forms[1] == {"type": ["boolean", "null"]}
    assert forms[2]["title"] == "Sets limit"
    assert len(entries["ids"]["anyOf"]) == 2


def test_a_short_form_may_be_a_list_where_the_option_is_one() -> None:
    entries = make_schema(load_catalog(plugins=[]))["$defs"]["policies"]["properties"]
    assert "array" in entries["methods"]["anyOf"][2]["type"]
    assert "array" not in entries["respond"]["anyOf"][2]["type"]


def test_options_have_descriptions_and_defaults_as_they_are_written(
    schema: dict[str, Any],
) -> None:
    options = schema["$defs"]["limit"]["properties"]
    assert options["wait"]["description"] == "How long."
    assert options["wait"]["default"] == "1500ms"
    assert schema["$defs"]["limit.Bucket"]["properties"]["room"]["default"] == "2KiB"
    limits = schema["$defs"]["Limits"]["properties"]
    assert limits["head"]["default"] == "32KiB"
    assert limits["head"]["description"].startswith("Request line and fields together")


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        ("Server", "listen"),
        ("Server", "trusted_proxies"),
        ("Match", "methods"),
    ],
)
def test_one_may_stand_for_a_list_of_one(schema: dict[str, Any], definition: str, key: str) -> None:
    takes_text(schema["$defs"][definition]["properties"][key], "array")


@pytest.mark.parametrize("section", ["Upstream", "EndpointOptions", "Balance"])
def test_a_section_may_have_a_short_form(schema: dict[str, Any], section: str) -> None:
    takes_text(schema["$defs"][section], "object")


def test_an_upstream_may_be_a_section_with_one_endpoint(schema: dict[str, Any]) -> None:
    section = schema["$defs"]["Upstream"]["anyOf"][0]
    takes_text(section["properties"]["endpoints"], "array")


def takes_text(row: dict[str, Any], kind: str) -> None:
    assert {"type": "string"} in row["anyOf"]
    assert any(form.get("type") == kind for form in row["anyOf"])


@pytest.mark.parametrize(
    ("definition", "key"), [("Pool", "size"), ("Server", "forwarded"), ("Paths", "dot_segments")]
)
def test_a_variable_may_stand_for_a_number_a_boolean_or_a_choice(
    schema: dict[str, Any], definition: str, key: str
) -> None:
    assert VARIABLE in schema["$defs"][definition]["properties"][key]["anyOf"]


@pytest.mark.parametrize(
    "options",
    [
        "5/s",
        {"limits": ["5/s", {"limit": 5, "algorithm": "concurrency"}], "key": "client_ip"},
        {"limit": "5MiB/s", "burst": "9MiB", "cost": "response_bytes", "when": {"status": 401}},
        {"limit": "5/s", "tiers": {"a": "9/s", "b": ["9/s", {"limit": "90/min", "burst": 3}]}},
    ],
)
def test_limits_may_be_written_short(options: Any) -> None:
    validator = validator_for(make_schema(load_catalog(plugins=[])))
    upstreams = {"app": "http://127.0.0.1:1"}
    assert validator.is_valid({"upstreams": upstreams, "policies": {"rate_limit": options}})
    wrong = {"limit": "5/s", "limmits": 3}
    assert not validator.is_valid({"upstreams": upstreams, "policies": {"rate_limit": wrong}})


@pytest.mark.parametrize("store", ["redis://a:1/0", {"url": "redis://a", "deadline": "50ms"}, {}])
def test_a_store_may_be_written_short(store: Any) -> None:
    assert validator_for(make_schema(load_catalog(plugins=[]))).is_valid({"store": store})
