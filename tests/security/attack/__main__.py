"""`make attack`: the shop attacked directly and through the shield, with what worked as a table.

sqlmap tries every parameter at a higher level, by every technique that SQLite knows, and then
with its tamper scripts, which are there to get past filters.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop

from tests.integration.gateway import running
from tests.security.attack.probes import attack, report
from tests.security.attack.shop import open_shop
from tests.security.attack.sqlmap import Findings, sqlmap
from tests.security.payloads import table

SHIELD: Final[dict[str, Any]] = {"policies": {"shield": {"mode": "enforce"}}}
_TARGETS: Final = (
    ("/find?name=lamp", None, ()),
    ("/item?id=1", None, ()),
    ("/sorted?by=id", None, ()),
    ("/find", '{"name": "lamp"}', ("--headers=Content-Type: application/json",)),
)
_TAMPERS: Final = (
    "", "space2comment,between", "charencode", "chardoubleencode", "randomcase,space2plus",
    "charunicodeencode", "equaltolike,space2mssqlblank", "unmagicquotes",
)  # fmt: skip


async def main() -> int:
    """Attack, print, and return 1 if sqlmap got through."""
    through = False
    with tempfile.TemporaryDirectory() as shop_folder, tempfile.TemporaryDirectory() as folder:
        shop = Path(shop_folder)
        async with open_shop(shop) as url, aiohttp.ClientSession() as session:
            config = {"upstreams": {"app": url}, **SHIELD}
            async with running(config, Path(folder)) as gateway:
                directly = await attack(session, url, shop.name)
                shielded = await attack(session, gateway.url, shop.name)
                print(report(directly, shielded, shop.name))
                rows: list[tuple[Any, ...]] = [("sqlmap", "tampered by", "directly", "shielded")]
                for path, data, options in _TARGETS:
                    for tamper in _TAMPERS:
                        found = await _both(url, gateway.url, path, data, tamper, options)
                        through = through or bool(found[1].parameters)
                        cells = [", ".join(one.kinds) or "nothing" for one in found]
                        rows.append((path + (f" {data}" if data else ""), tamper or "-", *cells))
                        print(".", end="", flush=True)
                print(table("What sqlmap found", rows))
    return 1 if through else 0


async def _both(
    shop: str, gateway: str, path: str, data: str | None, tamper: str, options: tuple[str, ...]
) -> list[Findings]:
    more = ["--level=3", "--risk=3", "--technique=BEUSTQ", "--time-sec=1", *options]
    if tamper:
        more.append(f"--tamper={tamper}")
    return [await sqlmap(base + path, *more, data=data, seconds=900) for base in (shop, gateway)]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main()))
