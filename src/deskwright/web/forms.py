"""What browsers send: reading it, within limits, and its fields as pages ask for them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message, Receive

from deskwright.domain.rules import Refused

LARGEST_UPLOAD = 5 * 1024 * 1024
_SECONDS = 30.0
_TOO_LARGE = f"What was sent is larger than {LARGEST_UPLOAD // 1024 // 1024} MB."


class Unreadable(Exception):
    """The form cannot be read; the text is for the person."""


@dataclass(frozen=True)
class Form:
    """What a browser sent, in its order; files apart."""

    fields: Sequence[tuple[str, str]] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """The last value with that name, without surrounding blanks: a form without JavaScript sends hidden defaults
        before the boxes that override them."""
        found = self.all(name)
        return found[-1] if found else default

    def all(self, name: str) -> list[str]:
        return [v.strip() for n, v in self.fields if n == name]

    def some(self, name: str) -> list[str]:
        """The values that are not empty, each once."""
        return list(dict.fromkeys(v for v in self.all(name) if v))

    def flag(self, name: str) -> bool:
        return self.get(name).lower() in ("true", "on", "1", "yes")

    def whole(self, name: str) -> int | None:
        """A whole number; None where nothing was entered. Raises Refused."""
        text = self.get(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise Refused(name, text[:60], "must be a whole number") from None

    def number(self, name: str) -> float | None:
        """A number; None where nothing was entered. Raises Refused."""
        text = self.get(name).replace(",", ".")
        if not text:
            return None
        try:
            found = float(text)
        except ValueError:
            raise Refused(name, text[:60], "must be a number") from None
        if found != found or abs(found) == float("inf"):
            raise Refused(name, text[:60], "must be a number")
        return found

    def __contains__(self, name: object) -> bool:
        return any(n == name for n, _ in self.fields)


async def read(request: Request) -> Form:
    """What a browser has sent. Raises Unreadable, and ClientDisconnect."""
    told_length = request.headers.get("content-length", "0")
    if not told_length.isdecimal() or len(told_length) > 18 or int(told_length) > LARGEST_UPLOAD:
        raise Unreadable(_TOO_LARGE)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data", ""):
        raise Unreadable("Only forms are read here.")
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    try:
        async with (
            asyncio.timeout(_SECONDS),
            Request(request.scope, _at_most(request.receive)).form(
                max_files=4, max_fields=5000, max_part_size=LARGEST_UPLOAD
            ) as sent,
        ):
            for name, value in sent.multi_items():
                if isinstance(value, UploadFile):
                    files[name] = await value.read(LARGEST_UPLOAD)
                else:
                    fields.append((name, value))
    except TimeoutError:
        raise Unreadable("The form took too long to come.") from None
    except (MultiPartException, HTTPException, ValueError) as bad:
        raise Unreadable("The form is not valid.") from bad
    if any("\0" in n or "\0" in v or not _storable(v) for n, v in fields):
        raise Unreadable("The form has characters that no text may have.")
    return Form(tuple(fields), files)


def _at_most(receive: Receive) -> Receive:
    """No more than `LARGEST_UPLOAD` bytes, also where no length was told. Raises Unreadable."""
    left = LARGEST_UPLOAD

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise Unreadable(_TOO_LARGE)
        return message

    return limited


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
