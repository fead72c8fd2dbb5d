"""Does a proxy do the work that it is measured for? Asked once, before any load.

Each proxy has to send the origin a request ID and the forwarding fields, to answer with the
same ID and the security headers, to hide what the service runs on, and to write a JSON line
for each request. Ratios between proxies that do different work would say nothing.
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


def faults(port: int, *, policies: bool, log: Path, duty: Duty = "forward") -> list[str]:
    """What is wrong with the answers at `port`, in words; nothing when it may be measured.

    policies: the proxy is to do all of the above; otherwise it need only forward.
    """
    if duty == "refuse":
        return _refusal_faults(port, log)
    found: list[str] = []
    status, fields, body = _ask(port, "/products/7?colour=red")
    if status != 200 or body != BODY:
        return [f"answered {status} with {len(body)} bytes in place of the origin's 200"]
    if duty == "forward":
        found += _body_faults(port)
    if not policies:
        return found
    found += _header_faults(fields)
    status, fields, body = _ask(port, "/inspect")
    received = dict(line.lower().split(": ", 1) for line in json.loads(body)[1:] if ": " in line)
    found.extend(f"the origin got no {name}" for name in FORWARDED if name not in received)
    if fields.get(REQUEST_ID, "").lower() != received.get(REQUEST_ID):
        found.append("origin and client got different request IDs")
    if duty == "cache":
        _, again, same = _ask(port, "/inspect")
        if same != body:
            found.append("the second answer isn't the first one's copy")
        if again.get(REQUEST_ID) == fields.get(REQUEST_ID):
            found.append("two answers carry the same request ID")
    if not _has_json_lines(log):
        found.append("no JSON access lines were written")
    return found


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
    answers = [_ask(port, "/products/7?colour=red") for _ in range(3)]
    status, fields, _ = answers[-1]
    if status != 429:
        return [f"answered {status} where its limit should have refused"]
    found = _header_faults(fields)
    if not _has_json_lines(log):
        found.append("no JSON access lines were written")
    return found


def _header_faults(fields: dict[str, str]) -> list[str]:
    found = [
        f"{name} is {fields.get(name.lower())!r}, not {value!r}"
        for name, value in SECURITY_HEADERS.items()
        if fields.get(name.lower(), "").lower() != value.lower()
    ]
    if "x-powered-by" in fields:
        found.append("X-Powered-By of the origin is passed on")
    if not fields.get(REQUEST_ID):
        found.append("the answer carries no X-Request-ID")
    return found


def _ask(port: int, target: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    method = "GET" if body is None else "POST"
    try:
        connection.request(method, target, body, headers={"Accept": "application/json"})
        response = connection.getresponse()
        fields = {name.lower(): value for name, value in response.getheaders()}
        return response.status, fields, response.read()
    finally:
        connection.close()


def _has_json_lines(log: Path, patience: float = 10.0) -> bool:
    """Two requests were made: wait for their lines, which all of the proxies batch."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        access = [line for line in lines if '"GET"' in line]
        if len(access) >= 2:
            return all(isinstance(json.loads(line), dict) for line in access)
        time.sleep(0.1)
    return False
