"""What the admin API's answers look like."""

from __future__ import annotations

import json
from ipaddress import ip_network

from proxy.admin.pages import show_error, show_json, show_text


def body_of(body: object) -> str:
    assert isinstance(body, bytes)
    return body.decode()


def test_facts_are_indented_json_for_people() -> None:
    response = show_json({"listen": ["a"], 1: ip_network("10.0.0.0/8")})
    assert response.content_type == "application/json"
    assert body_of(response.body) == ('{\n  "listen": [\n    "a"\n  ],\n  "1": "10.0.0.0/8"\n}\n')


def test_text_is_one_line() -> None:
    response = show_text("ready", 503)
    assert response.status == 503
    assert response.text == "ready\n"


def test_errors_come_in_the_house_envelope() -> None:
    response = show_error(
        "forbidden", "No.", 403,
        timestamp="2026-11-24T12:04:05.123Z", path="/" + "p" * 5000, request_id="admin-1",
        more={"problems": ["x"]},
    )  # fmt: skip
    envelope = json.loads(body_of(response.body))
    assert response.status == 403
    assert list(envelope) == [
        "error", "detail", "status", "timestamp", "path", "request_id", "problems",
    ]  # fmt: skip
    assert len(envelope["path"]) == 2048
