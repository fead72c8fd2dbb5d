"""Addresses that several instances would have at the same time."""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.synchronize
import socket
from pathlib import Path
from typing import Final

import pytest

from proxy.server.sockets import ListenError, bind
from tests.integration.ports import free_port

ROUNDS: Final = 150
SECONDS: Final = 60.0

_Barrier = multiprocessing.synchronize.Barrier


def _instance(barrier: _Barrier, texts: list[str], count: int, won: list[int]) -> None:
    """Listens on one after another, each in the same instant as the other instance."""

    async def listen() -> None:
        loop = asyncio.get_running_loop()
        for index, text in enumerate(texts):
            barrier.wait(SECONDS)
            try:
                bound = await bind(loop, text, count=count)
            except ListenError:
                bound = None
            barrier.wait(SECONDS)
            if bound is not None:
                won[index] += 1
                bound.close()

    asyncio.run(listen())


def _race(texts: list[str], count: int) -> list[int]:
    """How many of two instances got each of the addresses."""
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(2), [context.Array("i", len(texts)) for _ in range(2)]
    instances = [
        context.Process(target=_instance, args=(barrier, texts, count, mine), daemon=True)
        for mine in won
    ]
    for instance in instances:
        instance.start()
    for instance in instances:
        instance.join(SECONDS)
        assert instance.exitcode == 0
    return [sum(both) for both in zip(*won, strict=True)]


@pytest.mark.parametrize("count", [1, 3])
def test_of_two_that_start_in_the_same_instant_one_gets_a_port(count: int) -> None:
    assert set(_race([f"http://127.0.0.1:{free_port()}"] * ROUNDS, count)) == {1}


def test_of_two_that_start_in_the_same_instant_one_gets_a_unix_socket(tmp_path: Path) -> None:
    # What a killed instance leaves behind is in the way of both.
    paths = [str(tmp_path / f"{index}.sock") for index in range(ROUNDS)]
    for path in paths:
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(path)
    assert set(_race([f"unix:{path}" for path in paths], 1)) == {1}


async def test_a_unix_socket_on_which_too_many_wait_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "busy.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(path)
        busy.listen(0)
        client.connect(path)
        with pytest.raises(ListenError, match="already in use"):
            await bind(asyncio.get_running_loop(), f"unix:{path}")


async def test_a_refusal_says_what_to_do(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    (tmp_path / "file").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        wanted = {
            f"http://127.0.0.1:{port}": "Address already in use; stop what listens there "
            f"(`ss -ltnp sport = :{port}` tells what) or choose another",
            "http://192.0.2.1:1": "Cannot assign requested address; this machine has no such "
            "address, 0.0.0.0 stands for all that it has",
            f"unix:{tmp_path}/none/socket": "No such file or directory; the socket's folder must "
            "exist",
            f"unix:{tmp_path}/file": "what stands there is no socket; remove it or choose another "
            "path",
        }
        for text, why in wanted.items():
            with pytest.raises(ListenError) as caught:
                await bind(loop, text)
            assert str(caught.value) == f"can't listen on {text}: {why}"
