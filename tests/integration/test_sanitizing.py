"""Values made clean on their way, and what the service and the log get of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.client import ask, request
from tests.security.stage import staged

DIRTY = b'{"name": "  Ann\\u202e  Lee ", "admin": true, "n": 1.10}'
CLEAN = b'{"name":"Ann Lee","n":1.10}'
OPTIONS = {"collapse": True, "known": ["json:/name", "json:/n", "query:page"]}


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_service_gets_a_clean_body_of_the_right_length(
    tmp_path: Path, chunked: bool
) -> None:
    data = request("POST", "/p?page=+1&x=y", DIRTY, content_type="application/json")
    if chunked:
        data = request("POST", "/p?page=+1&x=y", None, content_type="application/json")[:-2]
        data += b"Transfer-Encoding: chunked\r\n\r\n"
        data += b"%x\r\n%b\r\n0\r\n\r\n" % (len(DIRTY), DIRTY)
    async with staged(tmp_path, config={"policies": {"sanitize": OPTIONS}}) as stage:
        assert (await ask(stage.gateway.url, data)).status == 200
        [heard] = stage.witness.heard
        assert (heard.target, heard.body) == ("/p?page=1", CLEAN)
        assert heard.one("content-length") == str(len(CLEAN))
        [line] = await stage.gateway.lines()
        assert line["decisions"]["sanitize"] == "changed"
        assert line["details"]["sanitize"] == (
            "query:page trim; query:x unknown; json:/name collapse invisible trim; "
            "json:/admin unknown"
        )
        metrics = await stage.gateway.metrics()
        series = 'sidegate_sanitized_values_total{change="unknown",route="default"}'
        assert metrics[series] == 2


async def test_what_is_clean_is_sent_as_it_came(tmp_path: Path) -> None:
    body = b'{ "name" : "Ann Lee" }'
    async with staged(tmp_path, config={"policies": {"sanitize": OPTIONS}}) as stage:
        data = request("POST", "/p?page=%31", body, content_type="application/json")
        assert (await ask(stage.gateway.url, data)).status == 200
        [heard] = stage.witness.heard
        assert (heard.target, heard.body) == ("/p?page=%31", body)
        [line] = await stage.gateway.lines()
        assert "sanitize" not in line["decisions"]


async def test_the_shield_looks_at_what_the_service_gets(tmp_path: Path) -> None:
    """What is hidden by characters that go is seen once they are gone."""
    policies = {"sanitize": True, "shield": {"mode": "enforce"}}
    body = '{"q": "<scr\u200bipt>alert(1)</script>"}'.encode()
    async with staged(tmp_path, config={"policies": policies}) as stage:
        answer = await ask(
            stage.gateway.url, request("POST", "/", body, content_type="application/json")
        )
        assert (answer.status, answer.error) == (400, "suspicious_input")
