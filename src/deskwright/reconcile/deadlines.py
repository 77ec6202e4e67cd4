"""Everything that waits for a time, in one table: a column, and the job that is due when it has passed.

A wait is a row with a deadline in the tenant's time. It holds no thread, no connection and no queue row; this sweep,
which every worker runs about once a second, finds what has come due by index and defers its job.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.provision.ledger import AT_ONCE, CLEAN_UP, FILL_SEATS
from deskwright.provision.run import PROVISION
from deskwright.store.database import Database
from deskwright.store.touched import RECONCILE

END_GRACE, CHECK_CONNECTION, BUILD_IMAGE, INVENTORY, BULK_ACTION, SYNCHRONISE = (
    "end_grace",
    "check_connection",
    "build_image",
    "inventory",
    "bulk_action",
    "synchronise",
)
_BATCH = 500


@dataclass(frozen=True)
class Deadline:
    what: str
    table: str
    column: str
    job: str
    job_id: str = "id"
    """The column whose value the job is for."""
    condition: str = "true"
    taken: bool = False
    """The column is emptied when the job is deferred; else the job itself moves it on, and waits in the queue once."""
    priority: int = 0


DEADLINES: tuple[Deadline, ...] = (
    # A run's wait of any kind: the provider is not done, the directory's synchronisation, the pause between attempts.
    Deadline("a run goes on", "runs", "wake_at", PROVISION, condition="state = 'active'", taken=True, priority=5),
    Deadline("a grace period ends", "cloud_pcs", "grace_ends_at", END_GRACE, condition="status = 'inGracePeriod'"),
    Deadline(
        "a clean-up is due",
        "ledger",
        "release_at",
        CLEAN_UP,
        job_id="cloud_pc_id",
        condition="state IN ('intended', 'created') AND cloud_pc_id IS NOT NULL",
        priority=10,
    ),
    Deadline("a connection is checked", "connections", "next_check_at", CHECK_CONNECTION, priority=8),
    Deadline("a domain is synchronised", "domains", "next_sync_at", SYNCHRONISE, priority=8),
    Deadline("an image is looked at", "device_images", "next_step_at", BUILD_IMAGE),
    Deadline("ledger and inventory are compared", "tenants", "next_inventory_at", INVENTORY),
)


def _sweep_sql(d: Deadline) -> str:
    tenant = "id" if d.table == "tenants" else "tenant_id"
    unattended = "true" if d.taken else jobs.unattended(d.job, f"x.{d.job_id}")
    due = f"""
      SELECT x.* FROM tenants t CROSS JOIN LATERAL (
        SELECT * FROM {d.table} WHERE {tenant} = t.id AND {d.condition} AND {d.column} <= tenant_now(t.id)
         ORDER BY {d.column} LIMIT {_BATCH} FOR UPDATE SKIP LOCKED) x WHERE {unattended}"""
    if d.taken:
        return (
            f"WITH due AS ({due}) UPDATE {d.table} r SET {d.column} = NULL FROM due WHERE r.id = due.id "
            f"RETURNING r.{d.job_id} AS id"
        )
    return f"SELECT DISTINCT {d.job_id} AS id FROM ({due}) due"


_SWEEPS = {d: text(_sweep_sql(d)) for d in DEADLINES}


def _next_sql(d: Deadline) -> str:
    tenant = "id" if d.table == "tenants" else "tenant_id"
    first = f"SELECT min({d.column}) FROM {d.table} WHERE {tenant} = t.id AND {d.condition} AND {d.column} IS NOT NULL"
    return f"SELECT extract(epoch FROM ({first}) - tenant_now(t.id)) AS seconds FROM tenants t"


_NEXT = text(f"SELECT min(seconds) FROM ({' UNION ALL '.join(_next_sql(d) for d in DEADLINES)}) waits")
# The safety net: what has neither a deadline nor a job has lost its job, and gets one.
_RUNS_WITHOUT_JOB = text(
    f"SELECT id FROM runs WHERE state = 'active' AND wake_at IS NULL AND {jobs.unattended(PROVISION, 'runs.id')} "
    f"LIMIT {_BATCH}"
)
_TENANTS_WITHOUT_JOB = text(
    f"SELECT DISTINCT tenant_id FROM touched_users WHERE {jobs.unattended(RECONCILE, 'touched_users.tenant_id')}"
)
_BULK_ACTIONS_WITHOUT_JOB = text(
    "SELECT DISTINCT bulk_action_id FROM bulk_action_items i WHERE state IN ('pending', 'begun') "
    f"AND {jobs.unattended(BULK_ACTION, 'i.bulk_action_id')}"
)
# Its machine is gone or was never made, so no release is due that would bring its clean-up.
_CLEAN_UPS_WITHOUT_JOB = text(
    f"""
    SELECT c.id FROM tenants t JOIN cloud_pcs c ON c.tenant_id = t.id AND c.status = 'deprovisioning'
     WHERE {jobs.unattended(CLEAN_UP, "c.id")} AND NOT EXISTS (
       SELECT 1 FROM ledger l WHERE l.cloud_pc_id = c.id AND l.state IN ('intended', 'created')
          AND l.release_at > tenant_now(t.id) AND l.kind = ANY(:at_once)) LIMIT {_BATCH}
    """
)
_SEATS_WITHOUT_JOB = text(
    f"""
    SELECT p.id FROM service_plans p WHERE p.seats > p.seats_used AND {jobs.unattended(FILL_SEATS, "p.id")} AND EXISTS (
      SELECT 1 FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status = 'pendingProvision'
         AND c.waiting_for IN ('start', 'seat'))
    """
)


def sweep(database: Database) -> int:
    """Defer the job of everything that has come due; returns how many."""
    total = 0
    for deadline, query in _SWEEPS.items():
        with database.begin() as connection:
            due = connection.execute(query).scalars().all()
            jobs.defer(connection, deadline.job, due, priority=deadline.priority, once=not deadline.taken)
        total += len(due)
    return total


def sweep_orphans(database: Database) -> int:
    """Give a job to whatever has lost its own: active runs, touched users, bulk actions, clean-ups, free seats.

    Returns how many. Rarely anything but zero.
    """
    with database.begin() as connection:
        runs = connection.execute(_RUNS_WITHOUT_JOB).scalars().all()
        jobs.defer(connection, PROVISION, runs)
        tenants = connection.execute(_TENANTS_WITHOUT_JOB).scalars().all()
        jobs.defer(connection, RECONCILE, tenants, once=True)
        bulk_actions = connection.execute(_BULK_ACTIONS_WITHOUT_JOB).scalars().all()
        jobs.defer(connection, BULK_ACTION, bulk_actions, once=True)
        leaving = connection.execute(_CLEAN_UPS_WITHOUT_JOB, {"at_once": AT_ONCE}).scalars().all()
        jobs.defer(connection, CLEAN_UP, leaving, once=True)
        seats = connection.execute(_SEATS_WITHOUT_JOB).scalars().all()
        jobs.defer(connection, FILL_SEATS, seats, once=True)
    return len(runs) + len(tenants) + len(bulk_actions) + len(leaving) + len(seats)


def seconds_until_next(connection: Connection) -> float | None:
    """How long until the next deadline passes; None where nothing waits."""
    found = connection.execute(_NEXT).scalar_one()
    return None if found is None else float(found)
