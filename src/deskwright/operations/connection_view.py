"""What people look at before they trust a network connection: whom it serves, and whether its addresses suffice."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from deskwright.checks.settling import USABLE
from deskwright.checks.table import CHECKS
from deskwright.operations import sites
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.providers.contract import Network, Providers
from deskwright.providers.registry import providers_for
from deskwright.provision.sites import load_site
from deskwright.settings import TenantSettings
from deskwright.store.database import Database

log = logging.getLogger(__name__)

NOT_TRIED = "notTried"
"""In a kept result: the check could only have said again what another one found."""
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

_STANDING = text(
    """
    SELECT k.health_status, k.failures_in_a_row, k.passes_in_a_row, t.settings, a.name, a.distinguished_name, a.state
      FROM connections k JOIN tenants t ON t.id = k.tenant_id
      LEFT JOIN activedirectory.trial_accounts a ON a.connection_id = k.id
     WHERE k.tenant_id = :tenant AND k.id = :id
    """
)
_RESULTS = text(
    """
    SELECT at, status, findings, checks, seconds FROM connection_results
     WHERE tenant_id = :tenant AND connection_id = :id ORDER BY at DESC
    """
)


def results(database: Database, tenant: TenantRef, connection_id: UUID) -> list[Item]:
    """What all checks together came to, the last times they ended, newest first: `at`, `status`, `seconds`; of the
    checks that did not pass `check`, `title`, `status` and `code`; and which `changes` there were since the one before,
    with `check`, `title`, `before` and `after` (statuses)."""
    with database.single.connect() as connection:
        rows = connection.execute(_RESULTS, {"tenant": tenant.id, "id": connection_id}).all()
    older: list[Mapping[str, Any]] = [*(row.checks for row in rows[1:]), {}]
    return [
        {
            "at": row.at,
            "status": row.status,
            "seconds": row.seconds,
            "findings": [{**f, "title": _title(f["check"])} for f in row.findings],
            "changes": _changes(before, row.checks),
        }
        for row, before in zip(rows, older, strict=False)
    ]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Item]:
    """Between two results; nothing of the first one, before which there was none."""
    order = {check: place for place, check in enumerate(CHECKS)}
    both = sorted((check for check in after if check in before), key=lambda check: order.get(check, len(order)))
    return [
        {"check": c, "title": _title(c), "before": before[c]["status"], "after": after[c]["status"]}
        for c in both
        if before[c]["status"] != after[c]["status"] and NOT_TRIED not in (before[c]["status"], after[c]["status"])
    ]


def _title(check: str) -> str:
    return CHECKS[check].title if check in CHECKS else check


def standing(database: Database, tenant: TenantRef, connection_id: UUID) -> Item:
    """What is not settled yet, and what trials left: `unsettled` (None, or `result` failed or passed, `count` in a row
    and `needed`) and `trial` (None, or `name`, `distinguishedName` and `state` of a computer account that is there)."""
    with database.single.connect() as connection:
        row = connection.execute(_STANDING, {"tenant": tenant.id, "id": connection_id}).one_or_none()
    if row is None:
        return {"unsettled": None, "trial": None}
    settings = TenantSettings(**row.settings)
    unsettled = None
    if row.failures_in_a_row and row.health_status in USABLE:
        needed = settings.connectionFailuresUntilUnhealthy
        unsettled = {"result": "failed", "count": row.failures_in_a_row, "needed": needed}
    elif row.passes_in_a_row and row.health_status == "failed":
        needed = settings.connectionPassesUntilHealthy
        unsettled = {"result": "passed", "count": row.passes_in_a_row, "needed": needed}
    left = row.state in ("disabled", "trying") and row.distinguished_name
    trial = {"name": row.name, "distinguishedName": row.distinguished_name, "state": row.state} if left else None
    return {"unsettled": unsettled, "trial": trial}


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
