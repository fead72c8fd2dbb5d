"""What an operator asks for in the body of a request, as typed values. Pure."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proxy.admin.body import read_object
from proxy.config.diagnosis import diagnose
from proxy.config.problems import Path, Place
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
        try:
            if value:
                ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f'"{value}" is no address; write 203.0.113.7 or 10.0.0.0/8') from None
        return value


def read_change(body: bytes) -> LevelChange:
    """Read a body. Raises ValueError, naming each field that is wrong and what it may be."""
    asked = read_object(body, '{"level": "debug", "for": "10m"}')
    if "level" not in asked:
        raise ValueError("give `level`: debug, info, warning or error")
    try:
        return LevelChange.model_validate(asked)
    except ValidationError as error:
        found = diagnose(error, asked, LevelChange, value_place=_nowhere, key_place=_nowhere)
        faults = [(f"`{fault.path}`: " if fault.path else "") + fault.message for _, fault in found]
        raise ValueError("; ".join(faults)) from None


def _nowhere(path: Path) -> Place:
    return Place("")
