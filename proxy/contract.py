"""What a policy author needs to know, and nothing else: the one file to read.

A policy is one file in `proxy/policies/` (or a plug-in's entry point) with three names; a
large one is a folder there, whose `policy.py` has them:

    class Options(PolicyOptions):
        \"\"\"What the user writes; field docstrings become the reference.\"\"\"
        text: str = "hello"

    class Greeting:
        def __init__(self, options: Options, toolkit: Toolkit) -> None:
            self._text = options.text                  # parse and precompute everything here

        def edit_response(self, request: Request, response: Response) -> None:
            response.headers.set("X-Greeting", self._text)

    POLICY = PolicySpec("greeting", Options, Greeting, after={"error_envelope"})

It takes one or more of these shapes, and meets a request in this order; gates and editors
are given shadow mode by the binder, the others honour `options.mode` themselves:

- *request editor*: `def edit_request(request)`; changes the request in place.
- *gate*: `async def check(request)`; returns None to admit, and an `errors.Refused` to refuse, or
  raises it, which costs more; anything else is a failure. What was returned may be returned again,
  and changed by nobody. A plain `def check(request)` does the same, and costs less: it waits for
  nothing, or returns what to await.
- *responder*: `def answer(request)`; a response of its own, or None to let it pass.
- *wrapper*: `def wrap(forward) -> Handler`; for what has to stand around the waiting: may
  retry, time, buffer. Prefer the other shapes, which let a request do without a task.
- *replacer*: `def replace(request, response)`; the response from inside, or another.
- *rescuer*: `def rescue(request, error)`; a response for what was raised inside.
- *response editor*: `def edit_response(request, response)`; changes the response's head.

This module imports no I/O: time, randomness, tasks and stores come in through `Toolkit`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from proxy.body import Body as Body
from proxy.body import BodyStream as BodyStream
from proxy.body import CheckedStream as CheckedStream
from proxy.body import Checks as Checks
from proxy.body import gather as gather
from proxy.errors import Refused as Refused
from proxy.facts import AHEAD as AHEAD
from proxy.facts import Decision as Decision
from proxy.facts import RouteInfo as RouteInfo
from proxy.facts import Timings as Timings
from proxy.facts import TraceContext as TraceContext
from proxy.http1.certificate import CERTIFICATE as CERTIFICATE
from proxy.http1.certificate import ClientCertificate as ClientCertificate
from proxy.limits import Store as Store
from proxy.messages import NO_CAPTURES as NO_CAPTURES
from proxy.messages import NO_ROUTE as NO_ROUTE
from proxy.messages import NO_TRACE as NO_TRACE
from proxy.messages import Request as Request
from proxy.messages import Response as Response
from proxy.services import NO_EXCHANGE as NO_EXCHANGE
from proxy.services import NO_TARGET as NO_TARGET
from proxy.services import PRIORITIES as PRIORITIES
from proxy.services import Counter as Counter
from proxy.services import Depot as Depot
from proxy.services import Exchange as Exchange
from proxy.services import Gauge as Gauge
from proxy.services import Keep as Keep
from proxy.services import Kept as Kept
from proxy.services import Log as Log
from proxy.services import Metrics as Metrics
from proxy.services import Observations as Observations
from proxy.services import Strain as Strain
from proxy.services import Target as Target
from proxy.services import Ticket as Ticket
from proxy.services import Trove as Trove
from proxy.services import make_anew
from proxy.written import Written as Written

Mode = Literal["enforce", "shadow", "off"]


class PolicyOptions(Written):
    """The options that every policy has. Unknown options are errors."""

    # A part of them that has options of its own is a `Written` too.

    mode: Mode = "enforce"
    """`enforce` acts; `shadow` decides, counts and logs, and does nothing; `off` is absent."""

    def files(self) -> tuple[str, ...]:
        """Paths of files that the options name; a change of one reloads the configuration."""
        return ()


TRIED = "tried"
"""In `request.state`: the endpoints, as `request.endpoint` names them, that failed already and
are asked again only when there is no other."""

DEADLINE = "deadline"
"""In `request.state`: monotonic seconds at which nobody waits for the answer any more."""

LATE = "late"
"""In `request.state`: a function that says whether the time is over that the route gives its
service. Whoever is cancelled then was too slow; else somebody lost interest."""

PRIORITY = "priority"
"""In `request.state`: the place of the request's class in `PRIORITIES`; normal when absent."""

Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request. A policy wraps one around another."""


def no_upstream(name: str) -> Handler:
    """Knows of no upstream; stands for `Toolkit.ask` where there are none."""
    raise ValueError(f'there is no upstream "{name}"')


@dataclass(frozen=True, slots=True)
class Toolkit:
    """What a policy may use of the world; tests hand in a paused clock and a seeded source.

    clock: monotonic seconds. wall: seconds since 1970, UTC. random: n random bytes. trove:
    objects in memory. depot: what instances share, None where they share nothing. spawn: run a
    coroutine in the background, supervised. route: name of the route being compiled. scope: the
    route whose own entry this is; empty for an entry of all routes. identity: names this policy
    in this place; shared state is kept under it.
    sampled: whether a trace that starts here is recorded, by its ID; None where no traces
    are. strain: how busy the process is. target: the upstream of the route. keep: state that
    outlives reloads. ask: the handler that asks an upstream by its name; raises ValueError,
    which names the fix, for none. places: `file:line` of each policy of the route, outermost
    first, and under the empty name of the route itself; `default` for what nobody wrote.
    """

    clock: Callable[[], float]
    wall: Callable[[], float]
    random: Callable[[int], bytes]
    store: Store
    trove: Trove
    metrics: Metrics
    log: Log
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    route: str = ""
    scope: str = ""
    identity: str = ""
    sampled: Callable[[str], bool] | None = None
    strain: Strain = field(default_factory=Strain)
    target: Target = NO_TARGET
    keep: Keep = make_anew
    depot: Depot | None = None
    ask: Callable[[str], Handler] = no_upstream
    places: Mapping[str, str] = field(default_factory=dict)


class Gate(Protocol):
    """A policy that only admits or refuses, after waiting for something."""

    async def check(self, request: Request) -> Refused | None:
        """Return None to admit, and why not to refuse; or raise it."""
        ...


class PromptGate(Protocol):
    """A policy that admits or refuses at once, at least most of the time."""

    def check(self, request: Request) -> Awaitable[Refused | None] | Refused | None:
        """As of a `Gate`; what can be awaited is awaited first."""
        ...


class RequestEditor(Protocol):
    """A policy that changes requests."""

    def edit_request(self, request: Request) -> None:
        """Change the request in place."""
        ...


class ResponseEditor(Protocol):
    """A policy that changes the heads of responses."""

    def edit_response(self, request: Request, response: Response) -> None:
        """Change status or headers in place; never the body."""
        ...


class Responder(Protocol):
    """A policy that may answer in place of what is inside it."""

    def answer(self, request: Request) -> Response | None:
        """A response, or None to go on inside."""
        ...


class Wrapper(Protocol):
    """A policy that stands around everything inside it."""

    def wrap(self, forward: Handler) -> Handler:
        """A handler that calls `forward` or answers itself; `proxy.asking` saves it a task."""
        ...


class Replacer(Protocol):
    """A policy that may put another response in the place of one from inside."""

    def replace(self, request: Request, response: Response) -> Response | Awaitable[Response]:
        """The response to hand on; something to await where it has to be waited for."""
        ...


class Rescuer(Protocol):
    """A policy that answers failures.

    With a true attribute `only_reads` it changes nothing of them, and raises none that it was
    given: so it may be given one that a gate gives for many requests.
    """

    def rescue(self, request: Request, error: Exception) -> Response:
        """A response for what was raised inside or by its own `replace`; or raise it on."""
        ...


Policy = (
    RequestEditor | Gate | PromptGate | Responder | Wrapper | Replacer | Rescuer | ResponseEditor
)
"""An instance bound to one route; it may have several of the shapes."""


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy as the catalog knows it.

    name: the key in YAML. options: the pydantic model of what the user writes. build:
    options and toolkit to a policy. after, before: names of policies that this one stands
    inside of, or outside of; `*` in `after` puts it next to the upstream, inside of all that
    don't say the same. default: on for every route unless said otherwise. shorthand:
    the option that a bare scalar sets (`respond: 204`), empty for none. answers: it answers
    every request itself, so that its route needs no upstream. preflights: it answers CORS
    preflights, so its route takes those for the methods that it takes. idle: whether options
    that nobody wrote do nothing on a route to such an upstream, so that it is left out.
    unrouted: its global entry also stands on requests that match no route.
    """

    name: str
    options: type[PolicyOptions]
    build: Callable[[Any, Toolkit], Policy]
    after: frozenset[str] | set[str] = field(default_factory=frozenset)
    before: frozenset[str] | set[str] = field(default_factory=frozenset)
    default: bool = False
    shorthand: str = ""
    answers: bool = False
    preflights: bool = False
    idle: Callable[[Any, Target], bool] = lambda options, target: False
    unrouted: bool = False
