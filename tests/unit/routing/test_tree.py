"""The index over path patterns finds what a test of each pattern would find, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Match
from proxy.routing.match import read_rules
from proxy.routing.path import PathPattern
from proxy.routing.precedence import arrange
from proxy.routing.tree import PathTree


def plant(*texts: str) -> tuple[PathTree, list[PathPattern]]:
    patterns = [rule.path for rule in arrange(read_rules([Match(path=text) for text in texts]))]
    return PathTree(enumerate(patterns)), patterns


def find(path: str, *texts: str) -> list[str]:
    tree, patterns = plant(*texts)
    return [patterns[rank].text for ranks in tree.find(path) for rank in ranks]


def test_every_kind_of_pattern_is_found_most_specific_first() -> None:
    texts = ("/**", "~/a/.*", "/a/**", "/{x}/**", "/a/{x}", "/a/b", "/{x}/b", "/a/b/**", "/c")
    assert find("/a/b", *texts) == [
        "/a/b", "/a/{x}", "/{x}/b", "/a/b/**", "/a/**", "/{x}/**", "~/a/.*", "/**",
    ]  # fmt: skip


def test_a_dead_end_among_fixed_segments_leads_back_to_the_captures() -> None:
    assert find("/a/b/d", "/a/b/c", "/a/{x}/c", "/{x}/b/d") == ["/{x}/b/d"]


def test_a_path_deeper_than_every_pattern_ends_on_no_template() -> None:
    assert find("/a/b/c/d", "/a/{x}", "/{x}/{y}/{z}", "/a/**") == ["/a/**"]


def test_an_empty_tree_finds_nothing() -> None:
    assert find("/a") == []


SEGMENTS = st.sampled_from(["a", "b", "ab"])
PATTERNS = st.tuples(
    st.lists(st.one_of(SEGMENTS, st.none()), min_size=1, max_size=5),
    st.sampled_from(["", "/", "/**"]),
).map(
    lambda parts: (
        "".join(
            "/" + (f"{{c{place}}}" if segment is None else segment)
            for place, segment in enumerate(parts[0])
        )
        + parts[1]
    )
)
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c", ""]), max_size=7).map(
    lambda parts: "/" + "/".join(parts)
)


@given(texts=st.lists(PATTERNS, max_size=12), path=PATHS)
def test_the_search_agrees_with_testing_each_pattern_in_turn(texts: list[str], path: str) -> None:
    tree, patterns = plant(*texts)
    found = [rank for ranks in tree.find(path) for rank in ranks]
    assert found == [rank for rank, pattern in enumerate(patterns) if pattern.matches(path)]
