"""What stands inside of all policies where a request can't be forwarded."""

from __future__ import annotations

from typing import Final

from proxy.asking import Asked, PatientAsker, Pending
from proxy.contract import Request, Response
from proxy.errors import GatewayError


class Failing:
    """The innermost handler of requests that can't be forwarded: raises why."""

    async def __call__(self, request: Request) -> Response:
        """Raise `request.failure`."""
        raise _why(request)

    def ask_now(self, request: Request, asker: PatientAsker) -> Asked | Pending:
        """Raise it at once."""
        raise _why(request)


def _why(request: Request) -> GatewayError:
    return request.failure or GatewayError("internal_error", cause="no upstream and no answer")


raise_failure: Final = Failing()
