"""From actions to what a guest agent is told to run, and from what it printed to what a timeline may show."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from deskwright.guest import linux, windows
from deskwright.guest.actions import Action, EnableAccount, JoinDomain, WriteRecord

_SHELLS = {
    "linux": (("/bin/sh", "-s"), linux),
    "windows": (
        ("powershell.exe", "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-Command", "-"),
        windows,
    ),
}
_MASK = "••••••"
_SHORTEST = 100
# A terminal's colours and titles, as whole sequences: without its first character the rest would stay as litter.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


@dataclass(frozen=True)
class Script:
    """What a guest agent is told to run, as root or SYSTEM.

    `interpreter` reads `text` from its standard input, so that no secret stands in a process list. Every action prints
    one line of what it read back; at the first that fails the script ends with another exit code than 0 and one line
    "what: expected X, found Y" on standard error. Exit code 0 without any output means that it never ran (an
    interpreter does that with a text that was cut off): a failure too.
    """

    interpreter: tuple[str, ...]
    text: str = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def script_for(os_family: str, actions: Sequence[Action]) -> Script:
    """The script that does `actions` in order. ValueError: an unknown family ("windows" | "linux"), no actions, or a
    value that the family has no place for (a registry on Linux, an account's name it does not accept)."""
    if os_family not in _SHELLS:
        raise ValueError(f"no scripts for the operating system family {os_family!r}; there are: {', '.join(_SHELLS)}")
    if not actions:
        raise ValueError("a script needs at least one action")
    interpreter, shell = _SHELLS[os_family]
    secrets = [secret for action in actions for secret in _secrets(action)]
    # An interpreter that complains about a line prints it as it stands there, quoted.
    shown = [form for secret in secrets for form in (secret, shell.quoted(secret)[1:-1])]
    return Script(interpreter, shell.text(actions), tuple(dict.fromkeys(shown)))


def _secrets(action: Action) -> tuple[str, ...]:
    match action:
        case EnableAccount(password=password):
            return (password,)
        case WriteRecord(content=content):
            return (content,)
        case JoinDomain(one_time_password=password):
            return (password,)
    return ()


def told(output: str, secrets: Sequence[str], longest: int = 4000) -> str:
    """What of a guest's `output` may stand in a timeline: secrets masked, control characters out, at most `longest`
    characters (at least 100), head and tail with a note of how many were left out between them."""
    if longest < _SHORTEST:
        raise ValueError(f"longest is at least {_SHORTEST} characters, not {longest}")
    text = _masked(_plain(output), secrets).strip()
    if len(text) <= longest:
        return text
    # The note's length depends on its number, which is at most that of the whole text.
    room = longest - len(_note(len(text)))
    head, tail = room - room // 2, room // 2
    return text[:head] + _note(len(text) - head - tail) + text[len(text) - tail :]


def _note(count: int) -> str:
    return f"\n[{count} characters left out]\n"


def _plain(text: str) -> str:
    """Lines end in \\n, tabs are spaces; what is unseen or reorders text (Unicode's categories C and Zl, Zp) is out."""
    text = _TERMINAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(c for c in text if c == "\n" or not _unseen(c))


def _unseen(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] == "C" or category in ("Zl", "Zp")


def _masked(text: str, secrets: Sequence[str]) -> str:
    plain = {_plain(secret) for secret in secrets}
    # The longest first, or what a shorter one leaves of it would stay.
    ordered = sorted(filter(None, plain), key=len, reverse=True)
    if not ordered:
        return text
    # PowerShell breaks its messages at the console's width, also within a word.
    return re.sub("|".join(r"(?:\n *)?".join(map(re.escape, secret)) for secret in ordered), _MASK, text)
