"""How fast Cloud PCs come up on the simulator, and how far that is from what the database can do at all."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from sqlalchemy import text

from deskwright.bench import capture, companies, machine
from deskwright.bench.ground import Server, until, value, worker
from deskwright.bench.replay import replay
from deskwright.bench.results import Part
from deskwright.operations import groups
from deskwright.store.database import Database

CPU_SECONDS_EACH, TIMES_RAW = 0.03, 3.0
_WARM_UP = 16
Tell = Callable[[str], None]

_ROWS = text(
    """
    SELECT schemaname || '.' || relname AS name, n_tup_ins + n_tup_upd + n_tup_del AS rows
      FROM pg_stat_all_tables WHERE schemaname IN ('public', 'simulator')
    """
)


def provisioning(server: Server, tell: Tell, *, cloud_pcs: int, rounds: int, concurrency: int) -> Part:
    """Ours and the raw limit in turns, so that a machine that changes its pace changes both."""
    tell("provisioning: recording what one Cloud PC writes")
    recording = capture.record(server)
    plain = recording.as_plain()
    ours, raw = [], []
    for n in range(1, rounds + 1):
        tell(f"provisioning: round {n} of {rounds}, {cloud_pcs} Cloud PCs, ours")
        ours.append(_provision(server, cloud_pcs, concurrency))
        tell(f"provisioning: round {n} of {rounds}, {cloud_pcs} Cloud PCs, raw")
        raw.append(_replay(server, plain, cloud_pcs, concurrency))

    part = Part("provisioning", f"Provisioning: {cloud_pcs} Cloud PCs, {concurrency} at once, zero delays")
    part.details = {"rounds": [{"ours": o, "raw": r} for o, r in zip(ours, raw, strict=True)]}
    part.details["recordedRows"] = recording.rows_by_table()
    part.add("Cloud PCs a second", _median(cloud_pcs / o["seconds"] for o in ours))
    part.add("the same rows and commits by psycopg alone", _median(cloud_pcs / r["seconds"] for r in raw), "a second")
    ratios = [o["seconds"] / r["seconds"] for o, r in zip(ours, raw, strict=True)]
    part.add("time, ours to raw", _median(ratios), "x", at_most=TIMES_RAW)
    part.add(
        "CPU for each, with PostgreSQL",
        _median((o["pythonCpuSeconds"] + o["postgresqlCpuSeconds"]) / cloud_pcs for o in ours),
        "s",
        at_most=CPU_SECONDS_EACH,
    )
    part.add("  of it Python (the worker)", _median(o["pythonCpuSeconds"] / cloud_pcs for o in ours), "s")
    part.add("  of it PostgreSQL", _median(o["postgresqlCpuSeconds"] / cloud_pcs for o in ours), "s")
    part.add("  raw: Python", _median(r["pythonCpuSeconds"] / cloud_pcs for r in raw), "s")
    part.add("  raw: PostgreSQL", _median(r["postgresqlCpuSeconds"] / cloud_pcs for r in raw), "s")
    part.add("commits that write, for each", _median(o["writingCommits"] / cloud_pcs for o in ours))
    part.add("  raw", float(len(recording.commits)))
    waiting = [commit for commit in recording.commits if not capture.is_asynchronous(commit)]
    part.add("  of them waiting for the disk", float(len(waiting)))
    part.add("transactions for each, reading ones too", _median(o["transactionsEach"] for o in ours))
    part.add("rows written for each", _median(sum(o["rowsEach"].values()) for o in ours))
    part.notes = [
        "Raw: the recorded rows in the recorded commits, prepared single-row statements over as many threads; same "
        "indexes, no foreign keys, triggers or NOTIFY; nothing read or decided.",
        "Time from the change's commit to the last run's end; medians of the rounds, ours and raw in turns.",
    ]
    return part


def _provision(server: Server, cloud_pcs: int, concurrency: int) -> dict[str, Any]:
    database = server.fresh()
    company = companies.found(database, newcomers=_WARM_UP + cloud_pcs)
    database.close()  # a connection that ends tells the statistics what it did
    time.sleep(0.2)
    before, rows_before = server.commits(database), _rows(database)
    with worker(server, database, concurrency) as process:
        _add(company, range(_WARM_UP))
        _settle(database, _WARM_UP)
        python, postgresql = machine.cpu_seconds(process.pid), server.cpu_seconds()
        commits = _last_transaction(database)
        began = time.time()
        _add(company, range(_WARM_UP, _WARM_UP + cloud_pcs))
        _settle(database, _WARM_UP + cloud_pcs)
        ended = float(value(database, "SELECT extract(epoch FROM max(ended_at)) FROM runs"))
        found: dict[str, Any] = {
            "seconds": ended - began,
            "pythonCpuSeconds": machine.cpu_seconds(process.pid) - python,
            "postgresqlCpuSeconds": server.cpu_seconds() - postgresql,
            "writingCommits": _last_transaction(database) - commits,
        }
    database.close()
    time.sleep(0.2)
    made = _WARM_UP + cloud_pcs
    found["transactionsEach"] = (server.commits(database) - before) / made
    rows = {name: (n - rows_before.get(name, 0)) / made for name, n in _rows(database).items()}
    found["rowsEach"] = {name: round(n, 2) for name, n in sorted(rows.items()) if n >= 0.01}
    server.drop(database)
    return found


def _replay(server: Server, recording: Mapping[str, Any], cloud_pcs: int, threads: int) -> dict[str, float]:
    database = server.fresh()
    # A process of its own, as the worker is: this one's other threads and garbage are not in its way.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(replay, recording, database.url, cloud_pcs, threads, server.postmaster).result()
    server.drop(database)
    return found


def _add(company: companies.Company, numbers: range) -> None:
    who = [company.newcomer(n) for n in numbers]
    groups.add_members(company.database, company.tenant, "bench", companies.EVERYONE, who)


def _settle(database: Database, cloud_pcs: int) -> None:
    """Until all are made and the queue is empty."""
    done = (
        "SELECT (SELECT count(*) FROM cloud_pcs WHERE status = 'provisioned') = :n "
        "AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs)"
    )
    until(lambda: bool(value(database, done, n=cloud_pcs)), pause=0.2)


def _last_transaction(database: Database) -> int:
    """Every transaction that writes gets a number; the server counts them up."""
    return int(value(database, "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"))


def _rows(database: Database) -> dict[str, int]:
    with database.single.connect() as connection:
        return {row.name: row.rows for row in connection.execute(_ROWS)}


def _median(values: Any) -> float:
    return float(statistics.median(values))
