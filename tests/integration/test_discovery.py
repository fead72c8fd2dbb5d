"""Endpoints by a real name server and by a file: found, changed, lost and kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.name_server import NameServer, name_server
from tests.integration.origins import Holding, RawOrigin, Script, free_port


def named(name: str) -> Script:
    """A service that answers with its name."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            data = name.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))

    return script


@contextlib.asynccontextmanager
async def instances(port: int, *hosts: str) -> AsyncIterator[None]:
    """Services on addresses of loopback, all on one port, as replicas are."""
    async with contextlib.AsyncExitStack() as stack:
        for host in hosts:
            origin = RawOrigin(named(host))
            server = await asyncio.start_server(origin._serve, host, port)
            stack.push_async_callback(_close, server, origin)
        yield


async def _close(server: asyncio.Server, origin: RawOrigin) -> None:
    server.close()
    for writer in origin._writers:
        writer.transport.abort()


async def answers(gateway: Gateway, count: int = 12) -> Counter[str]:
    return Counter([(await ask(gateway.url, request())).body.decode() for _ in range(count)])


def by_dns(server: NameServer, port: int, **options: Any) -> dict[str, Any]:
    discovery = {"dns": f"http://users.test:{port}", "servers": server.address, **options}
    service = {"discovery": discovery, "balance": "round_robin"}
    return {"upstreams": {"service": service}, "policies": {"retry": False}}


def records(*addresses: str) -> list[str]:
    """Several addresses of one name, for a second."""
    return ["local-ttl=1", *(f"address=/users.test/{address}" for address in addresses)]


def seen(gateway: Gateway) -> set[str]:
    return {row["endpoint"].split("//")[1].split(":")[0] for row in gateway.app.upstreams()}


@pytest.fixture
def port() -> int:
    return free_port()


async def test_all_addresses_are_used_and_changes_are_followed(port: int, tmp_path: Path) -> None:
    with name_server(tmp_path) as server:
        server.serve(*records("127.0.0.2", "127.0.0.3"))
        async with (
            instances(port, "127.0.0.2", "127.0.0.3", "127.0.0.4"),
            running(by_dns(server, port), tmp_path) as gateway,
        ):
            assert await answers(gateway) == {"127.0.0.2": 6, "127.0.0.3": 6}
            server.serve(*records("127.0.0.3", "127.0.0.4"))
            await until(lambda: seen(gateway) == {"127.0.0.3", "127.0.0.4"})
            assert await answers(gateway) == {"127.0.0.3": 6, "127.0.0.4": 6}
            [state] = (await gateway.page("/upstreams"))["balance"]
            assert state["discovery"]["found"] == 2


async def test_a_name_is_asked_for_again_when_its_ttl_is_over(port: int, tmp_path: Path) -> None:
    with name_server(tmp_path) as server:
        server.serve("host-record=users.test,127.0.0.2,1")
        async with (
            instances(port, "127.0.0.2"),
            running(by_dns(server, port, least="50ms"), tmp_path) as gateway,
        ):
            await answers(gateway, 1)
            await until(lambda: server.queries("users.test") >= 3)
        before = server.queries("users.test")
        server.serve("host-record=users.test,127.0.0.2,3600")
        async with (
            instances(port, "127.0.0.2"),
            running(by_dns(server, port, least="50ms"), tmp_path) as gateway,
        ):
            await answers(gateway, 1)
            await asyncio.sleep(1.5)
            assert server.queries("users.test") == before + 1


async def test_what_was_found_is_kept_while_no_name_server_answers(
    port: int, tmp_path: Path
) -> None:
    with name_server(tmp_path) as server:
        server.serve("host-record=users.test,127.0.0.2,1")
        async with (
            instances(port, "127.0.0.2"),
            running(by_dns(server, port, timeout="200ms", least="50ms"), tmp_path) as gateway,
        ):
            await answers(gateway, 1)
            server.stop()
            await gateway.lines("discovery failed; the last good answer is kept")
            assert await answers(gateway) == {"127.0.0.2": 12}
            [state] = (await gateway.page("/upstreams"))["balance"]
            assert "users.test" in state["discovery"]["problem"]
            server.serve("host-record=users.test,127.0.0.2,1")
            await gateway.lines("discovery works again")


async def test_a_service_that_nobody_knows_has_no_instance(port: int, tmp_path: Path) -> None:
    with name_server(tmp_path) as server:
        server.serve("host-record=others.test,127.0.0.2,1", "local=/test/")
        async with running(by_dns(server, port, timeout="300ms"), tmp_path) as gateway:
            answer = await ask(gateway.url, request())
            assert (answer.status, answer.error) == (503, "no_endpoints")
            assert answer.headers["retry-after"] == "1"


async def test_srv_records_bring_ports_weights_and_priorities(tmp_path: Path) -> None:
    async with (
        RawOrigin(named("one")) as one,
        RawOrigin(named("three")) as three,
        RawOrigin(named("spare")) as spare,
    ):
        rows = [(one, 10, 1), (three, 10, 3), (spare, 20, 1)]
        rows_of_srv = [
            f"srv-host=_http._tcp.users.test,users.test,{origin.url.rpartition(':')[2]},{priority},{weight}"
            for origin, priority, weight in rows
        ]
        with name_server(tmp_path) as server:
            server.serve("host-record=users.test,127.0.0.1,1", *rows_of_srv)
            discovery = {"srv": "_http._tcp.users.test", "servers": server.address}
            service = {"discovery": discovery, "balance": "round_robin"}
            config = {"upstreams": {"service": service}}
            async with running(config, tmp_path) as gateway:
                assert await answers(gateway) == {"one": 3, "three": 9}


async def test_endpoints_that_stay_keep_their_connections_and_others_drain(
    tmp_path: Path,
) -> None:
    held = Holding()
    async with RawOrigin(held) as leaving, RawOrigin(named("stays")) as staying:
        file = tmp_path / "endpoints.yaml"

        def list_(*urls: str) -> None:
            draft = tmp_path / "draft.yaml"
            draft.write_text("".join(f"- {url}\n" for url in urls), encoding="utf-8")
            os.replace(draft, file)

        list_(leaving.url)
        discovery = {"endpoints_file": str(file)}
        config = {"upstreams": {"service": {"discovery": discovery}}}
        async with (
            running(config, tmp_path) as gateway,
            connected(gateway.url) as wire,
        ):
            await wire.send(request())
            await until(lambda: held.asked == 1)
            list_(staying.url)
            await until(
                lambda: [row["endpoint"] for row in gateway.app.upstreams()] == [staying.url]
            )
            for _ in range(3):
                assert (await ask(gateway.url, request())).body == b"stays"
            held.free.set()
            assert (await wire.answer()).body == b"ok", "what was on its way is finished"
            list_(staying.url, f"http://127.0.0.1:{free_port()}")
            await until(lambda: len(gateway.app.upstreams()) == 2)
            gateway.rewrite(config)
            assert (await gateway.reload())[0] == 200
            assert (await ask(gateway.url, request())).body == b"stays"
            assert staying.connections == 1


async def test_a_file_that_cannot_be_understood_changes_nothing(tmp_path: Path) -> None:
    async with RawOrigin(named("stays")) as origin:
        file = tmp_path / "endpoints.json"
        file.write_text(f'{{"endpoints": [{{"url": "{origin.url}", "weight": 2}}]}}', "utf-8")
        config = {"upstreams": {"service": {"discovery": {"endpoints_file": str(file)}}}}
        async with running(config, tmp_path) as gateway:
            assert (await ask(gateway.url, request())).body == b"stays"
            file.write_text('["http//mistyped"]', "utf-8")
            [told] = await gateway.lines("discovery failed; the last good answer is kept")
            assert "[0]: 'http//mistyped' is not an address" in told["cause"]
            assert (await ask(gateway.url, request())).body == b"stays"
