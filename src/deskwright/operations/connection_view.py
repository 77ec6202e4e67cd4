"""What people look at before they trust a network connection: whom it serves, and whether its addresses suffice."""

import logging
from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import text

from deskwright.checks.table import CHECKS
from deskwright.operations import sites
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.providers.contract import Network, Providers
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site
from deskwright.store.database import Database

log = logging.getLogger(__name__)

ADDRESSES_EACH = 3
"""What a Cloud PC may need while it is made: one address for each attempt (L2)."""

# The people are counted as the check of the addresses counts them, so that both tell the same number.
_ABOUT = text(
    """
    SELECT k.id,
           (SELECT count(*) FROM policy_connections pc JOIN policy_assignments a ON a.policy_id = pc.policy_id
              JOIN memberships m ON m.group_id = a.group_id WHERE pc.connection_id = k.id) AS people,
           (SELECT count(*) FROM cloud_pcs c WHERE c.connection_id = k.id AND c.status <> 'gone') AS cloud_pcs,
           (SELECT max(e.at) FROM audit_events e WHERE e.object_id = k.id::text AND e.tenant_id = k.tenant_id
               AND e.activity = 'Connection health changed') AS since
      FROM connections k WHERE k.tenant_id = :tenant AND k.id = ANY(:ids)
    """
)

_RESULTS = text(
    """
    SELECT at, status, findings FROM connection_results WHERE tenant_id = :tenant AND connection_id = :id
     ORDER BY at DESC
    """
)


def results(database: Database, tenant: TenantRef, connection_id: UUID) -> list[Item]:
    """What all checks together came to, the last times they ended, newest first: `at`, `status`, and of the checks that
    did not pass `check`, `title`, `status` and `code`."""
    with database.single.connect() as connection:
        rows = connection.execute(_RESULTS, {"tenant": tenant.id, "id": connection_id}).all()
    return [
        {
            "at": row.at,
            "status": row.status,
            "findings": [
                {**f, "title": CHECKS[f["check"]].title if f["check"] in CHECKS else f["check"]} for f in row.findings
            ],
        }
        for row in rows
    ]


def about(database: Database, tenant: TenantRef, items: Sequence[Item]) -> list[Item]:
    """The connections with what they serve and have: `people` that assigned policies reach, `cloudPCs` in it,
    `addressDemand` (people × 3), `freeAddresses` (None where its site does not say) and `healthSinceDateTime`."""
    ids = [UUID(item["id"]) for item in items]
    with database.single.connect() as connection:
        rows = {str(row.id): row for row in connection.execute(_ABOUT, {"tenant": tenant.id, "ids": ids})}
    known: dict[UUID, Providers] = {}
    found = []
    for item in items:
        row = rows.get(item["id"])
        if row is None:
            continue  # deleted meanwhile, or another tenant's
        network = Network(row.id, item["virtualNetworkId"], item["subnetId"])
        found.append(
            {
                **item,
                "people": row.people,
                "cloudPCs": row.cloud_pcs,
                "addressDemand": row.people * ADDRESSES_EACH,
                "freeAddresses": _free(database, UUID(item["siteId"]), network, known),
                "healthSinceDateTime": row.since,
            }
        )
    return found


def free_in(database: Database, tenant: TenantRef, region: str, network: str, subnet: str) -> int | None:
    """The free addresses of a subnet before there is a connection; None where the site does not say."""
    with database.single.connect() as connection:
        site: UUID = sites.in_region(connection, tenant, region).id
    return _free(database, site, Network(uuid4(), network, subnet), {})


def _free(database: Database, site: UUID, network: Network, known: dict[UUID, Providers]) -> int | None:
    try:
        if site not in known:
            known[site] = providers_for(database, load_site(database, site))
        return known[site].compute.free_addresses(network)
    except Exception:  # a site that does not answer must not take the page with it
        log.warning("site %s does not tell the free addresses of %s", site, network.subnet, exc_info=True)
        return None
