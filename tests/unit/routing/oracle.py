"""Routing as its documentation says, done naively: sort all routes, test each in turn.

It shares no code with `proxy.routing`, so that the two can be compared; and it makes the
random routes and requests for that, from few words, so that they meet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from hypothesis import strategies as st

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.headers import Headers


def path_regex(pattern: str) -> re.Pattern[str]:
    """The whole pattern as one regular expression; captures of `/**` are called `rest`."""
    if pattern.startswith("~"):
        return re.compile(pattern[1:])
    if pattern == "/**":
        return re.compile("/(?P<rest>.*)|[*]")
    body = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern.removesuffix("/**"))
    if not pattern.endswith("/**"):
        return re.compile(body)
    return re.compile(body + ("(/.*)?" if "<rest>" in body else "(/(?P<rest>.*))?"))


def sort_key(matches: Sequence[Match], index: int) -> tuple[object, ...]:
    match = matches[index]
    host_key = (2, 0)
    if match.host is not None:
        host_key = (1, -len(match.host)) if match.host.startswith("*.") else (0, 0)
    path = match.path
    fixed = len(re.sub(r"\{\w+\}", "", path.removesuffix("/**")))
    captures = path.count("{")
    if path == "/**":
        path_key = (4, 0, 0)
    elif path.startswith("~"):
        path_key = (3, [other.path for other in matches].index(path), 0)
    elif path.endswith("/**"):
        path_key = (2, -fixed, captures)
    else:
        path_key = (1, -fixed, captures) if captures else (0, -fixed, 0)
    return (
        host_key, path_key, not match.methods, -len(match.headers), -len(match.query), index,
    )  # fmt: skip


def value_holds(wanted: str, values: Sequence[str]) -> bool:
    if wanted == "*":
        return bool(values)
    if wanted.startswith("~"):
        return any(re.fullmatch(wanted[1:], value) for value in values)
    return wanted in values


def holds_but_for_method(match: Match, request: Request) -> bool:
    if match.host is not None:
        host = re.escape(match.host).replace(r"\*", ".+")
        if not re.fullmatch(host, request.host):
            return False
    if not path_regex(match.path).fullmatch(request.path):
        return False
    for name, wanted in match.headers.items():
        value = request.headers.get(name.lower())
        if not value_holds(wanted, [] if value is None else [value]):
            return False
    pairs = parse_qsl(request.query, keep_blank_values=True)
    return all(
        value_holds(wanted, [value for key, value in pairs if key == name])
        for name, wanted in match.query.items()
    )


def method_holds(match: Match, method: str) -> bool:
    return (
        not match.methods
        or method in match.methods
        or (method == "HEAD" and "GET" in match.methods)
    )


def choose(matches: Sequence[Match], request: Request) -> int | None:
    """The index of the route that takes the request."""
    for index in sorted(range(len(matches)), key=lambda index: sort_key(matches, index)):
        match = matches[index]
        if holds_but_for_method(match, request) and method_holds(match, request.method):
            return index
    return None


def captures(match: Match, path: str) -> dict[str, str]:
    found = path_regex(match.path).fullmatch(path)
    groups = found.groupdict() if found else {}
    if not match.path.startswith("~"):
        return {name: text or "" for name, text in groups.items()}
    return {name: text for name, text in groups.items() if text is not None}


def allowed(matches: Sequence[Match], request: Request) -> tuple[str, ...]:
    """The methods that some route would take the request with."""
    methods: set[str] = set()
    for match in matches:
        if holds_but_for_method(match, request):
            methods.update(match.methods)
    return tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


HOSTS = [None, "a.com", "b.a.com", "*.a.com", "*.com", "*.b.a.com"]
SEGMENTS = st.sampled_from(["a", "b", "ab", "{}"])
REGEXES = [
    "~/a/.*", "~/a", "~/(?P<x>[ab]+)(/(?P<y>.+))?", "~.*", r"~/a/b+", "~/a|/b", "~/a/b?.*",
    "~/ab/a/(a|b)*", "~/(?P<x>a)/.*|/b", r"~/a\/b/.*", "~[*]",
]  # fmt: skip


def _pattern(segments: list[str], end: str) -> str:
    path = "".join(f"/{segment}" for segment in segments).replace("{}", "{{c{}}}")
    return (path.format(*range(path.count("{{"))) if "{{" in path else path) + end or "/"


PATHS = st.one_of(
    st.builds(_pattern, st.lists(SEGMENTS, max_size=4), st.sampled_from(["", "", "/**"])),
    st.builds(_pattern, st.lists(SEGMENTS, min_size=1, max_size=3), st.just("/")),
    st.sampled_from(["/**", "/**", "/{rest}/**", *REGEXES]),
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT"])
CONDITIONS = st.dictionaries(
    st.sampled_from(["x", "y"]), st.sampled_from(["1", "2", "", "*", "~[12]", "~1?"]), max_size=2
)
MATCHES = st.builds(
    Match,
    host=st.one_of(st.none(), st.sampled_from(HOSTS)),
    path=PATHS,
    methods=st.lists(METHODS, max_size=3).map(tuple),
    headers=st.one_of(st.just({}), CONDITIONS),
    query=st.one_of(st.just({}), CONDITIONS),
)
ROUTES = st.lists(MATCHES, max_size=15)


def _request(
    method: str, segments: list[str], host: str, fields: list[tuple[str, str]], query: str
) -> Request:
    path = "*" if segments[:1] == ["*"] else "/" + "/".join(segments)
    headers = Headers((name.encode(), value.encode()) for name, value in fields)
    return Request(method, path.encode(), path, query, headers, host=host)


REQUESTS = st.builds(
    _request,
    METHODS,
    st.lists(st.sampled_from(["a", "b", "ab", "c", "", "*"]), max_size=6),
    st.sampled_from(["", "a.com", "b.a.com", "c.a.com", "c.b.a.com", "com", "x.com", "a.org"]),
    st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(["1", "2", ""])), max_size=2),
    st.lists(st.sampled_from(["x=1", "x=2", "x", "y=1", "y=%31", "", "y=+"]), max_size=3).map(
        "&".join
    ),
)
