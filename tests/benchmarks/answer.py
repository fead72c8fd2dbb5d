"""Does a proxy do the work that it is measured for? Asked once, before any load.

Each proxy has to send the origin a request ID and the forwarding fields, to answer with the
same ID and the security headers, to hide what the service runs on, and to write a JSON line
with that ID for each request; where it refuses, to say so in JSON with the ID, and to refuse
only the client that asked too much. Ratios between proxies that do different work would say
nothing.
"""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Final

from tests.benchmarks.origin import BODY, DOWNLOADS
from tests.benchmarks.peers.peer import Duty
from tests.benchmarks.requests import KIB

REQUEST_ID: Final = "x-request-id"

# Sidegate's preset `safe`; the peers' configurations are made from this table.
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Permitted-Cross-Domain-Policies": "none",
}
FORWARDED: Final = ("x-forwarded-for", "x-forwarded-proto", REQUEST_ID)
_SMALL: Final = "/products/7?colour=red"
# Loopback is a whole network: other clients than the first ask from here.
_OTHER_CLIENT: Final = "127.0.0.2"


def faults(
    port: int, *, policies: bool, log: Path, duty: Duty = "forward", traces: bool = False
) -> list[str]:
    """What is wrong with the answers at `port`, in words; nothing when it may be measured.

    policies: the proxy is to do all of the above; otherwise it need only forward. traces: it is
    to begin a trace's context as well.
    """
    if duty == "refuse":
        return _refusal_faults(port, log)
    found: list[str] = []
    status, fields, body = _ask(port, _SMALL)
    if status != 200 or body != BODY:
        return [f"answered {status} with {len(body)} bytes in place of the origin's 200"]
    if duty == "forward":
        found += _body_faults(port)
    if not policies:
        return found
    found += _header_faults(fields)
    status, fields, body = _ask(port, "/inspect")
    received = dict(line.lower().split(": ", 1) for line in json.loads(body)[1:] if ": " in line)
    wanted = (*FORWARDED, "traceparent") if traces else FORWARDED
    found.extend(f"the origin got no {name}" for name in wanted if name not in received)
    if fields.get(REQUEST_ID, "").lower() != received.get(REQUEST_ID):
        found.append("origin and client got different request IDs")
    if duty == "cache":
        _, again, same = _ask(port, "/inspect")
        if same != body:
            found.append("the second answer isn't the first one's copy")
        if again.get(REQUEST_ID) == fields.get(REQUEST_ID):
            found.append("two answers carry the same request ID")
    return found + _line_faults(port, log)


def _body_faults(port: int) -> list[str]:
    """Bodies that don't arrive whole."""
    found = []
    status, _, body = _ask(port, "/orders", b"x" * (10 * KIB))
    if status != 200 or json.loads(body) != {"read": 10 * KIB}:
        found.append(f"answered {status} to a POST whose body the origin should have read")
    for size in DOWNLOADS:
        status, _, body = _ask(port, f"/download/{size}")
        if status != 200 or body != b"x" * size:
            found.append(f"answered {status} with {len(body)} bytes of {size}")
    return found


def _refusal_faults(port: int, log: Path) -> list[str]:
    """The first request may pass, and in a bucket that fills meanwhile the second."""
    answers = [_ask(port, _SMALL) for _ in range(3)]
    status, fields, body = answers[-1]
    if status != 429:
        return [f"answered {status} where its limit should have refused"]
    found = _header_faults(fields)
    if not fields.get("retry-after", "").isdigit():
        found.append(f"Retry-After is {fields.get('retry-after')!r}")
    identifier = fields.get(REQUEST_ID, "")
    if not fields.get("content-type", "").startswith("application/json"):
        found.append(f"refuses in {fields.get('content-type')}, not in JSON")
    elif json.loads(body).get("request_id") != identifier:
        found.append("the body of a refusal carries another request ID than its field")
    status, _, _ = _ask(port, _SMALL, client=_OTHER_CLIENT)
    if status != 200:
        found.append(f"answered {status} to a client that asked for the first time")
    return found + _line_faults(port, log)


def _header_faults(fields: dict[str, str]) -> list[str]:
    found = [
        f"{name} is {fields.get(name.lower())!r}, not {value!r}"
        for name, value in SECURITY_HEADERS.items()
        if fields.get(name.lower(), "").lower() != value.lower()
    ]
    if "x-powered-by" in fields or fields.get("server") == "origin":
        found.append("what the origin runs on is passed on")
    if not fields.get(REQUEST_ID):
        found.append("the answer carries no X-Request-ID")
    return found


def _ask(
    port: int, target: str, body: bytes | None = None, client: str = "127.0.0.1"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=5, source_address=(client, 0)
    )
    method = "GET" if body is None else "POST"
    try:
        connection.request(method, target, body, headers={"Accept": "application/json"})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return response.status, fields, response.read()
    finally:
        connection.close()


def _line_faults(port: int, log: Path, tries: int = 5, patience: float = 2.5) -> list[str]:
    """Whether a request's line carries its ID. What writes the lines may begin after the proxy,
    so it is asked more than once; patience: seconds, since most of them write many at a time."""
    for _ in range(tries):
        _, fields, _ = _ask(port, _SMALL)
        if not fields.get(REQUEST_ID):
            break
        line = _line_of(fields[REQUEST_ID], log, patience)
        if line is not None:
            return [] if _is_object(line) else ["its access lines aren't JSON"]
    return ["no access line carries the request's ID"]


def _line_of(identifier: str, log: Path, patience: float) -> str | None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        text = log.read_text(errors="replace") if log.exists() else ""
        # What comes after the last end of a line may be half a line.
        for line in text.rpartition("\n")[0].splitlines():
            if f'"{identifier}"' in line:
                return line
        time.sleep(0.1)
    return None


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
