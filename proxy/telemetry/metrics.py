"""What is counted, in plain cells that the hot path writes.

May live here: which facts are counted and how their labels stay bounded. Must not live
here: names and formats of the exposition, which `exposition` derives from these cells.
Every label comes from the configuration, from a table, or from a bounded set whose
overflow is `_OTHER`; never from a path, a host or a key that a client chose.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Final

from proxy.cells import Count, Histogram, Tally
from proxy.telemetry.exposition import OWN_NAMES, Exposition
from proxy.telemetry.route_cells import OTHER, RouteCells
from proxy.telemetry.sink import Sink
from proxy.telemetry.snapshot import (
    CustomCounter,
    PoolView,
    Reloads,
    ServerView,
    Snapshot,
    copy_pools,
    copy_server,
)

_CODES_MAX: Final = 256
_CUSTOM_MAX: Final = 10_000
_CUSTOM_NAME: Final = re.compile(r"sidegate_[a-z0-9_]+_total")
_LABEL_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_LABEL_MAX: Final = 128


class Metrics:
    """All cells of the process; it lives as long, so counts survive reloads.

    version: of Sidegate. sink: whose dropped lines are exported. wall: seconds since 1970.
    pools, server: views of what keeps its own counts. Routes and upstreams keep their
    series after a reload took them away, so that their counts aren't lost to the scraper.
    """

    def __init__(
        self,
        version: str,
        sink: Sink,
        wall: Callable[[], float],
        pools: Callable[[], Iterable[PoolView]] = tuple,
        server: ServerView | None = None,
    ) -> None:
        self._exposition = Exposition(version)
        self._sink = sink
        self._wall = wall
        self._pools = pools
        self._server = server
        self._routes: dict[str, RouteCells] = {}
        self._upstreams: dict[str, Histogram] = {}
        self._custom: dict[str, CustomCounter] = {}
        self._custom_size = 0
        self._succeeded = 0
        self._rejected = 0
        self._digest = ""
        self._loaded = 0.0
        self._errors = Tally(_CODES_MAX, (OTHER,))
        self._refusals = Tally(_CODES_MAX * 4, (OTHER, OTHER, OTHER))
        self.lag = Histogram()
        """Seconds that timers of the event loop came late; whoever has a timer observes."""

    def route(self, name: str) -> RouteCells:
        """The cells of a route."""
        return self._routes.setdefault(name, RouteCells())

    def upstream(self, name: str) -> Histogram:
        """The waiting times for an upstream, in seconds."""
        return self._upstreams.setdefault(name, Histogram())

    def failed(self, code: str) -> None:
        """Count an error that Sidegate answered with, by its code."""
        self._errors.count(code)

    def refused(self, policy: str, code: str, mode: str) -> None:
        """Count a refusal by a policy. mode: `enforce`, or `shadow` for what would have been."""
        self._refusals.count(policy, code, mode)

    def reloaded(self, ok: bool, digest: str = "") -> None:
        """Note that a configuration was taken, at start as well, or turned down."""
        if ok:
            self._succeeded += 1
            self._digest = digest
            self._loaded = self._wall()
        else:
            self._rejected += 1

    def counter(self, name: str, documentation: str, **labels: str) -> Count:
        """A policy's counter; the same name and labels give the same one, also after reloads.

        Raises ValueError for a name that isn't `sidegate_…_total` or is taken, and for
        labels that differ from those the name had before.
        """
        family = self._custom.get(name)
        if family is None:
            if not _CUSTOM_NAME.fullmatch(name):
                raise ValueError(f"metric {name!r} must be named sidegate_…_total, in lower case")
            if name.removesuffix("_total") in OWN_NAMES:
                raise ValueError(f"metric {name!r} is one of Sidegate's own")
            if wrong := [label for label in labels if not _LABEL_NAME.fullmatch(label)]:
                raise ValueError(f"metric {name!r}: {wrong[0]!r} is no name of a label")
            family = CustomCounter(documentation, tuple(sorted(labels)), {})
            self._custom[name] = family
        elif family.labels != tuple(sorted(labels)):
            raise ValueError(
                f"metric {name!r} has the labels {', '.join(family.labels) or 'none'}, "
                f"not {', '.join(sorted(labels)) or 'none'}"
            )
        key = tuple(labels[label][:_LABEL_MAX] for label in family.labels)
        cell = family.cells.get(key)
        if cell is None:
            if self._custom_size >= _CUSTOM_MAX:
                key = (OTHER,) * len(key)
            self._custom_size += 1
            cell = family.cells.setdefault(key, Count())
        return cell

    def snapshot(self) -> Snapshot:
        """The present counts. Take it in the event loop; it may be read in another thread."""
        age = self._wall() - self._loaded if self._loaded else 0.0
        return Snapshot(
            routes=self._routes.copy(),
            upstreams=self._upstreams.copy(),
            errors=self._errors.counts.copy(),
            refusals=self._refusals.counts.copy(),
            custom={name: family.copy() for name, family in self._custom.items()},
            pools=copy_pools(self._pools()),
            server=copy_server(self._server),
            reloads=Reloads(self._succeeded, self._rejected, self._digest, age),
            dropped=self._sink.dropped,
            lag=self.lag,
        )

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Content type and exposition, as the Accept field asks: text or OpenMetrics.

        It takes 90 ms for 1,000 counters and 500 histograms; a server uses `expose`.
        """
        return self._exposition.render(self.snapshot(), accept)

    async def expose(self, accept: str = "") -> tuple[str, bytes]:
        """As `render`, in a thread, so that a scrape doesn't hold up requests."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._exposition.render, self.snapshot(), accept)
