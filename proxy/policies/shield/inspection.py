"""What of a request is looked at, and what is found in it.

May live here: which parts hold values, and how a value is weighed. Must not live here: the
rules, how they are matched (`signatures`), or what becomes of a request.

Nearly every request is ordinary, so two passes: `gather` lists texts without asking where
they came from, for the screen; only when that finds anything does `locate` list them again,
each with its place and name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from proxy.content.form import decode_part, read_cookies, read_pairs
from proxy.content.json import JsonError, texts, walk
from proxy.content.multipart import MultipartError, MultipartReader, Part
from proxy.contract import Request
from proxy.entity import Entity
from proxy.http1.headers import decode, key_of
from proxy.policies.shield.rule import Rule
from proxy.policies.shield.signatures import Signatures

# Nothing that any rule matches; most paths and many queries are no more than this.
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._~-]*").fullmatch
_PLAIN_QUERY: Final = re.compile(r"[A-Za-z0-9._~=&-]*").fullmatch
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
# Fields with a grammar of their own that services don't put into queries, pages or commands,
# and credentials, which are random and nobody else's business.
_SKIPPED: Final = frozenset({
    "authorization", "content-length", "content-type", "cookie", "date", "host",
    "if-match", "if-modified-since", "if-none-match", "if-unmodified-since", "origin",
    "proxy-authorization", "sec-websocket-key", "traceparent",
})  # fmt: skip
_PAIRS_MAX: Final = 2048
_CLEAN_MAX: Final = 4096
_CLEAN_LENGTH_MAX: Final = 512
_NAME_SHOWN: Final = 80


class Value(NamedTuple):
    """A text of the request. place: as in rules. name: the parameter's, or a JSON pointer."""

    place: str
    name: str
    text: str


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
    """Holds requests against signatures. rounds: of decoding, beyond the service's own."""

    def __init__(
        self, signatures: Signatures, rounds: int, exemptions: tuple[Exemption, ...]
    ) -> None:
        self._signatures = signatures
        self._rounds = rounds
        self._exemptions = exemptions
        # Values of fields that are known to be harmless: most come again and again.
        self._clean: set[bytes] = set()

    def inspect(self, request: Request, entity: Entity | None) -> list[Finding]:
        """Every value that matches something."""
        fields: list[bytes] = []
        found = self._gather(request, entity, fields)
        if not found:
            return []
        if not self._signatures.suspect(found, self._rounds):
            self._remember(fields)
            return []
        return [finding for value in locate(request, entity) if (finding := self._weigh(value))]

    def _gather(self, request: Request, entity: Entity | None, fields: list[bytes]) -> list[str]:
        """Every text that isn't harmless at sight; fields: those of header fields among them."""
        found: list[str] = []
        clean = self._clean
        for name, value in request.headers.fields():
            if value not in clean and key_of(name) not in _SKIPPED:
                fields.append(value)
                found.append(decode(value))
        path, query = request.path, request.query
        if not _PLAIN_PATH(path):
            found.append(path)
            found += path.split("/")
        if query and not _PLAIN_QUERY(query):
            for part in query.split("&", _PAIRS_MAX):
                if not _PLAIN_QUERY(part):
                    found += map(decode_part, part.partition("=")[::2])
        cookie = request.headers.raw("cookie")
        if cookie is not None:
            for _, text in read_cookies(decode(cookie), _PAIRS_MAX):
                if not _PLAIN(text):
                    found.append(text)
        if entity is not None:
            found += _body_texts(entity)
        return found

    def _remember(self, fields: list[bytes]) -> None:
        for value in fields:
            if len(value) <= _CLEAN_LENGTH_MAX:
                if len(self._clean) >= _CLEAN_MAX:
                    self._clean.clear()
                self._clean.add(value)

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
    for segment in request.path.split("/"):
        yield Value("path", "", segment)
    for name, text in read_pairs(request.query, _PAIRS_MAX):
        yield Value("query", name, name)
        yield Value("query", name, text)
    for field, raw in request.headers.fields():
        key = key_of(field)
        if key == "cookie":
            for name, text in read_cookies(decode(raw), _PAIRS_MAX):
                yield Value("cookie", name, text)
        elif key not in _SKIPPED:
            yield Value("header", key, decode(raw))
    if entity is not None:
        yield from _body_values(entity)


def _body_texts(entity: Entity) -> list[str]:
    media = entity.media
    if media is not None and media.is_form:
        return [text for pair in entity.pairs() for text in pair]
    if media is None or not media.is_multipart:
        value = _json(entity)
        if value is not None:
            return texts(value[0])
    return [value.text for value in _body_values(entity)]


def _body_values(entity: Entity) -> Iterator[Value]:
    media = entity.media
    if media is not None and media.is_form:
        for name, text in entity.pairs():
            yield Value("form", name, name)
            yield Value("form", name, text)
    elif media is not None and media.is_multipart:
        yield from _parts(entity, media.parameters.get("boundary"))
    elif (value := _json(entity)) is not None:
        for pointer, node in walk(value[0]):
            if isinstance(node, str):
                yield Value("json", pointer, node)
            elif isinstance(node, dict):
                for name in node:
                    yield Value("json", pointer, name)
    else:
        yield Value("text", "", entity.data.decode("utf-8", "replace"))


def _json(entity: Entity) -> tuple[Any] | None:
    """The value of a body that is JSON, or looks like it and says nothing else."""
    media = entity.media
    announced = media is not None and media.is_json
    if announced or (entity.data.lstrip()[:1] in (b"{", b"[")):
        try:
            return (entity.json(),)
        except JsonError:
            return None
    return None


def _parts(entity: Entity, boundary: str | None) -> Iterator[Value]:
    """The values and file names of a form in parts; files themselves are not looked into."""
    part: Part | None = None
    data: list[bytes] = []
    try:
        events = MultipartReader(boundary).feed(entity.data)
    except MultipartError:
        # Some service may read it all the same.
        yield Value("text", "", entity.data.decode("utf-8", "replace"))
        return
    for event in (*events, None):
        if isinstance(event, Part):
            part, data = event, []
            yield Value("form", part.name, part.name)
            if part.file is not None:
                yield Value("file", part.name, part.file)
        elif isinstance(event, bytes):
            data.append(event)
        elif part is not None:
            if part.file is None:
                yield Value("form", part.name, b"".join(data).decode("utf-8", "replace"))
            part = None
