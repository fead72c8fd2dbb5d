"""How problems read: this is what a person sees when a file is wrong."""

from __future__ import annotations

import pytest

from proxy.config.problems import (
    ConfigError,
    Path,
    Place,
    Problem,
    beneath,
    meant,
    show_path,
)


@pytest.mark.parametrize(
    ("place", "shown", "brief"),
    [
        (Place("a.yaml", 3, 7), "a.yaml:3:7", "a.yaml:3"),
        (Place("environment SIDEGATE_X"), "environment SIDEGATE_X", "environment SIDEGATE_X"),
    ],
)
def test_a_place_outside_of_files_has_no_line(place: Place, shown: str, brief: str) -> None:
    assert (str(place), place.brief) == (shown, brief)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ((), ""),
        (("server",), "server"),
        (("routes", 0, "match", "path"), "routes[0].match.path"),
        (("upstreams", "a.b", "pool"), 'upstreams."a.b".pool'),
    ],
)
def test_paths_read_as_they_would_be_said(path: Path, shown: str) -> None:
    assert show_path(path) == shown


def test_a_problem_of_the_whole_file_names_no_path() -> None:
    assert str(Problem(Place("a.yaml", 1, 1), "", "is empty")) == "a.yaml:1:1: is empty"


def test_an_error_holds_each_problem_once_in_the_order_of_lines() -> None:
    late = Problem(Place("a.yaml", 12, 1), "b", "late")
    early = Problem(Place("a.yaml", 2, 9), "a", "early")
    outside = Problem(Place("(outside)"), "c", "nowhere")
    error = ConfigError([outside, late, early, late])
    assert error.problems == [early, late, outside]
    assert str(error).startswith("a.yaml:2:9: a: early\na.yaml:12:1: b: late\n")


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a.b", True), ("a.b.c", True), ("a.b[0]", True), ("a.bc", False), ("a", False)],
)
def test_what_stands_beneath_a_path(path: str, inside: bool) -> None:
    assert beneath(path, ["a.b"]) is inside


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("polices", ["policies", "routes"], '; did you mean "policies"?'),
        ("Routes", ["policies", "routes"], '; did you mean "routes"?'),
        ("rate-limit", ["rate_limit"], '; did you mean "rate_limit"?'),
        ("zzz", ["b", "a"], "; known here: a, b"),
        ("zzz", [], ""),
        ("zzz", [f"n{n:02}" for n in range(40)], "n10, n11, ..."),
    ],
)
def test_a_typo_gets_the_nearest_name_and_anything_else_a_choice(
    name: str, known: list[str], hint: str
) -> None:
    assert meant(name, known).endswith(hint)
