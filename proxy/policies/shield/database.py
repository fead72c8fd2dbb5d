"""Rules: SQL injection."""

from __future__ import annotations

from typing import Final

from proxy.policies.shield.rule import EVERYWHERE, PARAMETERS, TERSE, VALUES, Rule

_GAP: Final = r"[\s()+~!@-]*"
_NUMBER: Final = r"(?:0x[0-9a-f]+|-?\d+(?:\.\d+)?)"
_QUOTED: Final = r"(?:n?'[^']*'?|\"[^\"]*\"?)"
_LITERAL: Final = rf"(?:{_NUMBER}|{_QUOTED}|null|true|false)"
_NAME: Final = r"[a-z_@`\[][\w.$@`\]]*"
_COMPARE: Final = r"(?:=|<=>|<>|!=|<|>|\blike\b|\brlike\b|\bregexp\b|\bglob\b|\bis\b|\bdiv\b)"
_JOIN: Final = rf"(?:\b(?:or|and|xor|having|where|when|rlike|regexp)\b|\|\||&&)(?:{_GAP}not\b)*"
_END: Final = r"(?:--|#|/\*|;|\x00|$)"
# Functions that applications seldom put into text, and attacks always.
_FUNCTION: Final = (
    r"(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|load_file|ascii|ord|mid|substr"
    r"|substring"
    r"|elt|make_set|exp|floor|gtid_subset|json_keys|polygon|multipoint|linestring|row_count|iif"
    r"|randomblob|generate_series|dbms_\w+\.\w+"
    r"|utl_\w+\.\w+|ctxsys\.\w+|xmltype|xp_\w+|sp_\w+|char|chr|nchar|concat"
    r"|concat_ws|group_concat|string_agg|cast|convert|version|database|schema|user|current_user"
    r"|system_user|session_user|if|ifnull|nullif|isnull|coalesce|count|length|len|char_length"
    r"|hex|unhex|md5|sha1|rand|random|power|sqrt|exists|select|lower|upper|like|unlike|quote"
    r"|left|right|instr|position|regexp_\w+|bin|conv|decode|greatest|least|sum|max|min|avg"
    r"|getsetting|uuid_to_bin|parse_data_size|json|now|sysdate|row)"
)
_SELECT: Final = (
    r"select\b[\s(!]*(?:all\b|distinct\b|top\s+\d+)?[\s(!]*"
    r"(?:null|\d|['\"@*~!-]|0x|if\b|case\b|count\b|char\b|chr\b|concat|group_concat|version\b"
    r"|database\b|user\b|current_|load_file|sleep|benchmark|pg_sleep|unhex|hex|cast|convert"
    r"|ascii"
    r"|sysdate|now\b|utl_|dbms_|[\w.`\[\]$]+\s*(?:,\s*[\w.`'\"(@*]+\s*(?:,|\bfrom\b|--|#|/\*|\("
    r"|\)|$)|\(|\bfrom\b|--|#|;|\)|$))"
)
_STATEMENT: Final = (
    r"(?:drop\s+(?:table|database|schema|view|user|index|procedure|function)\b"
    r"|truncate\s+table\b"
    r"|delete\s+from\b|insert\s+into\b|update\s+[\w.`\[\]]+\s+set\b|alter\s+(?:table|user"
    r"|login)\b"
    r"|create\s+(?:table|user|function|or\s+replace|alias)\b|exec(?:ute)?\s*\(?\s*(?:master|xp_"
    r"|sp_|immediate|['@])"
    r"|declare\s+@\w+\s|waitfor\s+delay|shutdown\s*(?:--|;|$|with\b)|grant\s+(?:all|select"
    r"|insert|dba|connect)\b"
    r"|call\s+\w+\s*\(|copy\s+\w+\s+(?:to|from)\b|set\s+@\w+"
    r"|select\s+(?:[(*@'\"\d]|\w+\s*(?:\(|,|\bfrom\b))|if\s*\(|begin\s+(?:if|declare|exec|dbms)"
    r"|while\s*[(\d]|commit\s*(?:--|;|$)|into\s+(?:out|dump)file|attach\s+database)"
)
# What goes on behind an expression that the attack has closed.
_CONDITION: Final = (
    rf"{_JOIN}{_GAP}(?:"
    rf"{_LITERAL}[\s)]*{_COMPARE}"
    rf"|{_NAME}[\s)]*{_COMPARE}[\s(]*(?:{_LITERAL}|{_FUNCTION}\s*\(|\()"
    rf"|{_NAME}[\s)]*(?:not\s+)?(?:in\s*\(|between\s+[\w'\"(]+\s+and\b|is\s+(?:not\s+)?null\b)"
    rf"|{_FUNCTION}\s*\("
    r"|(?:case\s+when|exists\b|select\b)"
    rf"|{_LITERAL}[\s)]*(?:{_END}|limit\s+\d)"
    rf"|{_NUMBER}\s*(?:[*+/%^|&-]|\bin\b|\bbetween\b)"
    r"|row\s*\()"
)
_STRONG_CALL: Final = (
    r"(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|exp|load_file|ascii|ord|elt|make_set"
    r"|mid|substring"
    r"|gtid_subset|json_keys|randomblob|regexp_\w+|dbms_\w+\.\w+|utl_\w+\.\w+|getsetting"
    r"|uuid_to_bin"
    r"|parse_data_size|json|char|chr|row|polygon|multipoint|linestring|like|xmltype|ctxsys\.\w+"
    r"|concat)"
)
# The same where no quote has shown that something was closed: nothing that prose could say.
_LITERAL_CONDITION: Final = (
    rf"{_JOIN}{_GAP}(?:{_NUMBER}[\s)]*(?:=|<>|!=|<|>|like\b|in\b){_GAP}"
    rf"(?:{_NUMBER}|{_QUOTED}|{_FUNCTION}\s*\(|select\b|case\s+when)"
    rf"|{_QUOTED}[\s)]*(?:=|<>|!=|<|>|like\b)[\s(]*(?:['\"]|{_FUNCTION}\s*\()"
    rf"|{_STRONG_CALL}\s*\(|{_SELECT}|exists\s*\(\s*select|case\s+when\b)"
)
_ONWARD: Final = (
    rf"(?:{_CONDITION}"
    rf"|union{_GAP}(?:all|distinct)?{_GAP}select\b"
    rf"|;{_GAP}{_STATEMENT}"
    r"|(?:order|group)\s+by\s+(?:\d+|[\w.`]+\s*(?:--|#|,))"
    r"|having\s+[\d'\"(]"
    r"|limit\s+\d+\s*(?:,|--|#|offset|into)"
    r"|procedure\s+analyse"
    r"|into\s+(?:out|dump)file"
    r"|(?:not\s+)?(?:between\s+[\w'\"(]+\s+and\b|in\s*\(\s*(?:select|['\"\d])|like\s+['\"%])"
    r"|is\s+(?:not\s+)?null\b"
    r"|waitfor\s+delay"
    r"|in\s+boolean\s+mode"
    r"|as\s+\w+\s+where\b"
    r"|collate\s+\w+)"
)
_CALL: Final = (
    r"(?:sleep|benchmark|pg_sleep|extractvalue|updatexml|load_file|exp|gtid_subset|json_keys"
    r"|cast"
    r"|convert|char|chr|version|database|user|if|ascii|substr|substring|count|case\s+when|row"
    r"|(?:dbms|utl)_\w+\.\w+|ctxsys\.\w+|xmltype|randomblob|concat|elt|make_set)"
)
_MATH: Final = (
    rf"(?:(?:\|\||[*/+^&|%=<>-]+|div\b|mod\b)[\s(]*(?:{_SELECT}|{_CALL}\s*\(|@@|case\s+when)"
    rf"|,[\s(]*(?:\(\s*{_SELECT}|(?:sleep|benchmark|extractvalue|updatexml|gtid_subset"
    r"|json_keys|elt|make_set|iif)\s*\(|case\s+when|begin\b))"
)
# Whatever may close the expression that a value stands in.
_CLOSED: Final = r"[\s)'\"\]`}>$*/]*"

SQL_INJECTION: Final[tuple[Rule, ...]] = (
    # Behind the first quote of the value.
    Rule("sqli.string", 5, rf"\A[^']*'[\s)]*{_ONWARD}", EVERYWHERE),
    Rule("sqli.string_double", 5, rf"\A[^\"]*\"[\s)]*{_ONWARD}", VALUES),
    Rule("sqli.string_math", 5, rf"\A[^']*'[\s)]*{_MATH}", EVERYWHERE),
    Rule("sqli.string_string", 5,
         r"\A[^'\s]*'[\s)]*(?:=|<>|!=|like\b|\|\||\bdiv\b)[\s(]*'", VALUES),
    Rule("sqli.string_comment", 5,
         r"\A[^'\s]*'[\s)]*(?:--[\s+-]|--$|#|/\*|;\s*(?:--|#|$|\x00))", VALUES),
    Rule("sqli.string_comment_double", 5,
         r"\A[^\"\s]*\"[\s)]*(?:--[\s+-]|--$|#\s*$|/\*|;\s*(?:--|#|\x00))", VALUES),
    Rule("sqli.statement", 5, rf"\A[^'\";]*['\")\d]?[\s)]*;{_GAP}{_STATEMENT}", TERSE),
    # Behind a number, or a word that stands for a name of a column or a sort order.
    Rule("sqli.number", 5,
         rf"\A[\s(+~-]*\d[\w.]*(?:\s*[|^&]\s*\d+)*{_CLOSED}(?:{_ONWARD})", EVERYWHERE),
    Rule("sqli.number_math", 5, rf"\A[\s(+~-]*\d[\w.]*{_CLOSED}{_MATH}", EVERYWHERE),
    Rule("sqli.word", 5,
         rf"\A\s*[\w.-]*{_CLOSED}(?:{_LITERAL_CONDITION}|union\s+(?:all\s+"
         rf"|distinct\s+)?{_SELECT}"
         r"|procedure\s+analyse|order\s+by\s+\d+\s*(?:--|#|/\*|,\s*\d)|waitfor\s+delay\s+['\"(]"
         r"|(?:[,;|^&%*/+-])\s*\(\s*(?:select|case\s+when)\b|;\s*select\s+[\w(*@'\"]+)",
         EVERYWHERE),
    Rule("sqli.tail", 5,
         r"(?:\)\s*as\s+\w+\s+where\s+\d+\s*=|\bin\s+boolean\s+mode\s*\)"
         r"|`\s*=\s*`[^`]*`\s*(?:and|or)\b"
         rf"|\)+\s*(?:and|or|rlike)\s*\(*\s*(?:{_NUMBER}|{_QUOTED})\s*(?:=|<|>"
         rf"|like\b){_GAP}(?:{_NUMBER}|{_QUOTED}|select\b))", EVERYWHERE),
    Rule("sqli.select", 5, rf"\A[\s(]*\(\s*{_SELECT}", PARAMETERS | {"path"}),
    Rule("sqli.call", 5,
         r"\A[\s(+,-]*(?:if|case|sleep|benchmark|pg_sleep|extractvalue|updatexml|gtid_subset"
         r"|json_keys|row)\s*\(.*"
         r"(?:sleep|benchmark|select|concat)\s*\(", PARAMETERS),
    Rule("sqli.choice", 5,
         r"\A[\s(+,-]*(?:make_set|elt|iif|if|case\s+when|case)[\s(]*\d+\s*(?:=|<|>|\bwhen\b|\bthen\b)",
         PARAMETERS),
    Rule("sqli.derived", 4,
         r"\bfrom\s*\(\s*select\b[\s(]*(?:!?sleep|count|0|1|null|name)\b", EVERYWHERE),
    Rule("sqli.sleep", 5, r"\A\W*(?:sleep|pg_sleep|benchmark)\s*\(\s*[\d.']+\s*[),]", PARAMETERS),
    Rule("sqli.like", 4, r"\A[^'\"]*['\"]\s*(?:\|\|\s*){0,2}(?:'|\")\s*(?:=|like\b)", VALUES),
    # Words of the trade, wherever they stand.
    Rule("sqli.union", 4, rf"\bunion\s+(?:all\s+|distinct\s+)?\(?\s*{_SELECT}", EVERYWHERE),
    Rule("sqli.union_null", 5,
         r"\bunion\s+(?:all\s+|distinct\s+)?\(?\s*select\s+(?:null|\d+|'[^']*'"
         r"|char\s*\([^)]*\))\s*"
         r"(?:,\s*(?:null|\d+|'|@@|char|concat|version|user|database)|--|#|from\b)", EVERYWHERE),
    Rule("sqli.tautology", 4,
         rf"(?:\bor\b|\band\b|\|\||&&){_GAP}(\d{{1,9}})[\s)]*(?:=|<>|!=|<=>"
         r"|like\b)[\s(]*\d{1,9}(?:[^\d=.]|$)", EVERYWHERE),
    Rule("sqli.tautology_quoted", 4,
         r"(?:\bor\b|\|\||\band\b)[\s(]*(?:'[^']*'\s*=\s*'|\"[^\"]*\"\s*=\s*\")", EVERYWHERE),
    Rule("sqli.schema", 4,
         r"\b(?:information_schema\s*\.\s*(?:tables|columns|schemata|routines)"
         r"|sys(?:objects|columns|databases|logins|users|servers)\s*(?:where|--|\))"
         r"|sqlite_master\b\W"
         r"|pg_catalog\.pg_\w+\W|(?:all|user|dba)_(?:tables|tab_columns|users)\b\W"
         r"|mysql\.user\b\W"
         r"|master\.\.sys\w+\W|from\s+dual\b\W)"),
    Rule("sqli.delay", 4,
         r"\b(?:pg_sleep\s*\(|benchmark\s*\(\s*\d+\s*,|dbms_pipe\.receive_message\s*\("
         r"|(?:and|or|select|if|rlike)\s*[(!\s]*sleep\s*\(\s*\d)", EVERYWHERE),
    Rule("sqli.wait", 5,
         r"\b(?:waitfor\s+delay\s*['\"(]+\s*\d|dbms_(?:lock|session)\.sleep\s*\()", EVERYWHERE),
    Rule("sqli.block", 5,
         r"\A\W*(?:begin|declare)\b.*\b(?:dbms_\w+|utl_\w+|exec(?:ute)?\s+immediate|end\s*;\s*$)",
         PARAMETERS),
    Rule("sqli.leak", 4,
         r"\b(?:extractvalue\s*\(|updatexml\s*\(|load_file\s*\(|into\s+(?:out|dump)file\s*['\"]"
         r"|utl_(?:http|inaddr|file|smtp)\.\w+\W|xp_(?:cmdshell|dirtree|regread|fileexist)\b\W"
         r"|sp_(?:oacreate|executesql|addsrvrolemember)\b\W"
         r"|group_concat\s*\(|concat\s*\(\s*0x[0-9a-f]{2}|load_extension\s*\(|lo_import\s*\("
         r"|xmltype\s*\()", EVERYWHERE),
    Rule("sqli.variable", 3, r"@@(?:version|hostname|datadir|basedir|global|servername|spid)\b"),
    Rule("sqli.bytes", 3,
         r"\bcha?r\s*\(\s*\d{1,3}\s*\)\s*(?:\|\||\+|,|&)\s*cha?r\s*\("
         r"|\bchar\s*\(\s*\d{1,3}(?:\s*,\s*\d{1,3})+\s*\)"),
    Rule("sqli.blind", 4,
         r"\b(?:ascii|ord|substr|substring|mid|length)\s*\(\s*\(?\s*(?:select\b|substr|mid"
         r"|substring|cast|convert|database\(|user\(|version\()", EVERYWHERE),
    Rule("sqli.case", 3, r"\bcase\s+when\s*\(?\s*[\w'\"(]+\s*(?:=|<|>|like\b).*\bthen\b.*\bend\b"),
    Rule("sqli.subquery", 3, rf"(?:=|<|>|\bin|,|\bfrom|\|\||\+|-|\*)\s*\(\s*{_SELECT}"),
    Rule("sqli.quote", 5,
         r"\A[^'\"]*['\"][\s)]*(?:select|union|insert|update|delete|drop|or|and|having|;|--|#)\b",
         VALUES, "strict"),
    Rule("sqli.keywords", 3,
         r"\b(?:select\b.*\bfrom|insert\s+into\b.*\bvalues|delete\s+from|drop\s+table)\b",
         VALUES, "strict"),
)  # fmt: skip
