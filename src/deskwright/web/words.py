"""How states are told: in which word, which tone and which sign. Never by colour alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from deskwright import errors
from deskwright.domain.resources import Kind
from deskwright.domain.status import Status
from deskwright.operations.estimate import step_title


@dataclass(frozen=True)
class Word:
    text: str
    tone: str
    """good | warn | bad | busy | wait | off: colour and sign together."""


STATUSES: Mapping[str, Word] = {
    Status.NOT_PROVISIONED: Word("Not provisioned", "off"),
    Status.PENDING: Word("Pending", "wait"),
    Status.PROVISIONING: Word("Provisioning", "busy"),
    Status.PROVISIONED: Word("Provisioned", "good"),
    Status.WARNINGS: Word("Provisioned with warnings", "warn"),
    Status.FAILED: Word("Failed", "bad"),
    Status.RESIZING: Word("Resizing", "busy"),
    Status.RESTORING: Word("Restoring", "busy"),
    Status.IN_GRACE: Word("In grace period", "wait"),
    Status.DEPROVISIONING: Word("Deprovisioning", "busy"),
    Status.GONE: Word("Gone", "off"),
}
HEALTH: Mapping[str, Word] = {
    "passed": Word("Healthy", "good"),
    "warning": Word("Healthy with warnings", "warn"),
    "failed": Word("Unhealthy", "bad"),
    "running": Word("Checking", "busy"),
    "pending": Word("Not checked yet", "wait"),
    "informational": Word("Information", "off"),
}
IMAGES: Mapping[str, Word] = {
    "pending": Word("Being built", "busy"),
    "ready": Word("Ready", "good"),
    "failed": Word("Failed", "bad"),
    "supported": Word("Supported", "good"),
    "supportedWithWarning": Word("Support ended, still usable", "warn"),
    "notSupported": Word("Not supported", "bad"),
}
OUTCOMES: Mapping[str, Word] = {
    "running": Word("Running", "busy"),
    "succeeded": Word("Succeeded", "good"),
    "skipped": Word("Skipped", "off"),
    "warning": Word("Warning", "warn"),
    "failed": Word("Failed", "bad"),
    "stopped": Word("Stopped", "off"),
    "active": Word("Under way", "busy"),
    "pending": Word("Pending", "wait"),
}
_ALL = (STATUSES, HEALTH, IMAGES, OUTCOMES)


def word(value: str, kind: Mapping[str, Word] = STATUSES) -> Word:
    """What is shown for a status; an unknown one as it is."""
    return kind.get(value) or Word(value, "off")


def duration(seconds: float | None) -> str:
    """In at most two units: ``3 h 5 min``."""
    if seconds is None:
        return ""
    left = max(round(seconds), 0)
    if left < 1:
        return "under 1 s"
    parts = []
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, unit)
        if count:
            parts.append(f"{count} {name}")
        elif parts:
            break
    return " ".join(parts[:2])


def relative(then: datetime, now: datetime) -> str:
    """``5 min ago``, ``in 2 d 3 h``, ``now``. From a minute on without seconds: nobody reads them."""
    away = then - now
    if abs(away) < timedelta(seconds=5):
        return "now"
    seconds = abs(away).total_seconds()
    if seconds >= 60:  # a whole minute has passed, or is still to come
        seconds = 60 * (ceil(seconds / 60) if away > timedelta() else seconds // 60)
    said = duration(seconds)
    return f"in {said}" if away > timedelta() else f"{said} ago"


def count(n: int, one: str, many: str = "") -> str:
    """``1 group``, ``2 groups``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def title(name: str) -> str:
    """A property's name for people: ``gracePeriodInHours`` is ``Grace period in hours``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    spaced = re.sub(r"\bcloud pc\b", "Cloud PC", spaced)
    return spaced[:1].upper() + spaced[1:]


def without_rules(text: str) -> str:
    """A description without the numbers of the specification's rules, and with the steps by their titles."""
    bare = re.sub(r" \([A-Z]\d+(?:, [A-Z]\d+)*\)", "", text)
    return re.sub(r"\b[CPA]\d\b", lambda found: f"“{step_title(found[0]) or found[0]}”", bare)


def activity(text: str) -> str:
    """What an audit event says, with a status in its word: ``Cloud PC is inGracePeriod`` has one."""
    begin, _, last = text.rpartition(" ")
    return f"{begin} {STATUSES[last].text[:1].lower()}{STATUSES[last].text[1:]}" if last in STATUSES else text


def of_property(name: str, value: Any) -> str:
    """A property's value for people: states and errors in words, the rest as it is."""
    if isinstance(value, str):
        for states in {"status": (STATUSES,), "healthCheckStatus": (HEALTH,)}.get(name, ()):
            if value in states:
                return states[value].text
        if value in errors.CATALOGUE:
            return errors.CATALOGUE[value].title
    return plain(value)


KINDS: Mapping[str, tuple[str, str]] = {
    Kind.CAPACITY: ("capacity reservation", "capacity reservations"),
    Kind.VM: ("machine", "machines"),
    Kind.DISK: ("disk", "disks"),
    Kind.SNAPSHOT: ("snapshot", "snapshots"),
    Kind.NIC: ("network interface", "network interfaces"),
    Kind.NETWORK: ("network", "networks"),
    Kind.SECURITY_GROUP: ("network security group", "network security groups"),
    Kind.DEVICE: ("device object", "device objects"),
    Kind.COMPUTER_ACCOUNT: ("computer account", "computer accounts"),
    Kind.MANAGED_DEVICE: ("managed device", "managed devices"),
}
"""What the ledger's kinds are called, one and many."""


def plain(value: Any) -> str:
    """A value of an audit event or a policy, for people."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value) or "—"
    if isinstance(value, Mapping):
        for name in ("displayName", "groupDisplayName"):
            if value.get(name):
                return str(value[name])
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items()) or "—"
    return str(value)


PROVIDER_KINDS = {
    "simulator": "Simulator: no real machines",
    "libvirt": "libvirt: real machines on a host",
    "builtin": "Built in: records kept by Deskwright",
}
