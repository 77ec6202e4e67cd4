"""What needs an administrator now, and how long provisioning has taken: for the first page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from deskwright import errors
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database

GRACE_SOON = timedelta(hours=48)
_LAST_RUNS = 5000
_BUCKETS = 24
_WIDTHS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 180, 360, 1440, 4320, 10080, 43200))

_FAILED = text(
    """
    SELECT status_detail ->> 'code' AS code, count(*) AS n FROM cloud_pcs
     WHERE tenant_id = :tenant AND status = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5
    """
)
_COUNTS = text(
    """
    SELECT (SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND status = 'failed') AS failed,
           (SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant
               AND status = 'provisionedWithWarnings') AS warnings,
           (SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND status = 'pendingProvision'
               AND waiting_for = 'seat') AS seat,
           (SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND status = 'pendingProvision'
               AND waiting_for = 'connection') AS connection,
           (SELECT count(*) FROM cloud_pcs WHERE tenant_id = :tenant AND grace_ends_at IS NOT NULL
               AND status = 'inGracePeriod' AND grace_ends_at < tenant_now(:tenant) + CAST(:soon AS interval)) AS grace,
           (SELECT min(grace_ends_at) FROM cloud_pcs WHERE tenant_id = :tenant AND grace_ends_at IS NOT NULL) AS first,
           (SELECT count(*) FROM ledger WHERE tenant_id = :tenant AND release_at IS NOT NULL
               AND state IN ('intended', 'created') AND release_attempts > 0) AS stuck,
           (SELECT count(*) FROM strangers WHERE tenant_id = :tenant) AS strangers,
           (SELECT count(*) FROM device_images WHERE tenant_id = :tenant AND status = 'failed') AS images
    """
)
_CONNECTIONS = text(
    """
    SELECT id, display_name FROM connections WHERE tenant_id = :tenant AND health_status = 'failed'
     ORDER BY lower(display_name) LIMIT 20
    """
)
_DOMAINS = text(
    """
    SELECT id, name, sync_status = 'failed' AS failed FROM domains
     WHERE tenant_id = :tenant AND sync_status IN ('failed', 'confirmationRequired') ORDER BY lower(name) LIMIT 20
    """
)
# The last step's row ends a provisioning that went well; its index leads to the newest ones.
_TIMES = text(
    """
    SELECT s.ended_at, extract(epoch FROM s.ended_at - r.started_at) AS seconds FROM (
      SELECT run_id, ended_at FROM steps WHERE tenant_id = :tenant AND step = 'A1' AND outcome = 'succeeded'
       ORDER BY ended_at DESC LIMIT :most) s
      JOIN runs r ON r.id = s.run_id WHERE s.ended_at IS NOT NULL ORDER BY s.ended_at
    """
)


@dataclass(frozen=True)
class Failures:
    code: str
    title: str
    count: int


@dataclass(frozen=True)
class Attention:
    failed: int
    failures: Sequence[Failures]
    """The most frequent errors of the failed ones, at most five."""
    warnings: int
    waiting_for_seat: int
    waiting_for_connection: int
    grace_soon: int
    """In grace, ending within `GRACE_SOON`."""
    next_grace_end: datetime | None
    unhealthy: Sequence[tuple[str, str]]
    """(id, name) of connections that fail their checks."""
    stuck: int
    """Leftovers whose clean-up has failed at least once (L4)."""
    strangers: int
    failed_images: int
    unsynchronised: Sequence[tuple[str, str]]
    """(id, name) of domains whose last synchronisation failed."""
    unconfirmed: Sequence[tuple[str, str]]
    """Those whose synchronisation stopped and asks (R13)."""

    @property
    def nothing(self) -> bool:
        return not (
            self.failed
            or self.warnings
            or self.waiting_for_seat
            or self.waiting_for_connection
            or self.grace_soon
            or self.unhealthy
            or self.stuck
            or self.failed_images
            or self.unsynchronised
            or self.unconfirmed
        )


@dataclass(frozen=True)
class Took:
    """Provisionings that ended well in one stretch of the tenant's time."""

    begins: datetime
    count: int
    p50: float
    """Seconds of the tenant's time."""
    p95: float


def attention(database: Database, tenant: TenantRef) -> Attention:
    of = {"tenant": tenant.id, "soon": GRACE_SOON}
    with database.single.connect() as connection:
        counts = connection.execute(_COUNTS, of).one()
        failed = [Failures(row.code or "", _title(row.code), row.n) for row in connection.execute(_FAILED, of)]
        domains = connection.execute(_DOMAINS, of).all()
        unhealthy = [(str(row.id), row.display_name) for row in connection.execute(_CONNECTIONS, of)]
    return Attention(
        failed=counts.failed,
        failures=failed,
        warnings=counts.warnings,
        waiting_for_seat=counts.seat,
        waiting_for_connection=counts.connection,
        grace_soon=counts.grace,
        next_grace_end=counts.first,
        unhealthy=unhealthy,
        stuck=counts.stuck,
        strangers=counts.strangers,
        failed_images=counts.images,
        unsynchronised=[(str(row.id), row.name) for row in domains if row.failed],
        unconfirmed=[(str(row.id), row.name) for row in domains if not row.failed],
    )


def provisioning_times(database: Database, tenant: TenantRef) -> list[Took]:
    """p50 and p95 over time, of the newest provisionings that ended well; stretches without any are left out."""
    with database.single.connect() as connection:
        rows = [
            (r.ended_at, float(r.seconds))
            for r in connection.execute(_TIMES, {"tenant": tenant.id, "most": _LAST_RUNS})
        ]
    return stretches(rows)


def stretches(rows: Sequence[tuple[datetime, float]]) -> list[Took]:
    """(ended, seconds), ordered by the first: in at most about `_BUCKETS` stretches of a round length."""
    if not rows:
        return []
    span = rows[-1][0] - rows[0][0]
    width = next((w for w in _WIDTHS if span <= w * _BUCKETS), _WIDTHS[-1])
    seconds_by: dict[int, list[float]] = {}
    for ended, seconds in rows:
        seconds_by.setdefault(int(ended.timestamp() // width.total_seconds()), []).append(seconds)
    found = []
    for number, took in seconds_by.items():
        took.sort()
        begins = datetime.fromtimestamp(number * width.total_seconds(), tz=rows[0][0].tzinfo)
        found.append(Took(begins, len(took), took[(len(took) - 1) // 2], took[max(-(-len(took) * 95 // 100) - 1, 0)]))
    return found


def _title(code: str | None) -> str:
    entry = errors.CATALOGUE.get(code or "")
    return entry.title if entry else code or "unknown"
