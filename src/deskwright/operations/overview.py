"""A tenant at a glance: how many of what, in which state."""

from typing import Any

from sqlalchemy import text

from deskwright.domain.status import Status
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.store.database import Database

_STATUSES = text(
    "SELECT status, count(*) AS n FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' GROUP BY status"
)
_WAITING = text(
    """
    SELECT waiting_for, count(*) AS n FROM cloud_pcs
     WHERE tenant_id = :tenant AND status IN ('notProvisioned', 'pendingProvision') GROUP BY waiting_for ORDER BY 1
    """
)
_PLANS = text(
    """
    SELECT display_name AS "servicePlanName", seats, seats_used AS "seatsInUse",
           (SELECT count(*) FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status = 'pendingProvision') AS waiting
      FROM service_plans p WHERE tenant_id = :tenant ORDER BY lower(display_name)
    """
)
_HEALTH = text(
    "SELECT health_status AS status, count(*) AS n FROM connections WHERE tenant_id = :tenant GROUP BY 1 ORDER BY 1"
)
_IMAGES = text("SELECT status, count(*) AS n FROM device_images WHERE tenant_id = :tenant GROUP BY 1 ORDER BY 1")
_OBJECTS = text(
    """
    SELECT (SELECT count(*) FROM users WHERE tenant_id = :tenant AND deleted_at IS NULL) AS users,
           (SELECT count(*) FROM groups WHERE tenant_id = :tenant) AS groups,
           (SELECT count(*) FROM sites WHERE tenant_id = :tenant) AS sites,
           (SELECT count(*) FROM policies WHERE tenant_id = :tenant) AS policies,
           (SELECT count(*) FROM user_settings WHERE tenant_id = :tenant) AS settings,
           (SELECT count(*) FROM faults WHERE tenant_id = :tenant) AS faults,
           (SELECT count(*) FROM strangers WHERE tenant_id = :tenant) AS strangers,
           (SELECT count(*) FROM ledger WHERE tenant_id = :tenant AND release_at IS NOT NULL
               AND state IN ('intended', 'created')) AS leftovers,
           (SELECT min(grace_ends_at) FROM cloud_pcs WHERE tenant_id = :tenant AND grace_ends_at IS NOT NULL) AS grace,
           tenant_now(:tenant) AS now, (SELECT revision FROM tenants WHERE id = :tenant) AS revision
    """
)


def overview(database: Database, tenant: TenantRef) -> Item:
    """Counts per status, what the waiting wait for, seats, health; the tenant's time and revision."""
    of = {"tenant": tenant.id}
    with database.single.connect() as connection:

        def counted(query: Any) -> dict[str, int]:
            return {row[0]: row.n for row in connection.execute(query, of)}

        statuses = counted(_STATUSES)
        objects = connection.execute(_OBJECTS, of).one()
        return {
            "tenant": tenant.name,
            "now": objects.now,
            "revision": objects.revision,
            "cloudPCs": {str(s): statuses.get(s, 0) for s in Status if s is not Status.GONE},
            "waitingFor": {k or "": v for k, v in counted(_WAITING).items()},
            "servicePlans": [dict(row._mapping) for row in connection.execute(_PLANS, of)],
            "onPremisesConnections": counted(_HEALTH),
            "deviceImages": counted(_IMAGES),
            "users": objects.users,
            "groups": objects.groups,
            "sites": objects.sites,
            "provisioningPolicies": objects.policies,
            "userSettings": objects.settings,
            "faults": objects.faults,
            "strangers": objects.strangers,
            "leftovers": objects.leftovers,
            "nextGraceEndDateTime": objects.grace,
        }
