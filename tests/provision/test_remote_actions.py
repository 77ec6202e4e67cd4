"""Remote actions: every row of their table, the rules of each, and what is left of them in the end."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from deskwright.domain.resources import Kind
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import RunKind
from deskwright.domain.status import TAKEN_AWAY, Status
from deskwright.errors import Effect, entry
from deskwright.operations import cloud_pcs, licenses, listing, remote_actions, view
from deskwright.providers.simulator import world as simulated
from deskwright.provision import run as engine
from deskwright.provision.context import Done, StepContext
from deskwright.provision.pipeline import Step
from deskwright.provision.remote import ACTIONS
from tests.company import PLAN, Company, found
from tests.provision.killing import killed_at

ADELE = "adele@contoso.com"
LARGE = "Cloud PC Enterprise 8vCPU/32GB/256GB"
ROWS = [(kind, step) for kind, steps in ACTIONS.items() for step in steps]
EVERY_ROW = pytest.mark.parametrize(("kind", "step"), ROWS, ids=[f"{kind}-{step.id}" for kind, step in ROWS])
EVERY_KIND = pytest.mark.parametrize("kind", [kind for kind, steps in ACTIONS.items() if steps], ids=str)


def settled(company: Company, *users: str) -> Company:
    """A company whose users hold their licence directly and have their Cloud PC, and which has a larger plan."""
    company.site()
    company.plan()
    large(company)
    company.group()
    company.policy()
    company.assign("Desktops", "Sales")
    for user in users or ("adele",):
        company.user(user)
        company.license(PLAN, user)
        company.join(user, "Sales")
    company.settle()
    for user in users or ("adele",):
        assert company.status(user) == Status.PROVISIONED
    return company


def large(company: Company, seats: int = 5) -> None:
    company.plan(LARGE, seats)
    company.sql(
        "UPDATE service_plans SET vcpu_count = 8, ram_gb = 32, storage_gb = 256 WHERE id = :id", id=company.ids[LARGE]
    )


def ask(company: Company, act: Callable[..., dict[str, Any]], **options: Any) -> dict[str, Any]:
    return act(company.world, company.tenant, "ann", ADELE, **options)


def start(company: Company, kind: RunKind) -> UUID:
    """What each action needs beforehand is done, then it is asked for; returns its run, which nobody carries yet."""
    match kind:
        case RunKind.POWER_ON:
            ask(company, remote_actions.power_off)
            company.settle()
            told = ask(company, remote_actions.power_on)
        case RunKind.RESTORE:
            ask(company, remote_actions.create_snapshot)
            company.settle()
            told = ask(company, remote_actions.restore, snapshot_id=snapshot(company))
        case RunKind.RESIZE:
            told = ask(company, remote_actions.resize, service_plan=LARGE)
        case RunKind.CHANGE_USER_ACCOUNT_TYPE:
            told = ask(company, remote_actions.change_user_account_type, user_account_type="administrator")
        case _:
            acts = {
                RunKind.RESTART: remote_actions.restart,
                RunKind.POWER_OFF: remote_actions.power_off,
                RunKind.SNAPSHOT: remote_actions.create_snapshot,
                RunKind.TROUBLESHOOT: remote_actions.troubleshoot,
            }
            told = ask(company, acts[kind])
    return UUID(told["runId"])


def snapshot(company: Company) -> str:
    return str(remote_actions.snapshots(company.world.database, company.tenant, ADELE)[-1]["id"])


def inside(company: Company, user: str = "adele") -> dict[str, Any]:
    """The machine as it is."""
    ((vm,),) = company.sql(
        "SELECT external_id FROM ledger l JOIN cloud_pcs c ON c.id = l.cloud_pc_id "
        "WHERE c.user_id = :user AND l.kind = 'vm' AND l.state = 'created' AND l.release_at IS NULL",
        user=company.ids[user],
    )
    with company.world.database.world.connect() as connection:
        state = simulated.guest_state(connection, company.tenant.id, vm)
    assert state is not None
    return state


def results(company: Company, user: str = "adele") -> list[dict[str, Any]]:
    pc = company.pc(user).id
    with company.world.database.single.connect() as connection:
        return remote_actions.results(connection, company.tenant, [pc]).get(pc, [])


def seats(company: Company) -> dict[str, int]:
    return dict(company.sql("SELECT display_name, seats_used FROM service_plans WHERE tenant_id = :tenant ORDER BY 1"))


def holds(company: Company, user: str = "adele") -> list[str]:
    query = (
        "SELECT p.display_name FROM license_users l JOIN service_plans p ON p.id = l.plan_id WHERE l.user_id = :user"
    )
    return [name for (name,) in company.sql(query, user=company.ids[user])]


def took_effect(company: Company, kind: RunKind) -> None:
    """What a later read shows is what was asked for."""
    pc, machine = company.pc("adele"), inside(company)
    assert pc.status == Status.PROVISIONED
    assert (pc.power_state, machine["power"]) == (
        ("poweredOff",) * 2 if kind is RunKind.POWER_OFF else ("running",) * 2
    )
    match kind:
        case RunKind.RESTART:
            assert machine["restarts"] == 1
        case RunKind.RESIZE:
            assert (pc.plan, machine["model"]) == (LARGE, LARGE)
            assert (machine["size"], machine["partition_gb"]) == ([8, 32, 256], 256)
            assert holds(company) == [LARGE]
            assert seats(company) == {PLAN: 0, LARGE: 1}
            models = company.sql(
                "SELECT data->>'model' FROM simulator.objects WHERE kind IN ('device', 'managedDevice')"
            )
            assert models == [(LARGE,), (LARGE,)]
            assert company.sql("SELECT vcpu_used, ram_used, storage_used FROM simulator.capacity") == [(8, 32, 256)]
        case RunKind.SNAPSHOT:
            (taken,) = remote_actions.snapshots(company.world.database, company.tenant, ADELE)
            assert (taken["snapshotType"], taken["status"]) == ("manual", "ready")
            assert list(company.inventory().values()).count(Kind.SNAPSHOT) == 1
        case RunKind.RESTORE:
            (taken,) = remote_actions.snapshots(company.world.database, company.tenant, ADELE)
            assert taken["lastRestoredDateTime"] is not None
        case RunKind.CHANGE_USER_ACCOUNT_TYPE:
            assert machine["administrators"] == [f"AzureAD\\{ADELE}"]
            with company.world.database.single.connect() as connection:
                assert remote_actions.account_types(connection, [pc.id]) == {pc.id: "administrator"}
        case _:
            pass


# --- every row of the table -----------------------------------------------------------------------------


@EVERY_KIND
def test_every_action_succeeds(company: Company, kind: RunKind) -> None:
    """V4: accepted at once, carried out by a worker, each step once and in order, visible afterwards."""
    settled(company)
    run = start(company, kind)
    assert results(company)[0]["actionState"] == "pending"
    company.settle()
    last = company.runs("adele")[-1]
    assert (last.id, last.kind, last.state) == (run, kind, "succeeded")
    steps = company.steps("adele", run=last.number)
    assert [(row.step, row.outcome) for row in steps] == [(step.id, "succeeded") for step in ACTIONS[kind]]
    assert (results(company)[0]["actionName"], results(company)[0]["actionState"]) == (kind.action_name, "done")
    took_effect(company, kind)
    assert company.leaks() == set()


@EVERY_ROW
def test_a_step_done_twice_is_as_done_once(
    company: Company, kind: RunKind, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V6: a step may run again at any time, and does nothing a second time."""

    def twice(ctx: StepContext) -> Done:
        step.do(ctx)
        return step.do(ctx)

    settled(company)
    start(company, kind)
    doubled = tuple(replace(s, do=twice) if s.id == step.id else s for s in ACTIONS[kind])
    monkeypatch.setitem(ACTIONS, kind, doubled)
    company.settle()
    took_effect(company, kind)
    assert company.leaks() == set()
    kinds = sorted(company.inventory().values())
    assert kinds == sorted(set(kinds)), "one object of each kind"


@EVERY_ROW
def test_a_failure_leaves_the_cloud_pc_as_it_was(company: Company, kind: RunKind, step: Step) -> None:
    """An action fails at once, with its code; only the configure steps after it leave a warning."""
    settled(company)
    start(company, kind)
    before, held, was = inside(company), seats(company), company.pc("adele")
    code = next(c for c in step.errors if entry(c).effect in {Effect.RETRY, Effect.WARN} and c != "deploymentTimeout")
    company.fault(step.id, code)
    company.settle()
    pc, last = company.pc("adele"), company.runs("adele")[-1]
    (result, *_) = results(company)
    if step.warns:
        assert (last.state, pc.status) == ("succeeded", Status.WARNINGS)
        assert [(w["step"], w["code"]) for w in pc.warnings] == [(step.id, code)]
        assert result["actionState"] == "done"
        company.clear_faults()
        ask(company, cloud_pcs.repair)
        company.settle()
        took_effect(company, kind)
        return
    assert (last.state, last.error["code"]) == ("failed", code)
    assert [row.attempt for row in company.steps("adele", run=last.number)] == [1], "one attempt"
    assert (result["actionState"], result["statusDetail"]["code"]) == ("failed", code)
    assert result["statusDetail"]["message"]
    assert pc.status == Status.PROVISIONED
    assert (pc.plan_id, pc.power_state, pc.target_plan_id) == (was.plan_id, was.power_state, None)
    assert inside(company) == before
    if kind is RunKind.RESIZE:
        assert held == {PLAN: 1, LARGE: 1}, "the seat was held while it lasted"
        assert seats(company) == {PLAN: 1, LARGE: 0}
        assert holds(company) == [PLAN]
    assert company.leaks() == set()


@EVERY_ROW
def test_killed_at_any_instant_resumes(company: Company, kind: RunKind, step: Step) -> None:
    """V6: kill -9 before, inside and after the step's work; whoever takes over ends it, nothing lost or doubled."""
    settled(company)
    run = start(company, kind)
    for moment in ("before", "inside", "after"):
        killed_at(company, run, step.id, moment)
    engine.carry(company.world, run)
    company.settle()
    last = company.runs("adele")[-1]
    assert (last.state, [row.step for row in company.steps("adele", run=last.number)]) == (
        "succeeded",
        [s.id for s in ACTIONS[kind]],
    )
    took_effect(company, kind)
    assert company.leaks() == set()
    kinds = sorted(company.inventory().values())
    assert kinds == sorted(set(kinds)), "nothing doubled"


@EVERY_KIND
def test_one_at_a_time(company: Company, kind: RunKind) -> None:
    """While a run is under way every other action is refused, and says what is under way."""
    settled(company)
    start(company, kind)
    words = {RunKind.RESIZE: "resizing", RunKind.RESTORE: "restoring"}.get(kind, kind.words)
    with pytest.raises(Refused, match=words) as refused:
        ask(company, remote_actions.restart)
    assert refused.value.code == "conflict"
    assert len([run for run in company.runs("adele") if run.state == "active"]) == 1


@EVERY_KIND
def test_nothing_is_left_after_the_end_of_grace(company: Company, kind: RunKind) -> None:
    """L1-L4, E8: whatever an action made goes with the Cloud PC; inventory and ledger agree."""
    settled(company)
    start(company, kind)
    company.settle()
    company.leave("adele", "Sales", confirmed=True)
    company.settle()
    assert company.status("adele") == Status.IN_GRACE
    company.advance(days=8)
    assert company.pcs("adele") == [] or company.status("adele") == Status.NOT_PROVISIONED
    company.advance(hours=4)
    assert company.inventory() == {}
    assert company.leaks() == set()
    assert company.sql("SELECT 1 FROM snapshots") == []
    assert company.sql("SELECT vcpu_used, ram_used, storage_used FROM simulator.capacity") == [(0, 0, 0)]


@EVERY_KIND
@pytest.mark.parametrize("status", [Status.FAILED, Status.PROVISIONING, Status.IN_GRACE, *sorted(TAKEN_AWAY)], ids=str)
def test_an_action_needs_its_status(company: Company, kind: RunKind, status: Status) -> None:
    """Resize, restore and account type only where it is provisioned; the others in grace too."""
    settled(company)
    if kind is RunKind.RESTORE:
        ask(company, remote_actions.create_snapshot)
        company.settle()
    company.sql("UPDATE cloud_pcs SET status = :s WHERE tenant_id = :tenant", s=str(status))
    acts: dict[RunKind, tuple[Callable[..., dict[str, Any]], dict[str, Any]]] = {
        RunKind.RESTART: (remote_actions.restart, {}),
        RunKind.POWER_OFF: (remote_actions.power_off, {}),
        RunKind.POWER_ON: (remote_actions.power_on, {}),
        RunKind.SNAPSHOT: (remote_actions.create_snapshot, {}),
        RunKind.TROUBLESHOOT: (remote_actions.troubleshoot, {}),
        RunKind.RESIZE: (remote_actions.resize, {"service_plan": LARGE}),
        RunKind.RESTORE: (remote_actions.restore, {"snapshot_id": "any"}),
        RunKind.CHANGE_USER_ACCOUNT_TYPE: (
            remote_actions.change_user_account_type,
            {"user_account_type": "administrator"},
        ),
    }
    act, options = acts[kind]
    in_grace = {RunKind.RESTART, RunKind.POWER_OFF, RunKind.SNAPSHOT, RunKind.TROUBLESHOOT}
    if status is Status.IN_GRACE and kind in in_grace:
        ask(company, act, **options)
        return
    with pytest.raises(Refused) as refused:
        ask(company, act, **options)
    assert refused.value.code == "conflict"
    assert (f"it is {status}" in refused.value.rule) == (status is not Status.IN_GRACE or kind is not RunKind.POWER_ON)


# --- power ----------------------------------------------------------------------------------------------


def test_power_on_and_off_are_refused_where_they_change_nothing(company: Company) -> None:
    settled(company)
    with pytest.raises(Refused, match="it runs already"):
        ask(company, remote_actions.power_on)
    ask(company, remote_actions.power_off)
    company.settle()
    for act in (remote_actions.power_off, remote_actions.restart, cloud_pcs.repair):
        with pytest.raises(Refused, match="powered off") as refused:
            ask(company, act)
        assert refused.value.code == "conflict"


def test_troubleshoot_says_that_a_machine_is_powered_off(company: Company) -> None:
    settled(company)
    ask(company, remote_actions.power_off)
    company.settle()
    ask(company, remote_actions.troubleshoot)
    company.settle()
    detail = results(company)[0]["statusDetail"]
    assert detail["code"] == "endpointCheckFailed"
    assert "powered off" in detail["message"]
    assert company.status("adele") == Status.PROVISIONED


def test_a_machine_has_a_power_state_only_while_it_is_there(company: Company) -> None:
    settled(company)
    assert company.pc("adele").power_state == "running"
    ask(company, remote_actions.power_off)
    company.settle()
    company.fault("C1", "capacityUnavailable")
    ask(company, cloud_pcs.reprovision)
    assert company.pc("adele").power_state is None
    company.settle()
    assert (company.pc("adele").status, company.pc("adele").power_state) == (Status.FAILED, None)
    company.clear_faults()
    ask(company, cloud_pcs.retry)
    company.settle()
    assert (company.pc("adele").power_state, inside(company)["power"]) == ("running", "running")


# --- resize ---------------------------------------------------------------------------------------------


def test_a_disk_does_not_shrink(company: Company) -> None:
    settled(company)
    company.sql("UPDATE service_plans SET storage_gb = 64 WHERE id = :id", id=company.ids[LARGE])
    with pytest.raises(Refused, match=r"64 GB.*128 GB.*can grow, but not shrink"):
        ask(company, remote_actions.resize, service_plan=LARGE)


def test_resize_needs_a_licence_of_its_own_and_another_plan(company: Company) -> None:
    """E1, E2: the licence goes along, so it must be the person's own; the pair stays unique."""
    settled(company)
    with pytest.raises(Refused, match="is the plan it has"):
        ask(company, remote_actions.resize, service_plan=PLAN)
    with pytest.raises(NotFound):
        ask(company, remote_actions.resize, service_plan="Cloud PC none")
    company.license_group(PLAN, "Sales")
    with pytest.raises(Refused, match="through group Sales") as refused:
        ask(company, remote_actions.resize, service_plan=LARGE)
    assert "Change the licence of the group" in refused.value.remedy
    company.sql("DELETE FROM license_groups")
    company.license(LARGE, "adele")
    with pytest.raises(Refused, match="with a Cloud PC of its own"):
        ask(company, remote_actions.resize, service_plan=LARGE)
    company.settle()
    assert len(company.pcs("adele")) == 2


def test_e6_a_resize_holds_a_seat_of_the_target_plan(company: Company) -> None:
    """E6: no seat, no resize; the one it is going to is taken from the start, the old one is free at the end."""
    settled(company, "adele", "alex")
    company.sql("UPDATE service_plans SET seats = 1 WHERE id = :id", id=company.ids[LARGE])
    ask(company, remote_actions.resize, service_plan=LARGE)
    assert seats(company) == {PLAN: 2, LARGE: 1}
    with pytest.raises(Refused, match="1 seats") as refused:
        remote_actions.resize(company.world, company.tenant, "ann", "alex@contoso.com", service_plan=LARGE)
    assert refused.value.code == "quotaLimitReached"
    with pytest.raises(Refused, match="1 consumed"):
        licenses.assign(company.world.database, company.tenant, "ann", LARGE, users=["alex@contoso.com"])
    company.settle()
    assert seats(company) == {PLAN: 1, LARGE: 1}


def test_a_freed_seat_goes_to_who_waits_for_it(company: Company) -> None:
    """E6: the old plan's seat is free when the resize has ended."""
    settled(company)
    company.sql("UPDATE service_plans SET seats = 1 WHERE id = :id", id=company.ids[PLAN])
    company.user("alex")
    company.license(PLAN, "alex")
    company.join("alex", "Sales")
    company.settle()
    assert company.status("alex") == Status.PENDING
    ask(company, remote_actions.resize, service_plan=LARGE)
    company.settle()
    assert company.status("alex") == Status.PROVISIONED


@pytest.mark.parametrize("fails", [False, True])
def test_e8_what_is_lost_during_a_resize_leads_to_grace(company: Company, fails: bool) -> None:
    """E8: the resize ends first, then the grace period begins, with its real cause; nobody is given a licence back."""
    settled(company)
    ask(company, remote_actions.resize, service_plan=LARGE)
    if fails:
        company.fault("R4", "capacityUnavailable")
    company.unlicense(PLAN, "adele")
    company.settle()
    pc = company.pc("adele")
    assert (pc.status, pc.plan, pc.grace["lost"]) == (Status.IN_GRACE, PLAN if fails else LARGE, ["licence"])
    assert pc.grace["cause"]["actor"] == "test"
    assert holds(company) == []
    company.license(PLAN if fails else LARGE, "adele")
    company.settle()
    assert company.status("adele") == Status.PROVISIONED


def test_e2_a_licence_of_the_target_plan_that_comes_meanwhile_makes_no_second_cloud_pc(company: Company) -> None:
    """E2: the pair is the resized one's already."""
    settled(company)
    ask(company, remote_actions.resize, service_plan=LARGE)
    company.sql("UPDATE service_plans SET seats = 9 WHERE id = :id", id=company.ids[LARGE])
    company.license(LARGE, "adele")
    company.settle()
    assert [(pc.plan, pc.status) for pc in company.pcs("adele")] == [(LARGE, Status.PROVISIONED)]
    assert holds(company) == [LARGE]


def test_a_site_without_room_refuses_the_resize(company: Company) -> None:
    settled(company)
    company.sql(
        "UPDATE sites SET compute = CAST(:c AS jsonb)",
        c='{"kind": "simulator", "capacity": {"vCpuCount": 4, "ramInGB": 64, "storageInGB": 1024}}',
    )
    with pytest.raises(Refused, match="has no room for") as refused:
        ask(company, remote_actions.resize, service_plan=LARGE)
    assert refused.value.code == "capacityUnavailable"
    assert company.status("adele") == Status.PROVISIONED


# --- snapshots ------------------------------------------------------------------------------------------


def test_a_restore_brings_back_what_was(company: Company) -> None:
    """Everything inside is as it was when the snapshot was taken, and what we know of it follows."""
    settled(company)
    ask(company, remote_actions.create_snapshot)
    company.settle()
    then = inside(company)
    company.advance(hours=1)
    ask(company, remote_actions.change_user_account_type, user_account_type="administrator")
    company.settle()
    assert inside(company)["administrators"] != then["administrators"]
    ask(company, remote_actions.restore, snapshot_id=snapshot(company))
    assert company.status("adele") == Status.RESTORING
    company.settle()
    assert inside(company) == then
    pc = company.pc("adele").id
    with company.world.database.single.connect() as connection:
        assert remote_actions.account_types(connection, [pc]) == {pc: "standardUser"}


def test_a_snapshot_restores_only_its_own_cloud_pc(company: Company) -> None:
    settled(company, "adele", "alex")
    ask(company, remote_actions.create_snapshot)
    company.settle()
    with pytest.raises(NotFound):
        remote_actions.restore(company.world, company.tenant, "ann", "alex@contoso.com", snapshot_id=snapshot(company))
    with pytest.raises(NotFound):
        ask(company, remote_actions.restore, snapshot_id="nonsense")


def test_v5_a_reprovision_takes_the_snapshots_along(company: Company) -> None:
    """V5: machine and all its data; a snapshot of it is data."""
    settled(company)
    ask(company, remote_actions.create_snapshot)
    company.settle()
    with company.world.database.single.connect() as connection:
        assert not [row for row in view.ledger(connection, company.tenant) if row["left"]], "all in use"
    ask(company, cloud_pcs.reprovision)
    company.settle()
    assert remote_actions.snapshots(company.world.database, company.tenant) == []
    assert Kind.SNAPSHOT not in company.inventory().values()
    assert company.leaks() == set()


# --- the rest -------------------------------------------------------------------------------------------


def test_rename_does_not_hide_what_is_under_way(company: Company) -> None:
    """V4: the list tells the run that is carried."""
    settled(company)
    ask(company, remote_actions.restart)
    ask(company, remote_actions.rename, display_name="Adele's desk")
    with company.world.database.begin() as connection:
        (row,) = listing.cloud_pcs(connection, company.tenant)
    assert (row["runKind"], row["displayName"]) == ("restart", "Adele's desk")


def test_rename_changes_the_name_people_see_and_not_the_device(company: Company) -> None:
    settled(company)
    before = company.pc("adele")
    ask(company, remote_actions.rename, display_name="  Adele's desk ")
    after = company.pc("adele")
    assert (after.display_name, after.device_name) == ("Adele's desk", before.device_name)
    assert after.modified_at > before.modified_at
    assert (results(company)[0]["actionName"], results(company)[0]["actionState"]) == ("Rename", "done")
    for name in ("", " ", "x" * 65, "two\nlines"):
        with pytest.raises(Refused):
            ask(company, remote_actions.rename, display_name=name)
    company.enable_user("adele", True)
    company.settle()
    assert company.pc("adele").display_name == "Adele's desk"


def test_an_account_type_goes_both_ways(company: Company) -> None:
    settled(company)
    for wanted, administrators in (("administrator", [f"AzureAD\\{ADELE}"]), ("standardUser", [])):
        ask(company, remote_actions.change_user_account_type, user_account_type=wanted)
        company.settle()
        assert inside(company)["administrators"] == administrators
    with pytest.raises(Refused, match="standardUser or administrator"):
        ask(company, remote_actions.change_user_account_type, user_account_type="root")


def test_cancel_ends_what_can_be_called_back(company: Company) -> None:
    """R7: before it has begun, any action; afterwards none that the machine was told of."""
    settled(company)
    company.sql("UPDATE tenants SET speed = 1")
    ask(company, remote_actions.resize, service_plan=LARGE)
    assert ask(company, cloud_pcs.cancel)["status"] == Status.PROVISIONED
    assert (results(company)[0]["actionState"], seats(company)) == ("canceled", {PLAN: 1, LARGE: 0})
    ask(company, remote_actions.create_snapshot)
    company.settle()
    ask(company, cloud_pcs.cancel)
    company.settle()
    assert results(company)[0]["actionState"] == "canceled"
    assert Kind.SNAPSHOT not in company.inventory().values()
    ask(company, remote_actions.resize, service_plan=LARGE)
    company.settle()
    with pytest.raises(Refused, match="cannot be called back"):
        ask(company, cloud_pcs.cancel)
    for _ in range(5):
        company.advance(minutes=3)
    took_effect(company, RunKind.RESIZE)


def test_a_provider_that_never_ends_is_given_up(company: Company) -> None:
    """The step's deadline ends it; the Cloud PC is the user's again."""
    settled(company)
    company.fault("R6", "deploymentTimeout")
    start(company, RunKind.RESTORE)
    company.settle()
    assert company.status("adele") == Status.RESTORING
    company.advance(hours=2)
    assert (company.status("adele"), results(company)[0]["actionState"]) == (Status.PROVISIONED, "failed")
    assert results(company)[0]["statusDetail"]["code"] == "deploymentTimeout"


def test_results_tell_reprovisions_too_and_newest_first(company: Company) -> None:
    settled(company)
    assert results(company) == [], "nobody asked for the first provisioning"
    ask(company, remote_actions.restart)
    company.settle().advance(minutes=1)
    ask(company, cloud_pcs.reprovision)
    company.settle()
    told = results(company)
    assert [r["actionName"] for r in told] == ["Reprovision", "Reboot"]
    assert told[0]["managedDeviceId"] != told[1]["managedDeviceId"], "each has that of its machine"
    assert all(r["startDateTime"] <= r["lastUpdatedDateTime"] and r["managedDeviceId"] for r in told)


def test_a_review_is_kept_and_audited(company: Company) -> None:
    settled(company)
    database = company.world.database
    assert remote_actions.review_status(database, company.tenant, ADELE)["inReview"] is False
    given = {"inReview": True, "userAccessLevel": "restricted", "restorePointDateTime": "2026-01-31T12:00:00Z"}
    told = ask(company, remote_actions.set_review_status, review_status=given)
    assert told == remote_actions.review_status(database, company.tenant, ADELE)
    assert told["reviewStartDateTime"]
    audited = company.sql("SELECT after FROM audit_events WHERE activity = 'Cloud PC: set review status'")
    assert audited[0].after["reviewStatus"]["userAccessLevel"] == "restricted"
    for wrong in ({}, {"inReview": "yes"}, {"inReview": True, "userAccessLevel": "none"}, {"inReview": True, "x": 1}):
        with pytest.raises(Refused, match=r"reviewStatus\."):
            ask(company, remote_actions.set_review_status, review_status=wrong)


def test_modified_says_when_something_visible_changed(company: Company) -> None:
    settled(company)
    before = company.pc("adele")
    assert before.modified_at == before.status_since
    company.sql("UPDATE cloud_pcs SET entitled_number = entitled_number + 1")
    assert company.pc("adele").modified_at == before.modified_at, "nobody sees that"
    company.advance(hours=1)
    ask(company, remote_actions.power_off)
    company.settle()
    assert (company.pc("adele").modified_at - before.modified_at).total_seconds() > 3000


def test_what_is_under_way_is_listed(company: Company) -> None:
    """`status` and `show` say what is going on, and how long it takes."""
    settled(company)
    company.sql("UPDATE tenants SET speed = 1")
    ask(company, remote_actions.resize, service_plan=LARGE)
    company.settle()
    with company.world.database.single.connect() as connection:
        (row,) = view.cloud_pcs(connection, company.tenant)
        told = view.timeline(connection, company.tenant, UUID(row["id"]))
        explained = view.explain_user(connection, company.tenant, ADELE)
    assert (row["status"], row["runKind"], row["step"], row["attempt"]) == (Status.RESIZING, "resize", "R4", None)
    assert row["stepTitle"] == "Resize machine"
    assert 60 < row["etaSeconds"] < 600
    assert told["runs"][-1]["kindWords"] == "resize"
    assert "being resized" in explained["verdicts"][0]["next"]["text"]


def test_another_tenants_cloud_pc_is_not_found(company: Company) -> None:
    """By its id no more than by its name; nor are its snapshots or results shown."""
    settled(company)
    ask(company, remote_actions.create_snapshot)
    company.settle()
    world, pc = company.world, company.pc("adele").id
    stranger = found(world.database, world.settings, "fabrikam.com").tenant
    acts: list[Callable[..., dict[str, Any]]] = [
        remote_actions.restart,
        remote_actions.power_off,
        remote_actions.power_on,
        remote_actions.create_snapshot,
        remote_actions.troubleshoot,
        partial(remote_actions.rename, display_name="x"),
        partial(remote_actions.resize, service_plan=LARGE),
        partial(remote_actions.restore, snapshot_id=snapshot(company)),
        partial(remote_actions.change_user_account_type, user_account_type="standardUser"),
        partial(remote_actions.set_review_status, review_status={"inReview": True}),
    ]
    for act in acts:
        with pytest.raises(NotFound):
            act(world, stranger, "mallory", str(pc))
    assert remote_actions.snapshots(world.database, stranger) == []
    with pytest.raises(NotFound):
        remote_actions.review_status(world.database, stranger, str(pc))
    with world.database.single.connect() as connection:
        assert remote_actions.results(connection, stranger, [pc]) == {}
    assert [run.kind for run in company.runs("adele")] == ["provision", "snapshot"]
