"""Roles that the members of a group hold, synchronised groups among them: who joins has the role, who leaves has not.

What a person holds after all, by themselves, through groups or as a guest, says the view `held_roles`.
"""

from typing import Any

from sqlalchemy import Row, text

from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ROLES
from deskwright.operations import last_administrator, named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.groups import GROUP
from deskwright.operations.named import Item
from deskwright.operations.roles import check_role
from deskwright.store.audit import event
from deskwright.store.database import Database

SHOWN = 100
"""People of one role whom `people` names."""

_GIVE = text(
    """
    INSERT INTO role_groups (tenant_id, role, group_id, created_at)
    VALUES (:tenant, :role, :group, tenant_now(:tenant)) ON CONFLICT (group_id, role) DO NOTHING RETURNING *
    """
)
_GET = text("SELECT * FROM role_groups WHERE tenant_id = :tenant AND role = :role AND group_id = :group")
_TAKE = text("DELETE FROM role_groups WHERE tenant_id = :tenant AND role = :role AND group_id = :group RETURNING *")
_LIST = text(
    """
    SELECT r.*, g.display_name AS group_name, d.name AS domain,
           (SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL
             WHERE m.group_id = g.id) AS members
      FROM role_groups r JOIN groups g ON g.id = r.group_id LEFT JOIN domains d ON d.id = g.domain_id
     WHERE r.tenant_id = :tenant ORDER BY r.role, lower(g.display_name), r.id
    """
)
_PEOPLE = text(
    """
    SELECT * FROM (
      SELECT h.role, u.id, u.user_principal_name, array_agg(g.display_name ORDER BY lower(g.display_name)) AS groups,
             count(*) OVER (PARTITION BY h.role) AS of,
             row_number() OVER (PARTITION BY h.role ORDER BY lower(u.user_principal_name), u.id) AS place
        FROM held_roles h JOIN users u ON u.id = h.user_id AND u.deleted_at IS NULL JOIN groups g ON g.id = h.group_id
       WHERE h.tenant_id = :tenant AND (CAST(:user AS uuid) IS NULL OR u.id = :user) GROUP BY h.role, u.id) held
     WHERE place <= :most ORDER BY role, place
    """
)


def assign(database: Database, tenant: TenantRef, actor: str, role: str, group: str) -> Item:
    """Give everybody in a group a role (by name, id, or the last word of it); harmless if the group holds it."""
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        of = {"tenant": tenant.id, "role": name, "group": row.id}
        made = opened.connection.execute(_GIVE, of).one_or_none()
        if made is None:
            return _present(opened.connection.execute(_GET, of).one(), row)
        item = _present(made, row)
        opened.audit("Assign role", "roleAssignment", [event(made.id, row.display_name, None, item)])
        return item


def unassign(database: Database, tenant: TenantRef, actor: str, role: str, group: str) -> Item:
    """Take a role from a group; it counts no more within a minute.

    Raises Refused where the group does not hold it, or the last administrator would take their own.
    """
    name = check_role(role)
    with change(database, tenant, actor) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        with last_administrator.kept(opened.connection, tenant, actor):
            of = {"tenant": tenant.id, "role": name, "group": row.id}
            found = opened.connection.execute(_TAKE, of).one_or_none()
        if found is None:
            raise Refused("role", name, f"group {row.display_name} does not hold it", code="itemNotFound")
        item = _present(found, row)
        opened.audit("Unassign role", "roleAssignment", [event(found.id, row.display_name, item, None)])
        return item


def list_(database: Database, tenant: TenantRef) -> list[Item]:
    """The groups that hold a role: besides what `assign` answers `members`, how many people, and `domain`, of which
    Active Directory domain the group is (None: of none)."""
    with database.single.connect() as connection:
        found = connection.execute(_LIST, {"tenant": tenant.id}).all()
    return [
        {**_item(row), "groupDisplayName": row.group_name, "members": row.members, "domain": row.domain}
        for row in found
    ]


def people(database: Database, tenant: TenantRef, *, user: str | None = None, most: int = SHOWN) -> list[Item]:
    """Who holds a role through groups, and through which: role, principalId, userPrincipalName, `groups` (names).

    At most `most` people of each role; `of` is how many there are. `user`: only that one, by id.
    """
    wanted = None if user is None else named.as_id(user)
    with database.single.connect() as connection:
        found = connection.execute(_PEOPLE, {"tenant": tenant.id, "user": wanted, "most": most}).all()
    return [
        {
            "role": row.role,
            "principalId": str(row.id),
            "userPrincipalName": row.user_principal_name,
            "groups": list(row.groups),
            "of": row.of,
        }
        for row in found
    ]


def _present(row: "Row[Any]", group: "Row[Any]") -> Item:
    return {**_item(row), "groupDisplayName": group.display_name}


def _item(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "roleDefinitionId": str(ROLES[row.role]),
        "role": row.role,
        "principalId": str(row.group_id),
        "createdDateTime": row.created_at,
    }
