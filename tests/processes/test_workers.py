"""V6 with real worker processes: one dies by kill -9, one is frozen and woken; several share one database."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deskwright.domain.status import Status
from tests.company import Company

pytestmark = pytest.mark.processes

PEOPLE = [f"u{n}" for n in range(24)]


@contextmanager
def workers(company: Company, count: int, tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = {
        **os.environ,
        "DESKWRIGHT_DATABASE_URL": company.world.database.url,
        "DESKWRIGHT_DATA_DIR": str(company.world.settings.data_dir),
    }
    command = [sys.executable, "-m", "deskwright", "worker", "--concurrency", "6"]
    log = (tmp_path / "workers.log").open("wb")
    running = [subprocess.Popen(command, env=environment, stdout=log, stderr=log) for _ in range(count)]
    try:
        until(lambda: company.sql("SELECT count(*) FROM procrastinate_workers")[0][0] >= count, 30)
        yield running
    finally:
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(10)
        log.close()


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Poll until it holds; returns how long that took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"still not so after {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - began


def all_settled(company: Company) -> bool:
    return {pc.status for pc in company.pcs()} == {Status.PROVISIONED} and len(company.pcs()) == len(PEOPLE)


def in_flight(company: Company) -> int:
    ((count,),) = company.sql(
        "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND task_name = 'provision'"
    )
    return int(count)


def as_it_should_be(company: Company) -> None:
    """Nothing lost, doubled or leaked."""
    for user in PEOPLE:
        rows = company.steps(user)
        assert len(rows) == len({(row.run, row.attempt, row.step) for row in rows}) == 15
        assert {row.outcome for row in rows} <= {"succeeded", "skipped"}
    assert company.leaks() == set()
    kinds = list(company.inventory().values())
    assert {kind: kinds.count(kind) for kind in set(kinds)} == dict.fromkeys(set(kinds), len(PEOPLE))


def test_v6_a_killed_workers_runs_are_taken_over(company: Company, tmp_path: Path) -> None:
    """V6: kill -9 with runs in flight; another worker has them within 15 seconds, without anyone's help."""
    company.sql("UPDATE tenants SET speed = 400 WHERE id = :tenant")
    company.basics(*PEOPLE)
    with workers(company, 2, tmp_path) as (first, _second):
        until(lambda: in_flight(company) >= 6, 30)
        first.kill()
        ((dead,),) = company.sql(
            "SELECT count(*) FROM procrastinate_jobs j WHERE status = 'doing' AND task_name = 'provision'"
        )
        killed = time.monotonic()
        alive = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '5 s'"
        until(lambda: company.sql(alive)[0][0] == 1, 15)
        until(lambda: _nothing_of_the_dead(company), 15)
        assert time.monotonic() - killed < 15, f"{dead} jobs were in flight"
        until(lambda: all_settled(company), 60)
    company.settle()
    as_it_should_be(company)


def test_v6_a_frozen_worker_overwrites_nothing_when_it_wakes(company: Company, tmp_path: Path) -> None:
    """V6: SIGSTOP, the others take over and finish, SIGCONT: what the successor did stays as it was."""
    company.sql("UPDATE tenants SET speed = 400 WHERE id = :tenant")
    company.basics(*PEOPLE)
    with workers(company, 2, tmp_path) as (first, _second):
        until(lambda: in_flight(company) >= 6, 30)
        first.send_signal(signal.SIGSTOP)
        until(lambda: all_settled(company), 60)
        before = [row for user in PEOPLE for row in company.steps(user)]
        first.send_signal(signal.SIGCONT)
        beats = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '3 s'"
        until(lambda: company.sql(beats)[0][0] == 2, 20)
        # The woken one works on: what comes now is done by either.
        company.user("late")
        company.join("late", "Sales")
        until(lambda: company.status("late") == Status.PROVISIONED, 30)
        assert [row for user in PEOPLE for row in company.steps(user)] == before
    company.leave("late", "Sales")
    company.settle().advance(days=8)
    company.advance(hours=4)
    as_it_should_be(company)


def _nothing_of_the_dead(company: Company) -> bool:
    ((left,),) = company.sql(
        "SELECT count(*) FROM procrastinate_jobs j LEFT JOIN procrastinate_workers w ON w.id = j.worker_id "
        "WHERE j.status = 'doing' AND (w.id IS NULL OR w.last_heartbeat < now() - interval '5 s')"
    )
    return bool(left == 0)
