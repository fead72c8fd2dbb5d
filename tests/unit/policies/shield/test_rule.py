"""What holds for every rule."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policies.shield.rule import EVERYWHERE, Rule
from proxy.policies.shield.rules import RULES
from proxy.policies.shield.signatures import Signatures

EVERY = Signatures(RULES)
WORDS = sorted({word for rule in RULES for word in re.findall(r"[a-z]{2,}", rule.pattern)})
PLAIN = st.lists(st.sampled_from(WORDS) | st.text("abcorn019._~-", max_size=4), max_size=8).map(
    "".join
)


def test_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_one_that_can_be_used(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+\.[a-z_]+", rule.name)
    assert 1 <= rule.score <= 5
    assert rule.places <= EVERYWHERE
    assert rule.places
    assert re2.compile(rule.pattern)
    # `\A` becomes `^` in the screen; anything else would end differently there.
    assert r"\z" not in rule.pattern


@settings(max_examples=500)
@given(PLAIN)
def test_no_rule_matches_letters_digits_and_dots_alone(text: str) -> None:
    """Such values are passed unseen."""
    assert EVERY.matches(text, 4) == set()


@settings(max_examples=300)
@given(st.lists(st.text(st.sampled_from("ab1 '\"=()<>/;|&${}.\n-#or"), max_size=20), max_size=5))
def test_the_screen_overlooks_nothing(texts: list[str]) -> None:
    if any(EVERY.matches(text, 2) for text in texts):
        assert EVERY.suspect(texts, 2)
