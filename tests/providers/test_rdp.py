"""A server of remote desktops is known by its first words; what else answers is told from it."""

import contextlib
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deskwright.providers import rdp

CONFIRM = bytes.fromhex("030000130ed000001234000200080001000000")
OLD = bytes.fromhex("0300000b06d00000123400")
XRDP = shutil.which("xrdp", path="/usr/sbin:/usr/bin")


def failing(code: int) -> bytes:
    return CONFIRM[:11] + bytes([3, 0, 8, 0, code, 0, 0, 0])


@contextlib.contextmanager
def answering(answer: bytes, *, stays: bool = False) -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers with these bytes: its port, and what it was asked. stays: and keeps the connection open."""
    asked: list[bytes] = []
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked.append(self.request.recv(100))
            with contextlib.suppress(OSError):
                for byte in answer:
                    self.request.sendall(bytes([byte]))
            if stays:
                ended.wait(10)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1], asked
        ended.set()
        server.shutdown()


def test_it_asks_as_the_protocol_has_it() -> None:
    """[MS-RDPBCGR] 4.1.1, with TLS and NLA asked for and no cookie."""
    asked = rdp.ASKED
    assert asked.hex() == "030000130ee000000000000100080003000000"


@pytest.mark.parametrize(
    ("answer", "security"),
    [
        (CONFIRM, "TLS"),
        (CONFIRM[:15] + b"\x02\0\0\0", "TLS and sign-in before the session (NLA)"),
        (CONFIRM[:15] + b"\x00\0\0\0", "RDP's own security"),
        (OLD, "RDP's own security"),
        (failing(2), "RDP's own security"),
    ],
)
def test_who_answers_as_a_remote_desktop_is_one(answer: bytes, security: str) -> None:
    with answering(answer, stays=True) as (port, asked):
        assert rdp.try_out("127.0.0.1", port, 2).security == security
    assert asked == [rdp.ASKED]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "no byte"),
        (CONFIRM[:10], "no remote desktop"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", r"no remote desktop \(53 53 48 2d\)"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no remote desktop"),
        (CONFIRM[:5] + b"\xe0" + CONFIRM[6:], "no remote desktop"),
        (b"\x03\x00\xff\xff" + bytes(2000), "no remote desktop"),
        (failing(3), "no certificate"),
        (failing(99), "code 99"),
    ],
)
def test_who_answers_otherwise_is_none(answer: bytes, why: str) -> None:
    with answering(answer) as (port, _), pytest.raises(rdp.NotAnswered, match=why):
        rdp.try_out("127.0.0.1", port, 2)


def test_who_does_not_answer_is_not_waited_for() -> None:
    began = time.monotonic()
    with answering(b"", stays=True) as (port, _), pytest.raises(rdp.NotAnswered, match="timed out"):
        rdp.try_out("127.0.0.1", port, 0.3)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(rdp.NotAnswered, match="refused"):
            rdp.try_out("127.0.0.1", nobody.getsockname()[1], 2)
    assert time.monotonic() - began < 2


@pytest.mark.skipif(XRDP is None, reason="xrdp is not installed here")
def test_xrdp_itself(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = Path("/etc/xrdp/xrdp.ini").read_text().replace("\nport=3389\n", f"\nport=tcp://127.0.0.1:{port}\n", 1)
    given = tmp_path / "xrdp.ini"
    given.write_text(told)
    with subprocess.Popen([str(XRDP), "--nodaemon", "--config", given], cwd=tmp_path, stdout=-3, stderr=-3) as server:
        try:
            ends = time.monotonic() + 10
            while True:
                try:
                    assert rdp.try_out("127.0.0.1", port, 2).security in ("TLS", "RDP's own security")
                    return
                except rdp.NotAnswered:
                    assert time.monotonic() < ends
                    time.sleep(0.1)
        finally:
            server.kill()
