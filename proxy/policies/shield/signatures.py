"""Rules compiled to two automata: one that says whether to look closer, one that looks.

The first, the screen, is run once over everything that a request holds, a value a line; for
ordinary requests that is all. It can't overlook what the second would find in one of the
values: `\\A` and `$` stand for beginnings and ends of lines there.

RE2 matches all rules at once, in time linear in the text, within a bounded memory; what that
costs is measured in tests/benchmarks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import re2

from proxy.content.decoding import may_decode, readings
from proxy.policies.shield.rule import Rule

# Automata are built as texts need their states, up to here; then built anew.
_MEMORY_MAX: Final = 16 * 1024 * 1024


class Signatures:
    """Some rules, ready to be run."""

    __slots__ = ("_judge", "_rules", "_screen")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._judge = _compile([rule.pattern for rule in rules])
        self._screen = _compile(["(?m)" + rule.pattern.replace(r"\A", "^") for rule in rules])

    def suspect(self, texts: list[str], rounds: int) -> bool:
        """Whether any rule may match one of the texts, or what one of them decodes to."""
        joined = "\n".join(texts)
        if may_decode(joined):
            joined = "\n".join([form for text in texts for form in readings(text, rounds)])
        return self._screen.Match(_bytes(joined)) is not None

    def matches(self, text: str, rounds: int) -> set[Rule]:
        """The rules that match a text, or what it decodes to."""
        found: set[int] = set()
        for form in readings(text, rounds):
            found.update(self._judge.Match(_bytes(form)) or ())
        return {self._rules[place] for place in found}


@lru_cache(maxsize=8)
def compiled(rules: tuple[Rule, ...]) -> Signatures:
    """The rules' signatures; routes with equal settings share them."""
    return Signatures(rules)


def _compile(patterns: list[str]) -> re2.Set:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.case_sensitive = False
    options.max_mem = _MEMORY_MAX
    options.log_errors = False
    made = re2.Set.SearchSet(options)
    for pattern in patterns:
        made.Add(pattern)
    made.Compile()
    return made


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
