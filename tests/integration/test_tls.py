"""TLS on the client's side: real handshakes, by the standard library, openssl and sslyze."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from websockets.asyncio.client import connect

from tests.integration.certificates import Authority, Pair
from tests.integration.client import Answer, CutShort, ask, connected, request, until
from tests.integration.command import command
from tests.integration.gateway import Gateway, before, completed, running
from tests.integration.load import services, under_load
from tests.integration.origins import Holding, aiohttp_app
from tests.integration.process import process

HELLO: Final = {"routes": [{"name": "all", "policies": {"respond": {"status": 201}}}]}
# With TLS 1.3 a client learns only after its own part of the handshake.
REFUSED: Final = (ssl.SSLError, ConnectionError, CutShort)
# Of Mozilla's intermediate profile.
CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def local(authority: Authority) -> Pair:
    """A certificate for this machine's loopback address."""
    return authority.issue("IP:127.0.0.1")


def serving(*pairs: Pair, **tls: Any) -> dict[str, Any]:
    """A `server` section with these certificates."""
    certificates = [pair.config for pair in pairs]
    return {"listen": ["https://127.0.0.1:0"], "tls": {"certificates": certificates, **tls}}


def s_client(port: int, *options: str) -> str:
    """What `openssl s_client` says of a handshake."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *options],
        input="",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


async def handshake(gateway: Gateway, *options: str) -> str:
    return await asyncio.to_thread(s_client, gateway.port, *options)


async def test_requests_are_served_and_the_service_is_told(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    async with aiohttp_app() as service:
        config = {"server": serving(local), "upstreams": {"service": service}}
        async with running(config, tmp_path) as gateway:
            answer = await ask(gateway.url, request(), tls=authority.client())
            assert answer.status == 200
            told = dict(answer.json["headers"])
            assert (told["X-Forwarded-Proto"], told["X-Forwarded-Port"]) == (
                "https",
                str(gateway.port),
            )


async def test_bodies_stream_both_ways(authority: Authority, local: Pair, tmp_path: Path) -> None:
    size = 5_000_000
    async with aiohttp_app() as service:
        config = {"server": serving(local), "upstreams": {"service": service}}
        async with (
            running(config, tmp_path) as gateway,
            connected(gateway.url, tls=authority.client()) as wire,
        ):
            await wire.send(request("POST", "/upload", bytes(size)))
            assert (await wire.answer()).json == {"received": size}
            for query in ("", "&chunked"):
                await wire.send(request("GET", f"/download?size={size}{query}"))
                assert len((await wire.answer()).body) == size


async def test_a_client_that_leaves_is_nothing_to_warn_of(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    held = Holding()
    async with before(held, tmp_path, server=serving(local)) as (_, gateway):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.port, ssl=authority.client(), server_hostname="127.0.0.1"
        )
        writer.write(request())
        await until(lambda: held.asked == 1)
        # An ordinary end: both sides say that they have no more to say.
        writer.close()
        await writer.wait_closed()
        [line] = await gateway.lines()
        assert line["aborted"] == "client_closed"
    told = [json.loads(line) for line in (tmp_path / "sidegate.log").read_text().splitlines()]
    assert [line["event"] for line in told if line["level"] != "info"] == []


async def test_web_sockets(authority: Authority, local: Pair, tmp_path: Path) -> None:
    async with services() as target:
        config = {**target.config, "server": serving(local)}
        async with running(config, tmp_path) as gateway:
            url = gateway.url.replace("https", "wss") + "/socket"
            async with connect(url, ssl=authority.client()) as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"


async def test_certificates_are_chosen_by_name(authority: Authority, tmp_path: Path) -> None:
    pairs = [
        authority.issue("DNS:first.test", subject="/CN=first"),
        authority.issue("DNS:*.wild.test", subject="/CN=wild"),
        authority.issue("DNS:exact.wild.test", subject="/CN=exact"),
    ]
    async with running({**HELLO, "server": serving(*pairs)}, tmp_path) as gateway:
        for name, expected in [
            ("first.test", "first"),
            ("FIRST.test", "first"),
            ("a.wild.test", "wild"),
            ("exact.wild.test", "exact"),
            ("a.b.wild.test", "first"),
            ("unknown.test", "first"),
            ("", "first"),
        ]:
            option = ["-servername", name] if name else ["-noservername"]
            assert f"subject=CN = {expected}\n" in await handshake(gateway, *option)
        client = authority.client()
        answer = await ask(gateway.url, request(), tls=client, name="a.wild.test")
        assert answer.status == 201


async def test_each_client_gets_the_kind_of_key_it_can_use(
    authority: Authority, tmp_path: Path
) -> None:
    pairs = [authority.issue("DNS:a.test"), authority.issue("DNS:a.test", key="rsa:2048")]
    async with running({**HELLO, "server": serving(*pairs)}, tmp_path) as gateway:
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"):
            told = await handshake(gateway, "-tls1_2", "-cipher", cipher)
            assert f"Cipher is {cipher}" in told


@pytest.mark.parametrize(
    ("minimum", "version", "spoken"),
    [
        ("1.2", "-tls1_3", True),
        ("1.2", "-tls1_2", True),
        ("1.2", "-tls1_1", False),
        ("1.3", "-tls1_3", True),
        ("1.3", "-tls1_2", False),
    ],
)
async def test_old_versions_are_not_spoken(
    minimum: str, version: str, spoken: bool, local: Pair, tmp_path: Path
) -> None:
    config = {**HELLO, "server": serving(local, min_version=float(minimum))}
    async with running(config, tmp_path) as gateway:
        # Some builds of openssl offer old versions only at the lowest level.
        told = await handshake(gateway, version, "-cipher", "DEFAULT@SECLEVEL=0")
        assert ("Verification" in told and "Cipher is (NONE)" not in told) is spoken


async def test_an_attackers_scan_finds_nothing(authority: Authority, tmp_path: Path) -> None:
    """By sslyze, with both kinds of keys."""
    pairs = [authority.issue("DNS:a.test"), authority.issue("DNS:a.test", key="rsa:2048")]
    out = tmp_path / "scan.json"
    scans = "sslv2 sslv3 tlsv1 tlsv1_1 tlsv1_2 tlsv1_3 compression heartbleed openssl_ccs robot "
    scans += "reneg fallback ems"
    with process({**HELLO, "server": serving(*pairs)}, tmp_path) as sidegate:
        await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable, "-m", "sslyze", *(f"--{scan}" for scan in scans.split()),
                "--mozilla_config=disable", "--quiet", f"--json_out={out}",
                f"127.0.0.1:{sidegate.port}",
            ],
            check=True,
            timeout=300,
        )  # fmt: skip
    [server] = json.loads(out.read_text(encoding="utf-8"))["server_scan_results"]
    found = {name: scan["result"] for name, scan in server["scan_result"].items() if scan["result"]}
    ciphers = {
        name: {suite["cipher_suite"]["name"] for suite in scan["accepted_cipher_suites"]}
        for name, scan in found.items()
        if name.endswith("cipher_suites")
    }
    for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert ciphers[f"{old}_cipher_suites"] == set()
    assert ciphers["tls_1_2_cipher_suites"] == CIPHERS
    assert len(ciphers["tls_1_3_cipher_suites"]) == 3
    assert not found["tls_compression"]["supports_compression"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    renegotiation = found["session_renegotiation"]
    assert not renegotiation["is_vulnerable_to_client_renegotiation_dos"]
    assert renegotiation["supports_secure_renegotiation"]
    assert found["tls_extended_master_secret"]["supports_ems_extension"]


@pytest.mark.parametrize("workers", [1, 2])
async def test_files_that_are_replaced_are_used_without_loss(
    workers: int, authority: Authority, tmp_path: Path
) -> None:
    first, second = authority.issue("IP:127.0.0.1"), authority.issue("IP:127.0.0.1")
    pair = Pair(tmp_path / "tls.crt", tmp_path / "tls.key")

    def use(other: Pair) -> None:
        drafts = [mine.with_suffix(".draft" + mine.suffix) for mine in pair]
        for draft, theirs in zip(drafts, other, strict=True):
            draft.write_bytes(theirs.read_bytes())
        # At once, as the proxy looks at them when it likes.
        for draft, mine in zip(drafts, pair, strict=True):
            draft.replace(mine)

    def shown(port: int) -> bytes:
        pem = ssl.get_server_certificate(("127.0.0.1", port))
        return ssl.PEM_cert_to_DER_cert(pem)

    use(first)
    async with services() as target:
        config = {**target.config, "server": {**serving(pair), "workers": workers}}
        with process(config, tmp_path) as sidegate:
            before = await asyncio.to_thread(shown, sidegate.port)
            async with under_load(lambda: sidegate.url, tls=authority.client()) as load:
                use(second)
                await asyncio.to_thread(sidegate.lines, "configuration reloaded")
                await load.more(50)
                after = await asyncio.to_thread(shown, sidegate.port)
                assert after != before
                # One that can't be used changes nothing.
                pair.key.write_bytes(first.key.read_bytes())
                sidegate.tell(signal.SIGHUP)
                [line] = await asyncio.to_thread(
                    sidegate.lines, "configuration not reloaded; the old one goes on"
                )
                assert "key values mismatch" in line["problems"][0]
                await load.more(50)
                assert await asyncio.to_thread(shown, sidegate.port) == after
            assert (load.statuses, load.closed) == ({200}, 0)
            assert target.requests == load.answered


async def certified(
    gateway: Gateway, authority: Authority, pair: Pair | None, **fields: str
) -> Answer:
    return await ask(gateway.url, request("GET", "/", **fields), tls=authority.client(pair))


async def test_required_certificates(authority: Authority, local: Pair, tmp_path: Path) -> None:
    mine = authority.issue("DNS:client.test")
    (tmp_path / "other").mkdir()
    strangers = Authority(tmp_path / "other").issue("DNS:client.test")
    tls = {"client": {"ca_file": str(authority.ca_file)}}
    async with running({**HELLO, "server": serving(local, **tls)}, tmp_path) as gateway:
        assert (await certified(gateway, authority, mine)).status == 201
        for pair in (None, strangers):
            with pytest.raises(REFUSED):
                await certified(gateway, authority, pair)
        lines = await gateway.lines("connection refused", 2)
        assert [line["peer"] for line in lines] == ["127.0.0.1"] * 2
        assert [line["reason"] for line in lines] == [
            "TLS: peer did not return a certificate",
            "TLS: unable to get local issuer certificate",
        ]
        assert (await gateway.metrics())["sidegate_connections_refused_total"] == 2


async def test_what_certificates_say_reaches_policies_and_services(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    shop = authority.issue(
        "URI:spiffe://example.org/ns/shop/web", "DNS:web.test", subject="/O=Example/CN=web"
    )
    other = authority.issue("URI:spiffe://example.org/ns/blog", subject="/CN=blog")
    client = {"ca_file": str(authority.ca_file), "mode": "optional", "forward": True}
    headers = {"request": {"set": {"X-Who": "{certificate.subject} {certificate.uri}"}}}
    async with aiohttp_app() as service:
        config = {
            "server": serving(local, client=client),
            "upstreams": {"service": service},
            "policies": {"headers": headers},
            "routes": [
                {
                    "name": "shop",
                    "match": {"path": "/shop/**"},
                    "policies": {
                        "client_certificate": {"allow": "uri:spiffe://example.org/ns/shop/*"}
                    },
                },
                {"name": "open"},
            ],
        }
        async with running(config, tmp_path) as gateway:

            async def visit(pair: Pair | None, target: str, **fields: str) -> Answer:
                data = request("GET", target, **fields)
                return await ask(gateway.url, data, tls=authority.client(pair))

            answer = await visit(shop, "/shop/a", Client_Cert=":Zm9yZ2Vk:")
            told = dict(answer.json["headers"])
            assert told["X-Who"] == "CN=web,O=Example spiffe://example.org/ns/shop/web"
            der = ssl.PEM_cert_to_DER_cert(shop.cert.read_text())
            assert told["Client-Cert"] == f":{b64encode(der).decode()}:"
            assert [name for name, _ in answer.json["headers"]].count("Client-Cert") == 1
            refused = [await visit(other, "/shop/a"), await visit(None, "/shop/a")]
            assert [(each.status, each.error) for each in refused] == [
                (403, "certificate_refused"),
                (403, "certificate_required"),
            ]
            forged = {"Client_Cert": ":Zm9yZ2Vk:", "X_Forwarded_Client_Cert": "By=a"}
            answer = await visit(None, "/", **forged)
            told = dict(answer.json["headers"])
            assert answer.status == 200
            assert told["X-Who"].strip() == ""
            assert "Client-Cert" not in told
            assert "X-Forwarded-Client-Cert" not in told


async def test_revoked_certificates_are_refused(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    good, revoked = authority.issue("DNS:good.test"), authority.issue("DNS:bad.test")
    crl = authority.revoke(revoked)
    client = {"ca_file": str(authority.ca_file), "crl_file": str(crl)}
    async with running({**HELLO, "server": serving(local, client=client)}, tmp_path) as gateway:
        assert (await certified(gateway, authority, good)).status == 201
        with pytest.raises(REFUSED):
            await certified(gateway, authority, revoked)


async def test_plain_http_is_sent_to_https(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    config: dict[str, Any] = {
        **HELLO,
        "server": {**serving(local), "listen": ["http://127.0.0.1:0", "https://127.0.0.1:0"]},
        "policies": {"https": {"port": 8443}},
    }
    async with running(config, tmp_path) as gateway:
        plain, encrypted = sorted(gateway.urls)
        answer = await ask(plain, request("POST", "/a%20b?c=d"))
        assert answer.status == 308
        assert answer.headers["location"] == "https://service.test:8443/a%20b?c=d"
        assert (await ask(encrypted, request(), tls=authority.client())).status == 201


async def test_a_client_that_takes_nothing_is_broken_off(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    config = {
        "server": {**serving(local), "timeouts": {"body_idle": "300ms"}},
        "routes": [{"name": "all", "policies": {"respond": {"body": "x" * 1024 * 1024}}}],
    }
    async with (
        running(config, tmp_path) as gateway,
        connected(gateway.url, tls=authority.client(), buffer=4096) as wire,
    ):
        wire.pause()
        await wire.send(request() * 40)
        lines = await gateway.lines()
        while "aborted" not in lines[-1]:
            # The buffers took some responses whole.
            lines = await gateway.lines(count=len(lines) + 1)
        assert lines[-1]["aborted"] == "slow_reader"
        await until(lambda: gateway.app.status()["connections"] == 0)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""])
async def test_what_is_no_handshake_ends(garbage: bytes, local: Pair, tmp_path: Path) -> None:
    server = {**serving(local), "timeouts": {"head": "300ms"}}
    async with running({**HELLO, "server": server}, tmp_path) as gateway:
        async with connected(gateway.url) as wire:
            await wire.send(garbage)
            await wire.ended()
        assert gateway.app.status()["connections"] == 0


async def test_upstreams_may_ask_for_a_certificate(
    authority: Authority, local: Pair, tmp_path: Path
) -> None:
    mine = authority.issue("DNS:gateway.test")
    context = authority.server("IP:127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_file)
    async with aiohttp_app(tls=context) as service:
        for tls, status in [({}, 502), (mine.config, 200)]:
            upstream = {"endpoints": service, "tls": {"ca_file": str(authority.ca_file), **tls}}
            async with running({"upstreams": {"service": upstream}}, tmp_path) as gateway:
                assert (await ask(gateway.url, request())).status == status


def test_mistakes_are_told_with_their_place(local: Pair, tmp_path: Path) -> None:
    file = tmp_path / "sidegate.yaml"

    def problems(server: dict[str, Any]) -> list[str]:
        file.write_text(yaml.safe_dump(completed({**HELLO, "server": server})), encoding="utf-8")
        code, out = command("check", str(file))
        assert code == 1
        return out.replace(str(file), "FILE").splitlines()

    missing = Pair(tmp_path / "none.pem", local.key)
    [problem, _] = problems(serving(local, missing))
    assert problem.startswith("FILE:")
    assert "server.tls.certificates[1].cert_file: " in problem
    assert problem.endswith("none.pem: can't be read: No such file or directory")
    [problem, _] = problems({"listen": ["https://127.0.0.1:0"]})
    assert "https://127.0.0.1:0 needs certificates" in problem
    [problem, _] = problems({**serving(local), "listen": ["http://127.0.0.1:0"]})
    assert "`tls` is for `https://` addresses" in problem
    [problem, _] = problems(serving(local, client={"ca_file": str(file)}))
    assert "server.tls.client.ca_file" in problem
