"""Rules: addresses inside, look-ups of loggers, operators of databases, injected lines."""

from __future__ import annotations

from typing import Final

from proxy.policies.shield.rule import EVERYWHERE, PARAMETERS, TERSE, VALUES, Rule

_LOCAL: Final = (
    r"(?:localhost|127\.\d|0\.0\.0\.0|0/|0:|\[?::1?\]?(?:[:/]|$)|\[::ffff:|\[?fe80:"
    r"|\[?fd[0-9a-f]{2}:|0x7f|0177\.|017700000001|2130706433|127\.1|"
    r"169\.254\.|instance-data|metadata(?:\.google)?(?:\.internal)?[:/]|metadata\."
    r"|kubernetes\.default|100\.100\.100\.200|"
    r"(?:[\w-]+\.)*(?:nip\.io|xip\.io|sslip\.io|localtest\.me|lvh\.me|vcap\.me"
    r"|burpcollaborator\.net|oastify\.com|interact\.sh|oast\.\w+)|"
    r"0xa9fea9fe|2852039166|\d{8,10}(?:[:/]|$)|0x[0-9a-f]{8})"
)
INTERNAL_TARGETS: Final[tuple[Rule, ...]] = (
    Rule("ssrf.scheme", 5,
         r"\A\s*(?:gopher|dict|tftp|ldaps?|jar:https?|jar|netdoc|file|sftp|smb|rmi|iiop|nis"
         r"|ws?dl|view-source|data:text/html)://", PARAMETERS | {"header"}),
    Rule("ssrf.scheme_file", 5, r"\A\s*(?:url:)?file:/{1,3}", PARAMETERS),
    Rule("ssrf.local", 5,
         rf"\A\s*(?:url:)?(?:https?|ftp)?:?[/\\]{{2,}}(?:[^/?#\s]*@)?{_LOCAL}", PARAMETERS),
    Rule("ssrf.metadata", 5,
         r"(?:169\.254\.169\.254|169\.254\.170\.2|100\.100\.100\.200"
         r"|metadata\.google\.internal)(?:[:/\\]|$)", VALUES - {"text", "path"}),
    Rule("ssrf.private", 3,
         r"\A\s*https?:[/\\]{2}(?:[^/?#\s]*@)?(?:10\.\d|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)",
         PARAMETERS),
    Rule("ssrf.userinfo", 4,
         r"\A\s*https?:[/\\]{2}[^/?#\s]*@(?:[\d.]+|localhost)(?:[:/]|$)", PARAMETERS),
)  # fmt: skip

LOG4SHELL: Final[tuple[Rule, ...]] = (
    Rule("log4shell.lookup", 5, r"\$\{\s*jndi\s*:", EVERYWHERE),
    Rule("log4shell.nested", 5,
         r"\$\{[^}]*\$\{\s*(?:lower|upper|env|sys|java|date|main|ctx|bundle|k8s|docker|web"
         r"|spring|base64|::-|[\w]*:[\w.]*:-)", EVERYWHERE),
    Rule("log4shell.spelled", 5,
         r"\$\{[^}]{0,20}j[^a-z}]{0,40}(?:\}|n)[^}]{0,40}(?:ldap|rmi|dns|iiop|corba|nis)",
         EVERYWHERE),
    Rule("log4shell.far", 5, r"\$\{\s*j\S*(?:ldaps?|rmi|iiop|corba|dns)\S*//", EVERYWHERE),
    Rule("log4shell.default", 5, r"(?:\$\{::-[a-z]\}){2,}", EVERYWHERE),
)  # fmt: skip

_OPERATOR: Final = (
    r"(?:eq|ne|gt|gte|lt|lte|in|nin|regex|where|exists|or|and|nor|not|expr|elemmatch|options"
    r"|type|mod|size|all|text|jsonschema|comment|function|accumulator|lookup|out|merge)"
)
NOSQL_OPERATORS: Final[tuple[Rule, ...]] = (
    Rule("nosql.parameter", 5,
         rf"\[\s*\$?{_OPERATOR}\s*\]|\[\$\w+\]", frozenset({"query", "form", "cookie"}), "strict"),
    Rule("nosql.operator", 5,
         rf"\[\s*['\"]?\$(?:{_OPERATOR})['\"]?\s*\]", frozenset({"query", "form", "cookie"})),
    Rule("nosql.operator_json", 5,
         rf"\A[\w.-]+\[\s*['\"]?\$(?:{_OPERATOR})['\"]?\s*\](?:=[^\s;]*)?$", frozenset({"json"})),
    Rule("nosql.key", 5, rf"\A\${_OPERATOR}$", frozenset({"json", "form", "query"})),
    Rule("nosql.embedded", 5,
         rf"\{{\s*['\"]?\${_OPERATOR}['\"]?\s*:", frozenset({"query", "cookie", "header"})),
    Rule("nosql.embedded_json", 5,
         rf"\A\s*[\[{{](?:[^{{}}]*\{{)?\s*['\"]?\${_OPERATOR}['\"]?\s*:",
         frozenset({"form", "json"})),
    Rule("nosql.javascript", 5,
         r"\A[\w.-]*['\"]?[\s;)]*(?:\|\||&&|;)\s*(?:return\s+(?:(?:true|1|this)\b|['\"\d]\w*['\"]?\s*===?)|this\.\w+\s*(?:=="
         r"|!=|\.match|\.test)|['\"\d]\w*['\"]?\s*(?:===?|!==?)\s*['\"\d])", PARAMETERS),
    Rule("nosql.where", 5,
         r"\A['\"]?\w+['\"]?\s*,\s*['\"]?\$(?:where|expr|function)['\"]?\s*:", PARAMETERS),
    Rule("nosql.call", 5,
         r"\bdb\.(?:getcollection|[a-z_]\w*)\.(?:find|insert|update|remove|drop|aggregate|count"
         r"|deletemany)\w*\s*\(", frozenset({"query", "cookie"})),
    Rule("nosql.call_alone", 5,
         r"\A\W*db\.(?:getcollection\s*\([^)]*\)|[a-z_]\w*)\.(?:drop|remove|deletemany"
         r"|dropdatabase)\s*\([^()]*\)\W*$", frozenset({"form", "json"})),
    Rule("nosql.sleep", 5,
         r"\A[\w.-]*['\"][\s;)|&]*(?:sleep\s*\(\s*\d{3,}\s*\)|while\s*\(\s*(?:true|1)\s*\)"
         r"|var\s+\w+\s*=\s*new\s+date\s*\()", PARAMETERS),
)  # fmt: skip

# A first line that begins no text of people: one word without capitals and colon.
_FIRST_LINE: Final = r"(?-i:\A[^\sA-Z:]*)(?:\r?\n|%0d%0a|%0[ad])+"
LINE_INJECTION: Final[tuple[Rule, ...]] = (
    Rule("crlf.header", 5,
         r"[\r\n]+\s*(?:set-cookie\s*:|location\s*:\s*(?:\w+:|/)|content-(?:type|length|encoding"
         r"|disposition)\s*:|transfer-encoding\s*:|host\s*:\s*[\w-]+\.\w|cookie\s*:"
         r"|refresh\s*:\s*\d|access-control-[\w-]+\s*:|x-[\w-]+\s*:|http/1\.[01]\s)", TERSE),
    Rule("crlf.response", 5,
         r"[\r\n]+\s*(?:set-cookie\s*:\s*\w+=|http/[012](?:\.[019])?\s+\d{3}\b)",
         VALUES - {"text"}),
    Rule("crlf.request", 5,
         r"[\r\n]+(?:get|post|put|delete|head|options)\s+[/h]\S*\s+http/", VALUES - {"text"}),
    Rule("crlf.body", 5, r"\r\n\r\n\s*<", TERSE),
    Rule("crlf.mail", 5, r"[\r\n]+\s*(?:b?cc\s*:\s*\S+@|reply-to\s*:|mime-version\s*:)", TERSE),
    Rule("crlf.header_form", 5,
         rf"{_FIRST_LINE}(?:location\s*:\s*(?:\w+:)?//|content-(?:type|length|encoding)\s*:"
         r"|transfer-encoding\s*:|host\s*:\s*[\w-]+\.\w|cookie\s*:|refresh\s*:\s*\d"
         r"|access-control-[\w-]+\s*:|x-[\w-]+\s*:|http/1\.[01]\s)", frozenset({"form", "json"})),
    Rule("crlf.mail_form", 5,
         r"\A\S+@\S+(?:\r?\n|%0d%0a|%0[ad])+(?:b?cc\s*:\s*\S+@|reply-to\s*:|mime-version\s*:)",
         frozenset({"form", "json"})),
    Rule("crlf.wide", 5, r"(?:\xe5\x98[\x8a\x8d]){2}", VALUES),
)  # fmt: skip
