"""Which requests a browser may not make on behalf of a page."""

from __future__ import annotations

import pytest

from proxy.admin.guard import foreign


@pytest.mark.parametrize(
    ("host", "origin", "fetch_site"),
    [
        ("127.0.0.1:9901", None, None),
        ("sidegate.default.svc:9901", None, None),
        ("", None, None),
        ("127.0.0.1:9901", "http://127.0.0.1:9901", None),
        ("127.0.0.1:9901", "http://127.0.0.1:9901", "same-origin"),
        ("localhost:9901", "http://localhost:9901", "same-origin"),
        ("LOCALHOST:9901", "http://localhost:9901", None),
        ("[::1]:9901", "http://[::1]:9901", None),
        ("127.0.0.1:9901", None, "none"),
    ],
)
def test_programs_and_own_pages_pass(host: str, origin: str | None, fetch_site: str | None) -> None:
    assert foreign(host, origin, fetch_site) == ""


@pytest.mark.parametrize(
    ("host", "origin", "fetch_site", "reason"),
    [
        ("127.0.0.1:9901", "https://evil.example", None, "another origin"),
        ("127.0.0.1:9901", "http://127.0.0.1:8080", None, "another origin"),
        ("127.0.0.1:9901", "null", None, "another origin"),
        ("127.0.0.1:9901", "", None, "another origin"),
        ("127.0.0.1:9901", "file://127.0.0.1:9901", None, "another origin"),
        ("127.0.0.1:9901", "http://[", None, "another origin"),
        ("127.0.0.1:9901", None, "cross-site", "another site"),
        ("127.0.0.1:9901", None, "same-site", "another site"),
        ("127.0.0.1:9901", None, "nonsense", "another site"),
        ("rebound.evil.example:9901", "http://rebound.evil.example:9901", "same-origin", "address"),
        ("127.0.0.1.evil.example", "http://127.0.0.1.evil.example", None, "address"),
        ("localhost.evil.example", "http://localhost.evil.example", None, "address"),
        ("[::1", "http://[::1", None, "another origin"),
    ],
)
def test_pages_of_others_are_refused(
    host: str, origin: str | None, fetch_site: str | None, reason: str
) -> None:
    assert reason in foreign(host, origin, fetch_site)
