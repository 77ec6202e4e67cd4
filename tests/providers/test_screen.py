"""The simulated machine's screen: what a viewer sees and does there, and whom it lets in."""

import io
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image, ImageChops

from deskwright.domain.resources import Kind
from deskwright.providers import rfb
from deskwright.providers.contract import Screen
from deskwright.providers.simulator import desktop, screen
from deskwright.providers.simulator.desktop import Shown
from deskwright.providers.simulator.machine import Facts
from deskwright.providers.simulator.pixels import PixelFormat, Unsupported
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.providers.conformance import Outside
from tests.providers.test_simulator import outside_of
from tests.providers.viewer import ALT, CONTROL, DELETE, RETURN, Refused, Viewer, answer, connected, seen

FACTS = Facts("CPC-ADELE-7KQ2M", "adele@contoso.com", "Enterprise 2vCPU/8GB/128GB", "10.20.0.2", timedelta(0))
AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def outside(database: Database, tenant: Tenant) -> Outside:
    return outside_of(database, tenant)


def opened(machine: str = "m") -> Screen:
    return screen.opened(machine, lambda: FACTS)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def colours(image: Image.Image) -> int:
    return len(image.getcolors(maxcolors=1 << 24) or ())


def read(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert (image.format, image.mode) == ("PNG", "RGB")
    return image


def differs(a: Image.Image, b: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(a, b).getbbox()


# --- looking and working ------------------------------------------------------------------------------


def test_a_viewer_sees_its_machine(outside: Outside) -> None:
    vm = outside.vm()
    with seen(outside.providers.compute.screen(outside.call("screen"), vm)) as viewer:
        assert viewer.name == "CPC-ADELE-TEST1"
        assert viewer.picture.size == (desktop.WIDTH, desktop.HEIGHT)
        assert colours(viewer.look()) > 50


def test_a_screenshot_is_what_a_viewer_sees(outside: Outside) -> None:
    vm, call, compute = outside.vm(), outside.call("screen"), outside.providers.compute
    fresh = compute.screenshot(call, vm)
    with seen(compute.screen(call, vm)) as viewer:
        viewer.look()
        viewer.ask()
        viewer.type("x")
        viewer.update()
        # Again, where the minute has changed between the two.
        until(lambda: not differs(read(compute.screenshot(call, vm)), viewer.look()))
        assert differs(read(fresh), viewer.picture)


def test_typing_shows_and_sends_only_what_changed() -> None:
    with seen(opened()) as viewer:
        before = viewer.look()
        viewer.ask()
        viewer.type("a")
        ((_, _, width, height),) = viewer.update()
        assert width * height < before.width * before.height / 4
        assert differs(before, viewer.picture)


def test_two_who_look_at_one_machine_see_the_same_and_another_machine_nothing_of_it() -> None:
    with seen(opened("one")) as adele, seen(opened("one")) as admin, seen(opened("two")) as stranger:
        for viewer in (adele, admin, stranger):
            viewer.look()
            viewer.point(5, 5)
        untouched = stranger.look()
        admin.ask()
        adele.type("hello")
        admin.update()
        adele.press(RETURN)
        until(lambda: differs(adele.look(), untouched) is not None and not differs(adele.look(), admin.look()))
        assert not differs(stranger.look(), untouched)


def test_the_pointer_moves() -> None:
    with seen(opened()) as viewer:
        before = viewer.look()
        viewer.ask()
        viewer.point(500, 600, buttons=1)
        viewer.update()
        box = differs(before, viewer.look())
        assert box
        assert box[3] > 600


def test_a_machine_that_is_switched_off_goes_dark(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_LOOK_SECONDS", 0.05)
    vm, compute = outside.vm(), outside.providers.compute
    with seen(compute.screen(outside.call("screen"), vm)) as viewer:
        viewer.look()
        compute.power(outside.call("R3"), vm, False)
        with pytest.raises(EOFError):
            viewer.receive(1)
    compute.power(outside.call("R2"), vm, True)
    with seen(compute.screen(outside.call("screen"), vm)) as viewer:
        compute.release(Kind.VM, outside.call("C2").key(Kind.VM))
        with pytest.raises(EOFError):
            viewer.receive(1)


# --- whom it lets in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "wrong", "12345678", "\x00" * 8])
def test_a_wrong_password_is_refused(password: str) -> None:
    with connected(opened()) as viewer, pytest.raises(Refused, match="password is wrong"):
        viewer.open(password)


def test_a_secret_opens_once() -> None:
    one = opened()
    with seen(one) as viewer:
        assert colours(viewer.look()) > 50
        with pytest.raises(Refused, match="used already"), seen(one):
            pass
    with pytest.raises(Refused), seen(one):
        pass


def test_each_asking_gives_another_secret_and_each_opens_its_own_machine() -> None:
    other = replace(FACTS, device="CPC-OTHER")
    first, second = opened("one"), screen.opened("two", lambda: other)
    assert first.password != second.password
    assert (len(first.password), first.port) == (8, second.port)
    assert first.password not in repr(first)
    with seen(second) as viewer:
        assert viewer.name == "CPC-OTHER"
    with seen(first) as viewer:
        assert viewer.name == FACTS.device


def test_a_secret_is_forgotten_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "SECRET_SECONDS", -1.0)
    late = opened()
    with pytest.raises(Refused, match="too old"), seen(late):
        pass
    opened()
    assert late.password not in screen._openings


def test_unused_secrets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "_MOST_SECRETS", 3)
    first = opened()
    last = [opened() for _ in range(3)]
    assert len(screen._openings) == 3
    with pytest.raises(Refused), seen(first):
        pass
    with seen(last[0]):
        pass


def test_there_are_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "MOST_CONNECTIONS", 2)
    with ExitStack() as held:
        viewers: list[Viewer] = []
        for _ in range(2):  # those of the test before may still be leaving
            until(lambda: let_in(held, viewers))
        with pytest.raises(Refused, match="2 screens are open already"), seen(opened()):
            pass
        assert [colours(viewer.look()) > 50 for viewer in viewers] == [True, True]
    with ExitStack() as later:
        until(lambda: let_in(later, viewers))


def let_in(held: ExitStack, viewers: list[Viewer]) -> bool:
    try:
        viewers.append(held.enter_context(seen(opened())))
    except (Refused, EOFError):
        return False
    return True


# --- those who mean harm ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"RFB 003.003\n", b"\xff" * 100_000, b"RFB 003.008\n\x01", b"RFB 003.008\n\x02"],
    ids=["nothing", "http", "3.3", "bytes", "no authentication", "half"],
)
def test_garbage_before_the_handshake_only_ends_its_own_connection(
    garbage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "_HANDSHAKE_SECONDS", 0.2)
    with connected(opened()) as viewer:
        with suppress(ConnectionError):
            viewer.send(garbage)
        with suppress(EOFError):
            while viewer.receive(1):  # ends by EOFError, or by the time-out of the socket, which fails the test
                pass
    monkeypatch.undo()
    with seen(opened()) as viewer:
        assert colours(viewer.look()) > 50


@pytest.mark.parametrize(
    "message",
    [
        b"\xfa" * 1000,
        struct.pack(">BxxxI", 6, 0xFFFFFFFF),
        struct.pack(">BxxxBBBBHHHBBBxxx", 0, 8, 8, 0, 0, 255, 255, 255, 0, 0, 0),
        struct.pack(">BxxxBBBBHHHBBBxxx", 0, 24, 24, 0, 1, 255, 255, 255, 0, 8, 16),
        struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 65535, 65535, 65535, 200, 200, 200),
    ],
    ids=["unknown", "4 GiB of text", "colour map", "24 bits", "shifted away"],
)
def test_garbage_after_the_handshake_only_ends_its_own_connection(message: bytes) -> None:
    with seen(opened()) as good, seen(opened()) as bad:
        with suppress(ConnectionError):
            bad.send(message)
        with pytest.raises(EOFError):
            bad.receive(1)
        assert colours(good.look()) > 50


def test_odd_but_lawful_messages_are_borne() -> None:
    with seen(opened()) as viewer:
        viewer.send(struct.pack(">BxH", 2, 65535) + b"\xff" * 4 * 65535)
        viewer.send(struct.pack(">BxxxI", 6, 3) + b"abc")
        viewer.send(struct.pack(">BBHHHH", 3, 0, 65535, 65535, 65535, 65535))  # nothing of the screen
        viewer.point(65535, 65535, buttons=255)
        viewer.press(0xFFFFFFFF, 0, 0x01110000, 0x0100D800, 0x0101F600)
        viewer.send(struct.pack(">BBHHHH", 3, 0, 1000, 600, 65535, 65535))  # more than there is
        assert viewer.update() == [(1000, 600, 24, 40)]


# --- what is drawn ------------------------------------------------------------------------------------


def typed(text: str, shown: Shown | None = None) -> Shown:
    shown = shown or Shown()
    for character in text:
        shown = shown.key(True, ord(character)).key(False, ord(character))
    return shown


@pytest.mark.parametrize("name", ["device", "user", "plan", "address"])
def test_the_picture_tells_each_fact(name: str) -> None:
    before = desktop.draw(FACTS, Shown(), AT)
    changed = Facts(**{**vars(FACTS), name: "another"})
    assert differs(before, desktop.draw(changed, Shown(), AT))
    assert not differs(before, desktop.draw(FACTS, Shown(), AT + timedelta(seconds=29)))


def test_r5_the_picture_shows_the_tenants_clock() -> None:
    """R5"""
    before = desktop.draw(FACTS, Shown(), AT)
    ahead = desktop.draw(replace(FACTS, ahead=timedelta(days=7)), Shown(), AT)
    assert differs(before, ahead)
    assert not differs(ahead, desktop.draw(FACTS, Shown(), AT + timedelta(days=7)))


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "‮resu", "😀" * 255, "a\r\nb\x00c", "\ud800", ""])
def test_hostile_names_are_drawn(hostile: str) -> None:
    facts = Facts(hostile, hostile, hostile, hostile, timedelta(0))
    assert desktop.draw(facts, Shown(), AT).size == (desktop.WIDTH, desktop.HEIGHT)


def test_keys_do_what_they_say() -> None:
    shown = typed("abc").key(True, 0xFF08)
    assert shown.typed == "ab"
    assert shown.key(True, 0xFF1B).typed == ""
    said = shown.key(True, RETURN)
    assert (said.typed, said.said[0]) == ("", "> ab")
    assert len(typed("a" * 500).typed) == desktop.LONGEST_LINE
    for _ in range(20):
        said = said.key(True, RETURN)
    assert len(said.said) == 6


def test_ctrl_alt_delete_arrives_and_shortcuts_type_nothing() -> None:
    shown = Shown().key(True, CONTROL).key(True, ord("c"))
    assert shown.typed == ""
    shown = shown.key(True, ALT).key(True, DELETE)
    assert shown.said == ("Ctrl+Alt+Delete was pressed",)
    for key in (DELETE, ALT, CONTROL):
        shown = shown.key(False, key)
    assert typed("c", shown).typed == "c"


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("shifts", [(0, 8, 16), (16, 8, 0), (8, 16, 24), (24, 16, 8), (16, 0, 8)])
def test_pixels_of_32_bits(shifts: tuple[int, int, int], big: bool) -> None:
    format_ = PixelFormat(32, 24, big, (255, 255, 255), shifts)
    (value,) = struct.unpack(">I" if big else "<I", format_.encoded(Image.new("RGB", (1, 1), (10, 20, 30))))
    assert tuple(value >> s & 255 for s in shifts) == (10, 20, 30)
    assert PixelFormat.unpacked(format_.packed) == format_


def test_pixels_of_fewer_bits() -> None:
    image = Image.new("RGB", (3, 2), (255, 128, 0))
    high = PixelFormat(16, 16, False, (31, 63, 31), (11, 5, 0))
    assert struct.unpack("<6H", high.encoded(image)) == (31 << 11 | 31 << 5,) * 6
    assert struct.unpack(">6H", replace(high, big_endian=True).encoded(image)) == (31 << 11 | 31 << 5,) * 6
    assert PixelFormat(8, 8, False, (7, 7, 3), (0, 3, 6)).encoded(image) == bytes([7 | 3 << 3]) * 6
    with pytest.raises(Unsupported):
        PixelFormat.unpacked(replace(high, bits=12).packed)


def test_the_servers_answer_is_the_one_other_viewers_give() -> None:
    """By a value that does not come from this repository's code: DES of eight zeros under a key of zeros."""
    assert rfb.response(bytes(16), "\0" * 8) == bytes.fromhex("8ca64de9c1b123a7") * 2
    for secret in ("aB3-_xYz", "short"):
        assert rfb.response(b"0123456789abcdef", secret) == answer(b"0123456789abcdef", secret)


def test_a_viewer_who_goes_away_in_the_middle_leaves_nothing() -> None:
    machine = "left alone"
    with seen(opened(machine)) as viewer:
        viewer.look()
        assert machine in screen._desks
        viewer.press(CONTROL)
        viewer.ask(incremental=False)
    until(lambda: machine not in screen._desks)
