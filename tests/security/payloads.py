"""What to try a shield with: attacks, and what people and programs really send.

The corpora were written for these tests. Beside them stand two that nobody here wrote: what
sqlmap puts together of its own templates, and the sources and texts of Python's library.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import yaml

CORPORA: Final = Path(__file__).parent / "corpora"

_FILLERS: Final = {
    "[INFERENCE]": "ORD(MID((SELECT IFNULL(CAST(name AS NCHAR),0x20) FROM users),1,1))>64",
    "[SLEEPTIME]": "5",
    "[DELIMITER_START]": "qkvxq",
    "[DELIMITER_STOP]": "qzbpq",
    "[QUERY]": "SELECT USER()",
    "[GENERIC_SQL_COMMENT]": "-- xWqz",
    "[DELAYED]": "BENCHMARK(5000000,MD5('x'))",
    "[SINGLE_QUOTE]": "'",
    "[SPACE_REPLACE]": "q",
    "[COLSTART]": "1",
    "[COLSTOP]": "9",
    "[CHAR]": "NULL",
}


def corpus(name: str) -> dict[str, list[str]]:
    """Texts by family or kind."""
    loaded: dict[str, list[str]] = yaml.safe_load(
        (CORPORA / f"{name}.yaml").read_text(encoding="utf-8")
    )
    return loaded


def sqlmap_values(count: int) -> list[str]:
    """Values that sqlmap would send: its payloads within its boundaries, a sample of them all."""
    spec = importlib.util.find_spec("sqlmap")
    assert spec is not None
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data" / "xml"
    chance = random.Random(1)
    boundaries = [
        (
            row.findtext("prefix") or "",
            row.findtext("suffix") or "",
            _numbers(row, "clause"),
            _numbers(row, "where"),
        )
        for row in ElementTree.parse(data / "boundaries.xml").getroot()
    ]
    values: list[str] = []
    for file in sorted((data / "payloads").glob("*.xml")):
        for test in ElementTree.parse(file).getroot():
            payload = test.findtext("request/payload") or ""
            comment = test.findtext("request/comment") or ""
            if file.stem == "union_query":
                payload = "UNION ALL SELECT NULL,NULL,CONCAT(0x7176,0x41,0x71),NULL"
            clauses, places = _numbers(test, "clause"), _numbers(test, "where")
            for prefix, suffix, clause, where in boundaries:
                if not ("0" in clause | clauses or clause & clauses) or not where & places:
                    continue
                original = chance.choice(["1", "5", "admin", "test", "42", "abc"])
                before = {"1": original, "2": f"-{chance.randint(1000, 9999)}", "3": ""}
                text = before[min(where & places)] + prefix
                text += ("" if prefix.endswith(" ") else " ") + payload + (comment or suffix)
                values.append(_filled(text, original, chance))
    chance.shuffle(values)
    return values[:count]


def _numbers(row: ElementTree.Element, name: str) -> set[str]:
    return set((row.findtext(name) or "").split(","))


def _filled(text: str, original: str, chance: random.Random) -> str:
    text = re.sub(r"\[RANDNUM\d*\]", lambda _: str(chance.randint(1000, 9999)), text)
    text = re.sub(r"\[RANDSTR\d*\]", lambda _: "".join(chance.choices("abcxyzQRS", k=4)), text)
    for name, filler in _FILLERS.items():
        text = text.replace(name, filler)
    return text.replace("[ORIGVALUE]", original).replace("[ORIGINAL]", original)


def library_texts(files: int) -> Iterator[tuple[str, str]]:
    """`prose` and `code` of some modules of Python's library, a paragraph or a function each."""
    folder = Path(os.__file__).parent
    found = sorted([*folder.glob("*.py"), *folder.glob("[a-su-z]*/*.py")])
    chance = random.Random(2)
    chance.shuffle(found)
    for file in found[:files]:
        source = file.read_text(encoding="utf-8", errors="replace")
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        lines = source.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                yield from (
                    ("prose", text) for text in (ast.get_docstring(node) or "").split("\n\n")
                )
            if isinstance(node, ast.FunctionDef):
                code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                if len(code) < 4000:
                    yield "code", code


def table(title: str, rows: list[tuple[Any, ...]]) -> str:
    """Rows under each other, the first of each a label."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            str(cell).ljust(width) if place == 0 else str(cell).rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(["", title, *(f"  {line}" for line in lines)])
