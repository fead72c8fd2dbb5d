"""What a user writes for `error_envelope`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from proxy.contract import PolicyOptions


class Options(PolicyOptions):
    """Give every error the same form: code, sentence, status, time, path and request ID.

    JSON unless the client's Accept field prefers HTML (a plain page) or text (a line).
    Sidegate's own errors are answered in `shadow` mode as well, since somebody has to
    answer them; upstream's errors then pass as they are and are only noted.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"format": "problem"}, {"upstream": "always"}]}
    )

    format: Literal["json", "problem"] = "json"
    """`json` is the house format; `problem` is RFC 9457, `application/problem+json`."""
    upstream: Literal["never", "non_json", "always"] = "non_json"
    """Which errors of the service are put into the envelope, with status and most fields kept:
    none; those of 500 and above whose body isn't JSON; or all of 400 and above that aren't
    an envelope already.
    """
