"""What of a request is looked at, and what is found in it.

May live here: which parts hold values, and how a value is weighed. Must not live here: the
rules, how they are matched (`signatures`), or what becomes of a request.

Nearly every request is ordinary, so two passes: `gather` lists texts without asking where
they came from, for the screen; only when that finds anything does `locate` list them again,
each with its place and name.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from proxy.content.form import read_cookies, read_pairs
from proxy.contract import Request
from proxy.entity import Entity
from proxy.http1.headers import decode, key_of
from proxy.memo import Memo
from proxy.policies.shield.bodies import body_texts, body_values
from proxy.policies.shield.rule import Rule
from proxy.policies.shield.signatures import Signatures
from proxy.policies.shield.value import Value, nested, of_form, of_pairs, pair_texts, spellings

# Nothing that any rule matches; most paths and many queries are no more than this.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._~-]*").fullmatch
_PLAIN_QUERY: Final = re.compile(r"[A-Za-z0-9._~=&-]*").fullmatch
# Parameters may stand in segments of a path too (RFC 3986, 3.3).
_PARTING: Final = re.compile("[/;=]")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
_PLAIN_COOKIE: Final = re.compile(rb"(?:[A-Za-z0-9.~-]|_(?!_)|[=;] ?)*").fullmatch
# Fields with a grammar of their own that services don't put into queries, pages or commands,
# and credentials, which are random and nobody else's business.
_SKIPPED: Final = frozenset({
    "authorization", "content-length", "content-type", "cookie", "date", "host",
    "if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "origin",
    "proxy-authorization", "sec-websocket-key", "traceparent",
})  # fmt: skip
_CLEAN_MAX: Final = 4096
_CLEAN_LENGTH_MAX: Final = 512
_NAME_SHOWN: Final = 80


class Finding(NamedTuple):
    """A value that matches rules. score: of those together. rules: their names, in order."""

    value: Value
    score: int
    rules: tuple[str, ...]

    def __str__(self) -> str:
        name = self.value.name[:_NAME_SHOWN]
        where = f"{self.value.place}:{name}" if name else self.value.place
        return f"{', '.join(self.rules)} in {where}, score {self.score}"


class Exemption(NamedTuple):
    """Rules that some parameters may match. parameter: matches `place:name`."""

    parameter: re.Pattern[str]
    rules: frozenset[str]

    def covers(self, value: Value, rule: Rule) -> bool:
        """Whether this rule doesn't count in this value."""
        return (
            rule.name in self.rules or rule.family in self.rules or not self.rules
        ) and self.parameter.fullmatch(f"{value.place}:{value.name}") is not None


class Inspector:
    """Holds requests against signatures.

    rounds: of decoding, beyond the service's own. plain_paths: whether paths of letters,
    digits and `/._~-` alone are harmless.
    """

    def __init__(
        self,
        signatures: Signatures,
        rounds: int,
        exemptions: tuple[Exemption, ...],
        *,
        plain_paths: bool = True,
    ) -> None:
        self._plain_paths = plain_paths
        self._signatures = signatures
        self._rounds = rounds
        self._exemptions = exemptions
        # Values of fields that are known to be harmless: most come again and again.
        self._clean: Memo[bytes, None] = Memo(_CLEAN_MAX)

    def inspect(self, request: Request, entity: Entity | None) -> list[Finding]:
        """Every value that matches something."""
        fields: list[bytes] = []
        found = self._gather(request, entity, fields)
        if not found:
            return []
        if not self._signatures.suspect(found, self._rounds):
            self._remember(fields)
            return []
        return self.weigh(locate(request, entity))

    def inspect_values(self, values: list[Value]) -> list[Finding]:
        """Those of some values that match something."""
        if self._signatures.suspect([value.text for value in values], self._rounds):
            return self.weigh(values)
        return []

    def weigh(self, values: Iterable[Value]) -> list[Finding]:
        """What is found in each value, looked at closely."""
        return [finding for value in values if (finding := self._weigh(value))]

    def _gather(self, request: Request, entity: Entity | None, fields: list[bytes]) -> list[str]:
        """Every text that isn't harmless at sight; fields: those of header fields among them."""
        found: list[str] = []
        clean = self._clean
        for name, value in request.headers.fields():
            if value not in clean and (key_of(name) not in _SKIPPED or _is_odd(name, value)):
                fields.append(value)
                found.append(decode(value))
        path, query = request.path, request.query
        if not (self._plain_paths and _PLAIN_PATH(path)):
            found.append(path)
            found += _PARTING.split(path)
        if query and not _is_plain_query(query):
            found += _query_texts(query)
        credentials = request.headers.raw("authorization")
        if credentials is not None:
            found.append(_user(credentials))
        cookie = request.headers.raw("cookie")
        if cookie is not None and not _PLAIN_COOKIE(cookie):
            for pair in read_cookies(decode(cookie)):
                found += pair
                found += nested(pair[1])
        if entity is not None:
            found += body_texts(entity)
        return found

    def _remember(self, fields: list[bytes]) -> None:
        for value in fields:
            if len(value) <= _CLEAN_LENGTH_MAX:
                self._clean[value] = None

    def _weigh(self, value: Value) -> Finding | None:
        counted = sorted(
            (
                rule
                for rule in self._signatures.matches(value.text, self._rounds)
                if value.place in rule.places
                and not any(exemption.covers(value, rule) for exemption in self._exemptions)
            ),
            key=lambda rule: (-rule.score, rule.name),
        )
        if not counted:
            return None
        score = sum(rule.score for rule in counted)
        return Finding(value, score, tuple(rule.name for rule in counted))


def locate(request: Request, entity: Entity | None) -> Iterator[Value]:
    """Every text of a request with its place and name."""
    yield Value("path", "", request.path)
    for segment in _PARTING.split(request.path):
        yield Value("path", "", segment)
    yield from of_form("query", request.query)
    for field, raw in request.headers.fields():
        key = key_of(field)
        if key == "cookie":
            yield from of_pairs("cookie", read_cookies(decode(raw)))
        elif key == "authorization":
            yield Value("header", key, _user(raw))
        if key not in _SKIPPED or _is_odd(field, raw):
            yield Value("header", key, decode(raw))
    if entity is not None:
        yield from body_values(entity)


def _user(credentials: bytes) -> str:
    """The name of the user in basic credentials (RFC 7617), which is looked up in databases."""
    scheme, _, token = credentials.partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return decode(a2b_base64(token).partition(b":")[0])
    except Base64Error:
        return ""


def _is_plain_query(text: str) -> bool:
    return _PLAIN_QUERY(text) is not None and not _may_be_prototype(text)


def _query_texts(query: str) -> list[str]:
    """What isn't plain in a query."""
    return [
        text
        for spelling in spellings(query)
        for text in pair_texts(read_pairs(spelling))
        if not _PLAIN(text) or _may_be_prototype(text)
    ]


def _may_be_prototype(text: str) -> bool:
    # No more than letters to the patterns, and `__proto__` to JavaScript.
    return "__" in text or "prototype" in text


def _is_odd(name: bytes, value: bytes) -> bool:
    """Whether a field that is skipped holds what its grammar has no use for: expressions are
    sprayed over all fields there are."""
    return b"{" in value and key_of(name) != "cookie"
