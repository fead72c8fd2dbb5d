"""Who the client is by trusted hops, and that an upstream may believe what it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.forwarding import Client, append_via, direct_client, forwarded_client
from proxy.http1.headers import Field
from proxy.http1.host import read_authority
from proxy.http1.line import lines_of

PEER = "10.0.0.1"


def trusts(address: str) -> bool:
    return address.startswith("10.") or address == "fd00::1" or not address


def client(*texts: str, peer: str = PEER, standard: bool = False) -> Client:
    parts = (text.encode("latin-1").partition(b": ") for text in texts)
    came = lines_of([(name, value) for name, _, value in parts], "invalid_header")
    return forwarded_client(peer, "http", "shop.example", "8080", tuple(came), trusts, standard)


def told(client: Client) -> list[str]:
    assert client.lines.endswith(b"\r\n")
    return client.lines.decode("latin-1").splitlines()


@pytest.mark.parametrize(
    ("chain", "ip", "passed_on"),
    [
        ("203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("203.0.113.9, 10.0.0.2", "203.0.113.9", "203.0.113.9, 10.0.0.2, 10.0.0.1"),
        # What stands left of the first hop that isn't trusted is that hop's own invention.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9", "203.0.113.9, 10.0.0.2, 10.0.0.1"),
        ("10.0.0.9, 203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        # All are trusted: the furthest is the client.
        ("10.0.0.3, 10.0.0.2", "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"),
        # Ports and brackets, as some load balancers write them.
        ("203.0.113.9:4711", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("[2001:db8::9]:4711", "2001:db8::9", "2001:db8::9, 10.0.0.1"),
        ("[2001:DB8:0::9]", "2001:db8::9", "2001:db8::9, 10.0.0.1"),
        ("2001:db8::9", "2001:db8::9", "2001:db8::9, 10.0.0.1"),
        ("203.0.113.9, fd00::1", "203.0.113.9", "203.0.113.9, fd00::1, 10.0.0.1"),
        # Blanks and empty elements.
        (" ,, 203.0.113.9 ,", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("", "10.0.0.1", "10.0.0.1"),
        # Garbage ends the chain: the last trusted hop is as far as anybody knows.
        ("unknown", "10.0.0.1", "10.0.0.1"),
        ("203.0.113.9, unknown, 10.0.0.2", "10.0.0.2", "10.0.0.2, 10.0.0.1"),
        ("_hidden, 10.0.0.2", "10.0.0.2", "10.0.0.2, 10.0.0.1"),
        ("203.0.113.999", "10.0.0.1", "10.0.0.1"),
        ("203.0.113.09", "10.0.0.1", "10.0.0.1"),
        ("3405803785", "10.0.0.1", "10.0.0.1"),
        ("localhost", "10.0.0.1", "10.0.0.1"),
        ("\xff\xfe", "10.0.0.1", "10.0.0.1"),
        ("203.0.113.9\x00", "10.0.0.1", "10.0.0.1"),
        ('::1%";host=evil', "10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_isn_t_trusted(
    chain: str, ip: str, passed_on: str
) -> None:
    found = client(f"X-Forwarded-For: {chain}")
    assert found.ip == ip
    assert told(found)[0] == f"X-Forwarded-For: {passed_on}"


def test_several_lines_are_one_chain() -> None:
    found = client("X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 203.0.113.9, 10.0.0.2")
    assert found.ip == "203.0.113.9"


def test_a_chain_of_trusted_hops_is_followed_to_a_bound() -> None:
    found = client("X-Forwarded-For: 203.0.113.9" + ", 10.0.0.2" * 5000)
    assert found.ip == "10.0.0.2"
    assert len(found.lines) < 2000


@pytest.mark.parametrize(
    ("texts", "scheme", "authority", "port"),
    [
        ([], "http", "shop.example", "8080"),
        (["X-Forwarded-Proto: https"], "https", "shop.example", "8080"),
        (["X-Forwarded-Proto: HTTPS"], "https", "shop.example", "8080"),
        (["X-Forwarded-Proto: http, https"], "https", "shop.example", "8080"),
        (["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"], "http", "shop.example", "8080"),
        (["X-Forwarded-Proto: gopher"], "http", "shop.example", "8080"),
        (["X-Forwarded-Proto: "], "http", "shop.example", "8080"),
        (["X-Forwarded-Host: b.example:81"], "http", "b.example:81", "8080"),
        (["X-Forwarded-Host: evil, b.example"], "http", "b.example", "8080"),
        (["X-Forwarded-Host: a b"], "http", "shop.example", "8080"),
        (["X-Forwarded-Host: u@b"], "http", "shop.example", "8080"),
        (['X-Forwarded-Host: b";proto=https'], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: 443"], "http", "shop.example", "443"),
        (["X-Forwarded-Port: 80, 443"], "http", "shop.example", "443"),
        (["X-Forwarded-Port: 0"], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: 65536"], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: 99999999"], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: \xb2"], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: -1"], "http", "shop.example", "8080"),
        (["X-Forwarded-Port: x"], "http", "shop.example", "8080"),
    ],
)
def test_a_trusted_peer_is_believed_and_its_nonsense_is_not(
    texts: list[str], scheme: str, authority: str, port: str
) -> None:
    found = client(*texts)
    assert found.scheme == scheme
    assert told(found) == [
        f"X-Forwarded-For: {PEER}",
        f"X-Forwarded-Proto: {scheme}",
        f"X-Forwarded-Port: {port}",
        f"X-Forwarded-Host: {authority}",
    ]


def test_a_peer_that_isn_t_trusted_is_the_client() -> None:
    found = direct_client("198.51.100.7", "http", "shop.example", "8080")
    assert (found.ip, found.scheme) == ("198.51.100.7", "http")
    assert told(found) == [
        "X-Forwarded-For: 198.51.100.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: 8080",
        "X-Forwarded-Host: shop.example",
    ]


def test_what_isn_t_known_isn_t_told() -> None:
    """A UNIX socket has neither addresses nor ports, and HTTP/1.0 may have no host."""
    assert told(direct_client("", "http", "", "")) == ["X-Forwarded-Proto: http"]
    found = client("X-Forwarded-For: 203.0.113.9", peer="")
    assert found.ip == "203.0.113.9"
    assert told(found)[0] == "X-Forwarded-For: 203.0.113.9"


def test_other_fields_of_a_trusted_peer_pass_as_they_came() -> None:
    found = client("X-Forwarded-Prefix: /shop", "X-Forwarded-For: 203.0.113.9", "Forwarded: for=x")
    assert told(found)[-1] == "X-Forwarded-Prefix: /shop"
    assert "for=x" not in found.lines.decode()


@pytest.mark.parametrize(
    ("found", "forwarded"),
    [
        (
            direct_client("198.51.100.7", "https", "shop.example", "", standard=True),
            'for=198.51.100.7;proto=https;host="shop.example"',
        ),
        (
            direct_client("2001:db8::9", "http", "[::1]:80", "", standard=True),
            'for="[2001:db8::9]";proto=http;host="[::1]:80"',
        ),
        (direct_client("", "http", "", "", standard=True), "for=unknown;proto=http"),
        (
            client("X-Forwarded-For: 2001:db8::9, 10.0.0.2", standard=True),
            'for="[2001:db8::9]";proto=http;host="shop.example", for=10.0.0.2, for=10.0.0.1',
        ),
    ],
)
def test_the_standard_field_says_the_same(found: Client, forwarded: str) -> None:
    assert f"Forwarded: {forwarded}" in told(found)


@pytest.mark.parametrize(
    ("value", "appended"),
    [
        (None, b"1.1 sidegate"),
        (b"1.0 fred", b"1.0 fred, 1.1 sidegate"),
        (b"1.1 sidegate", b"1.1 sidegate, 1.1 sidegate"),
    ],
)
def test_via_is_appended(value: bytes | None, appended: bytes) -> None:
    assert append_via(value) == appended


NAMES = st.sampled_from(
    [b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port",
     b"Forwarded"]
)  # fmt: skip
VALUES = st.lists(
    st.sampled_from([b"1.2.3.4", b"10.0.0.2", b"::1", b"[", b"]", b":", b"%", b",", b'"', b";",
                     b"\xff", b" ", b"\t", b"https", b"a", b"80", b"="]),
    max_size=10,
).map(b"".join)  # fmt: skip


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_whatever_comes_what_is_told_is_well_formed(came: list[Field]) -> None:
    lines = tuple(lines_of(came, "invalid_header"))
    found = forwarded_client(PEER, "http", "shop.example", "8080", lines, trusts, True)
    fields = dict(line.split(": ", 1) for line in told(found))
    assert set(fields) == {
        "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Host", "Forwarded",
    }  # fmt: skip
    hops = fields["X-Forwarded-For"].split(", ")
    assert hops[0] == found.ip
    assert hops[-1] == PEER
    assert all(trusts(hop) for hop in hops[1:])
    assert fields["X-Forwarded-Proto"] in ("http", "https")
    assert 0 < int(fields["X-Forwarded-Port"]) < 65536
    assert read_authority(fields["X-Forwarded-Host"]) is not None
    assert fields["Forwarded"].count('"') % 2 == 0
    assert fields["Forwarded"].count("for=") == len(hops)
