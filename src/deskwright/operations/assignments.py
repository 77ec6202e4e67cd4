"""Assigning provisioning policies to groups. The first assignment that reaches a person wins (E4): by a number that
the tenant counts up, which an assignment keeps for as long as it stays."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.groups import GROUP, touch_members
from deskwright.operations.named import Item
from deskwright.operations.policy_view import POLICY, present
from deskwright.store.audit import event
from deskwright.store.database import Database

_HELD = text(
    "SELECT group_id FROM policy_assignments WHERE tenant_id = :tenant AND policy_id = :policy ORDER BY number"
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
        return _change(opened, row, add=wanted, drop=[])


def unassign(
    database: Database, tenant: TenantRef, actor: str, policy: str, groups: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Take a policy from groups: those it made a Cloud PC for get a grace period (E8)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        dropped = named.several(opened.connection, tenant, GROUP, groups)
        return _change(opened, row, add=[], drop=[g.id for g in dropped])


def set_assignments(
    database: Database, tenant: TenantRef, actor: str, policy: str, groups: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Replace the whole list. Groups that stay keep their number, whatever the order they are given in (E4)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, POLICY, policy)
        return replace(opened, row, groups)


def replace(opened: Change, policy: "Row[Any]", groups: Sequence[str]) -> Item:
    """The same inside an open change."""
    wanted = named.several(opened.connection, opened.tenant, GROUP, groups)
    stays = {g.id for g in wanted}
    return _change(opened, policy, add=wanted, drop=[held for held in _held(opened, policy) if held not in stays])


def _held(opened: Change, policy: "Row[Any]") -> list[UUID]:
    return list(opened.connection.execute(_HELD, {"tenant": opened.tenant.id, "policy": policy.id}).scalars())


def _change(opened: Change, policy: "Row[Any]", *, add: "Sequence[Row[Any]]", drop: Sequence[UUID]) -> Item:
    connection, of = opened.connection, {"tenant": opened.tenant.id, "policy": policy.id}
    held = set(_held(opened, policy))
    new, gone = [g.id for g in add if g.id not in held], [g for g in drop if g in held]
    before = present(connection, opened.tenant, [policy])[0]
    if not new and not gone:
        return before
    if gone:
        connection.execute(_REMOVE, {**of, "groups": gone})
        touch_members(opened, gone, "Provisioning policy unassigned", policy.display_name)
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
