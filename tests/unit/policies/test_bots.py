"""bots: programs that say what they are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policies.bots import Bots, Options
from tests.unit.policies.world import World, a_request, refusal

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
GPT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3)"


def admitted(world: World, agent: str | None, **options: Any) -> bool:
    policy = Bots(Options.model_validate(options), world.toolkit)
    fields = [] if agent is None else [("User-Agent", agent)]
    # The second time it is remembered.
    refusals = {str(refusal(policy, a_request("/", *fields)) or "")[:15] for _ in range(2)}
    assert refusals in ({""}, {"403 bot_refused"})
    return refusals == {""}


@pytest.mark.parametrize(
    ("agent", "options", "comes_in"),
    [
        (FIREFOX, {}, True),
        (GOOGLE, {}, True),
        (GPT, {}, True),
        ("curl/8.5.0", {}, True),
        ("sqlmap/1.9.2#stable (https://sqlmap.org)", {}, False),
        ("Mozilla/5.00 (Nikto/2.5.0) (Evasions:None)", {}, False),
        ("NUCLEI - Open-source project", {}, False),
        (GPT, {"kinds": "ai"}, False),
        (FIREFOX, {"kinds": ["scanners", "ai", "seo", "libraries"]}, True),
        (GOOGLE, {"kinds": ["scanners", "ai", "seo", "libraries"]}, True),
        ("curl/8.5.0", {"kinds": ["libraries"]}, False),
        ("Mozilla/5.0 (compatible; AhrefsBot/7.0)", {"kinds": ["seo"]}, False),
        ("MyBadBot/1", {"agents": "mybadbot"}, False),
        ("MyBadBot/1", {"agents": "MYBADBOT"}, False),
        (GPT, {"kinds": "ai", "allow": "gptbot"}, True),
        ("sqlmap/1", {"kinds": [], "agents": "other"}, True),
        (None, {}, True),
        ("", {}, True),
        (None, {"nameless": "refuse"}, False),
        ("", {"nameless": "refuse"}, False),
        ("x" * 5000 + "sqlmap", {}, True),
        ("Z\xff sqlmap", {}, False),
    ],
)
def test_who_is_turned_away(
    world: World, agent: str | None, options: dict[str, Any], comes_in: bool
) -> None:
    assert admitted(world, agent, **options) is comes_in


def test_names_fill_no_memory(world: World) -> None:
    policy = Bots(Options(), world.toolkit)
    for number in range(3000):
        policy.check(a_request("/", ("User-Agent", f"program/{number}")))
    policy.check(a_request("/", ("User-Agent", "x" * 5000)))
    assert len(policy._memory) <= 2048
    assert max(map(len, policy._memory)) <= 512


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": []}, "nobody to refuse"),
        ({"kinds": ["crawlers"]}, "'scanners', 'ai', 'seo' or 'libraries'"),
        ({"agents": [" "]}, "nothing is a part of each"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)
