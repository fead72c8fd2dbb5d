"""What a user writes for `rate_limit`, and which of it can't be together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from proxy.config.listing import ONE_OR_MANY
from proxy.config.units import Rate, parse_size
from proxy.contract import PolicyOptions, Written
from proxy.http1.field import check_name
from proxy.limits import Algorithm, OnFailure
from proxy.policies.rate_limit.keys import Missing, check_part
from proxy.policies.rate_limit.rules import (
    COST_MAX,
    Rule,
    read_rule,
    read_statuses,
    with_distinct_names,
)
from proxy.written import number_only

LIMITS_MAX: Final = 7

_COSTS: Final = ("header:NAME", "response_header:NAME", "response_bytes")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


def _cost(value: int | str) -> int | str:
    if isinstance(value, int):
        if not 1 <= value <= COST_MAX:
            raise ValueError(f"a cost is from 1 to {COST_MAX}")
        return value
    kind, _, name = value.partition(":")
    if kind in ("header", "response_header") and name:
        check_name(name)
    elif value != "response_bytes":
        raise ValueError(f"{value!r} is no cost; write a whole number, {', '.join(_COSTS)}")
    return value


def _burst(value: object) -> object:
    """A number, or a size, of a limit that counts bytes."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return parse_size(value)
    return number_only(value)


def _amount(value: object) -> object:
    """A rate, or a plain number, read at once so that a mistake is one and not two."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return Rate.parse(value)
    return (
        value
        if isinstance(value, (str, int)) and not isinstance(value, bool)
        else Rate.parse(value)
    )


def _statuses(values: tuple[int | str, ...]) -> tuple[int | str, ...]:
    read_statuses(values)
    return values


class When(Written):
    """Which requests count."""

    status: Annotated[tuple[int | str, ...], ONE_OR_MANY, AfterValidator(_statuses)]
    """Those answered with one of these: `401`, `4xx` or `400-499`."""


class Exempt(Written):
    """Who is not limited."""

    clients: Annotated[tuple[IPv4Network | IPv6Network, ...], ONE_OR_MANY] = ()
    """Networks and addresses."""
    keys: Annotated[tuple[str, ...], ONE_OR_MANY] = ()
    """Values of the key, or of any part of it."""


_Amount = Annotated[Rate | int, BeforeValidator(_amount)]
_Parts = Annotated[tuple[Annotated[str, AfterValidator(check_part)], ...], ONE_OR_MANY]
_Burst = Annotated[
    int, BeforeValidator(_burst, json_schema_input_type=int | str), Field(ge=1, le=10**15)
]


class _Counting(Written):
    """How something is counted: of one limit, or of all that don't say otherwise."""

    limit: _Amount | None = None
    """The rate that is admitted in the long run, such as `100/s`, `5/min` or `10/30s`; of
    bytes, `10MiB/min`; for `concurrency`, a number.
    """
    burst: _Burst | None = None
    """How many may come at once after a rest, of `gcra`; by default as many as `limit` names."""
    algorithm: Algorithm = "gcra"
    """`gcra`: the allowance comes back steadily. `sliding_window`: so many in any stretch of
    the period, where a request counts up to a sixteenth of it longer. `fixed_window`: so many
    from one full period of the clock (UTC) to the next. `concurrency`: so many at one time,
    with a plain number as `limit`.
    """
    key: Annotated[_Parts, Field(min_length=1, max_length=8)] = ("client_ip",)
    """Who shares an allowance; a list for each combination of several. `client_ip`,
    `header:NAME`, `cookie:NAME`, `query:NAME`, `path:NAME` (a capture of the route's path),
    `claim:NAME` (of a verified token, `a.b` for one inside another), `identity` (who was
    authenticated), `route`, `global`. A client that may choose the value chooses its
    allowance: use what something before has verified.
    """
    cost: Annotated[int | str, AfterValidator(_cost)] = 1
    """What a request costs: a number, `header:NAME` of the request, `response_header:NAME`,
    or `response_bytes` (with a limit such as `10MiB/min`). What only the response tells is
    taken after it: then a request is admitted while anything is left. A client that may set
    the request's field chooses what it costs, 0 as well: have it set by something before.
    """
    when: When | None = None
    """Count only some: others give back what they took once they are answered."""


class Limit(_Counting):
    """One limit of several."""

    limit: _Amount
    """As the policy's own `limit`."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.:/-]{1,64}$")
    """What it is called in the fields of responses, in logs and metrics; by default the rate."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"limit": value} if isinstance(value, (str, int)) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler(core), {"type": ["string", "integer"]}]}

    def completed(self, policy: _Counting) -> Limit:
        """With what the policy says where this one says nothing."""
        said = self.model_fields_set
        inherited = {"algorithm", "key"}
        # What the policy says of costs is meant for those limits that can have them.
        if (self if "algorithm" in said else policy).algorithm != "concurrency":
            inherited |= {"cost", "when"}
        return self.model_copy(
            update={name: getattr(policy, name) for name in inherited if name not in said}
        )

    def rule(self) -> Rule:
        """As it is counted. Raises ValueError, with the fix, for what doesn't go together."""
        return read_rule(
            self.limit,
            self.algorithm,
            self.burst,
            self.key,
            self.cost,
            None if self.when is None else read_statuses(self.when.status),
            self.name,
        )


_Limits = Annotated[tuple[Limit, ...], ONE_OR_MANY, Field(max_length=LIMITS_MAX)]


class Options(PolicyOptions, _Counting):
    """Admit so many requests in a period, or at one time; refuse the rest with 429.

    Written in the global `policies:` a limit is one for all routes; a route's own entry
    counts apart. Several limits are checked together: a request that one of them refuses
    takes nothing of the others. Clients are told what is left by the fields `RateLimit` and
    `RateLimit-Policy`, and by `Retry-After` when they have to wait.

    Limits hold for the whole instance, whatever the number of workers; with `store:` in the
    configuration, for all instances together.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"limit": "100/s", "burst": 200},
                {"limit": "5/min", "key": "client_ip", "when": {"status": [401, 403]}},
                {
                    "limits": ["20/s", {"limit": "10000/day", "algorithm": "fixed_window"}],
                    "key": "header:X-Api-Key",
                    "tiers": {"gold-key": "100/s"},
                },
                {"algorithm": "concurrency", "limit": 20, "key": "route"},
            ]
        }
    )

    limits: _Limits = ()
    """Several limits, in place of `limit`: rates, or mappings that say more. What one doesn't
    say is as the policy says.
    """
    missing: Missing = "client_ip"
    """What a request counts as that lacks a part of its key: as its client's address, as one
    of all that lack it (`shared`), or not at all (`exempt`).
    """
    ipv4_prefix: int = Field(default=32, ge=1, le=32)
    """Bits of an IPv4 address that make a client."""
    ipv6_prefix: int = Field(default=64, ge=1, le=128)
    """Bits of an IPv6 address that make a client, who is usually given a whole /64."""
    tier: Annotated[str, AfterValidator(check_part)] | None = None
    """What names a request's tier, as a part of a key (`claim:plan`); by default the key."""
    tiers: dict[str, _Limits] = Field(default_factory=dict)
    """Other limits by tier: one or several, as in `limits`."""
    exempt: Exempt = Exempt()
    """Who is not limited at all."""
    precision: Literal["exact", "leased"] = "exact"
    """With a shared store: `exact` asks it about each request; `leased` lets each worker take
    some ahead, so that most requests cost no round trip. In any stretch of time at most one
    lease a worker and key is admitted beyond the limit.
    """
    lease: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many are taken ahead at most, for `leased`; by default a tenth of `burst`."""
    on_store_failure: OnFailure = "local"
    """While the store can't be asked: `local` counts in this instance alone, `open` admits
    everything, `closed` refuses everything with 503 `limit_unavailable`.
    """
    fields: Literal["draft", "legacy", "none"] = "draft"
    """How clients are told of their quota: `RateLimit` and `RateLimit-Policy`, the older
    `X-RateLimit-Limit`, `-Remaining` and `-Reset`, or not at all.
    """
    log_key: Literal["hash", "plain", "none"] = "hash"
    """How the log tells whom a refusal met."""

    _rules: tuple[Rule, ...] = PrivateAttr()
    _tiers: dict[str, tuple[Rule, ...]] = PrivateAttr()

    @model_validator(mode="after")
    def _read(self) -> Options:
        if (self.limit is None) == (not self.limits):
            raise ValueError("give `limit`, or several `limits`")
        if self.burst is not None and self.limits:
            raise _misplaced(("burst",), "with several `limits`, it is said of each")
        if self.tier is not None and not self.tiers:
            raise _misplaced(("tier",), "it chooses among `tiers`, and there are none")
        # What is shown of the options is what is counted.
        shown = self.__dict__
        if self.limit is not None:
            own = Limit.model_construct(
                limit=self.limit, burst=self.burst, algorithm=self.algorithm, key=self.key,
                cost=self.cost, when=self.when, name=None,
            )  # fmt: skip
            self._rules = _rules_of([own], ("limit",))
        else:
            shown["limits"] = tuple(limit.completed(self) for limit in self.limits)
            self._rules = _rules_of(self.limits, ("limits",))
        shown["tiers"] = {
            tier: tuple(limit.completed(self) for limit in limits)
            for tier, limits in self.tiers.items()
        }
        self._tiers = {
            tier: _rules_of(limits, ("tiers", tier)) for tier, limits in self.tiers.items()
        }
        self._check_lease()
        return self

    def rules(self, tier: str = "") -> tuple[Rule, ...]:
        """The limits as they are counted: the policy's own, or those of a tier."""
        return self._tiers[tier] if tier else self._rules

    def _check_lease(self) -> None:
        if self.precision == "exact":
            if self.lease is not None:
                raise _misplaced(("lease",), "it belongs to `precision: leased`")
            return
        for rule in (*self._rules, *(rule for rules in self._tiers.values() for rule in rules)):
            if rule.quota.algorithm == "concurrency":
                raise _misplaced(("precision",), "leased can't count requests in flight")
            if rule.settled_later or rule.statuses is not None:
                raise _misplaced(
                    ("precision",),
                    "leased needs to know the cost beforehand; it goes with neither `when` nor "
                    "a cost of the response",
                )


def _rules_of(limits: Sequence[Limit], path: tuple[str, ...]) -> tuple[Rule, ...]:
    if not limits:
        raise _misplaced(path, "it is empty; to leave somebody unlimited use `exempt`")
    rules = []
    for number, limit in enumerate(limits):
        try:
            rules.append(limit.rule())
        except ValueError as error:
            place: tuple[str | int, ...] = path if path == ("limit",) else (*path, number)
            raise _misplaced(place, str(error)) from None
    return with_distinct_names(rules)


def _misplaced(path: tuple[str | int, ...], message: str) -> ValidationError:
    """An error of the value at a path below the options."""
    kind = PydanticCustomError("value_error", "{error}", {"error": message})
    return ValidationError.from_exception_data(
        "rate_limit", [{"type": kind, "loc": path, "input": None}]
    )
