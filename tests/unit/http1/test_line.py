"""Field lines: read once, known again, forgotten in time."""

from __future__ import annotations

import pytest

from proxy.errors import GatewayError
from proxy.http1 import line as module
from proxy.http1.line import CONNECTION, END_TO_END, Line, line_of, lines_of, plain_lines
from proxy.memo import Memo


@pytest.fixture(autouse=True)
def _no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LINES", {})
    monkeypatch.setattr(module, "_VALUES", {})
    monkeypatch.setattr(module, "_NAMES", Memo(module._NAMES_MAX))


def known(*names: bytes) -> None:
    """Names that the parser has let through before."""
    lines_of([(name, b"x") for name in names], "invalid_header")


def test_a_line_is_written_with_one_blank() -> None:
    assert line_of(b"X-A", b"1", "invalid_header") == (b"X-A: 1", "x-a", END_TO_END, b"1")
    assert line_of(b"connection", b"close", "invalid_header")[2] == CONNECTION


@pytest.mark.parametrize("fault", ["invalid_header", "upstream_invalid"])
def test_a_name_that_is_no_token_is_refused(fault: str) -> None:
    with pytest.raises(GatewayError, match=fault) as refusal:
        line_of(b"Content-Length ", b"5", fault)
    assert refusal.value.close is (fault == "invalid_header")


def test_plain_lines_are_those_of_the_parser() -> None:
    known(b"Host", b"X-A", b"Accept")
    texts = [b"Host: a", b"X-A: 1, 2", b"X-A: \xff", b"Accept: a\tb"]
    fields = [(b"Host", b"a"), (b"X-A", b"1, 2"), (b"X-A", b"\xff"), (b"Accept", b"a\tb")]
    expected = lines_of(fields, "invalid_header")
    # The second time from memory.
    assert plain_lines(texts) == expected
    assert plain_lines(texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"", b"X-A", b"X-A:", b"X-A: ", b"X-A:1", b"X-A:  1", b"X-A: 1 ", b"X-A: 1\t", b"X-A: \t1",
        b"X-A : 1", b" X-A: 1", b"\tfolded", b"X-A: 1\r", b"X-A: 1\n", b"X-A: \x00", b"X-A: \x7f",
        b"X-A: 1\nX-B: 2", b"X-New: 1", b": 1", b"Upgrade: websocket",
    ],
)  # fmt: skip
def test_any_other_line_is_left_to_the_parser(text: bytes) -> None:
    known(b"X-A", b"Upgrade")
    assert plain_lines([b"X-A: 1"]) is not None
    assert plain_lines([b"X-A: 1", text]) is None
    assert text not in module._LINES


@pytest.mark.parametrize(
    "name",
    [
        b"Authorization", b"Cookie", b"Set-Cookie", b"X-Api-Key", b"X-Auth-Token", b"Session",
        b"X-Forwarded-For", b"X-Real-IP", b"CF-Connecting-IP", b"Client-Cert", b"X-JWT-Assertion",
        b"X-User-Id", b"Referer", b"Location", b"X-Email",
    ],
)  # fmt: skip
def test_nothing_personal_is_kept(name: bytes) -> None:
    known(name)
    for _ in range(3):
        assert plain_lines([name + b": sesame"]) == [line_of(name, b"sesame", "")]
    assert not module._LINES


def test_what_changes_all_the_time_and_what_is_long_is_not_kept() -> None:
    known(b"X-Seq", b"X-Long")
    for number in range(1000):
        assert plain_lines([b"X-Seq: %d" % number]) is not None
    assert len(module._LINES) == 64
    assert plain_lines([b"X-Long: " + b"a" * 300]) is not None
    assert len(module._LINES) == 64


@pytest.mark.parametrize("name", [b"X-%d", b"X-Token-%d"])
def test_names_that_somebody_makes_up_don_t_fill_the_memory(name: bytes) -> None:
    for number in range(10_000):
        known(name % number)
        assert plain_lines([name % number + b": sesame"]) is not None
    assert len(module._VALUES) <= 2048
    assert len(module._LINES) <= 4096


def test_a_full_memory_begins_anew_and_forgets_no_meaning() -> None:
    for number in range(10_000):
        name = b"X-%d" % number
        known(name, b"Host")
        expected: list[Line] = [line_of(name, b"1", ""), line_of(b"Host", b"a", "")]
        assert plain_lines([name + b": 1", b"Host: a"]) == expected
        assert len(module._LINES) <= 4096
        assert len(module._NAMES) <= 2048
