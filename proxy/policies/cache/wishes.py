"""Whose wishes about the cache are obeyed."""

from __future__ import annotations

from proxy.contract import AHEAD, Request
from proxy.policies.cache.control import request_control
from proxy.policies.cache.options import Options
from proxy.policies.cache.reuse import Wish, read_wish


class Wishes:
    """Reads the directives of requests, by `honor_request_directives`."""

    def __init__(self, options: Options) -> None:
        self._honor = options.honor_request_directives

    def of(self, request: Request) -> Wish:
        """What a request wants, as far as it is obeyed."""
        obeyed = self._honor == "always" or (self._honor == "trusted" and request.trusted)
        obeyed = obeyed or AHEAD in request.state
        return read_wish(request_control(request.headers), obeyed)
