"""V6: what happens to runs and jobs while the database is away for a moment. Nothing is known of a step then."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from deskwright import jobs
from deskwright.domain.status import Status
from deskwright.provision import run as engine
from deskwright.provision.context import Done, StepContext
from deskwright.provision.pipeline import PIPELINE, STEPS
from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.company import Company
from tests.provision.test_every_step import active_run, started


@pytest.mark.parametrize("step", ["C2", "P1", "A0"])
def test_v6_a_database_that_goes_away_fails_no_step(
    company: Company, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6: no warning and no failed attempt; the job fails, comes again, and the step is done again."""
    run = started(company)
    away = [OperationalError("SELECT 1", {}, Exception("terminating connection due to unexpected postmaster exit"))]

    def do(ctx: StepContext) -> Done:
        if away:
            raise away.pop()
        return STEPS[step].do(ctx)

    interrupted = tuple(replace(s, do=do) if s.id == step else s for s in PIPELINE)
    monkeypatch.setattr(engine, "PIPELINE", interrupted)
    with pytest.raises(OperationalError):
        engine.carry(company.world, run)
    assert active_run(company) == run
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    assert {row.attempt for row in company.steps("adele")} == {1}
    assert company.leaks() == set()


def test_v6_a_job_that_its_own_worker_has_forgotten_comes_again(database: Database, tmp_path: Path) -> None:
    """V6: the database was away when the job was finished or given out; its worker lives, and nobody would take over.

    Only after a while, for what is being done just now looks the same for a moment.
    """

    def look(sql: str) -> list[Any]:
        with database.begin() as connection:
            return list(connection.execute(text(sql)).all())

    worker = jobs.Worker(database.url, Settings(data_dir=tmp_path, stalled_seconds=0.01), {}, 1)
    with database.begin() as connection:
        own = connection.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")).scalar_one()
        jobs.defer(connection, "provision", ["a", "b"])
        taken = text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :own RETURNING id")
        doing, _forgotten = sorted(connection.execute(taken, {"own": own}).scalars())
    worker._own.add(own)
    worker._doing.add(doing)
    back: list[int] = []
    while sum(back) == 0:
        with database.begin() as connection:
            back.append(worker.take_back(connection))
    assert back[0] == 0, "not at the first sight of it"
    assert sum(back) == 1
    rows = look("SELECT id, status, args ->> 'id' AS id_of FROM procrastinate_jobs ORDER BY id")
    assert [(row.status, row.id_of) for row in rows] == [("doing", "a"), ("todo", "b")]
