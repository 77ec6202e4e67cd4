"""Making a tenant's people and groups what their domain says: set by set, inside one open change.

What was read is put into temporary tables and compared there, so the cost follows what differs. Nothing is decided
about Cloud PCs: whom it concerns is marked, as by every other change (E1, E8).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright import jobs
from deskwright.active_directory.reading import Person, SecurityGroup, Seen
from deskwright.operations import domain_statements as sql
from deskwright.operations.change import Change
from deskwright.operations.domain_findings import Code, finding
from deskwright.operations.named import Item
from deskwright.store.audit import event
from deskwright.store.touched import RECONCILE

NAMED = 100
"""Of so many changed objects of a kind each gets its own line in the audit log; of more only the sum does."""
_RECONCILE_PRIORITY = 20
_LARGE = 200
_LONGEST = 256
_LONGEST_UPN = 113


@dataclass
class Merged:
    """What came of it."""

    counts: dict[str, int] = field(default_factory=dict)
    findings: list[Item] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return any(n for name, n in self.counts.items() if name not in ("people", "groups", "computers"))


def merge(opened: Change, domain: UUID, seen: Seen) -> Merged:
    """Make the tenant's people, groups and memberships of the domain what was seen of it."""
    return _Merge(opened, domain, seen).run()


class _Merge:
    def __init__(self, opened: Change, domain: UUID, seen: Seen) -> None:
        self._opened, self._seen = opened, seen
        self._values: dict[str, Any] = {"tenant": opened.tenant.id, "domain": domain, "actor": opened.actor}
        self._merged = Merged()

    def run(self) -> Merged:
        if not self._seen.nothing:
            self._stage()
            self._match()
            self._people()
            self._groups()
            self._memberships()
            self._computers()
            self._find()
        totals = self._rows(sql.TOTALS)[0]._mapping
        self._merged.counts = {**self._merged.counts, **totals}
        return self._merged

    def _stage(self) -> None:
        for statement in sql.TABLES:
            self._do(statement)
        seen = self._seen
        self._copy(
            "sync_people (source_id, upn, display_name, mail, enabled, name, dn, sid, in_groups, problem)",
            _people(seen.people),
        )
        self._copy("sync_groups (source_id, display_name, description, name, dn, sid, problem)", _groups(seen.groups))
        self._copy(
            "sync_members (group_source, member_source)", ((g.source_id, m) for g in seen.groups for m in g.members)
        )
        computers = (
            (c.source_id, c.name, c.distinguished_name, c.security_identifier, c.enabled) for c in seen.computers
        )
        self._copy("sync_computers (source_id, name, dn, sid, enabled)", computers)
        self._copy("sync_gone (source_id)", ((source,) for source in seen.gone))
        for statement in sql.INDEXES:
            self._do(statement)
        if seen.complete:
            self._do(sql.GONE["complete"])
        elif seen.listed is not None:
            self._do(sql.GONE["listed"], listed=list(seen.listed))
        self._do("ANALYZE sync_gone")

    def _match(self) -> None:
        for statement in (sql.MATCH, sql.SAME_NAME, sql.TAKE_OVER, sql.HOLDS_ROLE, sql.NEW):
            self._do(statement)
        # Again, until nobody's new name depends on a name that somebody keeps after all.
        while self._do(sql.TAKEN):
            pass
        for statement in (sql.MATCH_GROUPS, sql.SAME_GROUP, sql.ADOPT, sql.NEW_GROUPS):
            self._do(statement)
        while self._do(sql.GROUP_TAKEN):
            pass

    def _people(self) -> None:
        deleted = self._rows(sql.DELETE_PEOPLE)
        self._touch_people("User deleted", deleted)
        self._told("Delete user", "user", deleted, "peopleRemoved")
        self._do(sql.RENAMED)
        changed = self._rows(sql.CHANGE_PEOPLE)
        restored = [row for row in changed if row.how == "restored"]
        for happened, rows in (
            ("User restored", restored),
            ("User enabled", [r for r in changed if r.enabled and not r.was_enabled]),
            ("User disabled", [r for r in changed if r.was_enabled and not r.enabled]),
        ):
            self._touch_people(happened, rows)
        self._told("Restore user", "user", restored, "peopleRestored")
        others = [row for row in changed if row.how != "restored"]
        self._told("Update user", "user", others, "peopleChanged", _difference)
        self._told("Create user", "user", self._rows(sql.ADD_PEOPLE), "peopleAdded")
        linked = self._link("user")
        self._analyze(len(linked), "users", "domain_objects")

    def _groups(self) -> None:
        gone = self._rows(sql.GROUPS_GONE)
        self._touch(
            "SELECT m.user_id, 'Group deleted', g.display_name FROM memberships m JOIN groups g ON g.id = m.group_id "
            f"WHERE g.id = ANY(:groups) AND {sql.MATTERS}",
            groups=_ids(gone),
        )
        if gone:
            self._do(sql.DELETE_GROUPS, groups=_ids(gone))
        self._told("Delete group", "group", gone, "groupsRemoved", lambda row: (_lost(row), None))
        self._do(sql.RENAMED_GROUPS)
        changed = self._rows(sql.CHANGE_GROUPS)
        self._told(
            "Update group",
            "group",
            changed,
            "groupsChanged",
            lambda r: ({"displayName": r.old_name}, {"displayName": r.name}),
        )
        self._told("Create group", "group", self._rows(sql.ADD_GROUPS), "groupsAdded")
        linked = self._link("group")
        self._analyze(len(linked), "groups", "domain_objects")

    def _memberships(self) -> None:
        for statement in (sql.LEFT, sql.JOINED, *(() if self._seen.complete else (sql.CAME_WITH, sql.CAME_WITHOUT))):
            self._do(statement)
        # A person who came and went at once (two statements may say so) has not moved.
        moves = self._rows(sql.MOVES)
        for came, name, happened in (
            (True, "membersAdded", "Added to group"),
            (False, "membersRemoved", "Removed from group"),
        ):
            self._merged.counts[name] = sum(row.n for row in moves if row.came is came)
            self._analyze(self._merged.counts[name], "memberships")
            self._touch(
                f"SELECT m.user_id, '{happened}', g.display_name FROM sync_moves m JOIN groups g ON g.id = m.group_id "
                f"WHERE m.came = {came} AND {sql.MATTERS}"
            )
            of = [row for row in moves if row.came is came]
            if 0 < len(of) <= NAMED:
                activity = "Add group members" if came else "Remove group members"
                told = [event(r.id, r.name, *_members(r, came)) for r in of]
                self._opened.audit(activity, "group", told)

    def _computers(self) -> None:
        forgotten = self._rows(sql.FORGET)
        self._merged.counts["computersRemoved"] = sum(row.kind == "computer" for row in forgotten)
        linked = self._link("computer")
        self._merged.counts["computersAdded"] = sum(row.is_new for row in linked)

    def _find(self) -> None:
        found = [
            finding(Code(row.problem), row.kind, row.name, row.source_id, distinguished_name=row.dn)
            for row in self._rows(sql.PROBLEMS)
        ]
        nested = [
            finding(Code.NESTED_GROUPS, "group", row.name, row.source_id, number=row.n)
            for row in self._rows(sql.NESTED)
        ]
        self._merged.findings = [*found, *nested]

    # --- how ---------------------------------------------------------------------------------------------

    def _do(self, statement: str, **values: Any) -> int:
        return self._opened.connection.execute(text(statement), {**self._values, **values}).rowcount

    def _rows(self, statement: str, **values: Any) -> "list[Row[Any]]":
        return list(self._opened.connection.execute(text(statement), {**self._values, **values}).all())

    def _link(self, kind: str) -> "list[Row[Any]]":
        return self._rows(sql.LINK.format(kind=kind, **sql.LINKS[kind]))

    def _analyze(self, changed: int, *tables: str) -> None:
        """Let the next statements be planned for tables as they are now, not as they were before thousands came."""
        if changed > _LARGE:
            for table in tables:
                self._do(f"ANALYZE {table}")

    def _copy(self, into: str, rows: Iterable[tuple[Any, ...]]) -> None:
        driver = self._opened.connection.connection.driver_connection
        assert driver is not None
        with driver.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _touch_people(self, happened: str, rows: "Sequence[Row[Any]]") -> None:
        if rows:
            query = f"SELECT x.id, '{happened}', x.user_principal_name FROM users x WHERE x.id = ANY(:users)"
            self._touch(query, users=_ids(rows))

    def _touch(self, found: str, **values: Any) -> None:
        """`found`: a query for user ids, what happened, and to what."""
        if self._do(sql.TOUCH.format(found=found), **values):
            jobs.defer(self._opened.connection, RECONCILE, [self._opened.tenant.id], priority=_RECONCILE_PRIORITY)

    def _told(
        self,
        activity: str,
        kind: str,
        rows: "Sequence[Row[Any]]",
        counted: str,
        difference: Any = None,
    ) -> None:
        """Count them, and write each down where they are few."""
        self._merged.counts[counted] = len(rows)
        if 0 < len(rows) <= NAMED:
            events = [event(row.id, row.name, *(difference(row) if difference else (None, None))) for row in rows]
            self._opened.audit(activity, kind, events)


def _people(people: Iterable[Person]) -> Iterable[tuple[Any, ...]]:
    for p in people:
        upn = p.user_principal_name
        fits = len(upn) <= _LONGEST_UPN and upn.isprintable() and upn.count("@") == 1 and " " not in upn
        yield (
            p.source_id, upn, _clean(p.display_name), _clean(p.mail), p.enabled, p.account_name, p.distinguished_name,
            p.security_identifier, list(p.groups), None if fits else Code.UPN_UNFIT.value,
        )  # fmt: skip


def _groups(groups: Iterable[SecurityGroup]) -> Iterable[tuple[Any, ...]]:
    for g in groups:
        yield (
            g.source_id, _clean(g.display_name), _clean(g.description, 1024), g.account_name, g.distinguished_name,
            g.security_identifier, None,
        )  # fmt: skip


def _clean(said: str, longest: int = _LONGEST) -> str:
    """As this tenant's names may be: printable and not too long."""
    return (said if said.isprintable() else "".join(c if c.isprintable() else " " for c in said)).strip()[:longest]


def _ids(rows: "Iterable[Row[Any]]") -> list[UUID]:
    return [row.id for row in rows]


def _difference(row: "Row[Any]") -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    pairs = {
        "userPrincipalName": (row.old_upn, row.name),
        "displayName": (row.old_display_name, row.display_name),
        "mail": (row.old_mail, row.mail),
        "accountEnabled": (row.was_enabled, row.enabled),
    }
    differ = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return {n: p[0] for n, p in differ.items()}, {n: p[1] for n, p in differ.items()}


def _lost(row: "Row[Any]") -> Mapping[str, Any]:
    return {"displayName": row.name, "provisioningPolicies": row.policies, "servicePlans": row.plans}


def _members(row: "Row[Any]", came: bool) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    named = {"members": row.who, **({"more": row.n - len(row.who)} if row.n > len(row.who) else {})}
    return (None, named) if came else (named, None)
