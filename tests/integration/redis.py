"""Real Redis servers on free ports: one, with TLS or passwords; a cluster; one with Sentinels."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.certificates import Authority
from tests.integration.ports import FIRST, free_port, last_port, lend

TIMEOUT = 90.0
SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


class Redis:
    """A server in a process of its own. url: as a configuration names it."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = free_port() if port is None else port
        self.access: tuple[str, ...] = ()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers. Raises OSError when it ends instead."""
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "redis-server", *self._arguments(), "--dir", str(self.folder), "--save", "",
                    "--bind", "127.0.0.1", *self._options,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        late = time.monotonic() + TIMEOUT
        while "PONG" not in self.cli("PING"):
            written = (self.folder / "redis.log").read_text()
            if self._process.poll() is not None:
                raise OSError(written)
            assert time.monotonic() < late, written
            time.sleep(0.01)

    def _arguments(self) -> tuple[str, ...]:
        return ("--port", str(self.port))

    def cli(self, *words: str) -> str:
        """What `redis-cli` prints."""
        command = ["redis-cli", "-p", str(self.port), *self.access, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def scripts_run(self) -> int:
        """How many calls of scripts it has answered."""
        total = 0
        for line in self.cli("INFO", "commandstats").splitlines():
            if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:")):
                total += int(line.partition("calls=")[2].partition(",")[0])
        return total


@contextlib.contextmanager
def running_server(server: Redis) -> Iterator[Redis]:
    """The server, started."""
    try:
        server.start()
        yield server
    finally:
        server.stop()


def redis_server(folder: Path, *options: str) -> contextlib.AbstractContextManager[Redis]:
    """A running server."""
    return running_server(Redis(folder / "redis", *options))


class Encrypted(Redis):
    """Speaks TLS and nothing else, to other servers too, and wants certificates of all."""

    def __init__(self, folder: Path, *options: str, port: int, authority: Authority) -> None:
        pair = authority.issue("IP:127.0.0.1")
        files = {"cert": pair.cert, "key": pair.key, "ca-cert": authority.ca_file}
        tls = [word for name, file in files.items() for word in (f"--tls-{name}-file", str(file))]
        super().__init__(
            folder, *tls, "--tls-cluster", "yes", "--tls-replication", "yes", *options, port=port
        )
        self.access = (
            "--tls", "--cacert", str(authority.ca_file),
            "--cert", str(pair.cert), "--key", str(pair.key),
        )  # fmt: skip

    def _arguments(self) -> tuple[str, ...]:
        return ("--port", "0", "--tls-port", str(self.port))


def _cluster_node(folder: Path, authority: Authority | None) -> Redis:
    """A running node of a cluster that is yet to be.

    Nodes talk to each other at a port that is higher by 10,000, which has to be free as well.
    """
    for port in random.Random(os.urandom(8)).sample(range(FIRST, last_port() - 10_000), 100):
        if lend(port) and lend(port + 10_000):
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "15000")
            if authority is None:
                node = Redis(folder, *options, port=port)
            else:
                node = Encrypted(folder, *options, port=port, authority=authority)
            node.start()
            return node
    raise AssertionError("all ports are taken")


def _whole(node: Redis) -> bool:
    """Whether a node knows all others, and who has what."""
    told = node.cli("CLUSTER", "INFO")
    return all(
        fact in told
        for fact in (
            "cluster_state:ok", "cluster_known_nodes:3", "cluster_size:3",
            "cluster_slots_ok:16384",
        )
    )  # fmt: skip


@contextlib.contextmanager
def redis_cluster(folder: Path, authority: Authority | None = None) -> Iterator[list[Redis]]:
    """Three masters that have a third of all slots each.

    authority: signs their certificates, and they speak TLS only.
    """
    nodes: list[Redis] = []
    try:
        for number in range(3):
            nodes.append(_cluster_node(folder / f"node{number}", authority))
        # As `redis-cli --cluster create` does, which takes its time.
        for number, (node, slots) in enumerate(zip(nodes, SLOTS, strict=True), start=1):
            node.cli("CLUSTER", "ADDSLOTSRANGE", *map(str, slots))
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number))
        for node in nodes[1:]:
            node.cli("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port))
        late = time.monotonic() + TIMEOUT
        while not all(_whole(node) for node in nodes):
            assert time.monotonic() < late
            time.sleep(0.05)
        yield nodes
    finally:
        for node in nodes:
            node.stop()


class Sentinel(Redis):
    """Watches a master called `limits`."""

    def __init__(self, folder: Path, master: Redis, *lines: str) -> None:
        super().__init__(folder)
        self._file = folder / "sentinel.conf"
        self._file.write_text(
            f"port {self.port}\nbind 127.0.0.1\n"
            f"sentinel monitor limits 127.0.0.1 {master.port} 2\n"
            "sentinel down-after-milliseconds limits 2000\n"
            "sentinel failover-timeout limits 3000\n" + "".join(f"{line}\n" for line in lines)
        )

    def _arguments(self) -> tuple[str, ...]:
        return (str(self._file), "--sentinel")


class Watched:
    """A master, its replica, and three Sentinels."""

    def __init__(self, folder: Path) -> None:
        self.master = Redis(folder / "master", "--repl-diskless-sync-delay", "0")
        self.replica = Redis(folder / "replica", "--replicaof", "127.0.0.1", str(self.master.port))
        self.sentinels: list[Sentinel] = []
        self._folder = folder

    def start(self) -> None:
        """Start them, and wait until they know each other."""
        self.master.start()
        self.replica.start()
        late = time.monotonic() + TIMEOUT
        # First of all: Sentinels ask the master about its replicas once in ten seconds.
        while "master_link_status:up" not in self.replica.cli("INFO", "replication"):
            assert time.monotonic() < late
            time.sleep(0.02)
        self.sentinels = [
            Sentinel(self._folder / f"sentinel{number}", self.master) for number in range(3)
        ]
        for sentinel in self.sentinels:
            sentinel.start()
        while not all(self._informed(sentinel) for sentinel in self.sentinels):
            assert time.monotonic() < late
            time.sleep(0.02)

    def stop(self) -> None:
        """End them all."""
        for server in (self.master, self.replica, *self.sentinels):
            server.stop()

    def _informed(self, sentinel: Sentinel) -> bool:
        told = sentinel.cli("SENTINEL", "MASTER", "limits").split("\n")
        facts = dict(zip(told[::2], told[1::2], strict=False))
        return facts.get("num-slaves") == "1" and facts.get("num-other-sentinels") == "2"


@contextlib.contextmanager
def watched_redis(folder: Path) -> Iterator[Watched]:
    """A master with a replica, which Sentinels put into its place when it fails."""
    watched = Watched(folder)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()
