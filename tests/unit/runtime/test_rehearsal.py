"""What `check` finds by building, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.catalog import Catalog
from proxy.config.load import load
from proxy.contract import PolicyOptions, PolicySpec, Toolkit
from proxy.runtime.plan import make_plan
from proxy.runtime.rehearsal import rehearse


class Options(PolicyOptions):
    """A policy that finds out late."""

    text: str = ""
    """Anything but `bad`."""


class Late:
    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        toolkit.metrics.counter("sidegate_late_total", "Counts nothing.").inc()
        if options.text == "bad":
            raise ValueError("text can't be used; write another")

    async def check(self, request: object) -> None:
        return None


CATALOG = Catalog.of([PolicySpec("late", Options, Late)])


def problems(folder: Path, text: str) -> list[str]:
    file = folder / "sidegate.yaml"
    file.write_text(text, encoding="utf-8")
    document = load(file, environ={})
    return [str(problem) for problem in rehearse(make_plan(document, CATALOG), document)]


def test_what_only_building_can_tell_has_its_line(tmp_path: Path) -> None:
    text = "upstreams: {app: http://127.0.0.1:1}\npolicies:\n  late: {text: bad}\n"
    [problem] = problems(tmp_path, text)
    assert problem.endswith("sidegate.yaml:3:3: policies.late: text can't be used; write another")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/nowhere.pem", "/nowhere.pem: can't be read: No such file or directory"),
        ("/", "/: can't be read: Is a directory"),
        ("{folder}/sidegate.yaml", "sidegate.yaml: can't be used: no certificate or crl found"),
    ],
)
def test_a_ca_file_that_cannot_be_used(tmp_path: Path, name: str, says: str) -> None:
    tls = f"tls: {{ca_file: {name.format(folder=tmp_path)}}}"
    [problem] = problems(
        tmp_path, f"upstreams:\n  app:\n    endpoints: https://127.0.0.1:1\n    {tls}\n"
    )
    assert "sidegate.yaml:4:20: upstreams.app.tls.ca_file: " in problem
    assert problem.endswith(says)
    [problem] = problems(
        tmp_path,
        f"upstreams: {{app: http://127.0.0.1:1}}\nstore:\n  url: rediss://127.0.0.1:1\n  {tls}\n",
    )
    assert "sidegate.yaml:4:18: store.tls.ca_file: " in problem
    assert problem.endswith(says)
    tracing = f"tracing: {{endpoint: https://127.0.0.1:1, {tls.removeprefix('tls: {')}"
    [problem] = problems(
        tmp_path, f"upstreams: {{app: http://127.0.0.1:1}}\ntelemetry:\n  {tracing}\n"
    )
    assert "telemetry.tracing.ca_file: " in problem
    assert problem.endswith(says)


def test_nothing_to_find(tmp_path: Path) -> None:
    text = "upstreams: {app: http://127.0.0.1:1}\npolicies:\n  late: {text: good}\n"
    assert problems(tmp_path, text) == []
