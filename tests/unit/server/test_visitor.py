"""What requests of one connection are told of their client, each of them anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.config.model import Paths
from proxy.http1.certificate import CERTIFICATE, read_certificate
from proxy.http1.line import lines_of
from proxy.http1.message import HeadRules, RequestHead, read_request_head
from proxy.server.certified import CertifiedVisitor
from proxy.server.visitor import Visitor
from tests.unit.paused_loop import PausedLoop
from tests.unit.server.scene import Scene

RULES = HeadRules(100, 64, "drop", Paths())
PEER = "192.0.2.7"


@pytest.fixture
def loop() -> Iterator[PausedLoop]:
    loop = PausedLoop()
    yield loop
    loop.close()


def head(host: bytes = b"a.example", *forwarded: bytes) -> RequestHead:
    fields = [(b"Host", host), *((b"X-Forwarded-For", address) for address in forwarded)]
    return read_request_head("GET", "/", (1, 1), lines_of(fields, "invalid_header"), RULES)


def test_each_request_is_told_of_by_the_host_it_names(loop: PausedLoop) -> None:
    visitor = Visitor(Scene(loop).listener, PEER)
    for host in (b"a.example", b"a.example", b"b.example", b"a.example"):
        request = visitor.request(head(host))
        assert request.client_ip == PEER
        assert b"X-Forwarded-Host: %b\r\n" % host in request.forwarded


def test_who_is_not_trusted_says_nothing_of_others(loop: PausedLoop) -> None:
    visitor = Visitor(Scene(loop).listener, PEER)
    for addresses in ((b"10.0.0.1",), (), (b"10.0.0.2",)):
        assert visitor.request(head(b"a.example", *addresses)).client_ip == PEER


def test_a_trusted_proxy_says_of_each_request_whose_it_is(loop: PausedLoop) -> None:
    visitor = Visitor(Scene(loop, trusted_proxies=[f"{PEER}/32"]).listener, PEER)
    for address in ("10.0.0.1", "", "10.0.0.2", "10.0.0.2", ""):
        addresses = (address.encode(),) if address else ()
        request = visitor.request(head(b"a.example", *addresses))
        assert request.client_ip == (address or PEER)


def test_a_certificate_is_told_with_every_request(loop: PausedLoop) -> None:
    listener = Scene(loop).listener
    listener.tells_certificates = True
    certificate = read_certificate({}, b"der")
    visitor = CertifiedVisitor(listener, PEER, certificate)
    for host in (b"a.example", b"a.example", b"b.example"):
        request = visitor.request(head(host))
        assert request.state[CERTIFICATE] is certificate
        assert request.forwarded.count(certificate.line) == 1
