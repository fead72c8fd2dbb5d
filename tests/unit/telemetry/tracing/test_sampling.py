"""Which traces are recorded."""

from __future__ import annotations

from random import Random

import pytest

from proxy.config.telemetry import Tracing
from proxy.contract import Request
from proxy.telemetry.tracing.sampling import make_keeper, make_sampler


def options(**changes: object) -> Tracing:
    return Tracing.model_validate({"endpoint": "http://127.0.0.1:4318", **changes})


def test_a_ratio_samples_its_share() -> None:
    random, sampled = Random(7), make_sampler(0.25)
    count = sum(sampled(random.randbytes(16).hex()) for _ in range(4000))
    assert 900 < count < 1100


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, False), (1.0, True)])
@pytest.mark.parametrize("half", ["0" * 16, "f" * 16])
def test_none_and_all_mean_that(ratio: float, expected: bool, half: str) -> None:
    assert make_sampler(ratio)("1" * 16 + half) is expected


def test_proxies_with_the_same_ratio_decide_alike() -> None:
    few, more = make_sampler(0.1), make_sampler(0.5)
    ids = [Random(number).randbytes(16).hex() for number in range(500)]
    assert all(more(trace_id) for trace_id in ids if few(trace_id))


@pytest.mark.parametrize(
    ("flags", "status", "seconds", "broken", "kept"),
    [
        pytest.param(1, 200, 0.1, "", True, id="sampled"),
        pytest.param(2, 200, 0.1, "", False, id="unsampled"),
        pytest.param(0, 500, 0.1, "", True, id="failed"),
        pytest.param(0, 404, 0.1, "", False, id="client's fault"),
        pytest.param(0, 200, 1.0, "", True, id="slow"),
        pytest.param(0, 200, 0.1, "client_closed", True, id="broken off"),
        pytest.param(0, 0, 0.1, "client_closed", True, id="left"),
    ],
)
def test_what_is_kept_at_the_end(
    request_in: Request, flags: int, status: int, seconds: float, broken: str, kept: bool
) -> None:
    request_in.trace = request_in.trace._replace(flags=flags)
    assert make_keeper(options())(request_in, status, seconds, broken) is kept


def test_errors_need_not_be_kept(request_in: Request) -> None:
    keep = make_keeper(options(errors=False, slow="5s"))
    assert not keep(request_in, 502, 0.1, "upstream_closed")
    assert keep(request_in, 200, 5.0, "")
