"""Sends a request again when that is harmless and may help, to another endpoint first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from proxy.asking import Asked, Given, Inside, PatientAsker, Pending, ask_through, waited
from proxy.config.units import Duration, Rate, Share, Size, parse_duration
from proxy.contract import (
    DEADLINE,
    TRIED,
    Counter,
    Handler,
    PolicyOptions,
    PolicySpec,
    Request,
    Response,
    Toolkit,
    Written,
)
from proxy.errors import GatewayError
from proxy.http1.field import check_editable
from proxy.http1.method import IDEMPOTENT
from proxy.http1.retry_after import seconds_of
from proxy.policies.retry.budget import Budget
from proxy.policies.retry.conditions import Conditions, check_condition
from proxy.policies.retry.hedge import Hedge
from proxy.policies.retry.replay import Replay


class Backoff(Written):
    """How long to wait before sending again: anything from nothing to the bound, by lot, which
    doubles with each try (full jitter)."""

    base: Duration = Field(default=0.025, le=60)
    """The bound before the second try."""
    max: Duration = Field(default=1.0, le=300)
    """The bound that it doubles up to. A service that asks for more by Retry-After isn't asked
    again."""


class BudgetOptions(Written):
    """How much traffic all retries of an upstream together may add. Each worker counts for
    itself."""

    share: Share = Field(default=0.2, le=10)
    """Of the requests of the last ten seconds."""
    least: Rate = Rate(3, 1.0)
    """Allowed whatever the traffic, so that a quiet service has retries as well."""


class Options(PolicyOptions):
    """Send a request again, to another endpoint first, when its failure allows it.

    A request that was certainly not sent may always be sent again. One that may have been
    handled is sent again only for idempotent methods, or those that `methods` names. On by
    default where the upstream has several endpoints. The retries of an upstream share one
    budget.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"attempts": 3, "on": ["connect", "reset", "timeout", "503"]},
                {"attempts": 2, "methods": ["GET", "POST"], "body": "1MiB"},
                {"hedge": "p95"},
            ]
        }
    )

    attempts: int = Field(default=3, ge=1, le=10)
    """How often a request is sent at most, the first time included."""
    on: tuple[Annotated[str, AfterValidator(check_condition)], ...] = ("connect", "reset")
    """What is retried: `connect` (no connection), `reset` (closed before an answer), `timeout`
    (no answer in time), `invalid` (an answer that is no HTTP), and statuses as `503` or `5xx`."""
    methods: tuple[str, ...] | Literal["idempotent"] = "idempotent"
    """Methods of requests that may be handled twice; `idempotent` are GET, HEAD, OPTIONS, TRACE,
    PUT and DELETE. Name POST only where the service recognizes repeats."""
    backoff: Backoff = Backoff()
    """How long to wait before the next try."""
    budget: BudgetOptions = BudgetOptions()
    """How much traffic retries may add."""
    body: Size = Field(default=64 * 1024, le=64 * 1024 * 1024)
    """A streamed body is remembered up to this size to be sent again; a larger one isn't."""
    header: Annotated[str, AfterValidator(partial(check_editable, side="request"))] | None = (
        "X-Attempt-Count"
    )
    """Request field that tells the service which try a repeated request is, from 2; what
    clients send in it is taken out. `null` for none."""
    hedge: str | None = None
    """Send idempotent requests without a streaming body a second time when there is no answer
    after this duration, and take whichever answer comes first: `300ms`, or `p95` for the time
    in which 95 of 100 lately had theirs. Off by default."""

    @field_validator("on", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        rows = value if isinstance(value, list | tuple) else [value]
        return [str(row) if isinstance(row, int) else row for row in rows]

    @field_validator("hedge")
    @classmethod
    def _delay(cls, value: str | None) -> str | None:
        if value is None or value == "p95":
            return value
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            raise ValueError(f"{error}; or p95") from None
        if not 0.001 <= seconds <= 600:
            raise ValueError("must be p95, or a duration from 1ms to 10m")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Options:
        if self.backoff.max < self.backoff.base:
            raise ValueError("`backoff.max` must be at least `backoff.base`")
        return self


class Retry:
    """Stands next to the upstream. Budgets are shared by all routes that ask the same one with
    the same budget, and outlive reloads."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        target = toolkit.target
        self._attempts = options.attempts
        self._shadow = options.mode == "shadow"
        methods = IDEMPOTENT if options.methods == "idempotent" else options.methods
        self.conditions = Conditions(options.on, methods)
        """What may be sent again."""
        self._methods = frozenset(methods)
        self._base = options.backoff.base
        self._max = options.backoff.max
        # With one try alone nothing is remembered.
        self._body = options.body if options.attempts > 1 else 0
        self._header = options.header or ""
        self._key = self._header.lower()
        self._clock = toolkit.clock
        self._wall = toolkit.wall
        self._random = toolkit.random
        budget = options.budget
        least = budget.least.count / budget.least.period
        key = f"retry/budget/{target.name}/{budget.share}/{least}"
        self._budget = toolkit.keep(key, lambda: Budget(budget.share, least))
        self._count = _Counts(toolkit, target.name)
        self._hedge: Hedge | None = None
        if options.hedge is not None and not self._shadow:
            self._hedge = Hedge(options.hedge, self._methods, self._budget, toolkit)

    def wrap(self, forward: Handler) -> Handler:
        """A handler that asks again; `forward` itself when there is nothing to do."""
        if self._hedge is not None:
            return Retrying(self, self._hedge.wrap(forward))
        return forward if self._attempts == 1 else Retrying(self, forward)

    def begin(self, request: Request) -> Replay | None:
        """Prepare a request for being sent; of a body that streams, what can send it again."""
        self._budget.request(self._clock())
        if self._key:
            request.headers.remove(self._key)
        if isinstance(request.body, bytes):
            return None
        replay = Replay(request.body, self._body)
        request.body = replay.body()
        return replay

    async def again(
        self,
        request: Request,
        forward: Handler,
        replay: Replay | None,
        failed: Response | GatewayError,
        reason: str,
    ) -> Response:
        """Send again until there is an answer to keep. Returns it, or the last failure."""
        first = request.timings.forwarded
        asked: set[str] = request.state.setdefault(TRIED, set())
        attempt = 1
        while reason:
            why_not = self._refusal(attempt, replay)
            delay = self._delay(attempt, failed)
            if not why_not and delay is None:
                why_not = "retry_after"
            elif not why_not and self._clock() + (delay or 0.0) >= request.state.get(
                DEADLINE, float("inf")
            ):
                why_not = "deadline"
            if not why_not and not self._shadow and not self._budget.take(self._clock()):
                why_not = "budget"
            if why_not:
                self._count.given_up(why_not)
                break
            if self._shadow:
                request.decide("retry", "would_change", f"retry on {reason}")
                break
            attempt += 1
            self._count.retried(reason)
            request.decide("retry", "changed", f"try {attempt} on {reason}")
            asked.add(request.endpoint)
            if isinstance(failed, Response) and not isinstance(failed.body, bytes):
                await failed.body.aclose()
            if delay:
                await asyncio.sleep(delay)
            if self._header:
                request.headers.set(self._header, str(attempt))
            if replay is not None:
                request.body = replay.body()
            try:
                failed = await forward(request)
                reason = self.conditions.of_response(failed, request.method)
            except GatewayError as error:
                failed = error
                reason = self.conditions.of_error(error, request.method)
            finally:
                # All tries are the upstream's time, not the policies'.
                request.timings.forwarded = first
        if isinstance(failed, GatewayError):
            raise failed
        return failed

    def _refusal(self, attempt: int, replay: Replay | None) -> str:
        if attempt >= self._attempts:
            return "attempts"
        return "body" if replay is not None and not replay.possible else ""

    def _delay(self, attempt: int, failed: Response | GatewayError) -> float | None:
        """Seconds to wait before the next try; None when the service asks for more patience."""
        bound = min(self._max, self._base * 2.0 ** (attempt - 1))
        delay = bound * int.from_bytes(self._random(4), "little") / 2**32
        if isinstance(failed, Response):
            asked = seconds_of(failed.headers.get("retry-after"), self._wall())
            if asked is not None:
                return None if asked > self._max else max(asked, delay)
        return delay


class Retrying:
    """A handler that asks `forward`, and once more where that may help."""

    def __init__(self, policy: Retry, forward: Handler) -> None:
        self._policy = policy
        self._conditions = policy.conditions
        self._inside = Inside(forward)

    async def __call__(self, request: Request) -> Response:
        """Ask. Raises the last failure."""
        replay = self._policy.begin(request)
        return await waited(self, replay, request, self._inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Ask at once where that can be; a second try has to be waited for."""
        return ask_through(self, self._policy.begin(request), self._inside, request, asker)

    def answered(self, ticket: Replay | None, request: Request, response: Response) -> Given:
        """A response came, which may be a failure all the same."""
        reason = self._conditions.of_response(response, request.method)
        return self._again(ticket, request, response, reason) if reason else response

    def failed(self, ticket: Replay | None, request: Request, error: BaseException) -> Given:
        """None came."""
        if not isinstance(error, GatewayError):
            raise error
        reason = self._conditions.of_error(error, request.method)
        if not reason:
            raise error
        return self._again(ticket, request, error, reason)

    def _again(
        self, replay: Replay | None, request: Request, failed: Response | GatewayError, reason: str
    ) -> Given:
        return self._policy.again(request, self._inside.ask, replay, failed, reason)


class _Counts:
    """The counters of one upstream's retries."""

    def __init__(self, toolkit: Toolkit, upstream: str) -> None:
        self._retried: dict[str, Counter] = {}
        self._given_up: dict[str, Counter] = {}
        self._make: Callable[..., Any] = toolkit.metrics.counter
        self._upstream = upstream

    def retried(self, reason: str) -> None:
        self._cell(
            self._retried,
            "sidegate_retries_total",
            "Requests that the policy retry sent once more, by cause.",
            reason,
        ).inc()

    def given_up(self, reason: str) -> None:
        self._cell(
            self._given_up,
            "sidegate_retries_denied_total",
            "Failures that could have been retried and weren't, by what stood against it.",
            reason,
        ).inc()

    def _cell(
        self, cells: dict[str, Counter], name: str, documentation: str, reason: str
    ) -> Counter:
        cell = cells.get(reason)
        if cell is None:
            cell = cells[reason] = self._make(
                name, documentation, upstream=self._upstream, reason=reason
            )
        return cell


POLICY = PolicySpec(
    "retry",
    Options,
    Retry,
    after={"*"},
    default=True,
    shorthand="attempts",
    idle=lambda options, target: not target.several,
)
