"""Admits requests by their method."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict

from proxy.config.listing import ONE_OR_MANY, at_least_one
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.http1.override import other_methods

_KNOWN: Final = (
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PROPPATCH", "MKCOL",
    "COPY", "MOVE", "LOCK", "UNLOCK", "SEARCH", "REPORT", "PURGE", "LINK", "UNLINK", "QUERY",
)  # fmt: skip


def _method(text: str) -> str:
    if text.upper() in _KNOWN and text != text.upper():
        raise ValueError(f"{text!r}: methods are written in capitals: {text.upper()}")
    if not (text.isascii() and text.replace("-", "").isalpha() and text == text.upper()):
        raise ValueError(f"{text!r} is no method; write GET, POST and the like")
    if text in ("CONNECT", "TRACE"):
        raise ValueError(f"{text} is refused always; leave it out")
    return text


class Options(PolicyOptions):
    """Admit the methods that are listed; 405 `method_not_allowed` with `Allow` for others.

    GET includes HEAD. Routes may match by method too; this one says so to a client that
    uses another, whatever other routes take.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"allow": ["GET", "POST"]}]})

    allow: Annotated[
        tuple[Annotated[str, AfterValidator(_method)], ...],
        AfterValidator(at_least_one),
        ONE_OR_MANY,
    ]
    """The methods, in capitals."""
    overrides: Literal["check", "pass"] = "check"
    """Fields that name another method to services which take it from there, such as
    `X-HTTP-Method-Override`. `check`: what they name has to be allowed too."""


class Methods:
    """A gate of a few look-ups."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        allowed = list(dict.fromkeys(options.allow))
        if "GET" in allowed and "HEAD" not in allowed:
            allowed.insert(allowed.index("GET") + 1, "HEAD")
        self._allowed = frozenset(allowed)
        self._overrides = options.overrides == "check"
        self._headers = (("Allow", ", ".join(allowed)),)

    def check(self, request: Request) -> None:
        """Raise Refused `method_not_allowed` for other methods."""
        if request.method not in self._allowed or (
            self._overrides and not self._allowed.issuperset(other_methods(request.headers))
        ):
            raise Refused("method_not_allowed", headers=self._headers)


POLICY = PolicySpec(
    "methods",
    Options,
    Methods,
    after={"error_envelope", "ip_filter"},
    before={"rate_limit", "cache"},
    shorthand="allow",
)
