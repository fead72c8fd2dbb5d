"""What a signature of an attack is: what is looked for in values, how bad it is, and where.

The rule about rules: an attack has to *break out* of where its value is put, and ordinary
text doesn't. A quote ends a string of SQL only if SQL goes on right behind the first one, so
most patterns begin at the beginning of the value or at its first quote, and then score 5,
which alone refuses at the default threshold. Words that merely belong to an attack score
less, and refuse only together. That lets names, prose, Markdown and source code pass.

Patterns are RE2's: no look-around and no back-references, and matching takes time linear in
the text whatever the text is. They see bytes, in any case of letters, with comments of SQL
as blanks (see `content.decoding`). `\\A` and `$` are the ends of a value. No pattern matches
letters, digits and `._~-` alone, but for prototypes: `inspection` passes such values unseen.

May live here: what a rule is. Must not live here: any rule, or how rules are run.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Family = Literal[
    "sqli", "xss", "traversal", "command", "ssrf", "log4shell", "nosql", "crlf", "template", "xxe"
]
Place = Literal["path", "query", "header", "cookie", "form", "json", "text", "file"]
Level = Literal["normal", "strict"]

# Single values, which ordinary applications seldom fill with prose.
TERSE: Final = frozenset({"path", "query", "cookie", "file"})
VALUES: Final = frozenset({"path", "query", "cookie", "form", "json", "text", "file"})
PARAMETERS: Final = frozenset({"query", "cookie", "form", "json"})
EVERYWHERE: Final = VALUES | {"header"}


class Rule(NamedTuple):
    """One signature.

    name: `family.what`. score: 1 to 5. pattern: RE2. places: where values are held against
    it. level: the least that uses it.
    """

    name: str
    score: int
    pattern: str
    places: frozenset[str] = VALUES
    level: Level = "normal"

    @property
    def family(self) -> str:
        """The family that it belongs to."""
        return self.name.partition(".")[0]
