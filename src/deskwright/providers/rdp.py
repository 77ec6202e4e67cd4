"""The first words of the Remote Desktop Protocol ([MS-RDPBCGR] 2.2.1.1 and 2.2.1.2), by which a server is known.

A client asks by an X.224 Connection Request which security protocols the server has; a server of remote desktops
answers by a Connection Confirm that names the one it chose. Nothing is encrypted yet, and nobody has signed in.
"""

import socket
import struct
from dataclasses import dataclass

PORT = 3389
_TLS, _NLA = 1, 2
_REQUEST, _RESPONSE, _FAILURE = 1, 2, 3
_CONFIRM = 0xD0
_NEGOTIATION = struct.Struct("<BBHI")
"""Type, flags, length, and which protocols are asked for, was chosen, or why none was."""
ASKED = bytes([3, 0, 0, 19, 14, 0xE0, 0, 0, 0, 0, 0]) + _NEGOTIATION.pack(_REQUEST, 0, 8, _TLS | _NLA)
"""TPKT, X.224 Connection Request, and the request to negotiate: what today's clients ask for."""
LONGEST = 512
"""An answer has 19 bytes, or 11 from a server of before the negotiation."""
_CHOSEN = {0: "RDP's own security", _TLS: "TLS", _NLA: "TLS and sign-in before the session (NLA)"}
_SSL_NOT_ALLOWED = 2
_REFUSED = {
    1: "it demands TLS",
    3: "it has no certificate for TLS",
    4: "its protocols are not consistent",
    5: "it demands sign-in before the session (NLA)",
    6: "it demands TLS with the client's certificate",
}


class NotAnswered(Exception):
    """What answered is no server of remote desktops, or nothing did; the text says which."""


@dataclass(frozen=True)
class Answer:
    security: str
    """What it chose, for people."""


def read(answer: bytes) -> Answer:
    """What a server answered to `ASKED`. Raises NotAnswered."""
    if len(answer) < 11 or answer[:2] != b"\x03\x00" or answer[5] & 0xF0 != _CONFIRM:
        raise NotAnswered(f"what answered is no remote desktop ({answer[:11].hex(' ') or 'no byte'})")
    if len(answer) < 19:
        return Answer(_CHOSEN[0])
    kind, _, _, value = _NEGOTIATION.unpack_from(answer, 11)
    if kind == _FAILURE and value != _SSL_NOT_ALLOWED:
        raise NotAnswered(f"the remote desktop refuses: {_REFUSED.get(value, f'code {value}')}")
    # Who refuses TLS is asked again without it by every client.
    return Answer(_CHOSEN.get(value, f"protocol {value}") if kind == _RESPONSE else _CHOSEN[0])


def try_out(address: str, port: int, seconds: float) -> Answer:
    """Ask a server as a client does. seconds: for each word of it. Raises NotAnswered."""
    try:
        with socket.create_connection((address, port), seconds) as wire:
            wire.sendall(ASKED)
            return read(_packet(wire))
    except OSError as error:
        raise NotAnswered(error.strerror or str(error) or type(error).__name__) from error


def _packet(wire: socket.socket) -> bytes:
    """One TPKT, as far as it comes."""
    held, wanted = b"", 4
    while len(held) < wanted:
        more = wire.recv(wanted - len(held))
        if not more:
            break
        held += more
        if len(held) == 4 == wanted and held[:2] == b"\x03\x00":
            wanted = min(max(4, int.from_bytes(held[2:4], "big")), LONGEST)
    return held
