"""A trial join: everything a Cloud PC's join asks of the directory, with an account that is taken away again."""

from dataclasses import dataclass
from typing import Any, Literal

import ldap3
from ldap3.core.exceptions import LDAPException

from deskwright.active_directory import accounts
from deskwright.active_directory.accounts import Computer
from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.discovery import Domain
from deskwright.active_directory.problems import DirectoryProblem, Reason, operation_problem

DESCRIPTION = "Trial computer of Deskwright's health checks; nobody uses it"


@dataclass(frozen=True)
class Joined:
    """What a trial join left."""

    distinguished_name: str
    controller: str
    left: Literal["deleted", "disabled"]
    why_left: str = ""
    """Why it could not be deleted."""


def join(domain: Domain, account: Account, unit: str, name: str, *, mark: str) -> Joined:
    """Join a computer called `name` into `unit` (empty: the domain's default) as `account` would, and undo it.

    One that an earlier trial left, with this `mark`, is used again. Raises DirectoryProblem: whatever stopped a Cloud
    PC's join would stop it too.
    """
    password = accounts.one_time_password()
    with signed_in(domain, account) as opened:
        there = accounts.unit_of(opened, unit)
        computer = accounts.find(opened, name)
        if computer is not None and computer.mark != mark:
            detail = f"{computer.distinguished_name} is there and was not made by this connection's trials"
            raise DirectoryProblem(Reason.NAME_TAKEN, detail)
        if computer is not None and not _is_in(computer, there):
            # The connection has another unit now: what was left in the old one proves nothing about this.
            accounts.delete(opened, computer)
            computer = None
        if computer is None:
            computer = accounts.preset(opened, name, there, password, mark=mark, description=DESCRIPTION)
        else:
            computer = accounts.renew(opened, computer, password)
        try:
            _as_machine(opened, computer, password)
        finally:
            left, why = _undone(opened, computer)
        return Joined(computer.distinguished_name, opened.controller.host, left, why)


def _as_machine(opened: Opened, computer: Computer, password: str) -> None:
    """What the machine does with its account: sign in with the one-time password, and give itself another."""
    # At the controller that made it: others learn of it by replication.
    here = Domain(
        opened.domain.name,
        (f"{opened.controller.host}={opened.controller.address}",),
        opened.domain.name_servers,
        opened.domain.ca_certificate,
        opened.domain.start_tls,
    )
    machine = Account(f"{computer.name}$@{opened.domain.name}", password)
    with signed_in(here, machine) as itself:
        own = f'"{password}"'.encode("utf-16-le")
        other = f'"{accounts.one_time_password()}"'.encode("utf-16-le")
        change = {"unicodePwd": [(ldap3.MODIFY_DELETE, [own]), (ldap3.MODIFY_ADD, [other])]}
        try:
            _ldap(itself).modify(computer.distinguished_name, change)
        except LDAPException as error:
            what = f"{computer.distinguished_name} could not change its password"
            raise operation_problem(error, what, itself.controller.host) from error


def _undone(opened: Opened, computer: Computer) -> tuple[Literal["deleted", "disabled"], str]:
    try:
        accounts.delete(opened, computer)
    except DirectoryProblem as refused:
        accounts.disable(opened, computer)
        return "disabled", refused.detail
    return "deleted", ""


def _ldap(opened: Opened) -> Any:
    """Its types are not told in full by their authors."""
    return opened.ldap


def _is_in(computer: Computer, unit: str) -> bool:
    return computer.distinguished_name.partition(",")[2].lower() == unit.lower()
