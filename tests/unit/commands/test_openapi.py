"""Which routes a description suggests."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.commands.openapi import Proposal, propose
from proxy.routing.path import read_path


def described(paths: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, **more}


def only(path: str, **more: Any) -> Proposal:
    [proposal] = propose(described({path: {"get": {}}}, **more))
    return proposal


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/", "/"),
        ("/users", "/users"),
        ("/users/{id}", "/users/{id}"),
        ("/users/{user-id}/posts/{post.id}", "/users/{user_id}/posts/{post_id}"),
        ("/a/{id}/b/{id}", "/a/{id}/b/{id_2}"),
        ("/{2fa}", "/{p2fa}"),
        ("/{}", "/{id}"),
        ("/files/{name}.json", r"~/files/[^/]+\.json"),
        ("/range/{from}-{to}", r"~/range/[^/]+\-[^/]+"),
    ],
)
def test_a_path_becomes_a_pattern(path: str, pattern: str) -> None:
    proposal = only(path)
    assert proposal.path == pattern
    assert read_path(pattern).text == pattern


@pytest.mark.parametrize(
    ("more", "prefix"),
    [
        ({"servers": [{"url": "https://api.example.com/v1/"}]}, "/v1"),
        ({"servers": [{"url": "/v2"}]}, "/v2"),
        ({"servers": [{"url": "https://{region}.example.com:8443/v3"}]}, "/v3"),
        ({"servers": [{"url": "https://example.com"}]}, ""),
        ({"servers": []}, ""),
        ({"swagger": "2.0", "basePath": "/old"}, "/old"),
        ({"swagger": "2.0"}, ""),
    ],
)
def test_a_server_gives_the_prefix(more: dict[str, Any], prefix: str) -> None:
    assert only("/users", **more).path == f"{prefix}/users"


def test_operations_of_a_path_share_a_route() -> None:
    item = {"get": {"summary": "List\nall"}, "post": {}, "trace": {}, "parameters": []}
    proposals = propose(described({"/users": item}))
    assert proposals == [Proposal("users", "/users", ("GET", "POST"), "List all")]


def test_names_are_unique_and_allowed() -> None:
    paths = {
        "/users/{id}": {"get": {"operationId": "get user"}},
        "/users/{id}/": {"get": {"operationId": "get user"}},
        "/users/{name}": {"get": {}, "put": {}},
        "/": {"get": {}, "put": {}},
        "/" + "x" * 99: {"get": {}, "put": {}},
        "/" + "x" * 100: {"get": {}, "put": {}},
    }
    names = [proposal.name for proposal in propose(described(paths))]
    assert names[:4] == ["get-user", "get-user-2", "users-name", "root"]
    assert len(set(names)) == 6
    assert max(map(len, names)) <= 63


PASSWORD: dict[str, Any] = {"type": "object", "properties": {"user": {}, "newPassword": {}}}


@pytest.mark.parametrize(
    ("operation", "credentials"),
    [
        ({"requestBody": {"content": {"application/json": {"schema": PASSWORD}}}}, True),
        ({"requestBody": {"content": {"a/b": {"schema": {"allOf": [PASSWORD]}}}}}, True),
        ({"requestBody": {"$ref": "#/components/bodies/login"}}, True),
        ({"parameters": [{"in": "formData", "name": "password"}]}, True),
        ({"parameters": [{"in": "body", "schema": PASSWORD}]}, True),
        ({"parameters": [{"in": "query", "name": "password"}]}, False),
        ({"requestBody": {"content": {"a/b": {"schema": {"properties": {"a": {}}}}}}}, False),
        ({"requestBody": {"$ref": "#/nowhere"}}, False),
        ({"requestBody": {"$ref": "other.yaml#/x"}}, False),
        ({}, False),
    ],
)
def test_who_takes_a_password_is_marked(operation: dict[str, Any], credentials: bool) -> None:
    body = {"content": {"application/json": {"schema": PASSWORD}}}
    components = {"bodies": {"login": body}}
    [proposal] = propose(described({"/a": {"post": operation}}, components=components))
    assert proposal.credentials is credentials


def test_references_in_a_circle_end() -> None:
    schemas = {"a": {"allOf": [{"$ref": "#/schemas/a"}, {"$ref": "#/schemas/b"}]},
               "b": {"$ref": "#/schemas/b"}}  # fmt: skip
    body = {"requestBody": {"content": {"a/b": {"schema": {"$ref": "#/schemas/a"}}}}}
    [proposal] = propose(described({"/a": {"post": body}}, schemas=schemas))
    assert not proposal.credentials


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (None, "no OpenAPI"),
        ([], "no OpenAPI"),
        ({"paths": {}}, "no OpenAPI"),
        ({"openapi": "3.0.0"}, "no `paths`"),
        ({"openapi": "3.0.0", "paths": {}}, "no `paths`"),
        ({"openapi": "3.0.0", "paths": {"/a": {"parameters": []}}}, "no operations"),
        ({"openapi": "3.0.0", "paths": {"/a": None}}, "no operations"),
    ],
)
def test_what_is_no_description(description: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        propose(description)
