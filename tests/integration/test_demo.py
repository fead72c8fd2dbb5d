"""`make demo` shows what it promises, beside whatever else listens on the machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = [sys.executable, str(ROOT / "config" / "demo" / "run.py")]


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture(scope="module")
def shown(taken_port: int) -> dict[str, str]:
    """What DEMO_ONCE=1 printed: output by command, addresses replaced by who listens there."""
    done = subprocess.run(
        [*COMMAND, "--port", str(taken_port)],
        env={**os.environ, "DEMO_ONCE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"127.0.0.1:{taken_port}" not in done.stdout
    text = done.stdout
    service, proxy, admin = re.findall(r"http://127\.0\.0\.1:\d+", text)[:3]
    for address, name in ((service, "SERVICE"), (proxy, "PROXY"), (admin, "ADMIN")):
        text = text.replace(address, name)
    steps = re.split(r"^\$ (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(steps[::2], steps[1::2], strict=True))


def output_of(shown: dict[str, str], part: str) -> str:
    """The output of the first command that has `part` in it."""
    return next(output for command, output in shown.items() if part in command).lower()


def test_the_same_answer_gains_an_id_and_loses_what_it_reveals(shown: dict[str, str]) -> None:
    answer = output_of(shown, "curl -si PROXY/api/products")
    assert answer.lstrip().startswith("http/1.1 200")
    assert '"kettle"' in answer
    assert re.search(r"^x-request-id: [0-9a-f-]{36}$", answer, re.MULTILINE)
    assert "x-content-type-options: nosniff" in answer
    assert "shopsoft" not in answer
    assert "server: basehttp" not in answer


def test_a_failure_reaches_callers_without_its_internals(shown: dict[str, str]) -> None:
    answer = output_of(shown, "curl -si PROXY/broken")
    assert answer.lstrip().startswith("http/1.1 500")
    assert '"error"' in answer
    assert '"request_id"' in answer
    assert "db.internal" not in answer


def test_a_browser_gets_a_page(shown: dict[str, str]) -> None:
    answer = output_of(shown, "Accept: text/html")
    assert "content-type: text/html" in answer
    assert "db.internal" not in answer


def test_a_slow_service_is_given_up_on(shown: dict[str, str]) -> None:
    answer = output_of(shown, "/slow")
    assert answer.lstrip().startswith("http/1.1 504")
    assert "upstream_timeout" in answer


def test_too_many_requests_are_refused(shown: dict[str, str]) -> None:
    answer = output_of(shown, "products?n=")
    assert "http/1.1 429" in answer
    assert re.search(r"^retry-after: \d+$", answer, re.MULTILINE)


def test_an_ambiguous_request_is_refused(shown: dict[str, str]) -> None:
    answer = output_of(shown, "Transfer-Encoding")
    assert answer.lstrip().startswith("http/1.1 400")
    assert "invalid_framing" in answer


def test_everything_was_counted(shown: dict[str, str]) -> None:
    assert 'route="api"' in output_of(shown, "/metrics")


def test_ctrl_c_stops_both(taken_port: int) -> None:
    # Shells have what they run in the background ignore it, and so would the demo then.
    heeding = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", heeding, *COMMAND, "--port", str(taken_port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as output:
        ports: list[int] = []
        for line in output:
            ports += [int(port) for port in re.findall(r"(?<=127\.0\.0\.1:)\d+", line)][:3]
            if "Ctrl-C stops both" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = output.read()
    assert process.wait(120) == 0, rest
    assert "Stopped." in rest
    for port in ports[:3]:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
