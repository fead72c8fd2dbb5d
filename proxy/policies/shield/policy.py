"""Looks for attacks in what clients send, and refuses what is too much like one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from proxy.config.listing import ONE_OR_MANY
from proxy.config.units import Size
from proxy.content.media import Media, read_media
from proxy.content.parameter import check_pattern, compile_pattern
from proxy.contract import (
    BodyStream,
    CheckedStream,
    Checks,
    Mode,
    PolicyOptions,
    PolicySpec,
    Request,
    Toolkit,
    Written,
)
from proxy.entity import read_entity
from proxy.errors import GatewayError, Refused
from proxy.policies.shield.bodies import is_binary
from proxy.policies.shield.inspection import Exemption, Finding, Inspector
from proxy.policies.shield.passing import JsonCheck, PartsCheck
from proxy.policies.shield.rule import Family
from proxy.policies.shield.rules import RULES
from proxy.policies.shield.signatures import compiled
from proxy.policies.shield.value import Value

_FAMILIES: Final = frozenset(rule.family for rule in RULES)
_NAMES: Final = frozenset(rule.name for rule in RULES)


def _rule(text: str) -> str:
    if text not in _NAMES and text not in _FAMILIES:
        family = text.partition(".")[0]
        known = sorted(name for name in _NAMES if name.startswith(f"{family}."))
        wanted = ", ".join(known) if known else ", ".join(sorted(_FAMILIES))
        raise ValueError(f"there is no rule {text!r}; there are {wanted}")
    return text


_Rules = Annotated[tuple[Annotated[str, AfterValidator(_rule)], ...], ONE_OR_MANY]


class Exemptions(Written):
    """A parameter in which some rules don't count."""

    parameter: Annotated[str, AfterValidator(check_pattern)]
    """`query:NAME`, `form:NAME`, `cookie:NAME`, `header:NAME`, `file:NAME`, `json:/POINTER`,
    `path` or `text`. A `*` stands for any characters but slashes, `**` for any."""
    rules: _Rules = ()
    """Rules or families; empty for all of them."""


class Options(PolicyOptions):
    """Look for attacks in parameters, and refuse them with 400 `suspicious_input`.

    Looked at are path, query, header fields, cookies, JSON, forms and other text, each value
    as it is and as it would be after further decodings: SQL injection (`sqli`), cross-site
    scripting (`xss`), path `traversal`, `command` injection, requests to internal addresses
    (`ssrf`), `log4shell`, NoSQL operators (`nosql`), injected lines (`crlf`), `template`
    expressions and XML entities (`xxe`). Each rule that a value matches adds to the value's
    score; a request is refused when one value reaches the threshold.

    It is in shadow mode unless told otherwise: the access line's `details` tell what it would
    have refused, by which rules and in which parameter. Look at those before you set
    `mode: enforce`, and except the parameters that are meant to hold HTML or SQL.

    This is a second line of defence, for services that nobody can mend at once. It doesn't
    make an unsafe service safe.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"mode": "enforce"},
                {
                    "mode": "enforce",
                    "exceptions": [
                        {"parameter": "json:/article/body", "rules": ["xss"]},
                        {"parameter": "query:redirect_uri", "rules": ["ssrf.local"]},
                    ],
                },
            ]
        }
    )

    mode: Mode = "shadow"
    """`enforce` acts; `shadow` decides, counts and logs, and does nothing; `off` is absent."""
    families: Annotated[tuple[Family, ...], ONE_OR_MANY] = ()
    """Kinds of attacks to look for; empty for all of them."""
    level: Literal["normal", "strict"] = "normal"
    """`strict` adds rules that also match some ordinary text: for services whose parameters are
    numbers, names and the like."""
    threshold: int = Field(default=5, ge=1, le=20)
    """The score at which a request is refused. Rules score 3 to 5: 5 is an attack by itself."""
    ignore: _Rules = ()
    """Rules or families that never count."""
    exceptions: tuple[Exemptions, ...] = ()
    """Parameters in which some rules don't count."""
    rounds: int = Field(default=2, ge=0, le=4)
    """How often a value is decoded beyond what the service does: percent signs, HTML entities,
    escapes of JavaScript."""
    inspect: Size = Field(default=128 * 1024, le=8 * 1024 * 1024)
    """So much of a body is looked at before it goes on; 0 for none of it. Of forms in parts
    the rest is looked at as it passes. So are streams that the service may answer while they
    come, and bodies that say they are no text, as far as they are JSON."""
    beyond: Literal["pass", "refuse"] = "pass"
    """Bodies with more text than `inspect`; 413 `body_too_large`. Whoever knows the limit can
    hide behind it, so refuse them where nobody sends so much."""
    undecodable: Literal["pass", "refuse"] = "refuse"
    """Bodies with a content coding that can't be undone here: all but gzip and deflate; 415
    `unsupported_media_type`."""


class Shield:
    """A gate. It waits for the beginning of a body where there is one, and goes with the rest."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        families = frozenset(options.families) or _FAMILIES
        ignored = frozenset(options.ignore)
        rules = tuple(
            rule
            for rule in RULES
            if rule.family in families
            and (rule.level == "normal" or options.level == "strict")
            and not ignored & {rule.name, rule.family}
        )
        exemptions = tuple(
            Exemption(compile_pattern(row.parameter), frozenset(row.rules))
            for row in options.exceptions
        )
        self._inspector = Inspector(
            compiled(rules), options.rounds, exemptions, plain_paths=options.level == "normal"
        )
        self._shadow = options.mode == "shadow"
        self._threshold = options.threshold
        self._inspect = options.inspect
        self._beyond = options.beyond
        self._undecodable = options.undecodable
        self._counters = {
            family: toolkit.metrics.counter(
                "sidegate_shield_matches_total",
                "Requests in which the shield found an attack, in shadow mode too.",
                route=toolkit.route,
                family=family,
            )
            for family in sorted(families)
        }

    def check(self, request: Request) -> Awaitable[None] | None:
        """Raise Refused `suspicious_input`."""
        if request.body and self._inspect:
            return self._check_all(request)
        self._judge(self._inspector.inspect(request, None))
        return None

    async def _check_all(self, request: Request) -> None:
        """The body too."""
        media = read_media(request.headers.get("content-type"))
        if not isinstance(request.body, bytes) and _is_on_its_way(request, media):
            self._judge(self._inspector.inspect(request, None))
            check = JsonCheck(self._look, self._inspect, media)
            self._watch(request, request.body, check)
            return
        entity = await read_entity(request, self._inspect)
        if entity.coding:
            self._judge(self._inspector.inspect(request, None))
            if self._undecodable == "refuse":
                raise Refused(
                    "unsupported_media_type", "The body has a content coding that isn't taken here."
                )
            return
        self._judge(self._inspector.inspect(request, entity if entity.data else None))
        if entity.whole:
            return
        if media is not None and media.is_multipart and "content-encoding" not in request.headers:
            parts = PartsCheck(self._look, self._inspect, media)
            if isinstance(request.body, bytes):
                parts.feed(request.body)
                parts.finish()
            else:
                self._watch(request, request.body, parts)
        elif self._beyond == "refuse" and not is_binary(media):
            raise Refused("body_too_large")

    def _look(self, values: list[Value]) -> None:
        self._judge(self._inspector.inspect_values(values))

    def _watch(self, request: Request, body: BodyStream, check: Checks) -> None:
        """Look at the body on its way."""

        def note(refused: GatewayError) -> bool:
            outcome = "would_refuse" if self._shadow else "refused"
            request.decide("shield", outcome, refused.rule)
            return self._shadow

        request.body = CheckedStream(body, request.length, [check], note)

    def _judge(self, findings: list[Finding]) -> None:
        if not findings:
            return
        worst = max(findings, key=lambda finding: finding.score)
        if worst.score < self._threshold:
            return
        family = worst.rules[0].partition(".")[0]
        self._counters[family].inc()
        raise Refused("suspicious_input", cause=str(worst))


def _is_on_its_way(request: Request, media: Media | None) -> bool:
    """Whether waiting for the body is idle, or would keep client and service from talking.

    What says nothing of its type, or nonsense, is waited for.
    """
    if media is None or media.is_json or media.is_form or media.is_text:
        return False
    if media.name.startswith("multipart/"):
        return False
    # Of unknown length and another type: a stream that the service answers while it comes.
    return (request.length is None or is_binary(media)) and not request.headers.raw(
        "content-encoding"
    )


POLICY = PolicySpec(
    "shield",
    Options,
    Shield,
    after={"error_envelope", "ip_filter", "bots", "hosts", "methods", "csrf", "rate_limit"},
    before={"cache", "redirect", "respond", "rewrite"},
)
