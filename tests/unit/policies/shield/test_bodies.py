"""shield: where attacks are hidden in bodies, and by which reading they are found."""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from urllib.parse import quote

import orjson
import pytest

from proxy.contract import Request
from tests.unit.policies.shield.test_policy import FORM, JSON, PARTS, SQL, asking, found, multipart
from tests.unit.policies.world import World
from tests.unit.test_body import Pieces

# Nothing of it is found but at the beginning of a value.
NUMBER = "1 or 1=1"
# What stands before it has a quote, so that it is found only where values are parted.
TWO = {"name": "O'Brien", "id": NUMBER}


def escaped(text: str, coding: str) -> bytes:
    return "".join(f"%{byte:02x}" for byte in text.encode(coding)).encode()


def part(head: str, data: str, end: str = "\r\n") -> bytes:
    return f"--b{end}{head}{end}{end}{data}{end}--b--{end}".encode()


def basic(credentials: str) -> str:
    return f"Basic {b64encode(credentials.encode()).decode()}"


DISPOSITION = "Content-Disposition: form-data; "
WRITTEN = json.dumps(TWO)
FIELD = f"name=O'Brien&id={quote(NUMBER)}".encode()


@pytest.mark.parametrize(
    "request_",
    [
        # Names that are given again: services take the first, or the last.
        asking(body=b'{"id": "' + NUMBER.encode() + b'", "id": 1}', media=JSON),
        asking(body=b'{"a": "x\\n", "id": "' + NUMBER.encode() + b'", "id": 1}', media=JSON),
        asking(body=b'{"a": "x\\\\", "id": "' + NUMBER.encode() + b'", "id": "\\\\"}', media=JSON),
        # What is no JSON by RFC 8259, and is to some readers.
        asking(body=WRITTEN.encode("utf-8-sig"), media=JSON),
        asking(body=WRITTEN.encode("utf-16"), media=JSON),
        asking(body=WRITTEN.encode("utf-16-be"), media=JSON),
        asking(body=WRITTEN.encode("utf-32-le"), media=JSON),
        asking(body=WRITTEN.encode("cp037"), media=f"{JSON}; charset=IBM037"),
        asking(body=WRITTEN.encode("utf-16-le"), media=f"{JSON}; charset=utf-16le"),
        asking(body=WRITTEN.replace("}", ",}").encode(), media=JSON),
        asking(body=WRITTEN.replace("{", "{/* x */").encode(), media=JSON),
        asking(body=WRITTEN.replace("{", '{"x": NaN, ').encode(), media=JSON),
        asking(body=WRITTEN.replace("{", '{"x": "\\ud800", ').encode(), media=JSON),
        asking(body=WRITTEN.encode() + b" x", media=JSON),
        asking(body=b'{"x": "\xff", ' + WRITTEN[1:].encode(), media=JSON),
        asking(body=f"{{'id': '{NUMBER}'}}".encode(), media=JSON),
        asking(body=f"{{id: {NUMBER}}}".encode(), media=JSON),
        asking(body=b"[" * 2000 + WRITTEN.encode() + b"]" * 2000, media=JSON),
        # JSON in values, and in what says that it is no JSON.
        asking(body=orjson.dumps({"data": WRITTEN}), media=JSON),
        asking(body=orjson.dumps({"data": orjson.dumps([WRITTEN]).decode()}), media=JSON),
        asking(f"/?filter={quote(WRITTEN)}"),
        asking(f"/?filter={quote(WRITTEN.replace('}', ',}'))}"),
        asking("/", ("Cookie", f"filter={WRITTEN}")),
        asking(body=f"filter={quote(WRITTEN)}".encode(), media=FORM),
        asking(body=multipart('name="filter"', WRITTEN), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="x"; filename="blob"\r\nContent-Type: {JSON}',
                         WRITTEN), media=PARTS),
        asking(body=WRITTEN.encode(), media="image/png"),
        asking(body=Pieces(WRITTEN.encode()), media="image/png"),
        asking(body=WRITTEN.encode(), media="application/octet-stream"),
        asking(body=Pieces(b" ", WRITTEN.encode()), media="application/x-anything"),
        asking(body=WRITTEN.encode(), media="text/plain"),
        asking(body=WRITTEN.encode(), media=FORM),
        asking(body=WRITTEN.encode(), media=PARTS),
        asking(body=FIELD, media=JSON),
        asking(body=b'{"a": 1}\n' + WRITTEN.encode(), media="application/x-ndjson"),
        # One name, several values, which some services join.
        asking("/?id=1+union/*&id=*/select/*&id=*/name/*&id=*/from+users"),
        asking(body=b"id=1+union/*&id=*/select/*&id=*/name/*&id=*/from+users", media=FORM),
        asking(body=b"".join(
            multipart('name="id"', value).removesuffix(b"--b--\r\n")
            for value in ("1 union/*", "*/select/*", "*/name/*", "*/from users")
        ) + b"--b--\r\n", media=PARTS),
        asking("/?id=1+union/*&ID=*/select/*&Id=*/name/*&iD=*/from+users"),
        # Parted at semicolons too, and as keys.
        asking("/?" + FIELD.decode().replace("&", ";")),
        asking(body=FIELD.replace(b"&", b";"), media=FORM),
        asking(f"/users;name=x;id={NUMBER}"),
        asking(f"/?a[{quote(NUMBER)}]=x"),
        # ASCII in more bytes than it has.
        asking("/?file=%c0%ae%c0%ae%c0%afetc/passwd"),
        asking("/?file=%e0%80%ae%e0%80%ae%e0%80%afetc/passwd"),
        asking("/?file=%f0%80%80%ae%f0%80%80%ae%f0%80%80%afetc/passwd"),
        asking(body=b'{"id": "x\xc0\xa7 or 1=1"}', media=JSON),
        # Blanks of databases that are no others' blanks, and comments up to the line's end.
        asking("/?id=1%0bor%0b1=1"),
        asking("/?id=1%a0or%a01=1"),
        asking("/?id=1--%0aor%0a1=1"),
        asking("/?id=1%23x%0aor%231%0a1=1"),
        # The prototype of everything.
        asking(body=b'{"constructor": {"prototype": {"admin": true}}}', media=JSON),
        asking("/?constructor[prototype][admin]=1"),
        asking("/?constructor.prototype.admin=1"),
        # Many before it.
        asking("/?" + "&" * 5000 + FIELD.decode()),
        asking("/?" + "a&" * 5000 + FIELD.decode()),
        asking("/", ("Cookie", ";" * 5000 + f"id={NUMBER}")),
        asking(body=b"&" * 5000 + FIELD, media=FORM),
        # Forms in other charsets, and under types that only some can read.
        asking(body=escaped("id", "cp037") + b"=" + escaped(NUMBER, "cp037"),
               media=f"{FORM}; charset=ibm037"),
        asking(body=f"id={NUMBER}".encode("cp500"), media=f"{FORM}; charset=cp500"),
        asking(body=b"id=" + escaped(NUMBER, "utf-16-le"), media=f"{FORM}; charset=utf-16"),
        asking(body=b"q=%2BADw-script%2BAD4-alert(1)", media=f"{FORM}; charset=utf-7"),
        asking(body=FIELD, media=f"{FORM}, text/plain"),
        asking(body=FIELD, media=f"{FORM}; charset=utf-8; charset=utf-8"),
        asking(body=FIELD),
        # Codings.
        asking("/", ("Content-Encoding", "gzip"), media=JSON,
               body=gzip.compress(b" ") + gzip.compress(WRITTEN.encode())),
        asking("/", ("Content-Encoding", "identity, gzip"), media=JSON,
               body=gzip.compress(WRITTEN.encode())),
        asking("/", ("Content-Encoding", "deflate"), media=JSON,
               body=zlib.compress(WRITTEN.encode())[2:-4]),
        asking("/", ("Content-Encoding", "gzip"), media="image/png",
               body=Pieces(gzip.compress(WRITTEN.encode()))),
        # Forms in parts that not everybody parts like this.
        asking(body=b"hello\r\n" + part(f'{DISPOSITION}name="id"', NUMBER), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER) + b"hello", media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER, "\n"), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"; name="x"', NUMBER), media=PARTS),
        asking(body=part(f"{DISPOSITION}name=\"id\"; filename*=utf-8''x", NUMBER), media=PARTS),
        asking(body=part('Content-Disposition: form-data;\r\n name="id"', NUMBER), media=PARTS),
        asking(body=part('Content-Disposition: attachment; name="id"', NUMBER), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"\r\nContent-Transfer-Encoding: base64',
                         "MSBvciAxPTE="), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"\r\nContent-Transfer-Encoding: quoted-printable',
                         "1 or 1=3D1"), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"\r\nContent-Type: text/plain; charset=ibm037',
                         "").replace(b"\r\n\r\n\r\n",
                                     b"\r\n\r\n" + NUMBER.encode("cp037") + b"\r\n"), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER)[:-7], media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"; filename=""', NUMBER), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"; filename ="x"', NUMBER), media=PARTS),
        asking(body=part(f"{DISPOSITION}name='id'; filename='", NUMBER), media=PARTS),
        asking(body=part(f"{DISPOSITION}name=\"id\"; x='; filename=x; y='", NUMBER), media=PARTS),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER), media="multipart/mixed; boundary=b"),
        asking(body=Pieces(part(f'{DISPOSITION}name="id"', NUMBER)),
               media="multipart/related; boundary=b"),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER), media=f"{PARTS}; boundary=c"),
        asking(body=part(f'{DISPOSITION}name="id"', NUMBER), media="multipart/form-data"),
        # XML.
        asking(body=f"<user><name>O'Brien</name><id>{NUMBER}</id></user>".encode(),
               media="application/xml"),
        asking(body=f"<user name=\"O'Brien\" id='{NUMBER}'/>".encode(),
               media="application/soap+xml"),
        asking(body=f"<user><name>O'Brien</name><id><![CDATA[{NUMBER}]]></id></user>".encode(),
               media="text/xml"),
        asking(body=f"<?xml version='1.0'?><user><id>{NUMBER}</id></user>".encode("cp037"),
               media="text/xml"),
        asking(body=b"<?xml version='1.0' encoding='UTF-7'?>+ADw-id+AD4-1 or 1+AD0-1+ADw-/id+AD4-",
               media="text/xml"),
        # Credentials.
        asking("/", ("Authorization", basic("admin' or 1=1--:x"))),
    ],
)  # fmt: skip
async def test_no_place_is_overlooked(world: World, request_: Request) -> None:
    assert (await found(world, request_)).startswith("400 suspicious_input ")


@pytest.mark.parametrize(
    "field",
    ["Authorization", "Content-Type", "If-Modified-Since", "If-None-Match", "Origin", "Host"],
)
async def test_expressions_are_looked_for_in_all_fields(world: World, field: str) -> None:
    for value in (
        "${jndi:ldap://x.test/a}",
        "%{(#_='multipart/form-data').(#dm=@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS)}",
    ):
        assert f"header:{field.lower()}" in await found(world, asking("/", (field, value)))
    assert not await found(world, asking("/", (field, f"x {SQL}")))


async def test_files_in_hiding_are_told_in_strict(world: World) -> None:
    for path in ("/.git/config", "/app/.env", "/a/etc/passwd"):
        assert "traversal.probe" in await found(world, asking(path), level="strict")
        assert not await found(world, asking(path))


@pytest.mark.parametrize(
    "request_",
    [
        asking(body=b'{"a": 1, "a": 2}', media=JSON),
        asking(body=b'{"a": "it\'s", }', media=JSON),
        asking(body=orjson.dumps({"a": '["not JSON'}), media=JSON),
        asking(body="naïve — façade, 東京".encode("utf-16"), media="text/plain; charset=utf-16"),
        asking(
            body=multipart('name="f"; filename="notes.sql"', f"select 1; -- {SQL}"), media=PARTS
        ),
        asking(body=b"{ no json " + SQL.encode(), media="application/octet-stream"),
        asking(body=Pieces(b"\x1f\x8b{", b"x"), media="image/png"),
        asking("/?tag=a&tag=b&tag=it%27s", ("Cookie", "a=1; b=%7B%22c%22%3A%22d%22%7D")),
        asking("/", ("If-None-Match", '"{3F2504E0-4F89-11D3-9A0C-0305E82C3301},1"')),
        asking(body=b"<p class='x' id=\"y\">hello</p>", media="text/xml"),
        asking(body=b'{"constructor": "Ferrari", "prototype": true}', media=JSON),
        asking("/users;v=1;sort=name", ("Authorization", "Basic QWxhZGRpbjpvcGVu")),
        asking("/", ("Authorization", basic("x:' or 1=1--"))),
        asking("/", ("Authorization", "Basic =")),
        asking("/?a[]=x&a[]=y&filter[name]=O%27Brien;sort=a"),
        asking(
            body=part(
                f'{DISPOSITION}name="f"; filename="x"; filename*=utf-8\'\'x', f"notes: {SQL}"
            ),
            media=PARTS,
        ),
    ],
)
async def test_ordinary_bodies_pass(world: World, request_: Request) -> None:
    assert await found(world, request_) == ""
