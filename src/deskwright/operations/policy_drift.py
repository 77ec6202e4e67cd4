"""Which Cloud PCs were made by other settings than their policy has now: an edit never touches them (E7)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.operations.change import TenantRef

SETTINGS = ("region", "singleSignOn")
"""What can differ, in the words of Graph's cloudPcPolicySettingType."""

_DIFFERENT = text(
    """
    SELECT c.id, c.display_name, made.sso IS DISTINCT FROM p.single_sign_on AS "singleSignOn",
           (made.region_group, made.region, made.connections) IS DISTINCT FROM (p.region_group, p.region,
             COALESCE((SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
                        WHERE pc.policy_id = p.id), '[]')) AS region
      FROM cloud_pcs c JOIN policies p ON p.id = c.policy_id
      JOIN LATERAL (SELECT CAST(r.policy ->> 'single_sign_on' AS boolean) AS sso, r.policy ->> 'region_group' AS
                           region_group, r.policy ->> 'region' AS region, r.policy -> 'connections' AS connections
                      FROM runs r WHERE r.cloud_pc_id = c.id AND r.kind IN ('provision', 'reprovision')
                     ORDER BY r.number DESC LIMIT 1) made ON true
     WHERE c.tenant_id = :tenant AND c.status NOT IN ('gone', 'deprovisioning')
       AND (CAST(:policy AS uuid) IS NULL OR p.id = :policy)
       AND (CAST(:ids AS uuid[]) IS NULL OR c.id = ANY(:ids))
     ORDER BY c.display_name
    """
)


def different(
    connection: Connection,
    tenant: TenantRef,
    settings: Sequence[str] = SETTINGS,
    *,
    policy: UUID | None = None,
    cloud_pcs: Sequence[UUID] | None = None,
) -> list[str]:
    """Names of the Cloud PCs, of a policy or among those given, that were made by other values of any of `settings`."""
    rows = connection.execute(_DIFFERENT, {"tenant": tenant.id, "policy": policy, "ids": cloud_pcs})
    return [row.display_name for row in rows if any(row._mapping[name] for name in settings)]


def missing(connection: Connection, tenant: TenantRef, cloud_pcs: Sequence[UUID]) -> set[UUID]:
    """Those of `cloud_pcs` that the tenant does not have."""
    query = text("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' AND id = ANY(:ids)")
    there = connection.execute(query, {"tenant": tenant.id, "ids": list(cloud_pcs)}).scalars()
    return set(cloud_pcs) - set(there)
