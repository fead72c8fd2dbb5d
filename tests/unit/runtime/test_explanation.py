"""What would happen to a request, told before it happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.catalog import load_catalog
from proxy.config.model import Paths
from proxy.errors import GatewayError
from proxy.runtime.explanation import Explanation, as_data, as_text, explain, read_request
from proxy.runtime.plan import make_plan
from tests.unit.runtime.specimen import CATALOG, document_of

FILE = """\
upstreams:
  app: http://a:1
  users: {endpoints: [http://b:1, http://b:2]}
policies:
  limit: 5/min
routes:
  - name: user
    match: {host: api.example.com, path: "/users/{id}", methods: [GET]}
    upstream: users
    policies:
      limit: {limit: 100/s, mode: shadow, json: !file key}
  - name: ping
    match: {path: /ping}
    limits: {body: 1KiB}
    policies: {answer: 204}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("hunter22")
    return tmp_path


def explained(
    folder: Path, method: str, url: str, *fields: tuple[str, str], trusted: bool = False
) -> Explanation:
    environ = {"SIDEGATE_ROUTES__USER__POLICIES__LIMIT__KEY": "global"}
    document = document_of(folder, FILE, environ)
    request = read_request(
        method, url, list(fields), client_ip="192.0.2.1", trusted=trusted, paths=Paths()
    )
    return explain(document, make_plan(document, CATALOG), request, url)


def test_secrets_are_not_told_even_where_the_file_has_them(tmp_path: Path) -> None:
    text = "upstreams: {app: http://a:1}\npolicies:\n  why: {secret: hunter22-hunter22}\n"
    document = document_of(tmp_path, text, {})
    request = read_request("GET", "/", [], client_ip="192.0.2.1", trusted=False, paths=Paths())
    found = explain(document, make_plan(document, load_catalog()), request, "/")
    assert "secret: …redacted" in as_text(found)
    assert "hunter22" not in as_text(found)


def test_the_route_that_wins_and_why_the_others_do_not(folder: Path) -> None:
    found = explained(folder, "GET", "http://API.example.com:8080/users/7?a=1")
    assert (found.outcome, found.route, found.method) == ("route", "user", "GET")
    assert found.origin == f"{folder}/sidegate.yaml:7"
    assert found.captures == {"id": "7"}
    assert (found.upstream, found.endpoints) == ("users", ("http://b:1", "http://b:2"))
    [loser] = found.losers
    assert (loser.name, loser.origin) == ("ping", f"{folder}/sidegate.yaml:12")
    assert "/users/7" in loser.reason


def test_the_host_field_stands_above_the_url(folder: Path) -> None:
    assert explained(folder, "GET", "/users/7", ("Host", "api.example.com")).route == "user"
    found = explained(folder, "GET", "http://api.example.com/users/7", ("host", "other.org"))
    assert found.outcome == "route_not_found"


def test_the_path_is_matched_decoded(folder: Path) -> None:
    assert explained(folder, "GET", "/p%69ng").route == "ping"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://a b/", "'a b' is no host"),
        ("http://h:99999/", "a port up to 65535"),
        ("http://bücher.example/", "in ASCII"),
    ],
)
def test_a_url_that_no_client_could_ask_for(folder: Path, url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        explained(folder, "GET", url)


@pytest.mark.parametrize(
    ("method", "url", "fields", "code", "says"),
    [
        ("get", "/ping", (), "method_not_supported", "case counts; write GET"),
        ("GTE", "/ping", (), "method_not_supported", "did you mean GET?"),
        ("TRACE", "/ping", (), "method_not_supported", "not supported"),
        ("GET", "/ping", (("Host", "a b"),), "invalid_host", "malformed"),
        ("GET", "//ping", (), "invalid_target", "empty segment"),
    ],
)
def test_what_the_gateway_would_refuse(
    folder: Path, method: str, url: str, fields: tuple[tuple[str, str], ...], code: str, says: str
) -> None:
    with pytest.raises(GatewayError) as refused:
        explained(folder, method, url, *fields)
    assert refused.value.code == code
    assert says in refused.value.detail


def test_the_host_is_read_as_the_gateway_reads_it(folder: Path) -> None:
    """A dot at the end of a name says nothing."""
    assert explained(folder, "GET", "http://api.example.com./users/7").route == "user"


def test_policies_come_in_order_with_the_origin_of_each_setting(folder: Path) -> None:
    found = explained(folder, "GET", "http://api.example.com/users/7")
    assert [layer.name for layer in found.policies] == ["ids", "errors", "limit"]
    limit = found.policies[2]
    assert limit.shadow
    settings = {setting.name: (setting.value, setting.origin) for setting in limit.settings}
    assert settings["limit"] == ("100/second", f"{folder}/sidegate.yaml:11")
    assert settings["key"] == ("global", "environment SIDEGATE_ROUTES__USER__POLICIES__LIMIT__KEY")
    assert settings["wait"] == ("1500ms", "default")


def test_a_secret_is_not_shown(folder: Path) -> None:
    found = explained(folder, "GET", "http://api.example.com/users/7")
    assert "json: ********" in as_text(found)
    assert "hunter22" not in as_text(found) + repr(as_data(found))


def test_a_short_form_is_told_where_it_was_written(folder: Path) -> None:
    found = explained(folder, "GET", "/ping")
    origins = {
        layer.name: {setting.name: setting.origin for setting in layer.settings}
        for layer in found.policies
    }
    assert origins["limit"]["limit"] == f"{folder}/sidegate.yaml:5"
    assert origins["answer"]["status"] == f"{folder}/sidegate.yaml:15"


def test_an_answer_without_an_upstream(folder: Path) -> None:
    text = as_text(explained(folder, "GET", "/ping"))
    assert "upstream  none; a policy answers\n" in text
    assert "body      at most 1KiB\n" in text


def test_a_method_that_no_route_takes(folder: Path) -> None:
    found = explained(folder, "POST", "http://api.example.com/users/7")
    assert found.outcome == "method_not_allowed"
    assert "GET" in found.allowed
    assert "405 method_not_allowed, Allow: GET" in as_text(found)
    assert [layer.name for layer in found.policies] == ["ids", "errors"]


def test_a_path_that_no_route_takes(folder: Path) -> None:
    found = explained(folder, "GET", "/nowhere")
    assert "none: 404 route_not_found" in as_text(found)
    assert [loser.name for loser in found.losers] == ["user", "ping"]


def test_a_trusted_client_is_pointed_out(folder: Path) -> None:
    assert "a trusted proxy" in as_text(explained(folder, "GET", "/ping", trusted=True))
    assert "a trusted proxy" not in as_text(explained(folder, "GET", "/ping"))


def test_text_and_data_tell_the_same(folder: Path) -> None:
    found = explained(folder, "GET", "http://api.example.com/users/7")
    data = as_data(found)
    assert data["route"] == {"name": "user", "origin": f"{folder}/sidegate.yaml:7"}
    assert data["policies"][2]["mode"] == "shadow"
    assert data["policies"][2]["settings"]["limit"]["value"] == "100/second"
    assert data["others"][0]["name"] == "ping"
    missed = as_data(explained(folder, "GET", "/nowhere"))
    assert (missed["route"], missed["upstream"]) == (None, None)


@pytest.mark.parametrize(
    ("method", "url", "fix"),
    [
        ("GET", "example.com/x", "write http://HOST/PATH or /PATH"),
        ("GET", "ftp://example.com", "write http://HOST/PATH or /PATH"),
        ("GET", "http://", "write http://HOST/PATH or /PATH"),
        ("G=T", "/x", "write GET, POST"),
        ("", "/x", "write GET, POST"),
        ("GET", "http://[::1/", "the bracket of its address isn't closed"),
    ],
)
def test_what_is_no_request(method: str, url: str, fix: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_request(method, url, [], client_ip="192.0.2.1", trusted=False, paths=Paths())
    assert fix in str(caught.value)


def test_a_path_that_is_refused_never_gets_to_the_routes(folder: Path) -> None:
    with pytest.raises(GatewayError) as refusal:
        explained(folder, "GET", "/a/%2e%2e/ping")
    assert refusal.value.code == "invalid_target"


def test_a_preflight_is_explained_by_the_method_that_it_announces(tmp_path: Path) -> None:
    text = (
        "routes:\n"
        "  - {name: posts, match: {path: /a, methods: POST}, policies: {cors: '*', respond: 204}}\n"
        "  - {name: rest, policies: {respond: 204}}\n"
    )
    document = document_of(tmp_path, text)
    fields = [("Origin", "https://app.test"), ("Access-Control-Request-Method", "POST")]
    request = read_request(
        "OPTIONS", "/a", fields, client_ip="192.0.2.7", trusted=False, paths=Paths()
    )
    found = explain(document, make_plan(document, load_catalog(plugins=[])), request, "/a")
    assert (found.method, found.route) == ("OPTIONS", "posts")
