"""Where an instance gets its configuration from, and whether that has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxy.catalog import Catalog
from proxy.config.load import Document
from proxy.runtime.plan import Plan, make_plan
from proxy.runtime.watch import Watch

_SETTLE_SECONDS: Final = 0.2
_WATCH_SECONDS: Final = 1.0

Load = Callable[[], Document]


@dataclass(frozen=True, slots=True)
class Generation:
    """A configuration that was read and planned."""

    document: Document
    plan: Plan


class Source:
    """Reads configurations. Raises ConfigError, also at once, when there is none to be had."""

    def __init__(self, load: Load, catalog: Catalog) -> None:
        self._load = load
        self._catalog = catalog
        self._read_last: tuple[Path, ...] = ()
        self.first = self.read()
        self._watch = Watch(self._read_last)

    def read(self) -> Generation:
        """The configuration as it is now. Blocks while it reads files."""
        document = self._load()
        self._read_last = document.sources
        generation = Generation(document, make_plan(document, self._catalog))
        self._read_last = _files(generation)
        return generation

    async def watch(self, act: Callable[[], Awaitable[object]]) -> None:
        """Act whenever a file has changed, without end."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._watch.changed():
                # Writers may still be at it: the file is read once it has settled.
                await asyncio.sleep(_SETTLE_SECONDS)
                self._watch.changed()
                await act()

    def follow(self, used: Generation, *, attempted: bool = False) -> None:
        """Watch the files of the configuration in use, and with `attempted` those that were
        read in vain as well: one of them may be where the mistake is."""
        tried = self._read_last if attempted else ()
        self._watch.follow({*_files(used), *tried})


def _files(generation: Generation) -> tuple[Path, ...]:
    """The files that a change of would change the configuration."""
    upstreams = generation.plan.config.upstreams.values()
    authorities = [Path(name) for upstream in upstreams for name in upstream.tls.files]
    server = generation.plan.config.server.tls
    certificates = map(Path, () if server is None else server.files)
    policies = generation.plan.files()
    return (*generation.document.sources, *authorities, *certificates, *policies)
