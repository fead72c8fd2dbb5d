"""Who waits for a place: order, fairness, bounds, and nobody in vain."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.waiting import CLASSES, Waiting

CRITICAL, HIGH, NORMAL, LOW = range(CLASSES)
NOW = 1000.0


def queue(size: int = 10, target: float = 0.05, patience: float = 1.0) -> Waiting[str]:
    return Waiting(size, target, patience, NOW)


def joined(waiting: Waiting[str], *names: str, priority: int = NORMAL, now: float = NOW) -> None:
    """Names join; what stands before a colon is the key."""
    for name in names:
        assert waiting.join(name, priority, name.partition(":")[0].encode(), now) == (True, None)


def order(waiting: Waiting[str]) -> list[str]:
    names = []
    while (turn := waiting.next(NOW)) is not None:
        assert turn[1], "all of them are in time"
        names.append(turn[0])
    return names


def test_of_one_key_whoever_came_first_is_first() -> None:
    waiting = queue()
    joined(waiting, "a:1", "a:2", "a:3")
    assert order(waiting) == ["a:1", "a:2", "a:3"]


def test_classes_come_before_each_other() -> None:
    waiting = queue()
    joined(waiting, "low", priority=LOW)
    joined(waiting, "normal")
    joined(waiting, "critical", priority=CRITICAL)
    joined(waiting, "high", priority=HIGH)
    assert order(waiting) == ["critical", "high", "normal", "low"]


def test_each_key_gets_its_turn() -> None:
    waiting = queue()
    joined(waiting, "a:1", "a:2", "a:3", "b:1", "c:1", "b:2")
    assert order(waiting) == ["a:1", "b:1", "c:1", "a:2", "b:2", "a:3"]


def test_whoever_leaves_is_passed_over() -> None:
    waiting = queue()
    joined(waiting, "a:1", "a:2", "a:3", "b:1")
    for name in ("a:1", "a:2", "b:1", "nobody"):
        waiting.leave(name, NOW)
    assert len(waiting) == 1
    assert order(waiting) == ["a:3"]


def test_when_it_is_full_a_newcomer_of_the_same_class_is_turned_away() -> None:
    waiting = queue(size=2)
    joined(waiting, "a:1", "a:2")
    assert waiting.join("a:3", NORMAL, b"a", NOW) == (False, None)
    assert waiting.join("low", LOW, b"low", NOW) == (False, None)


def test_one_of_an_earlier_class_takes_the_place_of_the_last() -> None:
    waiting = queue(size=3)
    joined(waiting, "low:1", "low:2", priority=LOW)
    joined(waiting, "normal")
    assert waiting.join("high", HIGH, b"high", NOW) == (True, "low:2")
    assert waiting.join("critical", CRITICAL, b"critical", NOW) == (True, "low:1")
    assert waiting.join("high 2", HIGH, b"high", NOW) == (True, "normal")
    assert waiting.join("high 3", HIGH, b"high", NOW) == (False, None)
    assert order(waiting) == ["critical", "high", "high 2"]


def test_a_key_that_takes_all_places_gives_one_to_another() -> None:
    waiting = queue(size=3)
    joined(waiting, "a:1", "a:2", "a:3")
    assert waiting.join("b:1", NORMAL, b"b", NOW) == (True, "a:3")
    assert waiting.join("b:2", NORMAL, b"b", NOW) == (False, None), "that would only swap them"
    assert order(waiting) == ["a:1", "b:1", "a:2"]


def test_when_there_was_nobody_lately_one_may_wait_long() -> None:
    waiting = queue()
    joined(waiting, "a:1")
    assert waiting.late(NOW + 0.9) == []
    joined(waiting, "a:2", now=NOW + 0.9)
    assert waiting.late(NOW + 1.0) == ["a:1", "a:2"], "now there was always somebody"


def test_when_there_is_always_somebody_waiting_is_cut_short() -> None:
    waiting = queue()
    joined(waiting, "a:1", "a:2", "a:3")
    for step in range(11):
        now = NOW + step * 0.1
        waiting.next(now)
        joined(waiting, f"a:{step + 4}", now=now)
    assert waiting.next(NOW + 1.1) == ("a:12", False)
    assert len(waiting.late(NOW + 1.04)) == 1, "all but the one that has just come"


def test_an_empty_moment_makes_it_patient_again() -> None:
    waiting = queue()
    joined(waiting, "a:1", now=NOW + 5.0)
    assert waiting.late(NOW + 5.9) == [], "nobody had waited before"
    joined(waiting, "a:2", now=NOW + 6.5)
    assert waiting.late(NOW + 6.51) == ["a:1"], "then it was never empty"
    assert waiting.next(NOW + 6.52) == ("a:2", True)
    joined(waiting, "a:3", now=NOW + 6.6)
    assert waiting.late(NOW + 7.5) == [], "it ran empty by serving"


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("jjnl"), st.integers(0, CLASSES - 1), st.integers(0, 3)),
        max_size=120,
    )
)
def test_nobody_is_lost_and_nobody_is_served_twice(steps: list[tuple[str, int, int]]) -> None:
    waiting: Waiting[int] = Waiting(6, 0.05, 1.0, NOW)
    present: set[int] = set()
    for number, (what, priority, key) in enumerate(steps):
        if what == "j":
            room, loser = waiting.join(number, priority, b"%d" % key, NOW)
            if loser is not None:
                present.remove(loser)
            if room:
                present.add(number)
        elif what == "n":
            served = waiting.next(NOW)
            assert (served is None) == (not present)
            present.discard(-1 if served is None else served[0])
        elif present:
            gone = min(present)
            waiting.leave(gone, NOW)
            present.remove(gone)
        assert len(waiting) == len(present) <= 6
    served_now = set()
    while (one := waiting.next(NOW)) is not None:
        served_now.add(one[0])
    assert served_now == present
