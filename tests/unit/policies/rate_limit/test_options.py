"""Options of rate_limit: what is read, and what is refused with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.limits import Quota
from proxy.policies.rate_limit.options import Options


def quotas(**options: Any) -> list[Quota]:
    return [rule.quota for rule in Options.model_validate(options).rules()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"limit": "5/min"}, [Quota("gcra", 5, 60.0, 5)]),
        ({"limit": "5/min", "burst": 2}, [Quota("gcra", 5, 60.0, 2)]),
        (
            {"limit": "5/min", "algorithm": "sliding_window"},
            [Quota("sliding_window", 5, 60.0, 5)],
        ),
        (
            {"limit": "1MiB/s", "burst": "4MiB", "cost": "response_bytes"},
            [Quota("gcra", 2**20, 1.0, 2**22)],
        ),
        ({"limit": 20, "algorithm": "concurrency"}, [Quota("concurrency", 20, 0.0, 20)]),
        ({"limits": "5/min"}, [Quota("gcra", 5, 60.0, 5)]),
        (
            {
                "limits": [
                    "1/s",
                    {"limit": "5/day", "algorithm": "fixed_window"},
                    {"limit": 3, "algorithm": "concurrency"},
                ],
                "algorithm": "sliding_window",
                "cost": 1,
            },
            [
                Quota("sliding_window", 1, 1.0, 1),
                Quota("fixed_window", 5, 86400.0, 5),
                Quota("concurrency", 3, 0.0, 3),
            ],
        ),
    ],
)
def test_limits_are_read(options: dict[str, Any], expected: list[Quota]) -> None:
    assert quotas(**options) == expected


def test_limits_take_from_the_policy_what_they_don_t_say() -> None:
    options = Options.model_validate(
        {
            "limits": [{"limit": "1/s", "key": "global"}, "9/s", {"limit": "1/s", "name": "b"}],
            "key": ["client_ip", "route"],
            "when": {"status": "4xx"},
            "cost": 1,
        }
    )
    first, second, third = options.rules()
    assert (first.key, second.key) == (("global",), ("client_ip", "route"))
    assert first.statuses == frozenset(range(400, 500))
    assert [rule.name for rule in (first, second, third)] == ["1/second", "9/second", "b"]


def test_limits_of_the_same_name_are_told_apart() -> None:
    options = Options.model_validate({"limits": ["1/s", {"limit": "1/s", "key": "global"}, "1/s"]})
    assert [rule.name for rule in options.rules()] == ["1/second", "1/second (2)", "1/second (3)"]


def test_statuses() -> None:
    options = Options.model_validate(
        {"limit": "1/s", "when": {"status": [401, "403", "5xx", "410 - 412"]}}
    )
    codes = options.rules()[0].statuses
    assert codes == frozenset({401, 403, 410, 411, 412, *range(500, 600)})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give `limit`, or several `limits`"),
        ({"limit": "5/s", "limits": ["1/s"]}, "give `limit`, or several `limits`"),
        ({"limits": []}, "give `limit`, or several `limits`"),
        ({"limit": 5}, "5 is not a rate; write 5/s or 5/min, or `algorithm: concurrency`"),
        ({"limit": "abc"}, "not a rate"),
        ({"limit": "0/s"}, "would admit nothing"),
        ({"limit": "5/min", "burst": True}, "true is no number; write one"),
        ({"limit": "5/min", "burst": 0}, "greater than or equal to 1"),
        ({"limit": "5/min", "burst": "2x"}, "not a size"),
        ({"limits": ["5/min"], "burst": 3}, r"burst\n  with several `limits`, it is said of each"),
        ({"limit": "5/min", "burst": 3, "algorithm": "fixed_window"}, "`burst` belongs to"),
        ({"limit": "5/min", "key": "ip"}, "no part of a key"),
        ({"limit": "5/min", "key": []}, "at least 1"),
        ({"limit": "5/min", "cost": 0}, "a cost is from 1"),
        ({"limit": "5/min", "cost": 6}, "a cost of 6 never fits into 5"),
        ({"limit": "5/min", "cost": "bytes"}, "no cost; write a whole number, header:NAME"),
        ({"limit": "5/min", "cost": "header:a b"}, "not a field name"),
        ({"limit": "5/min", "cost": "response_bytes"}, "needs a limit of bytes"),
        ({"limit": "5KiB/min"}, "counts bytes, which needs `cost: response_bytes`"),
        ({"limit": "5/min", "when": {"status": "teapot"}}, "no status; write 401, 4xx"),
        ({"limit": "5/min", "when": {"status": 600}}, "no status"),
        ({"limit": "5/min", "algorithm": "concurrency"}, "takes a plain number"),
        ({"limit": 70_000, "algorithm": "concurrency"}, "from 1 to 60000"),
        ({"limit": 5, "algorithm": "concurrency", "cost": 2}, "no `burst`, `cost` or `when`"),
        ({"limit": "5/min", "tier": "claim:plan"}, r"tier\n  it chooses among `tiers`"),
        ({"limit": "5/min", "tiers": {"gold": []}}, r"tiers.gold\n  it is empty"),
        ({"limit": "5/min", "tiers": {"gold": "x"}}, "not a rate"),
        ({"limits": ["1/s", {"limit": "1/s", "cost": 5}]}, r"limits\.1\n  a cost of 5"),
        ({"limits": ["1/s"] * 8}, "at most 7"),
        ({"limit": "5/min", "lease": 3}, r"lease\n  it belongs to `precision: leased`"),
        (
            {"limit": 5, "algorithm": "concurrency", "precision": "leased"},
            "can't count requests in flight",
        ),
        (
            {"limit": "5/min", "when": {"status": 401}, "precision": "leased"},
            "needs to know the cost beforehand",
        ),
        ({"limits": [{"limit": "1/s", "name": "a b"}]}, "should match pattern"),
        ({"limit": "5/min", "exempt": {"clients": "10.0.0.1/8"}}, "not a valid IPv4 network"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Options.model_validate(options)
