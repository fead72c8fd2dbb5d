"""Builds what a plan asks for and throws it away, so that `check` finds what only building
can tell: an unreadable CA file, a pattern that a policy can't use. Opens no connection."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from proxy.config.load import Document
from proxy.config.problems import ConfigError, Path, Problem, beneath
from proxy.config.store import RedisOptions, StoreTls
from proxy.config.upstream import Upstream, UpstreamTls
from proxy.contract import Handler, Kept, Ticket, Toolkit
from proxy.limits import Reading
from proxy.runtime.encryption import make_encryption
from proxy.runtime.failing import raise_failure
from proxy.runtime.plan import Plan, target_of
from proxy.runtime.upstreams import unknown
from proxy.store.redis.access import make_access
from proxy.upstream.endpoint import make_endpoint
from proxy.wire.tls import TlsError, make_client


class _Nobody:
    """Stands for everything that a policy may be given."""

    prompt: Final = True

    def limiter(self, *_: Any) -> _Nobody:
        return self

    def take(self, key: str, cost: int = 1) -> Reading:
        return ()

    look = take

    def charge(self, *_: Any) -> None:
        return None

    give_back = reset = charge

    @property
    def object_limit(self) -> int:
        return 0

    def find(self, key: str) -> None:
        return None

    def put(self, item: Kept) -> bool:
        return False

    def remove(self, key: str, reason: str) -> None:
        return None

    def forget(self, urls: Sequence[str]) -> None:
        return None

    async def purge_url(self, url: str) -> int:
        return 0

    def begin(self, url: str) -> Ticket:
        return Ticket(url)

    def end(self, ticket: Ticket) -> None:
        return None

    def phantom(self) -> _Nobody:
        return self

    def reserve(self, size: int) -> bool:
        return False

    def counter(self, *_: Any, **__: Any) -> _Nobody:
        return self

    gauge = histogram = counter

    def inc(self, amount: float = 1.0) -> None:
        return None

    set = observe = inc

    def clear(self) -> None:
        return None

    def debug(self, event: str, **facts: Any) -> None:
        return None

    info = warning = error = debug


def rehearse(plan: Plan, document: Document) -> list[Problem]:
    """Every problem that building finds, in the order of the plan, but for those that only
    follow from what is wrong with the document already."""
    problems: list[Problem] = []
    for name, upstream in plan.config.upstreams.items():
        for options in upstream.endpoints:
            try:
                make_endpoint(options.url, upstream.tls, upstream.timeouts)
            except ValueError as error:
                path = _at_fault(("upstreams", name, "tls"), upstream.tls, error)
                problems.append(document.problem(path, str(error)))
                break
    try:
        make_encryption(document)
    except ConfigError as error:
        problems += error.problems
    remotes: dict[Path, RedisOptions] = {
        ("store",): plan.config.store, ("cache", "store"): plan.config.cache.store,
    }  # fmt: skip
    for where, remote in remotes.items():
        if remote.remote:
            try:
                make_access(remote)
            except ValueError as error:
                path = _at_fault((*where, "tls"), remote.tls, error)
                problems.append(document.problem(path, str(error)))
    tracing = plan.config.telemetry.tracing
    if tracing is not None and tracing.ca_file is not None:
        try:
            make_client(tracing.ca_file)
        except TlsError as error:
            problems.append(document.problem(("telemetry", "tracing", "ca_file"), str(error)))
    toolkit = _toolkit(plan.config.upstreams)
    for route in plan.routes:
        target = target_of(route.upstream or "", plan.config.upstreams.get(route.upstream or ""))
        toolkit = replace(toolkit, route=route.name, target=target)
        for policy in route.policies:
            try:
                policy.spec.build(policy.options, toolkit)
            except ValueError as error:
                problems.append(document.problem(policy.path, str(error), policy.place))
    return [
        problem for problem in dict.fromkeys(problems) if not beneath(problem.path, document.broken)
    ]


def _at_fault(path: Path, tls: UpstreamTls | StoreTls | None, error: ValueError) -> Path:
    """The path of the setting that names the file, where the error is about one."""
    if isinstance(error, TlsError):
        for key in ("ca_file", "cert_file", "key_file"):
            if getattr(tls, key, None) == error.file:
                return (*path, key)
    return path


def _toolkit(upstreams: Mapping[str, Upstream]) -> Toolkit:
    nobody = _Nobody()

    def ask(name: str) -> Handler:
        if name not in upstreams:
            raise ValueError(unknown(name, upstreams))
        return raise_failure

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        work.close()

    return Toolkit(
        clock=lambda: 0.0,
        wall=lambda: 0.0,
        random=bytes,
        store=nobody,
        trove=nobody,
        metrics=nobody,
        log=nobody,
        spawn=spawn,
        ask=ask,
    )
