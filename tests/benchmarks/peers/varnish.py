"""Varnish, which is there for its cache alone."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.answer import SECURITY_HEADERS
from tests.benchmarks.peers.peer import Duty, Launch, Place, find_program, version_of

CONFIGURATION: Final = """\
vcl 4.1;
backend origin {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_recv {{
    set req.http.X-Request-ID = req.xid;
    set req.http.X-Forwarded-Proto = "http";
}}
sub vcl_backend_response {{
    unset beresp.http.X-Powered-By;
    unset beresp.http.Server;
}}
sub vcl_deliver {{
    set resp.http.X-Request-ID = req.xid;
    {headers}
}}
"""
LINES: Final = (
    '{"timestamp":"%{%Y-%m-%dT%H:%M:%SZ}t","request_id":"%{X-Request-ID}i","client_ip":"%h",'
    '"method":"%m","host":"%{Host}i","path":"%U","query":"%q","protocol":"%H","status":%s,'
    '"bytes_in":%I,"bytes_out":%O,"total":%D,"user_agent":"%{User-agent}i"}'
)


class Varnish:
    """Debian's Varnish, its access lines written by the program that comes with it."""

    name = "Varnish"
    note = "no rate limit, no trace context; CPU time includes the process that writes access lines"
    policies = True
    traces = False
    aside = False
    duties = frozenset[Duty]({"cache"})

    def program(self) -> str | None:
        """Debian's package `varnish`."""
        return find_program("varnishd")

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.program() or "varnishd", "-V")

    def launch(self, place: Place) -> Launch:
        """In the foreground, both of its programs in one shell."""
        headers = "\n    ".join(
            f'set resp.http.{name} = "{value}";' for name, value in SECURITY_HEADERS.items()
        )
        vcl = place.write("default.vcl", CONFIGURATION.format(origin=place.origin, headers=headers))
        lines = place.write("lines", LINES)
        work = f"{place.folder}/work"
        script = (
            f"{self.program()} -j none -F -n {work} -a 127.0.0.1:{place.port} -f {vcl}"
            " -s malloc,64m & cache=$!; trap 'kill $cache $lines' TERM;"
            f" varnishncsa -t 15 -n {work} -f {lines} -w {place.log} & lines=$!; wait $cache"
        )
        return Launch(("bash", "-c", script))
