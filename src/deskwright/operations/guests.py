"""Roles of people in tenants that are not their own: an MSP's administrator works in several.

A guest holds one role in a tenant. Their account, password and Cloud PCs stay in their own.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import last_administrator, named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.roles import check_role
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database

_ELSEWHERE = text(
    """
    SELECT u.id, u.user_principal_name, t.name AS home FROM tenants t
      JOIN users u ON u.tenant_id = t.id AND u.deleted_at IS NULL
     WHERE t.id <> :tenant AND lower(u.user_principal_name) = lower(:upn) ORDER BY t.name LIMIT 10
    """
)
_GUESTS = """
    SELECT g.user_id AS id, g.role, g.created_at, u.user_principal_name, t.name AS home FROM guest_roles g
      JOIN users u ON u.id = g.user_id JOIN tenants t ON t.id = u.tenant_id WHERE g.tenant_id = :tenant
"""
_LIST = text(f"{_GUESTS} AND u.deleted_at IS NULL ORDER BY lower(u.user_principal_name), g.user_id")
_ONE = text(f"{_GUESTS} AND g.user_id = :user")
_NAMED = text(f"{_GUESTS} AND lower(u.user_principal_name) = lower(:upn)")
_GIVE = text(
    """
    INSERT INTO guest_roles (tenant_id, user_id, role, created_at)
    VALUES (:tenant, :user, :role, tenant_now(:tenant))
    ON CONFLICT (tenant_id, user_id) DO UPDATE SET role = excluded.role
    """
)
_TAKE = text("DELETE FROM guest_roles WHERE tenant_id = :tenant AND user_id = :user")
_TENANTS = text(
    """
    SELECT t.id, t.name, held.role FROM (
      SELECT DISTINCT tenant_id, role FROM held_roles WHERE user_id = :user) held
      JOIN tenants t ON t.id = held.tenant_id ORDER BY lower(t.name), held.role
    """
)


def assign(database: Database, tenant: TenantRef, actor: str, role: str, user: str) -> Item:
    """Give a person of another tenant, named by user principal name, a role in this one; it replaces the one they hold.

    Raises Refused where nobody, or more than one person, has that name elsewhere, or the person is of this tenant.
    """
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        row = _person(opened.connection, tenant, user)
        of = {"tenant": tenant.id, "user": row.id}
        before = opened.connection.execute(_ONE, of).one_or_none()
        if before is not None and before.role == name:
            return _present(before)
        with last_administrator.kept(opened.connection, tenant, actor):
            opened.connection.execute(_GIVE, {**of, "role": name})
        after = opened.connection.execute(_ONE, of).one()
        item, old = _present(after), None if before is None else _present(before)
        opened.audit("Assign guest role", "roleAssignment", [event(row.id, row.user_principal_name, old, item)])
        return item


def unassign(database: Database, tenant: TenantRef, actor: str, role: str, user: str) -> Item:
    """Take a guest's role away; it counts no more within a minute. Raises NotFound where there is no such guest."""
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        wanted = named.as_id(user)
        query, of = (_NAMED, {"upn": user.strip()}) if wanted is None else (_ONE, {"user": wanted})
        found = [row for row in opened.connection.execute(query, {"tenant": tenant.id, **of}) if row.role == name]
        if not found:
            raise NotFound("guest", f"{user} ({name})", "deskwright role list shows those there are")
        if len(found) > 1:
            homes = ", ".join(row.home for row in found)
            raise Refused("user", user, f"is the name of several guests, from {homes}", remedy="Name one by id")
        item = _present(found[0])
        with last_administrator.kept(opened.connection, tenant, actor):
            opened.connection.execute(_TAKE, {"tenant": tenant.id, "user": found[0].id})
        gone = event(found[0].id, found[0].user_principal_name, item, None)
        opened.audit("Unassign guest role", "roleAssignment", [gone])
        return item


def list_(database: Database, tenant: TenantRef) -> list[Item]:
    """The guests of this tenant, and their roles."""
    with database.single.connect() as connection:
        return [_present(row) for row in connection.execute(_LIST, {"tenant": tenant.id})]


def tenants_of(connection: Connection, user: UUID) -> list[tuple[UUID, str, str]]:
    """Where a person holds a role: (tenant's id, its name, role), those of their own tenant and those as a guest."""
    return [(row.id, row.name, row.role) for row in connection.execute(_TENANTS, {"user": user})]


def _person(connection: Connection, tenant: TenantRef, user: str) -> "Row[Any]":
    upn = user.strip()
    if named.find(connection, tenant, USER, upn) is not None:
        remedy = f"deskwright role assign ROLE {upn}"
        raise Refused("user", upn, f"is of {tenant.name} already, and needs no guest role", remedy=remedy)
    found = connection.execute(_ELSEWHERE, {"tenant": tenant.id, "upn": upn}).all()
    if not found:
        remedy = "Write the whole user principal name, as it is in the person's own tenant"
        raise Refused("user", upn, "is nobody's name in another tenant", code="itemNotFound", remedy=remedy)
    if len(found) > 1:
        # Their tenants are not named: who asks may know nothing of them.
        raise Refused("user", upn, "is the name of several people in other tenants", remedy="Rename all but one")
    return found[0]


def _present(row: "Row[Any]") -> Item:
    return {
        "role": row.role,
        "principalId": str(row.id),
        "userPrincipalName": row.user_principal_name,
        "tenant": row.home,
        "createdDateTime": row.created_at,
    }
