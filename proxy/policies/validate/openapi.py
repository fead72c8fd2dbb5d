"""The operations of an OpenAPI document, ready to hold requests and responses against.

May live here: what an operation consists of, and which one a request is for. Must not live
here: files and dialects (`document`), styles (`parameters`), or what becomes of a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.content.form import Pair, read_cookies
from proxy.contract import Request
from proxy.errors import Violation
from proxy.policies.validate.document import Direction, Document
from proxy.policies.validate.parameters import Kind, Parameter
from proxy.policies.validate.paths import PathIndex, variables_of
from proxy.policies.validate.schemas import VIOLATIONS_MAX, Validate, compile_schema

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_STYLES: Final = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
# These are for HTTP, not for the operation (OpenAPI, 4.8.12.1).
_IGNORED_HEADERS: Final = frozenset({"accept", "content-type", "authorization"})


@dataclass(frozen=True, slots=True)
class Content:
    """A body of one type. validate: None where no schema says anything. kind: of a form."""

    validate: Validate | None
    kind: Kind


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. contents: of requests, by media type, None when there is no body.

    responses: contents by status (`200`, `4XX`, `default`) and media type.
    """

    name: str
    parameters: tuple[Parameter, ...]
    contents: Mapping[str, Content] | None
    required: bool
    responses: Mapping[str, Mapping[str, Content]]

    def check_head(
        self, request: Request, names: tuple[str, ...], values: list[str], query: list[Pair],
        strict: bool,
    ) -> list[Violation]:  # fmt: skip
        """All that is wrong with path, query, fields and cookies.

        names, values: of the path's variables. strict: unknown query parameters are wrong.
        """
        in_path = dict(zip(names, values, strict=True))
        cookies: list[Pair] | None = None
        known: set[str] = set()
        found: list[Violation] = []
        for row in self.parameters:
            pairs: list[Pair] = []
            if row.place == "path":
                texts = [in_path[row.name].replace("%2F", "/")] if row.name in in_path else []
            elif row.place == "query":
                texts = [text for name, text in query if name == row.name]
                pairs = query
                known.update([row.name, *row.kind.properties] if row.explode else [row.name])
            elif row.place == "header":
                value = request.headers.get(row.name.lower())
                texts = [] if value is None else [value]
            else:
                if cookies is None:
                    cookies = read_cookies(request.headers.get("cookie") or "")
                texts = [text for name, text in cookies if name == row.name]
            found += row.check(texts, pairs)
        if strict:
            for name in dict.fromkeys(name.partition("[")[0] for name, _ in query):
                if name not in known:
                    found.append(Violation("query", "", "has a parameter that is not known"))
                    break
        return found[:VIOLATIONS_MAX]


@dataclass(frozen=True, slots=True)
class PathItem:
    """One path of the document. names: of its variables. operations: by method."""

    names: tuple[str, ...]
    operations: Mapping[str, Operation]


class OpenApi:
    """A document's operations. Raises ValueError with what is wrong and where.

    base: what stands before every path, in place of the document's `servers`.
    """

    def __init__(self, name: str, base: str | None) -> None:
        document = Document(name)
        self.files = tuple(document.files)
        self._build = _Builder(document)
        root = document.root
        self.bases = [base.rstrip("/")] if base is not None else _bases(root.get("servers"))
        paths = root.get("paths") or {}
        try:
            self._index = PathIndex(self._items(paths))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        self.operations = sum(len(item.operations) for _, item in self._items_made)

    def _items(self, paths: Mapping[str, Any]) -> list[tuple[str, PathItem]]:
        self._items_made = [
            (template, self._build.path_item(template, item))
            for template, item in paths.items()
            if template.startswith("/")
        ]
        return self._items_made

    def find(self, path: str) -> tuple[PathItem, list[str]] | None:
        """The path item for a decoded path, and the values of its variables."""
        for base in self.bases:
            if path.startswith(base):
                found = self._index.find(path[len(base) :] or "/")
                if found is not None:
                    return found
        return None


def _bases(servers: Any) -> list[str]:
    """The paths of the servers, longest first."""
    found = set()
    for server in servers or [{"url": "/"}]:
        url = str(server.get("url", "/"))
        for name, variable in (server.get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
        found.add(urlsplit(url).path.rstrip("/"))
    return sorted(found, key=len, reverse=True)


class _Builder:
    """Makes operations of the document's parts; `where` leads to a part, for messages."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._resources: dict[Direction, list[tuple[str, Any]]] = {
            "request": document.resources("request"),
            "response": document.resources("response"),
        }

    def path_item(self, template: str, raw: Any) -> PathItem:
        item, base = self._document.resolve(raw, self._document.uri)
        shared = item.get("parameters") or []
        operations: dict[str, Operation] = {}
        for method in _METHODS:
            if isinstance(item.get(method), dict):
                where = f"{method.upper()} {template}"
                try:
                    operations[method.upper()] = self._operation(where, item[method], shared, base)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from None
        return PathItem(variables_of(template), operations)

    def _operation(
        self, name: str, raw: Mapping[str, Any], shared: Iterable[Any], base: str
    ) -> Operation:
        chosen: dict[tuple[str, str], Parameter] = {}
        for row in (*shared, *(raw.get("parameters") or [])):
            parameter, where = self._document.resolve(row, base)
            place, key = str(parameter.get("in")), str(parameter.get("name"))
            if place not in _STYLES:
                raise ValueError(f"the parameter {key!r} is in {place!r}; that is no place")
            if place == "header" and key.lower() in _IGNORED_HEADERS:
                continue
            chosen[(place, key)] = self._parameter(place, key, parameter, where)
        body, where = self._document.resolve(raw.get("requestBody"), base)
        contents = None
        if isinstance(body, Mapping):
            contents = self._contents(body.get("content") or {}, where, "request")
        responses: dict[str, Mapping[str, Content]] = {}
        for status, row in (raw.get("responses") or {}).items():
            response, where = self._document.resolve(row, base)
            content = (response or {}).get("content") or {}
            responses[str(status).upper()] = self._contents(content, where, "response")
        required = isinstance(body, Mapping) and body.get("required") is True
        return Operation(name, tuple(chosen.values()), contents, required, responses)

    def _parameter(self, place: str, name: str, raw: Mapping[str, Any], base: str) -> Parameter:
        style = str(raw.get("style") or _STYLES[place])
        schema, as_json = raw.get("schema", {}), False
        for media, content in (raw.get("content") or {}).items():
            schema, as_json = content.get("schema", {}), "json" in media
        return Parameter(
            place,
            name,
            raw.get("required") is True or place == "path",
            style,
            bool(raw.get("explode", style in ("form", "deepObject"))),
            as_json,
            self._kind(schema, base),
            self._compiled(schema, place, base, "request"),
        )

    def _contents(
        self, raw: Mapping[str, Any], base: str, direction: Direction
    ) -> dict[str, Content]:
        made: dict[str, Content] = {}
        for media, row in raw.items():
            schema = row.get("schema") if isinstance(row, Mapping) else None
            validate = None if schema is None else self._compiled(schema, "body", base, direction)
            made[media.partition(";")[0].strip().lower()] = Content(
                validate, self._kind(schema, base)
            )
        return made

    def _compiled(self, schema: Any, place: str, base: str, direction: Direction) -> Validate:
        converted = self._document.converted({"schema": schema}, base, direction)["schema"]
        return compile_schema(converted, place, self._resources[direction])

    def _kind(self, schema: Any, base: str) -> Kind:
        return Kind.of(schema, partial(_followed, self._document, base))


def _followed(document: Document, base: str, schema: Any) -> Any:
    return document.resolve(schema, base)[0]
