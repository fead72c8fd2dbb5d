"""What an operator asks for in the body of a request, as typed values. Pure."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proxy.config.units import Duration


class LevelChange(BaseModel):
    """Another level of log lines, for a while. client: an address or a network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Literal["debug", "info", "warning", "error"]
    for_: Duration = Field(default=600.0, alias="for", gt=0, le=86400.0)
    route: str = ""
    client: str = ""

    @field_validator("client")
    @classmethod
    def _address(cls, value: str) -> str:
        if value:
            ip_network(value, strict=False)
        return value


def read_change(body: bytes) -> LevelChange:
    """Read a body. Raises ValueError, naming each field that is wrong."""
    try:
        return LevelChange.model_validate_json(body)
    except ValidationError as error:
        faults = [
            ": ".join(part for part in (".".join(map(str, one["loc"])), one["msg"]) if part)
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise ValueError("; ".join(faults)) from None
