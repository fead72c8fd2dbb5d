"""An authority of the tests' own, and certificates that it signs."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

_AUTHORITY: Final = """\
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = Authority of the tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_LEAF: Final = """\
[leaf]
basicConstraints = critical, CA:FALSE
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
subjectAltName = {names}
"""


_REVOCATION: Final = """\
[ca]
default_ca = authority
[authority]
database = database
certificate = authority.pem
private_key = authority.key
default_md = sha256
"""
_EC: Final = "ec -pkeyopt ec_paramgen_curve:prime256v1"


class Pair(NamedTuple):
    """A certificate and its key, as files."""

    cert: Path
    key: Path

    @property
    def config(self) -> dict[str, str]:
        """As a configuration names them."""
        return {"cert_file": str(self.cert), "key_file": str(self.key)}


class Authority:
    """Signs certificates by the openssl command. ca_file: what clients trust it by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._issued = 0
        self.ca_file = folder / "authority.pem"
        (folder / "authority.cnf").write_text(_AUTHORITY)
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
            "-config authority.cnf -keyout authority.key -out authority.pem"
        )

    def issue(self, *names: str, subject: str = "/CN=service", key: str = _EC) -> Pair:
        """A certificate for these names, `DNS:`, `IP:`, `URI:` or `email:` in front."""
        self._issued += 1
        leaf = f"leaf{self._issued}"
        (self._folder / f"{leaf}.cnf").write_text(_LEAF.format(names=", ".join(names)))
        self._openssl(
            f"req -newkey {key} -nodes -subj {subject} -keyout {leaf}.key -out {leaf}.csr"
        )
        self._openssl(
            f"x509 -req -in {leaf}.csr -CA authority.pem -CAkey authority.key -CAcreateserial "
            f"-days 30 -extfile {leaf}.cnf -extensions leaf -out {leaf}.pem"
        )
        return Pair(self._folder / f"{leaf}.pem", self._folder / f"{leaf}.key")

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's settings with a certificate for these names, `DNS:` or `IP:` in front."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names))
        return context

    def client(self, pair: Pair | None = None) -> ssl.SSLContext:
        """The settings of a client that trusts it, and shows a certificate if it has one."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    def revoke(self, *pairs: Pair) -> Path:
        """A list of the certificates that are not to be trusted any more."""
        database = self._folder / "database"
        database.write_text("")
        (self._folder / "crl.cnf").write_text(_REVOCATION)
        for pair in pairs:
            self._openssl(f"ca -config crl.cnf -revoke {pair.cert}")
        self._openssl("ca -config crl.cnf -gencrl -crldays 30 -out crl.pem")
        return self._folder / "crl.pem"

    def _openssl(self, arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments.split()],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
