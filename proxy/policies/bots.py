"""Turns away programs that say what they are, and that nobody wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, model_validator

from proxy.config.listing import ONE_OR_MANY
from proxy.contract import PolicyOptions, PolicySpec, Request, Toolkit
from proxy.errors import Refused
from proxy.memo import Memo

Kind = Literal["scanners", "ai", "seo", "libraries"]

# Parts of User-Agent values, in lower case.
_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "scanners": (
        "acunetix", "appscan", "arachni", "burpcollaborator", "censysinspect", "commix", "dirb",
        "dirbuster", "expanseinc", "feroxbuster", "fimap", "fuzz faster u fool", "gobuster",
        "grabber", "havij", "hydra", "interactsh", "jaeles", "jorgee", "l9explore", "masscan",
        "metasploit", "morfeus", "nessus", "netsparker", "nikto", "nmap scripting", "nuclei",
        "openvas", "paros", "qualys", "rapid7", "skipfish", "sqlmap", "sqlninja", "w3af",
        "wapiti", "webinspect", "wfuzz", "whatweb", "wpscan", "zgrab", "zmeu", "zaproxy",
    ),
    "ai": (
        "ai2bot", "amazonbot", "anthropic-ai", "applebot-extended", "bytespider", "ccbot",
        "claudebot", "cohere-ai", "diffbot", "facebookbot", "gptbot", "imagesiftbot",
        "meta-externalagent", "omgili", "perplexitybot", "timpibot", "youbot",
    ),
    "seo": (
        "ahrefsbot", "barkrowler", "blexbot", "dataforseobot", "dotbot", "linkdexbot", "mj12bot",
        "petalbot", "rogerbot", "semrushbot", "seokicks", "serpstatbot", "sistrix",
    ),
    "libraries": (
        "aiohttp/", "apache-httpclient", "axios/", "curl/", "go-http-client", "guzzlehttp",
        "httpx/", "java/", "libwww-perl", "node-fetch", "okhttp", "python-requests",
        "python-urllib", "ruby", "scrapy", "wget/",
    ),
}  # fmt: skip
_MEMORY_MAX: Final = 2048
_LENGTH_MAX: Final = 512


def _agent(text: str) -> str:
    if not text.strip():
        raise ValueError("write a part of the User-Agent; nothing is a part of each")
    return text.lower()


_Agents = Annotated[tuple[Annotated[str, AfterValidator(_agent)], ...], ONE_OR_MANY]


class Options(PolicyOptions):
    """Refuse programs by what they call themselves in `User-Agent`; 403 `bot_refused`.

    It keeps the honest away and the log clean; whoever wants to calls himself a browser.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kinds": ["scanners", "ai"], "allow": ["claudebot"]},
                {"agents": ["badbot"], "nameless": "refuse"},
            ]
        }
    )

    kinds: Annotated[tuple[Kind, ...], ONE_OR_MANY] = ("scanners",)
    """Kinds to refuse: `scanners` that look for holes, `ai` crawlers that train on what they
    read, `seo` crawlers, and plain HTTP `libraries` and command-line tools."""
    agents: _Agents = ()
    """More parts of names to refuse, whatever their case."""
    allow: _Agents = ()
    """Parts of names that are admitted all the same."""
    nameless: Literal["pass", "refuse"] = "pass"
    """Requests without a `User-Agent`, or with an empty one."""

    @model_validator(mode="after")
    def _refuses(self) -> Options:
        if not self.kinds and not self.agents and self.nameless == "pass":
            raise ValueError("nobody to refuse; give `kinds`, `agents` or `nameless: refuse`")
        return self


class Bots:
    """A gate. Names that came lately are remembered, up to a bound."""

    def __init__(self, options: Options, toolkit: Toolkit) -> None:
        refused = {*options.agents, *(part for kind in options.kinds for part in _KINDS[kind])}
        self._refused = _any_of(refused)
        self._admitted = _any_of(options.allow)
        self._nameless = options.nameless == "refuse"
        self._memory: Memo[bytes, bool] = Memo(_MEMORY_MAX)

    def check(self, request: Request) -> None:
        """Raise Refused `bot_refused`."""
        agent = request.headers.raw("user-agent")
        if not agent:
            if self._nameless:
                raise Refused("bot_refused", "The request doesn't name the program that sent it.")
            return
        refused = self._memory.get(agent)
        if refused is None:
            text = agent[:_LENGTH_MAX].decode("latin-1").lower()
            refused = self._refused(text) is not None and self._admitted(text) is None
            if len(agent) <= _LENGTH_MAX:
                self._memory[agent] = refused
        if refused:
            raise Refused("bot_refused")


def _any_of(parts: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    """Finds any of the parts; nothing when there are none."""
    return re.compile("|".join(map(re.escape, sorted(parts))) or r"(?!)").search


POLICY = PolicySpec(
    "bots",
    Options,
    Bots,
    after={"error_envelope", "ip_filter"},
    before={"rate_limit", "cache"},
)
