"""Every example is run, and does what it says of itself.

An example tells in its comments what becomes of requests, and a service that echoes them
stands where its upstreams are:

    #> METHOD TARGET [Field: value; ...] <<body>> -> STATUS code {Field: part} ~ text

code: of the error envelope. {Field: part}: of the response, and a part of its value. text:
a part of the body. In upstreams 127.0.0.1:3000 is that service, and so is what ends in
`.internal`; at 127.0.0.1:3002 nobody listens. Files below /tls/ are of an authority of the
tests' own.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

import pytest

from proxy.config.yaml_source import read_file
from tests.integration.certificates import Authority
from tests.integration.client import Answer, ask, request
from tests.integration.gateway import running
from tests.integration.origins import aiohttp_app
from tests.integration.ports import free_port

FOLDER: Final = Path(__file__).parents[2] / "config"
EXAMPLES: Final = sorted(
    [
        *(f"policies/{path.stem}" for path in (FOLDER / "policies").glob("*.yaml")),
        "gateway", "limits", "sidecar",
    ]
)  # fmt: skip
# Services, as the examples call them. The Redis of one is nowhere: no name server is asked for it.
REDIS: Final = re.compile(r"(?<=redis://)[\w.-]+:\d+")
SERVICES: Final = re.compile(
    r"https?://[\w.-]+\.internal(?::\d+)?|unix:/run/files\.sock|http://127\.0\.0\.1:3000"
)
TRIED: Final = re.compile(
    r"#> (?P<method>[A-Z]+) (?P<target>\S+)(?: \[(?P<fields>.*?)\])?(?: <<(?P<body>.*?)>>)? *"
    r"-> (?P<status>\d+)(?: (?P<code>\w+))?(?: \{(?P<field>[^:]+): (?P<part>.*?)\})?"
    r"(?: ~ (?P<text>.+))?"
)


async def tried(url: str, line: re.Match[str], tls: ssl.SSLContext | None) -> Answer:
    """The answer to what one line of an example asks."""
    fields = dict(field.split(": ", 1) for field in (line["fields"] or "").split("; ") if field)
    body = line["body"].encode() if line["body"] is not None else None
    if line["method"] == "POST" and body is None:
        body = b""
    data = request(line["method"], line["target"], body, **fields)
    if "Host" in fields:
        data = data.replace(b"Host: service.test\r\n", b"", 1)
    return await ask(url, data, tls=tls)


@pytest.mark.parametrize("name", EXAMPLES)
async def test_it_does_what_it_says(name: str, tmp_path: Path) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    tls = None
    if "/tls/" in text:
        authority = Authority(tmp_path)
        for file, path in zip(("tls.crt", "tls.key"), authority.issue("IP:127.0.0.1"), strict=True):
            (tmp_path / file).write_bytes(path.read_bytes())
        tls = authority.client()
        text = text.replace("/tls/", f"{tmp_path}/")
    lines = [line for line in text.splitlines() if line.startswith("#>")]
    assert lines, f"{name}.yaml tells of no request what becomes of it"
    async with aiohttp_app() as service:
        text = SERVICES.sub(service, text)
        text = text.replace("127.0.0.1:3002", f"127.0.0.1:{free_port()}")
        text = REDIS.sub(f"127.0.0.1:{free_port()}", text)
        (tmp_path / "example.yaml").write_text(text, encoding="utf-8")
        # As Sidegate reads it: to others `on` is a way to say true.
        config = read_file(tmp_path / "example.yaml", {}).data
        for upstream in config.get("upstreams", {}).values():
            if isinstance(upstream, dict) and isinstance(upstream.get("endpoints"), list):
                # All of them are the one service.
                upstream["endpoints"] = list(dict.fromkeys(upstream["endpoints"]))
        server = config.setdefault("server", {})
        listen = server.get("listen", "http").partition(":")[0]
        server |= {"listen": [f"{listen}://127.0.0.1:0"], "drain": {"timeout": "1s"}, "workers": 1}
        config.pop("admin", None)
        async with running(config, tmp_path) as gateway:
            for line in lines:
                asked = TRIED.fullmatch(line)
                assert asked is not None, f"{line!r} can't be read"
                answer = await tried(gateway.url, asked, tls)
                assert answer.status == int(asked["status"]), (line, answer)
                if asked["code"]:
                    assert answer.error == asked["code"], (line, answer)
                if asked["field"]:
                    value = answer.headers.get(asked["field"].lower())
                    assert value is not None, (line, answer)
                    assert asked["part"].strip() in value, (line, answer)
                if asked["text"]:
                    assert asked["text"] in answer.body.decode(), (line, answer)
