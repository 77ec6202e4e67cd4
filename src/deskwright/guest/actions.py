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
    """A command line of the guest's own shell (sh, PowerShell), for what has no declarative form.

    `check` is one that succeeds only if the result is there, and prints what it read: then it decides, because some
    commands fail where there is nothing left to do. Without it the exit code does.
    """

    command: str
    check: str = ""


@dataclass(frozen=True)
class AddAdministrator:
    """Membership of BUILTIN\\Administrators by its SID (its name is localised), or of the sudo group.

    On Linux a directory's identity (user@domain) gets a rule of sudo's instead: it need not be known there yet.
    """

    member: str


@dataclass(frozen=True)
class RemoveAdministrator:
    member: str


@dataclass(frozen=True)
class SetComputerName:
    """The machine's own name: at once on Linux, from the next start on in Windows."""

    name: str


@dataclass(frozen=True)
class WriteRecord:
    """What Deskwright tells the machine about itself, for its own programs there: ``NAME.json`` in the folder of
    Deskwright's own (``/etc/deskwright``, ``%ProgramData%\\Deskwright``), readable for administrators only."""

    name: str
    content: str = field(repr=False)
    """JSON; it may hold a token."""


@dataclass(frozen=True)
class GrowPartition:
    """Grow the operating system's partition to the disk's size."""

    to_gb: int


@dataclass(frozen=True)
class BlockPorts:
    """Inbound firewall rules; `except_from` is the address or network of Deskwright's own gateway, or empty."""

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


NEEDS_RESTART = "in force from the next start on"
"""Stands in what an action printed that is done only when the machine has been started anew."""


@dataclass(frozen=True)
class JoinDomain:
    """Membership of an Active Directory domain, by an account that was made there for this machine.

    The machine finds the domain by its own name servers. Where those do not know it, `name_servers` are asked about it,
    and without any `controller` is all it knows.
    """

    domain: str
    """Full DNS name."""
    controller: str
    """Full name of the domain controller that has the account's password."""
    address: str
    """That controller's."""
    computer_name: str
    one_time_password: str = field(repr=False)
    """The machine gives itself another when it joins."""
    name_servers: tuple[str, ...] = ()
    """Addresses."""


Action = (
    SetRegistry
    | WriteFile
    | RunCommand
    | AddAdministrator
    | RemoveAdministrator
    | SetComputerName
    | WriteRecord
    | GrowPartition
    | BlockPorts
    | CreateAccount
    | EnableAccount
    | AllowSignIn
    | JoinDomain
)
