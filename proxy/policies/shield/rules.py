"""All rules there are."""

from __future__ import annotations

from typing import Final

from proxy.policies.shield.database import SQL_INJECTION
from proxy.policies.shield.network import (
    INTERNAL_TARGETS,
    LINE_INJECTION,
    LOG4SHELL,
    NOSQL_OPERATORS,
)
from proxy.policies.shield.rule import Rule
from proxy.policies.shield.script import CROSS_SITE_SCRIPTING, TEMPLATE_INJECTION
from proxy.policies.shield.system import COMMAND_INJECTION, TRAVERSAL, XML_ENTITIES

RULES: Final[tuple[Rule, ...]] = (
    *SQL_INJECTION, *CROSS_SITE_SCRIPTING, *TRAVERSAL, *COMMAND_INJECTION, *INTERNAL_TARGETS,
    *LOG4SHELL, *NOSQL_OPERATORS, *LINE_INJECTION, *TEMPLATE_INJECTION, *XML_ENTITIES,
)  # fmt: skip
