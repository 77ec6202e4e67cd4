"""Security and Microsoft 365 groups, and who is in them. Members are people: groups in groups do not count (E1)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright.domain.rules import Refused
from deskwright.operations import last_administrator, named, synchronised
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.named import Item, Noun
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import groups

KINDS = ("security", "microsoft365")


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "groupTypes": ["Unified"] if row.kind == "microsoft365" else [],
        "securityEnabled": row.kind == "security",
        "createdDateTime": row.created_at,
        **row.profile,
    }


GROUP = Noun("group", "group", groups, "displayName", "display_name", _present, "group")

# In the order in which people came, so that the queue for seats (E6) is the same each time the same thing is done.
_MEMBERS = """
    SELECT u.id FROM users u WHERE u.tenant_id = :tenant AND u.deleted_at IS NULL AND u.id IN (
      SELECT m.user_id FROM memberships m WHERE m.group_id = ANY(:groups)) ORDER BY u.created_at, u.user_principal_name
"""
# A group without licence and policy makes no difference to anyone's Cloud PC.
_MATTERS = """
    EXISTS (SELECT 1 FROM license_groups l WHERE l.group_id = :group)
    OR EXISTS (SELECT 1 FROM policy_assignments a WHERE a.group_id = :group)
"""
_ADD = text(
    """
    INSERT INTO memberships (group_id, user_id, tenant_id)
    SELECT :group, wanted, :tenant FROM unnest(CAST(:users AS uuid[])) AS wanted
    ON CONFLICT DO NOTHING RETURNING user_id
    """
)
_REMOVE = text(
    """
    DELETE FROM memberships WHERE tenant_id = :tenant AND group_id = :group AND user_id = ANY(:users) RETURNING user_id
    """
)
_MEMBER_NAMES = text(
    """
    SELECT u.user_principal_name FROM memberships m JOIN users u ON u.id = m.user_id
     WHERE m.tenant_id = :tenant AND m.group_id = :group ORDER BY lower(u.user_principal_name)
    """
)
_USES = text(
    """
    SELECT ARRAY(SELECT p.display_name FROM policy_assignments a JOIN policies p ON p.id = a.policy_id
                  WHERE a.group_id = :group ORDER BY a.number) AS policies,
           ARRAY(SELECT p.display_name FROM license_groups l JOIN service_plans p ON p.id = l.plan_id
                  WHERE l.group_id = :group ORDER BY p.display_name) AS plans,
           ARRAY(SELECT s.display_name FROM user_setting_assignments a JOIN user_settings s ON s.id = a.setting_id
                  WHERE a.group_id = :group ORDER BY s.number) AS settings,
           (SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL
             WHERE m.group_id = :group) AS members
    """
)
_MEMBER = text("EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = :in_group AND m.user_id = users.id)")


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    kind: str = "security",
    members: Sequence[str] = (),
    profile: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Add a group, with its first members. Nobody is touched: it has no licence and no policy yet.

    `profile`: properties that nothing here acts on, such as the description, by the API's names.
    """
    if kind not in KINDS:
        raise Refused("kind", kind, f"must be one of: {', '.join(KINDS)}")
    name = named.check_name("displayName", display_name)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, GROUP, name)
        row = named.create(opened, GROUP, display_name=name, kind=kind, profile=dict(profile or {}))
        if members:
            _add(opened, row, members)
        return _present(row)


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    group: str,
    *,
    display_name: str | None = None,
    profile: Mapping[str, Any] | None = None,
    add: Sequence[str] = (),
    confirmed: bool = False,
) -> Item:
    """Rename a group, change the properties named in `profile`, and put people into it who are not in it yet."""
    name = None if display_name is None else named.check_name("displayName", display_name)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        synchronised.refuse_change(
            opened.connection, row, row.display_name, {"display_name": "displayName"}, display_name=name
        )
        if (
            profile is not None
            and "description" in profile
            and profile["description"] != row.profile.get("description")
        ):
            synchronised.refuse(opened.connection, row, row.display_name, "description")
        if name is not None:
            named.refuse_taken(opened.connection, tenant, GROUP, name, besides=row.id)
        kept = None if profile is None else {**row.profile, **profile}
        after = named.modify(opened, GROUP, row, display_name=name, profile=kept)
        if add:
            _add_new(opened, after, add)
        return _present(after)


def delete(database: Database, tenant: TenantRef, actor: str, group: str, *, confirmed: bool = False) -> Item:
    """Delete a group: its members lose what they had through it (E8). What it was is kept in the audit log (R13)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        synchronised.refuse(opened.connection, row, row.display_name, "group")
        of = {"tenant": tenant.id, "group": row.id}
        uses = opened.connection.execute(_USES, of).one()
        members = list(opened.connection.execute(_MEMBER_NAMES, of).scalars())
        if uses.policies or uses.plans:
            touch_members(opened, [row.id], "Group deleted", row.display_name)
        lost = {"provisioningPolicies": uses.policies, "servicePlans": uses.plans, "userSettings": uses.settings}
        with last_administrator.kept(opened.connection, tenant, actor, field="group"):
            named.remove(opened, GROUP, row, members=members, **lost)
        return _present(row)


def add_members(
    database: Database, tenant: TenantRef, actor: str, group: str, users: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Put people into a group; those who are in it already stay as they are. `added`: the names of the others."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        added = _add(opened, row, users)
        return {**_present(row), "added": added}


def remove_members(
    database: Database, tenant: TenantRef, actor: str, group: str, users: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Take people out of a group; those who are not in it are no error."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, GROUP, group)
        synchronised.refuse(opened.connection, row, row.display_name, "members")
        people = named.several(opened.connection, tenant, USER, users)
        of = {"tenant": tenant.id, "group": row.id, "users": [p.id for p in people]}
        with last_administrator.kept(opened.connection, tenant, actor, field="members"):
            gone = set(opened.connection.execute(_REMOVE, of).scalars())
        removed = [p for p in people if p.id in gone]
        names = _write(opened, row, removed, "Remove group members", "removed", "Removed from group")
        return {**_present(row), "removed": names}


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return [_present(row) for row in named.page(connection, tenant, GROUP, after, limit)]


def show(database: Database, tenant: TenantRef, group: str) -> Item:
    """A group with how many are in it and what it is for; who they are: `members`, in pages."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, GROUP, group)
        uses = connection.execute(_USES, {"group": row.id}).one()
        return {
            **_present(row),
            "onPremisesDomainName": synchronised.domain_of(connection, row),
            "memberCount": uses.members,
            "provisioningPolicies": uses.policies,
            "servicePlans": uses.plans,
            "userSettings": uses.settings,
        }


def members(
    database: Database, tenant: TenantRef, group: str, after: str | None = None, limit: int = 100
) -> list[Item]:
    """The people in a group."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, GROUP, group)
        rows = named.page(connection, tenant, USER, after, limit, _MEMBER.bindparams(in_group=row.id))
        return [USER.present(person) for person in rows]


def touch_members(opened: Change, ids: Sequence[UUID], happened: str, subject: str) -> int:
    """Mark everyone who is in one of these groups."""
    return opened.touch(_MEMBERS, happened, subject, groups=list(ids))


def put(opened: Change, row: "Row[Any]", people: "list[Row[Any]]") -> list[str]:
    """Put people into a group, in an open change; the names of those who were not in it."""
    synchronised.refuse(opened.connection, row, row.display_name, "members")
    of = {"tenant": opened.tenant.id, "group": row.id, "users": [p.id for p in people]}
    new = set(opened.connection.execute(_ADD, of).scalars())
    return _write(opened, row, [p for p in people if p.id in new], "Add group members", "added", "Added to group")


def _add_new(opened: Change, row: "Row[Any]", users: Sequence[str]) -> None:
    added = _add(opened, row, users)
    if len(added) < len(set(users)):
        rule = "one or more of them are members already; add those who are not"
        raise Refused("members", row.display_name, rule)


def _add(opened: Change, row: "Row[Any]", users: Sequence[str]) -> list[str]:
    return put(opened, row, named.several(opened.connection, opened.tenant, USER, users))


def _write(
    opened: Change, group: "Row[Any]", people: "list[Row[Any]]", activity: str, verb: str, happened: str
) -> list[str]:
    names = [p.user_principal_name for p in people]
    if names:
        before, after = ({"members": names}, None) if verb == "removed" else (None, {"members": names})
        opened.audit(activity, "group", [event(group.id, group.display_name, before, after)])
        chosen = f"SELECT unnest(CAST(:users AS uuid[])) WHERE {_MATTERS}"
        opened.touch(chosen, happened, group.display_name, users=[p.id for p in people], group=group.id)
    return names
