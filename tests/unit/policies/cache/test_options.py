"""The options of the cache, and what is said about wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.policies.cache.options import Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ttl": "soon"}, "is not a duration"),
        ({"ttl_by": [{"type": "css", "ttl": "1m"}]}, "write one as text/css or image/*"),
        ({"ttl_by": [{"type": "text/css;x", "ttl": "1m"}]}, "no media type"),
        ({"ttl_by": [{"path": "static", "ttl": "1m"}]}, "begin with a slash"),
        ({"ttl_by": [{"status": 100, "ttl": "1m"}]}, "greater than or equal to 200"),
        ({"ttl_by": [{"path": "/"}]}, "Field required"),
        ({"jitter": 0.9}, "less than or equal to 0.5"),
        ({"override": True}, "'never', 'freshness' or 'all'"),
        ({"set_cookie": "keep"}, "'explicit', 'never' or 'strip'"),
        ({"purge_method": ["everybody"]}, "not a valid IPv6 network"),
        ({"coalesce": {"timeout": "0"}}, "greater than 0"),
        ({"variants": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Options.model_validate(options)
    assert words in str(raised.value)


def test_single_values_may_stand_for_lists() -> None:
    options = Options.model_validate(
        {
            "ttl_by": [{"type": "image/*", "status": 404, "path": "/a", "ttl": "1m"}],
            "key": {"headers": "X-Tenant", "cookies": "lang", "query": {"ignore": "utm_*"}},
            "purge_method": "10.0.0.0/8",
        }
    )
    assert options.ttl_by[0].type == ("image/*",)
    assert options.key.headers == ("X-Tenant",)
    assert str(options.purge_method[0]) == "10.0.0.0/8"
