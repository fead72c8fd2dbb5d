"""What is counted, in plain cells that the hot path writes.

May live here: which facts are counted and how their labels stay bounded. Must not live
here: names and formats of the exposition (`catalogue`, `exposition`), or where the cells
are (`ledger`). Every label comes from the configuration, from a table, or from a bounded
set whose overflow is `_OTHER`; never from a path, a host or a key that a client chose.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Callable, Iterable
from math import nan
from typing import Final

from proxy.cells import DURATION_BUCKETS, Count, Histogram, Level, Row, Tally
from proxy.telemetry.catalogue import (
    BUILD,
    CONFIG,
    CONFIG_AGE,
    ERRORS,
    LAG,
    NAMES,
    REFUSALS,
    RELOADS,
    UPSTREAM_DURATION,
    Family,
    Kind,
    Merge,
)
from proxy.telemetry.census import Census, PoolView, ServerView
from proxy.telemetry.exposition import render
from proxy.telemetry.features import FEATURES
from proxy.telemetry.ledger import Ledger, PrivateLedger
from proxy.telemetry.route_cells import OTHER, RouteCells
from proxy.telemetry.sink import Sink
from proxy.telemetry.snapshot import Snapshot, gather, write_exemplars

_CODES_MAX: Final = 256
_SERIES_MAX: Final = 10_000
_CUSTOM_NAME: Final = re.compile(r"sidegate_[a-z0-9_]+")
_LABEL_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_LABEL_MAX: Final = 128
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}").fullmatch
_PROMISED: Final = {family.name: family for family in FEATURES}


class Metrics:
    """All cells of the process; it lives as long, so counts survive reloads.

    version: of Sidegate. sink: whose dropped lines are exported. wall: seconds since 1970.
    pools, server: views of what keeps its own counts. ledger: where cells are; one of this
    process's own by default. others: ledgers of other workers, told together with it. Routes
    and upstreams keep their series after a reload took them away, so that their counts
    aren't lost to the scraper.
    """

    def __init__(
        self,
        version: str,
        sink: Sink,
        wall: Callable[[], float],
        pools: Callable[[], Iterable[PoolView]] = tuple,
        server: ServerView | None = None,
        ledger: Ledger | None = None,
        others: Iterable[Ledger] = (),
    ) -> None:
        self._ledger = PrivateLedger() if ledger is None else ledger
        self._others = tuple(others)
        self._census = Census(self._ledger, sink, pools, server)
        self._wall = wall
        self._routes: dict[str, RouteCells] = {}
        self._upstreams: dict[str, Histogram] = {}
        self._custom: dict[str, Family] = {}
        self._custom_cells: dict[str, dict[tuple[str, ...], Row]] = {}
        self._digest = ""
        self._loaded = 0.0
        self._reloads = {
            ok: self._ledger.open(RELOADS, (result,))
            for ok, result in ((True, "success"), (False, "failure"))
        }
        self._errors = Tally(_CODES_MAX, (OTHER,), lambda key: self._ledger.open(ERRORS, key))
        self._refusals = Tally(
            _CODES_MAX * 4, (OTHER,) * 3, lambda key: self._ledger.open(REFUSALS, key)
        )
        self._ledger.open(BUILD, (platform.python_version(), version))[0] = 1
        self.lag = Histogram(LAG.bounds, self._ledger.open(LAG, ()))
        """Seconds that timers of the event loop came late; whoever has a timer observes."""

    def route(self, name: str) -> RouteCells:
        """The cells of a route."""
        cells = self._routes.get(name)
        if cells is None:
            cells = self._routes[name] = RouteCells(self._ledger, name)
        return cells

    def upstream(self, name: str) -> Histogram:
        """The waiting times for an upstream, in seconds."""
        histogram = self._upstreams.get(name)
        if histogram is None:
            cells = self._ledger.open(UPSTREAM_DURATION, (name,))
            histogram = self._upstreams[name] = Histogram(DURATION_BUCKETS, cells)
        return histogram

    def errors(self, code: str) -> Row:
        """Where errors with this code are counted, which Sidegate answered with."""
        return self._errors.row((code,))

    def refusals(self, policy: str, code: str, mode: str) -> Row:
        """Where refusals by a policy are counted. mode: `enforce`, or `shadow` for what would have
        been."""
        return self._refusals.row((policy, code if _CODE(code) else OTHER, mode))

    def reloaded(self, ok: bool, digest: str = "") -> None:
        """Note that a configuration was taken, at start as well, or turned down."""
        self._reloads[ok][0] += 1
        if ok:
            if self._digest:
                self._ledger.open(CONFIG, (self._digest,))[0] = nan
            self._ledger.open(CONFIG, (digest,))[0] = 1
            self._digest = digest
            self._loaded = self._wall()

    def counter(self, name: str, documentation: str, **labels: str) -> Count:
        """A policy's counter; the same name and labels give the same one, also after reloads.

        Raises ValueError for a name that isn't `sidegate_…_total` or is taken, and for
        labels that differ from those the name had before.
        """
        if not name.endswith("_total"):
            raise ValueError(f"metric {name!r} must be named sidegate_…_total, in lower case")
        return Count(self._open(name, "counter", documentation, labels))

    def gauge(self, name: str, documentation: str, merge: Merge = "sum", **labels: str) -> Level:
        """A value that goes up and down; not shown until it is set.

        merge: what the values of several workers become together. Raises ValueError as
        `counter` does, for a name that isn't `sidegate_…`.
        """
        return Level(self._open(name, "gauge", documentation, labels, merge=merge))

    def histogram(
        self,
        name: str,
        documentation: str,
        bounds: tuple[float, ...] = DURATION_BUCKETS,
        **labels: str,
    ) -> Histogram:
        """Observations by upper bound. Raises ValueError as `counter` does."""
        return Histogram(bounds, self._open(name, "histogram", documentation, labels, bounds))

    def _open(
        self,
        name: str,
        kind: Kind,
        documentation: str,
        labels: dict[str, str],
        bounds: tuple[float, ...] = (),
        merge: Merge = "sum",
    ) -> Row:
        stem = name.removesuffix("_total")
        family = self._custom.get(stem)
        names = tuple(sorted(labels))
        if family is None:
            if not _CUSTOM_NAME.fullmatch(name) or (name != stem) != (kind == "counter"):
                raise ValueError(f"metric {name!r} must be named sidegate_…, in lower case")
            if stem in NAMES:
                raise ValueError(f"metric {name!r} is one of Sidegate's own")
            if wrong := [label for label in labels if not _LABEL_NAME.fullmatch(label)]:
                raise ValueError(f"metric {name!r}: {wrong[0]!r} is no name of a label")
            family = Family(stem, kind, documentation, names, bounds, merge)
            promised = _PROMISED.get(stem, family)
            if promised._replace(documentation=documentation) != family:
                raise ValueError(f"metric {name!r} is not what the catalogue promises")
            self._custom[stem] = family
        elif family.labels != names:
            raise ValueError(
                f"metric {name!r} has the labels {', '.join(family.labels) or 'none'}, "
                f"not {', '.join(names) or 'none'}"
            )
        elif (family.kind, family.bounds, family.merge) != (kind, bounds, merge):
            raise ValueError(f"metric {name!r} is a {family.kind} with other bounds or merging")
        values = tuple(labels[label][:_LABEL_MAX] for label in names)
        rows = self._custom_cells.setdefault(stem, {})
        row = rows.get(values)
        if row is None:
            # Of each family: what comes and goes, such as endpoints, must not use up the
            # series of others.
            if len(rows) >= _SERIES_MAX:
                values = (OTHER,) * len(values)
            row = rows[values] = self._ledger.open(family, values)
            if kind == "gauge":
                row[0] = nan
        return row

    def collect(self) -> None:
        """Write what others count into the ledger; call it from time to time."""
        self._census.take()
        if self._loaded:
            self._ledger.open(CONFIG_AGE, ())[0] = self._wall() - self._loaded
        for name, cells in self._routes.items():
            if any(cells.exemplars):
                write_exemplars(self._ledger, name, cells.exemplars)
                cells.exemplars[:] = [None] * len(cells.exemplars)

    def snapshot(self) -> Snapshot:
        """The counts of this moment, of all workers. Take it in the event loop."""
        self.collect()
        return self._gather()

    def render(self, accept: str = "") -> tuple[str, bytes]:
        """Content type and exposition, as the Accept field asks: text or OpenMetrics.

        A server uses `expose`.
        """
        return render(self.snapshot(), accept)

    async def expose(self, accept: str = "") -> tuple[str, bytes]:
        """As `render`, in a thread, so that a scrape doesn't hold up requests."""
        self.collect()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, lambda: render(self._gather(), accept))

    def _gather(self) -> Snapshot:
        return gather((self._ledger, *self._others))
