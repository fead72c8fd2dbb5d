"""The text of a first configuration, with what to think of next beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from proxy.commands.openapi import Proposal

Kind = Literal["sidecar", "gateway"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the configuration is for.

    kind: beside one service, or before several. upstreams: addresses of services by name.
    listen: where clients connect. routes: proposed ones; empty for one for everything.
    """

    kind: Kind
    upstreams: dict[str, str]
    listen: str
    routes: Sequence[Proposal] = ()


def write_config(wishes: Wishes, file: str) -> str:
    """The configuration as YAML. file: what it will be called, for its comments."""
    lines = [
        f"# sidegate check {file}",
        f"# sidegate explain {file} GET http://localhost/",
        f"# sidegate run {file}",
        "server:",
        f"  listen: {quoted(wishes.listen)}",
        "  # Whose X-Forwarded-*, X-Request-ID and traceparent are believed.",
        "  # trusted_proxies: [10.0.0.0/8]",
    ]
    if wishes.kind == "sidecar":
        lines += [
            "  # How long Endpoints may take to notice a shutdown, and then requests to end.",
            "  drain: {delay: 3s, timeout: 20s}",
            "admin:",
            "  # Probes of the kubelet come from outside the Pod's loopback.",
            "  listen: http://0.0.0.0:9901",
        ]
    lines += ["", "upstreams:"]
    lines += [f"  {name}: {quoted(address)}" for name, address in wishes.upstreams.items()]
    lines += [
        "",
        "# For every route; `sidegate policies` lists what there is.",
        "policies:",
        "  # It only notes what it would refuse, until `mode: shadow` is taken away.",
        "  rate_limit: {limit: 100/s, burst: 200, mode: shadow}",
    ]
    first = next(iter(wishes.upstreams))
    if wishes.routes:
        lines += ["", "# Whatever is not listed here is answered with 404.", "routes:"]
        for route in wishes.routes:
            lines += _route(route, first)
    elif len(wishes.upstreams) > 1:
        lines += ["", "routes:"]
        for name in wishes.upstreams:
            path = "/**" if name == first else f"/{name}/**"
            lines += [f"  - name: {name}", f"    match: {{path: {path}}}", f"    upstream: {name}"]
    return "\n".join(lines) + "\n"


def _route(route: Proposal, upstream: str) -> list[str]:
    methods = ", ".join(route.methods)
    lines = [f"  # {route.summary}"] if route.summary else []
    lines += [
        f"  - name: {quoted(route.name)}",
        f"    match: {{path: {quoted(route.path)}, methods: [{methods}]}}",
        f"    upstream: {upstream}",
    ]
    if route.credentials:
        lines += [
            "    policies:",
            "      # It takes a password.",
            "      rate_limit: {limit: 10/min}",
        ]
    return lines


def quoted(text: str) -> str:
    """A text as YAML reads it back, in quotes only where it needs them."""
    plain = all(mark.isalnum() or mark in "/._-:" for mark in text) and text.isascii()
    if plain and text and text[0].isalpha() and ": " not in text and not text.endswith(":"):
        return text if text.lower() not in _RESERVED else json.dumps(text)
    if plain and text.startswith("/"):
        return text
    return json.dumps(text)


_RESERVED = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
