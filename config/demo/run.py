"""`make demo`: an ordinary service, Sidegate in front of it, and what to try with curl.

With DEMO_ONCE=1 it tries them itself, prints what comes back, and ends.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

HERE: Final = Path(__file__).parent
PATIENCE: Final = 20.0


def trials(service: str, proxy: str, admin: str) -> list[tuple[str, str]]:
    """What to look for, and the command that shows it."""
    return [
        ("The service by itself: it tells what it runs on, and that is all it tells.",
         f"curl -si {service}/api/products"),
        ("Through Sidegate: a request ID, security headers, nothing about what runs behind.",
         f"curl -si {proxy}/api/products"),
        ("The service fails with a page full of internals: callers get the one error format.",
         f"curl -si {proxy}/broken"),
        ("A browser gets the same as a plain page.",
         f"curl -si -H 'Accept: text/html' {proxy}/broken"),
        ("The service takes 3 s, and the configuration allows it 1 s: 504.",
         f"curl -si {proxy}/slow"),
        ("More requests than the 5/min that are allowed: 429 with Retry-After.",
         f"curl -s -o /dev/null -w '%{{http_code}}\\n' '{proxy}/api/products?n=[1-5]';"
         f" curl -si {proxy}/api/products"),
        ("A request that two servers could read in two ways: 400, and the service never sees it.",
         f"curl -si -H 'Transfer-Encoding: chunked' -H 'Content-Length: 5' -d hello {proxy}/"),
        ("What all of this counted.",
         f"curl -s {admin}/metrics | grep ^sidegate_requests_total"),
    ]  # fmt: skip


def main() -> int:
    """Run the demo; 0 when it was stopped or has shown everything, 1 when it can't start."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="where Sidegate listens")
    wish = parser.parse_args().port
    signal.signal(signal.SIGTERM, _interrupt)
    ports = {"service": usable(3000), "proxy": usable(wish), "admin": usable(9901)}
    service, proxy, admin = (f"http://127.0.0.1:{port}" for port in ports.values())
    settings = {"DEMO_SERVICE": service, "DEMO_LISTEN": proxy, "DEMO_ADMIN": admin}
    once = os.environ.get("DEMO_ONCE") == "1"
    shop = [sys.executable, str(HERE / "service.py"), str(ports["service"])]
    sidegate = [sys.executable, "-m", "proxy", "run", str(HERE / "sidegate.yaml")]
    try:
        with (
            tempfile.TemporaryFile() as log,
            running(shop, {}) as origin,
            running(sidegate, settings, log if once else None) as gateway,
        ):
            await_answer(origin, service + "/", "the service")
            await_answer(gateway, admin + "/readyz", "Sidegate")
            print(f"\nThe service is at {service}, Sidegate at {proxy}, its admin API at {admin}.")
            if once:
                show(trials(service, proxy, admin))
                gateway.terminate()
                gateway.wait(PATIENCE)
                log.seek(0)
                print(f"\n# What Sidegate logged meanwhile.\n{log.read().decode().rstrip()}")
                return 0
            print("Try in another terminal, and watch the log here:\n")
            for remark, command in trials(service, proxy, admin):
                print(f"  # {remark}\n  {command}\n")
            print(
                "Ctrl-C stops both. The configuration is config/demo/sidegate.yaml.\n", flush=True
            )
            code = gateway.wait()
            print(f"Sidegate ended by itself with code {code}.", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    except (RuntimeError, subprocess.TimeoutExpired) as failure:
        print(f"The demo can't start: {failure}", file=sys.stderr)
        return 1


def usable(port: int) -> int:
    """The port if nothing listens there, else one that is free."""
    for wish in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", wish))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise RuntimeError(f"neither port {port} nor any other is free on 127.0.0.1")


@contextmanager
def running(
    command: list[str], settings: Mapping[str, str], output: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended when the block is left. It writes to `output`, or to the terminal.

    It gets a session of its own: Ctrl-C reaches the demo alone, which stops the proxy
    before the service.
    """
    process = subprocess.Popen(
        command,
        stdout=output,
        env={**os.environ, **settings},
        cwd=HERE.parent.parent,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_answer(process: subprocess.Popen[bytes], url: str, name: str) -> None:
    """Wait for a 200. Raises RuntimeError when the process ends, or takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with code {process.returncode}; it says why above")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{name} gave no answer at {url} within {PATIENCE:g} s")


def show(steps: list[tuple[str, str]]) -> None:
    """Run each command and print it with its output. Raises RuntimeError when one fails."""
    for remark, command in steps:
        print(f"\n# {remark}\n$ {command}", flush=True)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False
        )
        print(done.stdout.rstrip(), flush=True)
        if done.returncode:
            raise RuntimeError(f"{shlex.quote(command)} failed with code {done.returncode}")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
