"""Records in buckets: found again, claimed in place of what has expired, told apart."""

from __future__ import annotations

from mmap import mmap

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.table import PLACES, Table, table_size

WIDTH = 16


def table(buckets: int = 1, start: int = 64) -> Table:
    return Table(mmap(-1, start + table_size(buckets, WIDTH)), start, buckets, WIDTH)


def tag(number: int) -> bytes:
    return (number + 1).to_bytes(8, "little")


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 20), st.booleans()), max_size=200),
    st.integers(1, 3),
)
def test_it_finds_what_a_dictionary_would_until_a_bucket_is_full(
    steps: list[tuple[int, int, bool]], buckets: int
) -> None:
    records = table(buckets)
    known: dict[int, int] = {}
    for number, mark, forget in steps:
        place = records.place(tag(number), number)
        found = records.find(place)
        assert found is (number in known)
        if found:
            assert records.memory[place.state_at] == known[number]
            if forget:
                records.forget(place)
                del known[number]
                continue
        elif len([other for other in known if other % buckets == number % buckets]) == PLACES:
            continue
        else:
            records.claim(place, now=0.0)
            assert not any(records.memory[place.state_at : place.state_at + WIDTH])
            records.expire(place, 100.0)
        records.memory[place.state_at] = mark
        known[number] = mark
    assert records.evicted == 0
    assert records.live(99.0) == len(known)
    assert records.live(100.0) == 0


def test_a_tag_that_two_others_make_up_where_they_meet_is_not_there() -> None:
    records = table()
    for number, text in enumerate((b"abcdefgh", b"ijklmnop", b"efghijkl")[:2]):
        place = records.place(text, 0)
        records.claim(place, 0.0)
        records.expire(place, 10.0 + number)
    absent = records.place(b"efghijkl", 0)
    assert not records.find(absent)
    records.claim(absent, 0.0)
    assert records.find(records.place(b"efghijkl", 0))
    assert records.find(records.place(b"abcdefgh", 0))


def test_a_place_that_another_took_is_looked_for_anew() -> None:
    records = table()
    mine = records.place(tag(1), 0)
    records.claim(mine, 0.0)
    records.expire(mine, 1.0)
    for number in range(2, 2 + PLACES):
        place = records.place(tag(number), 0)
        records.claim(place, 5.0)
        records.expire(place, 100.0 + number)
    assert records.evicted == 0, "what has expired is no loss"
    assert not records.find(mine)
    records.claim(mine, 5.0)
    assert records.evicted == 1
    assert not records.find(records.place(tag(2), 0)), "the one that expires soonest gives way"
    assert records.find(mine)


def test_a_new_key_touches_one_record_whatever_has_expired() -> None:
    """Nothing is swept, so no request ever waits for that."""
    records = table(buckets=50)
    for number in range(50 * PLACES):
        place = records.place(tag(number), number)
        records.claim(place, 0.0)
        records.expire(place, 1.0)
    before = bytes(records.memory)
    place = records.place(tag(10**6), 7)
    records.claim(place, 100.0)
    changed = [at for at, byte in enumerate(before) if records.memory[at] != byte]
    assert changed
    assert all(place.tag_at <= at < place.tag_end for at in changed)


def test_only_buckets_that_held_something_are_looked_through() -> None:
    records = table(buckets=1000)
    for number in (3, 500):
        place = records.place(tag(number), number)
        records.claim(place, 0.0)
        records.memory[place.state_at] = number % 256
    marks = [max(states) for states in records.states()]
    assert marks == [3, 500 % 256]
