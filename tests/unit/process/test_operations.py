from __future__ import annotations

from typing import Any

from proxy.process.operations import combine


def row(endpoint: str, **facts: Any) -> dict[str, Any]:
    return {"upstream": "app", "endpoint": endpoint, **facts}


def test_one_worker_is_shown_as_it_is() -> None:
    rows = [row("http://a", idle=1, closed={"idle": 2})]
    assert combine([rows]) == rows


def test_numbers_of_the_same_endpoint_are_added() -> None:
    first = [row("http://a", idle=1, closed={"idle": 2}), row("http://b", idle=5)]
    second = [row("http://a", idle=3, closed={"idle": 1, "dead": 4})]
    assert combine([first, second]) == [
        row("http://a", idle=4, closed={"idle": 3, "dead": 4}),
        row("http://b", idle=5),
    ]


def test_what_is_no_number_is_the_first_ones() -> None:
    first, second = (
        [row("http://a", state="open", up=True)],
        [row("http://a", state="shut", up=True)],
    )
    assert combine([first, second]) == first


def test_no_answers() -> None:
    assert combine([]) == []
