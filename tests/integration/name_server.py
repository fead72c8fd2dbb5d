"""A real name server (dnsmasq) on a free port of loopback, whose records tests change."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.ports import free_port

PROGRAM = shutil.which("dnsmasq", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "dnsmasq"


class NameServer:
    """Answers by the records it has. address: as `servers` takes it."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "queries.log"
        self.address = f"127.0.0.1:{self._port}"

    def serve(self, *records: str) -> None:
        """Serve these from now on: lines of dnsmasq, such as `host-record=NAME,IP,TTL`."""
        self.stop()
        file = self._folder / "dnsmasq.conf"
        lines = [
            f"port={self._port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv",
            "no-hosts", "keep-in-foreground", "user=", "pid-file=", "log-queries",
            f"log-facility={self._log}", "auth-ttl=1", *records,
        ]  # fmt: skip
        file.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._process = subprocess.Popen([PROGRAM, f"--conf-file={file}"])
        late = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "dnsmasq did not start"
            assert time.monotonic() < late, "dnsmasq does not answer"

    def queries(self, name: str) -> int:
        """How often it was asked for the addresses of a name."""
        return self._log.read_text("ascii").count(f"query[A] {name} ")

    def stop(self) -> None:
        """Answer no more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        # The root's name servers, which it refuses to tell.
        query = b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            with contextlib.suppress(OSError):
                probe.sendto(query, ("127.0.0.1", self._port))
                return bool(probe.recv(512))
        return False


@contextlib.contextmanager
def name_server(folder: Path) -> Iterator[NameServer]:
    """A name server that doesn't answer before it is told to serve."""
    server = NameServer(folder)
    try:
        yield server
    finally:
        server.stop()
