"""The reference of policies and settings, made from the docstrings and types of their options.

The first paragraph of an options class says what the policy does; the docstring under each
field says what it sets. Nothing of it is written a second time.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml
from pydantic import BaseModel

from proxy.catalog import Catalog
from proxy.config.model import Config
from proxy.config.problems import meant
from proxy.config.shape import (
    fields_of,
    is_mapping,
    is_model,
    item_type,
    key_of,
    shorthand_of,
    unwrap,
)
from proxy.contract import PolicySpec
from proxy.runtime.notation import default_of, kind_of

_WIDTH: Final = 88


def summary(catalog: Catalog) -> str:
    """One line for each policy, outermost first."""
    width = max((len(name) for name in catalog.order), default=0)
    lines = ["Policies, in the order in which a request meets them; * is on by default.", ""]
    for name in catalog.order:
        spec = catalog.specs[name]
        mark = "*" if spec.default else " "
        lines.append(f"{mark} {name:<{width}}  {first_line(spec)}")
    lines += ["", "`sidegate policies NAME` tells the options of one."]
    return "\n".join(lines) + "\n"


def first_line(spec: PolicySpec) -> str:
    """What a policy does, in one line."""
    return _description(spec).partition("\n")[0] or "(no description)"


def policy_text(spec: PolicySpec) -> str:
    """The reference of one policy for a terminal."""
    lines = [spec.name, "=" * len(spec.name), "", *_wrapped(_description(spec)), ""]
    lines += _facts(spec)
    lines += _listed(_options(spec.options))
    examples = [_example(spec, example) for example in _examples(spec)]
    if examples:
        lines += ["", "Example" if len(examples) == 1 else "Examples"]
        for example in examples:
            lines += ["", *(f"    {line}" for line in example.splitlines())]
    return "\n".join(lines) + "\n"


def policy_markdown(spec: PolicySpec) -> str:
    """The reference of one policy as a section of Markdown."""
    lines = [f"### {spec.name}", "", _description(spec), "", *_facts(spec), ""]
    lines += _table("option", _options(spec.options))
    for example in _examples(spec):
        lines += ["", "```yaml", _example(spec, example).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def markdown(catalog: Catalog) -> str:
    """The whole reference as Markdown, outermost policy first."""
    return "\n".join(policy_markdown(catalog.specs[name]) for name in catalog.order)


def settings_text(name: str = "") -> str:
    """The reference of all settings for a terminal, or of those below one, such as
    `upstreams.breaker`: what the user names may be left out of it. Raises ValueError."""
    settings = list(_options(Config))
    wanted = _plain(name)
    found = [
        one
        for one in settings
        if not wanted or _plain(one[0]) == wanted or _plain(one[0]).startswith(f"{wanted}.")
    ]
    if not found:
        known = {_plain(key) for key, *_ in settings}
        raise ValueError(f'unknown setting "{name}"{meant(name, known)}')
    return "\n".join(_listed(found)).removeprefix("\n") + "\n"


def settings_markdown() -> str:
    """The whole reference of settings as Markdown, a section for each part of the file."""
    settings = list(_options(Config))
    sections: list[str] = []
    for part in fields_of(Config):
        inner = [one for one in settings if _plain(one[0]).split(".")[0] == part]
        about = " ".join(inner[0][3].split())
        rows = inner[1:] or inner
        sections.append("\n".join([f"### {part}", "", about, "", *_table("setting", rows)]) + "\n")
    return "\n".join(sections)


def _plain(key: str) -> str:
    return key.replace("[]", "").replace(".*", "").replace(".NAME", "").strip(".")


def _listed(options: Iterable[tuple[str, str, str, str]]) -> list[str]:
    lines: list[str] = []
    for key, kind, default, description in options:
        lines += ["", f"{key}: {kind}{_default(default)}"]
        lines += textwrap.wrap(description, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return lines


def _table(head: str, options: Iterable[tuple[str, str, str, str]]) -> list[str]:
    lines = [f"|{head}|type|default|what it does|", "|-|-|-|-|"]
    for key, kind, default, description in options:
        shown = default if default in ("required", "see below", "absent") else f"`{default}`"
        cells = [f"`{key}`", kind, shown, " ".join(description.split())]
        lines.append("|" + "|".join(cell.replace("|", "\\|") for cell in cells) + "|")
    return lines


def _description(spec: PolicySpec) -> str:
    return inspect.cleandoc(spec.options.__doc__ or "")


def _wrapped(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if lines:
            lines.append("")
        # Lists and indented blocks keep their lines.
        if any(line.startswith((" ", "-", "*")) for line in paragraph.splitlines()):
            lines += paragraph.splitlines()
        else:
            lines += textwrap.wrap(paragraph, _WIDTH)
    return lines


def _facts(spec: PolicySpec) -> list[str]:
    facts = ["On by default." if spec.default else "Off unless asked for."]
    if spec.shorthand:
        facts.append(
            f"Short form: `{spec.name}: {spec.shorthand.upper()}` sets `{spec.shorthand}`."
        )
    if spec.answers:
        facts.append("It answers by itself; its route needs no upstream.")
    return [" ".join(facts)]


def _options(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and description of each option, nested ones after their parent."""
    names = {key_of(name, info): name for name, info in model.model_fields.items()}
    # `mode` is the same everywhere and comes last.
    fields = sorted(fields_of(model).items(), key=lambda pair: pair[0] == "mode" and not prefix)
    for key, info in fields:
        default = default_of(info, model, names[key])
        shown = "absent" if default == "null" else default
        kind = kind_of(info.annotation, info.metadata)
        inner = unwrap(info.annotation)
        entry = item_type(info.annotation)
        section = inner if is_model(inner) else unwrap(entry) if entry is not None else None
        if section is None or not is_model(section):
            yield f"{prefix}{key}", kind, shown, info.description or ""
            continue
        about = info.description or inspect.cleandoc(section.__doc__ or "")
        if short := shorthand_of(section):
            about += f" Short form: a bare value sets `{short}`."
        yield f"{prefix}{key}", kind, shown, about
        mark = "" if section is inner else ".NAME" if is_mapping(info.annotation) else "[]"
        yield from _options(section, f"{prefix}{key}{mark}.")


def _default(default: str) -> str:
    if default == "required":
        return " (required)"
    return "" if default in ("see below", "absent") else f" (default {default})"


def _examples(spec: PolicySpec) -> list[Any]:
    extra = spec.options.model_config.get("json_schema_extra")
    examples = extra.get("examples", []) if isinstance(extra, dict) else []
    return list(examples) if isinstance(examples, list) else []


def _example(spec: PolicySpec, example: Any) -> str:
    data = {"policies": {spec.name: example}}
    return str(yaml.safe_dump(data, sort_keys=False, width=_WIDTH, allow_unicode=True))
