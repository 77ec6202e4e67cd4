"""What people are told about their Cloud PC, and in which words.

A notice is one thing that happened to one Cloud PC. As a mail it is a letter to its user, over a webhook an event.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    READY = "ready"
    GRACE = "grace"
    GRACE_48H = "grace48h"
    GRACE_24H = "grace24h"
    STATUS = "statusChanged"
    """Over a webhook only, in the transaction that changes the status; people are told by the others."""


class Channel(StrEnum):
    MAIL = "mail"
    WEBHOOK = "webhook"


EVENT_TYPES: Mapping[Kind, str] = {
    Kind.READY: "deskwright.cloudPC.ready",
    Kind.GRACE: "deskwright.cloudPC.gracePeriodBegan",
    Kind.GRACE_48H: "deskwright.cloudPC.gracePeriodEndsIn48Hours",
    Kind.GRACE_24H: "deskwright.cloudPC.gracePeriodEndsIn24Hours",
    Kind.STATUS: "deskwright.cloudPC.statusChanged",
}
"""A notice's type as a CloudEvent."""

REMINDERS: Mapping[Kind, timedelta] = {Kind.GRACE_48H: timedelta(hours=48), Kind.GRACE_24H: timedelta(hours=24)}
"""How long before the end of grace people are reminded (R9)."""

TRIES = 8
_PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))


def pause_after(tries: int) -> timedelta | None:
    """How long to wait after so many tries (1 and more) that failed; None: it is given up."""
    return None if tries >= TRIES else _PAUSES[min(tries, len(_PAUSES)) - 1]


@dataclass(frozen=True)
class Letter:
    """A mail's words, without its form."""

    subject: str
    paragraphs: tuple[str, ...]
    link_text: str
    link: str


@dataclass(frozen=True)
class About:
    """Whom and what a letter is about."""

    person: str
    cloud_pc: str
    portal: str
    ends_at: datetime | None = None
    """When the grace period ends."""


def letter(kind: Kind, about: About) -> Letter:
    """The mail to the Cloud PC's user."""
    name, hello = plain(about.cloud_pc), f"Hello {plain(about.person)},"
    subject, said = _LETTERS[kind](name, "" if about.ends_at is None else moment(about.ends_at))
    return Letter(subject, (hello, *said), "Open the portal", about.portal)


def _ready(name: str, _: str) -> tuple[str, tuple[str, ...]]:
    return f"Your Cloud PC is ready: {name}", (
        f"your Cloud PC “{name}” is ready. You can work with it now.",
        "What to do: open the portal, sign in and choose Connect.",
    )


def _grace(name: str, ends: str) -> tuple[str, tuple[str, ...]]:
    return f"Your Cloud PC will be removed: {name}", (
        f"the licence or the group by which you have the Cloud PC “{name}” was taken away. "
        f"You can go on working with it until {ends}. Then it is removed with everything on it.",
        "What to do: if you still need it, ask your administrator before that time; nothing is lost then. "
        "If you do not, copy the files you want to keep to another place.",
    )


def _reminder(days: str) -> Callable[[str, str], tuple[str, tuple[str, ...]]]:
    def words(name: str, ends: str) -> tuple[str, tuple[str, ...]]:
        return f"Your Cloud PC will be removed {days}: {name}", (
            f"your Cloud PC “{name}” will be removed on {ends}, with everything on it.",
            "What to do: copy the files you want to keep to another place. If you still need the Cloud PC, "
            "ask your administrator before that time.",
        )

    return words


_LETTERS: Mapping[Kind, Callable[[str, str], tuple[str, tuple[str, ...]]]] = {
    Kind.READY: _ready,
    Kind.GRACE: _grace,
    Kind.GRACE_48H: _reminder("in two days"),
    Kind.GRACE_24H: _reminder("within a day"),
}


def invitation(person: str, user_principal_name: str, link: str, ends_at: datetime) -> Letter:
    """The mail that brings a one-time link."""
    return Letter(
        "Choose your password for Deskwright",
        (
            f"Hello {plain(person)},",
            f"you are invited to Deskwright, where your Cloud PCs are. Your user name is {plain(user_principal_name)}.",
            f"What to do: open this link and choose your password. It works once, until {moment(ends_at)}.",
            "If you did not expect this mail, leave it alone: nothing happens without the link.",
        ),
        "Choose your password",
        link,
    )


def moment(at: datetime) -> str:
    """``Saturday, 28 November 2026, 11:50 UTC``: nobody here knows where the reader is."""
    at = at.astimezone(UTC)
    return f"{at:%A}, {at.day} {at:%B %Y}, {at:%H:%M} UTC"


def plain(text: str, longest: int = 120) -> str:
    """A name on one line: no line breaks, no invisible or direction-changing characters, not too long."""
    seen = "".join(c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"))
    return seen if len(seen) <= longest else f"{seen[: longest - 1]}…"
