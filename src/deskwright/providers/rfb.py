"""The few words of the Remote Framebuffer protocol (RFC 6143) that a server and whoever tries one share."""

import socket
import struct
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

VERSION = b"RFB 003.008\n"
VNC_AUTHENTICATION = 2
_RETURN = 0xFF0D


class NotAnswered(Exception):
    """What answered is no screen, or does not let us in; the text says which."""


@dataclass(frozen=True)
class Greeting:
    """What a server says of its screen when it lets somebody in."""

    name: str
    width: int
    height: int


def response(challenge: bytes, secret: str) -> bytes:
    """VNC authentication (7.2.2): DES by the secret, each byte of it with its bits mirrored."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in secret.encode("ascii").ljust(8, b"\0")[:8])
    # DES is what the protocol has; three times the same key is one DES.
    encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(challenge) + encryptor.finalize()


def greet(wire: socket.socket, secret: str) -> Greeting:
    """Open a screen as a viewer does, with VNC authentication, and read what it says of itself. Raises NotAnswered."""
    try:
        return _greet(wire, secret)
    except OSError as error:
        raise NotAnswered(str(error) or type(error).__name__) from error


def _greet(wire: socket.socket, secret: str) -> Greeting:
    if not _receive(wire, 12).startswith(b"RFB 003."):
        raise NotAnswered("what answered is not a screen")
    wire.sendall(VERSION)
    kinds = _receive(wire, _receive(wire, 1)[0])
    if not kinds:
        raise NotAnswered(_text(wire))
    if VNC_AUTHENTICATION not in kinds:
        raise NotAnswered(f"the screen asks for no password (security types {list(kinds)})")
    wire.sendall(bytes([VNC_AUTHENTICATION]))
    wire.sendall(response(_receive(wire, 16), secret))
    if _number(wire):
        raise NotAnswered(_text(wire))
    wire.sendall(b"\x01")
    width, height = struct.unpack(">HH", _receive(wire, 4))
    _receive(wire, 16)
    return Greeting(_text(wire), width, height)


def type_text(wire: socket.socket, typed: str) -> None:
    """Press and let go the keys of a text; a line's end is the Return key. Of Latin-1, whose keys are its numbers."""
    for character in typed:
        key = _RETURN if character == "\n" else ord(character)
        for down in (1, 0):
            wire.sendall(struct.pack(">BBxxI", 4, down, key))


def _receive(wire: socket.socket, count: int) -> bytes:
    held = b""
    while len(held) < count:
        more = wire.recv(count - len(held))
        if not more:
            raise NotAnswered("the screen ended the connection")
        held += more
    return held


def _number(wire: socket.socket) -> int:
    (number,) = struct.unpack(">I", _receive(wire, 4))
    return int(number)


def _text(wire: socket.socket) -> str:
    return _receive(wire, min(_number(wire), 4096)).decode("utf-8", "replace")
