"""A small RFB 3.8 viewer (RFC 6143) for tests, written from the protocol and not from our server."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from PIL import Image

from deskwright.providers.contract import Screen

RETURN, CONTROL, ALT, DELETE = 0xFF0D, 0xFFE3, 0xFFE9, 0xFFFF


class Refused(Exception):
    """The server refused, with the reason it gave."""


@dataclass
class Viewer:
    """Everything after the connection; `send` and `receive` (exactly so many bytes) are the way there."""

    send: Callable[[bytes], object]
    receive: Callable[[int], bytes]
    name: str = ""
    picture: Image.Image = field(default_factory=lambda: Image.new("RGB", (1, 1)))

    def open(self, password: str) -> "Viewer":
        """The handshake. Raises Refused."""
        assert self.receive(12) == b"RFB 003.008\n"
        self.send(b"RFB 003.008\n")
        kinds = self.receive(self.receive(1)[0])
        if not kinds:
            raise Refused(self.text())
        assert kinds == b"\x02"
        self.send(b"\x02")
        self.send(answer(self.receive(16), password))
        if self.number():
            raise Refused(self.text())
        self.send(b"\x01")
        width, height = struct.unpack(">HH", self.receive(4))
        self.receive(16)
        self.name = self.text()
        self.picture = Image.new("RGB", (width, height))
        self.send(struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 0, 8, 16))
        self.send(struct.pack(">BxHi", 2, 1, 0))
        return self

    def ask(self, incremental: bool = True) -> None:
        self.send(struct.pack(">BBHHHH", 3, incremental, 0, 0, *self.picture.size))

    def update(self) -> list[tuple[int, int, int, int]]:
        """Take the next update into the picture; returns its boxes: left, top, width, height."""
        kind, count = struct.unpack(">BxH", self.receive(4))
        assert kind == 0
        boxes = []
        for _ in range(count):
            left, top, width, height, encoding = struct.unpack(">HHHHi", self.receive(12))
            assert encoding == 0
            part = Image.frombytes("RGB", (width, height), self.receive(width * height * 4), "raw", "RGBX")
            self.picture.paste(part, (left, top))
            boxes.append((left, top, width, height))
        return boxes

    def look(self) -> Image.Image:
        """All of the screen, as it is now."""
        self.ask(incremental=False)
        self.update()
        return self.picture.copy()

    def press(self, *keysyms: int) -> None:
        """Down in this order, and up in the reverse one."""
        for down, keys in ((1, keysyms), (0, keysyms[::-1])):
            for keysym in keys:
                self.send(struct.pack(">BBxxI", 4, down, keysym))

    def type(self, typed: str) -> None:
        for character in typed:
            self.press(ord(character))

    def point(self, x: int, y: int, buttons: int = 0) -> None:
        self.send(struct.pack(">BBHH", 5, buttons, x, y))

    def number(self) -> int:
        (number,) = struct.unpack(">I", self.receive(4))
        return int(number)

    def text(self) -> str:
        return self.receive(self.number()).decode()


def answer(challenge: bytes, password: str) -> bytes:
    """To a challenge of VNC authentication: DES with the password's bytes, the lowest bit of each first."""
    key = bytes(sum(1 << (7 - bit) for bit in range(8) if byte >> bit & 1) for byte in password.encode()[:8])
    encryptor = Cipher(TripleDES(key.ljust(8, b"\0") * 3), modes.ECB()).encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


@contextmanager
def connected(screen: Screen) -> Iterator[Viewer]:
    """A viewer over TCP, before its handshake. `receive` raises EOFError where the server has ended it."""
    with screen.connect() as wire:
        wire.settimeout(20)

        def receive(count: int) -> bytes:
            held = b""
            while len(held) < count:
                try:
                    more = wire.recv(min(count - len(held), 1 << 16))
                except ConnectionResetError:
                    more = b""
                if not more:
                    raise EOFError
                held += more
            return held

        yield Viewer(wire.sendall, receive)


@contextmanager
def seen(screen: Screen) -> Iterator[Viewer]:
    """A viewer who has been let in."""
    with connected(screen) as viewer:
        yield viewer.open(screen.password)
