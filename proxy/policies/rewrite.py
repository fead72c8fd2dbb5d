"""Asks the upstream for another path or query than the client asked for."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import unquote_plus

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit, Written
from proxy.errors import Refused
from proxy.http1.headers import encode
from proxy.http1.target import decode_path
from proxy.http1.template import Template, check_template, in_path, in_query


def _path(text: str) -> str:
    if not text.startswith(("/", "{path}")) or text.startswith("//"):
        raise ValueError(f"{text!r}: a path begins with one slash")
    if "?" in text or "#" in text:
        raise ValueError(f"{text!r}: a path has no `?` or `#`; use `query` for parameters")
    Template(text, "url")
    return text


def _prefix(text: str) -> str:
    if not text.startswith("/") or "//" in text or "?" in text or "#" in text:
        raise ValueError(f"{text!r}: a prefix is a path, such as /api")
    if "%" in text:
        raise ValueError(f"{text!r}: write the prefix decoded, without percent signs")
    if not text.strip("/"):
        raise ValueError("the prefix / is on every path already; leave it out")
    return text.rstrip("/")


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


class Query(Written):
    """Changes to the query; the other parameters stay as they came, in their order."""

    set: dict[str, Annotated[str, AfterValidator(check_template)]] = Field(default_factory=dict)
    """Values by parameter name, put at the end in place of any that came."""
    remove: tuple[str, ...] = ()
    """Names of parameters to leave out."""


class Options(PolicyOptions):
    """Change path and query on the way to the upstream.

    Give `path`, or any of `strip_prefix`, `regex` and `add_prefix`, which act in this
    order. Templates may use `{path.NAME}` and the other names that `headers` knows. The
    prefixes leave the rest of the path byte for byte as it came; `path` and `regex` work on
    the decoded path and encode the outcome anew. An outcome with dot segments is refused
    with 400 `invalid_target`. Routes and redirects see the path that the client asked for.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"strip_prefix": "/api"},
                {"path": "/v2/users/{path.id}", "query": {"set": {"source": "{host}"}}},
                {"regex": "^/(\\w+)/old$", "replacement": "/\\1/new"},
            ]
        }
    )

    path: Annotated[str, AfterValidator(_path)] | None = None
    """The whole path, as a template."""
    strip_prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Leading segments to take off; other paths are left alone."""
    regex: Annotated[str, AfterValidator(_regex)] | None = Field(default=None, max_length=1024)
    """A regular expression; its first match in the path is replaced."""
    replacement: str | None = Field(default=None, max_length=1024)
    """What replaces it; `\\1` and `\\g<name>` are its groups."""
    add_prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Leading segments to put on."""
    query: Query = Query()
    """Changes to the query."""

    @model_validator(mode="after")
    def _fits(self) -> Options:
        steps = (self.strip_prefix, self.regex, self.add_prefix)
        if self.path is not None and any(step is not None for step in steps):
            raise ValueError("`path` is the whole path; leave out prefixes and `regex`")
        if (self.regex is None) != (self.replacement is None):
            raise ValueError("`regex` and `replacement` need each other")
        if self.path is None and not any(steps) and not self.query.set and not self.query.remove:
            raise ValueError("nothing to rewrite; give `path`, a prefix, `regex` or `query`")
        if self.regex is not None and self.replacement is not None:
            try:
                # Substitution checks the replacement's groups even where nothing matches.
                re.sub(self.regex, self.replacement, "")
            except (re.error, IndexError) as error:
                raise ValueError(f"`replacement` doesn't fit `regex`: {error}") from None
        return self


class Rewrite:
    """Keeps `request.target`, `path` and `query` in step."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._path = None if options.path is None else Template(options.path, "url")
        self._strip = options.strip_prefix.split("/") if options.strip_prefix else []
        self._regex = None if options.regex is None else re.compile(options.regex)
        self._replacement = options.replacement or ""
        self._add = in_path(options.add_prefix) if options.add_prefix else ""
        self._dropped = {*options.query.remove, *options.query.set}
        self._set = tuple(
            (in_query(name), Template(text)) for name, text in options.query.set.items()
        )

    def edit_request(self, request: Request) -> None:
        """Rewrite the target. Raises Refused `invalid_target` when no sound path comes out."""
        if request.path[:1] != "/":
            return
        came = request.target.partition(b"?")[0].decode("ascii")
        path = self._new_path(came, request)
        query = self._new_query(request) if self._dropped else request.query
        if path != came:
            decoded = decode_path(path)
            if climbs(decoded):
                request.decide("rewrite", "refused", "invalid_target")
                raise Refused("invalid_target", "The path leads outside of what is served.")
            request.path = decoded
        elif query == request.query:
            return
        request.query = query
        request.target = encode(f"{path}?{query}" if query else path)

    def _new_path(self, path: str, request: Request) -> str:
        """The encoded path for the upstream, from the encoded path that came."""
        if self._path is not None:
            return _rooted(self._path(request))
        path = self._stripped(path)
        if self._regex is not None:
            decoded = decode_path(path)
            replaced = self._regex.sub(self._replacement, decoded, count=1)
            if replaced != decoded:
                path = _rooted(in_path(replaced))
        return self._add + path

    def _stripped(self, path: str) -> str:
        count = len(self._strip)
        if not count:
            return path
        segments = path.split("/", count)
        if [decode_path(segment) for segment in segments[:count]] != self._strip:
            return path
        return _rooted("".join(segments[count:]))

    def _new_query(self, request: Request) -> str:
        parts = [
            part
            for part in request.query.split("&")
            if part and unquote_plus(part.partition("=")[0]) not in self._dropped
        ]
        parts += [f"{name}={in_query(template(request))}" for name, template in self._set]
        return "&".join(parts)


def _rooted(path: str) -> str:
    """The path with exactly one leading slash: two would read as a host."""
    return "/" + path.lstrip("/")


def climbs(path: str) -> bool:
    """Whether a decoded path has dot segments, as a capture of a regex route may bring in."""
    return any(segment in (".", "..") for segment in path.replace("\\", "/").split("/"))


POLICY = PolicySpec(
    "rewrite", Options, Rewrite, after={"error_envelope", "rate_limit", "redirect", "respond"}
)
