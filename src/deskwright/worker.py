"""A worker: the jobs there are, the functions that do them, and the sweep of the deadlines."""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import OperationalError

from deskwright import jobs
from deskwright.operations import notifications
from deskwright.operations.bulk_actions import carry_out
from deskwright.operations.domain_sync import synchronise
from deskwright.provision.clean_up import clean_up
from deskwright.provision.context import World
from deskwright.provision.ledger import CLEAN_UP, FILL_SEATS
from deskwright.provision.run import PROVISION, carry
from deskwright.reconcile import deadlines, seats
from deskwright.reconcile.alerts import raise_alerts
from deskwright.reconcile.entitlements import reconcile
from deskwright.reconcile.grace import end_if_expired
from deskwright.reconcile.health import check_connection
from deskwright.reconcile.images import build_image
from deskwright.reconcile.inventory import sweep_inventory
from deskwright.store.database import start_embedded
from deskwright.store.touched import RECONCILE
from deskwright.telemetry.metrics import JOBS_LOST, JOBS_TAKEN_OVER

log = logging.getLogger(__name__)

# How often a worker looks for the jobs of dead colleagues, and for work that lost its job (real time).
_TAKE_OVER_SECONDS, _ORPHANS_SECONDS = 1.0, 10.0
# How often it looks whether there is something to tell people, and how long a mail that is on its way may keep it.
_TELL_SECONDS, _LAST_MAIL_SECONDS = 10.0, 15.0
# So many times the silence after which its runs are taken over, and it is called out of order: a look may be slow.
_SILENCE = 2.0


def tasks(world: World) -> Mapping[str, jobs.Task]:
    """Every kind of job and what does it."""
    return {
        RECONCILE: lambda tenant: reconcile(world.database, tenant),
        FILL_SEATS: lambda plan: seats.fill(world.database, plan),
        PROVISION: lambda run: carry(world, run),
        CLEAN_UP: lambda cloud_pc: clean_up(world, cloud_pc),
        deadlines.END_GRACE: lambda cloud_pc: end_if_expired(world.database, cloud_pc),
        deadlines.CHECK_CONNECTION: lambda connection: check_connection(world, connection),
        deadlines.SYNCHRONISE: lambda domain: synchronise(world, domain),
        deadlines.BUILD_IMAGE: lambda image: build_image(world.database, image),
        deadlines.INVENTORY: lambda tenant: _look_around(world, tenant),
        deadlines.BULK_ACTION: lambda bulk_action: carry_out(world, bulk_action),
    }


def _look_around(world: World, tenant: UUID) -> None:
    """What is done for a whole tenant about once an hour."""
    sweep_inventory(world, tenant)
    raise_alerts(world.database, tenant)


class Worker:
    """A process's share of the work. Any number of them, on any number of machines, share one database."""

    def __init__(self, world: World, concurrency: int | None = None) -> None:
        self.world = world
        self.concurrency = concurrency or world.settings.concurrency
        self._jobs = jobs.Worker(world.database.url, world.settings, tasks(world), self.concurrency)
        self._take_over_at = self._orphans_at = 0.0
        self._ending = threading.Event()

    def run(self, *, handle_signals: bool = False) -> None:
        """Work until stopped."""
        # On a thread of its own: a mail server that does not answer holds up no run and no deadline.
        telling = threading.Thread(target=self._tell, name="notifications", daemon=True)
        telling.start()
        try:
            self._jobs.run(handle_signals=handle_signals, tick=self._look)
        finally:
            self._ending.set()
            telling.join(_LAST_MAIL_SECONDS)

    def works(self) -> bool:
        """Whether it does its work: a thread that is there may stand still, or the database be away."""
        return self._jobs.works(_SILENCE * max(self.world.settings.stalled_seconds, self.world.settings.sweep_seconds))

    def stop(self) -> None:
        self._jobs.stop()

    def _tell(self) -> None:
        began = time.monotonic()
        while True:
            try:
                running = timedelta(seconds=time.monotonic() - began)
                notifications.tell(self.world, self._ending.is_set, running)
            except Exception:
                log.exception("people could not be told")  # the database may be away for a moment
            if self._ending.wait(_TELL_SECONDS):
                return

    def _look(self) -> float:
        """One look at the deadlines. Where the database is gone: the embedded one is started again, yours awaited."""
        try:
            return self._tick()
        except OperationalError:
            if self.world.settings.database_url is None:
                log.warning("the embedded database is gone; starting it again")
                start_embedded(self.world.settings.data_dir)
            raise

    def _tick(self) -> float:
        """One look at the deadlines; returns seconds until the next (real time)."""
        settings, database, now = self.world.settings, self.world.database, time.monotonic()
        if now >= self._take_over_at:
            self._take_over_at = now + _TAKE_OVER_SECONDS
            with database.begin() as connection:
                if taken := jobs.take_over(connection, settings.stalled_seconds):
                    JOBS_TAKEN_OVER.count(by=taken)
                    log.warning("took over %d jobs of a worker that fell silent", taken)
                if back := self._jobs.take_back(connection):
                    log.warning("gave back %d jobs that were lost while the database was away", back)
        if now >= self._orphans_at:
            self._orphans_at = now + _ORPHANS_SECONDS
            if found := deadlines.sweep_orphans(database):
                JOBS_LOST.count(by=found)
                log.warning("%d runs, tenants or bulk actions had lost their job", found)
        deadlines.sweep(database)
        with database.single.connect() as connection:
            pause = deadlines.seconds_until_next(connection)
        return settings.sweep_seconds if pause is None else min(settings.sweep_seconds, max(pause, 0.02))


def drain(world: World, limit: int = 100_000) -> None:
    """Do all that is due now, in this thread, until nothing is: for tests, benchmarks and `--wait` without a worker."""
    does = tasks(world)
    for _ in range(limit):
        with world.database.begin() as connection:
            job = jobs.take_next(connection)
        if job is not None:
            does[job[0]](job[1])
        elif not deadlines.sweep(world.database):
            return
    raise RuntimeError(f"still not quiet after {limit} jobs")
