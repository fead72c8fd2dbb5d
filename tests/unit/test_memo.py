"""What is remembered is bounded, whatever is asked."""

from __future__ import annotations

from proxy.memo import Memo


def test_one_more_than_it_has_room_for_makes_it_forget_all_others() -> None:
    memo: Memo[str, int] = Memo(3)
    for number, key in enumerate("abc"):
        memo[key] = number
    assert memo == {"a": 0, "b": 1, "c": 2}
    memo["d"] = 3
    assert memo == {"d": 3}


def test_what_it_knows_already_takes_no_room() -> None:
    memo: Memo[str, int] = Memo(2)
    memo["a"] = 1
    memo["b"] = 2
    memo["a"] = 3
    assert memo == {"a": 3, "b": 2}
