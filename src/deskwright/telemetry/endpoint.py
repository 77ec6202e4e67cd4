"""Where `deskwright worker`, which is no web server, answers /metrics and /healthz."""

import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.settings import Settings
from deskwright.telemetry import exposition


@contextmanager
def answering(settings: Settings, alive: Callable[[], bool]) -> Iterator[str | None]:
    """While this holds, the port of DESKWRIGHT_METRICS_PORT answers; gives its address, None where none is set.

    Raises Refused where the port is taken, or others would reach it without a token.
    """
    port = settings.metrics_port
    if port is None:
        yield None
        return
    host = settings.metrics_host
    if settings.metrics_token is None and not _is_loopback(host):
        rule = "must be of this machine (127.0.0.1, ::1) while there is no DESKWRIGHT_METRICS_TOKEN"
        raise Refused("DESKWRIGHT_METRICS_HOST", host, rule)
    try:
        server = ThreadingHTTPServer((host, port), _handler(settings, alive))
    except OSError as taken:
        rule = f"cannot be listened on at {host}: {taken.strerror or taken}"
        raise Refused("DESKWRIGHT_METRICS_PORT", port, rule, remedy="Each worker of a machine needs its own") from taken
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _handler(settings: Settings, alive: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version, sys_version = "Deskwright", ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                well = alive()
                word = b'{"status":"ok"}' if well else b'{"status":"failed","detail":"the worker does not work"}'
                self._send(200 if well else 503, "application/json", word)
            elif path != "/metrics":
                self._send(404, "text/plain", b"")
            elif not exposition.may_read(
                settings, self.client_address[0], {k.lower(): v for k, v in self.headers.items()}
            ):
                self._send(401 if settings.metrics_token else 403, "text/plain", b"")
            else:
                self._send(200, exposition.CONTENT_TYPE, exposition.text())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", "Bearer")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Scrapes are no news."""

    return Handler


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
