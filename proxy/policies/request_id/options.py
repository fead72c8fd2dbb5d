"""What a user writes for `request_id`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from proxy.contract import PolicyOptions
from proxy.http1.field import check_editable


def _header(name: str) -> str:
    return check_editable(name, "request")


class Options(PolicyOptions):
    """Give every request an ID (UUIDv7), or keep the one it came with.

    An ID that came is kept only if it consists of letters, digits and `. _ ~ : / + = @ -`;
    anything else is replaced, so that it can't forge log lines.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"header": "X-Correlation-ID", "accept": "any"}]}
    )

    header: Annotated[str, AfterValidator(_header)] = "X-Request-ID"
    """The field that carries the ID, in requests and responses."""
    accept: Literal["trusted", "any", "never"] = "trusted"
    """Whose IDs are kept: those of `server.trusted_proxies`, anybody's, or nobody's."""
    max_length: int = Field(default=128, ge=8, le=512)
    """A longer ID is replaced."""
