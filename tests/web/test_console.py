"""The console's WebSocket, end to end: a real client, uvicorn, the passage, and a simulated machine's screen."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from deskwright import serve
from deskwright.providers.contract import Screen
from deskwright.providers.simulator import screen
from deskwright.providers.simulator.machine import Facts
from deskwright.web import console
from tests.providers.viewer import Refused, Viewer

FACTS = Facts("CPC-ADELE-7KQ2M", "adele@contoso.com", "Enterprise 2vCPU/8GB/128GB", "10.20.0.2", timedelta(0))


@dataclass
class Door:
    """Who may connect to what, as a page would decide it."""

    address: str = ""
    screen: Screen | None = None
    still: Callable[[WebSocket], bool] = lambda _: True
    asked: list[str] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    def allowed(self, websocket: WebSocket) -> Screen | None:
        self.asked.append(websocket.url.path)
        return self.screen

    @contextmanager
    def enter(self, **given: Any) -> Iterator[ClientConnection]:
        given.setdefault("subprotocols", ["binary"])
        with connect(self.address, max_size=None, **given) as wire:
            yield wire


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    route = WebSocketRoute("/socket", console.endpoint(made.allowed, lambda websocket: made.still(websocket)))
    listening = serve.listen("127.0.0.1", 0)
    settings = serve.UVICORN | {"ws": "websockets-sansio", "ws_max_size": console.LARGEST_MESSAGE}
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[route]), **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    made.address = serve.address(listening, "ws") + "/socket"
    made.screen = screen.opened("m", lambda: FACTS)

    def stop() -> None:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()

    made.stop = stop
    yield made
    stop()


@contextmanager
def listener() -> Iterator[tuple[Screen, socket.socket]]:
    """A screen that is only a socket; the test plays its server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield Screen("127.0.0.1", listening.getsockname()[1]), listening


def viewer_of(wire: ClientConnection) -> Viewer:
    held = bytearray()

    def receive(count: int) -> bytes:
        while len(held) < count:
            held.extend(bytes(wire.recv(20)))  # type: ignore[arg-type]
        found = bytes(held[:count])
        del held[:count]
        return found

    return Viewer(wire.send, receive)


def closed(wire: ClientConnection) -> tuple[int, str]:
    """How the server closes it."""
    with suppress(ConnectionClosed):
        while True:
            wire.recv(20)
    assert wire.close_code is not None
    return wire.close_code, wire.close_reason or ""


def password(door: Door) -> str:
    assert door.screen
    return door.screen.password


def test_a_person_sees_and_works_with_the_screen(door: Door) -> None:
    with door.enter() as wire:
        assert wire.subprotocol == "binary"
        viewer = viewer_of(wire).open(password(door))
        assert viewer.name == FACTS.device
        before = viewer.look()
        assert len(before.getcolors(1 << 20) or ()) > 50
        viewer.ask()
        viewer.type("a")
        viewer.update()
        assert viewer.picture.tobytes() != before.tobytes()
    assert door.asked == ["/socket"]


def test_without_the_subprotocol_it_works_too(door: Door) -> None:
    with door.enter(subprotocols=["other"]) as wire:
        assert wire.subprotocol is None
        viewer_of(wire).open(password(door))


def test_who_is_not_allowed_gets_no_connection(door: Door) -> None:
    door.screen = None
    with pytest.raises(InvalidStatus) as refused, door.enter():
        pass
    assert refused.value.response.status_code == 403


def test_the_screens_own_password_is_needed_as_well(door: Door) -> None:
    with door.enter() as wire:
        with pytest.raises(Refused):
            viewer_of(wire).open("guessed!")
        assert closed(wire)[0] == 1000


def test_a_screen_that_does_not_answer_is_told(door: Door) -> None:
    with listener() as (screen_, _):
        door.screen = screen_
    with door.enter() as wire:
        assert closed(wire) == (1011, "The screen does not answer")


def test_both_ends_are_closed_when_either_is(door: Door) -> None:
    with listener() as (door.screen, listening):
        with door.enter() as wire:
            theirs, _ = listening.accept()
            with theirs:
                theirs.sendall(b"last words")
            assert wire.recv(20) == b"last words"
            assert closed(wire) == (1000, "The screen was closed")
        with door.enter() as wire:
            theirs, _ = listening.accept()
            wire.send(b"hello")
            assert theirs.recv(100) == b"hello"
            wire.close()
            with theirs:
                assert ended(theirs)
        with door.enter() as wire:
            theirs, _ = listening.accept()
            wire.socket.shutdown(socket.SHUT_RDWR)  # as a browser whose network went away
            with theirs:
                assert ended(theirs)


def ended(theirs: socket.socket) -> bool:
    theirs.settimeout(20)
    try:
        return theirs.recv(100) == b""
    except ConnectionResetError:
        return True


def test_text_and_large_messages_end_it(door: Door) -> None:
    with listener() as (door.screen, listening):
        with door.enter() as wire, listening.accept()[0] as theirs:
            wire.send("text")
            assert closed(wire)[0] == 1003
            assert ended(theirs)
        with door.enter() as wire, listening.accept()[0] as theirs:
            wire.send(bytes(console.LARGEST_MESSAGE + 1))
            assert closed(wire)[0] == 1009
            assert ended(theirs)


def test_a_large_message_is_refused_whatever_the_server_lets_in(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "LARGEST_MESSAGE", 100)
    with listener() as (door.screen, listening), door.enter() as wire, listening.accept()[0]:
        wire.send(bytes(101))
        assert closed(wire) == (1009, "At most 100 bytes at a time")


def test_a_browser_that_does_not_read_holds_the_screen_back(door: Door) -> None:
    """What the screen sends waits in the sockets' own buffers, and does not pile up in this process."""
    most, sent = 100 << 20, 0
    unread = {"max_queue": 1, "compression": None, "close_timeout": 0.1}
    with listener() as (door.screen, listening), door.enter(**unread), listening.accept()[0] as theirs:
        theirs.settimeout(1)
        try:
            while sent < most:
                sent += theirs.send(bytes(1 << 20))
        except TimeoutError:
            pass
    assert sent < most


def test_idle_connections_end_and_asking_for_pictures_is_idle(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "IDLE_SECONDS", 0.3)
    asking = b"\x03\x01" + bytes(8)
    with listener() as (door.screen, listening), door.enter() as wire, listening.accept()[0] as theirs:
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.02):
                try:
                    wire.send(asking)
                except ConnectionClosed:
                    return

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            assert closed(wire) == (1001, "Nobody has used it for a while")
        finally:
            stop.set()
            thread.join()
        assert theirs.recv(10) == asking


@pytest.mark.parametrize(
    ("data", "only"),
    [
        (b"\x03\x01" + bytes(8), True),
        ((b"\x03\x00" + bytes(8)) * 3, True),
        (b"\x04\x01\0\0\0\0\0a", False),
        (b"\x05\x01\0\0\0\0", False),
        (b"\x03\x01" + bytes(8) + b"\x05\x01\0\0\0\0" + bytes(4), False),
    ],
)
def test_what_counts_as_somebody_being_there(data: bytes, only: bool) -> None:
    assert console._only_asks(data) is only


def test_who_may_not_go_on_is_cut_off(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "RECHECK_SECONDS", 0.05)
    signed_in = threading.Event()
    signed_in.set()
    door.still = lambda _: signed_in.is_set()
    with door.enter() as wire:
        viewer = viewer_of(wire).open(password(door))
        assert len(viewer.look().getcolors(1 << 20) or ()) > 50
        signed_in.clear()
        code, reason = closed(wire)
        assert (code, reason[:22]) == (1008, "You are not signed in ")


def test_no_password_in_any_log(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        with door.enter() as wire:
            viewer_of(wire).open(password(door)).look()
        with door.enter() as wire, pytest.raises(Refused):
            viewer_of(wire).open(password(door))
    assert password(door) not in caplog.text
    assert repr(password(door).encode()) not in caplog.text


def test_the_server_stops_although_somebody_looks(door: Door) -> None:
    with door.enter() as wire:
        viewer_of(wire).open(password(door)).look()
        door.stop()
        assert closed(wire)[0] in (1001, 1012)
