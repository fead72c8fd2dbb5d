"""Whatever is written, or sent, is read or refused in words: never an exception of another kind.

The configuration's loader, the rules for header fields, targets and hosts, and the grammars of
bodies, fed with mutations of what they know. `HYPOTHESIS_EXAMPLES` gives more cases than those
of every run, and other ones.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.catalog import load_catalog
from proxy.config.load import load
from proxy.config.model import Paths
from proxy.config.problems import ConfigError
from proxy.content.decoding import readings
from proxy.content.form import read_cookies, read_pairs
from proxy.content.json import JsonError, JsonLimits, read_json
from proxy.content.magic import kind_of
from proxy.content.media import read_media
from proxy.content.multipart import MultipartError, MultipartReader
from proxy.contract import Request
from proxy.entity import read_entity
from proxy.errors import CODES, GatewayError, Refused
from proxy.http1.host import read_authority
from proxy.http1.line import lines_of
from proxy.http1.message import HeadRules, RequestHead, read_request_head, read_response_head
from proxy.http1.origin import Origins, origin_host
from proxy.http1.target import read_target
from proxy.policies.cors import Cors
from proxy.policies.cors import Options as CorsOptions
from proxy.policies.csrf import Csrf
from proxy.policies.csrf import Options as CsrfOptions
from proxy.policies.sanitize.policy import Options as SanitizeOptions
from proxy.policies.sanitize.policy import Sanitize
from proxy.policies.shield.policy import Options as ShieldOptions
from proxy.policies.shield.policy import Shield
from proxy.policies.validate.options import Options as ValidateOptions
from proxy.policies.validate.policy import Validating
from proxy.runtime.plan import make_plan
from tests.security.test_fuzz import SETTINGS
from tests.unit.policies.world import (
    World,
    a_request,
    answering,
    refusal,
    upstream_response,
)

CATALOG: Final = load_catalog(plugins=[])
RULES: Final = HeadRules(100, 8192, "drop", Paths())

# -- the configuration -------------------------------------------------------------------------

FILES: Final = [
    "upstreams: {app: http://127.0.0.1:3000}\n",
    "server: {listen: [http://0.0.0.0:80], limits: {head: 32KiB, fields: 100}}\n"
    "upstreams: {a: {endpoints: [http://h:1, https://h:2], pool: {size: 4}}}\n",
    "upstreams: {a: unix:/run/a.sock}\nroutes:\n  - name: one\n    match: {host: '*.a.test', path: "
    "'/x/{id}/**', methods: [GET], headers: {X-A: '~b+'}}\n    policies: {rate_limit: 5/min}\n",
    "policies:\n  cors: ['https://*.a.test']\n  csrf: true\n  hosts: a.test\n"
    "  shield: {level: strict, exceptions: [{parameter: 'json:/a/*', rules: xss}]}\n"
    "  respond: {status: 204}\n",
    "policies:\n  validate: {content_types: application/json, schema: {body: {type: object}}}\n"
    "  sanitize: {known: ['json:/a'], fields: [{parameter: 'query:q', allowed: '[a-z]'}]}\n"
    "  ip_filter: {allow: [10.0.0.0/8, '::1']}\n  respond: 200\n",
    "a: &x {b: c}\nupstreams: *x\n<<: *x\n",
    "upstreams: {app: '${HOST:-http://a:1}'}\n# comment\nstore: null\n",
]  # fmt: skip
PIECES: Final = [
    ":", "- ", "{", "}", "[", "]", "'", '"', "\n", "\n  ", "\t", "#", "&a ", "*a", "!file x",
    "!!int ",
    "|", ">", "${A}", "${", "$$", "%", "@", "`", "null", "~", "true", "1e999", "0x", "-1",
    "99999999999",
    "5/min", "32KiB", "1h", "http://", "unix:", "*.a", "~(", "\x00", "\x7f", "\ud7ff", "é",
    "\u202e",
    "mode: off\n", "policies:", "routes:", "match:", "upstreams:", "? ", "---\n", "...\n",
    "<<: *x\n",
]  # fmt: skip


def mutated(seeds: list[Any], pieces: list[Any]) -> st.SearchStrategy[Any]:
    """A seed in which spans are replaced by pieces."""

    def change(drawn: tuple[Any, list[tuple[int, int, Any]]]) -> Any:
        text, changes = drawn
        for place, length, piece in changes:
            at = place % (len(text) + 1)
            text = text[:at] + piece + text[at + length :]
        return text

    changes = st.tuples(st.integers(0, 400), st.integers(0, 8), st.sampled_from(pieces))
    return st.tuples(st.sampled_from(seeds), st.lists(changes, min_size=1, max_size=4)).map(change)


E = TypeVar("E", bound=Exception)


def failure(kind: type[E], work: Callable[[], object]) -> E | None:
    """The exception of this kind that the work raises, if it does."""
    try:
        work()
    except kind as error:
        return error
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configurations")


@SETTINGS
@given(text=mutated(FILES, PIECES))
def test_any_configuration_is_used_or_refused_in_words(text: str, folder: Path) -> None:
    file = folder / "sidegate.yaml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        document = load(file, environ={}, partial=True)
        make_plan(document, CATALOG)
    except ConfigError as error:
        for problem in error.problems:
            assert problem.message
            assert "Traceback" not in problem.message
            assert len(problem.message) < 5000
            assert problem.place.line >= 0


# -- heads -------------------------------------------------------------------------------------

NAMES: Final = [
    b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"Upgrade", b"TE",
    b"X-Forwarded-For", b"Forwarded", b"X_Under", b"Cookie", b"Content-Type", b"Origin", b"Via",
    b"Sec-Fetch-Site", b"Access-Control-Request-Method", b"True-Client-IP", b"a", b"A" * 100, b"",
    b"sp ace", b"co:lon", b"\xff",
]  # fmt: skip
VALUES: Final = [
    b"", b"a.test", b"a.test:80", b"[::1]:1", b"chunked", b"gzip, chunked", b"0", b"5", b"+5",
    b"5, 5",
    b"99999999999999999999", b"close", b"keep-alive, x-a", b"100-continue", b"websocket",
    b"\xff\xfe",
    b"1.2.3.4, ::1", b"for=1.2.3.4;proto=https", b"https://a.test", b"null", b"a=b; c=d", b"*",
    b"application/json; charset=utf-8", b"x" * 9000, b"%00", b"\x00", b"a\tb", b"cross-site",
]  # fmt: skip
FIELD: Final = st.tuples(
    st.sampled_from(NAMES) | st.binary(max_size=6),
    st.sampled_from(VALUES) | st.binary(max_size=12),
)
TARGETS: Final = [
    "/", "/a/b?c=d", "*", "http://a.test/x", "/%2e%2e/x", "//x", "/a;b=c", "/%c0%af", "?", "",
    "/\x00",
    "/%zz", "http://u@a/", "/a#b", "/\\x", "http://[::1]:80/", "https:///", "/" + "a" * 9000,
    "ftp://x",
]  # fmt: skip


@SETTINGS
@given(
    st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "TRACE", "BREW"]),
    mutated(TARGETS, ["/", "%", ".", "?", ";", "\\", ":", "@", "#", "%2f", "é", "\x00"]),
    st.sampled_from([(1, 1), (1, 0), (0, 9), (2, 0)]),
    st.lists(FIELD, max_size=8),
)
def test_any_request_head_is_read_or_refused(
    method: str, target: str, version: tuple[int, int], fields: list[tuple[bytes, bytes]]
) -> None:
    heads: list[RequestHead] = []

    def read() -> None:
        lines = lines_of(fields, "invalid_header")
        heads.append(read_request_head(method, target, version, lines, RULES))

    error = failure(GatewayError, read)
    if error is not None:
        assert error.code in CODES
        assert error.close
        assert error.fault != "upstream"
        return
    [head] = heads
    kept = {key for key, _ in head.headers.items()}
    assert not kept & {"host", "connection", "te", "transfer-encoding", "content-length", "expect"}
    assert not kept & {"x-forwarded-for", "forwarded", "true-client-ip", "upgrade"}
    assert not any("_" in key for key in kept)


@SETTINGS
@given(
    st.integers(0, 999),
    st.sampled_from([(1, 1), (1, 0), (2, 0)]),
    st.lists(FIELD, max_size=8),
    st.sampled_from(["GET", "HEAD"]),
)
def test_any_response_head_is_read_or_refused(
    status: int, version: tuple[int, int], fields: list[tuple[bytes, bytes]], method: str
) -> None:
    def read() -> None:
        lines = lines_of(fields, "upstream_invalid")
        read_response_head(status, version, lines, method)

    error = failure(GatewayError, read)
    assert error is None or error.code == "upstream_invalid"


@SETTINGS
@given(st.text(max_size=60))
def test_any_text_is_a_host_an_origin_a_target_or_none(text: str) -> None:
    authority = read_authority(text)
    assert authority is None or "/" not in authority[0]
    assert text not in Origins(["https://a.test", "https://*.b.test", "~https://c[0-9]"])
    assert "/" not in origin_host(text)
    error = failure(GatewayError, lambda: read_target(text, "GET", RULES.paths))
    assert error is None or error.code == "invalid_target"


# -- bodies ------------------------------------------------------------------------------------

BODIES: Final = [
    b'{"a": [1, {"b": "x"}], "c": null}', b'"x"', b"[]", b"a=1&b=%20+&a=2",
    b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n",
    b"<x>text</x>", gzip.compress(b'{"a": "x"}'),
]  # fmt: skip
BITS: Final = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b":", b",", b"\x00", b"\xff",
    b"\r\n",
    b"--b", b"--b--", b"&", b"=", b"%", b"%ff", b"'", b" or 1=1--", b"<script>", b"${jndi:",
    b"1e999",
    b"99999999999999999999999", b"-", b"../", b"filename*=", b";", b"\xe2\x80\xae",
]  # fmt: skip
MEDIA: Final = [
    "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b",
    "text/xml", "", "nonsense", "multipart/form-data", "application/json; charset=utf-16",
]  # fmt: skip

POLICIES: Final[dict[str, Callable[[World], Any]]] = {
    "shield": lambda world: Shield(
        ShieldOptions.model_validate({"mode": "enforce", "level": "strict", "inspect": "64B"}),
        world.toolkit,
    ),
    "validate": lambda world: Validating(
        ValidateOptions.model_validate(
            {"schema": {"query": {"type": "object"}}, "multipart": {"types": "image/*"}}
        ),
        world.toolkit,
    ),
    "sanitize": lambda world: Sanitize(
        SanitizeOptions.model_validate(
            {"known": ["*:a", "json:/a/**"], "collapse": True, "confusables": "fold"}
        ),
        world.toolkit,
    ),
}


def carrying(body: bytes, media: str, coding: str, query: str) -> Request:
    fields = [("Content-Type", media)] if media else []
    fields += [("Content-Encoding", coding)] if coding else []
    request = a_request("/x", *fields, method="POST")
    request.query = query
    request.body, request.length = body, len(body)
    return request


@pytest.mark.parametrize("name", list(POLICIES))
def test_any_body_is_looked_at_or_refused(name: str) -> None:
    policy = POLICIES[name](World())

    @SETTINGS
    @given(
        mutated(BODIES, BITS),
        st.sampled_from(MEDIA),
        st.sampled_from(["", "", "gzip", "br"]),
        mutated(["a=1&b=2", ""], ["&", "=", "%", "%00", "é", "+", "'", "["]),
    )
    def look(body: bytes, media: str, coding: str, query: str) -> None:
        request = carrying(body, media, coding, query)

        def see() -> None:
            if name == "sanitize":
                _finish(policy.wrap(answering(upstream_response()))(request))
            else:
                _finish(policy.check(request))

        error = failure(Refused, see)
        if error is not None:
            assert error.code in CODES
            assert 400 <= error.status < 500
            assert all("\n" not in row.pointer + row.detail for row in error.violations)
        assert isinstance(request.body, bytes)
        assert request.length == len(request.body)
        if name != "sanitize":
            assert request.body == body, "it is only looked at"

    look()


def _finish(work: Any) -> None:
    """Run what has nothing to wait for."""
    try:
        work.__await__().send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


@SETTINGS
@given(st.lists(FIELD, max_size=6), st.sampled_from(["GET", "POST", "OPTIONS"]))
def test_any_fields_are_judged_by_cors_and_csrf(
    fields: list[tuple[bytes, bytes]], method: str
) -> None:
    world = World()
    sound = [(name, value) for name, value in fields if name.isalnum() or name in NAMES[:18]]
    texts = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sound]
    request = a_request("/x", *texts, method=method)
    answer = Cors(CorsOptions(origins=("https://a.test",)), world.toolkit).answer(request)
    assert answer is None or answer.status == 204
    if answer is not None:
        for line in answer.headers.lines.values():
            assert b"\r" not in line
            assert b"\n" not in line
    refused = refusal(Csrf(CsrfOptions(), world.toolkit), request)
    assert refused is None or refused.code == "cross_site"


@SETTINGS
@given(mutated(BODIES, BITS))
def test_any_bytes_are_one_thing_or_another(data: bytes) -> None:
    text = data.decode("latin-1")
    assert kind_of(data)
    assert readings(text, 4)
    read_pairs(text)
    read_cookies(text)
    read_media(text)
    limits = JsonLimits(keys=10, items=10, digits=10, name=10)
    assert str(failure(JsonError, lambda: read_json(data, limits)))

    def parts() -> None:
        reader = MultipartReader("b")
        for start in range(0, len(data), 7):
            reader.feed(data[start : start + 7])
        reader.finish()

    assert str(failure(MultipartError, parts))


def test_the_reading_of_a_body_is_shared() -> None:
    """What the policies above were given is what `read_entity` gives them in turn."""
    request = carrying(b"{}", MEDIA[0], "", "")
    _finish(read_entity(request, 100))
    assert request.state["entity"].data == b"{}"
