"""What gets out: of the proxy's insides to clients, and of anybody's secrets to anywhere.

Internal facts are addresses, names of exceptions and files, texts of errors. Secrets are
canaries, put wherever people put them, and then looked for in all that was written.
"""

from __future__ import annotations

import asyncio
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from proxy.config.model import Config
from proxy.config.problems import ConfigError
from tests.integration.gateway import running
from tests.integration.origins import OK, RawOrigin, Script, answering
from tests.security.stage import Last, get, read_answers, staged

INSIDES: Final = re.compile(
    rb"traceback|exception|[a-z]error:|errno|\.py\b|/proxy/|/work|/home|asyncio|uvloop|aiohttp|llhttp|"
    rb"python|socket|127\.0\.0\.1|localhost|::1|0x[0-9a-f]{6}|refused\b.*connect|connect call",
    re.IGNORECASE,
)


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _asleep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.Event().wait()


async def _closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


FAILURES: Final[list[tuple[str, bytes, Script | None, int]]] = [
    ("bad_request", b"\x00\r\n\r\n", None, 400),
    ("invalid_header", b"GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", None, 400),
    ("invalid_host", get(host="a b"), None, 400),
    ("invalid_target", get("/../x"), None, 400),
    ("invalid_target", get("http://a:80@/"), None, 400),
    ("invalid_framing", get("/", "Content-Length: x"), None, 400),
    ("unknown_coding", get("/", "Transfer-Encoding: x"), None, 501),
    ("method_not_supported", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", None, 501),
    ("unknown_version", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", None, 505),
    ("head_too_large", get("/", "X: " + "y" * 40_000), None, 431),
    ("target_too_long", get("/" + "y" * 9000), None, 414),
    ("body_too_large", get("/", "Content-Length: 999999999"), None, 413),
    ("expectation_failed", get("/", "Expect: y", "Content-Length: 1"), None, 417),
    ("route_not_found", get("/nowhere"), None, 404),
    ("method_not_allowed", get().replace(b"GET", b"PUT", 1), None, 405),
    ("rate_limited", get("/limited"), None, 429),
    ("upstream_closed", get(), _closing, 502),
    ("upstream_invalid", get(), answering(b"nonsense\r\n\r\n"), 502),
    ("upstream_invalid", get(), answering(b"HTTP/1.1 200 OK\r\n127.0.0.1 .py\r\n\r\n"), 502),
    ("upstream_timeout", get(), _asleep, 504),
    ("upstream_error", get(), answering(
        b"HTTP/1.1 500 Traceback\r\nContent-Type: text/html\r\nContent-Length: 30\r\n\r\n"
        b"Traceback: 127.0.0.1 in app.py"), 500),
]  # fmt: skip
ACCEPTS: Final = ["*/*", "application/json", "text/html", "text/plain"]


def _routes() -> list[dict[str, Any]]:
    return [
        {"name": "all", "match": {"path": "/", "methods": ["GET", "POST"]}, "upstream": "app"},
        {"name": "limited", "match": {"path": "/limited"}, "upstream": "app",
         "policies": {"rate_limit": {"limit": "1/h", "burst": 1}}},
    ]  # fmt: skip


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize(
    ("code", "data", "script", "status"),
    FAILURES,
    ids=[f"{number} {row[0]}" for number, row in enumerate(FAILURES)],
)
async def test_no_failure_shows_the_insides(
    tmp_path: Path, code: str, data: bytes, script: Script | None, status: int, accept: str
) -> None:
    config = {
        "routes": _routes(),
        "upstreams": {"app": {"timeouts": {"response": "1s"}}},
        "server": {"limits": {"body": "1MiB"}},
    }
    data = data.replace(b"Host:", b"Accept: " + accept.encode() + b"\r\nHost:", 1)
    async with staged(tmp_path, config=config, script=script) as stage:
        if code == "rate_limited":
            await stage.play(data)
        raw = await stage.gateway.raw(data)
        [answer] = read_answers(raw)
        assert answer.status == status
        assert code.encode() in answer.body
        assert INSIDES.search(raw) is None, raw
        for internal in (stage.witness.raw.url[7:], f":{stage.gateway.port}", str(tmp_path)):
            assert internal.encode() not in raw


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1", "https://127.0.0.1:{port}", "http://no-such-host.invalid",
     "unix:/nonexistent/app.sock"],
)  # fmt: skip
async def test_where_the_service_is_remains_unsaid(tmp_path: Path, address: str) -> None:
    """The log has it, under the request's ID."""
    async with RawOrigin(_silent) as origin:
        endpoint = address.replace("{port}", origin.url.rpartition(":")[2])
        upstream = {"endpoints": [endpoint], "timeouts": {"connect": "500ms"}}
        async with running({"upstreams": {"app": upstream}}, tmp_path) as gateway:
            raw = await gateway.raw(get())
            [answer] = read_answers(raw)
            assert answer.error in ("upstream_unreachable", "connect_timeout", "upstream_closed")
            assert INSIDES.search(raw) is None, raw
            assert endpoint.partition(":")[2].strip("/").encode() not in raw
            [line] = await gateway.lines("request failed")
            assert line["request_id"] == answer.headers["x-request-id"]
            assert endpoint in line["cause"]


class _Page(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


MARKUP: Final = [
    "/<script>alert(1)</script>", "/%3Cscript%3Ealert(1)%3C/script%3E", "/'onload='alert(1)",
    "/%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E", "/%26lt;script%26gt;", "/</code></body><script>",
    "/%3C/title%3E%3Cscript%3E", "/{0.__class__}", "/%7Brequest_id%7D", "/{status}{path}",
    "/%C2%A0%E2%80%AE%3Cscript%3E", "/%3C%00script%3E", "/%EF%BC%9Cscript%EF%BC%9E",
]  # fmt: skip
OWN_TAGS: Final = {
    "html", "head", "meta", "title", "body", "main", "h1", "p", "dl", "dt", "dd", "code", "time",
}  # fmt: skip


@pytest.mark.parametrize("target", MARKUP)
async def test_a_page_for_people_runs_nothing_of_theirs(tmp_path: Path, target: str) -> None:
    config = {"routes": [{"name": "only", "match": {"path": "/only"}, "upstream": "app"}]}
    async with staged(tmp_path, config=config) as stage:
        raw = await stage.gateway.raw(get(target, "Accept: text/html", "User-Agent: <script>"))
        [answer] = read_answers(raw)
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.headers["content-type"] == "application/json":
            # Of a head that is refused, no field is believed, and no wish of its granted.
            assert answer.json["error"] == "invalid_target"
            return
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        page = _Page(answer.body.decode())
        assert page.tags <= OWN_TAGS
        assert page.attributes <= {"lang", "charset", "name", "content", "datetime"}


@pytest.mark.parametrize("target", MARKUP)
@pytest.mark.parametrize("accept", ["*/*", "text/plain"])
async def test_other_forms_are_what_they_say(tmp_path: Path, target: str, accept: str) -> None:
    """JSON that parses, text in one line, and neither to be taken for a page."""
    config = {"routes": [{"name": "only", "match": {"path": "/only"}, "upstream": "app"}]}
    async with staged(tmp_path, config=config) as stage:
        [answer] = await stage.play(get(target, f"Accept: {accept}"))
        kind = answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if accept == "text/plain" and kind != "application/json":
            assert kind == "text/plain; charset=utf-8"
            assert answer.body.count(b"\n") == 1
        else:
            assert kind == "application/json"
            assert answer.json["status"] == answer.status
            assert accept == "*/*" or answer.json["error"] == "invalid_target"


@pytest.mark.parametrize(
    ("to", "path", "target"),
    [
        ("{path}", "/**", "//evil.test"),
        ("{path}", "/**", "/%2Fevil.test"),
        ("{path}", "/**", "/\\evil.test"),
        ("{path}", "/**", "/%5Cevil.test"),
        ("/{path.rest}", "/go/**", "/go//evil.test"),
        ("/{path.rest}", "/go/**", "/go/%2Fevil.test"),
        ("/{path.rest}", "/go/**", "/go/\\evil.test"),
        ("/{path.rest}", "/go/**", "/go/%5C%5Cevil.test"),
        ("/{path.rest}", "/go/**", "/go/%09/evil.test"),
        ("/{path.rest}", "/go/**", "/go/http://evil.test"),
        ("/{path.rest}", "/go/**", "/go/%0d%0aSet-Cookie:%20a=b"),
        ("/{path.rest}", "/go/**", "/go/x?y%0d%0aSet-Cookie:%20a=b"),
        ("/{path.rest}", "/go/**", "/go/%C4%8D%C4%8ASet-Cookie:%20a=b"),
        ("https://{host}{path}", "/**", "//evil.test"),
        ("https://{host}{path}", "/**", "/@evil.test"),
        ("https://{host}/{path.rest}", "/go/**", "/go/@evil.test"),
        ("https://service.test{path}", "/**", "/%40evil.test"),
    ],
)
@pytest.mark.parametrize("paths", [{}, {"encoded_slashes": "pass", "empty_segments": "pass"}])
async def test_a_redirect_leads_nowhere_else(
    tmp_path: Path, to: str, path: str, target: str, paths: dict[str, str]
) -> None:
    """Read as a browser does, in which backslashes are slashes and tabs are nothing."""
    route = {"name": "go", "match": {"path": path}, "policies": {"redirect": to}}
    config = {"routes": [route], "server": {"paths": paths}}
    async with staged(tmp_path, config=config) as stage:
        [answer] = await stage.play(get(target))
        assert "set-cookie" not in answer.headers
        location = answer.headers.get("location", "")
        assert location.isascii()
        assert location.isprintable()
        seen = re.sub("[\t\r\n]", "", location).replace("\\", "/")
        host = re.match(r"(?:[a-z]+:)?//([^/?#]*)", seen)
        assert host is None or host[1] == "service.test"
        assert (answer.status == 308) == bool(location)


async def test_templates_cannot_split_a_response_or_a_request(tmp_path: Path) -> None:
    """What a client chose is put into fields on both sides."""
    headers = {
        "request": {"set": {"X-Path": "{path}", "X-Rest": "{path.rest}", "X-Asked": "{host}"}},
        "response": {"set": {"X-Path": "{path}", "X-Rest": "{path.rest}"}},
    }
    route = {"name": "all", "match": {"path": "/t/**"}, "upstream": "app",
             "policies": {"headers": headers}}  # fmt: skip
    targets = ["/t/a%20b", "/t/%C2%85Set-Cookie:a=b", "/t/%E2%80%A8X", "/t/%C4%8D%C4%8AX: y"[:-3],
               "/t/%ff%fe", "/t/%ED%A0%80", "/t/%25%30%64%25%30%61X"]  # fmt: skip
    async with staged(tmp_path, config={"routes": [route]}) as stage:
        for target in targets:
            [answer] = await stage.play(get(target))
            assert answer.status == 200
            heard = stage.witness.heard[-1]
            for fields in (answer.headers, dict(heard.fields)):
                assert "set-cookie" not in fields
                assert fields["x-path"].startswith("/t/")
                assert not re.search("[\x00-\x1f\x7f]", fields["x-rest"])


CANARY: Final = "canary5e3c7e7"


async def _everything_written(folder: Path, admin: str) -> str:
    texts = [(folder / "sidegate.log").read_text(encoding="utf-8")]
    async with aiohttp.ClientSession() as session:
        for page in ("/", "/config", "/routes", "/upstreams", "/metrics", "/readyz", "/nothing"):
            async with session.get(admin + page) as response:
                texts.append(str(response.headers) + await response.text())
    return "\n".join(texts)


async def test_secrets_of_requests_are_written_nowhere(tmp_path: Path) -> None:
    """Of requests that pass, that are refused, and that cannot even be read."""
    fields = [
        f"Authorization: Bearer {CANARY}", f"Cookie: session={CANARY}", f"X-Api-Key: {CANARY}",
        f"Proxy-Authorization: Basic {CANARY}", f"X-Auth-Token: {CANARY}",
        f"Referer: https://a.test/?access_token={CANARY}",
    ]  # fmt: skip
    names = ["authorization", "cookie", "x-api-key", "x-auth-token", "referer"]
    target = f"/?token={CANARY}&a=1&access_token={CANARY}&%74oken={CANARY}&user[password]={CANARY}"
    config = {
        "telemetry": {"log": {"level": "debug", "headers": names}},
        "policies": {"rate_limit": {"limit": "1000/s", "key": "header:X-Api-Key"}},
    }
    answer = Last(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: session=%b\r\n\r\nok"
        % CANARY.encode()
    )
    async with staged(tmp_path, lambda _: answer, config) as stage:
        requests = [
            get(target, *fields),
            get(target, *fields, "Content-Length: x"),
            get(target, *fields, "X y: z"),
            get(target, *fields, host="a b"),
            get(target, *fields).replace(b"GET", b"BREW", 1),
            get(target, *fields).replace(b"HTTP/1.1", b"HTTP/7.7"),
            get("/" + target, *fields),
            get(target, *fields, "Accept: text/html", "Expect: x", "Content-Length: 1"),
        ]
        received = b""
        for number, data in enumerate(requests):
            raw = await stage.gateway.raw(data)
            if number:
                received += raw
        await stage.gateway.lines(count=len(requests))
        assert stage.witness.heard[0].one("authorization") == f"Bearer {CANARY}"
        assert CANARY not in await _everything_written(tmp_path, stage.gateway.admin)
        assert CANARY.encode() not in received


async def test_secrets_of_the_configuration_are_written_nowhere(tmp_path: Path) -> None:
    """Whatever the option is called that a `!file` stands under."""
    (tmp_path / "secret").write_text(f"{CANARY}\n", encoding="utf-8")
    file = """
server: {listen: ["http://127.0.0.1:0"], drain: {timeout: 1s}}
admin: {listen: "http://127.0.0.1:0"}
telemetry: {log: {level: debug}}
upstreams: {app: "http://127.0.0.1:1"}
routes:
  - name: only
    upstream: app
    match: {headers: {X-Gate: !file secret}}
    policies:
      headers:
        request: {set: {X-Internal: !file secret, X-Api-Key: !file secret}}
      respond: {status: 200, body: ok, headers: {X-Seen: "1"}}
"""
    async with running({"upstreams": {"app": "http://127.0.0.1:1"}}, tmp_path) as gateway:
        gateway.file.write_text(file, encoding="utf-8")
        assert (await gateway.reload())[0] == 200
        [answer] = read_answers(await gateway.raw(get("/", f"X-Gate: {CANARY}")))
        assert answer.status == 200
        await gateway.lines("request in detail", count=1)
        written = await _everything_written(tmp_path, gateway.admin)
        assert "only" in written
        assert CANARY not in written
        # A mistake in the file is told without it, too.
        broken = file.replace("status: 200", "status: !file secret")
        gateway.file.write_text(broken, encoding="utf-8")
        status, told = await gateway.reload()
        assert status == 409
        assert "status" in str(told)
        assert CANARY not in str(told)
        assert CANARY not in await _everything_written(tmp_path, gateway.admin)


async def test_a_user_in_an_upstream_s_address_is_refused_without_repeating_it(
    tmp_path: Path,
) -> None:
    config = {"upstreams": {"app": f"http://user:{CANARY}@127.0.0.1:1"}}
    with pytest.raises(ConfigError) as caught:
        async with running(config, tmp_path):
            pass
    assert CANARY not in str(caught.value)


ADMIN: Final = ["/config", "/metrics", "/routes", "/upstreams", "/reload", "/healthz", "/readyz"]


@pytest.mark.parametrize("path", ADMIN)
async def test_the_data_port_knows_nothing_of_the_admin_s(tmp_path: Path, path: str) -> None:
    async with staged(tmp_path) as stage:
        admin = stage.gateway.admin.removeprefix("http://")
        spellings = [
            get(path), get(path, host=admin), get(f"http://{admin}{path}", host=admin),
            get(path).replace(b"GET", b"POST", 1), get(path, f"X-Forwarded-Host: {admin}"),
        ]  # fmt: skip
        for data in spellings:
            [answer] = await stage.play(data)
            # The service answered, whatever it was asked for.
            assert (answer.status, answer.body) == (200, b"ok")
        assert len(stage.witness.heard) == len(spellings)


async def test_the_admin_port_is_on_loopback_and_for_no_other_site(tmp_path: Path) -> None:
    async with RawOrigin(answering(OK)) as origin:
        config = {"upstreams": {"app": origin.url}}
        async with running(config, tmp_path) as gateway:
            assert gateway.admin.startswith("http://127.0.0.1:")
            foreign = {"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}
            async with aiohttp.ClientSession(headers=foreign) as session:
                for path in ADMIN:
                    async with session.get(gateway.admin + path) as response:
                        names = {name.lower() for name in response.headers}
                        assert not any(name.startswith("access-control-") for name in names)
                for method in ("OPTIONS", "POST"):
                    async with session.request(method, gateway.admin + "/reload") as response:
                        assert response.status == 403
            assert await gateway.lines("admin request refused")
            text = (tmp_path / "sidegate.log").read_text(encoding="utf-8")
            assert "configuration reloaded" not in text


def test_by_default_nothing_listens_beyond_this_machine() -> None:
    config = Config()
    assert config.admin.listen == "http://127.0.0.1:9901"
    assert config.server.listen == ("http://127.0.0.1:8080",)
    assert json.loads(config.model_dump_json())["server"]["trusted_proxies"] == []


async def test_a_page_whose_name_was_rebound_reads_nothing_of_the_admin_port(
    tmp_path: Path,
) -> None:
    """It is its own origin there, so CORS doesn't keep it from reading."""
    browser = {"User-Agent": "Mozilla/5.0", "Accept-Language": "en", "Host": "rebound.example:9901"}
    config = {"upstreams": {"app": "http://127.0.0.1:1"}}
    async with running(config, tmp_path) as gateway, aiohttp.ClientSession() as session:
        for path in ("/", "/config", "/routes", "/upstreams", "/metrics"):
            async with session.get(gateway.admin + path, headers=browser) as page:
                assert page.status == 403
                text = await page.text()
            assert json.loads(text)["error"] == "forbidden"
            assert "127.0.0.1" not in text
            by_address = {**browser, "Host": gateway.admin.removeprefix("http://")}
            async with session.get(gateway.admin + path, headers=by_address) as page:
                assert page.status == 200
        scraper = {"User-Agent": "Prometheus/2.42.0", "Host": "sidegate.example.com:9901"}
        async with session.get(gateway.admin + "/metrics", headers=scraper) as page:
            assert page.status == 200


async def test_what_policies_look_at_is_written_nowhere(tmp_path: Path) -> None:
    """Bodies, parameters and cookies that are refused or changed, with a secret in each."""
    policies = {
        "validate": {
            "schema": {"body": {"properties": {"password": {"maxLength": 3}}}},
            "json": {"duplicates": "refuse"},
            "mode": "shadow",
        },
        "sanitize": {"known": ["json:/password", "json:/note"], "fields": [
            {"parameter": "json:/note", "max_length": 3}]},
        "shield": {"mode": "shadow"},
    }  # fmt: skip
    attack = f"{CANARY}' or 1=1--"
    bodies = [
        json.dumps({"password": CANARY, "note": f"  {CANARY}", "other": CANARY}).encode(),
        json.dumps({"password": attack}).encode(),
        b'{"%b": 1, "%b": 2}' % (CANARY.encode(), CANARY.encode()),
        b'{"broken": "%b"' % CANARY.encode(),
    ]
    config = {"telemetry": {"log": {"level": "debug"}}, "policies": policies}
    statuses = []
    async with staged(tmp_path, config=config) as stage:
        for body in bodies:
            head = b"POST /?token=%b HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n" % (
                attack.replace(" ", "%20").encode()
            )
            head += b"Cookie: session=%b\r\nContent-Type: application/json\r\n" % attack.encode()
            head += b"Content-Length: %d\r\n\r\n" % len(body)
            [answer] = read_answers(await stage.gateway.raw(head + body), ("POST",))
            statuses.append(answer.status)
            assert CANARY.encode() not in answer.body
        # What can't be read can't be cleaned.
        assert statuses == [200, 200, 200, 400]
        lines = await stage.gateway.lines(count=len(bodies))
        assert {line["decisions"]["shield"] for line in lines[:3]} == {"would_refuse"}
        assert lines[3]["decisions"]["sanitize"] == "refused"
        assert lines[0]["decisions"]["validate"] == "would_refuse"
        assert lines[0]["decisions"]["sanitize"] == "changed"
        written = await _everything_written(tmp_path, stage.gateway.admin)
        # A name that a client makes up is no secret; a value is.
        assert CANARY not in written.replace(f"json:/{CANARY}", "")
