"""The screens of simulated machines: an RFB 3.8 server (RFC 6143) of this process, on a loopback port of its own.

It is started when a screen is first asked for, in a thread of its own. Each asking makes a secret, which opens that
one machine's screen once, within a minute. What is drawn stands in `desktop`; what was typed at a machine lasts as
long as anybody looks at it. Secrets and screens are this process's: where several serve, each draws what it is asked.
"""

import asyncio
import contextlib
import hmac
import io
import logging
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NoReturn

from PIL import Image, ImageChops

from deskwright.providers import rfb
from deskwright.providers.contract import Screen
from deskwright.providers.simulator.desktop import HEIGHT, WIDTH, Shown, draw
from deskwright.providers.simulator.machine import Facts
from deskwright.providers.simulator.pixels import RGBX, PixelFormat, Unsupported

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
MOST_CONNECTIONS = 50
SECRET_SECONDS = 60.0
_MOST_SECRETS = 1000
_HANDSHAKE_SECONDS = 10.0
_SEND_SECONDS = 30.0
_LOOK_SECONDS = 5.0
_FRAME_SECONDS = 1 / 30
_LONGEST_CUT_TEXT = 65_536
_RAW = 0

Look = Callable[[], Facts | None]
"""The machine's facts as they are now; None where it is off or gone."""


class _Refused(Exception):
    """What the client sends is not RFB, or is more than it may send: the connection ends."""


@dataclass(eq=False)
class _Desk:
    """One machine's screen, the same for all who look at it."""

    shown: Shown = field(default_factory=Shown)
    viewers: set[asyncio.Event] = field(default_factory=set)

    def show(self, shown: Shown) -> None:
        self.shown = shown
        for viewer in self.viewers:
            viewer.set()


@dataclass(frozen=True)
class _Opening:
    """What a secret opens."""

    machine: str
    look: Look
    until: float


_desks: dict[str, _Desk] = {}  # of machines that somebody looks at, by the machine's id
_openings: dict[str, _Opening] = {}
_lock = threading.Lock()
_port: int | None = None


def opened(machine: str, look: Look) -> Screen:
    """A fresh secret for the screen of `machine`, whose facts `look` tells."""
    now = time.monotonic()
    secret = secrets.token_urlsafe(6)  # 8 characters, 48 bits: all that VNC authentication takes
    with _lock:
        for old in [s for s, opening in _openings.items() if opening.until < now]:
            del _openings[old]
        while len(_openings) >= _MOST_SECRETS:
            del _openings[next(iter(_openings))]
        _openings[secret] = _Opening(machine, look, now + SECRET_SECONDS)
        return Screen(HOST, _started(), secret)


def picture(machine: str, facts: Facts) -> bytes:
    """What the machine shows now, as PNG."""
    desk = _desks.get(machine)
    held = io.BytesIO()
    draw(facts, desk.shown if desk else Shown(), datetime.now(UTC)).save(held, "PNG")
    return held.getvalue()


def _started() -> int:
    """The server's port; started on first use. The caller holds the lock."""
    global _port
    if _port is None:
        listening = socket.create_server((HOST, 0), backlog=MOST_CONNECTIONS)
        threading.Thread(target=asyncio.run, args=(_serve(listening),), name="screens", daemon=True).start()
        _port = int(listening.getsockname()[1])
    return _port


async def _serve(listening: socket.socket) -> None:
    connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(connections) >= 2 * MOST_CONNECTIONS:  # not even a word for each of so many
            writer.transport.abort()
            return
        connections.add(writer)
        try:
            await _Visit(reader, writer).carry(full=len(connections) > MOST_CONNECTIONS)
        except (_Refused, Unsupported) as reason:
            log.info("a connection to a simulated screen was ended: %s", reason)
        except (OSError, EOFError, TimeoutError):
            pass  # it went away, or did not go on
        except Exception:
            log.exception("a simulated screen")
        finally:
            connections.discard(writer)
            # At once, also what was not sent yet: nobody waits for one who does not read.
            writer.transport.abort()

    server = await asyncio.start_server(connected, sock=listening)
    await server.serve_forever()


def _redeem(challenge: bytes, response: bytes) -> _Opening | None:
    """What the secret opens that answers the challenge so; it opens nothing any more afterwards."""
    now = time.monotonic()
    with _lock:
        for secret, opening in _openings.items():
            if opening.until >= now and hmac.compare_digest(rfb.response(challenge, secret), response):
                return _openings.pop(secret)
    return None


@dataclass
class _Wanted:
    """What the viewer has asked to see and was not sent yet."""

    box: tuple[int, int, int, int]
    anew: bool
    """All of it, changed or not."""


class _Visit:
    """One connection, from its first byte to its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._format: PixelFormat = RGBX
        self._wanted: _Wanted | None = None
        self._awake = asyncio.Event()
        self._sent: Image.Image | None = None

    async def carry(self, *, full: bool) -> None:
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            opening = await self._authenticate(full)
            facts = await asyncio.to_thread(opening.look)
            if facts is None:
                return
            await self._initialise(facts)
        desk = _desks.setdefault(opening.machine, _Desk())
        desk.viewers.add(self._awake)
        tasks = [
            asyncio.ensure_future(self._listen(desk)),
            asyncio.ensure_future(self._show(desk, opening.look, facts)),
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            desk.viewers.discard(self._awake)
            desk.show(replace(desk.shown, held=frozenset(), pressed=False))  # whoever held a key is gone
            if not desk.viewers:
                del _desks[opening.machine]

    # --- the handshake ----------------------------------------------------------------------------------

    async def _authenticate(self, full: bool) -> _Opening:
        self._writer.write(rfb.VERSION)
        version = await self._reader.readexactly(12)
        if not version.startswith(b"RFB 003.") or not version.endswith(b"\n") or version[8:11] < b"008":
            raise _Refused("it does not speak RFB 3.8")
        if full:
            await self._end(b"\0", f"{MOST_CONNECTIONS} screens are open already")
        self._writer.write(bytes([1, rfb.VNC_AUTHENTICATION]))
        if await self._byte() != rfb.VNC_AUTHENTICATION:
            await self._end(struct.pack(">I", 1), "VNC authentication is needed")
        challenge = secrets.token_bytes(16)
        self._writer.write(challenge)
        opening = _redeem(challenge, await self._reader.readexactly(16))
        if opening is None:
            await self._end(struct.pack(">I", 1), "the password is wrong, was used already, or is too old")
        self._writer.write(struct.pack(">I", 0))
        return opening

    async def _end(self, refusal: bytes, reason: str) -> NoReturn:
        text = reason.encode()
        self._writer.write(refusal + struct.pack(">I", len(text)) + text)
        await self._writer.drain()
        self._writer.write_eof()
        await self._reader.read(1)  # its end: an abort before might take the reason with it
        raise _Refused(reason)

    async def _initialise(self, facts: Facts) -> None:
        await self._byte()  # shared or not: it always is
        name = facts.device.encode()
        self._writer.write(
            struct.pack(">HH", WIDTH, HEIGHT) + self._format.packed + struct.pack(">I", len(name)) + name
        )
        await self._writer.drain()

    # --- what the viewer sends ---------------------------------------------------------------------------

    async def _byte(self) -> int:
        return (await self._reader.readexactly(1))[0]

    async def _fields(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, await self._reader.readexactly(struct.calcsize(layout)))

    async def _listen(self, desk: _Desk) -> None:
        while True:
            match await self._byte():
                case 0:  # SetPixelFormat
                    self._format = PixelFormat.unpacked((await self._reader.readexactly(19))[3:])
                case 2:  # SetEncodings: raw is what everybody takes
                    (count,) = await self._fields(">xH")
                    await self._reader.readexactly(4 * count)
                case 3:  # FramebufferUpdateRequest
                    incremental, x, y, width, height = await self._fields(">BHHHH")
                    self._ask(bool(incremental), x, y, width, height)
                case 4:  # KeyEvent
                    down, keysym = await self._fields(">BxxI")
                    desk.show(desk.shown.key(bool(down), keysym))
                case 5:  # PointerEvent
                    buttons, x, y = await self._fields(">BHH")
                    desk.show(desk.shown.point(x, y, bool(buttons & 0b111)))
                case 6:  # ClientCutText
                    (length,) = await self._fields(">xxxI")
                    if length > _LONGEST_CUT_TEXT:
                        raise _Refused(f"a text of {length} bytes")
                    await self._reader.readexactly(length)
                case other:
                    raise _Refused(f"a message of type {other}")

    def _ask(self, incremental: bool, x: int, y: int, width: int, height: int) -> None:
        box = (x, y, min(x + width, WIDTH), min(y + height, HEIGHT))
        if x >= box[2] or y >= box[3]:
            return
        before = self._wanted
        if before is not None:
            a, b = before.box, box
            box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
        self._wanted = _Wanted(box, not incremental or (before is not None and before.anew))
        self._awake.set()

    # --- what it is shown --------------------------------------------------------------------------------

    async def _show(self, desk: _Desk, look: Look, facts: Facts) -> None:
        looked = time.monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._awake.wait()
            self._awake.clear()
            if time.monotonic() - looked >= _LOOK_SECONDS:
                now = await asyncio.to_thread(look)
                if now is None:
                    return  # switched off, or deleted: the screen goes dark
                facts, looked = now, time.monotonic()
            if self._wanted is not None and self._send(self._wanted, draw(facts, desk.shown, datetime.now(UTC))):
                self._wanted = None
                async with asyncio.timeout(_SEND_SECONDS):
                    await self._writer.drain()
                await asyncio.sleep(_FRAME_SECONDS)

    def _send(self, wanted: _Wanted, frame: Image.Image) -> bool:
        """Send what has changed within the wanted box; False where nothing has."""
        if self._sent is None:
            self._sent = ImageChops.invert(frame)  # every pixel differs
        left, top, right, bottom = wanted.box
        if not wanted.anew:
            changed = ImageChops.difference(self._sent.crop(wanted.box), frame.crop(wanted.box)).getbbox()
            if changed is None:
                return False
            left, top, right, bottom = left + changed[0], top + changed[1], left + changed[2], top + changed[3]
        part = frame.crop((left, top, right, bottom))
        self._sent.paste(part, (left, top))
        header = struct.pack(">BxHHHHHi", 0, 1, left, top, right - left, bottom - top, _RAW)
        self._writer.write(header + self._format.encoded(part))
        return True
