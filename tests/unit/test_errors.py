"""Failures: what one that stands for many requests is copied to."""

from __future__ import annotations

import pytest

from proxy.errors import GatewayError, Refused, Violation


class Own(Refused):
    """As a plug-in may write it."""

    def __init__(self, limit: int) -> None:
        super().__init__("too_many", f"{limit} at most.", status=422, fault="client")
        self.limit = limit


@pytest.mark.parametrize(
    "error",
    [
        GatewayError("internal_error"),
        Refused("rate_limited", "No.", headers=(("Retry-After", "1"),), cause="c", close=True),
        Refused("made_up", status=400, violations=(Violation("body", "/a", "wrong"),)),
        Own(5),
    ],
)
def test_the_same_failure_anew(error: GatewayError) -> None:
    twin = error.again()
    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), twin.args, vars(twin)) == (str(error), error.args, vars(error))
    twin.headers = (("X-Of-The-Twin", "1"),)
    with pytest.raises(GatewayError):
        raise twin
    assert error.headers != twin.headers
    assert error.__traceback__ is None
