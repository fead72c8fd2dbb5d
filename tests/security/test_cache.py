"""What an attacker would have everybody get from the cache, or the cache choke on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client import Answer
from tests.security.stage import Heard, Stage, get, staged


def fresh(body: str, *lines: str) -> bytes:
    """A response that may be kept, unless the lines say otherwise."""
    control = (
        ()
        if any(line.startswith("Cache-Control") for line in lines)
        else ("Cache-Control: max-age=600",)
    )
    head = "".join(f"{line}\r\n" for line in (*control, *lines))
    data = body.encode("latin-1")
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def reflecting(heard: Heard) -> bytes:
    """A careless service: it repeats all that it was told."""
    told = "".join(f"{name}={value};" for name, value in heard.fields)
    return fresh(f"{heard.method} {heard.target} {told} {heard.body.decode('latin-1')}")


@contextlib.asynccontextmanager
async def cached(
    folder: Path, reply: Any = reflecting, server: dict[str, Any] | None = None, **cache: Any
) -> AsyncIterator[Stage]:
    config = {"policies": {"cache": cache or True}, "server": server or {}}
    async with staged(folder, reply, config) as stage:
        yield stage


async def one(stage: Stage, data: bytes) -> Answer:
    [answer] = await stage.play(data)
    return answer


def hit(answer: Answer) -> bool:
    return "; hit" in answer.headers["cache-status"]


# -- poisoning by what isn't in the key -----------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Scheme: nothttps",
        "X-Forwarded-Proto: nothttps",
        "X-Forwarded-Prefix: /evil",
        "Forwarded: host=evil.test",
        "X-Host: evil.test",
        "X-Original-Host: evil.test",
        "X-HTTP-Host-Override: evil.test",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-Original-Path: /evil",
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: POST",
        "X-Method-Override: POST",
        "X_Forwarded_Host: evil.test",
        'Surrogate-Capability: evil="ESI/1.0"',
    ],
)
async def test_fields_that_would_poison_everybody_never_arrive(line: str, tmp_path: Path) -> None:
    async with cached(tmp_path) as stage:
        await one(stage, get("/", line))
        victim = await one(stage, get("/"))
        assert hit(victim)
        value = line.partition(": ")[2]
        assert value.lower() not in victim.body.decode().lower()


async def test_a_host_by_a_trusted_proxy_has_a_response_of_its_own(tmp_path: Path) -> None:
    async with cached(tmp_path, server={"trusted_proxies": ["127.0.0.0/8"]}) as stage:
        poisoned = await one(stage, get("/", "X-Forwarded-Host: evil.test"))
        assert b"evil.test" in poisoned.body
        assert not hit(await one(stage, get("/")))
        assert b"evil.test" not in (await one(stage, get("/"))).body


async def test_ignored_parameters_never_arrive(tmp_path: Path) -> None:
    async with cached(tmp_path, key={"query": {"ignore": "utm_*"}}) as stage:
        await one(stage, get("/?utm_content=evil&a=1"))
        victim = await one(stage, get("/?a=1"))
        assert hit(victim)
        assert b"evil" not in victim.body


@pytest.mark.parametrize("framing", ["Content-Length: 4", "Transfer-Encoding: chunked"])
async def test_a_get_with_a_body_poisons_nothing(framing: str, tmp_path: Path) -> None:
    body = "evil" if "Length" in framing else "4\r\nevil\r\n0\r\n\r\n"
    async with cached(tmp_path) as stage:
        attack = get("/", framing) + body.encode()
        assert b"evil" in (await one(stage, attack)).body
        victim = await one(stage, get("/"))
        assert b"evil" not in victim.body
        assert not hit(victim)


async def test_a_response_of_one_method_answers_no_other(tmp_path: Path) -> None:
    async with cached(tmp_path) as stage:
        for method in ("OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            data = get("/").replace(b"GET", method.encode(), 1)
            await stage.play(data, method)
            answer = await one(stage, get("/"))
            assert answer.body.startswith(b"GET / ")
        assert stage.witness.heard[0].method == "OPTIONS"


# -- hosts ----------------------------------------------------------------------------------------


async def test_hosts_and_ports_share_nothing(tmp_path: Path) -> None:
    async with cached(tmp_path) as stage:
        for host in ("a.test", "b.test", "a.test:80", "a.test:8080", "a.test."):
            assert not hit(await one(stage, get("/", host=host)))
        assert hit(await one(stage, get("/", host="A.TEST")))


async def test_an_absolute_target_is_the_same_resource(tmp_path: Path) -> None:
    async with cached(tmp_path) as stage:
        await one(stage, get("/a"))
        answer = await one(stage, get("http://service.test/a"))
        assert hit(answer)
        await stage.refused(get("http://evil.test/a"), 400, "invalid_host")


# -- what is private ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    ["/account/x.css", "/account/x.js", "/account;x.css", "/account/logo.png", "/account%0ax.css"],
)
async def test_a_page_called_by_the_name_of_a_file_is_not_kept(target: str, tmp_path: Path) -> None:
    """Web cache deception: the victim is led to a path that a rule for files fits."""

    def page(heard: Heard) -> bytes:
        lines = ("Content-Type: text/html", "Cache-Control:", "Last-Modified: Mon, 23 Nov 2020 "
                 "00:00:00 GMT")  # fmt: skip
        return fresh("secret", *lines)

    rules = [{"path": ["/**.css", "/**.js", "/**.png"], "ttl": "1h"}]
    async with cached(tmp_path, page, ttl_by=rules) as stage:
        await stage.play(get(target, "Cookie: session=victim"))
        for answer in await stage.play(get(target)):
            assert answer.status == 400 or not hit(answer)


@pytest.mark.parametrize(
    ("line", "request_line"),
    [
        ("Cache-Control: private, max-age=60", "X: y"),
        ("Cache-Control: no-store", "X: y"),
        ("Cache-Control: max-age=60", "Authorization: Basic dmljdGltOng="),
        ("Set-Cookie: session=victim", "X: y"),
        ("Vary: *", "X: y"),
        ("Vary: Cookie", "Cookie: session=victim"),
    ],
)
async def test_what_is_one_clients_is_not_anothers(
    line: str, request_line: str, tmp_path: Path
) -> None:
    lines = (line,) if line.startswith(("Cache-Control", "Vary")) else (line, "Cache-Control:")
    async with cached(tmp_path, lambda _: fresh("secret", *lines), ttl="1h") as stage:
        await one(stage, get("/", request_line))
        assert not hit(await one(stage, get("/")))
        assert len(stage.witness.heard) == 2


# -- what would use it up -------------------------------------------------------------------------


async def test_variants_of_one_url_are_bounded(tmp_path: Path) -> None:
    async with cached(tmp_path, lambda _: fresh("x", "Vary: X-Junk"), variants=5) as stage:
        for number in range(50):
            await one(stage, get("/", f"X-Junk: {number}"))
        for number in range(49, 44, -1):
            assert hit(await one(stage, get("/", f"X-Junk: {number}")))
        assert not hit(await one(stage, get("/", "X-Junk: 0")))


async def test_a_vary_of_very_many_fields_is_not_kept(tmp_path: Path) -> None:
    vary = "Vary: " + ", ".join(f"x{number}" for number in range(200))
    async with cached(tmp_path, lambda _: fresh("x", vary)) as stage:
        await one(stage, get("/"))
        assert not hit(await one(stage, get("/")))


@pytest.mark.parametrize(
    ("ranges", "most"),
    [
        (",".join(["0-"] * 16), 100_000),
        (",".join(["0-"] * 1000), 100_000),
        (",".join(f"{n}-{n}" for n in range(0, 2000, 2)), 100_000),
        (",".join(f"{n}-" for n in range(16)), 100_000),
        ("0-0,2-2,4-4", 1000),
    ],
)
async def test_ranges_cost_no_more_than_the_whole(ranges: str, most: int, tmp_path: Path) -> None:
    async with cached(tmp_path, lambda _: fresh("x" * 100_000)) as stage:
        await one(stage, get("/"))
        answer = await one(stage, get("/", f"Range: bytes={ranges}"))
        assert len(answer.body) <= most
        assert hit(answer)


async def test_clients_can_not_have_everything_fetched_anew(tmp_path: Path) -> None:
    async with cached(tmp_path) as stage:
        await one(stage, get("/"))
        for line in ("Cache-Control: no-cache", "Cache-Control: max-age=0", "Pragma: no-cache",
                     "Cache-Control: no-store"):  # fmt: skip
            assert hit(await one(stage, get("/", line)))
        assert len(stage.witness.heard) == 1


async def test_nobody_purges_who_may_not(tmp_path: Path) -> None:
    async with cached(tmp_path, purge_method="192.0.2.0/24") as stage:
        await one(stage, get("/"))
        await stage.play(get("/").replace(b"GET", b"PURGE", 1))
        assert stage.witness.heard[-1].method == "PURGE"


@pytest.mark.parametrize(
    "line",
    [
        'Cache-Status: Sidegate; hit; detail="x"',
        "Age: 0",
        "Sidegate-Cache-Control: max-age=99",
    ],
)
async def test_a_request_can_not_speak_for_the_service(line: str, tmp_path: Path) -> None:
    async with cached(tmp_path, lambda _: fresh("x", "Cache-Control: no-store")) as stage:
        await one(stage, get("/", line))
        assert not hit(await one(stage, get("/", line)))
