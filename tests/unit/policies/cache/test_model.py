"""The cache against an oracle that remembers all that the service ever said, and reads it plainly.

Every answer has to be one that the oracle allows; and where the newest response that fits a
request is fresh, the service must not have been asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from proxy.contract import Request, Response
from proxy.errors import GatewayError
from proxy.http1.byte_range import read_range, satisfiable, show_content_range
from proxy.store.purge import Purge
from tests.unit.asking import Ask, at_once, by_waiting
from tests.unit.paused_loop import PausedLoop
from tests.unit.policies.cache.stage import CommonDepot, Stage, read, reply
from tests.unit.policies.world import a_request

PATHS: Final = ("/0", "/1")
STALE_IF_ERROR: Final = 30
WORDS: Final = (
    "max-age=10",
    "max-age=10",
    "public, max-age=10",
    "s-maxage=10, max-age=0",
    "max-age=10, must-revalidate",
    "max-age=5, stale-while-revalidate=10",
    "max-age=5, stale-if-error=60",
    "max-age=0",
    "no-cache, max-age=10",
    "private, max-age=10",
    "no-store",
    "",
)
DAY: Final = 86_400.0
DOWN: Final = "upstream_unreachable"
UNSHARED: Final = 10.0
# The dates that services send are cut to seconds.
SLACK: Final = 1.0
TOOK: Final = 2**-10


@dataclass
class Thing:
    """What the service has at a path. tag, dated: what it tells of a version."""

    words: str = "max-age=10"
    version: int = 0
    varies: bool = False
    tag: str = '"{}"'
    dated: bool = False

    def content(self, path: str, language: str) -> bytes:
        """The body for a request."""
        told = language if self.varies else "any"
        return f"{path} {self.version} in {told}. ".encode() * 20


@dataclass
class Record:
    """One response of the service, and what became of it.

    part: it has not all of the content. gone: it may not be used any more. spoilt: not before
    the service was asked.
    """

    path: str
    language: str | None
    content: bytes
    said: dict[str, int]
    made: float
    authorized: bool
    part: bool
    gone: bool = False
    spoilt: bool = False

    def kept(self) -> bool:
        """It may be kept for others."""
        if self.gone or "no-store" in self.said or "private" in self.said:
            return False
        shared = self.said.keys() & {"public", "s-maxage", "must-revalidate"}
        return not self.authorized or bool(shared)

    def fits(self, path: str, language: str) -> bool:
        """It answers a request for this."""
        return self.path == path and self.language in (None, language)

    def lifetime(self) -> int:
        """Seconds that it is fresh."""
        return self.said.get("s-maxage", self.said.get("max-age", 0))

    def strict(self) -> bool:
        """It may not be used once stale, unless it says for how long."""
        return bool(self.said.keys() & {"must-revalidate", "no-cache"})

    def grace(self, name: str, unsaid: int) -> int:
        """Seconds beyond its lifetime."""
        if self.strict():
            return 0
        return self.said.get(name, 0 if "s-maxage" in self.said else unsaid)

    def usable(self, now: float, asked: dict[str, int], failed: bool) -> bool:
        """It may be used again, by what it said and what the request said."""
        if not self.kept():
            return False
        age, lifetime = now - self.made, self.lifetime()
        on_error = self.grace("stale-if-error", STALE_IF_ERROR)
        if "no-cache" in self.said or (self.spoilt and not on_error):
            return False
        if failed and age <= lifetime + on_error:
            return True
        if self.spoilt or "no-cache" in asked:
            return False
        if age > asked.get("max-age", age) or lifetime - age < asked.get("min-fresh", -DAY):
            return False
        stale = 0 if self.strict() or "s-maxage" in self.said else asked.get("max-stale", 0)
        return age <= lifetime + max(stale, self.grace("stale-while-revalidate", 0))


def words_of(text: str) -> dict[str, int]:
    """Directives by name, each with its number if it has one."""
    parts = (part.strip().partition("=") for part in text.split(",") if part)
    return {name: int(value or 0) for name, _, value in parts}


class CacheAndOracle(RuleBasedStateMachine):
    """One after another does something to the service, the cache or the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = PausedLoop()
        self.things = {path: Thing() for path in PATHS}
        self.records: list[Record] = []
        self.failing = ""
        # Until when an instance doesn't look whether another has something at a path, since
        # what it got last was for nobody else.
        self.alone: dict[tuple[int, str], float] = {}

    def teardown(self) -> None:
        self.loop.close()

    @initialize(several=st.booleans(), asking=st.sampled_from([by_waiting, at_once]))
    def begin(self, several: bool, asking: Ask) -> None:
        options: Any = {"early_refresh": 0, "stale_if_error": f"{STALE_IF_ERROR}s"}
        depot = CommonDepot() if several else None
        self.stage = Stage(self.serve, depot=depot, asking=asking, **options)
        self.stages = [self.stage]
        # No two responses come at once.
        self.stage.took = TOOK
        if several:
            another = Stage(self.serve, depot=depot, beside=self.stage, asking=asking, **options)
            self.stages.append(another)
            self.stages[1].took = TOOK

    # -- the service ------------------------------------------------------------------------------

    def serve(self, request: Request) -> Response:
        if self.failing == "gone":
            raise GatewayError(DOWN)
        if self.failing:
            return reply(503, body=b"not now")
        if request.method == "POST":
            return reply(200, body=b"done")
        path, headers = request.path, request.headers
        thing, language = self.things[path], headers.get("accept-language") or ""
        tag = thing.tag.format(f"{thing.version}{language}" if thing.varies else thing.version)
        modified = self.stage.date(thing.version * DAY - 400 * DAY - self.stage.world.now)
        fields = [("X-Serial", str(len(self.records))), ("Date", self.stage.date())]
        if thing.words:
            fields.append(("Cache-Control", thing.words))
        if thing.varies:
            fields.append(("Vary", "Accept-Language"))
        if tag:
            fields.append(("ETag", tag))
        if thing.dated:
            fields.append(("Last-Modified", modified))
        content = thing.content(path, language)
        record = Record(
            path,
            language if thing.varies else None,
            content,
            words_of(thing.words or "max-age=86400" * thing.dated),
            self.stage.world.now,
            "authorization" in headers,
            request.method == "HEAD",
        )
        self.records.append(record)
        tags = headers.get("if-none-match")
        if tags is not None:
            if tag and tag.removeprefix("W/") in tags:
                return reply(304, *fields, body=b"")
        elif thing.dated and headers.get("if-modified-since") == modified:
            return reply(304, *fields, body=b"")
        condition = headers.get("if-range")
        if request.method == "HEAD":
            head = reply(200, *fields, body=b"")
            head.length = len(content)
            return head
        if condition is None or condition == tag.removeprefix("W/") == tag:
            spans = satisfiable(read_range(headers.raw("range") or b"") or [], len(content))
            if len(spans) == 1:
                record.part = True
                told = show_content_range(spans[0], len(content)).decode()
                cut = content[spans[0].first : spans[0].last + 1]
                return reply(206, *fields, ("Content-Range", told), body=cut)
        return reply(200, *fields, body=content)

    @rule(path=st.sampled_from(PATHS))
    def change(self, path: str) -> None:
        self.things[path].version += 1

    @rule(
        path=st.sampled_from(PATHS),
        words=st.sampled_from(WORDS),
        varies=st.booleans(),
        tag=st.sampled_from(['"{}"', 'W/"{}"', ""]),
        dated=st.booleans(),
    )
    def say_otherwise(self, path: str, words: str, varies: bool, tag: str, dated: bool) -> None:
        version = self.things[path].version + 1
        self.things[path] = Thing(words, version, varies, tag, dated)

    @rule(how=st.sampled_from(["", "", "gone", "503"]))
    def fail(self, how: str) -> None:
        self.failing = how

    @rule(seconds=st.sampled_from([1, 4, 8, 20, 70]))
    def wait(self, seconds: int) -> None:
        self.stage.wait(seconds)

    @rule(path=st.sampled_from(PATHS), soft=st.booleans())
    def purge(self, path: str, soft: bool) -> None:
        purge = Purge("url", f"//shop.example{path}", soft)
        depot = self.stage.trove.depot
        self.loop.run(self.stage.trove.purge(purge) if depot is None else depot.spread(purge, ""))
        for record in self.records:
            if record.path == path:
                record.spoilt = record.spoilt or soft
                record.gone = record.gone or not soft

    # -- the clients ------------------------------------------------------------------------------

    @rule(path=st.sampled_from(PATHS), instance=st.sampled_from([0, -1]))
    def post(self, path: str, instance: int) -> None:
        async def send() -> int:
            response = await self.stages[instance].send(a_request(path, method="POST"))
            return response.status

        try:
            done = self.loop.run(send()) == 200
        except GatewayError:
            done = False
        if done:
            self.things[path].version += 1
            for record in self.records:
                record.gone = record.gone or record.path == path

    @rule(
        path=st.sampled_from(PATHS),
        method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
        language=st.sampled_from(["de", "en"]),
        wish=st.sampled_from(
            ["", "", "no-cache", "max-age=3", "min-fresh=4", "max-stale=6", "only-if-cached"]
        ),
        trusted=st.booleans(),
        authorized=st.booleans(),
        ranged=st.sampled_from(["", "", "bytes=0-9", "bytes=5-99", "bytes=-7", "bytes=9999-"]),
        crowd=st.sampled_from([1, 1, 3]),
        instance=st.sampled_from([0, -1]),
    )
    def ask(
        self,
        path: str,
        method: str,
        language: str,
        wish: str,
        trusted: bool,
        authorized: bool,
        ranged: str,
        crowd: int,
        instance: int,
    ) -> None:
        fields = [("Accept-Language", language)]
        if wish:
            fields.append(("Cache-Control", wish))
        if authorized:
            fields.append(("Authorization", "Basic x"))
        if ranged:
            fields.append(("Range", ranged))
        asked = words_of(wish) if trusted else {}
        before, sent = len(self.records), self.sent()
        alone = self.alone.get((instance, path), 0) > self.stage.world.now
        fresh = not asked and not alone and self.has_fresh(path, language)

        codes: set[str] = set()
        stage = self.stages[instance]

        async def send() -> tuple[Response | None, bytes]:
            request = a_request(path, *fields, method=method, trusted=trusted)
            try:
                response = await stage.send(request)
            except GatewayError as error:
                codes.add(error.code)
                return None, b""
            return response, await read(response.body)

        async def send_all() -> list[tuple[Response | None, bytes]]:
            answers = await asyncio.gather(*(send() for _ in range(crowd)))
            if fresh or "not_stored" in codes:
                assert self.sent() == sent, "the service was asked"
            for each in self.stages:
                await each.settle()
            return answers

        own: list[int] = []
        for response, body in self.loop.run(send_all()):
            if response is None or response.status == 503:
                assert not fresh, "it had a fresh response"
                self.leave_alone(instance, path)
                continue
            serial = int(response.headers.get("x-serial") or "")
            record = self.records[serial]
            assert record.fits(path, language)
            if serial < before:
                self.check_reuse(record, response, asked)
            elif not record.kept():
                own.append(serial)
                self.leave_alone(instance, path)
            if method == "HEAD":
                assert body == b""
            else:
                self.check_body(record, response, body, ranged)
        assert codes <= ({"not_stored"} if "only-if-cached" in asked else {self.failing and DOWN})
        assert len(own) == len(set(own)), "what was for one was given to several"

    def leave_alone(self, instance: int, path: str) -> None:
        """An instance of several got something that was for nobody else."""
        if len(self.stages) > 1:
            self.alone[instance, path] = self.stage.world.now + UNSHARED

    def sent(self) -> int:
        """How often the service was asked."""
        return sum(len(stage.asked) for stage in self.stages)

    def check_reuse(self, record: Record, response: Response, asked: dict[str, int]) -> None:
        """A response from earlier may be used, and says how old it is."""
        now = self.stage.world.now
        assert record.usable(now, asked, bool(self.failing))
        age = int(response.headers.get("age") or "")
        assert -1 < age - (now - record.made) <= SLACK

    def check_body(self, record: Record, response: Response, body: bytes, ranged: str) -> None:
        """It is what the service had, or the part of it that was asked for."""
        told = response.headers.get("content-range") or ""
        if response.status == 206:
            first, last = map(int, told[len("bytes ") : told.index("/")].split("-"))
            wanted = satisfiable(read_range(ranged.encode()) or [], len(record.content))
            assert [(span.first, span.last) for span in wanted] == [(first, last)]
            assert body == record.content[first : last + 1]
        elif response.status == 416:
            assert (ranged, body) == ("bytes=9999-", b"")
        else:
            assert (response.status, body) == (200, record.content)

    def has_fresh(self, path: str, language: str) -> bool:
        """The newest response that fits a request is fresh, and surely kept."""
        now = self.stage.world.now
        varies = False
        for record in reversed(self.records):
            if record.fits(path, language):
                # One for everybody is left alone once there are some for each language.
                outdated = varies and record.language is None
                usable = record.usable(now, {}, failed=False) and not record.part
                return usable and not outdated and now + SLACK < record.made + record.lifetime()
            varies = varies or record.path == path
        return False


TestCacheAndOracle = CacheAndOracle.TestCase
TestCacheAndOracle.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
