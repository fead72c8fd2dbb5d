"""Objects by key, URL and tag; purging them; tickets; bounds."""

from __future__ import annotations

import asyncio

import pytest

from proxy.store.purge import Purge
from proxy.store.trove import Trove
from tests.unit.policies.world import Journal


class Thing:
    """An object that is kept."""

    def __init__(
        self,
        key: str,
        url: str = "",
        tags: tuple[str, ...] = (),
        weight: int = 10,
        mark: bool = False,
    ) -> None:
        self.key = key
        self.url = url or f"http://a/{key}"
        self.tags = tags
        self.weight = weight
        self.visits = 0
        self.mark = mark
        self.spoilt = False

    def spoil(self) -> None:
        self.spoilt = True


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def trove(journal: Journal) -> Trove:
    return Trove(1000, 100, journal)


async def test_what_is_put_is_found_until_it_is_removed(trove: Trove, journal: Journal) -> None:
    thing = Thing("x")
    assert trove.put(thing)
    assert trove.find("x") is thing
    assert journal.gauges["sidegate_cache_objects",].value == 1
    assert journal.gauges["sidegate_cache_bytes",].value == 10
    trove.remove("x", "purged")
    trove.remove("x", "purged")
    assert trove.find("x") is None
    assert journal.counts["sidegate_cache_removals_total", "purged"].value == 1
    assert journal.gauges["sidegate_cache_objects",].value == 0


async def test_what_leaves_for_others_is_known_by_no_name_any_more(
    trove: Trove, journal: Journal
) -> None:
    for number in range(200):
        trove.put(Thing(str(number), "http://a/", ("t",)))
    assert len(trove) == 100
    assert journal.counts["sidegate_cache_removals_total", "capacity"].value == 100
    assert await trove.purge(Purge("tag", "t")) == 100
    assert trove.facts()["bytes"] == 0


async def test_what_is_too_heavy_is_not_kept(trove: Trove) -> None:
    assert not trove.put(Thing("x", weight=1001, tags=("t",)))
    assert await trove.purge(Purge("tag", "t")) == 0
    assert await trove.purge(Purge("all")) == 0


async def test_another_of_the_same_key_takes_its_place(trove: Trove, journal: Journal) -> None:
    trove.put(Thing("x", tags=("old",)))
    trove.put(Thing("x", tags=("new",)))
    assert await trove.purge(Purge("tag", "old")) == 0
    assert len(trove) == 1
    assert await trove.purge(Purge("tag", "new")) == 1
    assert journal.counts["sidegate_cache_removals_total", "replaced"].value == 1


@pytest.mark.parametrize(
    ("purge", "gone"),
    [
        (Purge("url", "http://a/x"), {"1", "2"}),
        (Purge("url", "//a/x"), {"1", "2", "3"}),
        (Purge("url", "/x"), {"1", "2", "3", "6"}),
        (Purge("url", "http://a/x?q"), {"4"}),
        (Purge("url", "http://a/none"), set()),
        (Purge("prefix", "http://a/x"), {"1", "2", "4", "5"}),
        (Purge("prefix", "//a/x/"), {"5"}),
        (Purge("prefix", "/x/"), {"5"}),
        (Purge("prefix", "http://b"), {"6"}),
        (Purge("glob", "/x/*"), set()),
        (Purge("glob", "/x/**"), {"5"}),
        (Purge("glob", "/x/*/z.css"), {"5"}),
        (Purge("glob", "//*/x"), {"1", "2", "3", "6"}),
        (Purge("glob", "/x?*"), {"4"}),
        (Purge("tag", "news"), {"2", "5"}),
        (Purge("tag", "new"), set()),
        (Purge("all"), {"1", "2", "3", "4", "5", "6"}),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
async def test_purging(trove: Trove, purge: Purge, gone: set[str], soft: bool) -> None:
    things = [
        Thing("1", "http://a/x"),
        Thing("2", "http://a/x", ("news",)),
        Thing("3", "https://a/x"),
        Thing("4", "http://a/x?q"),
        Thing("5", "http://a/x/y/z.css", ("news", "css")),
        Thing("6", "http://b/x"),
    ]
    for thing in things:
        trove.put(thing)
    count = await trove.purge(Purge(purge.kind, purge.text, soft))
    assert count == len(gone)
    if soft:
        assert {thing.key for thing in things if thing.spoilt} == gone
        assert len(trove) == 6
    else:
        assert {thing.key for thing in things if trove.find(thing.key) is None} == gone


async def test_marks_go_and_are_not_counted(trove: Trove) -> None:
    trove.put(Thing("way", "http://a/", mark=True))
    trove.put(Thing("x", "http://a/"))
    trove.forget(["http://a/"])
    assert len(trove) == 0
    trove.put(Thing("way", mark=True))
    assert await trove.purge(Purge("all")) == 0
    assert len(trove) == 0


async def test_a_purge_of_many_lets_others_in_between() -> None:
    trove = Trove(1_000_000, 100, None)
    for number in range(5000):
        trove.put(Thing(str(number), weight=1))
    steps = 0

    async def other() -> None:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    assert await trove.purge(Purge("all")) == 5000
    task.cancel()
    assert steps >= 2


async def test_tickets_are_voided_by_what_happens_to_their_url(trove: Trove) -> None:
    tickets = [trove.begin(f"http://a/{number}") for number in range(3)]
    trove.forget(["http://a/0"])
    await trove.purge(Purge("prefix", "/1"))
    assert [ticket.void for ticket in tickets] == [True, True, False]
    # What tags the answer will have is not known yet.
    await trove.purge(Purge("tag", "x"))
    assert tickets[2].void
    over = trove.begin("http://a/3")
    trove.end(over)
    trove.end(over)
    trove.forget(["http://a/3"])
    assert not over.void


def test_what_may_be_held_for_fetches_is_bounded() -> None:
    trove = Trove(100_000_000, 1_000_000, None)
    assert trove.reserve(40_000_000)
    assert not trove.reserve(20_000_000)
    assert trove.facts()["fetching_bytes"] == 40_000_000
    assert trove.reserve(-40_000_000)
    assert trove.reserve(20_000_000)


def test_other_bounds_hold_at_once(trove: Trove) -> None:
    for number in range(100):
        trove.put(Thing(str(number)))
    trove.resize(500, 2000)
    assert (len(trove), trove.object_limit) == (50, 500)
    phantom = trove.phantom()
    assert (len(phantom), phantom.facts()["limit_bytes"]) == (0, 500)
