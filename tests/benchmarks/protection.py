"""What it costs each request to be looked at: the gates, `validate`, `sanitize` and `shield`.

May live here: loops over one policy and ordinary requests. Each request is new to the policy,
as it would be, while field values repeat, as they do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import orjson

from proxy.contract import PromptGate, Request, Response
from proxy.policies import bots, csrf, hosts, ip_filter, methods
from proxy.policies.sanitize import policy as sanitize
from proxy.policies.shield import policy as shield
from proxy.policies.validate import policy as validate
from proxy.policies.validate.options import Options as Validation
from tests.benchmarks.cost import Cost, cpu_microseconds
from tests.unit.policies.world import World, a_request

REQUESTS: Final = 1_000
ROUNDS: Final = 5

BROWSER: Final = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Referer", "https://shop.example/catalogue?page=2&sort=name%20asc"),
    ("Cookie", "session=b1946ac92492d234; theme=dark"),
)
BODY: Final = orjson.dumps(
    {
        "id": 12345,
        "name": "Ada O'Brien",
        "email": "ada@example.com",
        "tags": ["mathematics", "engines", "notes"],
        "address": {"street": "12 St James's Square", "city": "London", "zip": "SW1Y 4JH"},
        "bio": 'The first to see that it could do more than sums; "an analytical engine".' * 7,
        "orders": [{"sku": f"A-{number}", "count": number} for number in range(12)],
    }
)
"""About 1 KiB of JSON."""

_SCHEMA: Final = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": "string", "maxLength": 80},
        "email": {"type": "string", "format": "email"},
        "orders": {"type": "array", "items": {"required": ["sku"]}},
    },
}

Check = Callable[[Request], Awaitable[object] | None]


def bare() -> Request:
    """A GET as a program sends it."""
    return a_request("/api/items/42", ("Host", "shop.example"), ("Accept", "*/*"))


def browsing() -> Request:
    """A GET as a browser sends it."""
    return a_request("/search?q=o%27brien+and+sons&page=2", *BROWSER)


def posting() -> Request:
    """A POST with a body of 1 KiB."""
    request = a_request(
        "/api/people", *BROWSER, ("Content-Type", "application/json"), method="POST"
    )
    request.body, request.length = BODY, len(BODY)
    return request


def costs(requests: int = REQUESTS, rounds: int = ROUNDS) -> list[Cost]:
    """Each policy by itself: the best of the rounds."""
    toolkit = World().toolkit

    def waiting(name: str, check: Check, make: Callable[[], Request]) -> Cost:
        def work(given: list[Request]) -> None:
            for request in given:
                if (waiting := check(request)) is not None:
                    _finish(waiting)

        return Cost(name, _best(work, make, requests, rounds))

    def prompt(name: str, gate: PromptGate) -> Cost:
        def work(given: list[Request]) -> None:
            for request in given:
                gate.check(request)

        return Cost(name, _best(work, browsing, requests, rounds))

    inspector = shield.Shield(shield.Options(mode="enforce"), toolkit)
    schema = Validation.model_validate({"schema": {"body": _SCHEMA}})
    cleaner = sanitize.Sanitize(sanitize.Options(), toolkit).wrap(_answer)
    blocked = ip_filter.Options.model_validate({"deny": ["192.0.2.128/25", "198.51.100.0/24"]})
    return [
        prompt("ip_filter", ip_filter.IpFilter(blocked, toolkit)),
        prompt("hosts", hosts.Hosts(hosts.Options(allow=("*.example", "shop.example")), toolkit)),
        prompt("methods", methods.Methods(methods.Options(allow=("GET", "POST")), toolkit)),
        prompt("csrf", csrf.Csrf(csrf.Options(), toolkit)),
        prompt("bots", bots.Bots(bots.Options(), toolkit)),
        waiting("shield, bare GET", inspector.check, bare),
        waiting("shield, GET of a browser with a query", inspector.check, browsing),
        waiting("shield, 1 KiB of JSON", inspector.check, posting),
        waiting("validate, 1 KiB of JSON by a schema", validate.Validating(schema, toolkit).check,
                posting),
        waiting("sanitize, 1 KiB of JSON", cleaner, posting),
    ]  # fmt: skip


async def _answer(request: Request) -> Response:
    return _RESPONSE


_RESPONSE: Final = Response(204)


def _finish(work: Awaitable[object]) -> None:
    """Run what has nothing to wait for, without a loop."""
    try:
        work.__await__().send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def _best(
    work: Callable[[list[Request]], None],
    make: Callable[[], Request],
    requests: int,
    rounds: int,
) -> float:
    times = []
    # The first round only warms up: it fills memories and builds automata.
    for _ in range(rounds + 1):
        given = [make() for _ in range(requests)]
        times.append(cpu_microseconds(lambda given=given: work(given)))  # type: ignore[misc]
    return min(times[1:]) / requests
