"""Assigning provisioning policies to groups. The first assignment that reaches a person wins (E4): by a number that
the tenant counts up, which an assignment keeps for as long as it stays."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright.domain.rules import Refused
from deskwright.operations import audit, named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.groups import GROUP, touch_members
from deskwright.operations.named import Item
from deskwright.operations.policy_view import POLICY, present
from deskwright.store.audit import event
from deskwright.store.database import Database

_HELD = text(
    "SELECT group_id, number FROM policy_assignments WHERE tenant_id = :tenant AND policy_id = :policy ORDER BY number"
)
_COUNT_UP = text(
    "UPDATE tenants SET assignments_made = assignments_made + :n WHERE id = :tenant RETURNING assignments_made"
)
_ADD = text(
    """
    INSERT INTO policy_assignments (policy_id, group_id, tenant_id, number)
    SELECT :policy, wanted.id, :tenant, :before + wanted.position
      FROM unnest(CAST(:groups AS uuid[])) WITH ORDINALITY AS wanted (id, position)
    """
)
_THERE = text("SELECT id FROM groups WHERE tenant_id = :tenant AND id = ANY(:groups)")
_ADD_AGAIN = text(
    """
    INSERT INTO policy_assignments (policy_id, group_id, tenant_id, number)
    SELECT :policy, had.id, :tenant, had.number
      FROM unnest(CAST(:groups AS uuid[]), CAST(:numbers AS bigint[])) AS had (id, number)
     WHERE had.id = ANY(:wanted)
    ON CONFLICT (tenant_id, number) DO NOTHING
    """
)
_REMOVE = text(
    "DELETE FROM policy_assignments WHERE tenant_id = :tenant AND policy_id = :policy AND group_id = ANY(:groups)"
)


def assign(
    database: Database, tenant: TenantRef, actor: str, policy: str, groups: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Assign a policy to more groups, in that order; where it is assigned already nothing changes."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        wanted = named.several(opened.connection, tenant, GROUP, groups)
        return _change(opened, row, add=[g.id for g in wanted], drop=[])


def unassign(
    database: Database, tenant: TenantRef, actor: str, policy: str, groups: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Take a policy from groups: those it made a Cloud PC for get a grace period (E8)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        dropped = named.several(opened.connection, tenant, GROUP, groups)
        return _change(opened, row, add=[], drop=[g.id for g in dropped])


def set_assignments(
    database: Database,
    tenant: TenantRef,
    actor: str,
    policy: str,
    groups: Sequence[str],
    *,
    confirmed: bool = False,
    look: Callable[[Change, UUID], None] | None = None,
) -> Item:
    """Replace the whole list. Groups that stay keep their number, whatever the order they are given in (E4).

    With `look` nothing is changed: it is shown what would be.
    """
    with change(database, tenant, actor, confirmed=confirmed, dry_run=look is not None) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        item = replace(opened, row, groups)
        if look:
            look(opened, row.id)
        return item


def restore(
    database: Database,
    tenant: TenantRef,
    actor: str,
    policy: str,
    event_id: int,
    *,
    confirmed: bool = False,
    look: Callable[[Change, UUID], None] | None = None,
) -> Item:
    """Put back the assignments that a policy had before an event of the audit log, with their numbers (R13, E4).

    Groups that have been deleted since stay out. With `look` nothing is changed: it is shown what would be.
    """
    with change(database, tenant, actor, confirmed=confirmed, dry_run=look is not None) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        kept = audit.show(database, tenant, event_id)
        before = (kept["before"] or {}).get("assignments")
        if kept["resourceId"] != str(row.id) or before is None:
            remedy = f"deskwright audit list --object {row.display_name!r} shows those that do"
            raise Refused(
                "auditEvent", event_id, f"does not change the assignments of {row.display_name}", remedy=remedy
            )
        item = _put_back(opened, row, {UUID(a["groupId"]): int(a["number"]) for a in before})
        if look:
            look(opened, row.id)
        return item


def replace(opened: Change, policy: "Row[Any]", groups: Sequence[str]) -> Item:
    """The same inside an open change."""
    wanted = named.several(opened.connection, opened.tenant, GROUP, groups)
    stays = {g.id for g in wanted}
    drop = [held for held in _held(opened, policy) if held not in stays]
    return _change(opened, policy, add=[g.id for g in wanted], drop=drop)


def _put_back(opened: Change, policy: "Row[Any]", numbers: Mapping[UUID, int]) -> Item:
    of = {"tenant": opened.tenant.id, "policy": policy.id}
    there = opened.connection.execute(_THERE, {**of, "groups": list(numbers)}).scalars()
    wanted = {group: numbers[group] for group in there}
    held = {row.group_id: row.number for row in opened.connection.execute(_HELD, of)}
    stays = {group for group, number in held.items() if wanted.get(group) == number}
    add = sorted(wanted.keys() - stays, key=lambda group: wanted[group])
    return _change(opened, policy, add=add, drop=[g for g in held if g not in stays], numbers=wanted)


def _held(opened: Change, policy: "Row[Any]") -> list[UUID]:
    return list(opened.connection.execute(_HELD, {"tenant": opened.tenant.id, "policy": policy.id}).scalars())


def _change(
    opened: Change,
    policy: "Row[Any]",
    *,
    add: Sequence[UUID],
    drop: Sequence[UUID],
    numbers: Mapping[UUID, int] | None = None,
) -> Item:
    """`numbers`: those that added groups get back, where nobody has them now."""
    connection, of = opened.connection, {"tenant": opened.tenant.id, "policy": policy.id}
    held = set(_held(opened, policy))
    gone = [g for g in drop if g in held]
    new = [g for g in add if g not in held or g in gone]
    before = present(connection, opened.tenant, [policy])[0]
    if not new and not gone:
        return before
    if gone:
        connection.execute(_REMOVE, {**of, "groups": gone})
        touch_members(opened, gone, "Provisioning policy unassigned", policy.display_name)
    if numbers:
        known = {"groups": list(numbers), "numbers": list(numbers.values())}
        connection.execute(_ADD_AGAIN, {**of, **known, "wanted": new})
        back = set(_held(opened, policy)) & set(new)
        touch_members(opened, sorted(back), "Provisioning policy assigned", policy.display_name)
        new = [g for g in new if g not in back]
    if new:
        last = connection.execute(_COUNT_UP, {"tenant": opened.tenant.id, "n": len(new)}).scalar_one()
        connection.execute(_ADD, {**of, "groups": new, "before": last - len(new)})
        touch_members(opened, new, "Provisioning policy assigned", policy.display_name)
    after = present(connection, opened.tenant, [policy])[0]
    # With the numbers: what it takes to put the previous assignment back (R13).
    written = event(
        policy.id, policy.display_name, {"assignments": before["assignments"]}, {"assignments": after["assignments"]}
    )
    opened.audit("Assign provisioning policy", POLICY.kind, [written])
    return after
