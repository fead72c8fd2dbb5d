"""What a configuration asks for, route by route, and every problem at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.catalog import load_catalog
from proxy.config.problems import ConfigError
from proxy.config.units import Rate
from proxy.runtime.plan import Plan, PolicyPlan, RoutePlan, make_plan
from tests.unit.runtime.specimen import (
    CATALOG,
    AnswerOptions,
    LimitOptions,
    document_of,
    plan_of,
)

UPSTREAM = "upstreams: {app: 'http://a:1'}\n"
TWO = "upstreams: {one: 'http://a:1', two: 'http://b:1'}\n"


def names(route: RoutePlan) -> str:
    return " ".join(policy.spec.name for policy in route.policies)


def policy(plan: Plan, name: str, route: int = 0) -> PolicyPlan:
    return next(row for row in plan.routes[route].policies if row.spec.name == name)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, text)
    prefix = f"{folder / 'sidegate.yaml'}:"
    return [str(problem).removeprefix(prefix) for problem in caught.value.problems]


class TestPolicies:
    """Which policies stand on a route, in which order, with which options."""

    @pytest.mark.parametrize(
        ("shared", "own", "expected"),
        [
            ("{}", "{}", "ids errors"),
            ("{limit: 5/s}", "{}", "ids errors limit"),
            ("{limit: 5/s}", "{limit: false}", "ids errors"),
            ("{}", "{limit: 5/s, answer: 204}", "ids errors limit answer"),
            ("{answer: 204, limit: 5/s}", "{}", "ids errors limit answer"),
            ("{ids: false}", "{}", "errors"),
            ("{ids: false}", "{ids: true}", "ids errors"),
            ("{ids: false}", "{ids: }", "ids errors"),
            ("{}", "{ids: {mode: off}}", "errors"),
            ("{ids: {mode: off}}", "{}", "errors"),
            ("{limit: {limit: 5/s, mode: shadow}}", "{}", "ids errors limit"),
        ],
    )
    def test_which(self, tmp_path: Path, shared: str, own: str, expected: str) -> None:
        text = f"{UPSTREAM}policies: {shared}\nroutes:\n  - {{name: a, policies: {own}}}\n"
        assert names(plan_of(tmp_path, text).routes[0]) == expected

    def test_a_route_replaces_the_options_of_a_policy_as_a_whole(self, tmp_path: Path) -> None:
        text = f"""\
{UPSTREAM}policies: {{limit: {{limit: 5/s, key: mine}}}}
routes:
  - {{name: a, policies: {{limit: {{limit: 1/s}}}}}}
  - {{name: b, match: {{path: /b}}}}
"""
        plan = plan_of(tmp_path, text)
        assert policy(plan, "limit", 0).options == LimitOptions(limit=Rate(1, 1))
        options = policy(plan, "limit", 1).options
        assert isinstance(options, LimitOptions)
        assert options.key == "mine"

    def test_a_bare_scalar_sets_the_shorthand(self, tmp_path: Path) -> None:
        plan = plan_of(tmp_path, "policies: {answer: 204}\n")
        assert policy(plan, "answer").options == AnswerOptions(status=204)

    def test_each_policy_knows_where_it_was_written(self, tmp_path: Path) -> None:
        text = f"""\
{UPSTREAM}policies:
  limit: 5/s
routes:
  - name: a
    policies:
      answer:
        status: 204
"""
        plan = plan_of(tmp_path, text)
        found = {
            row.spec.name: (row.origin, row.place.line if row.place else None)
            for row in plan.routes[0].policies
        }
        assert found == {
            "ids": ("default", None),
            "errors": ("default", None),
            "limit": ("policies", 3),
            "answer": ("route", 7),
        }

    def test_requests_without_a_route_get_the_defaults_as_they_are_set_for_all(
        self, tmp_path: Path
    ) -> None:
        text = f"{UPSTREAM}policies: {{ids: {{mode: shadow}}, limit: 5/s}}\n"
        fallback = plan_of(tmp_path, text).fallback
        assert [(row.spec.name, row.options.mode) for row in fallback] == [
            ("ids", "shadow"),
            ("errors", "enforce"),
        ]


class TestRoutes:
    """Where requests go."""

    def test_without_routes_all_goes_to_the_only_upstream(self, tmp_path: Path) -> None:
        [route] = plan_of(tmp_path, UPSTREAM).routes
        assert (route.name, route.match.path, route.upstream) == ("default", "/**", "app")

    def test_the_only_upstream_needs_no_mention(self, tmp_path: Path) -> None:
        assert plan_of(tmp_path, f"{UPSTREAM}routes: [{{name: a}}]\n").routes[0].upstream == "app"

    @pytest.mark.parametrize("upstreams", ["", TWO])
    def test_a_route_with_an_answer_needs_none(self, tmp_path: Path, upstreams: str) -> None:
        text = f"{upstreams}routes: [{{name: a, policies: {{answer: 204}}}}]\n"
        assert plan_of(tmp_path, text).routes[0].upstream is None

    def test_limits_of_a_route_stand_above_the_servers(self, tmp_path: Path) -> None:
        text = f"""\
{UPSTREAM}server: {{limits: {{body: 2KiB}}}}
routes:
  - {{name: a, match: {{path: /a}}, limits: {{body: 0}}}}
  - {{name: b, match: {{path: /b}}, limits: {{}}}}
"""
        assert [route.body_limit for route in plan_of(tmp_path, text).routes] == [0, 2048]


class TestProblems:
    """All that can be told without building anything, at its line."""

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "1:1: upstreams: there is nothing to forward to; add `upstreams: "),
            (TWO, "1:12: upstreams: there are several upstreams (one, two) and no `routes:`"),
            (
                f"{TWO}routes: [{{name: a}}]\n",
                "2:10: routes[0].upstream: is missing; the upstreams are one, two",
            ),
            (
                "routes: [{name: a}]\n",
                "1:10: routes[0].upstream: is missing, and there are no `upstreams:`",
            ),
            (
                "routes: [{name: a, policies: {answer: {mode: shadow}}}]\n",
                "are no `upstreams:`; answer only answers in mode enforce",
            ),
            (
                f"{UPSTREAM}policies: {{limt: 5/s}}\n",
                '2:12: policies: unknown policy "limt"; did you mean "limit"?',
            ),
            (f"{UPSTREAM}policies: {{limit: 5}}\n", "2:19: policies.limit: 5 is not a rate; write"),
            (f"{UPSTREAM}policies: {{limit: }}\n", 'policies.limit: "limit" is missing'),
            (
                f"{UPSTREAM}policies: {{limit: {{limit: 5/s, wait: 5}}}}\n",
                "2:38: policies.limit.wait: a duration needs a unit",
            ),
            (
                f"{UPSTREAM}policies: {{limit: {{limit: 5/s, bucket: {{rom: 5B}}}}}}\n",
                '2:41: policies.limit.bucket: unknown key "rom"; did you mean "room"?',
            ),
            (
                f"{UPSTREAM}policies: {{limit: {{limit: 5/s, mode: of}}}}\n",
                'mode: must be enforce, shadow or off, not "of"; did you mean "off"?',
            ),
            (
                f"{UPSTREAM}policies: {{ids: off}}\n",
                '2:17: policies.ids: "off" is text here; write false to leave the policy out',
            ),
            (
                f"{UPSTREAM}policies: {{ids: yes}}\n",
                '"yes" is text here; write {} to turn it on with its defaults',
            ),
            (
                f"{UPSTREAM}policies: {{answer: on}}\n",
                '"on" is text here; write {} to turn it on with its defaults',
            ),
            (
                f"{UPSTREAM}policies: {{limit: on}}\n",
                "policies.limit: 'on' is not a rate; write 100/s",
            ),
            (
                f"{UPSTREAM}policies: {{ids: 5}}\n",
                "policies.ids: must be a mapping of options, true or false, not the number 5",
            ),
            (
                f"{UPSTREAM}policies: {{fussy: {{word: x}}}}\n",
                "2:19: policies.fussy: the policy can't read its options (LookupError: x)",
            ),
            (
                f"{UPSTREAM}routes:\n  - name: a\n    match: {{path: nope}}\n",
                "4:19: routes[0].match.path: ",
            ),
        ],
    )
    def test_one(self, tmp_path: Path, text: str, problem: str) -> None:
        found = problems(tmp_path, text)
        assert len(found) == 1
        assert problem in found[0]

    def test_a_route_that_another_covers(self, tmp_path: Path) -> None:
        text = f"""\
{UPSTREAM}routes:
  - name: a
    match: {{path: /x/**}}
  - name: bad
    match: {{path: "/{{"}}
  - name: b
    match: {{path: /x/**}}
"""
        assert problems(tmp_path, text)[1] == (
            '7:5: routes[2]: route "b" can never match: route "a" (line 3) takes all its requests'
        )

    def test_those_of_the_document_and_of_the_policies_come_together(self, tmp_path: Path) -> None:
        text = f"""\
{UPSTREAM}server: {{workers: many}}
policies: {{limit: {{limit: 5/s, wait: 5}}}}
routes:
  - {{match: {{path: 7}}, policies: {{nope: 1}}}}
  - {{name: b, matches: {{}}, upstream: [], policies: {{nope: 1}}}}
  - {{name: c, match: {{path: "/{{"}}}}
"""
        found = [problem.split(": ")[1] for problem in problems(tmp_path, text)]
        assert found == [
            "server.workers",
            "policies.limit.wait",
            "routes[0]",
            "routes[0].match.path",
            "routes[0].policies",
            "routes[1]",
            "routes[1].upstream",
            "routes[1].policies",
            "routes[2].match.path",
        ]

    def test_what_only_follows_from_a_broken_part_is_not_told(self, tmp_path: Path) -> None:
        text = "upstreams: {a: nope, b: 'http://b:1'}\nroutes: [{name: x, upstream: a}]\n"
        assert len(problems(tmp_path, text)) == 1

    def test_a_secret_in_a_policy_is_not_printed(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("hunter22")
        [problem] = problems(tmp_path, f"{UPSTREAM}policies: {{limit: !file key}}\n")
        assert "hunter22" not in problem


SCALARS = st.sampled_from(
    [None, True, 0, 7, -1, 1.5, "", "x", "5s", "1KiB", "5/s", "/x", "http://a:1", "${X", "off"]
)
KEYS = st.sampled_from(
    [
        "server", "upstreams", "policies", "routes", "limits", "body", "listen", "timeouts",
        "idle", "name", "match", "path", "headers", "upstream", "endpoints", "pool", "size",
        "app", "limit", "answer", "ids", "fussy", "bucket", "buckets", "room", "word", "mode",
    ]
)  # fmt: skip
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["server", "upstreams", "policies", "routes", "store", "polices"]),
        ANYTHING,
    ),
    st.dictionaries(
        st.lists(KEYS, min_size=1, max_size=4).map(
            lambda keys: "SIDEGATE_" + "__".join(keys).upper()
        ),
        st.sampled_from(["x", "5", "null", "[a, b]", "{", "http://a:1"]),
        max_size=2,
    ),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=200,
    deadline=None,
)
def test_whatever_is_written_becomes_a_plan_or_problems_in_words(
    tmp_path: Path, data: dict[str, Any], environ: dict[str, str]
) -> None:
    messages = ["all is well"]
    try:
        make_plan(document_of(tmp_path, yaml.safe_dump(data), environ), CATALOG)
    except ConfigError as error:
        messages = [problem.message for problem in error.problems]
    assert all(message and "pydantic" not in message for message in messages)
    assert messages


def test_the_files_that_policies_read_are_told(tmp_path: Path) -> None:
    listed = tmp_path / "listed.txt"
    listed.write_text("192.0.2.0/24\n")
    text = f"policies: {{ip_filter: {{deny_files: {listed}}}, respond: 204}}\n"
    plan = make_plan(document_of(tmp_path, text), load_catalog(plugins=[]))
    assert plan.files() == {listed}


@pytest.mark.parametrize(
    ("options", "takes"), [("'*'", True), ("{origins: '*', mode: shadow}", False), ("false", False)]
)
def test_a_route_takes_preflights_when_a_policy_answers_them(
    options: str, takes: bool, tmp_path: Path
) -> None:
    text = f"policies: {{cors: {options}, respond: 204}}\n"
    plan = make_plan(document_of(tmp_path, text), load_catalog(plugins=[]))
    assert plan.routes[0].preflights is takes
