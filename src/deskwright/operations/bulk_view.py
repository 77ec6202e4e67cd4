"""Bulk actions as people look at them: the past ones, one with its counts, and what became of each Cloud PC."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import errors
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import named
from deskwright.operations.bulk_actions import OUTCOME, summaries
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.store.database import Database

OUTCOMES = ("pending", "inProgress", "successful", "failed", "notSupported")

_LIST = text(
    """
    SELECT b.*, tenant_now(b.tenant_id) AS now FROM bulk_actions b
     WHERE tenant_id = :tenant AND (CAST(:at AS timestamptz) IS NULL OR (created_at, id) < (:at, CAST(:after AS uuid)))
     ORDER BY created_at DESC, id DESC LIMIT :limit
    """
)
_ONE = text("SELECT b.*, tenant_now(tenant_id) AS now FROM bulk_actions b WHERE tenant_id = :tenant AND id = :id")
_ITEMS = text(
    f"""
    SELECT * FROM (
      SELECT i.position, i.cloud_pc_id, i.error, i.changed_at, r.error AS run_error, c.status, u.user_principal_name,
             COALESCE(c.device_name, c.display_name) AS device, {OUTCOME} AS outcome
        FROM bulk_action_items i LEFT JOIN runs r ON r.id = i.run_id
        JOIN cloud_pcs c ON c.id = i.cloud_pc_id JOIN users u ON u.id = c.user_id
       WHERE i.bulk_action_id = :id AND c.tenant_id = :tenant AND i.position > :after) items
     WHERE CAST(:outcome AS text) IS NULL OR outcome = :outcome ORDER BY position LIMIT :limit
    """
)


def list_(database: Database, tenant: TenantRef, after: UUID | None = None, limit: int = 50) -> list[Item]:
    """The newest first. `after`: those that were begun before the one with this id."""
    named.check_limit(limit)
    with database.single.connect() as connection:
        at = _row(connection, tenant, after).created_at if after else None
        values = {"tenant": tenant.id, "at": at, "after": after, "limit": limit}
        rows = connection.execute(_LIST, values).all()
        counts = summaries(connection, [row.id for row in rows])
        return [_told(row, counts[row.id]) for row in rows]


def show(database: Database, tenant: TenantRef, bulk_action: UUID) -> Item:
    """One, with how many Cloud PCs are where. Raises NotFound."""
    with database.single.connect() as connection:
        row = _row(connection, tenant, bulk_action)
        return _told(row, summaries(connection, [row.id])[row.id])


def items(
    database: Database,
    tenant: TenantRef,
    bulk_action: UUID,
    *,
    outcome: str | None = None,
    after: int = 0,
    limit: int = 100,
) -> list[Item]:
    """What became of its Cloud PCs, in their order: `position`, `outcome`, and the reason of a failure."""
    named.check_limit(limit)
    if outcome is not None and outcome not in OUTCOMES:
        raise Refused("outcome", outcome[:60], f"must be one of {', '.join(OUTCOMES)}")
    values = {"tenant": tenant.id, "id": bulk_action, "outcome": outcome, "after": after, "limit": limit}
    with database.single.connect() as connection:
        return [
            {
                "position": row.position,
                "cloudPcId": str(row.cloud_pc_id),
                "userPrincipalName": row.user_principal_name,
                "device": row.device,
                "status": row.status,
                "outcome": row.outcome,
                "reason": _reason(row),
                "changedDateTime": row.changed_at,
            }
            for row in connection.execute(_ITEMS, values)
        ]


def _row(connection: Connection, tenant: TenantRef, bulk_action: UUID) -> Row[Any]:
    row = connection.execute(_ONE, {"tenant": tenant.id, "id": bulk_action}).one_or_none()
    if row is None:
        raise NotFound("bulkAction", str(bulk_action))
    return row


def _told(row: Row[Any], counts: Mapping[str, int]) -> Item:
    counted = {outcome: counts.get(outcome, 0) for outcome in OUTCOMES}
    left = counted["pending"] + counted["inProgress"]
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "kind": row.kind,
        "options": row.options,
        "requestedBy": row.requested_by_user or row.requested_by,
        "createdDateTime": row.created_at,
        "now": row.now,
        "counts": counted,
        "total": sum(counted.values()),
        "left": left,
        "progress": 1 - left / (sum(counted.values()) or 1),
    }


def _reason(row: Row[Any]) -> str:
    if row.outcome not in ("failed", "notSupported"):
        return ""
    if row.error:
        return str(row.error["message"]).replace(str(row.cloud_pc_id), row.device)
    if row.run_error:
        return errors.explain(row.run_error["code"], row.run_error.get("values") or {}).message
    return ""
