"""Endpoints by a real name server and by a file: found, changed, lost and kept."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import Gateway, running
from tests.integration.name_server import NameServer, name_server
from tests.integration.origins import Holding, RawOrigin, Script
from tests.integration.ports import free_port


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


async def test_a_breaker_goes_with_its_endpoint(port: int, tmp_path: Path) -> None:
    def breakers(state: dict[str, Any]) -> set[str]:
        return {name.split("//")[1].split(":")[0] for name in state if name.startswith("breaker ")}

    with name_server(tmp_path) as server:
        server.serve(*records("127.0.0.2", "127.0.0.3"))
        config = by_dns(server, port)
        config["upstreams"]["service"]["breaker"] = {"scope": "endpoint"}
        async with (
            instances(port, "127.0.0.2", "127.0.0.3", "127.0.0.4"),
            running(config, tmp_path) as gateway,
        ):
            await answers(gateway)
            server.serve(*records("127.0.0.3", "127.0.0.4"))
            await until(lambda: seen(gateway) == {"127.0.0.3", "127.0.0.4"})
            await answers(gateway)
            [state] = (await gateway.page("/upstreams"))["balance"]
            assert breakers(state) == {"127.0.0.3", "127.0.0.4"}
            told = " ".join(await gateway.metrics())
            assert re.findall(r"breaker_open\{[^}]*//([0-9.]+):", told) == [
                "127.0.0.3",
                "127.0.0.4",
            ]


async def test_a_name_is_asked_for_again_when_its_ttl_is_over(port: int, tmp_path: Path) -> None:
    with name_server(tmp_path) as server:
        server.serve("host-record=users.test,127.0.0.2,1")
        async with (
            instances(port, "127.0.0.2"),
            running(by_dns(server, port, least="50ms"), tmp_path) as gateway,
        ):
            await answers(gateway, 1)
            await until(lambda: server.queries("users.test") >= 3)
        server.serve("host-record=users.test,127.0.0.2,3600")
        # Now that who took down the last of them has ended.
        before = server.queries("users.test")
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
            running(by_dns(server, port, timeout="2s", least="50ms"), tmp_path) as gateway,
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


async def test_requests_wait_for_the_first_answer_once(port: int, tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        discovery = {"dns": f"http://users.test:{port}", "servers": address, "timeout": "2s"}
        config = {"upstreams": {"service": {"discovery": discovery}}}
        began = time.monotonic()
        async with running(config, tmp_path) as gateway:
            for _ in range(3):
                answer = await ask(gateway.url, request())
                assert (answer.status, answer.error) == (503, "no_endpoints")
                # On a busy machine the time may be over when the first one comes.
                assert time.monotonic() - began > 1.9
            waits = [line["total_ms"] for line in await gateway.lines(count=3)]
            assert max(waits[1:]) < 1900, "nobody else waits for what may never come"
            [told] = await gateway.lines("discovery failed; there are no endpoints yet")
            assert told["cause"] == "users.test: no name server answered within 2s"


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


def replaced(file: Path, *urls: str) -> None:
    """List these in the file from now on, in one stroke."""
    draft = file.with_suffix(".draft")
    draft.write_text("".join(f"- {url}\n" for url in urls), encoding="utf-8")
    os.replace(draft, file)


async def test_one_that_comes_back_is_remembered(tmp_path: Path) -> None:
    """Else a broken endpoint that flaps would be tried anew each time."""
    file, gone = tmp_path / "endpoints.yaml", f"http://127.0.0.1:{free_port()}"
    async with RawOrigin(named("stays")) as staying:
        replaced(file, staying.url, gone)
        service = {
            "discovery": {"endpoints_file": str(file)},
            "outliers": {"consecutive": 1, "ejection": "1h", "longest": "1h"},
            "balance": "round_robin",
        }
        async with running({"upstreams": {"service": service}}, tmp_path) as gateway:

            def known() -> dict[str, str]:
                return {row["endpoint"]: row["ejection"] for row in gateway.app.upstreams()}

            assert await answers(gateway, 4) == {"stays": 4}
            assert known() == {staying.url: "serving", gone: "ejected"}
            replaced(file, staying.url)
            await until(lambda: len(known()) == 1)
            replaced(file, staying.url, gone)
            await until(lambda: len(known()) == 2)
            assert known()[gone] == "ejected"


async def test_one_that_cannot_be_used_is_told_of_once(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    async with RawOrigin(named("stays")) as staying:
        replaced(file, staying.url, "https://127.0.0.1:1")
        service = {
            "discovery": {"endpoints_file": str(file)},
            "tls": {"ca_file": str(tmp_path / "missing.pem")},
        }
        async with running({"upstreams": {"service": service}}, tmp_path) as gateway:
            assert await answers(gateway, 4) == {"stays": 4}
            # Looked at once a second, and this is the third look.
            for urls in ((staying.url, "https://127.0.0.1:1"), (staying.url,)):
                replaced(file, *urls, "http://127.0.0.1:1")
                await until(lambda: len(gateway.app.upstreams()) == 2)
                replaced(file, *urls)
                await until(lambda: len(gateway.app.upstreams()) == 1)
            [told] = await gateway.lines("endpoint can't be used")
            assert "missing.pem" in told["cause"]


class HalfServer(asyncio.DatagramProtocol):
    """A name server that fails for one kind of records from its second answer on."""

    def __init__(self, failing: dns.rdatatype.RdataType) -> None:
        self._failing = failing
        self.asked: Counter[dns.rdatatype.RdataType] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        answer = dns.message.make_response(query)
        self.asked[question.rdtype] += 1
        if question.rdtype == self._failing and self.asked[question.rdtype] > 1:
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            text = "127.0.0.2" if question.rdtype == dns.rdatatype.A else "::2"
            answer.answer.append(dns.rrset.from_text(question.name, 1, "IN", question.rdtype, text))
        self._transport.sendto(answer.to_wire(), address)


@pytest.mark.parametrize("failing", [dns.rdatatype.A, dns.rdatatype.AAAA])
async def test_addresses_of_one_family_are_kept_while_only_the_other_can_be_had(
    failing: dns.rdatatype.RdataType, tmp_path: Path
) -> None:
    server = HalfServer(failing)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, ("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    discovery = {"dns": "http://users.test:80", "servers": f"127.0.0.1:{port}", "least": "50ms"}
    try:
        async with running(
            {"upstreams": {"service": {"discovery": discovery}}}, tmp_path
        ) as gateway:

            def known() -> set[str]:
                return {row["endpoint"] for row in gateway.app.upstreams()}

            both = {"http://127.0.0.2:80", "http://[::2]:80"}
            await until(lambda: known() == both)
            await until(lambda: server.asked[failing] >= 3)
            assert known() == both
    finally:
        transport.close()


async def test_endpoints_that_stay_keep_their_connections_and_others_drain(
    tmp_path: Path,
) -> None:
    held = Holding()
    async with RawOrigin(held) as leaving, RawOrigin(named("stays")) as staying:
        file = tmp_path / "endpoints.yaml"
        list_ = partial(replaced, file)
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
