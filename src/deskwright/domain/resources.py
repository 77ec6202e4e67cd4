"""What Deskwright makes in the outside world, and what becomes of each kind when it is no longer wanted.

Rules L1-L4. One row per kind; the ledger, the clean-up and the tests read this table.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    CAPACITY = "capacity"
    VM = "vm"
    DISK = "disk"
    SNAPSHOT = "snapshot"
    NIC = "nic"
    NETWORK = "network"
    SECURITY_GROUP = "networkSecurityGroup"
    DEVICE = "device"
    COMPUTER_ACCOUNT = "computerAccount"
    MANAGED_DEVICE = "managedDevice"


class Release(StrEnum):
    """When an object that is no longer wanted goes."""

    AT_ONCE = "at once"
    LATER = "after the clean-up delay"
    NEVER = "never"


@dataclass(frozen=True)
class Resource:
    kind: Kind
    provider: str
    """Which provider holds it: ``compute``, ``directory`` or ``management``."""
    release: Release
    shared: bool = False
    """Belongs to a tenant's site, not to one attempt; its key says so."""
    disabled_only: bool = False
    """Clean-up disables it and lists it for the administrator, it never deletes it (L3)."""
    why: str = ""


RESOURCES: dict[Kind, Resource] = {
    r.kind: r
    for r in (
        Resource(Kind.CAPACITY, "compute", Release.AT_ONCE, why="capacity is scarce"),
        Resource(Kind.VM, "compute", Release.AT_ONCE, why="it costs, and nobody can use it"),
        Resource(Kind.DISK, "compute", Release.AT_ONCE, why="it goes with its VM"),
        Resource(Kind.SNAPSHOT, "compute", Release.AT_ONCE, why="without its machine it restores nothing"),
        Resource(Kind.NIC, "compute", Release.LATER, why="documented: an address stays taken for hours"),
        Resource(Kind.NETWORK, "compute", Release.NEVER, shared=True, why="every Cloud PC of the site uses it"),
        Resource(Kind.SECURITY_GROUP, "compute", Release.NEVER, shared=True, why="others may rely on it (L3)"),
        Resource(Kind.DEVICE, "directory", Release.LATER),
        Resource(
            Kind.COMPUTER_ACCOUNT,
            "directory",
            Release.LATER,
            disabled_only=True,
            why="the join account may not delete computers",
        ),
        Resource(Kind.MANAGED_DEVICE, "management", Release.LATER),
    )
}


def idempotency_key(cloud_pc: str, run: int, attempt: int, step: str, kind: Kind) -> str:
    """The key under which an attempt's object is asked for; asking twice with it makes one object (V6)."""
    return f"deskwright:{cloud_pc}:{run}:{attempt}:{step}:{kind}"


def shared_key(tenant: str, site: str, kind: Kind) -> str:
    """The key of an object that a whole site of a tenant shares, such as the Microsoft-hosted kind of network."""
    return f"deskwright:{tenant}:{site}:{kind}"


def is_ours(key: str) -> bool:
    """Whether an object found in a provider's inventory was made by Deskwright."""
    return key.startswith("deskwright:")
