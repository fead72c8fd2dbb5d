"""Rules: files, commands, and what XML can reach."""

from __future__ import annotations

from typing import Final

from proxy.policies.shield.rule import EVERYWHERE, TERSE, VALUES, Rule

_GUARDED_FILE: Final = (
    r"(?:etc[/\\]+(?:passwd|shadow|group|hosts|sudoers|issue|crontab|ssh|mysql|apache2?|nginx"
    r"|environment|hostname|fstab)"
    r"|proc[/\\]+(?:self|version|cpuinfo|\d+|net)|var[/\\]+(?:log|www|lib|run|mail)[/\\]"
    r"|windows[/\\]+(?:win\.ini|system)"
    r"|winnt[/\\]|boot\.ini|win\.ini|system32|web-inf|meta-inf|\.ssh[/\\]|id_rsa|\.aws[/\\]"
    r"|\.git[/\\]|\.env\b|\.htaccess|\.htpasswd"
    r"|wp-config|web\.config|\.bash_history|\.kube[/\\]|\.docker[/\\]|root[/\\]\."
    r"|secrets[/\\]kubernetes)"
)
TRAVERSAL: Final[tuple[Rule, ...]] = (
    Rule("traversal.target", 5, rf"\.\.[/\\].*{_GUARDED_FILE}", EVERYWHERE),
    Rule("traversal.climb", 5, r"\A(?:[\w.,@:%~ -]*[/\\])*(?:\.{2,4};?[/\\]+){2,}\S*\s*$", VALUES),
    Rule("traversal.up", 5, r"(?:\A|[/\\=])\.{2,4};?[/\\]", TERSE),
    Rule("traversal.end", 4, r"[/\\]\.\.\s*$", TERSE | {"form"}),
    Rule("traversal.single", 4, r"\A\.\.[/\\]\S*\s*$", frozenset({"form", "json"})),
    Rule("traversal.absolute", 5,
         rf"\A\s*(?:file:)?(?:[a-z]:)?[/\\]+{_GUARDED_FILE}", VALUES - {"path"}),
    Rule("traversal.probe", 5,
         r"(?:\A|/)(?:etc/(?:passwd|shadow)|proc/self/|\.git/|\.svn/|\.ssh/|\.aws/|\.env$"
         r"|web-inf/)", frozenset({"path"}), "strict"),
    Rule("traversal.wrapper", 5,
         r"\A\s*(?:php://(?:filter|input|fd|memory|temp|stdin|output)|expect://|phar://|zip://"
         r"|compress\.\w+://|glob://|ogg://|rar://|ssh2\.)", VALUES),
    Rule("traversal.nul", 5, r"\x00", VALUES - {"text"}),
    Rule("traversal.mention", 3, r"[\s=:'\"(]/+etc/+(?:passwd|shadow)\b", VALUES),
)  # fmt: skip

_COMMAND: Final = (
    r"(?:sudo\s+)?(?:/(?:usr/|bin/|sbin/|local/)*)?(?:id|whoami|uname|hostname|ifconfig"
    r"|ipconfig|netstat|ps|pwd|ls|dir|cat|tac|more|less"
    r"|head|tail|nl|od|xxd|env|printenv|set|echo|printf|touch|rm|cp|mv|chmod|chown|mkdir|find"
    r"|grep|awk|sed|cut|sort|tee|base64|curl|wget"
    r"|nc|ncat|netcat|telnet|ping6?|nslookup|dig|host|ftp|tftp|scp|ssh|bash|sh|zsh|ksh|dash|csh"
    r"|python[23]?|perl|ruby|php|node|lua|java"
    r"|gcc|sleep|timeout|kill|reboot|shutdown|halt|init|crontab|at|service|systemctl|useradd"
    r"|passwd|su|net|type|powershell|pwsh|cmd|certutil"
    r"|bitsadmin|reg|tasklist|wmic|systeminfo|ver|exit|true|false|test|busybox|socat|xterm"
    r"|export|eval|exec|source)"
)
# Those that are no common words, or hardly begin a sentence behind a semicolon.
_BARE_COMMAND: Final = (
    r"(?:sudo\s+)?(?:/(?:usr/|bin/|sbin/|local/)*)?(?:id|whoami|uname|hostname|ifconfig"
    r"|ipconfig|netstat|ps|pwd|ls|dir|cat|head|tail|nl|xxd"
    r"|env|printenv|echo|printf|touch|rm|cp|mv|chmod|chown|grep|awk|sed|tee|base64|curl|wget|nc"
    r"|ncat|netcat|telnet|ping6?|nslookup|dig"
    r"|tftp|scp|ssh|bash|sh|zsh|ksh|csh|sleep|kill|reboot|crontab|systemctl|useradd|passwd"
    r"|powershell|pwsh|cmd|certutil|bitsadmin|tasklist|wmic|systeminfo|busybox|socat)"
)
_ARGUMENT: Final = r"(?:-{1,2}\w|/|\$|['\"]|\w:\\|https?:)"
_AFTER: Final = r"(?:$|[;|&#<>)'\"`])"
COMMAND_INJECTION: Final[tuple[Rule, ...]] = (
    Rule("command.chain", 5,
         r"\A[\w.,@:%/\\=-]*['\")]*\s*(?:[;|]{1,2}|&&|&|\n"
         rf"|\r)\s*[(]?(?:{_COMMAND})(?:\.exe)?(?:\s*{_AFTER}|\s+(?:{_ARGUMENT}|\d"
         rf"|[\w.-]+\s*{_AFTER}))", TERSE),
    Rule("command.chain_spaced", 5,
         r"\A[^\n'\"]*['\")]*\s*(?:[;|]{1,2}|&&"
         rf"|&)\s*[(]?(?:{_BARE_COMMAND})(?:\.exe)?(?:\s*{_AFTER}|\s+{_ARGUMENT})", TERSE),
    Rule("command.chain_form", 5,
         r"\A[\w.,@:%/\\-]*['\")]*\s*(?:[;|]{1,2}|&&"
         rf"|&)\s*[(]?(?:(?:{_BARE_COMMAND})(?:\.exe)?(?:\s*{_AFTER}|\s+(?:{_ARGUMENT}"
         rf"|[\w.-]+\s*{_AFTER}))|(?:sleep|ping)\s+\d|type\s+\w:\\|(?:python[23]?|perl|ruby|php|node)\s+-)",
         frozenset({"form", "json"})),
    Rule("command.chain_escaped", 5,
         rf"\A[\w.,@:/\\-]*['\")]*(?:%0d|%0a)+(?:{_BARE_COMMAND})(?:\s*{_AFTER}"
         rf"|(?:\s|\+|%20)+(?:{_ARGUMENT}|[\w.-]+\s*{_AFTER}))", frozenset({"form", "json"})),
    Rule("command.substitution", 5,
         rf"\A[^\n]*?(?:\$\(|`|<\(|>\()\s*{_COMMAND}(?:\s+[^`)\n]*)?[`)]", TERSE),
    Rule("command.substitution_only", 5,
         rf"\A[\w.,@:/'\"-]*\$\(\s*{_COMMAND}(?:\s[^)\n]*)?\)[\w.,@:/='\"-]*\s*$",
         frozenset({"form", "json", "header"})),
    Rule("command.tick", 5,
         rf"\A[\w.,@:/='\"-]*`{_COMMAND}\s+[^`\n]{{1,64}}`[\w.,@:/='\"-]*\s*$",
         frozenset({"form", "json"}), "strict"),
    Rule("command.shellshock", 5, r"\A\W*\(\)\s*\{[^}]*;\s*\}\s*;", EVERYWHERE),
    Rule("command.ifs", 5, r"\w\$(?:\{IFS[^}]*\}|IFS(?:\$\d)?)[/\w$-]", EVERYWHERE),
    Rule("command.brace", 5,
         rf"[;|&`(\n]\s*\{{\s*{_COMMAND},[^\s{{}}]+\}}", VALUES - {"text"}),
    Rule("command.reverse", 5,
         r"(?:/dev/(?:tcp|udp)/[\w.]+/\d|\bbash\s+-i\b|\bnc(?:at)?\s+(?:-\w+\s+)*-\w*e\b"
         r"|\bmkfifo\s+/tmp|\bsocket\.socket\(.*subprocess"
         r"|\bpowershell\b.*-e(?:nc\w*)?\s+[a-z0-9+/=]{16})", EVERYWHERE),
    Rule("command.fetch", 4,
         r"\b(?:curl|wget|fetch|lwp-download)\b[^|;&\n]*(?:\||;|&&)\s*(?:sudo\s+)?(?:ba|z|da"
         r"|k)?sh\b", VALUES),
    Rule("command.quoted", 5,
         r"[;|&`(\n]\s*(?:\w+(?:['\"]{1,2}\w+['\"]{1,2}|\\\w)\w*|/(?:\?{1,3}"
         r"|\w\*)/\S*[?*]\S*)\s+(?:/|\$|-)", TERSE),
    Rule("command.php", 4,
         r"(?:<\?(?:php|=)|\b(?:system|passthru|shell_exec|popen|proc_open|pcntl_exec"
         r"|assert)\s*\(\s*(?:['\"$]|base64_decode))", TERSE | {"form"}),
)  # fmt: skip

XML_ENTITIES: Final[tuple[Rule, ...]] = (
    Rule("xxe.entity", 5, r"<!entity\s+(?:%\s*)?[\w.:-]+\s+(?:system|public|['\"])", VALUES),
    Rule("xxe.doctype", 4, r"<!doctype\s+[\w.:-]+\s*(?:\[|system\b)", VALUES),
    Rule("xxe.include", 5, r"<xi:include\b|xmlns:xi\s*=", VALUES),
)  # fmt: skip
