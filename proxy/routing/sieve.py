"""Routes with the same host and path, of which a request's fields or parameters leave few.

May live here: the choice among such routes that is no more than a look-up. Must not live
here: whether a route takes a request (`match`); what is left is tested as ever.

Where many routes differ in the text that one field, or one parameter, must have, the others
than those with the text of the request can't take it, and are not even tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from proxy.contract import Request
from proxy.http1.headers import encode
from proxy.http1.query import Parameters, read_query
from proxy.routing.condition import PRESENT, Condition
from proxy.routing.match import Rule

_LEAST: Final = 8
"""Routes for which a look-up pays."""


class Sieve:
    """What is left of `ranks` for each text of one field or parameter.

    conditions: that of each rank on it, None for those without one that asks for a text.
    """

    __slots__ = ("_left", "_others", "name", "query")

    def __init__(
        self, name: str, query: bool, ranks: Sequence[int], conditions: Sequence[Condition | None]
    ) -> None:
        self.name = name
        self.query = query
        self._others: list[int] = []
        left: dict[bytes, list[int]] = {}
        for rank, condition in zip(ranks, conditions, strict=True):
            (self._others if condition is None else left.setdefault(condition.raw, [])).append(rank)
        self._left = {text: sorted(own + self._others) for text, own in left.items()}

    def by_field(self, value: bytes | None) -> list[int]:
        """The ranks left for the value of the field."""
        return self._others if value is None else self._left.get(value, self._others)

    def by_parameter(self, values: Sequence[str]) -> list[int]:
        """The ranks left for the values of the parameter."""
        left = [self._left.get(encode(value), self._others) for value in values]
        return left[0] if len(left) == 1 else sorted(set(self._others).union(*left))


class Sifting:
    """One request before the sieves. sieves: by the first of the ranks that each is for."""

    __slots__ = ("_parameters", "_request", "_sieves")

    def __init__(self, request: Request, sieves: Mapping[int, Sieve]) -> None:
        self._request = request
        self._sieves = sieves
        self._parameters: Parameters | None = None

    def __call__(self, ranks: list[int]) -> list[int]:
        """What is left of a run of ranks."""
        sieve = self._sieves.get(ranks[0]) if ranks else None
        if sieve is None:
            return ranks
        if sieve.query:
            return sieve.by_parameter(self.parameters.get(sieve.name, ()))
        return sieve.by_field(self._request.headers.raw(sieve.name))

    @property
    def parameters(self) -> Parameters:
        """Those of the request, read once."""
        if self._parameters is None:
            self._parameters = read_query(self._request.query)
        return self._parameters


def find_sieves(rules: Sequence[Rule]) -> dict[int, Sieve]:
    """The sieves that pay, by the first of their ranks. rules: in the order of rank."""
    runs: dict[object, list[int]] = {}
    for rank, rule in enumerate(rules):
        runs.setdefault((rule.host, rule.path.shape), []).append(rank)
    made = ((ranks[0], _make(rules, ranks)) for ranks in runs.values())
    return {first: sieve for first, sieve in made if sieve is not None}


def _make(rules: Sequence[Rule], ranks: Sequence[int]) -> Sieve | None:
    """By what most of the routes ask for a text of, if that are enough."""
    asked = Counter(chain.from_iterable(map(_texts, (rules[rank] for rank in ranks))))
    if not asked:
        return None
    ((name, query), most), *_ = asked.most_common(1)
    if most < _LEAST:
        return None
    return Sieve(name, query, ranks, [_texts(rules[rank]).get((name, query)) for rank in ranks])


def _texts(rule: Rule) -> dict[tuple[str, bool], Condition]:
    """The conditions that ask for a text, by their name and whether it is a parameter's."""
    return {
        (condition.name, query): condition
        for query, conditions in ((False, rule.headers), (True, rule.query))
        for condition in conditions
        if condition.regex is None and condition.text != PRESENT
    }
