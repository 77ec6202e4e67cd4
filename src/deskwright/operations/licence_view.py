"""What pages show about service plans: seats, who waits for one and who holds one in grace, and the queue (E6)."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.rules import Refused
from deskwright.operations import licenses, named
from deskwright.operations.change import TenantRef
from deskwright.operations.licenses import PLAN
from deskwright.operations.named import Item

_SEATS = text(
    """
    SELECT plan_id, count(*) FILTER (WHERE status = 'pendingProvision' AND waiting_for = 'seat') AS waiting,
           count(*) FILTER (WHERE status = 'inGracePeriod') AS in_grace
      FROM cloud_pcs WHERE tenant_id = :tenant AND status IN ('pendingProvision', 'inGracePeriod')
       AND (CAST(:plan AS uuid) IS NULL OR plan_id = :plan) GROUP BY plan_id
    """
)
# How many are in a group is counted only for one plan's page: a list of plans stays quick with large groups.
_LICENSED_GROUPS = text(
    """
    SELECT l.plan_id, g.id, g.display_name, CASE WHEN CAST(:plan AS uuid) IS NOT NULL THEN (
             SELECT count(*) FROM memberships m JOIN users u ON u.id = m.user_id AND u.deleted_at IS NULL
              WHERE m.group_id = g.id) END AS members
      FROM license_groups l JOIN groups g ON g.id = l.group_id
     WHERE l.tenant_id = :tenant AND (CAST(:plan AS uuid) IS NULL OR l.plan_id = :plan) ORDER BY lower(g.display_name)
    """
)
_WAITING = "plan_id = :plan AND status = 'pendingProvision' AND waiting_for = 'seat'"
_BEFORE = text(f"SELECT count(*) FROM cloud_pcs WHERE {_WAITING} AND entitled_number <= :after")
_QUEUE = text(
    f"""
    SELECT c.id, c.entitled_number, c.policy_name, c.status_since, u.id AS user_id, u.user_principal_name,
           u.display_name FROM cloud_pcs c JOIN users u ON u.id = c.user_id
     WHERE c.id IN (SELECT id FROM cloud_pcs WHERE {_WAITING} AND entitled_number > :after
                     ORDER BY entitled_number LIMIT :limit) ORDER BY c.entitled_number
    """
)


def plans(connection: Connection, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    """Plans with `seats`, `seatsInUse`, `seatsInGrace` among them, `waiting` for one, `consumedUnits` (licences held)
    and the licensed `groups`; three queries, however many plans."""
    rows = named.page(connection, tenant, PLAN, after, limit)
    held = licenses.consumption(connection, tenant)
    use, groups = _use(connection, tenant, None), _groups(connection, tenant, None)
    return [
        {
            **PLAN.present(row),
            "seatsInUse": row.seats_used,
            **use.get(row.id, _NONE),
            "consumedUnits": held.get(row.id, 0),
        }
        | {"groups": groups.get(row.id, [])}
        for row in rows
    ]


def plan(connection: Connection, tenant: TenantRef, wanted: str) -> Item:
    """One plan, in the same shape."""
    row = named.one(connection, tenant, PLAN, wanted)
    use, groups = _use(connection, tenant, row.id), _groups(connection, tenant, row.id)
    item = {**PLAN.present(row), "seatsInUse": row.seats_used, **use.get(row.id, _NONE)}
    return {**item, "consumedUnits": licenses.consumed(connection, row.id), "groups": groups.get(row.id, [])}


def waiting(connection: Connection, tenant: TenantRef, wanted: str, after: str | None, limit: int = 50) -> list[Item]:
    """Who waits for a seat of the plan, with `queuePosition`, in the order in which they get one (E6).

    `after`: the `entitledNumber` of the last one of the page before.
    """
    row = named.one(connection, tenant, PLAN, wanted)
    of: dict[str, Any] = {"plan": row.id, "after": _number(after), "limit": named.check_limit(limit)}
    before = int(connection.execute(_BEFORE, of).scalar_one()) if of["after"] else 0
    return [
        {
            "cloudPcId": str(pc.id),
            "userId": str(pc.user_id),
            "userPrincipalName": pc.user_principal_name,
            "displayName": pc.display_name,
            "provisioningPolicyName": pc.policy_name,
            "since": pc.status_since,
            "queuePosition": before + place,
            "entitledNumber": pc.entitled_number,
        }
        for place, pc in enumerate(connection.execute(_QUEUE, of), 1)
    ]


_NONE = {"waiting": 0, "seatsInGrace": 0}


def _use(connection: Connection, tenant: TenantRef, plan: UUID | None) -> dict[UUID, Item]:
    rows = connection.execute(_SEATS, {"tenant": tenant.id, "plan": plan})
    return {row.plan_id: {"waiting": row.waiting, "seatsInGrace": row.in_grace} for row in rows}


def _groups(connection: Connection, tenant: TenantRef, plan: UUID | None) -> dict[UUID, list[Item]]:
    found: dict[UUID, list[Item]] = {}
    for row in connection.execute(_LICENSED_GROUPS, {"tenant": tenant.id, "plan": plan}):
        item = {"id": str(row.id), "displayName": row.display_name, "memberCount": row.members}
        found.setdefault(row.plan_id, []).append(item)
    return found


def _number(after: str | None) -> int:
    if not after:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise Refused("after", after, "is not where a page ended")
    return int(after)
