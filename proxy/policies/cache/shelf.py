"""Where stored responses stand in the trove: one under each key, or several that differ by
what requests say in the fields of Vary (RFC 9111, 4.1)."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from proxy.contract import Trove
from proxy.http1.headers import Headers
from proxy.policies.cache.entry import Entry, Signpost, Unshared
from proxy.policies.cache.validation import named
from proxy.policies.cache.vary import favourite_language, for_language, selection

_OTHERS_MAX: Final = 8
# A longer text of what a request says is kept as its hash.
_SAID_MAX: Final = 64
_CHOICES_MAX: Final = 4


class Place(NamedTuple):
    """Where the answer to a request stands, or would stand.

    key: of the place. item: what stands there. differs: there are answers to others, who
    said something else in the fields of Vary.
    """

    key: str
    item: Entry | Unshared | None
    differs: bool = False


class Shelf:
    """The responses in a trove. variants: most of them under one key."""

    def __init__(self, trove: Trove, variants: int) -> None:
        self._trove = trove
        self._variants = variants
        self.find = trove.find

    def place(self, key: str, asked: Headers) -> Place:
        """Where the answer to a request of this key and these fields is."""
        item = self.find(key)
        if not isinstance(item, Signpost):
            return Place(key, item if isinstance(item, (Entry, Unshared)) else None)
        item.visits = min(item.visits + 1, 3)
        favourite = favourite_language(asked)
        for names in item.choices:
            own = variant_key(key, names, asked)
            found = self.find(own)
            if found is None and favourite and "accept-language" in names:
                other = item.languages.get(for_language(names, asked, favourite))
                found = None if other is None else self.find(other)
            if isinstance(found, (Entry, Unshared)):
                return Place(found.key, found)
        return Place(variant_key(key, item.choices[0], asked), None, True)

    def others(self, key: str) -> tuple[Entry, ...]:
        """The latest responses of a key, whoever they are for, that can be told by their ETags."""
        post = self.find(key)
        variants = reversed(post.variants) if isinstance(post, Signpost) else ()
        found = [item for item in map(self.find, variants) if isinstance(item, Entry)]
        return tuple([entry for entry in found if named(entry)][:_OTHERS_MAX])

    def put(self, key: str, entry: Entry, asked: Headers) -> bool:
        """Keep an entry under the key of its URL, or of its variant; False if it is too heavy.

        key: of the URL. asked: the fields of the request that it answers.
        """
        names = entry.terms.vary
        present = self.find(key)
        if not names:
            if isinstance(present, Signpost):
                for other in present.variants:
                    self._trove.remove(other, "replaced")
            return self._trove.put(entry)
        signpost = self._signpost(key, entry.url, names)
        signpost.variants.pop(entry.key, None)
        signpost.variants[entry.key] = None
        while len(signpost.variants) > self._variants:
            oldest, _ = signpost.variants.popitem(last=False)
            self._trove.remove(oldest, "variants")
        language = (entry.headers.get("content-language") or "").strip().lower()
        if language and "," not in language and "accept-language" in names:
            signpost.languages[for_language(names, asked, language)] = entry.key
            if len(signpost.languages) > self._variants:
                del signpost.languages[next(iter(signpost.languages))]
        return self._trove.put(entry)

    def announce(self, key: str, url: str, names: tuple[str, ...]) -> None:
        """A response that depends on these fields is on its way."""
        if names:
            self._signpost(key, url, names)

    def mark_unshared(self, place: str, url: str, until: float) -> None:
        """What would stand in a place can't be kept; nobody is to wait for it."""
        self._trove.put(Unshared(place, url, until))

    def remove(self, place: str, reason: str) -> None:
        """Take away what stands in a place."""
        self._trove.remove(place, reason)

    def _signpost(self, key: str, url: str, names: tuple[str, ...]) -> Signpost:
        present = self.find(key)
        if isinstance(present, Signpost):
            if not present.choices or present.choices[0] != names:
                others = tuple(other for other in present.choices if other != names)
                present.choices = (names, *others)[:_CHOICES_MAX]
            return present
        signpost = Signpost(key, url)
        signpost.choices = (names,)
        self._trove.put(signpost)
        return signpost


def variant_key(key: str, names: tuple[str, ...], asked: Headers) -> str:
    """The key of the response to a request that says this in the fields of Vary."""
    if not names:
        return key
    said = selection(names, asked)
    if len(said) > _SAID_MAX:
        said = blake2b(said.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{key}\n{','.join(names)}\n{said}"
