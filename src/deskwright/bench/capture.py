"""Which rows one Cloud PC writes, commit by commit: seen by triggers on every table while a real worker makes one.

From this the raw limit is measured (`replay`), so it follows the pipeline as the pipeline changes.
"""

from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, text

from deskwright.bench import companies
from deskwright.bench.ground import Server, until, value, worker
from deskwright.operations import groups
from deskwright.store.database import Database

_SCHEMAS = ("public", "simulator")
# A worker's own signs of life, and Alembic's note.
_IGNORED = ("bench_rows", "alembic_version", "procrastinate_workers", "procrastinate_periodic_defers")

_WATCH = """
CREATE TABLE bench_rows (number bigserial PRIMARY KEY, xid text, name text, op text, old jsonb, new jsonb);
CREATE FUNCTION bench_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.bench_rows (xid, name, op, old, new) VALUES (
    pg_current_xact_id()::text, TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP,
    CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END, CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
  RETURN NULL;
END $$;
"""


@dataclass(frozen=True)
class Written:
    """One row as it was written."""

    table: str
    op: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None

    @property
    def row(self) -> dict[str, Any]:
        return self.new or self.old or {}


@dataclass
class Recording:
    """What one Cloud PC writes."""

    together: list[Written] = field(default_factory=list)
    """In the reconcile's commit, which many Cloud PCs share."""
    commits: list[list[Written]] = field(default_factory=list)
    """Its own commits, in their order."""
    keys: dict[str, list[str]] = field(default_factory=dict)
    """The primary key of each table."""
    numbered: dict[str, list[str]] = field(default_factory=dict)
    """Columns the database counts up, and those that refer to them."""
    fixed: list[str] = field(default_factory=list)
    """Ids that every Cloud PC shares: the tenant's, the plan's, ..."""

    def as_plain(self) -> dict[str, Any]:
        return asdict(self)

    def rows_by_table(self) -> dict[str, int]:
        counted: dict[str, int] = {}
        for written in [*self.together, *(w for commit in self.commits for w in commit)]:
            what = f"{written.table} {written.op.lower()}"
            counted[what] = counted.get(what, 0) + 1
        return dict(sorted(counted.items()))


def is_asynchronous(commit: list[Written]) -> bool:
    """The simulated world's commits do not wait for the disk (see providers.simulator.world)."""
    return all(w.table.startswith("simulator.") for w in commit)


def record(server: Server) -> Recording:
    """Make one Cloud PC, the second of its tenant, under watch."""
    database = server.fresh()
    company = companies.found(database, newcomers=2)
    with worker(server, database, 1):
        _make(company, 0)  # the first makes what the site shares
        with database.begin() as connection:
            _watch(connection)
        _make(company, 1)
    recording = _read(database)
    server.drop(database)
    return recording


def _make(company: companies.Company, number: int) -> None:
    groups.add_members(company.database, company.tenant, "bench", companies.EVERYONE, [company.newcomer(number)])
    done = "SELECT count(*) FROM cloud_pcs WHERE status = 'provisioned'"
    until(lambda: bool(value(company.database, done) > number and not _busy(company.database)))


def _busy(database: Database) -> bool:
    return bool(value(database, "SELECT count(*) FROM procrastinate_jobs"))


def _watch(connection: Connection) -> None:
    connection.exec_driver_sql(_WATCH)
    tables = text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(:s) AND NOT tablename = ANY(:i)")
    for schema, name in connection.execute(tables, {"s": list(_SCHEMAS), "i": list(_IGNORED)}).all():
        connection.exec_driver_sql(
            f"CREATE TRIGGER bench_row AFTER INSERT OR UPDATE OR DELETE ON {schema}.{name} "
            "FOR EACH ROW EXECUTE FUNCTION public.bench_row()"
        )


def _read(database: Database) -> Recording:
    with database.single.connect() as c:
        rows = c.execute(text("SELECT xid, name, op, old, new FROM bench_rows ORDER BY number")).all()
        keys = c.execute(text(_KEYS), {"s": list(_SCHEMAS)}).all()
        numbered = c.execute(text(_NUMBERED), {"s": list(_SCHEMAS)}).all()
        recording = Recording(fixed=[str(i) for i in c.execute(text(_FIXED)).scalars()])
    for table, column in keys:
        recording.keys.setdefault(table, []).append(column)
    for table, column in [*numbered, ("public.procrastinate_events", "job_id")]:
        recording.numbered.setdefault(table, []).append(column)

    first_seen = {row.xid: n for n, row in reversed(list(enumerate(rows)))}
    ordered = sorted(rows, key=lambda row: first_seen[row.xid])
    commits = [[Written(r.name, r.op, r.old, r.new) for r in of] for _, of in groupby(ordered, key=lambda row: row.xid)]
    shared = next(n for n, commit in enumerate(commits) if any(w.table == "public.cloud_pcs" for w in commit))
    recording.together = commits[shared]
    mine = {w.row["id"] for w in commits[shared] if w.table == "public.procrastinate_jobs" and w.op == "INSERT"}
    recording.commits = [commit for commit in commits[shared + 1 :] if not _is_queue_of_others(commit, mine)]
    return recording


def _is_queue_of_others(commit: list[Written], mine: set[Any]) -> bool:
    """The queue's rows for other jobs than the run's: the reconcile's, which many share."""
    jobs = {w.row["id" if w.table.endswith("_jobs") else "job_id"] for w in commit if "procrastinate_" in w.table}
    return len(jobs) > 0 and all("procrastinate_" in w.table for w in commit) and not jobs & mine


_KEYS = """
    SELECT n.nspname || '.' || c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(i.indkey)
     WHERE i.indisprimary AND n.nspname = ANY(:s)
"""
_NUMBERED = """
    SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
     WHERE table_schema = ANY(:s) AND (is_identity = 'YES' OR column_default LIKE 'nextval%')
"""
_FIXED = " UNION ALL ".join(
    f"SELECT id FROM {table}" for table in ("tenants", "sites", "groups", "service_plans", "policies")
)
