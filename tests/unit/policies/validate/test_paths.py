"""Templates of paths: concrete ones first."""

from __future__ import annotations

import pytest

from proxy.policies.validate.paths import PathIndex, variables_of

TEMPLATES = [
    "/", "/pets", "/pets/{id}", "/pets/mine", "/pets/{id}/photos/{photo}", "/files/{name}.{ext}",
    "/files/{name}.json", "/pets/{id}:adopt", "/{any}/x",
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "template", "values"),
    [
        ("/", "/", []),
        ("/pets", "/pets", []),
        ("/pets/7", "/pets/{id}", ["7"]),
        ("/pets/mine", "/pets/mine", []),
        ("/pets/7/photos/9", "/pets/{id}/photos/{photo}", ["7", "9"]),
        ("/files/a.png", "/files/{name}.{ext}", ["a", "png"]),
        ("/files/a.json", "/files/{name}.json", ["a"]),
        ("/pets/7:adopt", "/pets/{id}:adopt", ["7"]),
        ("/pets/x", "/pets/{id}", ["x"]),
        ("/a/x", "/{any}/x", ["a"]),
        ("/files/a", None, []),
        ("/pets/", None, []),
        ("/pets/7/", None, []),
        ("/nope", None, []),
        ("//x", None, []),
    ],
)
def test_the_template_of_a_path(path: str, template: str | None, values: list[str]) -> None:
    found = PathIndex([(text, text) for text in TEMPLATES]).find(path)
    assert found == (None if template is None else (template, values))


def test_two_that_are_the_same_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"/a/\{y\} stands for the same as another one"):
        PathIndex([("/a/{x}", 1), ("/a/{y}", 2)])


def test_names_of_variables() -> None:
    assert variables_of("/a/{x}/b/{y}.{z}") == ("x", "y", "z")
