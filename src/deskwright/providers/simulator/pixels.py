"""Pixels as a viewer wants them (RFC 6143, 7.4): any true-colour format of 8, 16 or 32 bits."""

import struct
import sys
from array import array
from dataclasses import dataclass
from operator import or_

from PIL import Image

_LAYOUT = ">BBBBHHHBBBxxx"
_ORDERS = {(0, 8, 16): "RGBX", (16, 8, 0): "BGRX", (8, 16, 24): "XRGB", (24, 16, 8): "XBGR"}
_CODES = {8: "B", 16: "H", 32: "I"}


class Unsupported(Exception):
    """The viewer wants pixels that are not true-colour, or of another size."""


@dataclass(frozen=True)
class PixelFormat:
    bits: int
    depth: int
    big_endian: bool
    most: tuple[int, int, int]
    """The largest value of red, green and blue."""
    shifts: tuple[int, int, int]
    """By how many bits each stands to the left."""

    @classmethod
    def unpacked(cls, data: bytes) -> "PixelFormat":
        """From the 16 bytes that say it. Raises Unsupported."""
        bits, depth, big, true_colour, *rest = struct.unpack(_LAYOUT, data)
        most, shifts = (rest[0], rest[1], rest[2]), (rest[3], rest[4], rest[5])
        fits = bits in _CODES and all((m << s) >> bits == 0 for m, s in zip(most, shifts, strict=True))
        if not true_colour or not fits:
            raise Unsupported(f"pixels of {bits} bits, maxima {most}, shifts {shifts}, true colour {bool(true_colour)}")
        return cls(bits, depth, bool(big), most, shifts)

    @property
    def packed(self) -> bytes:
        return struct.pack(_LAYOUT, self.bits, self.depth, self.big_endian, 1, *self.most, *self.shifts)

    def encoded(self, image: Image.Image) -> bytes:
        """An RGB image's pixels, row after row."""
        order = self._plain()
        if order:
            return image.tobytes("raw", order)
        red, green, blue = (
            map([value * most // 255 << shift for value in range(256)].__getitem__, band.tobytes())
            for band, most, shift in zip(image.split(), self.most, self.shifts, strict=True)
        )
        pixels = array(_CODES[self.bits], map(or_, map(or_, red, green), blue))
        if self.big_endian != (sys.byteorder == "big"):
            pixels.byteswap()
        return pixels.tobytes()

    def _plain(self) -> str:
        """Pillow's name for the order of bytes, where each colour has one; what browsers and most viewers ask for."""
        if self.bits != 32 or self.most != (255, 255, 255):
            return ""
        red, green, blue = (24 - shift if self.big_endian else shift for shift in self.shifts)
        return _ORDERS.get((red, green, blue), "")


RGBX = PixelFormat(32, 24, False, (255, 255, 255), (0, 8, 16))
"""What the server proposes, and noVNC wants."""
