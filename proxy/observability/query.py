"""Expressions of PromQL over the metric catalogue. Pure.

May live here: how a question is put. Must not live here: which questions there are. An
expression is made of a `Family`, so it can't name a metric that isn't there, nor a label that
the metric doesn't have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.telemetry.catalogue import Family

# What Prometheus adds to each series by itself.
TARGET: Final = ("job", "instance")


def selector(family: Family, suffix: str = "", **match: str) -> str:
    """`name{label="value"}`. A value that begins `~` is a regular expression, one that begins
    `!` is any other.

    suffix: of a histogram's series, such as `_bucket`. Raises ValueError for a label that the
    family doesn't have.
    """
    _check(family, match)
    parts = []
    for label, value in match.items():
        operator = {"~": "=~", "!": "!="}.get(value[:1], "=")
        parts.append(f'{label}{operator}"{value[1:] if operator != "=" else value}"')
    return family.sample + suffix + (f"{{{','.join(parts)}}}" if parts else "")


def rate(
    family: Family, window: str, by: Sequence[str] = ("job",), suffix: str = "", **match: str
) -> str:
    """What a counter grows by in a second, over a window, summed by these labels."""
    _check(family, by)
    return f"sum by ({', '.join(by)}) (rate({selector(family, suffix, **match)}[{window}]))"


def quantile(
    share: float, family: Family, window: str, by: Sequence[str] = ("job",), **match: str
) -> str:
    """A quantile of a histogram, over a window, by these labels."""
    if family.kind != "histogram":
        raise ValueError(f"{family.name} is no histogram")
    _check(family, by)
    buckets = rate(family, window, (*by, "le"), "_bucket", **match)
    return f"histogram_quantile({share:g}, {buckets})"


def level(family: Family, by: Sequence[str] = ("job",), how: str = "sum", **match: str) -> str:
    """The present value of a gauge by these labels. how: the aggregation of the rest."""
    _check(family, by)
    return f"{how} by ({', '.join(by)}) ({selector(family, **match)})"


def ratio(part: str, whole: str) -> str:
    """A share of a whole, both rates by the same labels; 0 where the part has no series."""
    return f"({part} or {whole} * 0) / {whole}"


def _check(family: Family, labels: Sequence[str] | dict[str, str]) -> None:
    known = {*family.labels, *TARGET} | ({"le"} if family.kind == "histogram" else set())
    if unknown := [label for label in labels if label not in known]:
        raise ValueError(f"{family.name} has no label {unknown[0]!r}")
