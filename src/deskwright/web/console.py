"""A machine's screen in the browser: bytes between a WebSocket and the RFB server where the screen answers.

noVNC in the browser speaks RFB, also its password; nothing is read here but how much and how often. Who may connect
is decided by the caller, before (`allowed`) and, while it lasts, again and again (`still`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from deskwright.providers.contract import Screen

SUBPROTOCOL = "binary"
LARGEST_MESSAGE = 64 * 1024
"""Bytes of one message of the browser's: keys, the pointer, and a text it copied."""
IDLE_SECONDS = 3600.0
"""So long after the last key or movement the connection ends."""
RECHECK_SECONDS = 20.0
"""So much later at most, who signed out or lost a role sees no more."""
_CONNECT_SECONDS = 10.0
_STALLED_SECONDS = 30.0
_CHUNK = 64 * 1024

_ASKS_FOR_PICTURE, _ASKING_BYTES = b"\x03", 10
"""RFB's FramebufferUpdateRequest: viewers send it by themselves."""

_DONE, _GONE_AWAY, _NOT_BYTES, _NOT_ALLOWED, _TOO_LARGE, _FAILED = 1000, 1001, 1003, 1008, 1009, 1011

Still = Callable[[WebSocket], bool]
_End = tuple[int, str]
"""A WebSocket close code, and why."""


def endpoint(
    allowed: Callable[[WebSocket], Screen | None], still: Still = lambda _: True
) -> Callable[[WebSocket], Awaitable[None]]:
    """What a WebSocketRoute serves. `allowed` says where the screen is, None where they may not see it; `still`
    whether they may go on. Both are called on a thread, and may ask the database."""

    async def serve(websocket: WebSocket) -> None:
        screen = await run_in_threadpool(allowed, websocket)
        if screen is None:
            await websocket.close(_NOT_ALLOWED)  # before it is accepted: HTTP 403
            return
        await connect(websocket, screen, still)

    return serve


async def connect(websocket: WebSocket, screen: Screen, still: Still = lambda _: True) -> None:
    """Accept the WebSocket and carry bytes between it and the screen until one of them ends; then both are closed."""
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            wire = await run_in_threadpool(screen.connect)
            reader, writer = await asyncio.open_connection(sock=wire, limit=_CHUNK)
    except (OSError, TimeoutError):
        await _close(websocket, (_FAILED, "The screen does not answer"))
        return
    try:
        end = await _Passage(websocket, reader, writer, still).carry()
    finally:
        writer.transport.abort()
    await _close(websocket, end)


class _Passage:
    """The bytes of one connection, in both directions. Each waits until the other side has taken what it was sent."""

    def __init__(
        self, websocket: WebSocket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, still: Still
    ) -> None:
        self._websocket, self._reader, self._writer, self._still = websocket, reader, writer, still
        self._active_at = asyncio.get_running_loop().time()

    async def carry(self) -> _End:
        """Until the first of the three ends; returns why."""
        tasks = [asyncio.ensure_future(task) for task in (self._to_screen(), self._to_browser(), self._watch())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return ended.pop().result()
        except (WebSocketDisconnect, OSError, TimeoutError):
            return _FAILED, "The connection to the screen broke"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _to_screen(self) -> _End:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return _DONE, ""
            data = message.get("bytes")
            if data is None:
                return _NOT_BYTES, "Only bytes are understood here"
            if len(data) > LARGEST_MESSAGE:
                return _TOO_LARGE, f"At most {LARGEST_MESSAGE} bytes at a time"
            if not _only_asks(data):
                self._active_at = asyncio.get_running_loop().time()
            self._writer.write(data)
            async with asyncio.timeout(_STALLED_SECONDS):
                await self._writer.drain()

    async def _to_browser(self) -> _End:
        while data := await self._reader.read(_CHUNK):
            await self._websocket.send_bytes(data)
        return _DONE, "The screen was closed"

    async def _watch(self) -> _End:
        while True:
            await asyncio.sleep(min(RECHECK_SECONDS, IDLE_SECONDS))
            if asyncio.get_running_loop().time() - self._active_at >= IDLE_SECONDS:
                return _GONE_AWAY, "Nobody has used it for a while"
            if not await run_in_threadpool(self._still, self._websocket):
                return _NOT_ALLOWED, "You are not signed in any more, or may not see it any more"


def _only_asks(data: bytes) -> bool:
    """Whether a viewer just asks for the next picture, as it does without anybody being there."""
    times, rest = divmod(len(data), _ASKING_BYTES)
    return rest == 0 and data[::_ASKING_BYTES] == _ASKS_FOR_PICTURE * times


async def _close(websocket: WebSocket, end: _End) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may have ended from there
        await websocket.close(*end)
