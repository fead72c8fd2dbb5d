"""Fields by which a request names another method than its own, as some frameworks take them.

No RFC knows them. What decides by the method has to know of them, or a POST is a DELETE
behind it. Pure.
"""

from __future__ import annotations

from typing import Final

from proxy.http1.headers import Headers

_FIELDS: Final = ("x-http-method-override", "x-http-method", "x-method-override")


def other_methods(headers: Headers) -> list[str]:
    """The methods that fields name, in capitals; most requests have none."""
    return [
        name.strip().upper()
        for field in _FIELDS
        if (value := headers.get(field)) is not None
        for name in value.split(",")
    ]
