"""An ordinary service, with the manners that many have. It knows nothing of Sidegate.

`python service.py PORT`. It tells what it runs on, sends no security headers, fails with a
page of HTML full of internals, and takes its time.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PRODUCTS: Final = [
    {"id": 1, "name": "kettle", "price": 39.9},
    {"id": 2, "name": "teapot", "price": 24.5},
]
PAGE: Final = "<!doctype html><title>Shop</title><h1>Kettles and teapots</h1>"
FAILURE: Final = (
    "<h1>500</h1><pre>File /srv/shop/views.py, line 7\n"
    "OperationalError: no connection to db.internal:5432 as shop</pre>"
)


class Shop(BaseHTTPRequestHandler):
    """A shop with two products."""

    protocol_version = "HTTP/1.1"
    # Head and body in one piece; apart, the second waits 40 ms for TCP to acknowledge the first.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer by path."""
        match self.path.partition("?")[0]:
            case "/":
                self._answer(200, "text/html", PAGE)
            case "/api/products":
                self._answer(200, "application/json", json.dumps(PRODUCTS))
            case "/broken":
                self._answer(500, "text/html", FAILURE)
            case "/slow":
                time.sleep(3)
                self._answer(200, "text/plain", "Sorry for the wait.\n")
            case _:
                self._answer(404, "text/html", "<h1>404</h1>")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "ShopSoft 2.1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the demo shows Sidegate's log."""


class Server(ThreadingHTTPServer):
    """Whoever hangs up early, as a proxy does after its time limit, is no error."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing for connections that are gone; the usual report for the rest."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
