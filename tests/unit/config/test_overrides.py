"""The environment and the command line stand above the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.config.overrides import apply
from proxy.config.problems import Place
from proxy.config.yaml_source import Tree, read_text

FILE = """\
server: {listen: 'http://0.0.0.0:80'}
admin: "off"
telemetry: []
upstreams:
  app: http://a:1
  user-service:
    endpoints: [http://b:2]
policies:
  rate_limit: {limit: 5/s}
  respond: 204
  trace_context: true
routes:
  - {name: first, upstream: app}
  - {name: second.one, upstream: app, policies: {rate_limit: {limit: 1/s}}}
"""


def applied(
    environ: dict[str, str], text: str = FILE, overrides: dict[str, Any] | None = None
) -> Tree:
    tree = Tree(Place("f.yaml", 1, 1))
    read_text(text, tree, {}, Path())
    apply(tree, environ, overrides or {})
    return tree


def value_at(data: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("SERVER__LISTEN", "http://a:1,http://b:2", ("server", "listen"), ["http://a:1", "http://b:2"]),
        ("SERVER__LIMITS__FIELDS", "50", ("server", "limits", "fields"), 50),
        ("SERVER__FORWARDED", "true", ("server", "forwarded"), True),
        ("server__forwarded", "true", ("server", "forwarded"), True),
        ("STORE", "redis://r", ("store",), "redis://r"),
        ("STORE__PASSWORD", "null", ("store", "password"), None),
        ("STORE__PASSWORD", "", ("store", "password"), None),
        ("STORE__PASSWORD", "12", ("store", "password"), "12"),
        ("SERVER__LISTEN", "[a, b]", ("server", "listen"), ["a", "b"]),
        ("UPSTREAMS__NEW", "http://n:1", ("upstreams", "new"), "http://n:1"),
        ("UPSTREAMS__APP__POOL__SIZE", "7", ("upstreams", "app", "pool", "size"), 7),
        ("UPSTREAMS__USER_SERVICE__HOST", "7", ("upstreams", "user-service", "host"), "7"),
        ("POLICIES__RATE_LIMIT__LIMIT", "9/s", ("policies", "rate_limit", "limit"), "9/s"),
        ("POLICIES__RATE_LIMIT", "false", ("policies", "rate_limit"), False),
        ("POLICIES__TRACE_CONTEXT__MODE", "off", ("policies", "trace_context", "mode"), "off"),
        ("ROUTES__FIRST__UPSTREAM", "user-service", ("routes", 0, "upstream"), "user-service"),
        ("ROUTES__SECOND_ONE__LIMITS__BODY", "1KiB", ("routes", 1, "limits", "body"), "1KiB"),
        ("ROUTES__1__NAME", "404", ("routes", 1, "name"), "404"),
    ],
)  # fmt: skip
def test_a_variable_sets_the_value_that_it_names(
    name: str, text: str, path: tuple[str | int, ...], value: Any
) -> None:
    variable = name if name.startswith("SIDE") else f"SIDEGATE_{name}"
    tree = applied({variable: text})
    assert tree.problems == []
    assert value_at(tree.data, path) == value
    assert tree.values[path] == Place(f"environment {variable}")


def test_the_rest_of_a_short_form_stays_when_one_setting_is_added() -> None:
    tree = applied({"SIDEGATE_UPSTREAMS__APP__POOL__SIZE": "7"})
    assert tree.data["upstreams"]["app"]["endpoints"] == ["http://a:1"]


def test_an_upstream_and_its_pool_may_both_come_from_the_environment() -> None:
    environ = {
        "SIDEGATE_UPSTREAMS__NEW__POOL__SIZE": "7",
        "SIDEGATE_UPSTREAMS__NEW": "http://n:1",
    }
    assert applied(environ).data["upstreams"]["new"] == {
        "endpoints": ["http://n:1"],
        "pool": {"size": 7},
    }


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("SERVER__LISEN", "names no setting; did you mean SIDEGATE_SERVER__LISTEN?"),
        ("SERVER_LISTEN", "did you mean SIDEGATE_SERVER__LISTEN?"),
        ("UPSTRAEM", "did you mean SIDEGATE_UPSTREAM?"),
        ("SERVER__LISTEN__X", "names no setting"),
        ("SERVER____LISTEN", "names no setting"),
        ("WHATEVER", "two underscores go one level down"),
        ("SERVER", "server is a section; name one of its settings, as in SIDEGATE_SERVER__LISTEN"),
        ("ROUTES__THIRD__UPSTREAM", 'there is no entry "third" in the list'),
        ("ROUTES__2__UPSTREAM", 'there is no entry "2" in the list'),
        ("TELEMETRY__LOG__LEVEL", "telemetry is a list in the file, without log"),
        ("ADMIN__LISTEN", 'admin is "off" in the file; write it'),
        ("POLICIES__RESPOND__STATUS", "policies.respond is the number 204 in the file; write it"),
    ],
)  # fmt: skip
def test_a_variable_that_fits_nowhere_is_a_problem(name: str, complaint: str) -> None:
    tree = applied({f"SIDEGATE_{name}": "x"})
    assert len(tree.problems) == 1
    assert complaint in tree.problems[0].message
    assert tree.problems[0].place == Place(f"environment SIDEGATE_{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIDEGATE_SERVICE_HOST", "10.0.0.1"),
        ("SIDEGATE_SERVICE_PORT", "80"),
        ("SIDEGATE_SERVICE_PORT_HTTP", "80"),
        ("SIDEGATE_PORT", "tcp://10.0.0.1:80"),
        ("SIDEGATE_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("SIDEGATE_PORT_80_TCP_PORT", "80"),
        ("SIDEGATE_ADMIN_PORT_9901_TCP_ADDR", "10.0.0.1"),
        ("SIDEGATE_ADMIN_PORT", "tcp://10.0.0.1:9901"),
        ("SIDEGATE_CONFIG", "x.yaml"),
        ("SIDEGATE", "x"),
        ("PATH", "/bin"),
    ],
)
def test_variables_that_kubernetes_and_others_set_are_left_alone(name: str, value: str) -> None:
    tree = applied({name: value})
    assert tree.problems == []
    assert tree.data == applied({}).data


class TestUpstream:
    """`--upstream` and SIDEGATE_UPSTREAM are a sidecar's whole set-up."""

    def test_with_no_file(self) -> None:
        tree = applied({"SIDEGATE_UPSTREAM": "3000"}, text="")
        assert tree.data == {"upstreams": {"app": "http://127.0.0.1:3000"}}

    def test_the_command_line_stands_above_the_environment(self) -> None:
        tree = applied(
            {"SIDEGATE_UPSTREAM": "http://e:1"}, text="", overrides={"upstream": "http://c:1"}
        )
        assert tree.data == {"upstreams": {"app": "http://c:1"}}
        assert tree.values["upstreams", "app"] == Place("option --upstream")

    def test_it_replaces_the_endpoints_of_the_only_upstream(self) -> None:
        text = "upstreams: {web: {endpoints: [http://a:1, http://b:1], host: endpoint}}"
        tree = applied({}, text=text, overrides={"upstream": "http://c:1"})
        assert tree.data["upstreams"] == {"web": {"endpoints": "http://c:1", "host": "endpoint"}}
        assert ("upstreams", "web", "endpoints", 0) not in tree.values

    def test_with_several_upstreams_it_would_be_a_guess(self) -> None:
        tree = applied({}, overrides={"upstream": "http://c:1"})
        assert "the file has several: app, user-service" in tree.problems[0].message


def test_an_option_names_itself_as_the_place() -> None:
    tree = applied(
        {"SIDEGATE_SERVER__LISTEN": "http://e:1"}, overrides={"server.listen": ["http://c:1"]}
    )
    assert tree.data["server"]["listen"] == ["http://c:1"]
    assert tree.values["server", "listen"] == Place("option --listen")
