"""Fields by which a request names another method than its own."""

from __future__ import annotations

import pytest

from proxy.http1.override import other_methods
from tests.unit.policies.world import a_request


@pytest.mark.parametrize(
    ("fields", "methods"),
    [
        ([], []),
        ([("X-HTTP-Method-Override", "delete")], ["DELETE"]),
        ([("X-HTTP-Method", "PUT"), ("X-Method-Override", " PATCH ")], ["PUT", "PATCH"]),
        ([("X-HTTP-Method", "PUT"), ("x-http-method", "GET")], ["PUT", "GET"]),
        ([("X-HTTP-Method", "")], [""]),
    ],
)
def test_methods_that_fields_name(fields: list[tuple[str, str]], methods: list[str]) -> None:
    assert other_methods(a_request("/", *fields).headers) == methods
