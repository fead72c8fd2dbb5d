"""pydantic's errors become sentences at the right place."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from proxy.config.diagnosis import describe, diagnose
from proxy.config.model import Network
from proxy.config.problems import Path, Place
from proxy.config.units import Duration, Size

MAPPING = 'must be a mapping ("key: value" lines)'


class Pool(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = Field(default=1, ge=1, lt=100)
    wait: Duration = Field(default=1.0, le=60)
    room: Size = Field(default=1024, ge=1024)


class Door(BaseModel):
    off: ClassVar[str] = "{key: null}"
    key: str | None


class Rooms(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rooms: tuple[Pool, ...] = ()


class Root(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = "x"
    on: bool = True
    ratio: float = 0.5
    level: Literal["debug", "info", "warning"] = "info"
    rows: tuple[str, ...] = Field(default=("x",), min_length=1, max_length=2)
    networks: tuple[Network, ...] = ()
    choice: int | Literal["auto"] = "auto"
    pool: Pool = Pool()
    pools: dict[str, Pool] = {}
    spare: Rooms | None = None
    note: str = Field(default="abc", min_length=2, max_length=3)
    door: Door = Door(key="x")
    list: Rooms = Rooms()
    code: str = Field(default="a", pattern="^[a-z]$")

    @field_validator("name")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("'bad' is bad; write good.")
        return value


def found(data: Any) -> list[tuple[str, str]]:
    """Each problem as where it points, and what it says."""

    def place(kind: str) -> Any:
        return lambda path: Place(f"{kind} {path[-1] if path else 'root'}")

    with pytest.raises(ValidationError) as caught:
        Root.model_validate(data)
    problems = diagnose(
        caught.value,
        data,
        Root,
        value_place=place("value"),
        key_place=place("key"),
    )
    return [(problem.place.file, f"{problem.path}: {problem.message}") for _, problem in problems]


@pytest.mark.parametrize(
    ("data", "at", "says"),
    [
        ({"nam": 1}, "key nam", ': unknown key "nam"; did you mean "name"?'),
        ({"pool": {"sizee": 1}}, "key sizee", 'pool: unknown key "sizee"; did you mean "size"?'),
        (
            {"pools": {"a": {"zz": 1, "size": 2}}},
            "key zz",
            'pools.a: unknown key "zz"; known here: room, wait',
        ),
        ({"size": 1}, "key size", ': unknown key "size"; it belongs under pool'),
        ({"name": 1}, "value name", "name: must be text, not the number 1; put it in quotes"),
        ({"name": True}, "value name", "name: must be text, not true; put it in quotes"),
        ({"name": []}, "value name", "name: must be text, not a list"),
        ({"name": None}, "value name", "name: must be text, not null"),
        ({"name": "bad"}, "value name", "name: 'bad' is bad; write good"),
        ({"on": "maybe"}, "value on", 'on: must be true or false, not "maybe"'),
        ({"ratio": "much"}, "value ratio", 'ratio: must be a number, not "much"'),
        ({"pool": {"size": "x"}}, "value size", 'pool.size: must be a whole number, not "x"'),
        (
            {"pool": {"size": 1.5}},
            "value size",
            "pool.size: must be a whole number, not the number 1.5",
        ),
        ({"pool": {"size": 0}}, "value size", "pool.size: must be at least 1, not 0"),
        ({"pool": {"size": 100}}, "value size", "pool.size: must be less than 100, not 100"),
        ({"pool": {"wait": "2m"}}, "value wait", "pool.wait: must be at most 1m, not 2m"),
        ({"pool": {"room": "1B"}}, "value room", "pool.room: must be at least 1KiB, not 1B"),
        (
            {"pool": {"wait": 5}},
            "value wait",
            "pool.wait: a duration needs a unit, such as 5s or 5ms",
        ),
        (
            {"pool": 3},
            "value pool",
            f"pool: {MAPPING}, not the number 3; "
            "known here: room, size, wait",
        ),
        ({"pool": True}, "value pool", f"pool: {MAPPING}, not true; write {{}} for its defaults"),
        ({"pool": "yes"}, "value pool", f'pool: {MAPPING}, not "yes"; write {{}} for its defaults'),
        (
            {"pool": "size:3"},
            "value pool",
            f'pool: {MAPPING}, not "size:3"; '
            'write a blank behind "size:"',
        ),
        (
            {"pool": False},
            "value pool",
            f"pool: {MAPPING}, not false; "
            "known here: room, size, wait",
        ),
        ({"spare": "off"}, "value spare", f'spare: {MAPPING}, not "off"; leave it out for none'),
        (
            {"door": False},
            "value door",
            f"door: {MAPPING}, not false; "
            f"write {{key: null}} for none",
        ),
        ({"door": True}, "value door", f'door: {MAPPING}, not true; it needs "key"'),
        (
            {"rows": {"a": 1}},
            "value rows",
            'rows: must be a list, not a mapping; '
            'begin each of its entries with "- "',
        ),
        (
            {"list": {"room": 1}},
            "key room",
            'list: unknown key "room"; '
            'it belongs under the entries of rooms',
        ),
        ({"pools": []}, "value pools", f"pools: {MAPPING}, not a list"),
        ({"rows": "x"}, "value rows", 'rows: must be a list, not "x"; write [x]'),
        ({"rows": True}, "value rows", "rows: must be a list, not true"),
        ({"ratio": "10%"}, "value ratio", 'ratio: must be a number, not "10%"; write 0.1'),
        ({"note": "a"}, "value note", "note: must have at least 2 characters"),
        ({"note": "abcd"}, "value note", "note: must have at most 3 characters"),
        (
            {"list": {"wait": "1s"}},
            "key wait",
            'list: unknown key "wait"; it belongs under the entries of rooms',
        ),
        (
            {"pools": {"a": {"rooms": []}}},
            "key rooms",
            'pools.a: unknown key "rooms"; did you mean "room"?',
        ),
        (
            {"pool": {"key": "x"}},
            "key key",
            'pool: unknown key "key"; known here: room, size, wait; or does it belong under door?',
        ),
        ({"rows": []}, "value rows", "rows: must have at least 1 entry"),
        ({"rows": ["a", "b", "c"]}, "value rows", "rows: must have at most 2 entries"),
        ({"rows": ["a", []]}, "value 1", "rows[1]: must be text, not a list"),
        (
            {"level": "warn"},
            "value level",
            'level: must be debug, info or warning, not "warn"; did you mean "warning"?',
        ),
        (
            {"networks": ["10.0.0.1/8"]},
            "value 0",
            "networks[0]: 10.0.0.1/8 has host bits set; write 10.0.0.0/8 or 192.0.2.7",
        ),
        (
            {"choice": "x"},
            "value choice",
            'choice: must be a whole number or auto, not "x"',
        ),
        ({"code": "A"}, "value code", 'code: "A" does not match ^[a-z]$'),
    ],
)  # fmt: skip
def test_messages(data: Any, at: str, says: str) -> None:
    assert found(data) == [(at, says)]


def test_all_problems_come_at_once() -> None:
    assert len(found({"nam": 1, "on": "maybe", "pool": {"size": 0, "wait": "x"}})) == 4


def test_a_prefix_says_where_the_data_stands_in_the_file() -> None:
    with pytest.raises(ValidationError) as caught:
        Pool.model_validate({"size": 0})

    def place(path: Path) -> Place:
        return Place(repr(path))

    prefix: Path = ("policies", "x")
    [(path, problem)] = diagnose(
        caught.value, {"size": 0}, Pool, value_place=place, key_place=place, prefix=prefix
    )
    assert path == ("policies", "x", "size")
    assert (problem.place.file, problem.path) == (repr(path), "policies.x.size")


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "null"), (True, "true"), (1.5, "the number 1.5"), ({}, "a mapping"), ((), "a list")],
)
def test_values_in_words(value: object, words: str) -> None:
    assert describe(value) == words


def test_a_long_value_is_cut() -> None:
    assert len(describe("x" * 10_000)) < 70
