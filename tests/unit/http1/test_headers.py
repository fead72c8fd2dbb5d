"""Header fields against a plain list of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.http1 import headers as module
from proxy.http1.headers import Defaults, Field, Headers, combined, decode, encode, key_of

FIELDS = [(b"Host", b"a"), (b"X-Y", b"1"), (b"accept", b""), (b"x-y", b"2")]


SORTED = [(b"Host", b"a"), (b"X-Y", b"1"), (b"x-y", b"2"), (b"accept", b"")]


def test_fields_keep_their_order_and_case_and_those_of_a_name_stand_together() -> None:
    headers = Headers(FIELDS)
    assert headers.fields() == SORTED
    assert list(headers.items()) == [("host", "a"), ("x-y", "1"), ("x-y", "2"), ("accept", "")]
    assert list(headers.keys()) == ["host", "x-y", "accept"]
    assert list(headers.lines.values()) == [b"Host: a", b"X-Y: 1\r\nx-y: 2", b"accept: "]
    assert len(headers) == 4


@pytest.mark.parametrize(
    ("key", "value", "each"),
    [
        ("host", "a", ["a"]),
        ("x-y", "1, 2", ["1", "2"]),
        ("accept", "", [""]),
        ("absent", None, []),
        # Look-ups take lower-case names.
        ("X-Y", None, []),
    ],
)
def test_look_up(key: str, value: str | None, each: list[str]) -> None:
    headers = Headers(FIELDS)
    assert headers.get(key) == value
    assert headers.raw(key) == (None if value is None else value.encode())
    assert headers.get_all(key) == each
    assert (key in headers) is (value is not None)


def test_the_default_stands_in_for_an_absent_field_and_not_for_an_empty_one() -> None:
    headers = Headers(FIELDS)
    assert headers.get("absent", "x") == "x"
    assert headers.get("accept", "x") == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("x", b"a, b"), ("cookie", b"a; b"), ("set-cookie", b"a")],
)
def test_values_of_one_name_are_joined_as_that_name_demands(key: str, value: bytes) -> None:
    name = key.encode()
    assert combined(key, name + b": a\r\n" + name + b": b") == value
    assert Headers([(name, b"a"), (name, b"b")]).raw(key) == value


def test_set_puts_one_field_in_the_place_of_the_first() -> None:
    headers = Headers(FIELDS)
    headers.set("X-y", "3")
    assert headers.fields() == [(b"Host", b"a"), (b"X-y", b"3"), (b"accept", b"")]
    assert headers.get("x-y") == "3"
    headers.set("New", "n")
    assert headers.fields()[-1] == (b"New", b"n")


def test_fill_adds_what_is_absent_only() -> None:
    headers = Headers(FIELDS)
    headers.fill(Defaults([(b"X-Y", b"9"), (b"Z", b"z")]))
    assert headers.fields() == [*SORTED, (b"Z", b"z")]
    assert headers.get("z") == "z"


def test_fill_adds_all_where_all_are_absent() -> None:
    headers, defaults = Headers(FIELDS), Defaults([(b"Z", b"z"), (b"Q", b"q")])
    headers.fill(defaults)
    assert headers.fields() == [*SORTED, (b"Z", b"z"), (b"Q", b"q")]
    headers.set("Z", "other")
    assert Headers().copy().fields() == []
    assert defaults.lines == {"z": b"Z: z", "q": b"Q: q"}
    with pytest.raises(ValueError, match="repeated"):
        Defaults([(b"Z", b"z"), (b"z", b"q")])


def test_add_line_is_append_with_a_finished_line() -> None:
    headers = Headers(FIELDS)
    headers.add_line("x-y", b"X-Y: 3")
    headers.add_line("z", b"Z: z")
    assert headers.fields() == [
        (b"Host", b"a"), (b"X-Y", b"1"), (b"x-y", b"2"), (b"X-Y", b"3"), (b"accept", b""),
        (b"Z", b"z"),
    ]  # fmt: skip
    assert (headers.get("x-y"), headers.get("z")) == ("1, 2, 3", "z")


def test_drop_takes_several_names_at_once() -> None:
    headers = Headers(FIELDS)
    headers.drop(frozenset({"x-y", "absent"}))
    assert headers.fields() == [(b"Host", b"a"), (b"accept", b"")]
    headers.drop(frozenset({"absent"}))
    assert headers.fields() == [(b"Host", b"a"), (b"accept", b"")]


def test_remove_says_whether_there_was_one() -> None:
    headers = Headers(FIELDS)
    assert headers.remove("x-y") is True
    assert headers.remove("x-y") is False
    assert headers.fields() == [(b"Host", b"a"), (b"accept", b"")]


def test_a_copy_is_independent_both_ways() -> None:
    headers = Headers(FIELDS)
    twin = headers.copy()
    twin.set("Host", "b")
    headers.remove("accept")
    assert headers.get("host") == "a"
    assert twin.get("accept") == ""


def test_taken_over_lines_are_used_as_they_are() -> None:
    headers = Headers.of({"a": b"A: 1"})
    headers.add("a", "2")
    assert headers.get("a") == "1, 2"


@given(st.binary())
def test_any_bytes_come_back_as_they_came(value: bytes) -> None:
    assert encode(decode(value)) == value


def test_names_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    memory: dict[bytes, str] = {}
    monkeypatch.setattr(module, "_KEYS", memory)
    for number in range(5000):
        assert key_of(b"X-%d" % number) == f"x-{number}"
    assert len(memory) < 5000
    memory.clear()
    assert key_of(b"X" * 30_000) == "x" * 30_000
    assert not memory


NAMES = st.sampled_from(["A", "a", "B", "b", "Cookie", "Set-Cookie", "set-cookie"])
VALUES = st.sampled_from(["", "1", "2", "\u00e9", "\udcff"])
KEYS = st.sampled_from(["a", "b", "cookie", "set-cookie"])


class AsAList(RuleBasedStateMachine):
    """Whatever is done to the fields, they are those of a list sorted by names."""

    def __init__(self) -> None:
        super().__init__()
        self.headers = Headers()
        self.fields: list[Field] = []

    def _without(self, *keys: str) -> list[Field]:
        return [field for field in self.fields if field[0].decode().lower() not in keys]

    @rule(name=NAMES, value=VALUES)
    def add(self, name: str, value: str) -> None:
        self.headers.add(name, value)
        key = name.lower()
        places = [at for at, field in enumerate(self.fields) if field[0].decode().lower() == key]
        place = places[-1] + 1 if places else len(self.fields)
        self.fields.insert(place, (name.encode(), encode(value)))

    @rule(name=NAMES, value=VALUES)
    def set(self, name: str, value: str) -> None:
        self.headers.set(name, value)
        same = [field for field in self.fields if field not in self._without(name.lower())]
        place = self.fields.index(same[0]) if same else len(self.fields)
        before = len(
            [field for field in self.fields[:place] if field in self._without(name.lower())]
        )
        self.fields = self._without(name.lower())
        self.fields.insert(before, (name.encode(), encode(value)))

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        assert self.headers.remove(key) is (self._without(key) != self.fields)
        self.fields = self._without(key)

    @rule(keys=st.frozensets(KEYS))
    def drop(self, keys: frozenset[str]) -> None:
        self.headers.drop(keys)
        self.fields = self._without(*keys)

    @rule(name=NAMES, value=VALUES)
    def fill(self, name: str, value: str) -> None:
        key = name.lower()
        self.headers.fill(Defaults([(name.encode(), encode(value))]))
        if self._without(key) == self.fields:
            self.fields.append((name.encode(), encode(value)))

    @rule()
    def go_on_with_a_copy(self) -> None:
        self.headers = self.headers.copy()

    @invariant()
    def fields_are_those_of_the_list(self) -> None:
        assert self.headers.fields() == self.fields
        assert len(self.headers) == len(self.fields)
        for key in ("a", "b", "cookie", "set-cookie"):
            values = [value for name, value in self.fields if name.decode().lower() == key]
            assert self.headers.get_all(key) == [decode(value) for value in values]
            assert (key in self.headers) is bool(values)
            joined = {"cookie": b"; ".join(values), "set-cookie": b"".join(values[:1])}
            expected = joined.get(key, b", ".join(values)) if values else None
            assert self.headers.raw(key) == expected


TestAsAList = AsAList.TestCase
