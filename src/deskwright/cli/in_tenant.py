"""What the object commands share: working inside one tenant, and saying what was done."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from deskwright.cli.output import out, print_json, refusals
from deskwright.cli.session import Session, open_session
from deskwright.operations.change import TenantRef
from deskwright.operations.named import LARGEST_PAGE, Item, Noun, cursor
from deskwright.store.database import Database

LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="Print at most this many; unset: all of them.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


@dataclass(frozen=True)
class Here:
    """The open session and the tenant a command is about."""

    session: Session
    tenant: TenantRef

    @property
    def database(self) -> Database:
        return self.session.database

    @property
    def actor(self) -> str:
        return self.session.actor


@contextmanager
def in_installation() -> Iterator[Session]:
    """Open this machine's installation; a refusal is printed and ends the command with 1."""
    with refusals(), open_session() as session:
        yield session


@contextmanager
def in_tenant(name: str | None) -> Iterator[Here]:
    """The same, inside the tenant named or the only one there is."""
    with in_installation() as session:
        yield Here(session, session.tenant(name))


def everything(noun: Noun, page: Callable[[str | None, int], list[Item]], limit: int | None) -> list[Item]:
    """All pages of a list, or its first `limit` objects."""
    found: list[Item] = []
    after: str | None = None
    while limit is None or len(found) < limit:
        size = LARGEST_PAGE if limit is None else min(LARGEST_PAGE, limit - len(found))
        items = page(after, size)
        found += items
        if len(items) < size:
            break
        after = cursor(noun, items[-1])
    return found


def done(item: Any, said: str, *, as_json: bool) -> None:
    """What a change answers: the object for scripts, a sentence for people."""
    if as_json:
        print_json(item)
    else:
        out.print(said, markup=False, highlight=False)


def print_one(item: Mapping[str, Any], *, as_json: bool, leave_out: tuple[str, ...] = ()) -> None:
    """One object: JSON, or a line for each property that has a value."""
    if as_json:
        print_json(item)
        return
    shown = {k: _plain(v) for k, v in item.items() if k not in leave_out and v not in (None, "", [], {})}
    width = max(map(len, shown), default=0)
    for key, value in shown.items():
        out.print(f"{key:<{width}}  {value}", markup=False, highlight=False)


def read_password(from_stdin: bool) -> str:
    """A password is never an argument: the process list and the shell's history would keep it."""
    if from_stdin:
        return typer.get_text_stream("stdin").readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def duration(value: str) -> timedelta:
    """``7d``, ``3h``, ``90m``, ``30s``, or several of them in that order: ``1d12h``."""
    found = _DURATION.fullmatch(value.strip().lower())
    if not found or not any(found.groups()):
        raise typer.BadParameter(f"{value!r}: a duration such as 7d, 3h, 90m, 30s or 1d12h")
    given = {unit: float(n) for unit, n in zip(_UNITS.values(), found.groups(), strict=True) if n}
    try:
        return timedelta(**given)
    except OverflowError as too_long:
        raise typer.BadParameter(f"{value!r} is too long") from too_long


def provider(value: str | None) -> dict[str, Any] | None:
    """A provider's configuration: a kind alone, or JSON such as ``{"kind": "libvirt", "uri": "qemu:///system"}``."""
    if value is None:
        return None
    if not value.lstrip().startswith("{"):
        return {"kind": value}
    try:
        found: dict[str, Any] = json.loads(value)
    except ValueError as wrong:
        raise typer.BadParameter(f"{value!r} is not JSON: {wrong}") from wrong
    return found


def pairs(values: list[str]) -> dict[str, str | None]:
    """``name=value`` options; an empty value means the default again."""
    found: dict[str, str | None] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise typer.BadParameter(f"{value!r}: write name=value")
        found[name.strip()] = text.strip() or None
    return found


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list | tuple):
        between = "; " if any(isinstance(v, Mapping) for v in value) else ", "
        return between.join(_plain(v) for v in value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)
