"""What the admin API asks of an instance (`admin.api.Operator`), however many processes serve.

May live here: facts put together for an operator, of this process and of the workers'
answers. Must not live here: how they are shown, or how anything changes (`app`).
"""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import Sequence
from typing import Any, Protocol

from pydantic import BaseModel

from proxy.admin.api import ReloadReport
from proxy.admin.cache import combine as combine_memories
from proxy.admin.cache import combine_purges
from proxy.config.problems import meant
from proxy.control.line import GLANCE_SECONDS, Answers
from proxy.process.desks import LimitQuestion
from proxy.process.solo import Serving
from proxy.process.source import Generation
from proxy.process.version import VERSION
from proxy.routing.match import read_rules
from proxy.routing.precedence import arrange
from proxy.server.addresses import Addresses
from proxy.store.purge import Purge


class Instance(Protocol):
    """What runs here, as `app.App`."""

    crew: Serving
    addresses: Addresses

    def ready(self) -> tuple[bool, str]:
        """Whether requests can be served, and if not, why."""
        ...

    async def reload(self) -> ReloadReport:
        """Read the configuration again and use it if it is good."""
        ...


class Operations:
    """An instance, as operators see it."""

    def __init__(self, instance: Instance, generation: Generation) -> None:
        self._instance = instance
        self._generation = generation
        self._started = self._loaded = time.time()
        self._last_reload: dict[str, Any] | None = None

    def reloaded(self, report: ReloadReport, generation: Generation) -> None:
        """Note what became of a reload. generation: the one in use."""
        now = time.time()
        self._last_reload = {"ok": report.ok, "at": now, "problems": report.problems}
        if report.ok:
            self._loaded = now
        self._generation = generation

    def ready(self) -> tuple[bool, str]:
        """Whether to send traffic here, and if not, why."""
        return self._instance.ready()

    async def reload(self) -> ReloadReport:
        """Read the configuration again and use it if it is good."""
        return await self._instance.reload()

    def config(self) -> dict[str, Any]:
        """The effective configuration, without what came from `!file`."""
        plan, document = self._generation.plan, self._generation.document
        shown: dict[str, Any] = document.hide_all(_written(plan.config))
        return shown

    def routes(self) -> list[dict[str, Any]]:
        """The routes by precedence, with their policies in the order they act."""
        plan, hide = self._generation.plan, self._generation.document.hide_all
        rules = arrange(read_rules([route.match for route in plan.routes]))
        return [
            {
                "name": route.name,
                "match": hide(_written(route.match, exclude_defaults=True)),
                "upstream": route.upstream,
                "body_limit": route.body_limit,
                "policies": [
                    {
                        "name": policy.spec.name,
                        "mode": policy.options.mode,
                        "from": str(policy.place or "default"),
                        "options": hide(_written(policy.options)),
                    }
                    for policy in route.policies
                ],
            }
            for route in (plan.routes[rule.index] for rule in rules)
        ]

    async def upstreams(self) -> dict[str, Any]:
        """Each endpoint with the state of its pools, those of all workers together, and each
        upstream that has something to decide, as each worker decides for itself."""
        pools, decided = await asyncio.gather(self._look("upstreams"), self._look("balance"))
        several = len(decided.given) + len(decided.silent) > 1
        rows = [
            {**row, "worker": number} if several else row
            for number, answer in decided.given.items()
            for row in answer
        ]
        return _shown({"upstreams": combine([*pools.given.values()]), "balance": rows}, pools)

    async def log_levels(self) -> dict[str, Any]:
        """The level of the configuration, and the exceptions that hold."""
        return _first(await self._look("log"))

    async def change_log_level(
        self, level: str, seconds: float, route: str, client: str
    ) -> dict[str, Any]:
        """Have another level hold for a while; the levels then. Raises ValueError."""
        names = [plan.name for plan in self._generation.plan.routes]
        if route and route not in names:
            raise ValueError(f'there is no route "{route}"{meant(route, names)}')
        wanted = {"level": level, "seconds_left": seconds, "route": route, "client": client}
        return _first(await self._change("log_exempt", [wanted]))

    async def clear_log_levels(self) -> dict[str, Any]:
        """End all exceptions; the levels then."""
        return _first(await self._change("log_clear"))

    async def cache(self) -> dict[str, Any]:
        """What the caches of all workers hold."""
        answers = await self._look("cache")
        return _shown(combine_memories([*answers.given.values()]), answers)

    async def purge(self, purge: Purge) -> dict[str, Any]:
        """Purge the caches of all workers, and of all instances."""
        asked = (purge, os.urandom(8).hex())
        answers = await self._change("purge", asked)
        return _shown(combine_purges([*answers.given.values()]), answers)

    async def limits(self) -> list[dict[str, Any]]:
        """The limits of all policies."""
        answers = await self._look("limits")
        return next(iter(answers.given.values()), [])

    async def limit(
        self, policy: str, key: Sequence[str], tier: str, *, reset: bool
    ) -> dict[str, Any]:
        """How a key stands, with `problem` where that can't be told; all workers know the same,
        but each has leases of its own to forget."""
        question = LimitQuestion(policy, tuple(key), tier, reset)
        return _first(await (self._change if reset else self._look)("limit", question))

    async def _look(self, name: str, argument: Any = None) -> Answers:
        """Ask what is only to be shown, for which nobody is waited for long."""
        return await self._instance.crew.hear_all(name, argument, seconds=GLANCE_SECONDS)

    async def _change(self, name: str, argument: Any = None) -> Answers:
        """Ask for what every worker should do."""
        return await self._instance.crew.hear_all(name, argument)

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Content type and exposition."""
        return await self._instance.crew.expose(accept)

    async def status(self) -> dict[str, Any]:
        """What runs here, since when, with which configuration."""
        answers = await self._look("status")
        workers = [*answers.given.values()]
        facts = {
            **self.facts(),
            "in_flight": sum(worker["in_flight"] for worker in workers),
            "connections": sum(worker["connections"] for worker in workers),
            "workers": workers,
        }
        return _shown(facts, answers)

    def facts(self) -> dict[str, Any]:
        """The part of the status that no worker has to be asked for."""
        return {
            "version": VERSION,
            "python": platform.python_version(),
            "started": self._started,
            "config": {"digest": self._generation.plan.digest, "loaded": self._loaded},
            "last_reload": self._last_reload,
            "listen": self._instance.addresses.shown,
        }


def _written(options: BaseModel, **how: Any) -> dict[str, Any]:
    """Options by the names that YAML has for them."""
    return options.model_dump(mode="json", by_alias=True, **how)


def _first(answers: Answers) -> dict[str, Any]:
    """What all workers say alike; nothing while none serves."""
    return _shown(next(iter(answers.given.values()), {}), answers)


def _shown(facts: dict[str, Any], answers: Answers) -> dict[str, Any]:
    """Facts of the workers that answered, and the numbers of the others if there are any."""
    return {**facts, "silent_workers": answers.silent} if answers.silent else facts


def combine(answers: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Rows of several workers about the same endpoints, as one row an endpoint: numbers, and
    mappings of numbers, are added up."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in (row for answer in answers for row in answer):
        key = row["upstream"], row["endpoint"]
        rows[key] = _add(rows[key], row) if key in rows else row
    return list(rows.values())


def _add(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        both = {key: _add(one[key], other[key]) for key in one.keys() & other.keys()}
        return {**one, **other, **both}
    if isinstance(one, int | float) and not isinstance(one, bool):
        return one + other
    return one
