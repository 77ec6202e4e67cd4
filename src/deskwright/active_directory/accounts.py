"""Computer accounts of a domain: made before their machine joins, found again, disabled when it is gone.

An account that Deskwright makes carries a *mark* in ``adminDescription``: by it alone one is ours or not.
Every function raises DirectoryProblem, with the actual values in its text.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidDnError, LDAPNoSuchObjectResult
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from deskwright.active_directory.client import Opened
from deskwright.active_directory.problems import DirectoryProblem, Reason, operation_problem

_ATTRIBUTES = ["objectGUID", "sAMAccountName", "adminDescription", "userAccountControl"]
_CLASSES = ["top", "person", "organizationalPerson", "user", "computer"]
# [MS-ADTS] 2.2.16: what userAccountControl is made of.
_DISABLED, _WORKSTATION = 0x2, 0x1000
# [MS-ADTS] 6.1.1.4.10: where computers go of which nobody says where.
_COMPUTERS = "aa312825768811d1aded00c04fd8d5cd"
_PAGE = 500


@dataclass(frozen=True)
class Computer:
    """A computer account as it stands in the directory."""

    id: UUID
    """objectGUID, which stays when it is moved or renamed."""
    name: str
    """Of the computer, without the account's $."""
    distinguished_name: str
    mark: str
    """adminDescription; empty where there is none."""
    control: int
    """userAccountControl"""

    @property
    def enabled(self) -> bool:
        return not self.control & _DISABLED


def one_time_password() -> str:
    """For an account until its machine joins, which then gives itself another: it meets every rule of complexity."""
    return f"{secrets.token_urlsafe(24)}.aA1"


# --- finding -----------------------------------------------------------------------------------------------


def unit_of(opened: Opened, unit: str) -> str:
    """The distinguished name of an organizational unit that is there; an empty one is where the domain puts computers.

    Raises organizationalUnitIncorrectFormat, organizationalUnitNotFound.
    """
    default = f"<WKGUID={_COMPUTERS},{opened.domain.distinguished_name}>"
    wanted = _checked(opened, unit) if unit else default
    for entry in _search(opened, wanted, "(objectClass=*)", scope=ldap3.BASE):
        return str(entry["dn"])
    detail = f"{unit or 'the container of computers'} is not in {opened.domain.name}, as {opened.controller.host} says"
    raise DirectoryProblem(Reason.UNIT_NOT_FOUND, detail)


def find(opened: Opened, name: str) -> Computer | None:
    """The account that a computer of this name has, or would meet."""
    wanted = f"(sAMAccountName={escape_filter_chars(name)}$)"
    return next(_computers(opened, opened.domain.distinguished_name, wanted), None)


def by_id(opened: Opened, source_id: UUID) -> Computer | None:
    """Wherever it stands now; None where it was deleted."""
    return next(_computers(opened, f"<GUID={source_id}>", "(objectClass=computer)", scope=ldap3.BASE), None)


def marked(opened: Opened, unit: str, beginning: str) -> Iterator[Computer]:
    """Those in and below `unit` whose mark begins so. It has no index: look in units, not in the whole domain."""
    wanted = f"(&(objectCategory=computer)(adminDescription={escape_filter_chars(beginning)}*))"
    yield from _computers(opened, unit, wanted)


# --- making and changing -----------------------------------------------------------------------------------


def preset(opened: Opened, name: str, unit: str, password: str, *, mark: str, description: str) -> Computer:
    """A new account in `unit` (one of `unit_of`), with which a machine that knows `password` can join once.

    Raises accessDenied, quotaExceeded, computerObjectAlreadyExists.
    """
    host = f"{name}.{opened.domain.name}".lower()
    made = f"CN={escape_rdn(name)},{unit}"
    attributes = {
        "sAMAccountName": f"{name}$",
        "userAccountControl": str(_WORKSTATION),
        "unicodePwd": _as_directory_wants(password),
        "dNSHostName": host,
        "servicePrincipalName": [f"{service}/{of}" for service in ("HOST", "RestrictedKrbHost") for of in (name, host)],
        "adminDescription": mark,
        "description": description,
    }
    with _asking(opened, f"making computer account {made} as {_who(opened)}"):
        _ldap(opened).add(made, _CLASSES, attributes)
    there = find(opened, name)
    if there is None or there.mark != mark:
        seen = f"what is there now is {there.distinguished_name if there else 'nothing'}"
        raise DirectoryProblem(Reason.UNKNOWN, f"{made} was made at {opened.controller.host}, but {seen}")
    return there


def renew(opened: Opened, computer: Computer, password: str) -> Computer:
    """Give it a one-time password again, and enable it: its machine, if it has one, is no longer joined by it."""
    control = computer.control & ~_DISABLED
    changes = {"unicodePwd": _replaced(_as_directory_wants(password)), **_control(computer, control)}
    with _asking(opened, f"a new password for {computer.distinguished_name} as {_who(opened)}"):
        _ldap(opened).modify(computer.distinguished_name, changes)
    return replace(computer, control=control)


def disable(opened: Opened, computer: Computer) -> Computer:
    """From then on the domain gives it no tickets. One that is disabled stays so."""
    control = computer.control | _DISABLED
    changes = _control(computer, control)
    if changes:
        with _asking(opened, f"disabling {computer.distinguished_name} as {_who(opened)}"):
            _ldap(opened).modify(computer.distinguished_name, changes)
    return replace(computer, control=control)


def enable(opened: Opened, computer: Computer) -> Computer:
    control = computer.control & ~_DISABLED
    changes = _control(computer, control)
    if changes:
        with _asking(opened, f"enabling {computer.distinguished_name} as {_who(opened)}"):
            _ldap(opened).modify(computer.distinguished_name, changes)
    return replace(computer, control=control)


def delete(opened: Opened, computer: Computer) -> None:
    """For trial accounts only; a join account need not have the right. One that is gone is no problem."""
    try:
        with _asking(opened, f"deleting {computer.distinguished_name} as {_who(opened)}"):
            _ldap(opened).delete(computer.distinguished_name)
    except DirectoryProblem as problem:
        if not isinstance(problem.__cause__, LDAPNoSuchObjectResult):
            raise


# --- how ---------------------------------------------------------------------------------------------------


def _checked(opened: Opened, unit: str) -> str:
    """`unit`, if it is a distinguished name in the domain."""
    try:
        parts = parse_dn(unit)
    except LDAPInvalidDnError as wrong:
        detail = f"{unit} is not a distinguished name ({wrong}), such as OU=CloudPCs,{opened.domain.distinguished_name}"
        raise DirectoryProblem(Reason.UNIT_MALFORMED, detail) from wrong
    domain = ",".join(f"DC={value}" for kind, value, _ in parts if kind.upper() == "DC")
    if domain.lower() != opened.domain.distinguished_name.lower():
        detail = f"{unit} does not end with {opened.domain.distinguished_name}, as what is in {opened.domain.name} does"
        raise DirectoryProblem(Reason.UNIT_MALFORMED if not domain else Reason.UNIT_NOT_FOUND, detail)
    return unit


def _computers(opened: Opened, base: str, wanted: str, scope: str = ldap3.SUBTREE) -> Iterator[Computer]:
    for entry in _search(opened, base, wanted, scope=scope, attributes=_ATTRIBUTES):
        values = {name: found[0] if found else b"" for name, found in entry["raw_attributes"].items()}
        yield Computer(
            id=UUID(bytes_le=values["objectGUID"]),
            name=values["sAMAccountName"].decode().removesuffix("$"),
            distinguished_name=str(entry["dn"]),
            mark=values.get("adminDescription", b"").decode(),
            control=int(values.get("userAccountControl") or b"0"),
        )


def _search(
    opened: Opened, base: str, wanted: str, *, scope: str, attributes: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The entries, page by page; none where `base` is not there."""
    cookie: Any = None
    while True:
        try:
            with _asking(opened, f"looking in {base} as {_who(opened)}"):
                _ldap(opened).search(
                    base,
                    wanted,
                    scope,
                    attributes=list(attributes) or ["1.1"],
                    paged_size=_PAGE if scope != ldap3.BASE else None,
                    paged_cookie=cookie,
                )
        except DirectoryProblem as problem:
            if isinstance(problem.__cause__, LDAPNoSuchObjectResult):
                return
            raise
        yield from [entry for entry in opened.ldap.response or () if entry["type"] == "searchResEntry"]
        controls = (opened.ldap.result or {}).get("controls", {})
        cookie = controls.get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie")
        if not cookie:
            return


@contextmanager
def _asking(opened: Opened, what: str) -> Iterator[None]:
    """What the directory refuses, or never answers, is a DirectoryProblem that begins with `what`."""
    try:
        yield
    except LDAPException as error:
        host, address = opened.controller.host, opened.controller.address
        raise operation_problem(error, what, f"{host} ({address})") from error


def _ldap(opened: Opened) -> Any:
    """Its types are not told in full by their authors."""
    return opened.ldap


def _who(opened: Opened) -> str:
    return str(opened.ldap.user)


def _as_directory_wants(password: str) -> bytes:
    """[MS-ADTS] 3.1.1.3.1.5: in quotes, and in UTF-16."""
    return f'"{password}"'.encode("utf-16-le")


def _control(computer: Computer, control: int) -> dict[str, Any]:
    return {} if control == computer.control else {"userAccountControl": _replaced(str(control))}


def _replaced(value: Any) -> list[tuple[str, list[Any]]]:
    return [(ldap3.MODIFY_REPLACE, [value])]
