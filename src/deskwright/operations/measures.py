"""What all processes share, measured in the database for one scrape of /metrics.

One table of questions. Each is a single statement that an index answers, so that a scrape stays cheap with a hundred
thousand Cloud PCs; tests/operations/test_measures.py looks at their plans.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, exc, text

from deskwright import jobs
from deskwright.decide.verdict import Waiting
from deskwright.domain.notices import Channel
from deskwright.domain.status import Status
from deskwright.providers.contract import Compute, Network
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.ledger import CLEAN_UP, FILL_SEATS
from deskwright.provision.run import PROVISION
from deskwright.provision.sites import load_site
from deskwright.reconcile.deadlines import BULK_ACTION, DEADLINES
from deskwright.store.touched import RECONCILE
from deskwright.telemetry import metrics as m
from deskwright.telemetry.exposition import Sample
from deskwright.telemetry.metrics import Metric

log = logging.getLogger(__name__)

_LATE_SECONDS = 5.0
_MOST_CONNECTIONS = 50
_ADDRESSES_KEPT_SECONDS, _PATIENCE_SECONDS = 60.0, 1.0
_STATEMENT_TIMEOUT = "5s"


@dataclass(frozen=True)
class Measure:
    """A question: its rows are the labels' values, then a value for each of `metrics`."""

    metrics: tuple[Metric, ...]
    sql: str
    """Where it can be told apart by tenant: with {tenant} before the columns and {group} for GROUP BY."""
    known: tuple[tuple[str, ...], ...] = ()
    """Labels that are there with a zero where no row has them: no alert would notice what is not there."""

    def query(self, by_tenant: bool) -> str:
        """By tenant, its id comes first."""
        labels = ", ".join(str(n + 1) for n in range(len(self.metrics[0].labels) + by_tenant))
        parts = {"tenant": "tenant_id, " if by_tenant else "", "group": f"GROUP BY {labels}" if labels else ""}
        return self.sql.format_map(parts)


# The tenants' times are worked out once, not for every row that is compared with them. OFFSET 0 keeps each look to the
# part of its index that has passed: of times that are not known when a plan is made it expects a third of all rows.
_NOW = "WITH t AS MATERIALIZED (SELECT id, tenant_now(id) AS now FROM tenants)"
_DEADLINES = f"{_NOW} " + " UNION ALL ".join(
    f"SELECT '{d.table}.{d.column}', count(late), COALESCE(max(extract(epoch FROM late)), 0) FROM ("
    f"SELECT t.now - x.{d.column} AS late FROM t CROSS JOIN LATERAL (SELECT {d.column} FROM {d.table} "
    f"WHERE {'id' if d.table == 'tenants' else 'tenant_id'} = t.id AND {d.condition} "
    f"AND {d.column} <= t.now - interval '{_LATE_SECONDS} s' OFFSET 0) x) waits"
    for d in DEADLINES
)

MEASURES: tuple[Measure, ...] = (
    Measure((m.TENANTS,), "SELECT count(*) FROM tenants"),
    Measure(
        (m.CLOUD_PCS,),
        "SELECT {tenant}status, count(*) FROM cloud_pcs WHERE status <> 'gone' {group}",
        tuple((str(status),) for status in Status if status is not Status.GONE),
    ),
    Measure(
        (m.CLOUD_PCS_WAITING,),
        "SELECT {tenant}COALESCE(waiting_for, 'start'), count(*) FROM cloud_pcs WHERE status = 'pendingProvision' "
        "{group}",
        ((str(Waiting.START),), (str(Waiting.SEAT),), (str(Waiting.CONNECTION),)),
    ),
    Measure(
        (m.RUNS_ACTIVE,),
        "SELECT {tenant}kind, CASE WHEN wake_at IS NULL THEN 'working' ELSE 'waiting' END, count(*) FROM runs "
        "WHERE state = 'active' {group}",
        (("provision", "working"), ("provision", "waiting")),
    ),
    Measure(
        (m.TOUCHED_USERS, m.RECONCILE_LAG),
        "SELECT {tenant}count(*), COALESCE(extract(epoch FROM now() - min(at)), 0) FROM touched_users {group}",
    ),
    Measure((m.DEADLINES_OVERDUE, m.DEADLINE_LATE), _DEADLINES),
    Measure(
        (m.CONNECTIONS,),
        "SELECT {tenant}health_status, count(*) FROM connections {group}",
        (("passed",), ("warning",), ("failed",), ("pending",)),
    ),
    Measure(
        (m.SEATS, m.SEATS_USED, m.PLANS_FULL),
        "SELECT {tenant}COALESCE(sum(seats), 0), COALESCE(sum(seats_used), 0), count(*) FILTER (WHERE seats_used >= "
        "seats AND EXISTS (SELECT 1 FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status = 'pendingProvision' "
        "AND c.waiting_for = 'seat')) FROM service_plans p {group}",
    ),
    Measure(
        (m.RELEASES_PENDING, m.RELEASES_OVERDUE),
        _NOW + " SELECT {tenant}count(*), count(*) FILTER (WHERE release_at <= t.now) FROM ledger l "
        "JOIN t ON t.id = l.tenant_id WHERE release_at IS NOT NULL AND state IN ('intended', 'created') {group}",
    ),
    Measure(
        (m.RELEASES_REFUSED,),
        "SELECT {tenant}count(*) FROM ledger WHERE release_attempts > 0 AND release_at IS NOT NULL "
        "AND state IN ('intended', 'created') {group}",
    ),
    Measure((m.STRANGERS,), "SELECT {tenant}count(*) FROM strangers {group}"),
    Measure(
        (m.IMAGES,),
        "SELECT {tenant}status, count(*) FROM device_images {group}",
        (("pending",), ("ready",), ("failed",)),
    ),
    Measure(
        (m.NOTIFICATIONS_PENDING,),
        " UNION ALL ".join(
            f"SELECT '{channel}', count(*) FROM notifications WHERE state = 'pending' AND channel = '{channel}'"
            for channel in Channel
        ),
    ),
    Measure(
        (m.NOTIFICATION_LATE,),
        "SELECT GREATEST(extract(epoch FROM now() - min(first)), 0) FROM (SELECT min(next_at) AS first "
        f"FROM notifications WHERE state = 'pending' AND channel = '{Channel.MAIL}' UNION ALL SELECT e.first "
        "FROM tenants t CROSS JOIN LATERAL (SELECT min(next_at) AS first FROM notifications WHERE tenant_id = t.id "
        f"AND state = 'pending' AND channel = '{Channel.WEBHOOK}') e) oldest",
    ),
    Measure(
        (m.DEAD_LETTERS,),
        "SELECT count(*) FROM notifications WHERE last_error IS NOT NULL AND state IN ('pending', 'failed') "
        f"AND state = 'failed' AND channel = '{Channel.WEBHOOK}'",
    ),
)
_CONNECTIONS = text("SELECT id, site_id, network, subnet FROM connections ORDER BY id LIMIT 500")
_JOBS = (RECONCILE, FILL_SEATS, PROVISION, CLEAN_UP, BULK_ACTION, *(d.job for d in DEADLINES))


@dataclass
class Measuring:
    """The questions, asked for whoever scrapes; never twice at a time."""

    world: World
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _addresses: list[Sample] = field(default_factory=list)
    _asked_at: float = -_ADDRESSES_KEPT_SECONDS
    _asking: threading.Thread | None = None

    def samples(self) -> list[Sample]:
        """What is so now. Where the database does not answer: that."""
        with self._lock:
            began = time.monotonic()
            found: list[Sample] = []
            try:
                with self.world.database.engine.connect() as connection:
                    connection.execute(text(f"SET LOCAL statement_timeout = '{_STATEMENT_TIMEOUT}'"))
                    # Everything that is counted is in an index, and need not be looked up in its table.
                    connection.execute(text("SET LOCAL enable_seqscan = off"))
                    connection.execute(text("SET LOCAL enable_bitmapscan = off"))
                    found += self._read(connection)
                found += self._free_addresses()
            except (exc.DBAPIError, exc.TimeoutError) as away:
                log.warning("metrics: the database did not answer: %s", str(away).splitlines()[0])
                return [Sample(m.DATABASE_UP, 0)]
            return [*found, Sample(m.DATABASE_UP, 1), Sample(m.MEASURE_SECONDS, time.monotonic() - began)]

    def _read(self, connection: Connection) -> Iterator[Sample]:
        settings = self.world.settings
        yield Sample(m.WORKERS_ALIVE, jobs.workers_alive(connection, settings.stalled_seconds))
        for measure in MEASURES:
            by_tenant = settings.metrics_by_tenant and measure.metrics[0].by_tenant
            yield from _samples(measure, connection.execute(text(measure.query(by_tenant))).all(), by_tenant)
        queue = {kind.job: kind for kind in jobs.by_kind(connection)}
        for job in dict.fromkeys((*_JOBS, *queue)):
            kind = queue.get(job, jobs.OfKind(job))
            yield Sample(m.JOBS, kind.waiting, (job, "waiting"))
            yield Sample(m.JOBS, kind.running, (job, "running"))
            yield Sample(m.JOB_OLDEST_SECONDS, kind.oldest_seconds, (job,))

    def _free_addresses(self) -> list[Sample]:
        """Hosts are asked on a thread of its own, about once a minute: one that is silent holds up no scrape."""
        idle = self._asking is None or not self._asking.is_alive()
        if idle and time.monotonic() - self._asked_at >= _ADDRESSES_KEPT_SECONDS:
            self._asked_at = time.monotonic()
            self._asking = threading.Thread(target=self._ask, name="addresses", daemon=True)
            self._asking.start()
            self._asking.join(_PATIENCE_SECONDS)
        return self._addresses

    def _ask(self) -> None:
        try:
            with self.world.database.single.connect() as connection:
                rows = connection.execute(_CONNECTIONS).all()
            sites = {row.site_id for row in rows}
            computes = {site: self._compute(site) for site in sites}
            free: list[tuple[int, UUID]] = []
            for row in rows:
                compute = computes[row.site_id]
                if compute is None:
                    continue
                try:
                    free.append((compute.free_addresses(Network(row.id, row.network, row.subnet)), row.id))
                except Exception as silent:  # noqa: BLE001 - its own health check says so, and why
                    log.debug("connection %s does not say how many addresses are free: %s", row.id, silent)
            fewest = sorted(free, key=lambda f: (f[0], str(f[1])))[:_MOST_CONNECTIONS]
            self._addresses = [Sample(m.FREE_ADDRESSES, n, (str(connection),)) for n, connection in fewest]
        except (exc.DBAPIError, exc.TimeoutError) as away:
            log.warning("metrics: free addresses could not be read: %s", str(away).splitlines()[0])

    def _compute(self, site: UUID) -> Compute | None:
        try:
            return providers_for(self.world.database, load_site(self.world.database, site)).compute
        except Exception as unknown:  # noqa: BLE001 - a site whose provider is not installed here
            log.debug("site %s: %s", site, unknown)
            return None


def _samples(measure: Measure, rows: Sequence[Any], by_tenant: bool) -> Iterator[Sample]:
    missing = set() if by_tenant else set(measure.known)
    width = len(measure.metrics[0].labels)
    for row in rows:
        tenant, rest = (str(row[0]), row[1:]) if by_tenant else (None, row)
        labels = tuple(map(str, rest[:width]))
        missing.discard(labels)
        for metric, value in zip(measure.metrics, rest[width:], strict=True):
            yield Sample(metric, float(value), labels, tenant)
    for labels in sorted(missing):
        for metric in measure.metrics:
            yield Sample(metric, 0, labels)
