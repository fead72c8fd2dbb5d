"""A client's certificate that was verified, as policies, templates and services are told of it.

May live here: what a certificate says, by name, and the field that passes it on (RFC 9440).
Must not live here: handshakes, or who has to have one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

CERTIFICATE: Final = "certificate"
"""In `request.state`: the client's `ClientCertificate`; absent when it has shown none."""

PARTS: Final = ("subject", "cn", "dns", "uri", "email", "names", "serial", "fingerprint")
"""What `ClientCertificate.part` knows."""

_SHORT: Final = {
    "commonName": "CN", "countryName": "C", "localityName": "L", "stateOrProvinceName": "ST",
    "organizationName": "O", "organizationalUnitName": "OU", "streetAddress": "STREET",
    "domainComponent": "DC", "userId": "UID",
}  # fmt: skip
_KINDS: Final = {"DNS": "dns", "URI": "uri", "email": "email", "IP Address": "ip"}
# RFC 4514, 2.4.
_SPECIAL: Final = re.compile(r'[,+"\\<>;=]|^[ #]| $')


class ClientCertificate(NamedTuple):
    """What a verified certificate says.

    subject: as RFC 4514 writes it, the most specific part first. cn: its common name, empty
    if there is none. names: alternative names, as `dns:…`, `uri:…`, `email:…`, `ip:…`.
    serial: hex digits. fingerprint: SHA-256 of the whole, hex digits. line: the finished
    field `Client-Cert`.
    """

    subject: str
    cn: str
    names: tuple[str, ...]
    serial: str
    fingerprint: str
    line: bytes

    def part(self, name: str) -> str:
        """One of `PARTS`; of several names of a kind the first, empty when there is none."""
        match name:
            case "names":
                return ", ".join(self.names)
            case "dns" | "uri" | "email":
                prefix = name + ":"
                found = (each for each in self.names if each.startswith(prefix))
                return next(found, "").removeprefix(prefix)
            case _:
                return str(getattr(self, name))


def read_certificate(told: Mapping[str, Any], der: bytes) -> ClientCertificate:
    """told: as `ssl.SSLObject.getpeercert` decodes it. der: the whole as bytes."""
    subject: Iterable[Iterable[tuple[str, str]]] = told.get("subject", ())
    parts = ["+".join(f"{_SHORT.get(kind, kind)}={_escape(value)}" for kind, value in part)
             for part in subject]  # fmt: skip
    common = [value for part in subject for kind, value in part if kind == "commonName"]
    names = told.get("subjectAltName", ())
    return ClientCertificate(
        ",".join(reversed(parts)),
        common[-1] if common else "",
        tuple(f"{_KINDS[kind]}:{value}" for kind, value in names if kind in _KINDS),
        str(told.get("serialNumber", "")).lower(),
        sha256(der).hexdigest(),
        b"Client-Cert: :%b:\r\n" % b64encode(der),
    )


def _escape(value: str) -> str:
    return _SPECIAL.sub(lambda found: "\\" + found[0], value)
