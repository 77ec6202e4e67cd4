"""The words of what people are told (R9, R16)."""

from datetime import UTC, datetime, timedelta

import pytest

from deskwright.domain.notices import EVENT_TYPES, REMINDERS, TRIES, About, Kind, letter, moment, pause_after, plain

ENDS = datetime(2026, 11, 28, 11, 50, tzinfo=UTC)
ABOUT = About("Adele Vance", "Desktops - Adele Vance", "https://desktops.contoso.com/portal", ENDS)


LETTERS = [kind for kind in Kind if kind is not Kind.STATUS]


@pytest.mark.parametrize("kind", LETTERS)
def test_every_letter_says_what_happened_what_to_do_and_where(kind: Kind) -> None:
    written = letter(kind, ABOUT)
    said = " ".join(written.paragraphs)
    assert "Desktops - Adele Vance" in written.subject
    assert said.startswith("Hello Adele Vance,")
    assert "What to do:" in said
    assert written.link == ABOUT.portal
    assert ("Saturday, 28 November 2026, 11:50 UTC" in said) == (kind is not Kind.READY)


def test_kinds_events_and_reminders_are_one_list() -> None:
    assert set(EVENT_TYPES) == set(Kind)
    assert len(set(EVENT_TYPES.values())) == len(Kind)
    assert list(REMINDERS.values()) == [timedelta(hours=48), timedelta(hours=24)], "R9"
    assert len({letter(kind, ABOUT).subject for kind in LETTERS}) == len(LETTERS)


def test_pauses_get_longer_and_end() -> None:
    pauses = [pause_after(n) for n in range(1, TRIES + 1)]
    assert [p.total_seconds() / 60 for p in pauses if p] == [1, 5, 30, 30, 30, 30, 30]
    assert pauses[-1] is None
    assert pause_after(TRIES + 5) is None


def test_a_moment_is_told_in_utc() -> None:
    there = ENDS.astimezone(tz=datetime.strptime("+0530", "%z").tzinfo)
    assert moment(there) == "Saturday, 28 November 2026, 11:50 UTC"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Adele\r\nBcc: all@contoso.com", "Adele Bcc: all@contoso.com"),
        ("  A \t B ", "A B"),
        ("abc\u202edef\u2066", "abcdef"),
        ("a\x00b\x7fc", "abc"),
        ("<b>&amp;", "<b>&amp;"),
        ("a" * 200, "a" * 119 + "…"),
        ("", ""),
    ],
)
def test_a_name_is_one_plain_line(name: str, shown: str) -> None:
    assert plain(name) == shown
