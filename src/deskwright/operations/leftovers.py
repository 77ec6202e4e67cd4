"""What past attempts have left in the outside world, in pages, and the strangers found there."""

from sqlalchemy import text

from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item, check_limit
from deskwright.store.database import Database

# Of a Cloud PC that lives, what its last attempt made is in use and has no time of release.
_LEFT = """
    l.tenant_id = :tenant AND l.state <> 'released' AND (
      l.state = 'disabled' OR l.release_at IS NOT NULL OR EXISTS (
        SELECT 1 FROM cloud_pcs g WHERE g.id = l.cloud_pc_id AND g.status = 'gone'))
"""
_PAGE = text(
    f"""
    SELECT l.id, l.kind, l.state, l.external_id, l.details, l.run_number, l.attempt, l.step, l.intended_at,
           l.release_at, l.release_attempts, l.last_error, s.name AS site, u.user_principal_name, l.cloud_pc_id,
           c.display_name AS cloud_pc, tenant_now(:tenant) AS now
      FROM ledger l JOIN sites s ON s.id = l.site_id LEFT JOIN cloud_pcs c ON c.id = l.cloud_pc_id
      LEFT JOIN users u ON u.id = c.user_id
     WHERE {_LEFT} AND l.id > :after ORDER BY l.id LIMIT :limit
    """
)
_COUNTS = text(
    f"""
    SELECT l.kind, count(*) AS n, count(*) FILTER (WHERE l.state = 'disabled') AS disabled,
           count(*) FILTER (WHERE l.release_attempts > 0 AND l.state <> 'disabled') AS refused
      FROM ledger l WHERE {_LEFT} GROUP BY l.kind ORDER BY l.kind
    """
)
_STRANGERS = text(
    """
    SELECT x.kind, x.external_id, x.name, s.name AS site FROM strangers x JOIN sites s ON s.id = x.site_id
     WHERE x.tenant_id = :tenant ORDER BY s.name, x.kind, x.external_id LIMIT 200
    """
)


def page(database: Database, tenant: TenantRef, after: int = 0, limit: int = 100) -> list[Item]:
    """Leftovers in the order in which they were made; `after` is the id of the last one of the page before."""
    with database.single.connect() as connection:
        rows = connection.execute(_PAGE, {"tenant": tenant.id, "after": after, "limit": check_limit(limit)})
        return [
            {
                "id": row.id,
                "kind": row.kind,
                "state": row.state,
                "externalId": row.external_id,
                "details": row.details,
                "siteName": row.site,
                "userPrincipalName": row.user_principal_name,
                "cloudPcId": str(row.cloud_pc_id) if row.cloud_pc_id else None,
                "cloudPc": row.cloud_pc,
                "run": row.run_number,
                "attempt": row.attempt,
                "step": row.step,
                "intendedDateTime": row.intended_at,
                "releaseDateTime": row.release_at,
                "releaseAttempts": row.release_attempts,
                "lastError": row.last_error,
                "ageSeconds": (row.now - row.intended_at).total_seconds(),
            }
            for row in rows
        ]


def counts(database: Database, tenant: TenantRef) -> list[Item]:
    """By kind: how many, how many of them disabled computer accounts (L3), and how many could not be removed yet."""
    with database.single.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(_COUNTS, {"tenant": tenant.id})]


def strangers(database: Database, tenant: TenantRef) -> list[Item]:
    """What the sweep found outside that Deskwright did not make (L4); at most 200."""
    with database.single.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(_STRANGERS, {"tenant": tenant.id})]
