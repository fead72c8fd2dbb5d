"""A file, the environment and the command line to one document, or all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.config.load import Document, load
from proxy.config.problems import ConfigError, Place

GOOD = """\
server:
  listen: http://0.0.0.0:${PORT:-8080}
upstreams:
  app: http://127.0.0.1:3000
routes:
  - name: one
    match: {path: /one}
    upstream: app
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidegate.yaml"


def read(file: Path, text: str, environ: dict[str, str] | None = None, **more: Any) -> Document:
    file.write_text(text)
    return load(file, environ=environ or {}, **more)


def problems(file: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(file, text, environ)
    return [str(problem).removeprefix(f"{file}:") for problem in caught.value.problems]


def test_a_document_knows_its_configuration_and_places(file: Path) -> None:
    document = read(file, GOOD, {"PORT": "81"})
    assert document.config.server.listen == ("http://0.0.0.0:81",)
    assert document.place(("routes", 0, "match", "path")) == Place(str(file), 7, 19)
    assert document.key_place(("routes", 0, "match")) == Place(str(file), 7, 5)
    assert document.sources == (file,)


@pytest.mark.parametrize(
    ("path", "line"),
    [(("routes", 0, "policies", "x"), 6), (("routes", 9), 6), (("admin", "listen"), 1), ((), 1)],
)
def test_what_was_not_written_is_placed_at_its_nearest_parent(
    file: Path, path: tuple[str | int, ...], line: int
) -> None:
    assert read(file, GOOD).place(path).line == line


def test_with_no_file_the_environment_is_enough() -> None:
    document = load(None, environ={"SIDEGATE_UPSTREAM": "http://a:1"})
    assert document.config.upstreams["app"].urls == ("http://a:1",)
    assert document.sources == ()
    assert str(document.place(("upstreams", "app"))) == "environment SIDEGATE_UPSTREAM"


def test_the_command_line_stands_above_the_environment_and_that_above_the_file(file: Path) -> None:
    environ = {"SIDEGATE_SERVER__LISTEN": "http://e:1", "SIDEGATE_ADMIN__LISTEN": "http://e:2"}
    document = read(file, GOOD, environ, overrides={"server.listen": ["http://c:1"]})
    assert document.config.server.listen == ("http://c:1",)
    assert document.config.admin.listen == "http://e:2"


class TestDigest:
    """The digest says whether a reload changes anything."""

    def test_comments_key_order_and_notation_of_units_do_not_count(self, file: Path) -> None:
        one = read(file, "server: {timeouts: {idle: 60s, head: 5s}}\n")
        two = read(file, "# hello\nserver:\n  timeouts:\n    head: 5s\n    idle: 1m\n")
        assert one.digest == two.digest
        assert len(one.digest) == 64

    @pytest.mark.parametrize(
        "text", ["policies: {x: {key: '${K}'}}\n", "policies: {x: {key: !file key}}\n"]
    )
    def test_what_variables_and_files_hold_counts(self, file: Path, text: str) -> None:
        (file.parent / "key").write_text("1")
        before = read(file, text, {"K": "a"}).digest
        (file.parent / "key").write_text("2")
        assert read(file, text, {"K": "b"}).digest != before

    def test_so_does_the_order_of_routes(self, file: Path) -> None:
        one = read(file, "routes: [{name: a}, {name: b}]\n")
        two = read(file, "routes: [{name: b}, {name: a}]\n")
        assert one.digest != two.digest


def test_files_that_are_read_in_are_sources_too(file: Path) -> None:
    (file.parent / "key").write_text("s3cret\n")
    document = read(file, "telemetry: {log: {headers: [!file key]}}\n")
    assert document.sources == (file, file.parent / "key")
    assert document.hide("it is s3cret") == "it is ********"
    shown = document.hide_all({"a": ["s3cret", 1, None], "s3cret": ("x", {"b": "a s3cret"})})
    assert shown == {"a": ["********", 1, None], "********": ["x", {"b": "a ********"}]}


def test_problems_never_print_a_secret(file: Path) -> None:
    (file.parent / "key").write_text("hunter22\n")
    [problem] = problems(file, "server: {listen: !file key}\n")
    assert "hunter22" not in problem
    assert "is not an address" in problem


@pytest.mark.parametrize(
    ("upstream", "hint"),
    [
        ("size: 64", "it belongs under pool"),
        (
            "endpoints_file: a.yaml",
            'did you mean "endpoints", or does it belong under discovery?',
        ),
        ("ballance: hash", 'did you mean "balance"?'),
    ],
)
def test_a_key_that_belongs_further_down(file: Path, upstream: str, hint: str) -> None:
    text = f"upstreams:\n  app:\n    endpoints: http://a\n    {upstream}\n"
    [problem] = problems(file, text)
    key = upstream.partition(":")[0]
    assert problem == f'4:5: upstreams.app: unknown key "{key}"; {hint}'


def test_all_problems_come_at_once_in_the_order_of_lines(file: Path) -> None:
    text = """\
server: {timeouts: {idle: 5}}
polices: {}
upstreams: {app: "http://a:${NOPE}"}
routes:
  - {name: a, upstream: ap}
  - {name: a, upstream: app}
"""
    assert problems(file, text, {"SIDEGATE_SERVER__LISEN": "x"}) == [
        "1:27: server.timeouts.idle: a duration needs a unit, such as 5s or 5ms",
        '2:1: unknown key "polices"; did you mean "policies"?',
        "3:18: upstreams.app: the environment has no variable NOPE; set it, or write "
        "${NOPE:-default}",
        '5:25: routes[0].upstream: unknown upstream "ap"; did you mean "app"?',
        '6:12: routes[1].name: route name "a" is already taken at line 5',
        "environment SIDEGATE_SERVER__LISEN: names no setting; did you mean "
        "SIDEGATE_SERVER__LISTEN?",
    ]


def test_an_upstream_where_there_are_none(file: Path) -> None:
    assert problems(file, "routes: [{name: a, upstream: app}]\n") == [
        '1:30: routes[0].upstream: unknown upstream "app"; `upstreams:` is empty'
    ]


def test_two_that_listen_need_two_addresses(file: Path) -> None:
    text = "server: {listen: http://a:1}\nadmin: {listen: http://a:1}\nupstreams: {a: http://b}\n"
    assert problems(file, text) == [
        "2:17: admin.listen: http://a:1 is in `server.listen` too; choose another"
    ]
    text = text.replace("a:1", "127.0.0.1:0")
    assert len(read(file, text).config.server.listen) == 1


@pytest.mark.parametrize(
    "text",
    [
        "server: [1]\n",
        "upstreams: 3\n",
        "upstreams: {a: {endpoints: 'http://a:1', pool: 3}}\n",
        "routes: 3\n",
        "routes: [3, {name: b}]\n",
        "routes: [{}, {name: b}]\n",
        "routes: [{name: ''}, {name: b}]\n",
        "routes: [{name: a, match: {path: 3}}, {name: b}]\n",
        "policies: []\n",
    ],
)
def test_what_is_left_of_a_broken_file_can_still_be_checked(file: Path, text: str) -> None:
    document = read(file, text, partial=True)
    assert len(document.problems) == 1
    # Places must not shift when a broken part is set aside.
    assert [route.name for route in document.config.routes[1:]] in ([], ["b"])


def test_a_broken_file_is_never_given_out_as_a_good_one(file: Path) -> None:
    with pytest.raises(ConfigError):
        read(file, "server: [1]\n")


def test_empty_sections_mean_the_defaults(file: Path) -> None:
    document = read(file, "server:\nupstreams:\nroutes:\npolicies:\n")
    assert document.config.server.workers == 1
    assert document.config.routes == ()


def test_a_thousand_routes_are_read(file: Path) -> None:
    rows = "".join(f"  - {{name: r{n}, match: {{path: /r{n}}}}}\n" for n in range(1000))
    document = read(file, f"upstreams: {{app: http://a:1}}\nroutes:\n{rows}")
    assert document.place(("routes", 999)).line == 1002


def test_a_store_that_can_t_be_found_is_told_without_its_password(file: Path) -> None:
    [problem] = problems(file, "store: redis://user:pa@ss@host/0\n")
    assert str(problem).startswith("1:8: store: ")
    assert "'…@host/0' is no store; write redis://HOST:PORT/DATABASE" in str(problem)


@pytest.mark.parametrize("text", ["store:\n", "store: ''\n", "store: {}\n"])
def test_an_empty_store_is_memory(text: str, file: Path) -> None:
    file.write_text(text + "upstreams: {app: http://a:1}\n")
    assert not load(file, environ={}).config.store.remote


@pytest.mark.parametrize("address", ["http://a..b:80", "http://.a", "http://" + "a" * 64])
def test_what_is_no_name_of_a_host(address: str, file: Path) -> None:
    [problem] = problems(file, f'upstreams: {{app: "{address}"}}\n')
    assert "is no name of a host" in str(problem)
