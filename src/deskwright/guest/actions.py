"""The vocabulary in which a configure step says what it wants inside a guest.

Declarative, so that one description serves a real guest (rendered to PowerShell or sh by its provider), the
simulated one (kept as its state) and the test that reads the result back.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SetRegistry:
    """A DWORD under HKEY_LOCAL_MACHINE; `path` without the hive."""

    path: str
    name: str
    value: int


@dataclass(frozen=True)
class WriteFile:
    path: str
    content: str
    mode: int = 0o644


@dataclass(frozen=True)
class RunCommand:
    """A command line of the guest's own shell, for what has no declarative form."""

    command: str


@dataclass(frozen=True)
class AddAdministrator:
    """Membership of BUILTIN\\Administrators by its SID (its name is localised), or of the sudo group."""

    member: str


@dataclass(frozen=True)
class RemoveAdministrator:
    member: str


@dataclass(frozen=True)
class GrowPartition:
    """Grow the operating system's partition to the disk's size."""

    to_gb: int


@dataclass(frozen=True)
class BlockPorts:
    """Inbound firewall rules; `except_from` is the address of Deskwright's own gateway."""

    tcp: tuple[int, ...]
    udp: tuple[int, ...]
    except_from: str


@dataclass(frozen=True)
class CreateAccount:
    """A local account, disabled until `EnableAccount`."""

    name: str


@dataclass(frozen=True)
class EnableAccount:
    """Enable it with a one-time password that must be changed at the first sign-in."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class AllowSignIn:
    """The right to sign in remotely: Remote Desktop Users by its SID S-1-5-32-555, or xrdp's group."""

    member: str


Action = (
    SetRegistry
    | WriteFile
    | RunCommand
    | AddAdministrator
    | RemoveAdministrator
    | GrowPartition
    | BlockPorts
    | CreateAccount
    | EnableAccount
    | AllowSignIn
)
