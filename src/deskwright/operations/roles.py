"""Directory roles of people, held by themselves: Cloud PC Administrator and Cloud PC Reader."""

from typing import Any, NoReturn

from sqlalchemy import Connection, Row, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ADMINISTRATOR, READER, ROLES
from deskwright.operations import last_administrator, named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import role_assignments, users

_THROUGH = text(
    "SELECT g.display_name FROM held_roles h JOIN groups g ON g.id = h.group_id "
    "WHERE h.user_id = :user AND h.role = :role ORDER BY lower(g.display_name)"
)
_SHORT = {"administrator": ADMINISTRATOR, "reader": READER}


def assign(database: Database, tenant: TenantRef, actor: str, role: str, user: str) -> Item:
    """Give a person a role (by name, id, or the last word of it); harmless if they hold it."""
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        new = insert(role_assignments).values(tenant_id=tenant.id, role=name, user_id=row.id)
        made = opened.connection.execute(new.on_conflict_do_nothing().returning(*role_assignments.c)).one_or_none()
        if made is None:
            made = opened.connection.execute(select(role_assignments).where(*_of(tenant, name, row))).one()
            return _present(made, row)
        item = _present(made, row)
        opened.audit("Assign role", "roleAssignment", [event(made.id, row.user_principal_name, None, item)])
        return item


def unassign(database: Database, tenant: TenantRef, actor: str, role: str, user: str) -> Item:
    """Take a role from a person; it counts no more within a minute.

    Raises Refused where they do not hold it, or the last administrator would take their own.
    """
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, USER, user)
        gone = delete(role_assignments).where(*_of(tenant, name, row)).returning(*role_assignments.c)
        with last_administrator.kept(opened.connection, tenant, actor):
            found = opened.connection.execute(gone).one_or_none()
        if found is None:
            _refuse_missing(opened.connection, name, row)
        item = _present(found, row)
        opened.audit("Unassign role", "roleAssignment", [event(found.id, row.user_principal_name, item, None)])
        return item


def list_(database: Database, tenant: TenantRef, *, role: str | None = None, user: str | None = None) -> list[Item]:
    """Who holds which role by themselves; `role` and `user` narrow it. Those through groups: `role_groups`."""
    r, u = role_assignments, users
    query = select(r, u.c.user_principal_name, u.c.display_name).join(u, u.c.id == r.c.user_id)
    query = query.where(r.c.tenant_id == tenant.id, u.c.deleted_at.is_(None)).order_by(r.c.role, r.c.created_at, r.c.id)
    with database.single.connect() as connection:
        if role is not None:
            query = query.where(r.c.role == check_role(role))
        if user is not None:
            query = query.where(u.c.id == named.one(connection, tenant, USER, user).id)
        return [_present(row, row) for row in connection.execute(query)]


def check_role(role: str) -> str:
    """The role's name, given that, its id, or its last word, in any case."""
    wanted = role.strip().lower()
    for name, role_id in ROLES.items():
        if wanted in (name.lower(), str(role_id)) or _SHORT.get(wanted) == name:
            return name
    raise Refused("role", role, f"is no role; there are: {', '.join(ROLES)}")


def _refuse_missing(connection: Connection, role: str, user: "Row[Any]") -> NoReturn:
    through = connection.execute(_THROUGH, {"user": user.id, "role": role}).scalars().all()
    rule = f"{user.user_principal_name} does not hold it" + (" by themselves" if through else "")
    groups = " and ".join(through)
    remedy = f"They hold it through {groups}: take them out of it, or take the role from the group" if through else ""
    raise Refused("role", role, rule, code="itemNotFound", remedy=remedy)


def _of(tenant: TenantRef, role: str, user: "Row[Any]") -> tuple[Any, ...]:
    c = role_assignments.c
    return c.tenant_id == tenant.id, c.role == role, c.user_id == user.id


def _present(row: "Row[Any]", user: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "roleDefinitionId": str(ROLES[row.role]),
        "role": row.role,
        "principalId": str(row.user_id),
        "userPrincipalName": user.user_principal_name,
        "createdDateTime": row.created_at,
    }
