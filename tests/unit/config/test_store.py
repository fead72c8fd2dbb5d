"""Where the shared store is, and what is told of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.address import Address
from proxy.config.store import Location, StoreOptions, locate


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("redis://c", Location(Address(scheme="redis", host="c", port=6379), None, None, None)),
        (
            "redis://user:p%40ss%2F@10.0.0.1:6380/3",
            Location(Address(scheme="redis", host="10.0.0.1", port=6380), "user", "p@ss/", 3),
        ),
        (
            "rediss://:secret@[::1]:7000/",
            Location(Address(scheme="rediss", host="::1", port=7000), None, "secret", None),
        ),
        ("unix:/r.sock", Location(Address(scheme="unix", host="/r.sock"), None, None, None)),
    ],
)
def test_urls_are_read(url: str, location: Location) -> None:
    assert locate(url) == location


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cache", "'http://cache' is no store; write redis://HOST:PORT/DATABASE"),
        ("cache:6379", "is no store"),
        ("redis://user:p@ss@host", "'…@host' is no store"),
        ("redis://", "names no host"),
        ("redis://host:x", "the port must be a number"),
        ("redis://host/zero", "there may be a database's number"),
        ("unix:redis.sock", "the socket's path must be absolute"),
    ],
)
def test_what_is_no_url_is_told_without_the_password(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        locate(url)
    assert "p@ss" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"deadline": "50ms"}, "where is it"),
        ({"url": "redis://a", "cluster": ["a:1"]}, "give `url` or `cluster`, not both"),
        ({"sentinels": ["a:1"], "cluster": ["a:1"]}, "give `sentinels` or `cluster`"),
        ({"cluster": ["redis://a:1"]}, "write HOST:PORT and nothing else"),
        ({"sentinels": ["user:pw@a"]}, "'a': write HOST:PORT"),
        ({"cluster": ["a:1"], "database": 3}, "a cluster has no `database` but 0"),
        ({"url": "redis://:a@b", "password": "c"}, "a password in `url` already"),
        ({"url": "redis://b/1", "database": 2}, "names a database already"),
        ({"url": "redis://b", "tls": {}}, "begins with rediss://"),
        ({"url": "redis://b", "deadline": "1us"}, "not a duration"),
        ({"url": "redis://b", "deadline": "11s"}, "less than or equal to 10"),
        ({"url": "redis://b", "prefix": "a{b}"}, "match pattern"),
        ({"keys": 0}, "greater than or equal to 1"),
    ],
)
def test_what_can_t_be_together_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        StoreOptions.model_validate(options)


def test_a_text_is_a_url_and_nothing_is_memory() -> None:
    store = StoreOptions.model_validate("redis://a")
    assert store.url == "redis://a"
    assert store.remote
    assert not StoreOptions().remote
    assert not StoreOptions(keys=5).remote
