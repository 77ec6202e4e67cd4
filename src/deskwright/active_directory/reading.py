"""Reading people, security groups and computers of a domain, in pages.

Members come with their objectGUID (the control for extended names), so nothing depends on how a distinguished name is
written, or on what moved meanwhile. What a controller changed since is `changes`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import ldap3
from ldap3.core.exceptions import LDAPException, LDAPInvalidDnError, LDAPNoSuchObjectResult, LDAPOperationResult
from ldap3.protocol.microsoft import extended_dn_control

from deskwright.active_directory.client import Opened
from deskwright.active_directory.problems import DirectoryProblem, Reason, words

PAGE = 1000
"""Objects in an answer: what Active Directory gives at most."""
MEMBERS = 1500
"""Members in an answer, likewise. Active Directory then says of which range they are; Samba gives all at once."""
DISABLED = 0x2
SECURITY_GROUP = 0x80000000

# Accounts and groups of the domain itself (krbtgt, Domain Users, ...) are nobody's people.
PEOPLE = "(&(objectCategory=person)(objectClass=user)(!(isCriticalSystemObject=TRUE)))"
GROUPS = "(&(objectCategory=group)(groupType:1.2.840.113556.1.4.803:=2147483648)(!(isCriticalSystemObject=TRUE)))"
COMPUTERS = "(objectCategory=computer)"
_PERSON = ("sAMAccountName", "userPrincipalName", "displayName", "name", "mail", "userAccountControl")
GROUP_ATTRIBUTES = ("sAMAccountName", "displayName", "name", "description", "member")
_COMPUTER = ("sAMAccountName", "userAccountControl")
_EXTENDED = re.compile(r"<GUID=([0-9a-fA-F-]+)>;(?:<SID=([^>]+)>;)?(.*)", re.DOTALL)
_BLANKS = re.compile(r"(?<!\\),\s+")
_RANGE = re.compile(r"member;range=(\d+)-(\d+|\*)", re.IGNORECASE)

Values = Mapping[str, Sequence[bytes]]
Tell = Callable[[str], None]
"""Told how far it is, in a few words."""


@dataclass(frozen=True, slots=True)
class Named:
    """What every object has."""

    source_id: UUID
    """objectGUID"""
    distinguished_name: str
    security_identifier: str
    """objectSid as text; empty where there is none."""
    account_name: str
    """sAMAccountName"""


@dataclass(frozen=True, slots=True)
class Person(Named):
    user_principal_name: str
    """Where the directory has none: sAMAccountName@domain, by which Kerberos knows them, too."""
    display_name: str
    mail: str
    enabled: bool
    groups: tuple[UUID, ...] = ()
    """Those they are a direct member of; only told by `changes`."""


@dataclass(frozen=True, slots=True)
class SecurityGroup(Named):
    display_name: str
    description: str
    members: tuple[UUID, ...]
    """Direct ones of any kind, also groups and computers."""


@dataclass(frozen=True, slots=True)
class Computer(Named):
    enabled: bool

    @property
    def name(self) -> str:
        return self.account_name.removesuffix("$")


@dataclass
class Seen:
    """What a run of reading found."""

    complete: bool
    """Everything there is; else what changed."""
    people: list[Person] = field(default_factory=list)
    groups: list[SecurityGroup] = field(default_factory=list)
    computers: list[Computer] = field(default_factory=list)
    gone: set[UUID] = field(default_factory=set)
    """Deleted, or not in the search bases or of a kind that counts any more; of a complete one: empty."""
    listed: frozenset[UUID] | None = None
    """Everything there is, where deletions were looked for by listing; what is not in it is gone."""
    objects_read: int = 0

    @property
    def nothing(self) -> bool:
        """Nothing changed."""
        changed = self.people or self.groups or self.computers or self.gone
        return not self.complete and self.listed is None and not changed


@dataclass(frozen=True)
class Base:
    """A subtree that is read."""

    distinguished_name: str
    """As the directory writes it."""

    def holds(self, distinguished_name: str) -> bool:
        name, own = distinguished_name.lower(), self.distinguished_name.lower()
        return name == own or name.endswith(f",{own}")


def bases(opened: Opened, wanted: Sequence[str]) -> list[Base]:
    """The search bases (none: the whole domain) as the directory writes them. Raises DirectoryProblem."""
    found = []
    for name in wanted or [opened.domain.distinguished_name]:
        try:
            (entry,) = search(opened, tidy(name), "(objectClass=*)", ["1.1"], scope=ldap3.BASE)
        except DirectoryProblem as missing:
            if missing.reason is not Reason.UNIT_NOT_FOUND:
                raise
            detail = f"search base {name}: the directory has no such object"
            raise DirectoryProblem(Reason.UNIT_NOT_FOUND, detail) from missing
        found.append(Base(identity(entry["dn"])[2]))
    return found


def tidy(distinguished_name: str) -> str:
    """Without the blanks that people write after commas."""
    return _BLANKS.sub(",", distinguished_name.strip())


def everything(opened: Opened, within: Sequence[Base], tell: Tell = lambda _: None) -> Seen:
    """All people, security groups with their members, and computers. Raises DirectoryProblem."""
    seen = Seen(complete=True)
    for base in within:
        for entry in search(opened, base.distinguished_name, PEOPLE, _PERSON):
            seen.people.append(person(opened, entry))
            _told(tell, "people", len(seen.people))
        for entry in search(opened, base.distinguished_name, GROUPS, GROUP_ATTRIBUTES):
            seen.groups.append(group(opened, entry))
            _told(tell, "groups", len(seen.groups))
        for entry in search(opened, base.distinguished_name, COMPUTERS, _COMPUTER):
            seen.computers.append(computer(entry))
            _told(tell, "computers", len(seen.computers))
    seen.objects_read = len(seen.people) + len(seen.groups) + len(seen.computers)
    return seen


def count(opened: Opened, within: Sequence[Base]) -> dict[str, int]:
    """How many `people`, `groups` and `computers` would be read. Raises DirectoryProblem."""
    kinds = {"people": PEOPLE, "groups": GROUPS, "computers": COMPUTERS}
    return {
        kind: sum(1 for base in within for _ in search(opened, base.distinguished_name, wanted, ["1.1"]))
        for kind, wanted in kinds.items()
    }


def search(
    opened: Opened,
    base: str,
    wanted: str,
    attributes: Sequence[str],
    *,
    scope: Any = ldap3.SUBTREE,
    controls: Sequence[Any] = (),
) -> Iterator[dict[str, Any]]:
    """Entries page by page, named with GUID and SID: `identity` of their ``dn``. Raises DirectoryProblem."""
    ldap, cookie = opened.ldap, None
    while True:
        try:
            ldap.search(
                base,
                wanted,
                search_scope=scope,
                attributes=list(attributes),
                controls=[extended_dn_control(criticality=True, hex_format=False), *controls],
                paged_size=PAGE if scope is not ldap3.BASE else None,
                paged_cookie=cookie,
            )
        except LDAPNoSuchObjectResult as missing:
            raise DirectoryProblem(Reason.UNIT_NOT_FOUND, f"{base}: {words(missing)}") from missing
        except LDAPException as error:
            raise _problem(opened, base, error) from error
        # Taken now: whoever is told an entry may search on the same connection before asking for the next.
        response, result = ldap.response or (), ldap.result or {}
        # Besides entries there are references to other domains, which are not followed.
        yield from (e for e in response if e["type"] == "searchResEntry")
        paged = (result.get("controls") or {}).get("1.2.840.113556.1.4.319")
        cookie = paged["value"]["cookie"] if paged else None
        if not cookie:
            return


def _problem(opened: Opened, base: str, error: LDAPException) -> DirectoryProblem:
    where = f"{opened.controller.host} ({opened.controller.address})"
    if isinstance(error, LDAPInvalidDnError):
        return DirectoryProblem(Reason.UNIT_MALFORMED, f"{base}: {words(error)}")
    if isinstance(error, LDAPOperationResult):
        reason = Reason.ACCESS_DENIED if error.result == 50 else Reason.UNKNOWN
        return DirectoryProblem(reason, f"reading {base} at {where}: {words(error)}")
    return DirectoryProblem(Reason.SERVER_NOT_OPERATIONAL, f"{where} fell silent while {base} was read: {words(error)}")


def identity(extended: str) -> tuple[UUID, str, str]:
    """objectGUID, objectSid (may be empty) and distinguished name of ``<GUID=...>;<SID=...>;CN=...``."""
    found = _EXTENDED.match(extended)
    if found is None:
        raise DirectoryProblem(Reason.UNKNOWN, f"{extended[:80]!r}: the controller did not tell the object's GUID")
    guid, sid, name = found.groups()
    return UUID(guid) if "-" in guid else UUID(bytes_le=bytes.fromhex(guid)), sid or "", name


def person(opened: Opened, entry: Mapping[str, Any]) -> Person:
    values: Values = entry["raw_attributes"]
    account, source = first(values, "sAMAccountName"), identity(entry["dn"])
    return Person(
        *_named(source, account),
        user_principal_name=first(values, "userPrincipalName") or f"{account}@{opened.domain.name}",
        display_name=first(values, "displayName") or first(values, "name") or account,
        mail=first(values, "mail"),
        enabled=not number(values, "userAccountControl") & DISABLED,
        groups=tuple(identity(name.decode())[0] for name in values.get("memberOf", ())),
    )


def group(opened: Opened, entry: Mapping[str, Any]) -> SecurityGroup:
    """With all of its members, in as many ranges as there are."""
    values: Values = entry["raw_attributes"]
    account, source = first(values, "sAMAccountName"), identity(entry["dn"])
    return SecurityGroup(
        *_named(source, account),
        display_name=first(values, "displayName") or first(values, "name") or account,
        description=first(values, "description"),
        members=tuple(_members(opened, source[2], values)),
    )


def computer(entry: Mapping[str, Any]) -> Computer:
    values: Values = entry["raw_attributes"]
    named = _named(identity(entry["dn"]), first(values, "sAMAccountName"))
    return Computer(*named, enabled=not number(values, "userAccountControl") & DISABLED)


def _named(source: tuple[UUID, str, str], account: str) -> tuple[UUID, str, str, str]:
    return source[0], source[2], source[1], account


def _members(opened: Opened, name: str, values: Values) -> Iterator[UUID]:
    yield from (identity(member.decode())[0] for member in values.get("member", ()))
    while True:
        ranged = next(((found, v) for key, v in values.items() if (found := _RANGE.fullmatch(key)) and v), None)
        if ranged is None:
            return
        found, members = ranged
        yield from (identity(member.decode())[0] for member in members)
        if found[2] == "*":
            return
        start = int(found[2]) + 1
        wanted = f"member;range={start}-{start + MEMBERS - 1}"
        entries = list(search(opened, name, "(objectClass=*)", [wanted], scope=ldap3.BASE))
        if not entries:  # deleted while it was read
            return
        values = entries[0]["raw_attributes"]


def first(values: Values, name: str) -> str:
    found = values.get(name)
    return found[0].decode(errors="replace").strip() if found else ""


def number(values: Values, name: str) -> int:
    try:
        return int(first(values, name) or 0)
    except ValueError:
        return 0


def _told(tell: Tell, kind: str, how_many: int) -> None:
    if how_many % PAGE == 0:
        tell(f"reading {kind}: {how_many:,}")
