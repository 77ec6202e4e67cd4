"""Five tests over every row of the pipeline table: a new step is tested by being listed (SPEC section 9)."""

from dataclasses import replace
from uuid import UUID

import pytest

from deskwright.domain.resources import Kind
from deskwright.domain.status import Status
from deskwright.errors import Effect, entry
from deskwright.providers.registry import providers_for
from deskwright.provision import run as engine
from deskwright.provision.context import Done, StepContext
from deskwright.provision.pipeline import PIPELINE, Step
from deskwright.provision.sites import load_site
from tests.company import Company
from tests.provision.killing import killed_at

EVERY_STEP = pytest.mark.parametrize("step", PIPELINE, ids=lambda s: s.id)
BOTH_JOINS = pytest.mark.parametrize("hybrid", [False, True], ids=["entra", "hybrid"])


def ready(company: Company, hybrid: bool = False) -> Company:
    company.basics("adele", connections=("HQ",) if hybrid else ())
    return company


def active_run(company: Company) -> UUID:
    ((run,),) = company.sql("SELECT id FROM runs WHERE tenant_id = :tenant AND state = 'active'")
    return UUID(str(run))


def started(company: Company, hybrid: bool = False) -> UUID:
    """The run of a Cloud PC that has been decided on and not begun."""
    from deskwright.reconcile.entitlements import reconcile

    ready(company, hybrid)
    reconcile(company.world.database, company.tenant.id)
    return active_run(company)


@BOTH_JOINS
def test_every_step_succeeds_in_order(company: Company, hybrid: bool) -> None:
    """C1-C6, P1-P7, A0, A1: the whole pipeline, each step once, in the order of the table (V4)."""
    ready(company, hybrid).settle()
    rows = company.steps("adele")
    assert [row.step for row in rows] == [step.id for step in PIPELINE]
    assert {row.outcome for row in rows} <= {"succeeded", "skipped"}
    assert all(row.started_at <= row.ended_at for row in rows)
    assert company.status("adele") == Status.PROVISIONED
    assert company.leaks() == set()


@EVERY_STEP
@BOTH_JOINS
def test_a_step_done_twice_is_as_done_once(
    company: Company, step: Step, hybrid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6: every step may run again at any time, as it does after a crash, and makes nothing a second time."""

    def twice(ctx: StepContext) -> Done:
        step.do(ctx)
        return step.do(ctx)

    monkeypatch.setattr(engine, "PIPELINE", tuple(replace(s, do=twice) if s.id == step.id else s for s in PIPELINE))
    ready(company, hybrid).settle()
    assert company.status("adele") == Status.PROVISIONED
    assert company.leaks() == set()
    kinds = sorted(company.inventory().values())
    assert kinds == sorted(set(kinds)), "one object of each kind"


@EVERY_STEP
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_failure_ends_as_documented(company: Company, step: Step, failures: int) -> None:
    """V1, V2: a core or assign step fails the attempt, three fail the run; a configure step leaves a warning."""
    ready(company, hybrid=step.id == "C4")
    by_deadline = {"hybridAADJoinFailed", "deploymentTimeout"}  # these take their time, see test_run_rules
    effects = {Effect.RETRY, Effect.WARN}
    code = next(c for c in step.errors if entry(c).effect in effects and c not in by_deadline)
    company.fault(step.id, code, attempts=list(range(1, failures + 1)))
    # Teams is not for Linux, and nobody is made administrator unless something says so.
    if step.warns:
        company.sql("UPDATE policies SET gallery_image = :i, local_admin_enabled = true", i=windows_image())
    company.settle()
    pc, rows = company.pc("adele"), company.steps("adele")

    if step.warns:
        assert pc.status == Status.WARNINGS
        assert [w["step"] for w in pc.warnings] == [step.id]
        assert pc.warnings[0]["code"] == code
        assert rows[-1].step == "A1"
        assert rows[-1].attempt == 1
        return
    attempts = sorted({row.attempt for row in rows})
    assert attempts == list(range(1, min(failures, 2) + 2))
    failed = [row for row in rows if row.outcome == "failed"]
    assert [(row.attempt, row.step, row.code) for row in failed] == [(n, step.id, code) for n in range(1, failures + 1)]
    assert all(row.message for row in failed)
    if failures < 3:
        assert pc.status == Status.PROVISIONED
    else:
        assert pc.status == Status.FAILED
        assert pc.status_detail["code"] == code
    machines = {kind for kind in company.inventory().values() if kind in (Kind.VM, Kind.DISK, Kind.CAPACITY)}
    assert machines == (set() if failures == 3 else {Kind.VM, Kind.DISK, Kind.CAPACITY}), "L2: freed at once"

    company.advance(hours=4)  # L2: the rest about three hours later
    assert company.leaks() == set()
    assert (company.inventory() == {}) == (failures == 3), "a clean slate"


def windows_image() -> str:
    from deskwright.domain.images import GALLERY

    return next(i.id for i in GALLERY.values() if i.os_family == "windows")


@EVERY_STEP
def test_undo_twice_is_harmless(company: Company, step: Step) -> None:
    """L4: releasing what a step made, once more than needed, changes nothing; each step says how it is undone."""
    assert step.undo
    ready(company, hybrid=True).settle()
    made = [row for row in company.held() if row.step == step.id]
    provider = {"capacity": "compute", "vm": "compute", "disk": "compute", "nic": "compute"}
    for _ in range(2):
        for row in made:
            site = load_site(company.world.database, row.site_id)
            name = provider.get(row.kind, "management" if row.kind == "managedDevice" else "directory")
            providers_for(company.world.database, site).of(name).release(Kind(row.kind), row.key)
        assert not {row.key for row in made} & set(company.inventory())


@EVERY_STEP
@BOTH_JOINS
def test_killed_at_any_instant_resumes(company: Company, step: Step, hybrid: bool) -> None:
    """V6: kill -9 before, inside and after the step's work; whoever takes over ends it with nothing lost or doubled."""
    run = started(company, hybrid)
    for moment in ("before", "inside", "after"):
        killed_at(company, run, step.id, moment)
    engine.carry(company.world, run)
    company.settle()
    rows = company.steps("adele")
    assert [row.step for row in rows] == [s.id for s in PIPELINE]
    assert {row.outcome for row in rows} <= {"succeeded", "skipped"}
    assert company.status("adele") == Status.PROVISIONED
    assert company.leaks() == set()
    kinds = sorted(company.inventory().values())
    assert kinds == sorted(set(kinds)), "nothing doubled"
