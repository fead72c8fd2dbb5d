"""Policies are found by being there, and their order follows from what they say."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.catalog import Catalog, CatalogError, load_catalog
from proxy.contract import PolicyOptions, PolicySpec, Toolkit


class Nothing:
    """A policy that does nothing."""

    def __init__(self, options: PolicyOptions, toolkit: Toolkit) -> None:
        self.options = options

    async def check(self, request: object) -> None:
        return None


def spec(name: str, after: str = "", before: str = "", *, default: bool = False) -> PolicySpec:
    return PolicySpec(
        name,
        PolicyOptions,
        Nothing,
        after=set(after.split()),
        before=set(before.split()),
        default=default,
    )


class TestOrder:
    """Outermost first; the alphabet decides what the constraints leave open."""

    @pytest.mark.parametrize(
        ("specs", "order"),
        [
            ([], ""),
            ([spec("b"), spec("a")], "a b"),
            ([spec("a", after="b"), spec("b")], "b a"),
            ([spec("a"), spec("b", before="a")], "b a"),
            ([spec("a", after="c"), spec("b", after="a"), spec("c")], "c a b"),
            ([spec("d"), spec("c", after="d"), spec("b"), spec("a", after="d")], "b d a c"),
            ([spec("a", after="gone", before="lost"), spec("b")], "a b"),
            ([spec("a", after="*"), spec("b"), spec("c")], "b c a"),
            ([spec("a", after="*"), spec("b", after="*", before="a"), spec("c")], "c b a"),
        ],
    )
    def test_order(self, specs: list[PolicySpec], order: str) -> None:
        catalog = Catalog.of(specs)
        assert " ".join(catalog.order) == order
        assert tuple(catalog.specs) == catalog.order

    @given(
        st.permutations(list("abcdef")),
        st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    )
    def test_every_constraint_holds_however_the_files_are_found(
        self, found: list[str], pairs: set[tuple[int, int]]
    ) -> None:
        names = "abcdef"
        edges = {(names[min(pair)], names[max(pair)]) for pair in pairs if pair[0] != pair[1]}
        specs = [spec(name, after=" ".join(o for o, i in edges if i == name)) for name in found]
        order = Catalog.of(specs).order
        assert all(order.index(outer) < order.index(inner) for outer, inner in edges)
        assert order == Catalog.of(sorted(specs, key=lambda row: row.name)).order

    @pytest.mark.parametrize(
        ("specs", "circle"),
        [
            ([spec("a", after="a")], "a after a"),
            ([spec("a", after="b"), spec("b", after="a"), spec("c")], "a after b after a"),
            (
                [
                    spec("a", after="b"),
                    spec("b", after="c"),
                    spec("c", after="d", before="b"),
                    spec("d", after="b"),
                ],
                "b after c after d after b",
            ),
        ],
    )
    def test_a_circle_names_its_members(self, specs: list[PolicySpec], circle: str) -> None:
        with pytest.raises(CatalogError) as caught:
            Catalog.of(specs)
        assert str(caught.value) == f"the order of policies runs in a circle: {circle}"

    def test_two_policies_of_one_name(self) -> None:
        with pytest.raises(CatalogError, match='two policies are called "a"'):
            Catalog.of([spec("a"), spec("a")])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A package on disk, to put policies into."""
    folder = tmp_path / "some_policies"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    module = ModuleType("some_policies")
    module.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "some_policies", module)
    return module


def add(package: ModuleType, name: str, text: str) -> None:
    folder = Path(package.__path__[0])
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


GREETING = """
from proxy.contract import PolicyOptions, PolicySpec
POLICY = PolicySpec({name!r}, PolicyOptions, lambda options, toolkit: None)
"""


def test_who_does_not_say_otherwise_stands_inside_of_those_on_by_default() -> None:
    order = Catalog.of(
        [
            spec("yota", default=True),
            spec("zeta", "yota named", default=True),
            spec("inner", "*", default=True),
            spec("alpha"),
            spec("beta", "yota"),
            spec("gamma", before="omega"),
            spec("named"),
            spec("omega"),
            spec("outer", before="named"),
        ]
    ).order
    assert order == (
        "outer", "named", "yota", "zeta", "alpha", "beta", "gamma", "omega", "inner",
    )  # fmt: skip


class TestFinding:
    """Adding a policy is adding its file, or installing its plug-in."""

    def test_modules_and_folders_with_a_policy(self, package: ModuleType) -> None:
        add(package, "zeta.py", GREETING.format(name="zeta"))
        add(package, "alpha/__init__.py", "")
        add(package, "alpha/policy.py", GREETING.format(name="alpha"))
        add(package, "noun.py", "X = 1")
        assert load_catalog(package, plugins=[]).order == ("alpha", "zeta")

    def test_a_folder_without_a_policy_is_named(self, package: ModuleType) -> None:
        add(package, "empty/__init__.py", "")
        with pytest.raises(CatalogError, match=r"some_policies\.empty\.policy can't be imported"):
            load_catalog(package, plugins=[])

    def test_those_that_come_with_sidegate_fit_together(self) -> None:
        catalog = load_catalog(plugins=[])
        assert {"request_id", "error_envelope", "security_headers"} <= set(catalog.order)
        assert all(catalog.specs[name].name == name for name in catalog.order)

    def test_a_plug_in(self, package: ModuleType) -> None:
        point = EntryPoint("greet", f"{__name__}:PLUGIN", "sidegate.policies")
        sys.modules[__name__].PLUGIN = spec("greet")  # type: ignore[attr-defined]
        assert load_catalog(package, plugins=[point]).order == ("greet",)

    @pytest.mark.parametrize(
        ("value", "complaint"),
        [
            ("no_such_module:POLICY", "can't be loaded: ModuleNotFoundError"),
            ("json:NO_SUCH", "can't be loaded: AttributeError"),
            ("json:dumps", "must give a PolicySpec named POLICY, not function"),
        ],
    )
    def test_a_broken_plug_in_is_named(
        self, package: ModuleType, value: str, complaint: str
    ) -> None:
        point = EntryPoint("greet", value, "sidegate.policies")
        with pytest.raises(CatalogError) as caught:
            load_catalog(package, plugins=[point])
        assert str(caught.value).startswith(f'plug-in "greet" ({value})')
        assert complaint in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("1 / 0", "module some_policies.broken can't be imported: ZeroDivisionError"),
            ("POLICY = 3", "must give a PolicySpec named POLICY, not int"),
            (GREETING.format(name="Bad Name"), '"Bad Name" is no policy name'),
            (
                GREETING.format(name="x").replace("x', PolicyOptions", "x', int"),
                "the options of x must derive from PolicyOptions",
            ),
        ],
    )
    def test_a_broken_module_is_named(self, package: ModuleType, text: str, complaint: str) -> None:
        add(package, "broken.py", text)
        with pytest.raises(CatalogError) as caught:
            load_catalog(package, plugins=[])
        sys.modules.pop("some_policies.broken", None)
        assert complaint in str(caught.value)

    def test_a_plug_in_cannot_take_the_name_of_another_policy(self, package: ModuleType) -> None:
        add(package, "greet.py", GREETING.format(name="greet"))
        sys.modules[__name__].PLUGIN = spec("greet")  # type: ignore[attr-defined]
        point = EntryPoint("mine", f"{__name__}:PLUGIN", "sidegate.policies")
        with pytest.raises(CatalogError, match='there is a policy called "greet" already'):
            load_catalog(package, plugins=[point])
