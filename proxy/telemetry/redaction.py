"""What must never be shown, told by the names that people give to secrets.

May live here: which names and texts are secret, and what stands in their place. Pure.
Redaction errs on the side of hiding: a hidden page number costs a question, a shown
password costs a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final
from urllib.parse import unquote_plus

REDACTED: Final = "…redacted"

# A name is secret when it ends in one of these, without regard to case, dashes, dots and
# underscores: `client_secret`, `X-Auth-Token`, `accessToken`.
_SECRET_ENDINGS: Final = (
    "password", "passwords", "passwd", "passphrase", "secret", "secrets", "token", "tokens",
    "credential", "credentials", "authorization", "cookie", "cookies", "apikey", "apikeys",
    "privatekey", "secretkey", "signingkey", "signingkeys", "encryptionkey", "accesskey",
    "hmackey", "sharedkey", "masterkey", "accountkey", "subscriptionkey", "functionskey",
    "licensekey", "sessionid", "signature", "jwt",
)  # fmt: skip
# A name that is no more than one of these is secret as well, unless its value says which
# part of a request to look at, as `rate_limit.key` does.
_SECRET_NAMES: Final = frozenset({"key", "keys", "auth", "xauth", "pwd", "pass"})
_SELECTOR: Final = re.compile(
    r"(?:client_ip|identity|global|route|host|method|path)"
    r"|(?:header|cookie|query|path|claim)[:.][\w.-]{1,64}"
)
_SELECTING: Final = frozenset({"headers", "cookies", "claims"})
# Options that name cookies, or say what becomes of them. A name is a word, and no cookie's value.
_COOKIE_OPTIONS: Final = frozenset({"cookie", "cookies", "set_cookie"})
_COOKIE_NAME: Final = re.compile(r"(?!(?:.*[0-9]){4})[A-Za-z_][\w.-]{0,31}")
# What is sent along with spans is a credential, whatever the vendor calls it.
_ALL_SECRET: Final = ("tracing", "headers")
# Parameters that list names, and names of files, hold no secret themselves.
_HARMLESS: Final = re.compile(r"(?:^redact_|_(?:file|path|url|uri|header|name|names|ttl|type)$)")
_SHORT: Final = 4
_NAMES_MAX: Final = 1024
_NAME_MAX_LENGTH: Final = 64
_DEPTH_MAX: Final = 32
_PAIRS_MAX: Final = 64

_NOT_NAME: Final = re.compile(r"[^a-z0-9]")
_USER_INFO: Final = re.compile(r"(://)[^/\s?#]*@")
_BEARER: Final = re.compile(r"\b(bearer|basic)[ \t]+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# A JSON Web Token, signed (RFC 7515) or encrypted (RFC 7516): the first part is `{"` in
# base64url, and two or four follow, one if it was cut. With dots as they are, or encoded.
# Parts are looked for first, each once: to try anew at every `eyJ` takes 26 ms for 2 KiB.
_PART: Final = "[A-Za-z0-9_-]"
_CHAIN: Final = rf"(?<!{_PART}){_PART}++(?:(?:\.|%2[Ee]){_PART}*+)++"
_JWT: Final = rf"eyJ{_PART}{{8}}"
_CHAIN_TEXT: Final = re.compile(_CHAIN)
_CHAIN_BYTES: Final = re.compile(_CHAIN.encode("ascii"))
_JWT_TEXT: Final = re.compile(_JWT)
_JWT_BYTES: Final = re.compile(_JWT.encode("ascii"))
_JWT_BEGIN: Final = "eyJ"
_JWT_BEGIN_BYTES: Final = b"eyJ"
_REDACTED_BYTES: Final = REDACTED.encode()
_PRIVATE_KEY: Final = "PRIVATE KEY-----"
_PARTS: Final = re.compile(r"[\[\].]+")
_QUERY: Final = re.compile(r"([?#])([^\s\"'<>?#]+)")
_SEPARATORS: Final = re.compile("([&;])")
# What a value may have in it that holds another parameter, or credentials.
_TELLING: Final = re.compile("[=%@+]")
# What stands before a parameter's name within the value of another, such as a URL to go back to.
_BEFORE_NAME: Final = re.compile(r"[\s?&;#/]")


def is_secret(name: str) -> bool:
    """Whether a header field, an option or a fact of this name holds a secret."""
    lower = name.lower()
    if _HARMLESS.search(lower):
        return False
    plain = _NOT_NAME.sub("", lower)
    return plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)


def redact(value: Any) -> Any:
    """A copy of a configuration in which nothing is secret, of the same shape.

    Values are hidden by the names they stand under, and texts by what they look like:
    users in URLs, credentials after `Bearer`, JSON Web Tokens, private keys, secret query
    parameters.
    """
    return _redact(value, 0, "")


def _redact(value: Any, depth: int, parent: str) -> Any:
    if depth > _DEPTH_MAX:
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return _redact_mapping(value, depth, parent)
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, depth + 1, "") for item in value]
    return value


def _redact_mapping(value: Mapping[Any, Any], depth: int, parent: str) -> dict[str, Any]:
    # `{name: Authorization, value: …}` names a secret in a value.
    named = value.get("name")
    names_secret = isinstance(named, str) and is_secret(named)
    shown: dict[str, Any] = {}
    for name, item in value.items():
        key = redact_text(str(name))
        if item is None or isinstance(item, bool) or item in ("", [], (), {}):
            shown[key] = item
        elif (names_secret and name == "value") or (is_secret(key) and not _selects(key, item)):
            shown[key] = REDACTED
        elif is_secret(key):
            shown[key] = deepcopy(item)
        elif (parent, key) == _ALL_SECRET and isinstance(item, Mapping):
            shown[key] = {redact_text(str(field)): REDACTED for field in item}
        else:
            shown[key] = _redact(item, depth + 1, key)
    return shown


def _selects(name: str, value: object) -> bool:
    """Whether a value tells which part of a request is a key, which cookies are meant, or how
    many keys there are."""
    if name in _COOKIE_OPTIONS:
        return all(isinstance(part, str) and _COOKIE_NAME.fullmatch(part) for part in _parts(value))
    lower = name.lower()
    if lower not in _SECRET_NAMES:
        return False
    if isinstance(value, int):
        return lower == "keys"
    if isinstance(value, Mapping):
        return lower == "key" and all(
            isinstance(names, list | tuple) if part in _SELECTING else part in ("query", "identity")
            for part, names in value.items()
        )
    return all(isinstance(part, str) and _SELECTOR.fullmatch(part) for part in _parts(value))


def _parts(value: object) -> Iterable[object]:
    """The members of a list, or the only value."""
    return value if isinstance(value, list | tuple) and value else [value]


def redact_text(text: str) -> str:
    """A text without the secrets that are recognised by their form."""
    if _PRIVATE_KEY in text:
        return REDACTED
    if "://" in text:
        text = _USER_INFO.sub(rf"\1{REDACTED}@", text)
    if _JWT_BEGIN in text:
        text = _CHAIN_TEXT.sub(_hide_token, text)
    if " " in text or "\t" in text:
        text = _BEARER.sub(rf"\1 {REDACTED}", text)
    return redact_url(text)


def redact_tokens(line: bytes) -> bytes:
    """A finished line of a log without the JSON Web Tokens in it, wherever they stand."""
    if _JWT_BEGIN_BYTES not in line:
        return line
    return _CHAIN_BYTES.sub(_hide_token_bytes, line)


def _hide_token(chain: re.Match[str]) -> str:
    text = chain[0]
    token = _JWT_TEXT.search(text, 0, max(text.rfind("."), text.rfind("%2")))
    return text if token is None else text[: token.start()] + REDACTED


def _hide_token_bytes(chain: re.Match[bytes]) -> bytes:
    line = chain[0]
    token = _JWT_BYTES.search(line, 0, max(line.rfind(b"."), line.rfind(b"%2")))
    return line if token is None else line[: token.start()] + _REDACTED_BYTES


class QueryRedaction:
    """Hides the values of query parameters by name.

    names: the parameters to hide. A parameter counts when its name, or a part of a name
    such as `user[password]`, is one of them or, for those longer than four letters, ends
    in it (`id_token`, `clientSecret`); case, dashes and underscores don't matter, and
    percent-encoding hides nothing. A value is hidden as well when there is such a parameter
    within it, or credentials: `next=%2Fcallback%3Fcode%3Dabc`.
    """

    __slots__ = ("_endings", "_known", "_names")

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(_NOT_NAME.sub("", name.lower()) for name in names) - {""}
        self._endings = tuple(sorted(name for name in self._names if len(name) > _SHORT))
        self._known: dict[str, bool] = {}

    def __call__(self, query: str) -> str:
        """The query as it may be written, cut after 64 parameters; never raises."""
        if ";" in query:
            pieces = _SEPARATORS.split(query, _PAIRS_MAX)
            # Every other piece is a separator.
            pairs, separators = pieces[::2], [*pieces[1::2], ""]
            self._hide(pairs)
            return "".join(map("".join, zip(pairs, separators, strict=True)))
        pairs = query.split("&", _PAIRS_MAX)
        return "&".join(pairs) if self._hide(pairs) else query

    def _hide(self, pairs: list[str]) -> bool:
        known = self._known
        hidden = False
        if len(pairs) > _PAIRS_MAX:
            pairs[_PAIRS_MAX] = "…"
            hidden = True
        for place, pair in enumerate(pairs):
            name, mark, value = pair.partition("=")
            if not mark:
                if _TELLING.search(pair) and self._holds_secret(pair):
                    pairs[place] = REDACTED
                    hidden = True
                continue
            secret = known.get(name)
            if secret is None:
                secret = self._learn(name)
            if secret or (_TELLING.search(value) and self._holds_secret(value)):
                pairs[place] = f"{name}={REDACTED}"
                hidden = True
        return hidden

    def _holds_secret(self, value: str) -> bool:
        plain = unquote_plus(unquote_plus(value)).lower()
        if _USER_INFO.search(plain) or _BEARER.search(plain):
            return True
        pieces = plain.split("=", _PAIRS_MAX)
        names = {_BEFORE_NAME.split(piece)[-1] for piece in pieces[:-1]}
        return len(pieces) > _PAIRS_MAX or any(map(self._is_secret, names))

    def _learn(self, name: str) -> bool:
        # Decoded twice: services behind services sometimes do.
        plain = unquote_plus(unquote_plus(name)).lower()
        secret = self._is_secret(plain)
        if len(name) <= _NAME_MAX_LENGTH and len(self._known) < _NAMES_MAX:
            self._known[name] = secret
        return secret

    def _is_secret(self, name: str) -> bool:
        parts = _PARTS.split(name, _DEPTH_MAX)
        return len(parts) > _DEPTH_MAX or any(map(self._names_secret, (name, *parts)))

    def _names_secret(self, part: str) -> bool:
        plain = _NOT_NAME.sub("", part)
        return plain in self._names or plain.endswith(self._endings)


_SECRET_PARAMETERS: Final = QueryRedaction(("code", "sig", "pwd", *_SECRET_ENDINGS))


def redact_url(text: str, redaction: QueryRedaction = _SECRET_PARAMETERS) -> str:
    """A URL, or a text with URLs in it, without the values of secret parameters."""
    if "?" not in text and "#" not in text:
        return text
    return _QUERY.sub(lambda match: match[1] + redaction(match[2]), text)
