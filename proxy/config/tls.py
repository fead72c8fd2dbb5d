"""What the user writes about TLS on the client's side, as typed and immutable values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from proxy.config.listing import at_least_one
from proxy.config.settings import Settings


class Certificate(Settings):
    """A certificate with its key. Files that change are read again, as by a reload."""

    cert_file: str
    """PEM file of the certificate, and of the intermediate ones after it."""
    key_file: str
    """PEM file of its private key, without a passphrase."""


class ClientCertificates(Settings):
    """Certificates of clients."""

    mode: Literal["optional", "required"] = "required"
    """`required` ends handshakes of clients without one; `optional` leaves it to the routes
    (policy `client_certificate`). One that is not valid is refused either way."""
    ca_file: str
    """PEM file of the authorities whose certificates are accepted."""
    crl_file: str | None = None
    """PEM file of revocation lists of these authorities; without a list of its authority a
    certificate is then refused."""
    forward: bool = False
    """Tell services of the certificate, in the field `Client-Cert` (RFC 9440)."""


class Tls(Settings):
    """TLS of all `https://` addresses in `listen`."""

    certificates: Annotated[tuple[Certificate, ...], AfterValidator(at_least_one)] = Field(
        json_schema_extra={"minItems": 1}
    )
    """Chosen by the name that the client asks for (SNI): exact names before `*.suffix`; the
    first for clients that ask for none of the names, or for no name."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken. Older ones than 1.2 never are."""
    client: ClientCertificates | None = None
    """Ask clients for certificates."""

    @field_validator("min_version", mode="before")
    @classmethod
    def _version(cls, value: object) -> object:
        # YAML takes it for a number.
        return str(value) if isinstance(value, float) else value

    @field_validator("certificates", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, dict) else value

    @property
    def files(self) -> tuple[str, ...]:
        """All files that are named."""
        named = [name for one in self.certificates for name in (one.cert_file, one.key_file)]
        if self.client is not None:
            named += filter(None, (self.client.ca_file, self.client.crl_file))
        return tuple(named)
