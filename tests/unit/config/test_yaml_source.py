"""YAML to data and places; hostile text is refused within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.problems import Place
from proxy.config.yaml_source import MAX_DEPTH, MAX_NODES, Tree, read_file, read_text


def read(text: str, environ: dict[str, str] | None = None, folder: Path = Path()) -> Tree:
    tree = Tree(Place("f.yaml", 1, 1))
    read_text(text, tree, environ or {}, folder)
    return tree


def complaints(tree: Tree) -> list[str]:
    return [str(problem) for problem in tree.problems]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("", {}),
        ("# only a comment\n", {}),
        ("a: 1\nb: [x, 2, ~]\n", {"a": 1, "b": ["x", 2, None]}),
        ("mode: off\non: yes\n", {"mode": "off", "on": "yes"}),
        ("404: 'x'\ntrue: y\n", {"404": "x", "true": "y"}),
        ("a: '1'\nb: \"${N}\"\nc: ${N}\nd: x${N}\n", {"a": "1", "b": "7", "c": 7, "d": "x7"}),
        ("a: !!str 1\n", {"a": "1"}),
        ("a: &x {k: 1}\nb: *x\n", {"a": {"k": 1}, "b": {"k": 1}}),
        (
            "a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n",
            {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}},
        ),
        ("a: &x {k: 1}\nc: {<<: [*x, {k: 2, m: 3}]}\n", {"a": {"k": 1}, "c": {"k": 1, "m": 3}}),
        ("a: |\n  $$ and ${N}\n", {"a": "$ and 7\n"}),
    ],
)
def test_data(text: str, data: Any) -> None:
    tree = read(text, {"N": "7"})
    assert complaints(tree) == []
    assert tree.data == data


def test_every_key_and_value_has_its_place() -> None:
    tree = read("routes:\n  - name: a\n    match:\n      path: /x\n")
    path = ("routes", 0, "match", "path")
    assert tree.keys[path] == Place("f.yaml", 4, 7)
    assert tree.values[path] == Place("f.yaml", 4, 13)
    assert tree.values["routes", 0] == Place("f.yaml", 2, 5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", 'f.yaml:3:1: a: "a" is given twice, first at 1:1'),
        ("a:\n  k: 1\n  k: 2\n", 'f.yaml:3:3: a.k: "k" is given twice, first at 2:3'),
        ("a: b: c\n", "f.yaml:1:5: not valid YAML: mapping values are not allowed"),
        ("a:\n\tb: 1\n", "f.yaml:2:1: not valid YAML: a tab indents this line; write spaces"),
        ("a:\n  b: 1\n \tc: 1\n", "f.yaml:3:2: not valid YAML: a tab indents this line"),
        ("a:\n  - b\n  -\tc: 1\n", "f.yaml:3:4: not valid YAML: a tab indents this line"),
        ("a: [1, 2\n", "f.yaml:2:1: not valid YAML"),
        ("a: {b: 1\nc: 2\n", "(the bracket at 1:4 isn't closed, or a comma is missing)"),
        ("a: 1\nb: 'x\nc: 1\n", "f.yaml:2:4: not valid YAML: the quote that begins here isn't"),
        ("a: {b: ${X}}\n", 'inside {...} and [...] quote it: "${NAME}"'),
        ("a: *nope\n", "f.yaml:1:4: *nope names no anchor that ends before it; text goes in"),
        ("a: *.example.com\n", '(put quotes around "*..." and "&...")'),
        ("a: &a [*a]\n", "f.yaml:1:8: *a names no anchor that ends before it"),
        ("- a\n", 'f.yaml:1:1: must be a mapping ("key: value" lines), not a list'),
        ("text\n", "not one value"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key must be text"),
        ("a: {<<: 3}\n", 'f.yaml:1:9: a: "<<" takes a mapping'),
        (
            "a: !!python/object/apply:os.system [id]\n",
            "unknown tag !!python/object/apply:os.system",
        ),
        ("a: !env X\n", "f.yaml:1:4: a: unknown tag !env; the only one is !file"),
        ("a: ${NOPE}\n", "f.yaml:1:4: a: the environment has no variable NOPE"),
        ("a: x\x01\n", "f.yaml:1:5: holds a control character"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, complaint: str) -> None:
    found = complaints(read(text))
    assert len(found) == 1
    assert complaint in found[0]


def test_several_problems_of_one_file_are_told_together() -> None:
    assert len(complaints(read("a: ${X}\nb: !x 1\nc: 1\nc: 2\n"))) == 3


class TestFiles:
    """`!file` reads secrets that live beside the configuration."""

    def test_the_last_line_end_is_no_part_of_the_secret(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"s3cret\r\n")
        tree = read("a: !file key\n", folder=tmp_path)
        assert tree.data == {"a": "s3cret"}
        assert tree.files == [tmp_path / "key"]
        assert tree.secrets == {"s3cret"}

    def test_its_path_may_come_from_a_variable(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("1")
        tree = read("a: !file ${DIR}/key\n", {"DIR": str(tmp_path)})
        assert tree.data == {"a": "1"}

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            (None, "cannot be read: No such file or directory"),
            (b"\xff", "is not UTF-8 text"),
            (b"x" * (1024 * 1024 + 1), "is larger than 1MiB"),
        ],
    )
    def test_a_file_that_cannot_be_used(
        self, tmp_path: Path, content: bytes | None, complaint: str
    ) -> None:
        if content is not None:
            (tmp_path / "key").write_bytes(content)
        tree = read("a: !file key\n", folder=tmp_path)
        assert complaint in complaints(tree)[0]
        # A missing file is watched as well: it may appear.
        assert tree.files == [tmp_path / "key"]

    def test_no_path(self) -> None:
        assert "!file needs a path" in complaints(read("a: !file\n"))[0]


class TestBounds:
    """A file can't make its reader use more than it is worth."""

    def test_aliases_of_aliases(self) -> None:
        lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
        for one, two in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{two}: &{two} [" + ", ".join([f"*{one}"] * 10) + "]")
        assert "by its aliases" in complaints(read("\n".join(lines)))[0]

    @pytest.mark.parametrize("empty", ["{}", "{k: v}"])
    def test_merges_of_merges(self, empty: str) -> None:
        lines = [f"a: &a {empty}"]
        for one, two in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{two}: &{two} {{<<: [" + ", ".join([f"*{one}"] * 10) + "]}")
        assert f"more than {MAX_NODES} values" in complaints(read("\n".join(lines)))[0]

    @pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
    def test_depth(self, opening: str) -> None:
        text = "a:\n  " + opening * 5000
        assert f"more than {MAX_DEPTH} levels" in complaints(read(text))[0]

    def test_depth_that_aliases_add(self) -> None:
        lines = ["a: &a [" + "[" * 30 + "]" * 30 + "]", "b: [" + "[" * 30 + "*a" + "]" * 30 + "]"]
        assert f"more than {MAX_DEPTH} levels" in complaints(read("\n".join(lines)))[0]

    def test_number_of_values(self) -> None:
        text = "a: [" + "x," * (MAX_NODES + 1) + "]"
        assert f"more than {MAX_NODES} values" in complaints(read(text))[0]

    def test_size_of_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "f.yaml"
        file.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
        assert complaints(read_file(file, {})) == [f"{file}: is larger than 4MiB"]


class TestReadFile:
    """The file itself may be the problem."""

    def test_a_missing_file(self, tmp_path: Path) -> None:
        file = tmp_path / "f.yaml"
        tree = read_file(file, {})
        assert complaints(tree) == [f"{file}: cannot be read: No such file or directory"]

    def test_a_byte_that_is_not_utf8(self, tmp_path: Path) -> None:
        file = tmp_path / "f.yaml"
        file.write_bytes(b"a: 1\nb: \xff\n")
        assert complaints(read_file(file, {})) == [f"{file}:2:4: is not UTF-8 from here on"]

    def test_a_byte_order_mark_is_passed_over(self, tmp_path: Path) -> None:
        file = tmp_path / "f.yaml"
        file.write_bytes(b"\xef\xbb\xbfa: 1\n")
        assert read_file(file, {}).data == {"a": 1}


@given(st.text(alphabet=st.sampled_from("ab:-[]{},&*!|>'\"%@`#\n\t ?<~$1"), max_size=60))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    tree = read(text)
    assert isinstance(tree.data, dict) or tree.problems
