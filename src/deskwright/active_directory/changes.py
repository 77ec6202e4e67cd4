"""What changed in a domain since it was read the last time: by uSNChanged, of the controller that was asked then.

Not by DirSync, which was tried against the same controller: it wants a right of its own (Replicating Directory
Changes), and tells neither who was moved nor that a unit was renamed. uSNChanged any account may read, and it tells
both. What was deleted only an account with rights on *Deleted Objects* sees; for others everything is listed, by name
alone, where anything happened at the controller at all.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.protocol.microsoft import show_deleted_control

from deskwright.active_directory import reading
from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.discovery import Domain
from deskwright.active_directory.problems import DirectoryProblem, Reason, words
from deskwright.active_directory.reading import Base, Seen, Tell, Values, first, identity, number

COMPLETE_AFTER = timedelta(hours=24)
"""However little changed: once a day everything is read, so that nothing stays wrong for good."""
MOST_AGAIN = 100
_CHANGED = (
    "(&(uSNChanged>={since})(|(objectCategory=person)(objectCategory=group)(objectCategory=computer)"
    "(objectCategory=organizationalUnit)(objectCategory=container)))"
)
_DELETED = "(&(isDeleted=TRUE)(uSNChanged>={since}))"
_EVERY_KIND = (reading.PEOPLE, reading.GROUPS, reading.COMPUTERS)
_ATTRIBUTES = (
    *("objectCategory", "objectClass", "groupType", "isCriticalSystemObject", "uSNCreated", "memberOf"),
    *("sAMAccountName", "userPrincipalName", "displayName", "name", "mail", "description", "userAccountControl"),
)


@dataclass(frozen=True)
class Cursor:
    """Up to where a domain was read."""

    controller: str
    """``host=address``"""
    invocation: str
    """Of its database: numbers of another one mean nothing."""
    number: int
    """highestCommittedUSN before the reading began."""
    bases: tuple[str, ...]
    sees_deleted: bool
    """Whether a deleted object was seen by this account, ever."""
    complete_at: datetime
    """When everything was read the last time."""

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "bases": list(self.bases), "complete_at": self.complete_at.isoformat()}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Cursor | None":
        if not kept:
            return None
        times = {"complete_at": datetime.fromisoformat(kept["complete_at"])}
        return cls(**{**kept, **times, "bases": tuple(kept["bases"])})


@contextmanager
def at_the_same_controller(domain: Domain, account: Account, cursor: Cursor | None) -> Iterator[Opened]:
    """Sign in where the cursor is from, as long as it answers; else anywhere. Raises DirectoryProblem."""
    with ExitStack() as stack:
        opened = None
        if cursor is not None and len(domain.controllers) != 1:
            try:
                opened = stack.enter_context(signed_in(replace(domain, controllers=(cursor.controller,)), account))
            except DirectoryProblem as silent:
                if silent.reason not in (Reason.SERVER_NOT_OPERATIONAL, Reason.DOMAIN_NOT_FOUND):
                    raise
        yield opened or stack.enter_context(signed_in(domain, account))


def read(
    opened: Opened,
    wanted: Sequence[str],
    cursor: Cursor | None,
    now: datetime,
    *,
    again: Collection[UUID] = (),
    tell: Tell = lambda _: None,
) -> tuple[Seen, Cursor]:
    """What there is, or what changed since `cursor`, and the next cursor. Raises DirectoryProblem.

    `wanted`: the search bases. `again`: objects that are told whether or not they changed.
    """
    within = reading.bases(opened, wanted)
    names = tuple(base.distinguished_name for base in within)
    invocation, highest = _numbers(opened)
    controller = f"{opened.controller.host}={opened.controller.address}"
    usable = (
        cursor is not None
        and cursor.invocation == invocation
        and cursor.number <= highest
        and cursor.bases == names
        and now - cursor.complete_at < COMPLETE_AFTER
        and len(again) <= MOST_AGAIN
    )
    sees_deleted = cursor.sees_deleted if cursor is not None and cursor.invocation == invocation else False
    if usable and cursor is not None:
        tell("reading what changed")
        seen = _changed(opened, within, cursor, highest)
        if seen is not None:
            _look_again(opened, within, again, seen)
            sees_deleted = sees_deleted or (seen.objects_read > 0 and sees_any_deleted(opened))
            return seen, replace(cursor, controller=controller, number=highest, sees_deleted=sees_deleted)
    seen = reading.everything(opened, within, tell)
    sees_deleted = sees_deleted or sees_any_deleted(opened)
    return seen, Cursor(controller, invocation, highest, names, sees_deleted, now)


def sees_any_deleted(opened: Opened) -> bool:
    """Whether this account sees any deleted object; it does not, too, where nothing was ever deleted."""
    where = f"CN=Deleted Objects,{opened.domain.distinguished_name}"
    try:
        found = reading.search(
            opened, where, "(isDeleted=TRUE)", ["1.1"], scope=ldap3.LEVEL, controls=[show_deleted_control()]
        )
        return any(True for _ in found)
    except DirectoryProblem:
        return False


def _changed(opened: Opened, within: Sequence[Base], cursor: Cursor, highest: int) -> Seen | None:
    """What changed; None where everything has to be read."""
    seen = Seen(complete=False)
    if highest == cursor.number:
        return seen
    since, root = cursor.number + 1, opened.domain.distinguished_name
    for entry in reading.search(opened, root, _CHANGED.format(since=since), _ATTRIBUTES):
        seen.objects_read += 1
        values: Values = entry["raw_attributes"]
        kind = _kind(entry)
        if kind in ("organizational-unit", "container"):
            # Of what lies in a unit that was moved or renamed nothing changed but the name.
            if number(values, "uSNCreated") < since:
                return None
            continue
        _sort(opened, within, entry, kind, seen)
    if cursor.sees_deleted:
        where = f"CN=Deleted Objects,{root}"
        wanted, shown = _DELETED.format(since=since), [show_deleted_control()]
        for entry in reading.search(opened, where, wanted, ["1.1"], scope=ldap3.LEVEL, controls=shown):
            seen.objects_read += 1
            seen.gone.add(identity(entry["dn"])[0])
    else:
        seen.listed = frozenset(_listed(opened, within))
        seen.objects_read += len(seen.listed)
    return seen


def _look_again(opened: Opened, within: Sequence[Base], again: Collection[UUID], seen: Seen) -> None:
    had = {*(p.source_id for p in seen.people), *(g.source_id for g in seen.groups), *seen.gone}
    for source in sorted(set(again) - had):
        try:
            entries = list(reading.search(opened, f"<GUID={source}>", "(objectClass=*)", _ATTRIBUTES, scope=ldap3.BASE))
        except DirectoryProblem as missing:
            if missing.reason is not Reason.UNIT_NOT_FOUND:
                raise
            continue
        for entry in entries:
            seen.objects_read += 1
            _sort(opened, within, entry, _kind(entry), seen)


def _kind(entry: Mapping[str, Any]) -> str:
    """The first name of its category: person, group, computer, organizational-unit, container."""
    return first(entry["raw_attributes"], "objectCategory").partition(",")[0].rpartition("=")[2].lower()


def _listed(opened: Opened, within: Sequence[Base]) -> Iterator[UUID]:
    for base in within:
        for kind in _EVERY_KIND:
            for entry in reading.search(opened, base.distinguished_name, kind, ["1.1"]):
                yield identity(entry["dn"])[0]


def _sort(opened: Opened, within: Sequence[Base], entry: Mapping[str, Any], kind: str, seen: Seen) -> None:
    """Put a changed object where it belongs."""
    values: Values = entry["raw_attributes"]
    source, _, name = identity(entry["dn"])
    counts = any(base.holds(name) for base in within)
    ordinary = first(values, "isCriticalSystemObject") != "TRUE"
    classes = {value.lower() for value in values.get("objectClass", ())}
    if counts and kind == "computer":
        seen.computers.append(reading.computer(entry))
    elif counts and ordinary and kind == "person" and b"user" in classes:
        seen.people.append(reading.person(opened, entry))
    elif counts and ordinary and kind == "group" and number(values, "groupType") & reading.SECURITY_GROUP:
        whole = _again(opened, name)
        if whole is not None:
            seen.groups.append(reading.group(opened, whole))
    else:
        seen.gone.add(source)


def _again(opened: Opened, name: str) -> dict[str, Any] | None:
    """A group with its members, which a search for changes leaves out: most of what it finds has none."""
    try:
        found = list(reading.search(opened, name, reading.GROUPS, reading.GROUP_ATTRIBUTES, scope=ldap3.BASE))
    except DirectoryProblem as missing:
        if missing.reason is Reason.UNIT_NOT_FOUND:  # deleted or moved meanwhile: the next run sees it
            return None
        raise
    return found[0] if found else None


def _numbers(opened: Opened) -> tuple[str, int]:
    """The controller's invocationId and highestCommittedUSN."""
    try:
        opened.ldap.search(
            "", "(objectClass=*)", search_scope=ldap3.BASE, attributes=["highestCommittedUSN", "dsServiceName"]
        )
        root: Values = (opened.ldap.response or [])[0]["raw_attributes"]
        opened.ldap.search(
            first(root, "dsServiceName"), "(objectClass=*)", search_scope=ldap3.BASE, attributes=["invocationId"]
        )
        service: Values = (opened.ldap.response or [])[0]["raw_attributes"]
    except (LDAPException, IndexError) as error:
        detail = f"{opened.controller.host} does not tell where its changes are: {words(error)}"
        raise DirectoryProblem(Reason.UNKNOWN, detail) from error
    return str(UUID(bytes_le=service["invocationId"][0])), number(root, "highestCommittedUSN")
