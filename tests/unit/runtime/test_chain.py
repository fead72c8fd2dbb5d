"""The binder means plain nesting, whatever form it takes; and shadow mode touches nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.asking import Asked, Inside, PatientAsker, Pending, ask_through, waited
from proxy.contract import Handler, Mode, Request, Response
from proxy.errors import GatewayError, Refused
from proxy.http1.headers import Headers
from proxy.runtime.chain import BoundPolicy, bind
from proxy.runtime.failing import raise_failure
from proxy.runtime.level import Level
from tests.unit.policies.world import Journal


class Shaped:
    """A policy of some shapes that writes down when each was called.

    shapes: `e` request editor, `c` check, `n` check at once, `m` check that waits, `g`, `i` and `j`
    checks that give their refusal: at once, of a coroutine, after a wait; `a` answer, `w` wrap,
    `u` wrap that asks at once, `v` wrap that gives back what it got, `p` replace, `q` replace
    after waiting, `s` rescue, `r` response editor. fails: the shape that raises or refuses; `x`
    raises behind what is wrapped, `h` catches there, `y` answers, `z` rescues.
    """

    def __init__(self, name: str, shapes: str, fails: str, told: list[str]) -> None:
        self.name = name
        self.shapes = shapes
        self._fails = fails
        self._told = told
        if "e" in shapes:
            self.edit_request = self._edit_request
        if "c" in shapes:
            self.check: Any = self._check
        if "n" in shapes:
            self.check = self._check_now
        if "m" in shapes:
            self.check = self._check_later
        if "g" in shapes:
            self.check = self._verdict
        if "i" in shapes:
            self.check = self._verdict_of_coroutine
        if "j" in shapes:
            self.check = self._verdict_later
        if "a" in shapes:
            self.answer = self._answer
        if "p" in shapes:
            self.replace: Any = self._replace
        if "q" in shapes:
            self.replace = self._replace_later
        if "s" in shapes:
            self.rescue = self._rescue
        if "w" in shapes:
            self.wrap: Any = self._wrap
        if "u" in shapes:
            self.wrap = self._wrap_at_once
        if "v" in shapes:
            self.wrap = self._wrap_nothing
        if "r" in shapes:
            self.edit_response = self._edit_response

    def _note(self, what: str) -> None:
        self._told.append(f"{self.name}.{what}")
        if what in self._fails:
            raise Refused("forbidden", self.name)

    def _edit_request(self, request: Request) -> None:
        self._note("e")

    async def _check(self, request: Request) -> None:
        self._note("c")

    def _check_now(self, request: Request) -> None:
        self._note("n")

    def _check_later(self, request: Request) -> Awaitable[None]:
        async def later() -> None:
            await asyncio.sleep(0)
            self._note("m")

        return later()

    def _verdict(self, request: Request, what: str = "g") -> Refused | None:
        self._told.append(f"{self.name}.{what}")
        return Refused("forbidden", self.name) if what in self._fails else None

    async def _verdict_of_coroutine(self, request: Request) -> Refused | None:
        return self._verdict(request, "i")

    def _verdict_later(self, request: Request) -> Awaitable[Refused | None]:
        async def later() -> Refused | None:
            await asyncio.sleep(0)
            return self._verdict(request, "j")

        return later()

    def _answer(self, request: Request) -> Response | None:
        self._note("a")
        return Response(201) if "y" in self._fails else None

    def _replace(self, request: Request, response: Response) -> Response:
        self._note("p")
        return Response(response.status + 1)

    async def _replace_later(self, request: Request, response: Response) -> Response:
        await asyncio.sleep(0)
        self._note("q")
        return Response(response.status + 10)

    def _rescue(self, request: Request, error: Exception) -> Response:
        self._told.append(f"{self.name}.s {error.detail}")  # type: ignore[attr-defined]
        if "z" in self._fails:
            return Response(403)
        raise Refused("forbidden", self.name + " again")

    def _wrap(self, forward: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            self._note("w")
            try:
                response = await forward(request)
            except Refused:
                if "h" not in self._fails:
                    raise
                self._told.append(f"{self.name}.h")
                response = Response(403)
            self._note("x")
            return response

        return handle

    def _wrap_at_once(self, forward: Handler) -> Handler:
        return Wrapped(self, forward)

    def _wrap_nothing(self, forward: Handler) -> Handler:
        return forward

    def _edit_response(self, request: Request, response: Response) -> None:
        self._note("r")


class Wrapped:
    """What `w` does, for those who ask at once as well."""

    def __init__(self, policy: Shaped, forward: Handler) -> None:
        self._policy = policy
        self._inside = Inside(forward)

    async def __call__(self, request: Request) -> Response:
        self._policy._note("w")
        return await waited(self, "x", request, self._inside.ask(request))

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        self._policy._note("w")
        return ask_through(self, "x", self._inside, request, asker)

    def answered(self, ticket: str, request: Request, response: Response) -> Response:
        self._policy._note(ticket)
        return response

    def failed(self, ticket: str, request: Request, error: BaseException) -> Response:
        if "h" not in self._policy._fails or not isinstance(error, Refused):
            raise error
        self._policy._told.append(f"{self._policy.name}.h")
        self._policy._note(ticket)
        return Response(403)


def nested(policies: Sequence[Shaped], terminal: Handler) -> Handler:
    """The meaning of a chain, a coroutine for each shape."""
    handler = terminal
    for policy in reversed(policies):
        handler = _around(policy, handler)
    return handler


def _around(policy: Shaped, forward: Handler) -> Handler:
    inside = policy.wrap(forward) if {"w", "u"} & set(policy.shapes) else forward

    async def answered(request: Request) -> Response:
        if "a" in policy.shapes:
            answer = policy.answer(request)
            if answer is not None:
                return answer
        try:
            response = await inside(request)
            if "p" in policy.shapes:
                response = policy.replace(request, response)
            if "q" in policy.shapes:
                response = await policy.replace(request, response)
        except Refused as error:
            if "s" not in policy.shapes:
                raise
            return policy.rescue(request, error)
        return response

    async def handle(request: Request) -> Response:
        if "e" in policy.shapes:
            policy.edit_request(request)
        if "c" in policy.shapes:
            await policy.check(request)
        if "n" in policy.shapes:
            policy.check(request)
        if "m" in policy.shapes:
            await policy.check(request)
        if {"g", "i", "j"} & set(policy.shapes):
            verdict = policy.check(request)
            refused = verdict if "g" in policy.shapes else await verdict
            if refused is not None:
                raise refused
        response = await answered(request)
        if "r" in policy.shapes:
            policy.edit_response(request, response)
        return response

    return handle


def a_request() -> Request:
    return Request("GET", b"/a", "/a", "", Headers([(b"X-A", b"1")]))


SHAPES = st.sampled_from(
    ["", "e", "c", "w", "r", "er", "ec", "ecr", "ew", "wr", "ecwr", "cr", "n", "en", "enwr", "a",
     "ar", "nar", "car", "ecaps", "p", "q", "s", "s", "sr", "ps", "qs", "qsr", "aw", "wps", "v",
     "vr", "nv", "avps", "m", "emar", "mps", "u", "u", "eu", "ur", "nur", "aups", "uqs", "g", "g",
     "gar", "egwr", "gps", "i", "iaps", "j", "ejur"]
)  # fmt: skip
FAILS = st.sampled_from(
    ["", "", "", "", "e", "c", "n", "m", "w", "x", "r", "h", "h", "a", "y", "y", "p", "q", "z",
     "z", "zp", "zq", "zr", "g", "g", "i", "j"]
)  # fmt: skip


class Terminal:
    """What stands inside of all policies. prompt: it can be asked without waiting."""

    def __init__(self, told: list[str], broken: bool, prompt: bool) -> None:
        self._told = told
        self._broken = broken
        if prompt:
            self.ask_now = self._ask_now
            self.ask_again = self._ask_again

    async def __call__(self, request: Request) -> Response:
        self._told.append("terminal")
        if self._broken:
            raise Refused("forbidden", "terminal")
        return Response(200)

    def _ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        self._told.append("terminal")
        if self._broken:
            asker.failed(Refused("forbidden", "terminal"))
        else:
            asker.answered(Response(200))
        return cast("Asked", self)

    def _ask_again(self, request: Request, error: GatewayError) -> Pending | None:
        return None


class Outcome:
    """An asker that keeps what it is told."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.error: BaseException | None = None
        self.waiting: Pending | None = None

    def interim(self, status: int, headers: Headers) -> None:
        raise AssertionError("nobody says anything in between")

    def answered(self, response: Response) -> None:
        self.response = response

    def failed(self, error: BaseException) -> None:
        self.error = error

    def delayed(self, waiting: Pending, answered: bool) -> None:
        self.waiting = waiting


async def step_by_step(level: Level, request: Request) -> Response:
    """What comes of a request whose level is gone down and up in plain calls, as a connection
    does it."""
    given = level.descend(request)
    if given is None and level.inside.ask_now is not None:
        told = Outcome()
        try:
            asked = level.inside.ask_now(request, told)
        except Exception as error:
            given = level.fail(request, error)
        else:
            waiting = asked if isinstance(asked, Coroutine) else told.waiting
            if waiting is not None:
                given = level.go_on(request, waiting)
            elif told.response is not None:
                given = level.ascend(request, told.response)
            else:
                assert told.error is not None
                given = level.fail(request, told.error)
    if given is None:
        given = level.go_on(request, level.inside.ask(request))
    return given if isinstance(given, Response) else await given


@settings(max_examples=500)
@given(
    chain=st.lists(st.tuples(SHAPES, FAILS), max_size=7), broken=st.booleans(), prompt=st.booleans()
)
def test_any_chain_does_what_nesting_does(
    chain: list[tuple[str, str]], broken: bool, prompt: bool
) -> None:
    outcomes = []
    for form in (nested, bound, stepped):
        told: list[str] = []
        policies = [
            Shaped(f"p{place}", shapes, fails, told) for place, (shapes, fails) in enumerate(chain)
        ]
        try:
            handler = form(policies, Terminal(told, broken, prompt))
            ended = str(asyncio.run(_answer(handler)).status)
        except Refused as refusal:
            ended = refusal.detail
        outcomes.append((told, ended))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == outcomes[2]


def stepped(policies: Sequence[Shaped], terminal: Handler) -> Handler:
    level = bound(policies, terminal)
    return lambda request: step_by_step(level, request)


def bound(policies: Sequence[Shaped], terminal: Handler) -> Level:
    return bind([BoundPolicy(policy.name, "enforce", policy) for policy in policies], terminal)


async def _answer(handler: Handler) -> Response:
    return await handler(a_request())


async def ok(request: Request) -> Response:
    return Response(200, Headers([(b"X-B", b"2")]))


def test_without_policies_the_chain_is_its_terminal() -> None:
    assert bind([], ok).inside.ask is ok
    told: list[str] = []
    off = BoundPolicy("p", "off", Shaped("p", "ecwr", "", told))
    assert bind([off], ok).inside.ask is ok


async def test_a_wrapper_that_gives_back_what_it_got_hides_nothing_inside_of_it() -> None:
    told: list[str] = []
    policies = [Shaped("outside", "v", "", told), Shaped("gate", "n", "n", told)]
    level = bound(policies, Terminal(told, broken=False, prompt=True))
    with pytest.raises(Refused):
        await step_by_step(level, a_request())
    assert told == ["gate.n"]


async def test_a_level_around_a_level_asks_through_both() -> None:
    told: list[str] = []
    inner = bound([Shaped("gate", "n", "n", told)], Terminal(told, broken=False, prompt=True))
    with pytest.raises(Refused):
        await step_by_step(Level((), inner), a_request())


class Gate:
    """A gate that raises what it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def check(self, request: Request) -> None:
        if self._error is not None:
            raise self._error


class PromptGate(Gate):
    """The same with nothing to wait for."""

    def check(self, request: Request) -> None:  # type: ignore[override]
        if self._error is not None:
            raise self._error


class Giving(Gate):
    """Gives its refusal instead of raising it."""

    async def check(self, request: Request) -> Refused | None:  # type: ignore[override]
        if self._error is None or isinstance(self._error, Refused):
            return self._error
        raise self._error


class PromptGiving(Gate):
    """The same with nothing to wait for."""

    def check(self, request: Request) -> Refused | None:  # type: ignore[override]
        if self._error is None or isinstance(self._error, Refused):
            return self._error
        raise self._error


@pytest.mark.parametrize("kind", [Gate, PromptGate, Giving, PromptGiving])
@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize(
    ("mode", "error", "outcome", "raised"),
    [
        ("enforce", None, ("gate", "admitted", ""), False),
        ("enforce", Refused("rate_limited"), ("gate", "refused", "rate_limited"), True),
        ("shadow", None, ("gate", "admitted", ""), False),
        ("shadow", Refused("rate_limited"), ("gate", "would_refuse", "rate_limited"), False),
        (
            "shadow",
            Refused("invalid_input", status=400, cause="/a"),
            ("gate", "would_refuse", "invalid_input: /a"),
            False,
        ),
        ("shadow", KeyError("k"), ("gate", "would_fail", "KeyError"), False),
        (
            "shadow",
            GatewayError("upstream_timeout"),
            ("gate", "would_fail", "GatewayError"),
            False,
        ),
    ],
)
async def test_what_a_gate_decided_is_noted(
    mode: Mode,
    error: Exception | None,
    outcome: tuple[str, str, str],
    raised: bool,
    others: int,
    kind: type[Gate],
) -> None:
    policies = [BoundPolicy("gate", mode, kind(error))]
    policies += [BoundPolicy("other", "enforce", Gate())] * others
    request = a_request()
    handler = bind(policies, ok)
    if raised:
        assert error is not None
        with pytest.raises(type(error)) as caught:
            await handler(request)
        assert (caught.value is error) == (kind in (Gate, PromptGate))
        assert str(caught.value) == str(error)
        assert request.decisions == [outcome]
    else:
        assert (await handler(request)).status == 200
        assert request.decisions == [outcome, *[("other", "admitted", "")] * others]


@pytest.mark.parametrize("others", [0, 1])
async def test_an_enforced_gate_that_breaks_breaks_the_request(others: int) -> None:
    policies = [BoundPolicy("gate", "enforce", Gate(KeyError("k")))]
    policies += [BoundPolicy("other", "enforce", Gate())] * others
    request = a_request()
    with pytest.raises(KeyError):
        await bind(policies, ok)(request)
    assert request.decisions == []


class Editor:
    """Changes something of everything, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def edit_request(self, request: Request) -> None:
        request.headers.set("X-A", "changed")
        request.target, request.path = b"/b", "/b"
        if self._error is not None:
            raise self._error

    def edit_response(self, request: Request, response: Response) -> None:
        response.headers.remove("x-b")
        response.status = 204
        if self._error is not None:
            raise self._error


class Idle:
    """Looks, and changes nothing."""

    def edit_request(self, request: Request) -> None:
        request.headers.set("X-A", "1")

    def edit_response(self, request: Request, response: Response) -> None:
        response.headers.set("X-B", "2")


@pytest.mark.parametrize(
    ("policy", "decisions"),
    [
        (
            Editor(),
            [
                ("p", "would_change", "request target, path, headers"),
                ("p", "would_change", "response status, headers"),
            ],
        ),
        (Idle(), []),
        (Editor(KeyError("k")), [("p", "would_fail", "KeyError")] * 2),
        (
            Editor(Refused("invalid_target")),
            [("p", "would_refuse", "invalid_target"), ("p", "would_fail", "Refused")],
        ),
    ],
)
async def test_an_editor_in_shadow_mode_changes_nothing(
    policy: Any, decisions: list[tuple[str, str, str]]
) -> None:
    request = a_request()
    response = await bind([BoundPolicy("p", "shadow", policy)], ok)(request)
    assert request.decisions == decisions
    assert (request.target, request.path) == (b"/a", "/a")
    assert request.headers.fields() == [(b"X-A", b"1")]
    assert response.status == 200
    assert response.headers.fields() == [(b"X-B", b"2")]


async def test_failures_in_shadow_mode_are_all_counted_and_logged_once() -> None:
    records = Journal()
    broken = BoundPolicy("p", "shadow", Gate(KeyError("secret")))
    handler = bind([broken], ok, log=records, metrics=records)
    for _ in range(3):
        assert (await handler(a_request())).status == 200
    assert records.counts["sidegate_shadow_failures_total", "p"].value == 3
    ((_, _, told),) = records.lines
    assert told["policy"] == "p"
    assert told["exception_class"] == "KeyError"
    assert "secret" not in str(told)


async def test_cancellation_is_never_taken_for_a_failure() -> None:
    class Cancelled:
        async def check(self, request: Request) -> None:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await bind([BoundPolicy("p", "shadow", Cancelled())], ok)(a_request())


class Sometimes:
    """A check that waits for every request with the field `X-Wait`, and refuses those that say
    so. It notes what it meets."""

    def __init__(self, notes: list[str], name: str) -> None:
        self._notes = notes
        self._name = name

    def edit_request(self, request: Request) -> None:
        self._notes.append(f"{self._name} edits")

    def check(self, request: Request) -> Awaitable[None] | None:
        self._notes.append(f"{self._name} checks")
        return self._wait(request) if "x-wait" in request.headers else None

    async def _wait(self, request: Request) -> None:
        await asyncio.sleep(0)
        if request.headers.get("x-wait") == self._name:
            raise Refused("rate_limited")

    def answer(self, request: Request) -> Response | None:
        self._notes.append(f"{self._name} might answer")
        return None

    def replace(self, request: Request, response: Response) -> Response:
        self._notes.append(f"{self._name} might replace")
        return response

    def edit_response(self, request: Request, response: Response) -> None:
        self._notes.append(f"{self._name} amends")


def waiting(value: str) -> Request:
    """A request for which `Sometimes` waits, unless the value is empty."""
    request = a_request()
    if value:
        request.headers.set("X-Wait", value)
    return request


class Saves:
    """Answers whatever was raised inside."""

    def rescue(self, request: Request, error: Exception) -> Response:
        return Response(418 if isinstance(error, Refused) else 599)


@pytest.mark.parametrize("failing_inside", [False, True])
async def test_a_check_that_waits_now_and_then_is_met_as_if_it_didn_t(
    failing_inside: bool,
) -> None:
    told = {}
    for wait in ("", "1"):
        notes: list[str] = []
        policies = [
            BoundPolicy("saves", "enforce", Saves()),
            *(BoundPolicy(name, "enforce", Sometimes(notes, name)) for name in ("a", "b")),
        ]
        handler = bind(policies, raise_failure if failing_inside else ok)
        request = waiting(wait)
        response = await handler(request)
        told[bool(wait)] = (notes, response.status, request.decisions)
    assert told[True] == told[False]
    notes, status, decisions = told[True]
    assert decisions == [("a", "admitted", ""), ("b", "admitted", "")]
    assert status == (599 if failing_inside else 200)
    assert notes.count("a amends") == (0 if failing_inside else 1)


@pytest.mark.parametrize("name", ["a", "b"])
async def test_it_refuses_after_the_wait(name: str) -> None:
    notes: list[str] = []
    policies = [
        BoundPolicy("saves", "enforce", Saves()),
        *(BoundPolicy(name, "enforce", Sometimes(notes, name)) for name in ("a", "b")),
    ]
    request = waiting(name)
    response = await bind(policies, ok)(request)
    assert response.status == 418
    assert request.decisions[-1] == (name, "refused", "rate_limited")
    assert f"{name} might answer" not in notes
    assert "b amends" not in notes


async def test_in_shadow_it_admits_after_the_wait() -> None:
    notes: list[str] = []
    request = waiting("a")
    response = await bind([BoundPolicy("a", "shadow", Sometimes(notes, "a"))], ok)(request)
    assert response.status == 200
    assert ("a", "would_refuse", "rate_limited") in request.decisions


class Constant:
    """Refuses everybody by the same refusal."""

    def __init__(self, later: bool) -> None:
        self.refused = Refused("invalid_input", status=400, headers=(("X-A", "1"),), cause="c")
        self._later = later

    def check(self, request: Request) -> Awaitable[Refused] | Refused:
        return ready(self.refused) if self._later else self.refused


async def ready(refused: Refused) -> Refused:
    return refused


class Raises:
    """Raises on what it is given, in this way."""

    def __init__(self, way: str) -> None:
        self._way = way

    def rescue(self, request: Request, error: Exception) -> Response:
        if self._way == "as it is being raised":
            raise  # noqa: PLE0704
        assert isinstance(error, Refused)
        error.headers = (*error.headers, ("X-B", "2"))
        raise error


class Reads:
    """Answers, and says that it only reads. met: what it was given."""

    only_reads = True

    def __init__(self) -> None:
        self.met: list[Exception] = []

    def rescue(self, request: Request, error: Exception) -> Response:
        self.met.append(error)
        return Response(418)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("way", ["", "as it is being raised", "changed"])
async def test_one_refusal_for_many_requests_stays_as_it_is(way: str, later: bool) -> None:
    gate = Constant(later)
    policies = [BoundPolicy("gate", "enforce", gate)]
    if way:
        policies.insert(0, BoundPolicy("raises", "enforce", Raises(way)))
    handler = bind(policies, ok)
    for _ in range(3):
        request = a_request()
        with pytest.raises(Refused) as raised:
            await handler(request)
        assert str(raised.value) == str(gate.refused)
        assert len(raised.value.headers) == (2 if way == "changed" else 1)
        assert request.decisions == [("gate", "refused", "invalid_input: c")]
    # It would hold on to all requests that it was raised for.
    assert (gate.refused.__traceback__, gate.refused.__context__) == (None, None)
    assert gate.refused.headers == (("X-A", "1"),)


async def test_who_only_reads_is_given_it_itself() -> None:
    gate, reads = Constant(later=False), Reads()
    policies = [BoundPolicy("reads", "enforce", reads), BoundPolicy("gate", "enforce", gate)]
    for _ in range(2):
        assert (await bind(policies, ok)(a_request())).status == 418
    assert reads.met == [gate.refused] * 2


class Edits:
    """Takes itself for a gate."""

    def edit_request(self, request: Request) -> Any:
        return Refused("forbidden")


class Answers:
    """The same as a responder."""

    def answer(self, request: Request) -> Any:
        return Refused("forbidden")


class AnswersLate:
    """The same after waiting."""

    async def answer(self, request: Request) -> Any:
        return Refused("forbidden")


class Amends:
    """The same on the way out."""

    def edit_response(self, request: Request, response: Response) -> Any:
        return Refused("forbidden")


@pytest.mark.parametrize("kind", [Edits, Answers, AnswersLate, Amends])
async def test_only_a_gate_may_return_a_refusal(kind: type[Any]) -> None:
    reads = Reads()
    policies = [BoundPolicy("reads", "enforce", reads), BoundPolicy("p", "enforce", kind())]
    assert (await bind(policies, ok)(a_request())).status == 418
    assert [type(error) for error in reads.met] == [TypeError]


class Confused:
    """Takes True for consent."""

    def check(self, request: Request) -> Any:
        return True


class Mistaken:
    """The same, after waiting."""

    async def check(self, request: Request) -> Any:
        return True


@pytest.mark.parametrize("kind", [Confused, Mistaken])
async def test_a_check_that_returns_neither_none_nor_a_refusal_admits_nobody(
    kind: type[Confused | Mistaken],
) -> None:
    with pytest.raises(TypeError):
        await bind([BoundPolicy("p", "enforce", kind())], ok)(a_request())
    request = a_request()
    assert (await bind([BoundPolicy("p", "shadow", kind())], ok)(request)).status == 200
    assert request.decisions == [("p", "would_fail", "TypeError")]


class _Body:
    """A body that nobody reads. closed: somebody said so."""

    def __init__(self) -> None:
        self.closed = False

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        raise AssertionError("it is not read")

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("form", [bound, stepped])
@pytest.mark.parametrize(("shapes", "fails"), [("r", "r"), ("p", "p")])
@pytest.mark.parametrize("rescued", [True, False])
async def test_a_body_that_a_failing_policy_keeps_from_its_reader_is_let_go(
    form: Callable[[Sequence[Shaped], Handler], Handler], shapes: str, fails: str, rescued: bool
) -> None:
    body, told = _Body(), list[str]()

    async def terminal(request: Request) -> Response:
        return Response(200, body=body)

    outer = Shaped("outer", "s" if rescued else "", "z", told)
    handler = form([outer, Shaped("inner", shapes, fails, told)], terminal)
    if rescued:
        assert (await handler(a_request())).status != 200
    else:
        with pytest.raises(Refused):
            await handler(a_request())
    assert body.closed
