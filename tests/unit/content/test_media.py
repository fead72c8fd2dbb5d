"""What a Content-Type says."""

from __future__ import annotations

import pytest

from proxy.content.media import read_media


@pytest.mark.parametrize(
    ("value", "name", "parameters"),
    [
        ("application/json", "application/json", {}),
        ("Application/JSON", "application/json", {}),
        ("text/plain; charset=utf-8", "text/plain", {"charset": "utf-8"}),
        ('text/plain;charset="utf-8"', "text/plain", {"charset": "utf-8"}),
        ("a/b; x=1;y=2 ; z=3", "a/b", {"x": "1", "y": "2", "z": "3"}),
        (r'a/b; x="a\"b;c"', "a/b", {"x": 'a"b;c'}),
        ("a/b;", "a/b", {}),
        ("a/b; ; x=1", "a/b", {"x": "1"}),
    ],
)
def test_a_type_and_its_parameters(value: str, name: str, parameters: dict[str, str]) -> None:
    media = read_media(value)
    assert media is not None
    assert (media.name, media.parameters) == (name, parameters)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "json",
        "a/b/c",
        "a b/c",
        "application/json, text/plain",
        "a/b; x",
        "a/b; x=",
        'a/b; x="y',
        'a/b; x="y"z',
        "a/b; x=1; X=2",
        "a/b; x=y z",
        "a/" + "b" * 2000,
    ],
)
def test_what_is_malformed_is_no_type(value: str | None) -> None:
    assert read_media(value) is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("application/json", "json"),
        ("application/problem+json; a=b", "json"),
        ("application/x-www-form-urlencoded", "form"),
        ("multipart/form-data; boundary=x", "multipart"),
        ("text/html", "text"),
        ("application/xml", "text"),
        ("image/svg+xml", "text"),
        ("image/png", ""),
        ("multipart/mixed; boundary=x", ""),
    ],
)
def test_kinds_of_bodies(value: str, kind: str) -> None:
    media = read_media(value)
    assert media is not None
    kinds = [name for name in ("json", "form", "multipart", "text") if getattr(media, f"is_{name}")]
    assert kinds == ([kind] if kind else [])
