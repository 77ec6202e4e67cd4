"""Real receivers of what people are told: a mail server and a webhook, each on a port of its own, in a thread."""

import base64
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deskwright.identity.certificates import Certificates


@dataclass
class Inbox:
    """What a mail server took in, and how it shall answer."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    connections: int = 0
    refuse: dict[str, str] = field(default_factory=dict)
    """Recipient -> the answer to RCPT."""
    login: tuple[str, str] | None = None
    """Wanted before any mail."""
    hang_up_after: int = 1000
    """Mails in one connection."""

    def of(self, address: str) -> list[EmailMessage]:
        return [m for m, to in zip(self.mails, self.recipients, strict=True) if to == address]


class _Smtp(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs that does everything right."""

    def handle(self) -> None:
        inbox: Inbox = self.server.inbox  # type: ignore[attr-defined]
        inbox.connections += 1
        taken, to, known = 0, "", inbox.login is None
        self.say("220 sink")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].upper()
            if verb.startswith("EHLO"):
                self.say("250-sink\r\n250-8BITMIME\r\n250 AUTH PLAIN")
            elif verb.startswith("AUTH PLAIN"):
                _, user, password = base64.b64decode(line.split()[-1]).decode().split("\0")
                known = (user, password) == inbox.login
                self.say("235 welcome" if known else "535 wrong")
            elif verb == "MAIL FROM":
                self.say("250 ok" if known else "530 sign in first")
            elif verb == "RCPT TO":
                to = line.partition("<")[2].partition(">")[0]
                self.say(inbox.refuse.get(to, "250 ok"))
            elif verb == "DATA":
                self.say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                body = b"".join(part.removeprefix(b".") if part.startswith(b"..") else part for part in lines)
                inbox.mails.append(email.message_from_bytes(body, policy=email.policy.default))
                inbox.recipients.append(to)
                taken += 1
                self.say("250 taken")
                if taken == inbox.hang_up_after:
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server(tls: Certificates | None = None, **how: Any) -> Iterator[Inbox]:
    """An SMTP server on a free port; with `tls`, one that speaks TLS from the first byte."""
    inbox = Inbox(**how)
    with _Server(("127.0.0.1", inbox.port), _Smtp) as server:
        server.inbox = inbox  # type: ignore[attr-defined]
        if tls is not None:
            server.socket = _secure(tls).wrap_socket(server.socket, server_side=True)
        inbox.port = server.server_address[1]
        with _running(server):
            yield inbox


@dataclass
class Receiver:
    """What a webhook got: (headers, body) of each request; and what it answers."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def webhook(tls: Certificates | None = None) -> Iterator[Receiver]:
    """An HTTP server on a free port, or with `tls` an HTTPS server."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
            receiver.paths.append(self.path)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = _secure(tls).wrap_socket(server.socket, server_side=True)
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        receiver.url = f"{scheme}://{host}:{server.server_address[1]}/hook?from=deskwright"
        with _running(server):
            yield receiver


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(10)


def _secure(tls: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.server, tls.server_key)
    return context
