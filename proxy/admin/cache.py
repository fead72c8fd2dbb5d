"""What operators ask of the cache, and how they say what to purge.

May live here: how a purge is written in JSON. Must not live here: what it does (`store`).
"""

from __future__ import annotations

from typing import Any

from proxy.admin.body import read_object
from proxy.store.purge import KINDS, Purge


def read_purge(body: bytes) -> Purge:
    """A purge from JSON: `{"url": …}`, or `prefix`, `glob`, `tag`, or `{"all": true}`, and
    `"soft": true`. Raises ValueError with the fix in words."""
    asked = read_object(body, '{"url": "https://…"}')
    unknown = sorted(set(asked) - {*KINDS, "soft"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown; known are {', '.join(KINDS)} and soft")
    given = [kind for kind in KINDS if kind in asked]
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(KINDS)}")
    kind = given[0]
    soft = asked.get("soft", False)
    if not isinstance(soft, bool):
        raise ValueError("`soft` must be true or false")
    if kind == "all":
        if asked[kind] is not True:
            raise ValueError('to purge everything write {"all": true}')
        return Purge("all", soft=soft)
    if not isinstance(asked[kind], str):
        raise ValueError(f"`{kind}` must be text")
    return Purge(kind, asked[kind], soft)


def combine(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """The facts of several workers' memories, and their sum."""
    total: dict[str, Any] = {"objects": 0, "bytes": 0, "limit_bytes": 0, "fetching_bytes": 0}
    removed: dict[str, int] = {}
    for answer in answers:
        for name in total:
            total[name] += answer[name]
        for reason, count in answer["removed"].items():
            removed[reason] = removed.get(reason, 0) + count
    return {**total, "removed": removed, "workers": answers}


def combine_purges(answers: list[tuple[int, bool | None]]) -> dict[str, Any]:
    """What a purge came to in several workers: how many objects went, and, where instances
    share something, whether the others purge `now` or `later`."""
    told: dict[str, Any] = {"purged": sum(count for count, _ in answers)}
    spread = {spread for _, spread in answers} - {None}
    if spread:
        told["instances"] = "now" if True in spread else "later"
    return told
