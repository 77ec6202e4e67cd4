"""How a Cloud PC stands, in the words of the person who uses it. Pure.

Administrators read codes, causes and steps; here stands what it means for one's work, and what to do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deskwright.decide.verdict import Waiting
from deskwright.domain.runs import RunKind
from deskwright.domain.status import Status
from deskwright.provision.records import Outcome
from deskwright.web.words import Word, duration

Pc = Mapping[str, Any]
"""As `own_cloud_pcs` tells it."""


@dataclass(frozen=True)
class Told:
    word: Word
    text: str = ""
    """What it means, in whole sentences; empty where the word says it all."""
    ask: bool = False
    """An administrator is needed, or may help."""
    moves: bool = False
    """Something is under way."""


@dataclass(frozen=True)
class Part:
    """Some steps of a provisioning, as one thing that a person understands."""

    steps: tuple[str, ...]
    doing: str
    """While it is under way."""
    words: str
    """In the list of what is done and still to do."""


PARTS: tuple[Part, ...] = (
    Part(("C1", "C2"), "making the computer", "Make the computer"),
    Part(("C3",), "connecting the network", "Connect it to the network"),
    Part(("C4",), "joining your organisation", "Join it to your organisation"),
    Part(("C5", "C6"), "registering it for you", "Register it for you"),
    Part(("P1", "P2", "P3", "P4", "P5", "P6", "P7"), "installing", "Install and set up"),
    Part(("A0", "A1"), "checking that you can sign in", "Check that you can sign in"),
)

SMALL_FAULTS: Mapping[str, str] = {
    "startMenuPowerIconsError": "its start menu still shows the power buttons",
    "windowsResetError": "it can still be reset from inside, which would break it: do not use that",
    "localAdminError": "you are not its administrator yet",
    "teamsOptimizationError": "calls in Teams may be less smooth",
    "timeZoneRedirectionError": "its clock may show another time zone than yours",
    "diskAllocationError": "its disk is smaller than it should be",
    "highRiskPortsError": "a part of its network protection is missing",
    "deviceDetailsError": "its size is out of date in your organisation's lists",
}
"""What a warning of a configure step means to its user."""

_ACTING: Mapping[str, str] = {
    RunKind.RESTART: "Restarting",
    RunKind.POWER_ON: "Powering on",
    RunKind.POWER_OFF: "Powering off",
    RunKind.REPAIR: "Ready, and being repaired",
    RunKind.SNAPSHOT: "Ready, and a snapshot is being taken",
    RunKind.TROUBLESHOOT: "Ready, and being checked",
    RunKind.CHANGE_USER_ACCOUNT_TYPE: "Ready, and your account is being changed",
    RunKind.RESIZE: "Being resized",
    RunKind.RESTORE: "Being restored",
}
_LOST = {
    "licence": "the licence for it was taken away",
    "policy": "you are not in the group any more that it was made for",
    "user": "your account was deleted",
}
_CARE = "You can work with it until then; after that it is gone with everything on it. Copy what you want to keep."
_WAITS: Mapping[str, Told] = {
    Waiting.CONNECTION: Told(
        Word("Waiting for the network", "wait"), "The network it needs has a problem. It starts by itself after that."
    ),
    Waiting.START: Told(Word("Starts in a moment", "wait"), moves=True),
    Waiting.NO_POLICY: Told(
        Word("Not set up yet", "off"),
        "You have the licence. It is not decided yet how your Cloud PC is made: no policy reaches you.",
        ask=True,
    ),
    Waiting.ACCOUNT_DISABLED: Told(Word("Not started", "off"), "Your account is disabled.", ask=True),
}


def told(pc: Pc) -> Told:
    """How it stands."""
    match Status(pc["status"]):
        case Status.NOT_PROVISIONED | Status.PENDING:
            return _waiting(pc)
        case Status.PROVISIONING:
            return _made(pc)
        case Status.FAILED:
            text = "Several tries did not work. Your administrator sees why, and can try again."
            return Told(Word("Could not be made", "bad"), text, ask=True)
        case Status.DEPROVISIONING:
            return Told(Word("Being removed", "busy"), "Nobody can use it any more.", moves=True)
        case Status.RESIZING | Status.RESTORING:
            return Told(Word(_left(_ACTING[pc["runKind"]], pc), "busy"), "You cannot use it meanwhile.", moves=True)
    return _usable(pc)


def parts(pc: Pc) -> list[tuple[Part, str]]:
    """The parts of the provisioning under way, each ``done``, ``now`` or ``next``; empty without one."""
    if pc["status"] != Status.PROVISIONING:
        return []
    states: list[tuple[Part, str]] = []
    for part in PARTS:
        before_done = all(state == "done" for _, state in states)
        done = before_done and all(_ended(pc["steps"].get(step)) for step in part.steps)
        states.append((part, "done" if done else "now" if before_done else "next"))
    return states


def size(pc: Pc) -> str:
    """``2 vCPU · 8 GB · 128 GB``: processors, memory, disk."""
    return f"{pc['vCpuCount']} vCPU · {pc['ramInGB']} GB · {pc['storageInGB']} GB"


def result(pc: Pc) -> Told | None:
    """What the last check of the way to it found; None where there was none, or it runs still."""
    check = pc["check"]
    if check is None or check["actionState"] in ("pending", "active"):
        return None
    if check["actionState"] == "done":
        text = "So the trouble is rather with a program on it, or between you and it."
        return Told(Word("Your Cloud PC answers", "good"), text)
    if check["actionState"] == "canceled":
        return Told(Word("The check was cancelled", "off"))
    text = "It could not be reached the way you reach it."
    return Told(Word("Your Cloud PC does not answer", "bad"), text, ask=True)


def unlucky(pc: Pc) -> str:
    """What the person asked for and did not come about; empty where the last action went well."""
    last = pc["lastAction"]
    if last is None or last["actionState"] != "failed" or last["actionName"] == RunKind.TROUBLESHOOT.action_name:
        return ""
    named = {"Reboot": "restart", "PowerOn": "power on", "Restore": "restore", "Reprovision": "reset"}
    action = named.get(last["actionName"], "")
    said = f" {last['statusDetail']['message']}" if last["statusDetail"] else ""
    return f"The last {action} did not work.{said}" if action else ""


def none_yet(explained: Mapping[str, Any]) -> Told:
    """Why a person has no Cloud PC, from `explain_user`."""
    if not explained["accountEnabled"]:
        return _WAITS[Waiting.ACCOUNT_DISABLED]
    if explained["changesWaiting"] or explained["verdicts"]:
        text = "Something has just changed for you. Your Cloud PC is here in a moment."
        return Told(Word("In a moment", "wait"), text, moves=True)
    text = "A Cloud PC comes by itself when you are given a licence for one, and you have none."
    return Told(Word("You have no Cloud PC", "off"), text, ask=True)


def day(at: datetime) -> str:
    """``28 November``: nobody here knows where the reader is, so the day is the one in UTC."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%B}"


def _waiting(pc: Pc) -> Told:
    if pc["queuePosition"]:
        word = Word(f"Waiting for a free seat, you are number {pc['queuePosition']}", "wait")
        return Told(word, "All seats of your licence are in use. Yours starts by itself when one is free.", ask=True)
    return _WAITS.get(pc["waitingFor"] or "", Told(Word("Starts by itself", "wait"), moves=True))


def _made(pc: Pc) -> Told:
    again = pc["runKind"] == RunKind.REPROVISION
    if pc["attempt"] and pc["attempt"] > 1:
        text = f"The first {_times(pc['attempt'] - 1)} did not work. This is try {pc['attempt']} of {pc['attempts']}."
    else:
        text = "You can leave this page; it goes on by itself."
    doing = next((part.doing for part, state in parts(pc) if state == "now"), "nearly ready")
    return Told(Word(_left(f"Being made{' anew' if again else ''}: {doing}", pc), "busy"), text, moves=True)


def _usable(pc: Pc) -> Told:
    acting = _ACTING.get(pc["runKind"] or "")
    small = _small(pc["warnings"])
    if pc["status"] == Status.IN_GRACE:
        word = Word(f"Goes away on {day(pc['gracePeriodEndDateTime'])}", "warn")
        return Told(word, f"{_reason(pc['lost'])} {_CARE}", ask=True, moves=bool(acting))
    if acting:
        return Told(Word(_left(acting, pc), "busy"), small, moves=True)
    if pc["powerState"] == "poweredOff":
        return Told(Word("Switched off", "off"), "Power it on to use it.")
    if small:
        return Told(Word("Ready, though something small did not work", "warn"), small)
    return Told(Word("Ready", "good"))


def _reason(lost: Sequence[str]) -> str:
    why = " and ".join(_LOST[what] for what in lost if what in _LOST)
    return f"{_first(why)}." if why else "It is not meant for you any more."


def _small(warnings: Sequence[Mapping[str, Any]]) -> str:
    said = dict.fromkeys(SMALL_FAULTS.get(w["code"], "one of its settings is missing") for w in warnings)
    return f"{_first('; '.join(said))}." if said else ""


def _left(doing: str, pc: Pc) -> str:
    eta = pc["etaSeconds"]
    if eta is None:
        return doing
    return f"{doing}, {'less than a minute' if eta < 60 else f'about {duration(round(eta / 60) * 60)}'} left"


def _ended(outcome: str | None) -> bool:
    return outcome in (Outcome.SUCCEEDED, Outcome.SKIPPED, Outcome.WARNING)


def _times(n: int) -> str:
    return "try" if n == 1 else f"{n} tries"


def _first(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
