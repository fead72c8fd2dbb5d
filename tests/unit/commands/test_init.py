"""`sidegate init`: what is asked, written, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.cli import main
from proxy.config.load import load

Init = Callable[..., tuple[int, str, str]]


@pytest.fixture
def init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Init:
    """Runs it in an empty folder; with `typed`, before somebody who answers so."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, typed: list[str] | None = None) -> tuple[int, str, str]:
        answers: Iterator[str] = iter(typed or [])
        monkeypatch.setattr("sys.stdin.isatty", lambda: typed is not None, raising=False)
        monkeypatch.setattr("builtins.input", lambda _: next(answers))
        code = main(["init", *arguments], {})
        return code, *capsys.readouterr()

    return run


def test_flags_are_enough(init: Init) -> None:
    code, out, err = init("--upstream", "3000", "--listen", ":80")
    assert (code, err) == (0, "")
    assert "Wrote sidegate.yaml: 1 route to app." in out
    config = load(Path("sidegate.yaml"), environ={}).config
    assert config.upstreams["app"].urls == ("http://127.0.0.1:3000",)
    assert config.server.listen == ("http://0.0.0.0:80",)


def test_several_upstreams(init: Init) -> None:
    assert init("--upstream", "a=http://a:80", "--upstream", "b=8001")[0] == 0
    config = load(Path("sidegate.yaml"), environ={}).config
    assert list(config.upstreams) == ["a", "b"]


def test_it_asks_who_sits_there(init: Init) -> None:
    code, _, _ = init(typed=["http://app:5000", "y", "", ""])
    assert code == 0
    config = load(Path("sidegate.yaml"), environ={}).config
    assert config.upstreams["app"].urls == ("http://app:5000",)
    assert config.admin.listen == "http://0.0.0.0:9901"
    assert config.server.listen == ("http://0.0.0.0:8080",)


def test_nobody_to_ask(init: Init) -> None:
    code, _, err = init()
    assert code == 2
    assert "sidegate init --upstream URL" in err


def test_it_prints(init: Init) -> None:
    code, out, _ = init("--upstream", "3000", "--kind", "sidecar", "--output", "-")
    assert code == 0
    assert out.startswith("# sidegate check sidegate.yaml\n")
    assert not Path("sidegate.yaml").exists()


def test_no_file_is_lost(init: Init) -> None:
    Path("sidegate.yaml").write_text("mine")
    code, _, err = init("--upstream", "3000")
    assert code == 2
    assert "--force replaces it" in err
    assert Path("sidegate.yaml").read_text() == "mine"
    assert init("--upstream", "3000", "--force")[0] == 0


def test_routes_of_a_description(init: Init) -> None:
    description = {"openapi": "3.0.0", "paths": {"/a": {"get": {}}, "/b": {"post": {}}}}
    Path("openapi.json").write_text(json.dumps(description))
    assert "2 routes to app" in init("--upstream", "3000", "--openapi", "openapi.json")[1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--upstream", "ftp://a"], "'ftp://a' is not an address"),
        (["--upstream", "3000", "--listen", "http://a/b"], "no path"),
        (["--upstream", "1", "--upstream", "2"], "there are two upstreams 'app'"),
        (["--upstream", "1", "--openapi", "none.json"], "none.json: No such file"),
        (["--upstream", "1", "--openapi", "broken.json"], "broken.json can't be read"),
        (["--upstream", "1", "--openapi", "other.json"], "other.json: this is no OpenAPI"),
        (["--upstream", "1", "--output", "/nowhere/a.yaml"], "No such file or directory"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    init: Init, arguments: list[str], reason: str
) -> None:
    Path("broken.json").write_text("{")
    Path("other.json").write_text("{}")
    code, _, err = init(*arguments)
    assert code == 2
    assert reason in err
    assert not Path("sidegate.yaml").exists()
