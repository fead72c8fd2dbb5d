"""HAProxy with one thread."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.answer import SECURITY_HEADERS
from tests.benchmarks.peers.peer import CONNECTIONS, LIMITS, Launch, Place, find_program, version_of

CONFIGURATION: Final = """\
global
    nbthread 1
    maxconn {connections}
    log stdout format raw local0 info

defaults
    mode http
    log global
    timeout connect 1s
    timeout client 75s
    timeout server 15s
    timeout http-request 10s
    option forwardfor
    http-reuse always
    unique-id-format %[uuid()]
    unique-id-header X-Request-ID
    log-format '{{"timestamp":"%Ts.%ms","request_id":"%ID","client_ip":"%ci","method":"%HM",\
"path":"%[capture.req.uri,json(utf8s)]","protocol":"%HV","route":"%f","upstream":"%b/%s",\
"status":%ST,"bytes_in":%U,"bytes_out":%B,"connect":%Tc,"upstream_time":%Tr,"total":%Ta,\
"user_agent":"%[capture.req.hdr(0),json(utf8s)]"}}'

frontend clients
    bind 127.0.0.1:{port} backlog 1024
    declare capture request len 128
    http-request capture req.hdr(User-Agent) id 0
    stick-table type ip size 100k expire 60s store http_req_rate({seconds}s)
    http-request track-sc0 src
    http-request return status 429 content-type application/json hdr Retry-After {seconds} \
lf-string '{{"error":"rate_limited","detail":"Too many requests.","status":429,\
"timestamp":"%[date,utime(%Y-%m-%dT%H:%M:%SZ)]","path":"%[path,json(utf8s)]",\
"request_id":"%[unique-id]"}}' if {{ sc_http_req_rate(0) gt {most} }}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request add-header Via "1.1 haproxy"
    http-after-response add-header Via "1.1 haproxy"
    http-after-response del-header X-Powered-By
    http-after-response del-header Server
    http-after-response set-header X-Request-ID %[unique-id]
    {headers}
    default_backend origin

backend origin
    server origin 127.0.0.1:{origin} pool-max-conn 128
"""


class HAProxy:
    """Debian's HAProxy."""

    name = "HAProxy"
    note = (
        "no trace context, no RateLimit fields; a fixed Retry-After; each line is written by itself"
    )
    policies = True
    traces = False
    aside = False
    duties = LIMITS

    def program(self) -> str | None:
        """Debian's package `haproxy`."""
        return find_program("haproxy")

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.program() or "haproxy", "-v")

    def launch(self, place: Place) -> Launch:
        """In the foreground; access lines go to standard output."""
        headers = "\n    ".join(
            f'http-after-response set-header {name} "{value}"'
            for name, value in SECURITY_HEADERS.items()
        )
        seconds, most = (60, 1) if place.duty == "refuse" else (1, 1_000_000)
        text = CONFIGURATION.format(
            port=place.port, origin=place.origin, headers=headers, connections=CONNECTIONS,
            seconds=seconds, most=most,
        )  # fmt: skip
        path = place.write("haproxy.cfg", text)
        return Launch((self.program() or "haproxy", "-db", "-f", path), logs_to_output=True)
