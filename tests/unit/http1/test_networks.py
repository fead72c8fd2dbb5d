"""Sets of networks, from the configuration and from lists."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http1.networks import Networks, range_of, read_networks


def networks(*texts: str) -> Networks:
    return Networks(range_of(ip_network(text)) for text in texts)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.0.0.0", True),
        ("10.255.255.255", True),
        ("9.255.255.255", False),
        ("11.0.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", True),
        ("0.0.0.0", False),
        ("", False),
        ("unknown", False),
        ("10.0.0.0/8", False),
        ("x" * 10_000, False),
    ],
)
def test_an_address_is_in_or_out(address: str, inside: bool) -> None:
    some = networks("10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "fe80::/10")
    assert (address in some) is inside
    assert (address in some) is inside, "the same when it is remembered"


def test_an_empty_set_holds_nothing() -> None:
    assert "10.0.0.1" not in Networks([])


def test_networks_that_touch_are_one() -> None:
    assert len(networks("10.0.0.0/9", "10.128.0.0/9", "10.3.0.0/16", "::/0")) == 1


def test_memory_is_bounded() -> None:
    some = networks("10.0.0.0/8")
    for number in range(20_000):
        assert str(ip_address(number)) not in some
    assert len(some._memory) <= 4096


NETWORK = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda bits: ip_network(f"{address}/{bits}", strict=False)
    )
)


@given(st.lists(NETWORK, max_size=20), st.ip_addresses(v=4))
def test_it_agrees_with_asking_each(rows: list[object], address: object) -> None:
    texts = [str(row) for row in rows]
    mapped = ip_address(f"::ffff:{address}")
    expected = any(address in ip_network(text) or mapped in ip_network(text) for text in texts)
    assert (str(address) in networks(*texts)) is expected


def test_a_list_may_have_comments_and_blanks() -> None:
    text = "# office\n10.0.0.0/8\n\n  192.0.2.7   ; the printer\r\n2001:db8::/32 # lab\n"
    some = Networks(read_networks(text, "list"))
    assert all(address in some for address in ("10.1.1.1", "192.0.2.7", "2001:db8::5"))
    assert "192.0.2.8" not in some


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("10.0.0.256", "10.0.0.256"),
        ("010.0.0.1", "010.0.0.1"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("example.com", "example.com"),
        ("10.0.0.0/8 10.1.0.0/16", "10.0.0.0/8 10.1.0.0/16"),
    ],
)
def test_a_wrong_line_is_named(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^list, line 2: ") as raised:
        read_networks(f"192.0.2.0/24\n{line}\n", "list")
    assert words in str(raised.value)
