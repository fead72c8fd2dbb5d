"""What fields and parameters leave of routes that are alike is what would have been found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Match
from proxy.contract import Request
from proxy.http1.headers import Headers
from proxy.routing.match import read_rules
from proxy.routing.precedence import arrange
from proxy.routing.sieve import find_sieves
from proxy.routing.table import Found, Table
from tests.unit.routing import oracle

WORDS = st.sampled_from(["a", "b", "c"])
WANTED = st.one_of(WORDS, st.sampled_from(["*", "~[ab]", "ü"]))
CONDITIONS = st.dictionaries(st.sampled_from(["x", "y"]), WANTED, max_size=2)
MATCHES = st.builds(
    Match,
    path=st.sampled_from(["/a", "/{x}", "~/[a-z]"]),
    methods=st.sampled_from([(), ("GET",)]),
    headers=CONDITIONS,
    query=CONDITIONS,
)
FIELDS = st.dictionaries(st.sampled_from(["x", "y"]), st.one_of(WORDS, st.just("ü")), max_size=2)
QUERIES = st.lists(st.sampled_from(["x=a", "x=b", "y=a", "y=c", "x=%C3%BC", "y="]), max_size=3).map(
    "&".join
)


@given(
    matches=st.lists(MATCHES, min_size=20, max_size=40),
    method=st.sampled_from(["GET", "PUT"]),
    fields=FIELDS,
    query=QUERIES,
)
def test_nothing_that_takes_a_request_is_sifted_out(
    matches: list[Match], method: str, fields: dict[str, str], query: str
) -> None:
    headers = Headers((name.encode(), value.encode()) for name, value in fields.items())
    request = Request(method, b"/a", "/a", query, headers)
    found = Table([(match, index) for index, match in enumerate(matches)]).find(request)
    expected = oracle.choose(matches, request)
    assert (found.value if isinstance(found, Found) else None) == expected
    if not isinstance(found, Found):
        assert found.allowed == oracle.allowed(matches, request)


def test_few_routes_and_those_that_ask_for_no_text_have_no_sieve() -> None:
    few = [Match(path="/a", headers={"x": str(n)}) for n in range(7)]
    unlike = [Match(path=f"/{n}", headers={"x": str(n)}) for n in range(20)]
    vague = [Match(path="/b", headers={"x": f"~{n}"}) for n in range(20)]
    assert not find_sieves(arrange(read_rules([*few, *unlike, *vague])))
    (sieve,) = find_sieves(arrange(read_rules([*few, few[0]]))).values()
    assert (sieve.name, sieve.query) == ("x", False)
