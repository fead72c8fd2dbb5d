"""Proxies take turns, and one that fails spoils nothing."""

from __future__ import annotations

from tests.benchmarks.contest import in_turns


def test_each_round_begins_with_another() -> None:
    asked: list[str] = []

    def turn(name: str) -> int:
        asked.append(name)
        return len(asked)

    turns = {name: lambda name=name: turn(name) for name in "abc"}
    assert in_turns(turns, 3, lambda text: None) == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}
    assert "".join(asked) == "abcbcacab"


def test_what_fails_is_left_out_and_told() -> None:
    told: list[str] = []
    answers = iter([1, 2])

    def failing() -> int:
        if (answer := next(answers)) == 2:
            raise RuntimeError("it hangs")
        return answer

    found = in_turns({"good": lambda: 7, "bad": failing}, 3, told.append)
    assert found == {"good": [7, 7, 7]}
    assert [line for line in told if "bad" in line][1:] == ["bad: left out: it hangs"]


def test_when_all_fail_nothing_is_left() -> None:
    def failing() -> int:
        raise OSError("gone")

    assert in_turns({"a": failing}, 2, lambda text: None) == {}
