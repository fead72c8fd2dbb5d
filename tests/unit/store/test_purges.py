"""Which of what is kept elsewhere is still good, by the purges since."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store.purge import Purge
from proxy.store.purges import Purges

URL = "https://shop.example/a/b?c"


def purged(*purges: Purge, remembered: int = 100) -> Purges:
    """Purges with these, numbered from 1."""
    all_of_them = Purges("e", 0, remembered)
    for number, purge in enumerate(purges, 1):
        all_of_them.add(number, purge)
    return all_of_them


@pytest.mark.parametrize(
    ("purge", "means_it"),
    [
        (Purge("url", URL), True),
        (Purge("url", "//shop.example/a/b?c"), True),
        (Purge("url", "/a/b?c"), True),
        (Purge("url", "http://shop.example/a/b?c"), False),
        (Purge("prefix", "/a"), True),
        (Purge("prefix", "/b"), False),
        (Purge("glob", "//shop.example/*/b**"), True),
        (Purge("tag", "news"), True),
        (Purge("tag", "sport"), False),
        (Purge("all"), True),
    ],
)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_older_than_a_purge(purge: Purge, means_it: bool, soft: bool) -> None:
    purges = purged(Purge("url", "/other"), Purge(purge.kind, purge.text, soft))
    verdict = ("spoilt" if soft else "gone") if means_it else "good"
    assert purges.judge("e:1", URL, ["news"]) == verdict
    assert purges.judge("e:2", URL, ["news"]) == "good"


def test_the_worse_of_two_purges_counts() -> None:
    purges = purged(Purge("all"), Purge("all", soft=True))
    assert [purges.judge(f"e:{number}", URL, []) for number in range(3)] == [
        "gone",
        "spoilt",
        "good",
    ]


@pytest.mark.parametrize("mark", ["other:2", "", "e:", "e:x", "e:-1", "2"])
def test_what_cannot_be_judged_is_gone(mark: str) -> None:
    assert purged(Purge("tag", "x")).judge(mark, URL, []) == "gone"


def test_what_is_older_than_all_that_is_remembered_is_gone() -> None:
    purges = purged(*(Purge("tag", str(number)) for number in range(10)), remembered=4)
    assert [purges.judge(f"e:{number}", URL, []) for number in (5, 6, 10)] == [
        "gone",
        "good",
        "good",
    ]
    assert purges.mark == "e:10"


PURGES = st.one_of(
    st.builds(
        Purge,
        st.sampled_from(["url", "prefix"]),
        st.sampled_from(["/a", "//x/a", "http://x/a", "/b"]),
        st.booleans(),
    ),
    st.builds(Purge, st.just("tag"), st.sampled_from(["s", "t"]), st.booleans()),
    st.builds(Purge, st.just("all"), st.just(""), st.booleans()),
)


@given(
    st.lists(PURGES, max_size=30),
    st.integers(0, 30),
    st.sampled_from(["http://x/a", "https://y/b"]),
    st.sampled_from([(), ("s",), ("s", "t")]),
)
def test_it_says_what_looking_at_all_of_them_says(
    said: list[Purge], number: int, url: str, tags: tuple[str, ...]
) -> None:
    purges = purged(*said, remembered=10)
    number = min(number, len(said))
    later = [purge for purge in said[number:] if purge.selects(url, tags)]
    if number < len(said) - 10 or any(not purge.soft for purge in later):
        expected = "gone"
    else:
        expected = "spoilt" if later else "good"
    assert purges.judge(f"e:{number}", url, tags) == expected
