"""What is hidden, and what must stay readable."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.telemetry import Logging
from proxy.telemetry.redaction import (
    REDACTED,
    QueryRedaction,
    is_secret,
    redact,
    redact_text,
    redact_tokens,
    redact_url,
)

CANARY = "canary-4711-hunter2"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLWNhbmFyeQ"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "api_key",
        "APIKEY", "password", "db.password", "client_secret", "clientSecret", "X-Auth-Token",
        "private_key", "signing_keys", "tokens", "key", "auth", "X-Amz-Security-Token",
        "Ocp-Apim-Subscription-Key", "x-functions-key", "X-Shared-Key", "X-Auth",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "redact_query", "key_file", "token_url", "cookie_name", "header", "User-Agent", "limit",
        "keepalive", "monkey_business", "max_lifetime", "route", "Idempotency-Key", "author",
    ],
)  # fmt: skip
def test_names_of_harmless_things(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize(
    "config",
    [
        {"password": CANARY},
        {"policies": {"authenticate": {"tokens": [CANARY, "b"]}}},
        {"policies": {"authenticate": {"tokens": {CANARY: "alice"}}}},
        {"policies": {"headers": {"request": {"set": {"Authorization": f"Bearer {CANARY}"}}}}},
        {"policies": {"headers": {"request": {"add": [f"X-Forward: Bearer {CANARY}"]}}}},
        {"headers": [{"name": "X-Api-Key", "value": CANARY}]},
        {"store": f"redis://:{CANARY}@127.0.0.1:6379/0"},
        {"store": f"redis://user:p@ss{CANARY}@127.0.0.1:6379/0"},
        {"hook": f"https://example.com/notify?channel=1&api_key={CANARY}"},
        {"hook": f"https://example.com/notify#access_token={CANARY}"},
        {"tls": {"pem": f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"}},
        {"key": CANARY},
        {"key": ["route", CANARY]},
        {"key": {"query": {}, "current": CANARY}},
        {"key": {"headers": {"Authorization": CANARY}}},
        {"keys": {"query": CANARY}},
        {"headers": {"request": {"set": {"Cookie": f"session={CANARY}"}}}},
        {"headers": {"request": {"set": {"cookie": CANARY}}}},
        {"cookies": ["session", CANARY]},
        {"cookies": {"session": CANARY}},
        {"telemetry": {"tracing": {"headers": {"x-honeycomb-team": CANARY}}}},
        {"pin": {"secret": 4711, "more": [[[{"secret": CANARY}]]]}},
        {f"https://u:{CANARY}@host": 1},
    ],
)
def test_a_planted_secret_never_comes_out_of_a_configuration(config: dict[str, Any]) -> None:
    shown = redact(config)
    assert CANARY not in repr(shown)
    assert REDACTED in repr(shown)


@pytest.mark.parametrize(
    "config",
    [
        {"rate_limit": {"limit": "5/min", "key": "client_ip"}},
        {"rate_limit": {"key": "header:X-Tenant"}},
        {"rate_limit": {"key": ["route", "identity", "claim:org.id"]}},
        {"cache": {"key": {"query": {"ignore": ["utm_*"]}, "cookies": ["lang"]}}},
        {"store": {"keys": 100_000}},
        {"csrf": {"cookies": ["session", "__Host-sid", "connect.sid", "PHPSESSID"]}},
        {"sticky": {"cookie": "sidegate_seat"}},
        {"cache": {"set_cookie": "never"}},
        {"redact_query": ["token", "password"]},
        {"tls": {"key_file": "/etc/tls/key.pem", "verify": True}},
        {"endpoints": ["http://10.0.0.1:80", "unix:/run/app.sock"]},
        {"password": None, "cookies": False, "keys": [], "tokens": {}, "secret": ""},
        {"respond": {"body": "what? nothing."}, "status": 204, "ratio": 0.5},
        {"path": "~^/a?b(c|d)#1$", "redirect": "https://{host}/login?next={path}&page=2"},
    ],
)
def test_what_is_no_secret_comes_out_as_it_went_in(config: dict[str, Any]) -> None:
    assert redact(config) == config


def test_redaction_copies() -> None:
    config = {"a": {"password": CANARY}}
    redact(config)
    assert config == {"a": {"password": CANARY}}


def test_endless_nesting_is_cut() -> None:
    config: dict[str, Any] = {}
    config["self"] = config
    assert REDACTED in repr(redact(config))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("page=2&sort=name", "page=2&sort=name"),
        ("page=2&token=abc", f"page=2&token={REDACTED}"),
        ("token=a=b=c&x=1", f"token={REDACTED}&x=1"),
        ("TOKEN=abc", f"TOKEN={REDACTED}"),
        ("access-token=abc", f"access-token={REDACTED}"),
        ("id_token=abc", f"id_token={REDACTED}"),
        ("clientSecret=abc", f"clientSecret={REDACTED}"),
        ("user[password]=abc", f"user[password]={REDACTED}"),
        ("user%5Bpassword%5D=abc", f"user%5Bpassword%5D={REDACTED}"),
        ("%74oken=abc", f"%74oken={REDACTED}"),
        ("%2574oken=abc", f"%2574oken={REDACTED}"),
        ("a=1;token=abc;b=2", f"a=1;token={REDACTED};b=2"),
        ("a=1;b=2&token=abc", f"a=1;b=2&token={REDACTED}"),
        ("code=abc", f"code={REDACTED}"),
        ("zip_code=8001&country_code=CH", "zip_code=8001&country_code=CH"),
        ("token", "token"),
        ("token=", f"token={REDACTED}"),
        ("=abc", "=abc"),
        ("&&;&", "&&;&"),
        ("%zz=1&%=2&token%=3", "%zz=1&%=2&token%=" + REDACTED),
        ("", ""),
        # Within the values of others.
        ("next=/back?token=abc&x=1", f"next={REDACTED}&x=1"),
        ("next=%2Fback%3Ftoken%3Dabc&x=1", f"next={REDACTED}&x=1"),
        ("next=https%253A%252F%252Fa%252F%2523id_token%253Dabc", f"next={REDACTED}"),
        ("token%3Dabc", REDACTED),
        ("url=https://alice:abc@a.test/", f"url={REDACTED}"),
        ("url=https%3A%2F%2Falice%3Aabc%40a.test", f"url={REDACTED}"),
        ("auth_header=Bearer+abcdefgh", f"auth_header={REDACTED}"),
        ("next=%2Fback%3Fpage%3D2&q=red+shoes&mail=a%40b.test&pad=abc==",) * 2,
    ],
)
def test_query_parameters_are_hidden_by_name(query: str, shown: str) -> None:
    redaction = QueryRedaction(Logging().redact_query)
    assert redaction(query) == shown
    assert redaction(query) == shown, "the second time names are remembered"


def test_the_user_decides_which_parameters() -> None:
    redaction = QueryRedaction(["ssn"])
    assert redaction("ssn=1&token=2") == f"ssn={REDACTED}&token=2"
    assert QueryRedaction([])("token=2") == "token=2"


def test_a_query_of_countless_parameters_is_cut() -> None:
    redaction = QueryRedaction(["token"])
    shown = redaction("&".join(f"a{number}=1" for number in range(1000)) + "&token=abc")
    assert shown.endswith("a63=1&…")
    shown = redaction(";".join(f"a{number}=1" for number in range(1000)) + ";token=abc")
    assert shown.endswith("a63=1;…")


def test_made_up_names_do_not_fill_the_memory() -> None:
    redaction = QueryRedaction(["token"])
    for number in range(5000):
        redaction(f"name{number}=1&{'n' * 100}{number}=1")
    assert len(redaction._known) <= 1024


@given(st.text(max_size=300))
def test_any_text_is_a_query(query: str) -> None:
    assert isinstance(QueryRedaction(["token"])(query), str)


@given(st.text(alphabet="ab=;&%[]5BDd", max_size=30), st.text(alphabet="ab=;&%", max_size=30))
def test_a_secret_is_hidden_whatever_stands_around_it(before: str, after: str) -> None:
    shown = QueryRedaction(["token"])(f"{before}&token={CANARY}&{after}")
    assert CANARY not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, no secret", "plain text, no secret"),
        (f"got Basic {CANARY}, expected", f"got Basic {REDACTED}, expected"),
        (
            f"GET https://a/b?x=1&sig={CANARY} failed? yes",
            f"GET https://a/b?x=1&sig={REDACTED} failed? yes",
        ),
        ("is it? x = token = 3", "is it? x = token = 3"),
        (f"sent {JWT}, which expired", f"sent {REDACTED}, which expired"),
        (f"a.{JWT[:40]}", f"a.{REDACTED}"),
        (f"v1.a.b.c.d.{JWT}, \n{JWT}", f"v1.a.b.c.d.{REDACTED}, \n{REDACTED}"),
        (f"{JWT}.a.b and {JWT.replace('.', '%2E')}", f"{REDACTED} and {REDACTED}"),
        ("eyJ is how they begin, eyJhbGciOiJIUzI1NiJ9 alone says nothing",) * 2,
    ],
)
def test_texts_lose_their_secrets_and_nothing_else(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    ("before", "many", "behind"),
    [
        ("", "eyJ", ""),
        ("a.", "eyJabcdefgh", ""),
        ("", "eyJaaaaaaaa%2", ""),
        ("bearer ", "\t", ""),
        ("?next=%", "x", ""),
        ("?next=b", "[a", "=%"),
        ("?next=", "bearer+", ""),
        ("?next=%", "%25", ""),
        ("http", "://", ""),
    ],
)
def test_no_text_takes_more_than_its_length_asks_for(before: str, many: str, behind: str) -> None:
    def cost(length: int) -> float:
        text = before + many * (length // len(many)) + behind

        def once() -> float:
            began = time.thread_time()
            redact_tokens(text.encode())
            redact_text(text)
            return time.thread_time() - began

        return min(once() for _ in range(5))

    # Sixteen times as long takes 256 times as long where it is tried anew at each letter.
    assert cost(32 * 1024) < 80 * cost(2 * 1024)


def test_urls_lose_the_parameters_that_the_user_names() -> None:
    assert redact_url("/a?ssn=1&b=2#ssn=3", QueryRedaction(["ssn"])) == (
        f"/a?ssn={REDACTED}&b=2#ssn={REDACTED}"
    )


def test_lines_lose_their_tokens_and_nothing_else() -> None:
    line = b'{"a":"%b","b":"x/%b?y","c":"eyJ"}\n' % (JWT.encode(), JWT.encode())
    assert redact_tokens(line).decode() == f'{{"a":"{REDACTED}","b":"x/{REDACTED}?y","c":"eyJ"}}\n'
    assert redact_tokens(b"plain\n") == b"plain\n"
