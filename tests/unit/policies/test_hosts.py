"""hosts: which names are served."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxy.errors import Refused
from proxy.policies.hosts import POLICY, Hosts, Options
from tests.unit.policies.world import World, a_request


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("example.com", True),
        ("a.example.org", True),
        ("a.b.example.org", True),
        ("[::1]", True),
        ("example.org", False),
        ("www.example.com", False),
        ("example.com.evil.test", False),
        ("evilexample.org", False),
        ("127.0.0.1", False),
        ("", False),
    ],
)
def test_which_hosts_are_served(world: World, host: str, served: bool) -> None:
    options = Options(allow=("example.com", "*.example.org", "[::1]"))
    policy = Hosts(options, world.toolkit)
    for _ in range(2):
        if served:
            policy.check(a_request(host=host))
            continue
        with pytest.raises(Refused) as raised:
            policy.check(a_request(host=host))
        assert (raised.value.status, raised.value.code) == (421, "host_not_allowed")


def test_hosts_that_were_refused_fill_no_memory(world: World) -> None:
    policy = Hosts(Options(allow=("example.com",)), world.toolkit)
    for number in range(3000):
        with pytest.raises(Refused):
            policy.check(a_request(host=f"h{number}.test"))
    assert len(policy._memory) <= 1024
    policy.check(a_request(host="example.com"))


@pytest.mark.parametrize("text", ["", "*", "https://a.test", "a.test:80", "A.test"])
def test_names_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Options(allow=(text,))


def test_it_has_a_short_form() -> None:
    assert POLICY.shorthand == "allow"
