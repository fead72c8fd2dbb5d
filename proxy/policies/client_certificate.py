"""Admits requests by the certificate that the client has shown."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict

from proxy.config.listing import ONE_OR_MANY
from proxy.contract import (
    CERTIFICATE,
    ClientCertificate,
    PolicyOptions,
    PolicySpec,
    Request,
    Toolkit,
)
from proxy.errors import Refused

_KINDS: Final = ("subject", "cn", "dns", "uri", "email", "ip", "fingerprint")


def _pattern(text: str) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS or not rest:
        known = ", ".join(f"{kind}:…" for kind in _KINDS)
        raise ValueError(f"{text!r}: say of what it is; known are {known}")
    return text


class Options(PolicyOptions):
    """Admit clients that have shown a certificate.

    403 `certificate_required` for those without, `certificate_refused` for those that `allow`
    doesn't name. The listener has to ask for certificates (`server.tls.client`), and has
    checked them by then: with `mode: optional` there, only routes with this policy need one.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"allow": ["uri:spiffe://example.org/ns/shop/*", "cn:batch"]},
                {"identity": "fingerprint"},
            ]
        }
    )

    allow: Annotated[tuple[Annotated[str, AfterValidator(_pattern)], ...], ONE_OR_MANY] = ()
    """Who is admitted: `subject:`, `cn:`, `dns:`, `uri:`, `email:`, `ip:` or `fingerprint:`
    and a pattern in which `*` stands for anything. Empty for every valid certificate."""
    identity: Literal["subject", "cn", "dns", "uri", "email", "fingerprint"] = "subject"
    """What the client is called from here on, by policies that ask who it is, such as a rate
    limit by `identity`."""


class Certificates:
    """Notes who the client is, and as a gate admits or refuses."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        self._identity = options.identity
        patterns = [re.compile(translate(pattern)).match for pattern in options.allow]
        self._patterns = tuple(patterns)

    def edit_request(self, request: Request) -> None:
        """Say who the client is."""
        certificate: ClientCertificate | None = request.state.get(CERTIFICATE)
        if certificate is not None:
            request.state["identity"] = certificate.part(self._identity)

    def check(self, request: Request) -> None:
        """Raise Refused `certificate_required` or `certificate_refused`."""
        certificate: ClientCertificate | None = request.state.get(CERTIFICATE)
        if certificate is None:
            raise Refused("certificate_required")
        if self._patterns and not any(map(self._known, _statements(certificate))):
            raise Refused("certificate_refused")

    def _known(self, statement: str) -> bool:
        return any(matches(statement) for matches in self._patterns)


def _statements(certificate: ClientCertificate) -> list[str]:
    return [
        f"subject:{certificate.subject}",
        f"cn:{certificate.cn}",
        f"fingerprint:{certificate.fingerprint}",
        *certificate.names,
    ]


POLICY = PolicySpec(
    "client_certificate",
    Options,
    Certificates,
    after={"error_envelope", "hosts", "ip_filter"},
    before={"rate_limit", "cache", "redirect", "respond"},
    shorthand="allow",
)
