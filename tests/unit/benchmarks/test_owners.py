"""Each microsecond of a request has an owner."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.benchmarks import owners
from tests.benchmarks.owners import costs, owner, shares
from tests.benchmarks.pipeline import CASES


@pytest.mark.parametrize(
    ("places", "who"),
    [
        ([("server/reply.py", "frame_response")], owners.SERIALIZE),
        ([("http1/headers.py", "Headers.put"), ("upstream/heads.py", "Heads.read")], owners.PARSE),
        ([("store/counting.py", "Gcra.take"), ("policies/rate_limit/policy.py", "x")],
         "policy rate_limit"),
        ([("http1/identifiers.py", "Uuid7.__call__"), ("policies/request_id/policy.py", "x")],
         "policy request_id"),
        ([("http1/headers.py", "Headers.put")], owners.LOOP),
    ],
    ids=["its own", "a caller's", "a policy's folder", "a policy's file", "nobody's"],
)  # fmt: skip
def test_a_sample_is_the_innermost_owners(places: list[tuple[str, str]], who: str) -> None:
    assert owner([(f"/anywhere/proxy/{file}", name) for file, name in places]) == who


def test_the_benchmarks_own_part_is_left_out() -> None:
    paper = owner([("/tests/benchmarks/pipeline.py", "_Client.write")])
    assert shares(Counter({owners.ROUTE: 1, paper: 3})) == {owners.ROUTE: 0.25}


@pytest.mark.interpreted
def test_whatever_a_request_does_is_told() -> None:
    rows = {row.what: row.microseconds for row in costs(CASES["small GET"], requests=6_000)}
    assert {owners.PARSE, owners.LOG, owners.CONNECTIONS, "policy rate_limit"} <= rows.keys()
    whole = rows.pop("all of them")
    assert sum(rows.values()) == pytest.approx(whole)
    assert 0 < rows[owners.LOOP] < whole / 2


@pytest.mark.interpreted
@pytest.mark.parametrize(("name", "policy"), [("refusal, 429", "rate_limit"),
                                              ("answer from the cache", "cache")])  # fmt: skip
def test_what_is_answered_without_the_upstream_is_told_too(name: str, policy: str) -> None:
    rows = {row.what: row.microseconds for row in costs(CASES[name], requests=3_000)}
    assert rows[f"policy {policy}"] > 0
    assert rows.get(owners.UPSTREAM, 0.0) == 0
