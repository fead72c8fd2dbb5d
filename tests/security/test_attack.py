"""A shop with every hole in the book, attacked directly and through the shield.

`make attack` does more of the same: sqlmap on every parameter, by every technique, tampered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.integration.gateway import running
from tests.security.attack.probes import attack, report
from tests.security.attack.shop import open_shop
from tests.security.attack.sqlmap import sqlmap
from tests.security.payloads import table

SHIELD: Final = {"shield": {"mode": "enforce"}}
# It says what people say too: "1 or more".
MISSED: Final = {"SQL, number": ["0 or id"]}


async def test_the_shop_is_full_of_holes_and_the_shield_covers_them(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    async with open_shop(folder) as shop, aiohttp.ClientSession() as session:
        directly = await attack(session, shop, folder.name)
        config = {"upstreams": {"app": shop}, "policies": SHIELD}
        async with running(config, tmp_path) as gateway:
            shielded = await attack(session, gateway.url, folder.name)
    show(report(directly, shielded, folder.name))
    assert all(directly.values()), "what works for nobody shows nothing"
    assert {name: worked for name, worked in shielded.items() if worked} == MISSED


async def test_sqlmap_finds_the_holes_and_none_behind_the_shield(
    tmp_path: Path, show: Callable[[str], None]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    options = ("--technique=BU", "--level=1")
    rows: list[tuple[Any, ...]] = [("resource", "directly", "shielded")]
    async with open_shop(folder) as shop:
        config = {"upstreams": {"app": shop}, "policies": SHIELD}
        async with running(config, tmp_path) as gateway:
            for path in ("/find?name=lamp", "/item?id=1"):
                directly = await sqlmap(shop + path, *options)
                shielded = await sqlmap(gateway.url + path, *options)
                rows.append(
                    (path, ", ".join(directly.kinds), ", ".join(shielded.kinds) or "nothing")
                )
                assert directly.parameters, directly.output
                assert shielded.finished, shielded.output
                assert not shielded.parameters, shielded.output
    show(table("What sqlmap found", rows))
