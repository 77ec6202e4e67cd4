"""Role assignments as the API has them: one role, given to one or several people."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import last_administrator, named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.roles import check_role
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database

MOST = 100
"""People in one assignment."""

_GET = text(
    """
    SELECT role, max(display_name) AS display_name, max(description) AS description,
           array_agg(user_id ORDER BY user_id) AS users
      FROM role_assignments WHERE tenant_id = :tenant AND assignment_id = :id GROUP BY role
    """
)
# The deleted among them too: they would hold it again when restored.
_NAMES = text("SELECT id, user_principal_name FROM users WHERE id = ANY(:users) ORDER BY lower(user_principal_name)")
_GIVE = text(
    """
    INSERT INTO role_assignments (tenant_id, role, user_id, assignment_id, display_name, description, created_at)
    SELECT :tenant, :role, wanted, :id, :name, :description, tenant_now(:tenant)
      FROM unnest(CAST(:users AS uuid[])) AS wanted
    ON CONFLICT (user_id, role) DO NOTHING RETURNING user_id
    """
)
_TAKE = text(
    "DELETE FROM role_assignments WHERE tenant_id = :tenant AND assignment_id = :id "
    "AND (CAST(:users AS uuid[]) IS NULL OR user_id = ANY(:users))"
)
_DESCRIBE = text(
    "UPDATE role_assignments SET display_name = :name, description = :description "
    "WHERE tenant_id = :tenant AND assignment_id = :id"
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    role: str,
    users: Sequence[str],
    display_name: str = "",
    description: str = "",
) -> UUID:
    """Give people a role; returns the assignment's id. Refused where one of them has it by another assignment."""
    name, made = check_role(role), uuid4()
    with change(database, tenant, actor) as opened:
        people = _people(opened.connection, tenant, users)
        _give(opened, made, name, people, display_name, description)
        after = _shown(name, [p.user_principal_name for p in people], display_name, description)
        opened.audit("Create role assignment", "roleAssignment", [event(made, display_name or name, None, after)])
    return made


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    assignment: UUID,
    *,
    users: Sequence[str] | None = None,
    display_name: str | None = None,
    description: str | None = None,
) -> None:
    """Change who has the role by this assignment, or what it is called; the role itself stays."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, assignment)
        name = row.display_name if display_name is None else display_name
        said = row.description if description is None else description
        of = {"tenant": tenant.id, "id": assignment}
        before = list(opened.connection.execute(_NAMES, {"users": row.users}))
        people = before if users is None else _people(opened.connection, tenant, users)
        kept = {p.id for p in people}
        gone = [u for u in row.users if u not in kept]
        if row.role == ADMINISTRATOR:
            last_administrator.refuse_own(opened.connection, tenant, actor, gone, field="principalIds")
        if gone:
            opened.connection.execute(_TAKE, {**of, "users": gone})
        _give(opened, assignment, row.role, [p for p in people if p.id not in row.users], name, said)
        opened.connection.execute(_DESCRIBE, {**of, "name": name, "description": said})
        old = _shown(row.role, [p.user_principal_name for p in before], row.display_name, row.description)
        new = _shown(row.role, [p.user_principal_name for p in people], name, said)
        if old != new:
            opened.audit("Update role assignment", "roleAssignment", [event(assignment, name or row.role, old, new)])


def delete(database: Database, tenant: TenantRef, actor: str, assignment: UUID) -> None:
    """Take the role from everyone who has it by this assignment; it counts no more within a minute."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, assignment)
        if row.role == ADMINISTRATOR:
            last_administrator.refuse_own(opened.connection, tenant, actor, row.users, field="principalIds")
        people = list(opened.connection.execute(_NAMES, {"users": row.users}))
        opened.connection.execute(_TAKE, {"tenant": tenant.id, "id": assignment, "users": None})
        old = _shown(row.role, [p.user_principal_name for p in people], row.display_name, row.description)
        opened.audit(
            "Delete role assignment", "roleAssignment", [event(assignment, row.display_name or row.role, old, None)]
        )


def _one(connection: Connection, tenant: TenantRef, assignment: UUID) -> "Row[Any]":
    row = connection.execute(_GET, {"tenant": tenant.id, "id": assignment}).one_or_none()
    if row is None:
        raise NotFound("roleAssignment", str(assignment))
    return row


def _people(connection: Connection, tenant: TenantRef, users: Sequence[str]) -> "list[Row[Any]]":
    if not 1 <= len(users) <= MOST:
        raise Refused("principalIds", None, f"must name 1 to {MOST} users")
    return named.several(connection, tenant, USER, users)


def _give(
    opened: Change, assignment: UUID, role: str, people: "list[Row[Any]]", display_name: str, description: str
) -> None:
    values = {
        "tenant": opened.tenant.id,
        "id": assignment,
        "role": role,
        "users": [p.id for p in people],
        "name": display_name,
        "description": description,
    }
    given = set(opened.connection.execute(_GIVE, values).scalars()) if people else set()
    for person in people:
        if person.id not in given:
            rule = f"holds {role} by another assignment already"
            raise Refused("principalIds", person.user_principal_name, rule, code="conflict")


def _shown(role: str, users: list[str], display_name: str, description: str) -> Item:
    return {"role": role, "principals": sorted(users), "displayName": display_name, "description": description}
