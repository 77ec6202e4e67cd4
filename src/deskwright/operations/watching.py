"""Noticing which Cloud PCs of a tenant have changed, by three small queries: for those who watch."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.operations.change import TenantRef

_NOW = text("SELECT tenant_now(:tenant)")
# A transaction may commit a while after the time it writes down: the last seconds are always looked at again.
_MODIFIED = text(
    "SELECT id, modified_at FROM cloud_pcs WHERE tenant_id = :tenant "
    "AND modified_at > CAST(:since AS timestamptz) - interval '15 seconds'"
)
# Runs that move, or will within two minutes. One that fails or parks for longer is noticed by leaving this set.
_MOVING = text(
    """
    SELECT r.cloud_pc_id, r.lease, r.wake_at, s.steps, s.at FROM runs r
      LEFT JOIN LATERAL (SELECT count(*) AS steps, max(GREATEST(started_at, ended_at)) AS at FROM steps
                          WHERE run_id = r.id) s ON true
     WHERE r.tenant_id = :tenant AND r.state = 'active'
       AND (r.wake_at IS NULL OR r.wake_at < tenant_now(:tenant) + interval '2 minutes')
     ORDER BY r.wake_at NULLS FIRST LIMIT 5000
    """
)


@dataclass(frozen=True)
class Look:
    """What was seen at one moment of the tenant's time."""

    at: datetime
    moving: Mapping[UUID, Hashable]
    modified: Mapping[UUID, datetime]
    """Those of the last seconds before."""


def look(connection: Connection, tenant: TenantRef, before: Look | None) -> tuple[Look, set[UUID]]:
    """The state now, and which Cloud PCs have changed since `before`; without one, none have."""
    values = {"tenant": tenant.id}
    at = connection.execute(_NOW, values).scalar_one()
    moving = {row.cloud_pc_id: tuple(row)[1:] for row in connection.execute(_MOVING, values)}
    now = Look(at, moving, _modified(connection, tenant, before.at if before else at))
    if before is None:
        return now, set()
    changed = {pc for pc in {*moving, *before.moving} if moving.get(pc) != before.moving.get(pc)}
    return now, changed | {pc for pc, then in now.modified.items() if before.modified.get(pc) != then}


def since(connection: Connection, tenant: TenantRef, then: datetime) -> set[UUID]:
    """Those that have changed since `then`, or are changing: for one who was away."""
    moving = {row.cloud_pc_id for row in connection.execute(_MOVING, {"tenant": tenant.id})}
    return moving | _modified(connection, tenant, then).keys()


def _modified(connection: Connection, tenant: TenantRef, then: datetime) -> dict[UUID, datetime]:
    found = connection.execute(_MODIFIED, {"tenant": tenant.id, "since": then})
    return {row.id: row.modified_at for row in found}
