"""A ring: the same key, the same thing, in every process."""

from __future__ import annotations

from proxy.upstream.ring import Ring


def test_a_key_belongs_to_the_same_thing_on_every_day() -> None:
    """Replicas and restarts agree, so the outcome is written down here."""
    ring = Ring([(name, name, 1) for name in ("a", "b", "c")])
    assert [ring.at(key) for key in (b"1", b"2", b"3", b"4", b"5", b"6")] == list("cbaacb")


def test_a_walk_meets_everything_once_and_begins_with_the_owner() -> None:
    ring = Ring([(name, name, 1) for name in "abcdefgh"])
    walk = list(ring.walk(b"key"))
    assert sorted(walk) == list("abcdefgh")
    assert walk[0] == ring.at(b"key")


def test_whoever_takes_over_is_the_next_of_the_walk() -> None:
    names = "abcdefgh"
    first, second, *_ = Ring([(name, name, 1) for name in names]).walk(b"key")
    rest = Ring([(name, name, 1) for name in names if name != first])
    assert rest.at(b"key") == second
