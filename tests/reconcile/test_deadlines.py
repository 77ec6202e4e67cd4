"""Deadlines: a table of columns; waiting costs nothing, and nothing that waits is ever lost."""

from sqlalchemy import text

from deskwright import jobs
from deskwright.domain.status import Status
from deskwright.provision.run import PROVISION
from deskwright.reconcile import deadlines
from deskwright.reconcile.entitlements import reconcile
from deskwright.store.tables import metadata
from tests.company import Company


def test_every_deadline_has_its_index() -> None:
    """A sweep finds what is due by index, however many wait."""
    for deadline in deadlines.DEADLINES:
        table = metadata.tables[deadline.table]
        if deadline.table == "tenants":
            continue  # few
        columns = [[c.name for c in index.columns] for index in table.indexes]
        assert ["tenant_id", deadline.column] in columns


def test_a_wait_holds_no_job(company: Company) -> None:
    """Grace, clean-up, back-off and the join's wait are rows with a time, and no queue row."""
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    with company.world.database.begin() as connection:
        assert jobs.waiting(connection) == 0
        seconds = deadlines.seconds_until_next(connection)
    assert seconds is not None
    assert 6.9 * 86400 < seconds <= 7 * 86400


def test_deadlines_are_in_the_tenants_time(company: Company) -> None:
    """R5: the clock of one tenant moves its own deadlines only."""
    from tests.company import found

    other = found(company.world.database, company.world.settings, "fabrikam.com")
    for c in (company, other):
        c.basics("adele")
        c.settle()
        c.leave("adele", "Sales")
        c.settle()
    company.advance(days=8)
    assert (company.status("adele"), other.status("adele")) == (None, Status.IN_GRACE)


def test_a_run_that_lost_its_job_gets_another(company: Company) -> None:
    """V6: jobs are hints; the sweep finds active runs and touched users that nothing works on."""
    company.basics("adele")
    reconcile(company.world.database, company.tenant.id)
    company.sql("DELETE FROM procrastinate_jobs")
    company.settle()
    assert company.status("adele") == Status.PROVISIONING
    assert deadlines.sweep_orphans(company.world.database) == 1
    assert deadlines.sweep_orphans(company.world.database) == 0, "it has one now"
    company.settle()
    assert company.status("adele") == Status.PROVISIONED

    company.leave("adele", "Sales")
    company.sql("DELETE FROM procrastinate_jobs")
    assert deadlines.sweep_orphans(company.world.database) == 1
    company.settle()
    assert company.status("adele") == Status.IN_GRACE


def test_a_dead_workers_job_comes_back_under_another_number(company: Company) -> None:
    """V6: so that a woken zombie, finishing its old job, cannot finish its successor's."""
    company.basics("adele")
    reconcile(company.world.database, company.tenant.id)
    company.sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '20 s')")
    company.sql(
        "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT max(id) FROM procrastinate_workers) "
        "WHERE task_name = :task",
        task=PROVISION,
    )
    before = company.sql("SELECT id FROM procrastinate_jobs WHERE task_name = :task", task=PROVISION)
    with company.world.database.begin() as connection:
        assert jobs.take_over(connection, 60) == 0, "not silent for long enough"
        assert jobs.take_over(connection, 6) == 1
    after = company.sql("SELECT id, status FROM procrastinate_jobs WHERE task_name = :task", task=PROVISION)
    assert [row.status for row in after] == ["todo"]
    assert before[0].id != after[0].id
    company.settle()
    assert company.status("adele") == Status.PROVISIONED


def test_a_living_workers_jobs_stay_its_own(company: Company) -> None:
    company.sql("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")
    company.sql(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id, args) "
        "SELECT 'deskwright', 'provision', 'doing', max(id), '{}' FROM procrastinate_workers"
    )
    with company.world.database.begin() as connection:
        assert jobs.take_over(connection, 6) == 0


def test_a_change_and_its_job_commit_together(company: Company) -> None:
    """Neither without the other: a rolled-back change leaves no job, a committed one has it."""
    company.basics()
    company.settle()
    company.user("adele")
    verdicts = company.verdicts(
        "INSERT INTO memberships (group_id, user_id, tenant_id) VALUES (:group, :user, :tenant)",
        "SELECT :user",
        user=company.ids["adele"],
        group=company.ids["Sales"],
    )
    assert [v.action for v in verdicts] == ["create"]
    with company.world.database.begin() as connection:
        assert jobs.waiting(connection) == 0
        assert connection.execute(text("SELECT count(*) FROM touched_users")).scalar_one() == 0
    company.join("adele", "Sales")
    with company.world.database.begin() as connection:
        assert jobs.waiting(connection) == 1
