"""Rules: scripts in pages, and expressions in templates."""

from __future__ import annotations

from typing import Final

from proxy.policies.shield.rule import EVERYWHERE, PARAMETERS, TERSE, VALUES, Rule

_HANDLER: Final = (
    r"on(?:abort|activate|after\w+|animation\w+|auxclick|before\w+|begin|blur|bounce|canplay\w*"
    r"|change|click"
    r"|close|contextmenu|copy|cuechange|cut|dblclick|drag\w*|drop|durationchange|end|ended"
    r"|error|focus\w*"
    r"|formdata|fullscreen\w+|gotpointercapture|hashchange|input|invalid|key\w+|load\w*"
    r"|lostpointercapture"
    r"|message|mouse\w+|offline|online|page\w+|paste|pause|play\w*|pointer\w+|popstate|progress"
    r"|ratechange"
    r"|ready\w*|repeat|reset|resize|scroll\w*|search|seek\w+|select\w*|show|stalled|start"
    r"|storage|submit"
    r"|suspend|timeupdate|toggle|touch\w+|transition\w+|unhandledrejection|unload|volumechange"
    r"|waiting"
    r"|webkit\w+|wheel|finish|propertychange|readystatechange|rowenter|cellchange)"
)
_SCRIPT_CALL: Final = (
    r"(?:alert|confirm|prompt|eval|fetch|print|settimeout|setinterval|function|import|require"
    r"|atob"
    r"|document|window|location|self|top|parent|this|globalthis|console|string|fromcharcode"
    r"|xmlhttprequest"
    r"|new|constructor)"
)
# Browsers drop blanks and line ends inside a scheme.
_SCHEME: Final = r"(?:j\s*a\s*v\s*a|v\s*b|l\s*i\s*v\s*e)\s*s\s*c\s*r\s*i\s*p\s*t\s*:"
CROSS_SITE_SCRIPTING: Final[tuple[Rule, ...]] = (
    Rule("xss.script", 5, r"<\s*/?\s*(?:\w+:)?script(?:[\s/>]|$)", EVERYWHERE),
    Rule("xss.handler", 5, rf"<[a-z!/?%][^>]*[\s/\"'`\x0c]{_HANDLER}\s*=", EVERYWHERE),
    Rule("xss.handler_any", 4, r"<[a-z!/?%][^>]*[\s/\"'`\x0c]on[a-z]{3,24}\s*=", EVERYWHERE),
    Rule("xss.attribute", 5,
         rf"\A[^<>]*[\"'`][\s/]+(?:[\w-]+(?:\s*=[^<>]*)?[\s/\"']+)?{_HANDLER}\s*=\s*\S",
         EVERYWHERE),
    Rule("xss.attribute_bare", 5,
         rf"\A[^<>\"'=]*[\s/]?{_HANDLER}\s*=\s*[\"'`]?\s*(?:javascript:"
         rf"|{_SCRIPT_CALL}\s*[(`.\[])", VALUES),
    Rule("xss.scheme", 5, rf"\A[\s\x00-\x1f]*{_SCHEME}[^\s]", EVERYWHERE),
    Rule("xss.scheme_inside", 5, rf"(?:=|\(|url\(|[\"'])[\"'`\s]*{_SCHEME}", EVERYWHERE),
    Rule("xss.scheme_call", 4,
         rf"\b(?:javascript|vbscript):[\t\r\n]*(?:/[/*]|void\b|{_SCRIPT_CALL}\s*[(`.\[])",
         EVERYWHERE),
    Rule("xss.data", 5,
         r"(?:\A\s*|[\"'=(]\s*)data:[^,]*(?:text/html|image/svg|text/xml|application/xhtml"
         r"|javascript)", EVERYWHERE),
    Rule("xss.active", 5,
         r"<\s*(?:(?:object|embed|applet|frame|bgsound|layer|ilayer|portal)\b[^>]*[\s/](?:data"
         r"|src|code|classid|codebase|type)\s*=|base\b[^>]*[\s/]href\s*=|isindex\b[^>]*="
         r"|(?:animate\w*|set)\b[^>]*[\s/](?:attributename|to|values|onbegin)\s*=)", EVERYWHERE),
    Rule("xss.frame", 4, r"<\s*iframe\b", EVERYWHERE),
    Rule("xss.frame_source", 3,
         r"<\s*iframe\b[^>]*(?:srcdoc\s*=|src\s*=\s*[\"'`]?\s*(?:javascript|data|vbscript|//"
         r"|http:|blob))", EVERYWHERE),
    Rule("xss.meta", 5,
         r"<\s*meta\b[^>]*http-equiv\s*=\s*[\"']?\s*(?:refresh|set-cookie|content-security|link)",
         EVERYWHERE),
    Rule("xss.style", 5,
         r"(?:<\s*style\b[^>]*>|style\s*=).*(?:expression\s*\(|@import|-moz-binding|behavior\s*:"
         r"|javascript:)", EVERYWHERE),
    Rule("xss.link", 5,
         r"<\s*link\b[^>]*\bhref\s*=\s*[\"']?(?:javascript|data|http:|//)", EVERYWHERE),
    Rule("xss.svg", 3, r"<\s*(?:svg|math)\b", EVERYWHERE),
    Rule("xss.form", 4,
         r"<\s*(?:form|button|input|isindex|textarea)\b[^>]*\b(?:formaction"
         r"|action)\s*=\s*[\"']?(?:javascript|data|http:|//)", EVERYWHERE),
    Rule("xss.string", 5,
         rf"\A[^']*'[\s)\]}}]*[;+*/,&|^%<>=?:-]+[\s(]*(?:{_SCRIPT_CALL}\s*[(`.\[=]|\[)",
         TERSE | {"form", "header"}),
    Rule("xss.string_double", 5,
         rf"\A[^\"]*\"[\s)\]}}]*[;+*/,&|^%<>=?:-]+[\s(]*(?:{_SCRIPT_CALL}\s*[(`.\[=]|\[)",
         TERSE | {"form", "header"}),
    Rule("xss.string_json", 5,
         r"\A[\w\s.-]*['\"][\s)\]}]*[;+*/,&|^%-]+[\s(]*(?:alert|confirm|prompt|eval|fetch"
         r"|document\.|window\.|location\b)\s*[(`=.\w]", frozenset({"json"})),
    Rule("xss.string_end", 4,
         r"\A[^<]*</(?:textarea|title|style|noscript|template|xmp|iframe|noembed|select"
         r"|option)\s*>\s*<", EVERYWHERE),
    Rule("xss.call", 5,
         r"\A\W*(?:alert|confirm|prompt)\s*(?:\(|`|\.(?:call|apply|bind))", PARAMETERS),
    Rule("xss.escape", 4, r"\\(?:u\{?00)?(?:x|u00)3c\s*/?script", EVERYWHERE),
    Rule("xss.obscured", 4, r"(?:\[\]|\(!\[\]|\+\[\]|!\+\[\])[\[\]()!+]{12,}", EVERYWHERE),
    Rule("xss.sink", 4,
         r"\b(?:document\.(?:cookie|write(?:ln)?|domain|location)|window\.(?:location|name|open)"
         r"|(?:inner|outer)html|localstorage|eval\s*\(\s*atob"
         r"|string\.fromcharcode)\b\s*[=(+\[,;)]", TERSE | {"header"}),
    Rule("xss.tag", 3, r"<[a-z!/?][\w:-]*(?:[\s/][^<]*)?>", TERSE, "strict"),
)  # fmt: skip

TEMPLATE_INJECTION: Final[tuple[Rule, ...]] = (
    Rule("template.arithmetic", 5,
         r"(?:\{\{|\$\{|#\{|<%=|@\(|\*\{|\{\{=|\[\[)\s*['\"]?\d+['\"]?\s*[*+-]\s*['\"]?\d+['\"]?"
         r"\s*(?:\}\}|\}|%>|\)|\]\])", EVERYWHERE),
    Rule("template.object", 5,
         r"(?:\{\{|\{%|\$\{|#\{|<%[=\s]|\*\{|<#assign\b)[^}\n]*(?:__class__|__globals__|__mro__"
         r"|__subclasses__|__import__|__builtins__|constructor\s*\(|\bconstructor\.constructor"
         r"|\[[\'\"]constructor|getruntime|processbuilder|java\.lang|t\(java|freemarker"
         r"|execute['\"]\s*\?\s*new|_self\.env|lipsum|cycler|self\.__|config\.items"
         r"|request\.application|\$on\.|\$eval)", EVERYWHERE),
    Rule("template.call", 5,
         r"<%=?\s*(?:system|exec|eval|io\.popen|file\.(?:open|read)|dir\.|`)|\{/?php\}", VALUES),
    Rule("template.prototype", 5,
         r"(?:\A|[\[.'\"])__proto__(?:\]|['\"]|\[|\.|$)[^\w]?",
         frozenset({"query", "form", "json", "cookie"})),
    Rule("template.constructor", 5,
         r"\A[\w.\[\]]*\bconstructor(?:\]?\[|\.)prototype(?:[.\[\]][\w.\[\]]*)?$",
         frozenset({"query", "form", "json"})),
    Rule("template.ognl", 5,
         r"(?:%|\$|#)\{[^}]*(?:#context|#_memberaccess|@java\.|ognl\.|\(#)", EVERYWHERE),
)  # fmt: skip
