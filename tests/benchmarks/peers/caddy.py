"""Caddy on one processor of Go's scheduler."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.answer import SECURITY_HEADERS
from tests.benchmarks.peers.peer import FORWARDS, Launch, Place, find_program, version_of

CONFIGURATION: Final = """\
{{
    admin off
    auto_https off
    servers {{
        metrics
    }}
}}
:{port} {{
    bind 127.0.0.1
    log {{
        output file {log} {{
            roll_disabled
        }}
        format json
    }}
    header {{
        X-Request-ID {{http.request.uuid}}
        Via "1.1 caddy"
        {headers}
        -X-Powered-By
        -Server
    }}
    reverse_proxy 127.0.0.1:{origin} {{
        header_up X-Request-ID {{http.request.uuid}}
        header_up X-Forwarded-Port {port}
        header_up Via "1.1 caddy"
        transport http {{
            keepalive_idle_conns_per_host 128
        }}
    }}
}}
"""


class Caddy:
    """Debian's Caddy."""

    name = "Caddy"
    note = "no rate limit, which it hasn't in the box, and no trace context"
    policies = True
    traces = False
    aside = False
    duties = FORWARDS

    def program(self) -> str | None:
        """Debian's package `caddy`."""
        return find_program("caddy")

    def version(self) -> str:
        """As it says itself."""
        return version_of(self.program() or "caddy", "version")

    def launch(self, place: Place) -> Launch:
        """It keeps its state in its folder rather than in the home of the user."""
        headers = "\n        ".join(f'{name} "{value}"' for name, value in SECURITY_HEADERS.items())
        text = CONFIGURATION.format(
            port=place.port, origin=place.origin, log=place.log, headers=headers
        )
        path = place.write("Caddyfile", text)
        home = str(place.folder)
        return Launch(
            (self.program() or "caddy", "run", "--config", path, "--adapter", "caddyfile"),
            environment={"GOMAXPROCS": "1", "XDG_DATA_HOME": home, "XDG_CONFIG_HOME": home},
        )
