"""Role assignments as the API has them: one role, given to one or several people and groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import last_administrator, named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.roles import check_role
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database

MOST = 100
"""Principals of one assignment."""

# A row for each principal: of people in one table, of groups in the other.
_ROWS = """
    SELECT role, display_name, description, user_id AS principal FROM role_assignments
     WHERE tenant_id = :tenant AND assignment_id = :id
    UNION ALL
    SELECT role, display_name, description, group_id FROM role_groups WHERE tenant_id = :tenant AND assignment_id = :id
"""
_GET = text(
    f"""
    SELECT role, max(display_name) AS display_name, max(description) AS description,
           array_agg(principal ORDER BY principal) AS principals FROM ({_ROWS}) given GROUP BY role
    """
)
# Deleted people among them too: they would hold it again when restored.
_NAMES = text(
    """
    SELECT id, user_principal_name AS name FROM users WHERE tenant_id = :tenant AND id = ANY(:ids)
    UNION ALL SELECT id, display_name FROM groups WHERE tenant_id = :tenant AND id = ANY(:ids)
    """
)


@dataclass(frozen=True)
class _Kept:
    """Where the rows of one kind of principal are."""

    table: str
    column: str

    def give(self, connection: Connection, **values: Any) -> set[UUID]:
        query = f"""
            INSERT INTO {self.table} (tenant_id, role, {self.column}, assignment_id, display_name, description,
                                      created_at)
            SELECT :tenant, :role, wanted, :id, :name, :description, tenant_now(:tenant)
              FROM unnest(CAST(:principals AS uuid[])) AS wanted
            ON CONFLICT ({self.column}, role) DO NOTHING RETURNING {self.column}
        """
        return set(connection.execute(text(query), values).scalars())

    def take(self, connection: Connection, tenant: UUID, assignment: UUID, gone: Sequence[UUID] | None = None) -> None:
        """`gone` None: from all."""
        query = f"""DELETE FROM {self.table} WHERE tenant_id = :tenant AND assignment_id = :id
            AND (CAST(:gone AS uuid[]) IS NULL OR {self.column} = ANY(:gone))"""
        of = {"tenant": tenant, "id": assignment, "gone": None if gone is None else list(gone)}
        connection.execute(text(query), of)

    def describe(self, connection: Connection, **values: Any) -> None:
        query = f"""UPDATE {self.table} SET display_name = :name, description = :description
            WHERE tenant_id = :tenant AND assignment_id = :id"""
        connection.execute(text(query), values)


_PEOPLE, _GROUPS = _Kept("role_assignments", "user_id"), _Kept("role_groups", "group_id")


@dataclass(frozen=True)
class _Principals:
    """Who is to have a role: names by id."""

    people: dict[UUID, str]
    groups: dict[UUID, str]

    @property
    def all(self) -> dict[UUID, str]:
        return {**self.people, **self.groups}


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    role: str,
    principals: Sequence[str],
    display_name: str = "",
    description: str = "",
) -> UUID:
    """Give people and groups a role; returns the assignment's id. Refused where one has it by another assignment.

    `principals`: names or ids of people; ids of groups.
    """
    name, made = check_role(role), uuid4()
    with change(database, tenant, actor) as opened:
        chosen = _chosen(opened.connection, tenant, principals)
        _give(opened, made, name, chosen, display_name, description)
        after = _shown(name, chosen.all.values(), display_name, description)
        opened.audit("Create role assignment", "roleAssignment", [event(made, display_name or name, None, after)])
    return made


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    assignment: UUID,
    *,
    principals: Sequence[str] | None = None,
    display_name: str | None = None,
    description: str | None = None,
) -> None:
    """Change who has the role by this assignment, or what it is called; the role itself stays."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, assignment)
        name = row.display_name if display_name is None else display_name
        said = row.description if description is None else description
        before = _names(opened.connection, tenant, row.principals)
        after = before
        if principals is not None:
            chosen = _chosen(opened.connection, tenant, principals)
            after = chosen.all
            gone = [p for p in row.principals if p not in after]
            with last_administrator.kept(opened.connection, tenant, actor, field="principalIds"):
                for kept in (_PEOPLE, _GROUPS):
                    kept.take(opened.connection, tenant.id, assignment, gone)
                _give(opened, assignment, row.role, _without(chosen, row.principals), name, said)
        for kept in (_PEOPLE, _GROUPS):
            kept.describe(opened.connection, tenant=tenant.id, id=assignment, name=name, description=said)
        old = _shown(row.role, before.values(), row.display_name, row.description)
        new = _shown(row.role, after.values(), name, said)
        if old != new:
            opened.audit("Update role assignment", "roleAssignment", [event(assignment, name or row.role, old, new)])


def delete(database: Database, tenant: TenantRef, actor: str, assignment: UUID) -> None:
    """Take the role from everyone who has it by this assignment; it counts no more within a minute."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, assignment)
        names = _names(opened.connection, tenant, row.principals)
        with last_administrator.kept(opened.connection, tenant, actor, field="principalIds"):
            for kept in (_PEOPLE, _GROUPS):
                kept.take(opened.connection, tenant.id, assignment)
        old = _shown(row.role, names.values(), row.display_name, row.description)
        opened.audit(
            "Delete role assignment", "roleAssignment", [event(assignment, row.display_name or row.role, old, None)]
        )


def _one(connection: Connection, tenant: TenantRef, assignment: UUID) -> "Row[Any]":
    row = connection.execute(_GET, {"tenant": tenant.id, "id": assignment}).one_or_none()
    if row is None:
        raise NotFound("roleAssignment", str(assignment))
    return row


def _names(connection: Connection, tenant: TenantRef, ids: Sequence[UUID]) -> dict[UUID, str]:
    found = connection.execute(_NAMES, {"tenant": tenant.id, "ids": list(ids)})
    return {row.id: row.name for row in found}


def _chosen(connection: Connection, tenant: TenantRef, principals: Sequence[str]) -> _Principals:
    if not 1 <= len(principals) <= MOST:
        raise Refused("principalIds", None, f"must name 1 to {MOST} users and groups")
    ids = [p for p in principals if named.as_id(p) is not None]
    groups = connection.execute(
        text("SELECT id, display_name FROM groups WHERE tenant_id = :tenant AND id = ANY(CAST(:ids AS uuid[]))"),
        {"tenant": tenant.id, "ids": ids},
    )
    of_groups = {row.id: row.display_name for row in groups}
    rest = [p for p in principals if named.as_id(p) not in of_groups]
    people = named.several(connection, tenant, USER, rest) if rest else []
    return _Principals({p.id: p.user_principal_name for p in people}, of_groups)


def _without(chosen: _Principals, those: Sequence[UUID]) -> _Principals:
    return _Principals(
        {i: n for i, n in chosen.people.items() if i not in those},
        {i: n for i, n in chosen.groups.items() if i not in those},
    )


def _give(
    opened: Change, assignment: UUID, role: str, chosen: _Principals, display_name: str, description: str
) -> None:
    for kept, wanted in ((_PEOPLE, chosen.people), (_GROUPS, chosen.groups)):
        values = {
            "tenant": opened.tenant.id,
            "id": assignment,
            "role": role,
            "principals": list(wanted),
            "name": display_name,
            "description": description,
        }
        given = kept.give(opened.connection, **values) if wanted else set()
        for principal, name in wanted.items():
            if principal not in given:
                raise Refused("principalIds", name, f"holds {role} by another assignment already", code="conflict")


def _shown(role: str, names: Iterable[str], display_name: str, description: str) -> Item:
    return {"role": role, "principals": sorted(names), "displayName": display_name, "description": description}
