"""Which requests a browser may not make on behalf of a page."""

from __future__ import annotations

import pytest

from proxy.admin.guard import foreign, rebound


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


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize("host", ["rebound.evil.example:9901", "evil.example", "127.0.0.1.evil.co"])
@pytest.mark.parametrize(
    ("fields", "agent"),
    [
        ({"host", "accept-language"}, ""),
        ({"referer"}, ""),
        ({"sec-fetch-site"}, "curl/8"),
        ({"origin"}, ""),
        (set(), FIREFOX),
    ],
)
def test_a_page_whose_name_was_rebound_reads_nothing(
    host: str, fields: set[str], agent: str
) -> None:
    assert "by its address or as localhost" in rebound(host, fields, agent)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9901", "localhost:9901", "[::1]:9901", "192.0.2.7", "sidegate:9901", "sidegate",
        "sidegate.default.svc:9901", "sidegate.default.svc.cluster.local", "box.lan",
        "ops.internal:9901", "",
    ],
)  # fmt: skip
def test_a_browser_reads_by_address_or_by_a_name_that_nobody_can_register(host: str) -> None:
    assert rebound(host, {"accept-language"}, FIREFOX) == ""


@pytest.mark.parametrize("host", ["sidegate.example.com:9901", "evil.example"])
@pytest.mark.parametrize("agent", ["Prometheus/2.42.0", "kube-probe/1.33", "curl/8.5.0", ""])
def test_programs_read_by_any_name(host: str, agent: str) -> None:
    assert rebound(host, {"host", "accept", "accept-encoding"}, agent) == ""
