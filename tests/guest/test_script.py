"""From actions to a script, quoting, and what of a guest's output may be told."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskwright.guest import linux
from deskwright.guest.actions import CreateAccount, EnableAccount, RunCommand
from deskwright.guest.script import script_for, told

SECRET = "Xy7'pQ9-mN2z"


@pytest.mark.parametrize("os_family", ["windows", "linux"])
def test_a_secret_is_in_no_argument_and_no_repr(os_family: str) -> None:
    script = script_for(os_family, [CreateAccount("adele"), EnableAccount("adele", SECRET)])
    assert SECRET not in " ".join(script.interpreter)
    assert SECRET not in repr(script)
    assert script.secrets[0] == SECRET
    quoted = next(line for line in script.text.splitlines() if "nable" in line and "adele" in line)
    assert told(f"line 3: {quoted}", script.secrets).count("••••••") == 1
    assert "mN2z" not in told(f"line 3: {quoted}", script.secrets)


def test_an_unknown_family_and_no_actions() -> None:
    with pytest.raises(ValueError, match="'plan9'; there are: linux, windows"):
        script_for("plan9", [CreateAccount("adele")])
    with pytest.raises(ValueError, match="at least one action"):
        script_for("linux", [])


def through_sh(values: list[str]) -> list[bytes]:
    """The values as sh gives them back: with their lengths, since a value may hold any character."""
    text = "".join(f"printf '%s\\0' {linux.quoted(value)}\n" for value in values)
    done = subprocess.run(("/bin/sh", "-s"), input=text.encode(), capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
    return done.stdout.split(b"\0")[:-1]


ANY_TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(ANY_TEXT, st.text("'\"\\$`()\n\r\t;&|<>*?[]#~! éa-")), max_size=20))
def test_sh_gives_back_what_was_quoted(values: list[str]) -> None:
    assert through_sh(values) == [value.encode() for value in values]


def test_every_byte_that_utf8_has() -> None:
    """Debian's sh marks its own states by bytes above 128, which it must not take from a value."""
    values = [chr(code) for code in range(1, 0x900)]
    assert through_sh(values) == [value.encode() for value in values]


def test_a_command_is_run_as_it_was_given() -> None:
    command = "printf '%s|' \"it's\" '$HOME' `echo a`; # x\necho \\\\"
    script = script_for("linux", [RunCommand(command, command)])
    done = subprocess.run(script.interpreter, input=script.text, capture_output=True, text=True, check=True)
    assert done.stdout == f"{command}: it's|$HOME|a|\\\n"


def test_told_keeps_head_and_tail() -> None:
    shown = told("A" * 3000 + "middle" + "Z" * 3000, (), 1000)
    assert len(shown) <= 1000
    assert shown.startswith("AAAA")
    assert shown.endswith("ZZZZ")
    kept = shown.count("A") + shown.count("Z")
    assert f"\n[{6006 - kept} characters left out]\n" in shown
    assert told("x" * 1000, (), 1000) == "x" * 1000
    with pytest.raises(ValueError, match="at least 100"):
        told("x", (), 99)


def test_told_masks_before_it_cuts() -> None:
    for shift in range(200):
        text = "." * shift + SECRET + "." * 400
        shown = told(text, [SECRET], 100)
        assert not any(SECRET[at : at + 4] in shown for at in range(len(SECRET) - 3))


@pytest.mark.parametrize("between", ["\n", "\r\n", "\n    ", "\x1b[31m", "\0", "\u200b", "\x08", "\u202e"])
def test_told_masks_what_is_broken_up(between: str) -> None:
    """PowerShell wraps its messages at the console's width; a terminal's signs stand in between."""
    assert told(f"a {SECRET[:5]}{between}{SECRET[5:]} b", [SECRET]) == "a •••••• b"


def test_told_masks_the_longer_of_two() -> None:
    assert told("abcdef abc", ["abc", "abcdef", ""]) == "•••••• ••••••"


def test_told_is_plain_text() -> None:
    raw = "\ufeff\x1b]0;title\x07\x1b[1;31mred\x1b[0m\ttab\r\nnext\rlast\x07\u202eevil\u2028\x9b1m\x00\n"
    assert told(raw, []) == "red tab\nnext\nlastevil1m"


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.text("abcXYZ019'$-", min_size=8, max_size=20),
    st.integers(100, 300),
)
def test_told_never_tells_a_secret(before: str, after: str, secret: str, longest: int) -> None:
    shown = told(before + secret + after, [secret], longest)
    assert secret not in shown
    assert len(shown) <= longest
    assert all(c == "\n" or c.isprintable() or c.isspace() for c in shown)
