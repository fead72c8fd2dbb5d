"""Locks: taken, let go, given up, and inherited from the dead.

Who has one when its memory goes away takes the process along, so each is let go of here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from mmap import mmap
from threading import Event, Thread

import pytest

from proxy.store import locks
from proxy.store.locks import SIZE, Locks


def made(patience: float = 0.1) -> Locks:
    """Four locks, that are waited for so many seconds."""
    memory = mmap(-1, 4096)
    locks.prepare(memory, 0, 4)
    return Locks(memory, 0, lambda: time.time() + patience - 0.1)


@pytest.fixture
def some() -> Locks:
    return made()


def in_a_thread(work: Callable[[], object]) -> None:
    thread = Thread(target=work)
    thread.start()
    thread.join()


def test_each_is_a_lock_of_its_own(some: Locks) -> None:
    first, second = some.address(0), some.address(1)
    assert second - first == SIZE
    taken: list[bool] = []
    for _ in range(2):
        assert some.acquire(first)
        in_a_thread(lambda: taken.append(some.acquire(second)))
        some.release(first)
    assert taken == [True, True], "the second holder was gone, and its lock was inherited"


def test_one_whose_holder_stands_still_is_given_up(some: Locks) -> None:
    lock = some.address(2)
    held, free = Event(), Event()

    def hold() -> None:
        some.acquire(lock)
        held.set()
        free.wait()
        some.release(lock)

    holder = Thread(target=hold)
    holder.start()
    held.wait()
    begun = time.monotonic()
    assert not some.acquire(lock)
    assert time.monotonic() - begun >= 0.09, "it may go on at any moment"
    assert not any(some.acquire(lock) for _ in range(100)), "nobody waits for it again"
    free.set()
    holder.join()
    assert some.acquire(lock)
    some.release(lock)


def test_one_that_is_let_go_meanwhile_is_had() -> None:
    some = made(patience=20.0)
    lock = some.address(3)
    held = Event()

    def hold() -> None:
        some.acquire(lock)
        held.set()
        time.sleep(0.01)
        some.release(lock)

    holder = Thread(target=hold)
    holder.start()
    held.wait()
    assert some.acquire(lock)
    some.release(lock)
    holder.join()


def test_what_nobody_prepared_is_an_open_lock() -> None:
    memory = mmap(-1, 4096)
    order: list[str] = []

    def take() -> None:
        with locks.first(memory, 0, time.time):
            order.append("first")
            with locks.first(mmap(-1, 4096), 0, time.time):
                order.append("another")

    in_a_thread(take)
    with locks.first(memory, 0, time.time):
        order.append("second")
    assert order == ["first", "another", "second"]
