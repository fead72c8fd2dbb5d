"""Attacks on the shop, each with a look at whether it worked, not at how it was answered."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from tests.security.attack.shop import SECRET, as_json
from tests.security.payloads import corpus, table

Probe = Callable[["Attacker", str], Awaitable[bool]]


class _Scripts(HTMLParser):
    """Finds whether a page, as a browser reads it, would run something of the attacker's."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.runs = False
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script"
        for name, value in attrs:
            text = "".join((value or "").split()).lower()
            # Some names of attributes come with the slash that parted them.
            if name.lstrip("/").startswith("on") and text:
                self.runs = True
            if text.startswith(("javascript:", "vbscript:", "data:text/html")):
                self.runs = True
            if tag == "script" and name == "src":
                self.runs = True
            if tag in ("iframe", "base") and name in ("srcdoc", "href", "src") and text:
                self.runs = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and _code(data):
            self.runs = True


def _code(script: str) -> bool:
    """Whether a script calls something outside of its strings."""
    bare, quoted, escaped = "", "", False
    for mark in script:
        if escaped:
            escaped = False
        elif quoted:
            if mark == "\\":
                escaped = True
            elif mark == quoted:
                quoted = ""
        elif mark in "'\"":
            quoted = mark
        else:
            bare += mark
    return "alert" in bare or "prompt" in bare


class Attacker:
    """Somebody with a list of payloads. base: where the shop is, or what stands before it."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def get(self, path: str, **fields: str) -> str:
        """The text of an answer; empty for a refusal or an error of the connection."""
        url = URL(self._base + path, encoded=True)
        with contextlib.suppress(aiohttp.ClientError, ValueError):
            async with self._session.get(url, headers=fields) as answer:
                if answer.status < 400:
                    return await answer.text(errors="replace")
        return ""

    async def post(self, path: str, body: bytes, media: str) -> str:
        """As `get`, with a body."""
        headers = {"Content-Type": media}
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.post(self._base + path, data=body, headers=headers) as answer:
                return await answer.text(errors="replace") if answer.status < 400 else ""
        return ""


def _runs(page: str) -> bool:
    parser = _Scripts()
    parser.feed(page)
    parser.close()
    return parser.runs


async def _in_text(attacker: Attacker, payload: str) -> bool:
    return _runs(await attacker.get(f"/hello?name={quote(payload)}"))


async def _in_attribute(attacker: Attacker, payload: str) -> bool:
    return _runs(await attacker.get(f"/attribute?q={quote(payload)}"))


async def _in_script(attacker: Attacker, payload: str) -> bool:
    return _runs(await attacker.get(f"/script?q={quote(payload)}"))


async def _in_link(attacker: Attacker, payload: str) -> bool:
    return _runs(await attacker.get(f"/link?to={quote(payload)}"))


async def _stored(attacker: Attacker, payload: str) -> bool:
    body = f"text={quote(payload)}".encode()
    await attacker.post("/comments", body, "application/x-www-form-urlencoded")
    return _runs(await attacker.get("/comments"))


def _canary(path: str) -> Probe:
    async def probe(attacker: Attacker, payload: str) -> bool:
        return SECRET in await attacker.get(f"{path}{quote(payload, safe='')}")

    return probe


async def _more_rows(attacker: Attacker, payload: str) -> bool:
    """Whether a condition, or another table, was added to the query."""
    answer = await attacker.get(f"/find?name={quote(payload)}")
    return SECRET in answer or answer.count("[") > 2


async def _more_rows_json(attacker: Attacker, payload: str) -> bool:
    body = as_json({"name": payload})
    answer = await attacker.post("/find", body, "application/json")
    return SECRET in answer or (bool(payload.strip("%")) and answer.count("[") > 2)


async def _more_rows_number(attacker: Attacker, payload: str) -> bool:
    answer = await attacker.get(f"/item?id={quote(payload)}")
    return SECRET in answer or answer.count("[") > 2


async def _operator(attacker: Attacker, payload: str) -> bool:
    body = as_json({"user": "admin", "password": {payload: ""}})
    return SECRET in await attacker.post("/login", body, "application/json")


async def _looked_up(attacker: Attacker, payload: str) -> bool:
    return SECRET in await attacker.get("/log", **{"User-Agent": payload})


# Commands that find out a variable of the shell's; nothing else runs there.
_COMMANDS: Final = [
    "; echo $SECRET", "x;echo $SECRET", "x|echo $SECRET", "x||echo $SECRET", "x&echo $SECRET",
    "x && echo $SECRET", "$(echo $SECRET)", "`echo $SECRET`", "x\necho $SECRET",
    "x;echo ${SECRET}", "x; echo \"$SECRET\"", "x;e'c'ho $SECRET", "x;echo $SECRET #",
]  # fmt: skip
_FILES: Final = [
    "../secret.txt", "../public/../secret.txt", "..//secret.txt", "./../secret.txt",
    "../../{0}/secret.txt", "../public/../../{0}/secret.txt",
]  # fmt: skip
_UNION: Final = [
    "x' UNION SELECT name, password, 1 FROM users--",
    "x' union all select 1, name || ':' || password, 3 from users -- -",
    "x'/**/UNION/**/SELECT/**/1,password,3/**/FROM/**/users--",
    "x'UNION SELECT 1,password,3 FROM users;--",
    "x' UNION SELECT 1,(SELECT group_concat(password) FROM users),3--",
    "x' or name like '%",
    "x' or price>'0",
    "x' or not price='7",
    "x'||'' or 1--",
    "x' or id in (1,2,3)--",
    "x' or id between 1 and 9--",
    "x' or exists(select 1 from users) --",
    "x' or length(name) > 1--",
]
_NUMBERS: Final = [
    "1 or 1=1", "1 OR 2>1", "0 or id", "1 or true", "1 union select name, password, 1 from users",
    "-1 union all select 1,password,3 from users--", "1 or id in (1,2)", "1 or price>0",
    "1/**/or/**/1", "1 or not 0", "1|2 or 1", "1 or exists(select 1)", "1 or 'a'='a'",
    "(select 1) or 1", "1 or id between 1 and 3", "1 OR id IS NOT NULL", "1 or id like '%'",
    "case when 1 then id else 0 end",
]  # fmt: skip


def probes(folder: str) -> list[tuple[str, Probe, list[str]]]:
    """Name, probe and payloads of each hole. folder: the name of the shop's own."""
    attacks = corpus("attacks")
    scripts, sql = attacks["xss"], attacks["sqli"]
    return [
        ("SQL, text", _more_rows, [*_UNION, *sql]),
        ("SQL, number", _more_rows_number, [*_NUMBERS, *sql]),
        ("SQL, JSON", _more_rows_json, [*_UNION, *sql]),
        ("script in text", _in_text, scripts),
        ("script in attribute", _in_attribute, scripts),
        ("script in script", _in_script, scripts),
        ("script in link", _in_link, scripts),
        ("script, stored", _stored, scripts),
        ("file", _canary("/file?name="), [text.format(folder) for text in _FILES]),
        ("command", _canary("/ping?host="), _COMMANDS),
        ("operator", _operator, ["$ne", "$gt"]),
        ("address inside", _canary("/fetch?url="), attacks["ssrf"]),
        ("line", _canary("/go?to="), attacks["crlf"]),
        ("look-up", _looked_up, attacks["log4shell"]),
    ]


async def attack(session: aiohttp.ClientSession, base: str, folder: str) -> dict[str, list[str]]:
    """The payloads that worked, by hole."""
    attacker = Attacker(session, base)
    worked: dict[str, list[str]] = {}
    for name, probe, payloads in probes(folder):
        worked[name] = [payload for payload in payloads if await probe(attacker, payload)]
    return worked


def report(directly: dict[str, list[str]], shielded: dict[str, list[str]], folder: str) -> str:
    """A table of how many payloads worked. folder: the name of the shop's own."""
    rows: list[tuple[Any, ...]] = [("hole", "payloads", "directly", "shielded")]
    for name, _, payloads in probes(folder):
        rows.append((name, len(payloads), len(directly[name]), len(shielded[name])))
    return table("Attacks that worked", rows)
