"""ip_filter: who comes in by address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policies.ip_filter import POLICY, IpFilter, Options
from tests.unit.policies.world import World, a_request, refusal


def admitted(world: World, address: str, **options: Any) -> bool:
    policy = IpFilter(Options.model_validate(options), world.toolkit)
    refused = refusal(policy, a_request(client_ip=address))
    assert refused is None or (refused.status, refused.code) == (403, "forbidden")
    return refused is None


@pytest.mark.parametrize(
    ("options", "address", "comes_in"),
    [
        ({"allow": "10.0.0.0/8"}, "10.1.2.3", True),
        ({"allow": "10.0.0.0/8"}, "192.0.2.7", False),
        ({"allow": ["10.0.0.0/8", "192.0.2.7"]}, "192.0.2.7", True),
        ({"deny": "10.0.0.0/8"}, "10.1.2.3", False),
        ({"deny": "10.0.0.0/8"}, "192.0.2.7", True),
        ({"allow": "10.0.0.0/8", "deny": "10.1.0.0/16"}, "10.1.2.3", False),
        ({"allow": "10.0.0.0/8", "deny": "10.1.0.0/16"}, "10.2.2.3", True),
        ({"allow": "10.1.0.0/16", "deny": "10.0.0.0/8"}, "10.1.2.3", False),
        ({"allow": "0.0.0.0/0"}, "2001:db8::1", False),
        ({"allow": "2001:db8::/32"}, "2001:db8::1", True),
        ({"allow": "10.0.0.0/8"}, "::ffff:10.0.0.1", True),
        ({"allow": ["0.0.0.0/0", "::/0"]}, "", False),
        ({"deny": ["0.0.0.0/0", "::/0"]}, "", True),
    ],
)
def test_who_comes_in(world: World, options: dict[str, Any], address: str, comes_in: bool) -> None:
    assert admitted(world, address, **options) is comes_in


def test_lists_in_files_add_to_those_written_out(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "blocked.txt"
    listed.write_text("# abuse\n198.51.100.0/24\n2001:db8::/32\n")
    options = {"deny": "192.0.2.7", "deny_files": str(listed)}
    for address in ("192.0.2.7", "198.51.100.9", "2001:db8::1"):
        assert not admitted(world, address, **options)
    assert admitted(world, "203.0.113.1", **options)
    assert not admitted(world, "203.0.113.1", allow_files=[str(listed)])
    assert Options.model_validate(options).files() == (str(listed),)


def test_a_list_of_nobody_admits_nobody(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "empty.txt"
    listed.write_text("# nobody yet\n")
    assert not admitted(world, "192.0.2.7", allow_files=[str(listed)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing to decide by"),
        ({"allow": ["10.0.0.1/8"]}, "10.0.0.1/8"),
        ({"deny": ["office"]}, "office"),
        ({"deny_files": ["/nowhere/at/all.txt"]}, "can't be read: No such file"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_the_wrong_line_of_a_list_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "blocked.txt"
    listed.write_text("192.0.2.0/24\nnonsense\n")
    with pytest.raises(ValidationError, match=r"blocked\.txt, line 2: 'nonsense'"):
        Options(deny_files=(str(listed),))


def test_it_has_a_short_form() -> None:
    assert POLICY.shorthand == "allow"
