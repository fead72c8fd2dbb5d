"""TLS: settings of the standard library's contexts, for clients and as a client, and which of
several certificates a client gets.

May live here: versions, ciphers, certificates, names. Must not live here: configuration
models, sockets. TLS 1.2 is spoken with ephemeral keys and authenticated ciphers only, which
leaves what Mozilla's intermediate profile has.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# X509_V_FLAG_NO_CHECK_TIME, which the module has no name for.
_AT_ANY_TIME: Final = 0x200000


class TlsError(ValueError):
    """A file can't be used. file: which; the text says why."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate as clients get it.

    names: that it is for, in lower case; `*.suffix` for all hosts of a domain. expires:
    seconds since 1970.
    """

    names: tuple[str, ...]
    expires: float
    context: ssl.SSLContext


def make_context(
    certificates: Sequence[tuple[str, str]],
    *,
    minimum: str = "1.2",
    client_authorities: str | None = None,
    client_revoked: str | None = None,
    client_required: bool = False,
) -> tuple[ssl.SSLContext, tuple[Identity, ...]]:
    """Settings for a server, and the certificates in them.

    certificates: paths of each and of its key, the first for clients that ask for no name.
    client_authorities: path of those whose certificates of clients are accepted; None to
    ask for none. Raises TlsError.
    """
    identities: list[Identity] = []
    for cert_file, key_file in certificates:
        context = _context(minimum)
        load_pair(context, cert_file, key_file)
        names, expires = _read(context, cert_file)
        same = next((one for one in identities if set(one.names) == set(names)), None)
        if same is not None:
            # Another kind of key for the same names: clients get the one that they can use.
            load_pair(same.context, cert_file, key_file)
            continue
        identities.append(Identity(names, expires, context))
    first = identities[0].context
    by_name = {
        name: identity.context for identity in reversed(identities) for name in identity.names
    }

    def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
        chosen = by_name.get(name.lower()) if name else None
        if chosen is None and name:
            chosen = by_name.get("*." + name.lower().partition(".")[2])
        if chosen is not None and chosen is not first:
            connection.context = chosen

    first.sni_callback = choose
    if client_authorities is not None:
        for context in {identity.context for identity in identities}:
            _ask_clients(context, client_authorities, client_revoked, client_required)
    return first, tuple(identities)


def _context(minimum: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum == "1.3" else ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # A client that asks for new keys again and again costs more than it spends.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def make_client(ca_file: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """Settings to connect with: TLS 1.2 or later, certificate and name verified unless told not to.

    ca_file: path of the authorities to trust instead of the system's. Raises TlsError.
    """
    if ca_file is not None:
        _readable(ca_file)
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise TlsError(ca_file or "", f"can't be used: {tell(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def load_pair(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Have a context show a certificate, by the paths of its files. Raises TlsError."""
    for file in (cert_file, key_file):
        _readable(file)
    try:
        # An empty passphrase, or OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except (ssl.SSLError, ValueError) as error:
        raise TlsError(cert_file, f"can't be used with {key_file}: {tell(error)}") from None


def _ask_clients(
    context: ssl.SSLContext, authorities: str, revoked: str | None, required: bool
) -> None:
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    for file in filter(None, (authorities, revoked)):
        _readable(file)
        try:
            context.load_verify_locations(file)
        except ssl.SSLError as error:
            raise TlsError(file, f"can't be used: {tell(error)}") from None
    if revoked is not None:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def _readable(file: str) -> None:
    try:
        with open(file, "rb") as opened:
            opened.read(1)
    except OSError as error:
        raise TlsError(file, f"can't be read: {error.strerror}") from None


def _read(context: ssl.SSLContext, cert_file: str) -> tuple[tuple[str, ...], float]:
    """The names of a certificate and when it expires, by a handshake with itself, which
    shows as well that clients can use it."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    # One that has expired is served all the same: clients say it better than a start that fails.
    client.verify_flags |= _AT_ANY_TIME
    client.load_verify_locations(cert_file)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(one, other),
        context.wrap_bio(other, one, server_side=True),
    )
    try:
        finished = [False, False]
        while not all(finished):
            for place, end in enumerate(ends):
                try:
                    end.do_handshake()
                    finished[place] = True
                except ssl.SSLWantReadError:
                    pass
    except ssl.SSLError as error:
        raise TlsError(cert_file, f"no client could use it: {tell(error)}") from None
    told: dict[str, Any] = ends[0].getpeercert() or {}
    names = [value.lower() for kind, value in told.get("subjectAltName", ()) if kind == "DNS"]
    return tuple(names), float(ssl.cert_time_to_seconds(told["notAfter"]))


def tell(error: Exception) -> str:
    """What OpenSSL says, without the numbers and the lines of its source."""
    reason = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    if reason is None:
        return "one holds no certificate in PEM form, or the other no key without a passphrase"
    return str(reason).replace("_", " ").lower()
