"""Documents, and what they say about requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.content.form import read_pairs
from proxy.contract import Request
from proxy.policies.validate.openapi import OpenApi
from tests.unit.policies.validate.shop import NEW, OLD, written
from tests.unit.policies.world import a_request

TENANT = ("X-Tenant", "acme")


def wrong(document: OpenApi, request: Request, *, strict: bool = False) -> list[tuple[str, str]]:
    """Place with pointer, and the complaint."""
    found = document.find(request.path)
    assert found is not None
    item, values = found
    query = read_pairs(request.query)
    operation = item.operations[request.method]
    violations = operation.check_head(request, item.names, values, query, strict)
    return [(row.place + row.pointer, row.detail) for row in violations]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("limit=5", []),
        ("limit=0", [("query/limit", "minimum of 1")]),
        ("limit=x", [("query/limit", 'type "integer"')]),
        ("limit=5&limit=6", [("query/limit", 'type "integer"')]),
        ("state=open&state=paid", []),
        ("state=open&state=lost", [("query/state/1", "is not one of")]),
        ("ids=1,2,3", []),
        ("ids=1,x", [("query/ids/1", 'type "integer"')]),
        ("ids=", []),
        ("tags=a%7Cb", []),
        ("filter[since]=5", []),
        ("filter[since]=x", [("query/filter/since", 'type "integer"')]),
        ("filter[until]=5", [("query/filter/until", "is not allowed here")]),
        # Services take the first or the last of what is given twice.
        ("filter[since]=x&filter[since]=5", [("query/filter/since", 'type "integer"')]),
        ("filter[since]=5&filter[since]=x", [("query/filter/since", 'type "integer"')]),
        ("where=%7B%7D&where=x", [("query/where", "is given twice")]),
        ("ids=1,2&ids=x", [("query/ids", "is given twice")]),
        ("ids=1&ids=2", [("query/ids", "is given twice")]),
        ("where=%7B%7D", []),
        ("where=%5B%5D", [("query/where", 'type "object"')]),
        ("where=%7B", [("query/where", "is no JSON")]),
        ("unknown=1", []),
    ],
)
def test_queries(tmp_path: Path, query: str, expected: list[tuple[str, str]]) -> None:
    document = OpenApi(written(tmp_path), None)
    found = wrong(document, a_request(f"/v1/orders?{query}", TENANT))
    assert [place for place, _ in found] == [place for place, _ in expected]
    for (_, detail), (_, words) in zip(found, expected, strict=True):
        assert words in detail


def test_unknown_parameters_can_be_wrong(tmp_path: Path) -> None:
    document = OpenApi(written(tmp_path), None)
    known = a_request("/v1/orders?limit=5&filter[since]=5&ids=1", TENANT)
    assert wrong(document, known, strict=True) == []
    unknown = a_request("/v1/orders?limit=5&<b>=1", TENANT)
    assert wrong(document, unknown, strict=True) == [("query", "has a parameter that is not known")]


def test_fields_paths_and_cookies(tmp_path: Path) -> None:
    document = OpenApi(written(tmp_path), None)
    assert wrong(document, a_request("/v1/orders")) == [("header/X-Tenant", "is missing")]
    odd = a_request("/v1/orders", ("X-Tenant", "5"), ("Cookie", "a=b; session=x"))
    assert [place for place, _ in wrong(document, odd)] == ["header/X-Tenant", "cookie/session"]
    assert wrong(document, a_request("/v1/orders/7")) == []
    assert wrong(document, a_request("/v1/orders/x"))[0][0] == "path/id"


@pytest.mark.parametrize(
    ("servers", "base", "path", "found"),
    [
        (None, None, "/orders", True),
        ([{"url": "/"}], None, "/orders", True),
        ([{"url": "https://a.test/api/"}], None, "/api/orders", True),
        ([{"url": "https://a.test/api/"}], None, "/orders", False),
        ([{"url": "https://a.test"}, {"url": "https://a.test/api"}], None, "/api/orders", True),
        ([{"url": "https://a.test/api"}], "", "/orders", True),
        ([{"url": "https://a.test/api"}], "/v2/", "/v2/orders", True),
        ([{"url": "https://a.test/api"}], "/v2", "/orders", False),
    ],
)
def test_where_the_paths_begin(
    tmp_path: Path, servers: Any, base: str | None, path: str, found: bool
) -> None:
    changes = {"servers": servers} if servers else {"servers": [{"url": ""}]}
    document = OpenApi(written(tmp_path, **changes), base)
    assert (document.find(path) is not None) is found


def body_of(document: OpenApi, path: str, method: str, value: Any) -> list[tuple[str, str]]:
    found = document.find(path)
    assert found is not None
    contents = found[0].operations[method].contents
    assert contents is not None
    validate = contents["application/json"].validate
    assert validate is not None
    return [(row.pointer, row.detail) for row in validate(value)]


def test_bodies_by_direction(tmp_path: Path) -> None:
    """What is readOnly need not be sent, though it is required."""
    document = OpenApi(written(tmp_path), None)
    assert body_of(document, "/v1/orders", "POST", {"item": "x", "note": None}) == []
    wrong = body_of(document, "/v1/orders", "POST", {"count": 0, "x": 1})
    assert sorted(wrong) == [
        ("", '"item" is a required property'),
        ("/count", "is less than the minimum of 1"),
        ("/x", "is not allowed here"),
    ]
    found = document.find("/v1/orders")
    assert found is not None
    answer = found[0].operations["GET"].responses["200"]["application/json"].validate
    assert answer is not None
    assert answer([{"id": 1, "item": "x"}]) == []
    assert [row.detail for row in answer([{"item": "x"}])] == ['"id" is a required property']


def test_the_dialect_of_3_0_and_references_to_files(tmp_path: Path) -> None:
    name = written(tmp_path, OLD)
    document = OpenApi(name, None)
    fine = {"price": 0.1, "name": None, "part": {"size": None}}
    assert body_of(document, "/things", "POST", fine) == []
    wrong = {"price": 0, "name": "c", "part": {}}
    assert sorted(pointer for pointer, _ in body_of(document, "/things", "POST", wrong)) == [
        "/name", "/part", "/price",
    ]  # fmt: skip
    assert document.files == (name, str(tmp_path / "parts" / "part.yaml"))


def test_json_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(yaml.safe_load(NEW)))
    assert OpenApi(str(file), None).operations == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("swagger: '2.0'", "no OpenAPI document of 3.0 or 3.1"),
        ("openapi: 4.0.0", "version 4.0.0"),
        ("[]", "no OpenAPI document"),
        ("a: [", "line 1: "),
        ('{"a": ', "line 1: "),
        ("openapi: 3.1.0\npaths: {/a: {get: {parameters: [{name: x, in: body}]}}}",
         "GET /a: the parameter 'x' is in 'body'"),
        ("openapi: 3.1.0\npaths: {/a: {get: {parameters: [{$ref: '#/x/y'}]}}}",
         "GET /a: the reference '#/x/y' leads nowhere: there is no 'x'"),
        ("openapi: 3.1.0\npaths: {/a: {$ref: '#/paths/~1a'}}", "leads in a circle"),
        ("openapi: 3.1.0\npaths: {/a: {$ref: 'nope.yaml'}}", "nope.yaml can't be read"),
        ("openapi: 3.1.0\npaths: {/a: {$ref: 'https://x.test/a.yaml'}}", "leads out of the files"),
        ("openapi: 3.1.0\npaths: {'/a/{x}': {}, '/a/{y}': {}}", "stands for the same"),
        ("openapi: 3.1.0\npaths: {/a: {get: {parameters: [{name: q, in: query, "
         "schema: {type: nope}}]}}}", "GET /a: the schema can't be used"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        OpenApi(written(tmp_path, text), None)
    assert words in str(raised.value)


def test_schemas_may_refer_to_themselves(tmp_path: Path) -> None:
    text = (
        "openapi: 3.1.0\npaths: {/a: {post: {requestBody: {content: {application/json: "
        "{schema: {$ref: '#/components/schemas/Tree'}}}}}}}\n"
        "components: {schemas: {Tree: {type: object, properties: {below: {type: array, items: "
        "{$ref: '#/components/schemas/Tree'}}}, additionalProperties: false}}}\n"
    )
    document = OpenApi(written(tmp_path, text), None)
    assert body_of(document, "/a", "POST", {"below": [{"below": []}]}) == []
    assert body_of(document, "/a", "POST", {"below": [{"x": 1}]})[0][0] == "/below/0/x"


def test_aliases_of_yaml_blow_nothing_up(tmp_path: Path) -> None:
    lines = ["openapi: 3.1.0", "paths: {}", "x0: &a0 {k: v}"]
    lines += [f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(ValueError, match="aliases written out"):
        OpenApi(written(tmp_path, "\n".join(lines)), None)
    with pytest.raises(ValueError, match="aliases written out"):
        OpenApi(written(tmp_path, "openapi: 3.1.0\npaths: {}\nx: &a [*a]"), None)
