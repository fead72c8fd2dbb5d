"""What `server.tls` asks for, built: the settings of listeners, once for as long as neither
the configuration nor any of its files changes."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from proxy.config.load import Document
from proxy.config.problems import ConfigError
from proxy.config.tls import Tls
from proxy.wire.tls import Identity, TlsError, make_context


@dataclass(frozen=True, slots=True)
class Encryption:
    """TLS of the listeners. digest: of settings and files."""

    digest: bytes
    context: ssl.SSLContext
    identities: tuple[Identity, ...]


def make_encryption(document: Document, known: Encryption | None = None) -> Encryption | None:
    """What the configuration asks for; `known` itself when that is the same. Raises
    ConfigError for a file that can't be used."""
    tls = document.config.server.tls
    if tls is None:
        return None
    digest = _digest(tls)
    if known is not None and known.digest == digest:
        return known
    client = tls.client
    try:
        context, identities = make_context(
            [(one.cert_file, one.key_file) for one in tls.certificates],
            minimum=tls.min_version,
            client_authorities=None if client is None else client.ca_file,
            client_revoked=None if client is None else client.crl_file,
            client_required=client is not None and client.mode == "required",
        )
    except TlsError as error:
        raise ConfigError([document.problem(_place(tls, error.file), str(error))]) from None
    return Encryption(digest, context, identities)


def dates(encryption: Encryption | None) -> list[tuple[str, float]]:
    """The first name of each certificate, and when it expires, seconds since 1970."""
    identities = () if encryption is None else encryption.identities
    return [(one.names[0] if one.names else "unnamed", one.expires) for one in identities]


def _digest(tls: Tls) -> bytes:
    digest = hashlib.sha256(tls.model_dump_json().encode())
    for name in tls.files:
        try:
            content = Path(name).read_bytes()
        except OSError:
            content = b""
        digest.update(hashlib.sha256(content).digest())
    return digest.digest()


def _place(tls: Tls, file: str) -> tuple[str | int, ...]:
    """Where the configuration names a file."""
    for index, one in enumerate(tls.certificates):
        for key in ("cert_file", "key_file"):
            if getattr(one, key) == file:
                return ("server", "tls", "certificates", index, key)
    if tls.client is not None and tls.client.crl_file == file:
        return ("server", "tls", "client", "crl_file")
    return ("server", "tls", "client", "ca_file")
