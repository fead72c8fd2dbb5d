"""First configurations: whatever they are for, they are valid and say what was wished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.catalog import load_catalog
from proxy.commands.openapi import Proposal
from proxy.commands.starter import Wishes, quoted, write_config
from proxy.config.load import load
from proxy.runtime.plan import Plan, make_plan

APP = {"app": "http://127.0.0.1:3000"}


def planned(wishes: Wishes, folder: Path) -> Plan:
    file = folder / "sidegate.yaml"
    file.write_text(write_config(wishes, "sidegate.yaml"), encoding="utf-8")
    return make_plan(load(file, environ={}), load_catalog())


@pytest.mark.parametrize("listen", ["http://0.0.0.0:8080", "http://[::]:80", "unix:/run/s.sock"])
def test_a_gateway(listen: str, tmp_path: Path) -> None:
    plan = planned(Wishes("gateway", APP, listen), tmp_path)
    assert plan.config.server.listen == (listen,)
    assert plan.config.admin.listen == "http://127.0.0.1:9901"
    [route] = plan.routes
    assert route.upstream == "app"
    limit = next(policy for policy in route.policies if policy.spec.name == "rate_limit")
    assert limit.options.mode == "shadow", "it refuses nobody before somebody has looked"


def test_a_sidecar_can_be_probed_and_drains(tmp_path: Path) -> None:
    plan = planned(Wishes("sidecar", APP, "http://0.0.0.0:8080"), tmp_path)
    assert plan.config.admin.listen == "http://0.0.0.0:9901"
    assert plan.config.server.drain.delay == 3.0


def test_several_services_have_a_path_each(tmp_path: Path) -> None:
    upstreams = {"app": "http://a:80", "users": "https://users", "x": "unix:/run/x.sock"}
    plan = planned(Wishes("gateway", upstreams, "http://127.0.0.1:80"), tmp_path)
    assert [(route.match.path, route.upstream) for route in plan.routes] == [
        ("/**", "app"),
        ("/users/**", "users"),
        ("/x/**", "x"),
    ]


def test_proposed_routes(tmp_path: Path) -> None:
    proposals = [
        Proposal("get.user", "/users/{id}", ("GET", "DELETE"), 'A: "user" # 1'),
        Proposal("files", r"~/files/[^/]+\.json", ("GET",)),
        Proposal("on", "/login", ("POST",), "", credentials=True),
        Proposal("2fa", "/über", ("POST",)),
    ]
    plan = planned(Wishes("gateway", APP, "http://127.0.0.1:80", proposals), tmp_path)
    assert [(route.name, route.match.path, route.match.methods) for route in plan.routes] == [
        (each.name, each.path, each.methods) for each in proposals
    ]
    origins = [
        next(policy.origin for policy in route.policies if policy.spec.name == "rate_limit")
        for route in plan.routes
    ]
    assert origins == ["policies", "policies", "route", "policies"]


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "on",
        "No",
        "null",
        "12",
        "1e3",
        "",
        "a: b",
        "a:",
        "# a",
        "{x}",
        "~",
        'q"\\',
        "ü",
        "-",
    ],
)
def test_texts_are_read_back_as_they_were(text: str) -> None:
    read: Any = yaml.safe_load(f"- {quoted(text)}")
    assert read == [text]
