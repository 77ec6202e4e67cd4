"""The job queue: the only module that knows Procrastinate.

A job is a hint that something is due, never the record of it: what must happen stands in our own tables, and a
job finds there what is left to do. So a job may be delivered twice, late, or be lost with its queue, and nothing
else is lost (see `orphans`).

A change and its job commit together: `defer` writes the job row on the caller's own connection.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.jobs import DeleteJobCondition
from procrastinate.schema import SchemaManager
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, text

from deskwright.settings import Settings
from deskwright.telemetry import correlation
from deskwright.telemetry.metrics import JOB_SECONDS, JOBS_DONE

log = logging.getLogger(__name__)

QUEUE = "deskwright"
NO_FROZEN_LOCKS = "-c idle_in_transaction_session_timeout=4000"
"""A process frozen in the middle of a transaction would hold its locks, and its successors, until somebody wakes it."""
Task = Callable[[UUID], None]
"""What a job does, for the object with this id. It must be safe to run again from the start."""

# A job fails only where the database fails it: a deadlock, a lost connection. It comes again, ever less often.
_RETRY = RetryStrategy(exponential_wait=2, max_attempts=12)

_DEFER = text(
    """
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    SELECT :queue, w.task, :priority, w.task || ':' || id,
           CASE WHEN CAST(:once AS boolean) THEN w.task || ':' || id END, jsonb_build_object('id', id)
      FROM unnest(CAST(:ids AS text[])) AS id, (SELECT CAST(:task AS text)) AS w (task)
    ON CONFLICT DO NOTHING
    """
)

# Re-deferred under a new job id: a frozen worker that wakes up later then finishes a job that no longer exists,
# and cannot take away its successor's.
_TAKE_OVER = text(
    """
    WITH dead AS (
      DELETE FROM procrastinate_jobs j WHERE j.status = 'doing' AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers w
         WHERE w.id = j.worker_id AND w.last_heartbeat > now() - make_interval(secs => :silence))
      RETURNING queue_name, task_name, priority, lock, queueing_lock, args
    )
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    SELECT * FROM dead ON CONFLICT DO NOTHING RETURNING id
    """
)


# Marked as being done by us, and we know nothing of it: the database was away when it was given to us or finished.
_FORGOTTEN = text(
    "SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = ANY(:own) AND NOT id = ANY(:doing)"
)
_TAKE_BACK = text(
    """
    WITH forgotten AS (
      DELETE FROM procrastinate_jobs WHERE status = 'doing' AND id = ANY(:ids)
      RETURNING queue_name, task_name, priority, lock, queueing_lock, args
    )
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    SELECT * FROM forgotten ON CONFLICT DO NOTHING
    """
)


_NEXT = text(
    """
    DELETE FROM procrastinate_jobs WHERE id = (
      SELECT id FROM procrastinate_jobs WHERE status = 'todo' ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING task_name, args ->> 'id' AS id
    """
)


_BY_KIND = text(
    """
    SELECT k.job, k.waiting, k.running, COALESCE(extract(epoch FROM now() - e.at), 0) AS seconds FROM (
      SELECT task_name AS job, count(*) FILTER (WHERE status = 'todo') AS waiting,
             count(*) FILTER (WHERE status = 'doing') AS running, min(id) FILTER (WHERE status = 'todo') AS oldest
        FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY task_name) k
      LEFT JOIN LATERAL (SELECT at FROM procrastinate_events
                          WHERE job_id = k.oldest AND type = 'deferred' ORDER BY id DESC LIMIT 1) e ON true
    """
)


def schema() -> str:
    """The SQL that makes Procrastinate's tables."""
    return SchemaManager.get_schema()


def defer(
    connection: Connection, task: str, ids: Iterable[UUID | str], *, priority: int = 0, once: bool = False
) -> None:
    """Ask for `task` to be run for each id once this transaction commits; never twice at a time for one id.

    `once` leaves out ids that already wait. It is for sweeps, which come again: between a waiting job's start and
    this commit the job could miss the very change that asks for it.
    """
    listed = [str(i) for i in ids]
    if listed:
        connection.execute(_DEFER, {"queue": QUEUE, "task": task, "priority": priority, "ids": listed, "once": once})


def take_next(connection: Connection) -> tuple[str, UUID] | None:
    """Take the next waiting job out of the queue, to be done here and now without a worker; None where none waits."""
    row = connection.execute(_NEXT).one_or_none()
    return None if row is None else (row.task_name, UUID(row.id))


def waiting(connection: Connection) -> int:
    """How many jobs wait or are being worked on."""
    return int(
        connection.execute(
            text("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
        ).scalar_one()
    )


def oldest_seconds(connection: Connection) -> float | None:
    """For how long the oldest waiting job has waited; None where none waits."""
    query = text(
        "SELECT extract(epoch FROM now() - e.at) FROM procrastinate_jobs j "
        "JOIN procrastinate_events e ON e.job_id = j.id WHERE j.status = 'todo' AND e.type = 'deferred' "
        "ORDER BY j.id LIMIT 1"
    )
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else float(found)


def workers_alive(connection: Connection, within_seconds: float) -> int:
    """How many workers gave a sign of life in that time."""
    query = text("SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :s)")
    return int(connection.execute(query, {"s": within_seconds}).scalar_one())


@dataclass(frozen=True)
class OfKind:
    """How many jobs of one kind there are, and for how long the oldest waiting one has waited."""

    job: str
    waiting: int = 0
    running: int = 0
    oldest_seconds: float = 0


def by_kind(connection: Connection) -> list[OfKind]:
    """The queue, told apart by kind; kinds without a job are not there."""
    return [OfKind(row.job, row.waiting, row.running, float(row.seconds)) for row in connection.execute(_BY_KIND)]


def take_over(connection: Connection, silence_seconds: float) -> int:
    """Give the jobs of workers that have been silent that long to the living; returns how many."""
    taken = connection.execute(_TAKE_OVER, {"silence": silence_seconds}).rowcount
    connection.execute(
        text("DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => :s)"),
        {"s": silence_seconds * 10},
    )
    return taken


def unattended(task: str, id_column: str) -> str:
    """An SQL condition: no job of `task` waits or runs for the row's id."""
    return (
        f"NOT EXISTS (SELECT 1 FROM procrastinate_jobs j WHERE j.status IN ('todo', 'doing') "
        f"AND j.lock = '{task}:' || {id_column})"
    )


@dataclass
class Worker:
    """Runs jobs until stopped: Procrastinate's loop on one thread, the tasks on a pool of `concurrency` others."""

    url: str
    settings: Settings
    tasks: Mapping[str, Task]
    concurrency: int

    def __post_init__(self) -> None:
        self._started = threading.Event()
        self._ticked_at = time.monotonic()
        # Under which numbers the queue has known us, what we are doing, and what we seem to have forgotten since when.
        self._own: set[int] = set()
        self._doing: set[int] = set()
        self._forgotten: dict[int, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None

    def run(self, *, handle_signals: bool = False, tick: Callable[[], float] | None = None) -> None:
        """Work until `stop` (or SIGINT/SIGTERM). `tick` is called between jobs; it returns seconds until the next."""
        asyncio.run(self._main(handle_signals, tick))

    def stop(self) -> None:
        """Ask the worker to finish what it is doing and return; callable from any thread."""
        self._started.wait(10)
        if self._loop and self._running:
            self._loop.call_soon_threadsafe(self._running.cancel)

    def take_back(self, connection: Connection) -> int:
        """Give back jobs that are marked as done by this worker, which it has known nothing of for a while."""
        if not self._own:
            return 0
        now, known = time.monotonic(), {"own": list(self._own), "doing": list(self._doing)}
        seen = connection.execute(_FORGOTTEN, known).scalars().all()
        self._forgotten = {job: self._forgotten.get(job, now) for job in seen}
        lost = [job for job, since in self._forgotten.items() if now - since >= self.settings.stalled_seconds]
        if lost:
            connection.execute(_TAKE_BACK, {"ids": lost})
        return len(lost)

    def works(self, within_seconds: float) -> bool:
        """Whether it looked at the deadlines, and so reached the database, within that time."""
        return time.monotonic() - self._ticked_at < within_seconds

    async def _main(self, handle_signals: bool, tick: Callable[[], float] | None) -> None:
        self._loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="job")
        conninfo = make_conninfo(self.url, options=NO_FROZEN_LOCKS)
        app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=2, max_size=4))
        for name, task in self.tasks.items():
            app.task(name=name, queue=QUEUE, retry=_RETRY, pass_context=True)(self._on(pool, name, task))
        async with app.open_async():
            working = asyncio.create_task(self._work(app, handle_signals))
            self._running = working
            ticking = asyncio.create_task(self._tick(tick)) if tick else None
            self._started.set()
            try:
                await working
            except asyncio.CancelledError:
                log.info("worker stopped")
            finally:
                if ticking:
                    ticking.cancel()
                pool.shutdown(wait=True, cancel_futures=True)

    async def _work(self, app: App, handle_signals: bool) -> None:
        """Run jobs until stopped; where the queue itself fails (the database was away), begin again as a new worker."""
        while True:
            try:
                await app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=self.concurrency,
                    install_signal_handlers=handle_signals,
                    delete_jobs=DeleteJobCondition.ALWAYS,
                    update_heartbeat_interval=self.settings.heartbeat_seconds,
                    stalled_worker_timeout=max(self.settings.stalled_seconds * 10, 60),
                    fetch_job_polling_interval=1.0,
                )
            except Exception:
                log.exception("the queue failed; beginning again")
                await asyncio.sleep(self.settings.sweep_seconds)
            else:
                return

    async def _tick(self, tick: Callable[[], float]) -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="deadlines") as own:
            while True:
                try:
                    pause = await asyncio.get_running_loop().run_in_executor(own, tick)
                    self._ticked_at = time.monotonic()
                except Exception:
                    log.exception("sweep failed")  # the database may be away for a moment: the next tick tries again
                    pause = self.settings.sweep_seconds
                await asyncio.sleep(pause)

    def _on(self, pool: ThreadPoolExecutor, name: str, task: Task) -> Callable[..., Any]:
        def measured(id: UUID) -> None:
            began = time.perf_counter()
            try:
                with correlation.bound(job=name, job_for=id):
                    task(id)
            except BaseException:
                JOBS_DONE.count(name, "failed")
                raise
            JOB_SECONDS.observe(time.perf_counter() - began, name)
            JOBS_DONE.count(name, "done")

        async def run(context: JobContext, id: str) -> None:
            job, worker = context.job.id, context.job.worker_id
            assert job is not None
            if worker is not None:
                self._own.add(worker)
            self._doing.add(job)
            try:
                await asyncio.get_running_loop().run_in_executor(pool, measured, UUID(id))
            finally:
                self._doing.discard(job)

        return run
