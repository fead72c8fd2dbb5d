"""What a user writes for `security_headers`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from proxy.contract import PolicyOptions
from proxy.http1.field import check_editable, check_value


def _header(name: str) -> str:
    return check_editable(name, "response")


def _value(value: object) -> object:
    if value is True:
        raise ValueError("write the value of the field, or false to leave the field alone")
    return check_value(value) if isinstance(value, str) else value


_Name = Annotated[str, AfterValidator(_header)]
_Value = Annotated[str | Literal[False], BeforeValidator(_value)]


class Options(PolicyOptions):
    """Add security headers to responses, and take out those that name the software.

    `Strict-Transport-Security` is sent only to clients that came over HTTPS.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"preset": "api"},
                {
                    "preset": "strict",
                    "set": {
                        "Content-Security-Policy": "default-src 'self' https://cdn.example.com",
                        "Cross-Origin-Embedder-Policy": False,
                    },
                },
            ]
        }
    )

    preset: Literal["safe", "api", "strict"] = "safe"
    """`safe` breaks no ordinary application; `api` is for JSON APIs; `strict` is the OWASP set."""
    set: dict[_Name, _Value] = Field(default={})
    """Values by field name, in place of the preset's; `false` leaves that field to the service."""
    strip: tuple[_Name, ...] = ()
    """Fields to take out of responses, besides Server, X-Powered-By and others like them."""
    override: bool = False
    """Whether a field that the service has set is replaced too."""
