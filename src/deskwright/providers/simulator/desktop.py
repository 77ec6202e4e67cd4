"""The picture that a simulated machine shows: a calm desktop that says what it is, and answers to keyboard and mouse.

Drawing is a function of what is known of the machine (`Facts`), what was done at its screen (`Shown`) and the time.
"""

import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache

from PIL import Image, ImageDraw, ImageFont

from deskwright.providers.simulator.machine import Facts

WIDTH, HEIGHT = 1024, 640
LONGEST_LINE = 48
_LINES = 6
_LONGEST_FACT = 56

_SKY, _GROUND = (24, 49, 83), (58, 110, 140)
_WINDOW, _TITLE, _TEXT, _QUIET = (247, 249, 251), (226, 233, 240), (27, 38, 49), (84, 98, 113)
_TERMINAL, _TYPED, _SAID = (20, 26, 33), (232, 238, 243), (143, 188, 160)
_BAR, _ON_BAR = (15, 27, 42), (226, 233, 240)

_BACKSPACE, _RETURN, _ENTER, _ESCAPE, _DELETE = 0xFF08, 0xFF0D, 0xFF8D, 0xFF1B, 0xFFFF
_CONTROL, _ALT = frozenset({0xFFE3, 0xFFE4}), frozenset({0xFFE9, 0xFFEA})
_UNICODE = 0x01000000

_POINTER = ((0, 0), (0, 17), (4, 13), (7, 19), (10, 18), (7, 12), (12, 12))


@dataclass(frozen=True)
class Shown:
    """What was done at the screen so far."""

    said: tuple[str, ...] = ()
    """Finished lines of the terminal, the last few."""
    typed: str = ""
    held: frozenset[int] = frozenset()
    """Ctrl and Alt keys (keysyms) that are down."""
    pointer: tuple[int, int] = (WIDTH * 3 // 4, HEIGHT // 3)
    pressed: bool = False

    def key(self, down: bool, keysym: int) -> "Shown":
        """After a key went down or up; `keysym` as in X11."""
        if keysym in _CONTROL | _ALT:
            return replace(self, held=self.held | {keysym} if down else self.held - {keysym})
        if not down:
            return self
        if self.held & _CONTROL and self.held & _ALT:
            return self._say("Ctrl+Alt+Delete was pressed") if keysym == _DELETE else self
        if self.held:
            return self
        if keysym in (_RETURN, _ENTER):
            answer = ("Nothing runs on a simulated Cloud PC, but what you typed arrived.",) if self.typed else ()
            return replace(self, typed="")._say(f"> {self.typed}", *answer)
        if keysym in (_BACKSPACE, _ESCAPE):
            return replace(self, typed=self.typed[:-1] if keysym == _BACKSPACE else "")
        character = _character(keysym)
        return replace(self, typed=self.typed + character) if len(self.typed) < LONGEST_LINE else self

    def point(self, x: int, y: int, pressed: bool) -> "Shown":
        """After the pointer was moved, or a button pressed or let go."""
        return replace(self, pointer=(min(x, WIDTH - 1), min(y, HEIGHT - 1)), pressed=pressed)

    def _say(self, *lines: str) -> "Shown":
        return replace(self, said=(*self.said, *lines)[-_LINES:])


def draw(facts: Facts, shown: Shown, at: datetime) -> Image.Image:
    """The screen, RGB, at the real time `at`."""
    minute = (at + facts.ahead).replace(second=0, microsecond=0)
    image = _still(facts, shown.said, shown.typed, minute).copy()
    x, y = shown.pointer
    fill = (255, 204, 77) if shown.pressed else (255, 255, 255)
    ImageDraw.Draw(image).polygon([(x + dx, y + dy) for dx, dy in _POINTER], fill=fill, outline=(0, 0, 0))
    return image


def _character(keysym: int) -> str:
    """What a key prints: nothing for those that only move or switch something."""
    code = keysym - _UNICODE if keysym >= _UNICODE else keysym if keysym <= 0xFF else 0
    character = chr(code) if 0 < code <= 0x10FFFF else ""
    return character if character.isprintable() else ""


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@cache
def _background() -> Image.Image:
    """From dark above to lighter below."""
    mask = Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    return Image.composite(Image.new("RGB", mask.size, _GROUND), Image.new("RGB", mask.size, _SKY), mask)


@lru_cache(maxsize=8)
def _still(facts: Facts, said: tuple[str, ...], typed: str, minute: datetime) -> Image.Image:
    """All but the pointer, which moves often and alone."""
    image = _background().copy()
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((64, 48, 960, 330), 12, fill=_WINDOW)
    pen.rounded_rectangle((64, 48, 960, 92), 12, fill=_TITLE, corners=(True, True, False, False))
    pen.text((88, 58), "This is a simulated Cloud PC", fill=_TEXT, font=_font(20))
    pen.text((88, 110), _line(facts.device, 32), fill=_TEXT, font=_font(44))
    for row, (name, value) in enumerate((("User", facts.user), ("Plan", facts.plan), ("Address", facts.address))):
        pen.text((90, 188 + row * 42), name, fill=_QUIET, font=_font(18))
        pen.text((200, 186 + row * 42), _line(value or "none", _LONGEST_FACT), fill=_TEXT, font=_font(20))
    pen.rounded_rectangle((64, 354, 960, 572), 12, fill=_TERMINAL)
    for row, text in enumerate(said):
        pen.text((88, 370 + row * 28), _plain(text), fill=_SAID, font=_font(18))
    entry = _plain(f"> {typed}")
    at = (88, 370 + len(said) * 28)
    pen.text(at, entry, fill=_TYPED, font=_font(18))
    end = at[0] + int(pen.textlength(entry, font=_font(18))) + 3
    pen.rectangle((end, at[1] + 1, end + 9, at[1] + 20), fill=_TYPED)
    if not said and not typed:
        pen.text((end + 20, at[1]), "Type something and press Enter", fill=_QUIET, font=_font(18))
    pen.rectangle((0, HEIGHT - 44, WIDTH, HEIGHT), fill=_BAR)
    pen.text((24, HEIGHT - 34), "Deskwright simulator", fill=_ON_BAR, font=_font(18))
    pen.text((WIDTH - 24, HEIGHT - 34), f"{minute:%H:%M   %Y-%m-%d} UTC", fill=_ON_BAR, font=_font(18), anchor="ra")
    return image


def _plain(text: str) -> str:
    """Letters without their accents: the font that comes with Pillow has none."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _line(text: str, longest: int) -> str:
    """One line, whatever it holds."""
    flat = "".join(c if c.isprintable() else " " for c in _plain(text))
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"
