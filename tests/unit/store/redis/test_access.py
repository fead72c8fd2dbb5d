"""What servers ask for, from the options."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from proxy.config.store import StoreOptions
from proxy.store.redis.access import make_access
from proxy.store.redis.topology import SLOTS, slot_of


def test_credentials_come_from_the_url_or_beside_it() -> None:
    access = make_access(StoreOptions(url="redis://user:pw@host/4"))
    assert (access.username, access.password, access.database) == ("user", "pw", 4)
    access = make_access(StoreOptions(url="redis://host", password="pw", database=2))
    assert (access.username, access.password, access.database) == (None, "pw", 2)
    assert access.tls is None


def test_tls_by_the_scheme_alone_verifies() -> None:
    access = make_access(StoreOptions(url="rediss://host"))
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert access.tls.check_hostname


def test_tls_of_a_cluster_may_leave_names_unverified() -> None:
    options = StoreOptions.model_validate({"cluster": "a:1", "tls": {"verify": False}})
    access = make_access(options)
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({"ca_file": "none.pem"}, "^none.pem: can't be read: No such file"),
        ({"cert_file": "none.pem"}, "^none.pem: can't be read: No such file"),
        ({"key_file": "none.pem"}, "`key_file` is the key of a `cert_file`"),
    ],
)
def test_files_that_can_t_be_used_are_named(
    tls: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = StoreOptions.model_validate({"url": "rediss://host", "tls": tls})
    with pytest.raises(ValueError, match=words):
        make_access(options)


def test_slots_are_those_of_a_redis_cluster() -> None:
    """The first is the check value of the specification, the others are of `CLUSTER KEYSLOT`."""
    assert slot_of(b"123456789") == 0x31C3 % SLOTS
    assert slot_of(b"foo") == 12182
    assert slot_of(b"user1000") == 3443
