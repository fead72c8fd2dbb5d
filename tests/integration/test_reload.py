"""Configuration changes while requests pass: all at once, or not at all."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.integration.client import ask, connected, request, until
from tests.integration.gateway import Gateway, before, completed, running
from tests.integration.origins import OK, Holding, RawOrigin, aiohttp_app, answering
from tests.integration.ports import free_port
from tests.integration.process import process

BROKEN: Final = "routes:\n  - name: a\n    polices: {}\n"


def answers(status: int) -> dict[str, Any]:
    """A configuration by which every request is answered with this status."""
    return {"routes": [{"name": "all", "policies": {"respond": {"status": status}}}]}


def listening(url: str) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


async def status_of(url: str) -> int:
    return (await ask(url, request())).status


def by_file(folder: Path, file: Path) -> None:
    """As an editor saves."""
    file.write_text(yaml.safe_dump(completed(answers(202))), encoding="utf-8")


def by_renaming(folder: Path, file: Path) -> None:
    """As careful programs save."""
    other = folder / "other.yaml"
    other.write_text(yaml.safe_dump(completed(answers(202))), encoding="utf-8")
    other.rename(file)


@pytest.mark.parametrize("write", [by_file, by_renaming])
async def test_a_changed_file_is_read(write: Callable[[Path, Path], None], tmp_path: Path) -> None:
    async with running(answers(201), tmp_path) as gateway:
        assert await status_of(gateway.url) == 201
        write(tmp_path, gateway.file)
        await gateway.lines("configuration reloaded")
        assert await status_of(gateway.url) == 202


async def test_a_swapped_config_map_is_read(tmp_path: Path) -> None:
    """Kubernetes replaces one symlink, to a directory; the file's own never changes."""
    for version in (1, 2):
        (tmp_path / f"..v{version}").mkdir()
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "sidegate.yaml").symlink_to("..data/sidegate.yaml")
    async with running(answers(201), tmp_path) as gateway:
        assert await status_of(gateway.url) == 201
        by_file(tmp_path, tmp_path / "..v2" / "sidegate.yaml")
        (tmp_path / "..new").symlink_to("..v2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        await gateway.lines("configuration reloaded")
        assert await status_of(gateway.url) == 202


async def test_an_operator_asks(tmp_path: Path) -> None:
    async with running(answers(201), tmp_path) as gateway:
        gateway.rewrite(answers(202))
        status, report = await gateway.reload()
        assert (status, report["ok"]) == (200, True)
        assert await status_of(gateway.url) == 202


async def test_a_signal_asks(tmp_path: Path) -> None:
    with process(answers(201), tmp_path) as sidegate:
        assert await status_of(sidegate.url) == 201
        by_file(tmp_path, sidegate.file)
        sidegate.tell(signal.SIGHUP)
        await asyncio.to_thread(sidegate.lines, "configuration reloaded")
        assert await status_of(sidegate.url) == 202


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(BROKEN, "policies", id="a typo, with what was meant"),
        pytest.param("routes: [", "", id="not YAML"),
        pytest.param("", "", id="empty"),
        pytest.param(None, "", id="gone"),
    ],
)
async def test_a_bad_file_leaves_the_old_one_serving(
    text: str | None, problem: str, tmp_path: Path
) -> None:
    async with running(answers(201), tmp_path) as gateway:
        digest = gateway.app.status()["config"]["digest"]
        if text is None:
            gateway.file.unlink()
        else:
            gateway.file.write_text(text, encoding="utf-8")
        status, report = await gateway.reload()
        assert status == 409
        assert problem in str(report["problems"])
        assert await status_of(gateway.url) == 201
        told = (await gateway.lines("configuration not reloaded; the old one goes on"))[0]
        assert told["level"] == "error"
        assert told["problems"] == report["problems"]
        metrics = await gateway.metrics()
        assert metrics['sidegate_config_reloads_total{result="failure"}'] >= 1
        assert metrics['sidegate_config_reloads_total{result="success"}'] == 1
        assert metrics[f'sidegate_config_info{{digest="{digest}"}}'] == 1
        assert gateway.app.status()["last_reload"]["ok"] is False
        # And a good one is taken again.
        gateway.rewrite(answers(202))
        assert (await gateway.reload())[0] == 200
        assert await status_of(gateway.url) == 202


async def test_no_request_is_lost(tmp_path: Path) -> None:
    """Clients on kept connections go on while the configuration changes under them."""
    stop = asyncio.Event()
    asked = 0

    def config(number: int, origin: str) -> dict[str, Any]:
        policies = {"headers": {"response": {"set": {"X-Number": str(number)}}}}
        pool = {"size": 10 + number}
        return {"upstreams": {"a": {"endpoints": [origin], "pool": pool}}, "policies": policies}

    async def client(gateway: Gateway) -> list[int]:
        nonlocal asked
        numbers = []
        async with connected(gateway.url) as wire:
            while not stop.is_set():
                await wire.send(request("POST", "/", b"x"))
                answer = await wire.answer()
                assert answer.status == 200
                asked += 1
                numbers.append(int(answer.headers["x-number"]))
        return numbers

    async with RawOrigin(answering(OK)) as origin:
        async with running(config(0, origin.url), tmp_path) as gateway:
            async with asyncio.TaskGroup() as group:
                clients = [group.create_task(client(gateway)) for _ in range(8)]
                for number in range(1, 9):
                    gateway.rewrite(config(number, origin.url))
                    assert (await gateway.reload())[0] == 200
                    seen = asked
                    await until(lambda seen=seen: asked > seen + 20)
                stop.set()
            for task in clients:
                assert task.result() == sorted(task.result()), "no request sees an older one"
                assert task.result()[-1] == 8
        assert origin.bytes_received.count(b"POST / HTTP/1.1") == asked


async def test_a_request_ends_on_the_configuration_that_it_began_with(tmp_path: Path) -> None:
    async with aiohttp_app() as service:
        config = {
            "upstreams": {"service": service},
            "policies": {"headers": {"response": {"set": {"X-Old": "1"}}}},
        }
        async with running(config, tmp_path) as gateway, connected(gateway.url) as wire:
            await wire.send(request("GET", "/sse"))
            head = await wire.head()
            pieces = wire.pieces(head)
            assert await anext(pieces) == b"data: first\n\n"
            # Its route and its upstream are gone.
            gateway.rewrite(answers(202))
            assert (await gateway.reload())[0] == 200
            assert gateway.app.upstreams() == []
            await ask(service, request("POST", "/release", b""))
            assert [piece async for piece in pieces] == [b"data: second\n\n"]
            assert head.headers["x-old"] == "1"
            # The next request of the connection takes the new configuration.
            await wire.send(request())
            assert (await wire.answer()).status == 202


async def test_counts_and_connections_survive(tmp_path: Path) -> None:
    def config(origin: str, **more: Any) -> dict[str, Any]:
        limit = {"limit": "5/day", "key": "global"}
        return {"upstreams": {"service": origin}, "policies": {"rate_limit": limit, **more}}

    async with (
        RawOrigin(answering(OK)) as origin,
        running(config(origin.url), tmp_path) as gateway,
    ):
        assert [await status_of(gateway.url) for _ in range(3)] == [200] * 3
        gateway.rewrite(config(origin.url, headers={"response": {"set": {"A": "b"}}}))
        assert (await gateway.reload())[0] == 200
        statuses = [await status_of(gateway.url) for _ in range(3)]
        assert statuses == [200, 200, 429], "what was used of the allowance stays used"
        assert origin.connections == 1
        metrics = await gateway.metrics()
        series = 'sidegate_requests_total{code="200",method="GET",route="default"}'
        assert metrics[ordered(series, metrics)] == 5


async def test_nothing_is_told_of_the_state_of_what_is_configured_no_more(tmp_path: Path) -> None:
    """An endpoint that was taken out since it failed would be down in all dashboards for ever."""
    async with RawOrigin(answering(OK)) as origin:
        gone = f"http://127.0.0.1:{free_port()}"
        protected = {
            "endpoints": [gone, origin.url],
            "breaker": {"scope": "endpoint", "consecutive": 2, "rest": "60s"},
            "outliers": {"consecutive": 2},
            "concurrency": 20,
        }
        async with running({"upstreams": {"service": protected}}, tmp_path) as gateway:

            async def states() -> dict[str, float]:
                metrics = await gateway.metrics()
                return {
                    series: value
                    for series, value in metrics.items()
                    if re.match("sidegate_upstream_(breaker_open|endpoint_up|panic|conc)", series)
                    and not series.startswith("sidegate_upstream_breaker_opened")
                }

            for _ in range(12):
                assert await status_of(gateway.url) == 200
            assert {1.0, 0.0} <= {value for name, value in (await states()).items() if gone in name}
            changed = {"upstreams": {"service": {"endpoints": [origin.url]}}}
            gateway.rewrite(changed)
            assert (await gateway.reload())[0] == 200
            assert [name for name in await states() if gone in name or "concurr" in name] == []
            gateway.rewrite({"upstreams": {"service": protected}})
            assert (await gateway.reload())[0] == 200
            assert len(await states()) == 8


def ordered(series: str, metrics: dict[str, float]) -> str:
    """The series of the same labels, in whatever order they are written."""

    def parts(text: str) -> tuple[str, frozenset[str]]:
        name, _, labels = text.rstrip("}").partition("{")
        return name, frozenset(labels.split(","))

    return next(other for other in metrics if parts(other) == parts(series))


async def test_listeners_come_and_go(tmp_path: Path) -> None:
    first, second = free_port(), free_port()
    one, two = f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"

    def listening(*addresses: str) -> dict[str, Any]:
        return {**answers(200), "server": {"listen": list(addresses)}}

    async with running(listening(one), tmp_path) as gateway:
        gateway.rewrite(listening(one, two))
        assert (await gateway.reload())[0] == 200
        assert await status_of(one) == await status_of(two) == 200
        async with connected(one) as idle, connected(two) as staying:
            await idle.send(request())
            assert (await idle.answer()).status == 200
            gateway.rewrite(listening(two))
            assert (await gateway.reload())[0] == 200
            assert await idle.ended()
            await staying.send(request())
            assert (await staying.answer()).status == 200
        with pytest.raises(OSError, match="refused"):
            await status_of(one)
        gateway.rewrite(listening(one, two))
        assert (await gateway.reload())[0] == 200
        assert await status_of(one) == 200


async def test_a_listener_that_can_not_be_opened_changes_nothing(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as other, running(answers(201), tmp_path) as gateway:
        config = {**answers(202), "server": {"listen": ["http://127.0.0.1:0", other.url]}}
        gateway.rewrite(config)
        status, report = await gateway.reload()
        assert status == 409
        assert other.url in str(report["problems"])
        assert await status_of(gateway.url) == 201


async def test_limits_and_timeouts_change_for_open_connections(tmp_path: Path) -> None:
    async with running(answers(200), tmp_path) as gateway, connected(gateway.url) as wire:
        await wire.send(request("POST", "/", b"x" * 100))
        assert (await wire.answer()).status == 200
        gateway.rewrite({**answers(200), "server": {"limits": {"body": "10B"}}})
        assert (await gateway.reload())[0] == 200
        await wire.send(request("POST", "/", b"x" * 100))
        assert (await wire.answer()).status == 413
        assert await wire.ended()


async def test_those_who_wait_for_a_connection_are_served(tmp_path: Path) -> None:
    """Their pool is of the old configuration, and goes when they are done."""
    script = Holding()

    def options(overflow: int) -> dict[str, Any]:
        return {"pool": {"size": 1, "overflow": overflow, "acquire_timeout": "20s"}}

    async with before(script, tmp_path, upstream=options(0)) as (origin, gateway):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(gateway.url, request())) for _ in range(4)]
            await until(lambda: gateway.app.upstreams()[0]["waiting"] == 3)
            upstream = {"endpoints": [origin.url], **options(1)}
            gateway.rewrite({"upstreams": {"service": upstream}})
            assert (await gateway.reload())[0] == 200
            [state] = gateway.app.upstreams()
            assert (state["overflow"], state["in_use"]) == (1, 0)
            script.free.set()
        assert [task.result().status for task in tasks] == [200] * 4
        assert (await ask(gateway.url, request())).status == 200


async def test_a_web_socket_stays_open(tmp_path: Path) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as service:
        port = next(iter(service.sockets)).getsockname()[1]
        config = {"upstreams": {"service": f"http://127.0.0.1:{port}"}}
        async with running(config, tmp_path) as gateway:
            async with connect(gateway.url.replace("http", "ws")) as socket:
                await socket.send("before")
                assert await socket.recv() == "before"
                gateway.rewrite(answers(202))
                assert (await gateway.reload())[0] == 200
                await socket.send("after")
                assert await socket.recv() == "after"
            assert await status_of(gateway.url) == 202


async def test_an_address_that_can_not_be_is_a_failed_reload_like_any_other(tmp_path: Path) -> None:
    """And the file is watched on."""
    async with running(answers(201), tmp_path) as gateway:
        text = gateway.file.read_text(encoding="utf-8")
        listen = yaml.safe_load(text)
        listen["server"]["listen"] = ["http://a..b:1"]
        gateway.file.write_text(yaml.safe_dump(listen), encoding="utf-8")
        [line] = await gateway.lines("configuration not reloaded; the old one goes on")
        assert "'a..b' is no name of a host" in line["problems"][0]
        by_file(tmp_path, gateway.file)
        await gateway.lines("configuration reloaded")
        assert await status_of(gateway.url) == 202


async def test_the_admin_address_changes(tmp_path: Path) -> None:
    async with running(answers(201), tmp_path) as gateway:
        before_it, port = gateway.admin, free_port()
        config = completed(answers(201))
        config["admin"] = {"listen": f"http://127.0.0.1:{port}"}
        gateway.file.write_text(yaml.safe_dump(config), encoding="utf-8")
        assert (await gateway.app.reload()).ok
        assert gateway.admin == f"http://127.0.0.1:{port}"
        assert await status_of(gateway.admin) == 200
        await until(lambda: not listening(before_it))


async def test_the_log_level_changes_with_the_reload_that_says_so(tmp_path: Path) -> None:
    async with running(answers(201), tmp_path) as gateway:
        config = completed(answers(201))
        config["telemetry"] = {"log": {"level": "error"}}
        gateway.file.write_text(yaml.safe_dump(config), encoding="utf-8")
        assert (await gateway.app.reload()).ok
        assert await status_of(gateway.url) == 201
        gateway.file.write_text(yaml.safe_dump(completed(answers(202))), encoding="utf-8")
        assert (await gateway.app.reload()).ok
        assert await status_of(gateway.url) == 202
        [line] = await gateway.lines()
        assert line["status"] == 202


async def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "taken.sock")
    other = await asyncio.start_unix_server(lambda reader, writer: writer.close(), path)
    async with other, running(answers(201), tmp_path) as gateway:
        config = completed(answers(202))
        config["server"] = {"listen": [f"unix:{path}"]}
        gateway.file.write_text(yaml.safe_dump(config), encoding="utf-8")
        report = await gateway.app.reload()
        assert report.problems == [
            f"server.listen: can't listen on unix:{path}: Address already in use; "
            "stop what listens there (`ss -lxp` tells what) or choose another"
        ]
        assert await status_of(gateway.url) == 201
