"""What to purge: which of the kept objects are meant. Values and rules, nothing is removed here.

A text that begins with a scheme is matched against whole URLs; one that begins with `//`
against URLs of either scheme; one that begins with `/` against the paths of every host, each
with its query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from proxy.http1.glob import compile_glob

Kind = Literal["url", "prefix", "glob", "tag", "all"]
KINDS: Final[tuple[Kind, ...]] = ("url", "prefix", "glob", "tag", "all")

_TEXT_MAX: Final = 8192
_BEGINNINGS: Final = ("http://", "https://", "/")


@dataclass(frozen=True, slots=True)
class Purge:
    """Which objects are meant.

    text: the URL, prefix, pattern (`*` stops at a slash, `**` doesn't) or tag; empty for
    `all`. soft: they stay, and are asked for anew before they are used again.
    """

    kind: Kind
    text: str = ""
    soft: bool = False

    def __post_init__(self) -> None:
        if self.kind == "all":
            if self.text:
                raise ValueError("`all` takes no text")
        elif not self.text:
            raise ValueError(f"`{self.kind}` is empty; to purge everything say `all`")
        elif len(self.text) > _TEXT_MAX:
            raise ValueError(
                f"`{self.kind}` has {len(self.text)} characters; at most {_TEXT_MAX} go"
            )
        elif self.kind != "tag" and not self.text.startswith(_BEGINNINGS):
            raise ValueError(
                f"`{self.kind}` must begin with http://, https://, // (either of them) or / "
                f"(the path on every host), not {self.text[:40]!r}"
            )

    def selects(self, url: str, tags: Iterable[str]) -> bool:
        """It means an object of this URL and these tags."""
        if self.kind == "all":
            return True
        if self.kind == "tag":
            return self.text in tags
        return _matcher(self.kind, self.text)(url)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs that are meant, where they can be told beforehand."""
        if self.kind != "url" or (self.text.startswith("/") and self.text[1:2] != "/"):
            return ()
        if self.text.startswith("//"):
            return ("http:" + self.text, "https:" + self.text)
        return (self.text,)


def _subject(text: str) -> Callable[[str], str]:
    """What part of a URL a text speaks of."""
    if text.startswith("//"):
        return lambda url: url[url.index(":") + 1 :]
    if text.startswith("/"):
        return lambda url: url[url.index("/", url.index("//") + 2) :]
    return lambda url: url


@lru_cache(maxsize=64)
def _matcher(kind: str, text: str) -> Callable[[str], bool]:
    subject = _subject(text)
    if kind == "url":
        return lambda url: subject(url) == text
    if kind == "prefix":
        return lambda url: subject(url).startswith(text)
    fits = compile_glob(text)
    return lambda url: bool(fits(subject(url)))
