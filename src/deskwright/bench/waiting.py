"""What a worker pays for runs that only wait."""

import statistics
import time
from collections.abc import Callable

from deskwright.bench import companies, machine
from deskwright.bench.ground import Server, value, worker
from deskwright.bench.results import Part
from deskwright.reconcile import deadlines
from deskwright.store.database import Database

MORE_THREADS, MORE_MIB = 0.0, 20.0
_TICKS = 25
Tell = Callable[[str], None]


def waiting(server: Server, tell: Tell, *, runs: int, settle_seconds: float) -> Part:
    """An idle worker's memory and threads, and what a look at the deadlines costs: with none waiting, and with many."""
    database = server.fresh()
    company = companies.found(database, newcomers=0)
    part = Part("waiting", f"Waiting: {runs:,} runs in the hybrid-join wait")
    with worker(server, database, 8) as process:
        tell("waiting: an idle worker, none waiting")
        time.sleep(settle_seconds)
        before = machine.resident_mib(process.pid), machine.threads(process.pid)
        idle = _idle_cpu(server, process.pid, settle_seconds)
        ticks_before = _ticks(database)
        tell(f"waiting: {runs:,} runs begin to wait")
        companies.add_waiting(company, runs)
        time.sleep(settle_seconds)
        after = machine.resident_mib(process.pid), machine.threads(process.pid)
        busy = _idle_cpu(server, process.pid, settle_seconds)
        ticks_after = _ticks(database)
        touched = value(database, "SELECT count(*) FROM runs WHERE wake_at IS NULL OR lease <> 1")
    if touched:
        raise RuntimeError(f"{touched} runs went on that should have waited")
    part.add("memory of the worker, none waiting", before[0], "MiB")
    part.add("  more with all of them", after[0] - before[0], "MiB", at_most=MORE_MIB)
    part.add("threads, none waiting", before[1])
    part.add("  more with all of them", float(after[1] - before[1]), at_most=MORE_THREADS)
    for name, with_none, with_all in (
        ("a look at the deadlines", ticks_before[0], ticks_after[0]),
        ("a look for lost jobs (every 10 s)", ticks_before[1], ticks_after[1]),
    ):
        part.add(f"{name}, none waiting", with_none, "ms")
        part.add("  with all of them", with_all, "ms")
    part.add("CPU of an idle minute with PostgreSQL, none waiting", idle, "s")
    part.add("  with all of them", busy, "s")
    server.drop(database)
    return part


def _ticks(database: Database) -> tuple[float, float]:
    """Milliseconds of a sweep with the question for the next deadline, and of the search for orphans."""
    sweeps, orphans = [], []
    for _ in range(_TICKS):
        began = time.perf_counter()
        deadlines.sweep(database)
        with database.single.connect() as connection:
            deadlines.seconds_until_next(connection)
        swept = time.perf_counter()
        deadlines.sweep_orphans(database)
        sweeps.append((swept - began) * 1000)
        orphans.append((time.perf_counter() - swept) * 1000)
    return statistics.median(sweeps), statistics.median(orphans)


def _idle_cpu(server: Server, worker_pid: int, seconds: float) -> float:
    """CPU seconds a minute."""
    before = machine.cpu_seconds(worker_pid) + server.cpu_seconds()
    time.sleep(seconds)
    return (machine.cpu_seconds(worker_pid) + server.cpu_seconds() - before) * 60 / seconds
