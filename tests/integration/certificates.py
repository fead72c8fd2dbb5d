"""An authority of the tests' own, and certificates that it signs."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Final

_AUTHORITY: Final = """\
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = Authority of the tests
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""
_LEAF: Final = """\
[leaf]
basicConstraints = critical, CA:FALSE
authorityKeyIdentifier = keyid
subjectKeyIdentifier = hash
subjectAltName = {names}
"""


class Authority:
    """Signs certificates by the openssl command. ca_file: what clients trust it by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca_file = folder / "authority.pem"
        (folder / "authority.cnf").write_text(_AUTHORITY)
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 "
            "-config authority.cnf -keyout authority.key -out authority.pem"
        )

    def server(self, *names: str) -> ssl.SSLContext:
        """A server's settings with a certificate for these names, `DNS:` or `IP:` in front."""
        folder = self._folder
        (folder / "leaf.cnf").write_text(_LEAF.format(names=", ".join(names)))
        self._openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=service "
            "-keyout leaf.key -out leaf.csr"
        )
        self._openssl(
            "x509 -req -in leaf.csr -CA authority.pem -CAkey authority.key -CAcreateserial "
            "-days 30 -extfile leaf.cnf -extensions leaf -out leaf.pem"
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
        return context

    def _openssl(self, arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments.split()],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
