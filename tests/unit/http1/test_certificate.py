"""What a client's certificate says, in the forms in which it is told on."""

from __future__ import annotations

from hashlib import sha256

import pytest

from proxy.http1.certificate import CERTIFICATE, PARTS, read_certificate
from proxy.http1.template import Template
from tests.unit.policies.world import a_request

TOLD = {
    "subject": (
        (("countryName", "DE"),),
        (("organizationName", "Müller, Söhne + Co"),),
        (("commonName", "web"),),
    ),
    "subjectAltName": (
        ("DNS", "web.test"),
        ("DNS", "other.test"),
        ("URI", "spiffe://example.org/web"),
        ("email", "web@example.org"),
        ("IP Address", "192.0.2.7"),
        ("DirName", ((("commonName", "x"),),)),
    ),
    "serialNumber": "0AFF",
}
NOTHING = dict.fromkeys(PARTS, "")


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("subject", r"CN=web,O=Müller\, Söhne \+ Co,C=DE"),
        ("cn", "web"),
        ("dns", "web.test"),
        ("uri", "spiffe://example.org/web"),
        ("email", "web@example.org"),
        (
            "names",
            "dns:web.test, dns:other.test, uri:spiffe://example.org/web, email:web@example.org, "
            "ip:192.0.2.7",
        ),
        ("serial", "0aff"),
        ("fingerprint", sha256(b"der").hexdigest()),
    ],
)
def test_parts(part: str, text: str) -> None:
    certificate = read_certificate(TOLD, b"der")
    assert certificate.part(part) == text
    request = a_request()
    template = Template(f"<{{certificate.{part}}}>")
    assert template(request) == "<>"
    request.state[CERTIFICATE] = certificate
    assert template(request) == f"<{text}>"


def test_one_that_says_little() -> None:
    certificate = read_certificate({}, b"der")
    told = {part: certificate.part(part) for part in PARTS}
    assert told == {**NOTHING, "fingerprint": sha256(b"der").hexdigest()}


def test_the_field_for_services() -> None:
    """RFC 9440, 2.2: a byte sequence."""
    assert read_certificate(TOLD, b"\x00\xffder").line == b"Client-Cert: :AP9kZXI=:\r\n"


@pytest.mark.parametrize(
    ("value", "escaped"), [("a,b", r"a\,b"), (" a ", r"\ a\ "), ("#a", r"\#a"), ('a"\\', r"a\"\\")]
)
def test_no_value_looks_like_another_part(value: str, escaped: str) -> None:
    """RFC 4514, 2.4."""
    told = {"subject": ((("commonName", value),), (("userId", "7"),))}
    assert read_certificate(told, b"").subject == f"UID=7,CN={escaped}"
