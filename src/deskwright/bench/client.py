"""A light HTTP client, so that not the client is what is measured: a socket kept open, and threads that use several."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

_PATIENCE_SECONDS = 60.0
Ask = Callable[["Connection"], object]
_T = TypeVar("_T")


class Connection:
    """One kept-alive connection to `url`, with a bearer token or cookies. For one thread at a time.

    The service closes one that was idle for 5 seconds, as uvicorn does.
    """

    def __init__(self, url: str, token: str = "", *, cookies: str = "") -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), _PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        carried = f"Cookie: {cookies}" if cookies else f"Authorization: Bearer {token}"
        self._head = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept-Encoding: gzip\r\n{carried}\r\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, target: str) -> bytes:
        """The body. Raises RuntimeError for any status but 200."""
        return self._ask(f"GET {target}{self._head}\r\n".encode(), 200)

    def post(self, target: str, body: Any) -> bytes:
        """The body. Raises RuntimeError for any status but 201."""
        content = json.dumps(body).encode()
        head = f"POST {target}{self._head}Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return self._ask(head.encode() + content, 201)

    def _ask(self, request: bytes, expected: int) -> bytes:
        self._socket.sendall(request)
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._received()
        status, *headers = got[:end].decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in headers if line.startswith("content-length:"))
        while len(got) < end + 4 + length:
            got += self._received()
        body = bytes(got[end + 4 :])
        if status.split()[1] != str(expected):
            raise RuntimeError(f"{request.split(b' HTTP')[0]!r} was answered {status}: {body[:500]!r}")
        return body

    def _received(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise RuntimeError("the service closed the connection")
        return data


@contextmanager
def several(url: str, token: str, number: int) -> Iterator[list[Connection]]:
    with ExitStack() as opened:
        yield [opened.enter_context(Connection(url, token)) for _ in range(number)]


def timed(ask: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def on_schedule(connections: Sequence[Connection], ask: Ask, a_second: float, seconds: float) -> list[float]:
    """An open loop: a request is due every 1/`a_second`, whatever became of those before it.

    Returns each one's seconds from when it was due to its answer: waiting for a free connection counts.
    """
    total, numbers, taking = round(a_second * seconds), count(), threading.Lock()
    start = time.perf_counter() + 0.1

    def carry(connection: Connection) -> list[float]:
        taken: list[float] = []
        while True:
            with taking:
                number = next(numbers)
            if number >= total:
                return taken
            due = start + number / a_second
            time.sleep(max(0.0, due - time.perf_counter()))
            ask(connection)
            taken.append(time.perf_counter() - due)

    return [each for taken in _in_threads(connections, carry) for each in taken]


def at_once(connections: Sequence[Connection], ask: Ask, requests: int) -> float:
    """A closed loop: each connection asks again as soon as it was answered. Returns requests a second."""
    numbers, taking = count(), threading.Lock()

    def carry(connection: Connection) -> None:
        while True:
            with taking:
                if next(numbers) >= requests:
                    return
            ask(connection)

    return requests / timed(lambda: _in_threads(connections, carry))


def _in_threads(connections: Sequence[Connection], carry: Callable[[Connection], _T]) -> list[_T]:
    with ThreadPoolExecutor(len(connections)) as threads:
        return list(threads.map(carry, connections))
