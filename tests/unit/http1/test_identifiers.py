"""Identifiers from a seeded source on a paused clock."""

from __future__ import annotations

from random import Random
from uuid import UUID

from proxy.http1.identifiers import HexPool, Uuid7


def test_digits_are_handed_out_once_across_refills() -> None:
    calls: list[int] = []

    def source(count: int) -> bytes:
        calls.append(count)
        return Random(len(calls)).randbytes(count)

    pool = HexPool(source)
    assert calls == []
    taken = [pool.take(32) for _ in range(1000)]
    assert all(len(digits) == 32 for digits in taken)
    assert len(set(taken)) == 1000
    assert len(calls) == 4


def test_a_uuid7_tells_version_variant_and_millisecond() -> None:
    now = [1795446245.123]
    make = Uuid7(lambda: now[0], Random(1).randbytes)
    for step in range(2000):
        now[0] += 0.0005
        made = make()
        parsed = UUID(made)
        assert str(parsed) == made
        assert (parsed.version, parsed.variant) == (7, "specified in RFC 4122")
        assert parsed.int >> 80 == int(now[0] * 1000), step


def test_the_random_part_is_random_everywhere() -> None:
    make = Uuid7(lambda: 0.0, Random(1).randbytes)
    columns = [set(column) for column in zip(*(make() for _ in range(500)), strict=True)]
    fixed = {place for place, seen in enumerate(columns) if len(seen) == 1}
    assert fixed == {*range(15), 18, 23}
    assert columns[19] == set("89ab")
