"""V1-V6, L1-L4, A0, A1: one run, its failures, and what is left afterwards."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import cloud_pcs
from deskwright.providers.contract import ProviderError
from deskwright.providers.simulator import world as simulated
from deskwright.providers.simulator.compute import SimulatedCompute
from deskwright.provision import records
from deskwright.provision import run as engine
from deskwright.provision.context import Done, StepContext
from deskwright.provision.pipeline import PIPELINE, STEPS, Step
from deskwright.reconcile.entitlements import reconcile
from deskwright.reconcile.inventory import compare_tenant
from tests.company import PLAN, Company
from tests.reconcile.test_entitlement_rules import LOSSES

ADELE = "adele@contoso.com"


def test_v1_back_off_between_attempts(company: Company) -> None:
    """V1: a pause before the second attempt, twice as long before the third; both are settings."""
    company.basics("adele")
    company.sql("UPDATE tenants SET speed = 1, settings = '{\"backOffInSeconds\": 600}' WHERE id = :tenant")
    company.fault("C1", "capacityUnavailable")
    company.settle()
    company.advance(minutes=5)
    assert [row.attempt for row in company.steps("adele")] == [1], "waiting"
    ((wake, reason),) = company.sql("SELECT wake_at, wake_reason FROM runs WHERE state = 'active'")
    assert wake is not None
    assert reason == "attempt 2 of 3"
    company.advance(minutes=6)
    assert [row.attempt for row in company.steps("adele")] == [1, 2]
    company.advance(minutes=11)
    assert [row.attempt for row in company.steps("adele")] == [1, 2], "twice as long"
    company.advance(minutes=10)
    assert company.status("adele") == Status.FAILED


def test_v1_retry_after_the_cause_is_gone(company: Company) -> None:
    """V1: failed moves only by retry or reprovision; retry is a new run of up to three attempts."""
    company.basics("adele")
    company.fault("C2", "imageNotSupportedFail")
    company.settle()
    company.enable_user("adele", True)
    company.settle().advance(days=30)
    assert company.status("adele") == Status.FAILED, "by itself it never moves"
    company.clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "test", ADELE)
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    assert [(run.number, run.kind, run.state) for run in company.runs("adele")] == [
        (1, "provision", "failed"),
        (2, "provision", "succeeded"),
    ]


def test_v2_each_attempt_has_its_own_machine_name_and_address(company: Company) -> None:
    """V2, C2, C3: a new VM, NIC, address and computer name for every attempt; three addresses while retrying."""
    company.basics("adele", connections=("HQ",))
    company.fault("C5", "intuneEnrollFailed")
    company.settle()
    rows = company.steps("adele")
    names = {row.made["computerName"] for row in rows if row.step == "C2"}
    addresses = {row.made["ipAddress"] for row in rows if row.step == "C3"}
    assert len(names) == len(addresses) == 3
    assert sorted(company.inventory().values()).count("nic") == 3, "their addresses are still taken"
    company.advance(hours=3, minutes=1)
    assert company.inventory() == {}


@pytest.mark.parametrize("step", [s.id for s in PIPELINE])
@pytest.mark.parametrize(
    ("loss", "code"),
    [
        ("delete_user", "userNotFound"),
        ("leave", "provisioningPolicyNotFound"),
        ("unassign", "provisioningPolicyNotFound"),
        ("unlicense", "licenseNotFound"),
    ],
)
def test_v3_the_ground_is_gone(
    company: Company, step: str, loss: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V3: found before the next core step or the handing over, stops the run at once, is cleaned up, and starts
    again when it returns."""
    names = {
        "delete_user": "user deleted",
        "leave": "left the group",
        "unassign": "policy unassigned",
        "unlicense": "licence removed",
    }
    lose, regain = LOSSES[names[loss]]
    before = next((s.id for s, after in pairwise(PIPELINE) if after.id == step), None)

    def losing(ctx: StepContext) -> Done:
        done = next(s for s in PIPELINE if s.id == before).do(ctx)
        lose(company)
        return done

    monkeypatch.setattr(engine, "PIPELINE", tuple(replace(s, do=losing) if s.id == before else s for s in PIPELINE))
    company.site()
    company.plan()
    company.group()
    company.policy()
    company.user("adele")
    company.license(PLAN, "adele")
    company.assign("Desktops", "Sales")
    company.join("adele", "Sales")
    if before is None:  # before the first step: lost between the decision and the run
        reconcile(company.world.database, company.tenant.id)
        lose(company)
    company.settle()
    (run,) = company.runs("adele")
    assert (run.state, run.error["code"]) == ("stopped", code)
    last = company.steps("adele")[-1]
    found_at = step if STEPS[step].guarded else "A0"
    assert (last.step, last.outcome, last.code) == (found_at, "stopped", code)
    assert {pc.status for pc in company.pcs("adele")} <= {Status.NOT_PROVISIONED}
    company.advance(hours=4)
    assert company.inventory() == {}

    monkeypatch.undo()
    regain(company)
    company.settle()
    assert company.status("adele") == Status.PROVISIONED


def test_v3_waits_for_a_healthy_connection(company: Company) -> None:
    """V3: before C1 it waits in pendingProvision with that reason and starts when a connection is healthy."""
    company.basics("adele", connections=("HQ",))
    company.health("HQ", "failed")
    company.settle()
    assert (company.pc("adele").status, company.pc("adele").waiting_for) == (Status.PENDING, "connection")
    company.health("HQ", "warning")  # warning is usable
    company.settle()
    assert company.status("adele") == Status.PROVISIONED


def test_v3_a_failing_refresh_fails_the_attempt_and_the_next_connection_is_used(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V3: canaryCheckUnpass for the attempt; the next attempt goes by the policy's next healthy connection."""
    company.site()
    company.connection("HQ")
    company.connection("Branch", subnet="10.30.0.0/24")
    company.plan()
    company.group()
    company.policy(connections=("HQ", "Branch"))
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")

    def failing(ctx: StepContext) -> Done:
        if ctx.attempt == 1:
            company.health("HQ", "failed")
        return PIPELINE[1].do(ctx)

    monkeypatch.setattr(engine, "PIPELINE", (PIPELINE[0], replace(PIPELINE[1], do=failing), *PIPELINE[2:]))
    company.join("adele", "Sales")
    company.settle()
    failed = [row for row in company.steps("adele") if row.outcome == "failed"]
    assert [(row.attempt, row.step, row.code) for row in failed] == [(1, "C3", "canaryCheckUnpass")]
    pc = company.pc("adele")
    assert (pc.status, pc.connection_id) == (Status.PROVISIONED, company.ids["Branch"])
    assert pc.ip_address.startswith("10.30.0.")


def test_v5_reprovision_makes_it_anew(company: Company) -> None:
    """V5: machine and data go, the same Cloud PC gets a new machine by the policy that reaches the user now."""
    company.basics("adele")
    company.settle()
    old = company.pc("adele")
    cloud_pcs.reprovision(company.world, company.tenant, "test", ADELE)
    company.settle()
    new = company.pc("adele")
    assert new.id == old.id
    assert new.device_name != old.device_name
    assert sorted(company.inventory().values()).count("vm") == 1, "the old machine went first"
    assert sorted(company.inventory().values()).count("nic") == 2, "its address goes later"
    company.advance(hours=4)
    assert company.leaks() == set()
    assert sorted(company.inventory().values()).count("nic") == 1


@pytest.mark.parametrize("missing", ["policy", "licence", "image", "connection", "capacity", "address", "enabled"])
def test_v5_everything_is_checked_before_anything_is_deleted(company: Company, missing: str) -> None:
    """V5: policy, licence, image, connection, capacity and an address; a refusal leaves the machine as it was."""
    company.site(compute={"capacity": {"vCpuCount": 4, "ramInGB": 16, "storageInGB": 256}})
    company.connection("HQ", subnet="10.20.0.0/30")
    company.plan()
    company.group()
    company.policy(connections=("HQ",))
    company.user("adele")
    company.license(PLAN, "adele")
    company.assign("Desktops", "Sales")
    company.join("adele", "Sales")
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    before = company.inventory()
    if missing != "address":  # the /30 has one address, which adele's Cloud PC holds
        company.sql("UPDATE connections SET subnet = '10.99.0.0/24' WHERE tenant_id = :tenant")
    breaking: dict[str, Callable[[], object]] = {
        "policy": lambda: company.sql("DELETE FROM policy_assignments WHERE tenant_id = :tenant"),
        "licence": lambda: company.sql("DELETE FROM license_users WHERE tenant_id = :tenant"),
        "image": lambda: company.sql(
            "UPDATE policies SET image_type = 'custom', device_image = 'Nowhere' WHERE tenant_id = :tenant"
        ),
        "connection": lambda: company.health("HQ", "failed"),
        "capacity": lambda: company.sql(
            'UPDATE sites SET compute = compute || \'{"capacity": {"vCpuCount": 1}}\' WHERE tenant_id = :tenant'
        ),
        "address": list,
        "enabled": lambda: company.enable_user("adele", False),
    }
    breaking[missing]()
    with pytest.raises(Refused) as refused:
        cloud_pcs.reprovision(company.world, company.tenant, "test", ADELE)
    assert str(refused.value)
    assert company.status("adele") == Status.PROVISIONED
    assert company.inventory() == before


def test_v6_a_zombie_cannot_write(company: Company) -> None:
    """V6: whoever lost the lease writes nothing any more, however late it wakes up."""
    company.basics("adele")
    reconcile(company.world.database, company.tenant.id)
    ((run_id,),) = company.sql("SELECT id FROM runs WHERE state = 'active'")
    frozen, woken = threading.Event(), threading.Event()

    def freeze(moment: str, step: str, _: int) -> None:
        if (moment, step) == ("after", "C2"):
            frozen.set()
            woken.wait(10)

    zombie = threading.Thread(target=engine.carry, args=(company.world, run_id, freeze))
    zombie.start()
    assert frozen.wait(10)
    engine.carry(company.world, run_id)  # the successor does it all
    rows = company.steps("adele")
    assert company.status("adele") == Status.PROVISIONED
    woken.set()
    zombie.join(10)
    company.settle()
    assert company.steps("adele") == rows
    assert company.leaks() == set()


def test_l1_a_row_before_the_object(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """L1: at the moment anything is asked for, its ledger row is there."""
    seen: dict[str, set[Any]] = {}

    def watched(step: Step) -> Step:
        def do(ctx: StepContext) -> Done:
            seen[step.id] = {row.kind for row in company.held() if row.step == step.id and row.state == "intended"}
            return step.do(ctx)

        return replace(step, do=do)

    monkeypatch.setattr(engine, "PIPELINE", tuple(watched(s) for s in PIPELINE))
    company.basics("adele", connections=("HQ",))
    company.settle()
    assert seen["C1"] == {"capacity"}
    assert seen["C2"] == {"vm", "disk"}
    assert seen["C3"] == {"nic"}
    assert seen["C4"] == {"computerAccount", "device"}
    assert seen["C5"] == {"managedDevice"}
    assert {row.state for row in company.held()} == {"created"}


def test_l2_a_failed_machine_can_be_kept(company: Company) -> None:
    """L2: the setting keeps a failed attempt's machine for diagnosis; a retry then removes it."""
    company.basics("adele")
    company.sql('UPDATE tenants SET settings = \'{"keepFailedMachines": true, "attempts": 1}\' WHERE id = :tenant')
    company.fault("C5", "intuneEnrollFailed")
    company.settle().advance(hours=4)
    assert sorted(company.inventory().values()) == ["capacity", "disk", "vm"]
    company.clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "test", ADELE)
    company.settle().advance(hours=4)
    assert sorted(company.inventory().values()).count("vm") == 1


def test_l3_computer_accounts_are_disabled_and_security_groups_stay(company: Company) -> None:
    """L3: never deleted; the ledger lists the disabled account for the administrator."""
    company.basics("adele", connections=("HQ",))
    company.settle()
    company.leave("adele", "Sales")
    company.settle().advance(days=8)
    company.advance(hours=4)
    rows = company.sql("SELECT state FROM ledger WHERE tenant_id = :tenant AND kind = 'computerAccount'")
    assert [row.state for row in rows] == ["disabled"]
    ((disabled,),) = company.sql("SELECT disabled FROM simulator.objects WHERE kind = 'computerAccount'")
    assert disabled is True
    assert company.inventory() == {}

    company.policy("Hosted")
    company.user("alex")
    company.group("Cloud")
    company.license(PLAN, "alex")
    company.assign("Hosted", "Cloud")
    company.join("alex", "Cloud")
    company.settle()
    company.leave("alex", "Cloud")
    company.settle().advance(days=8)
    company.advance(hours=4)
    kinds = {kind for (kind,) in company.sql("SELECT DISTINCT kind FROM simulator.objects WHERE NOT disabled")}
    assert kinds == {"network", "networkSecurityGroup"}


def test_l4_a_refused_release_comes_again(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """L4: retried with back-off, shown meanwhile, and released in the end."""
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()

    def refuse(*_: Any) -> None:
        raise ProviderError("internalServerError", reason="the provider is away")

    monkeypatch.setattr(SimulatedCompute, "release", refuse)
    cloud_pcs.end_grace(company.world, company.tenant, "test", ADELE)
    company.settle()
    refused = [row for row in company.held() if row.release_attempts]
    assert {row.kind for row in refused} == {"capacity", "vm", "disk"}
    assert all("away" in row.last_error for row in refused)
    assert company.status("adele") == Status.DEPROVISIONING, "not gone while its machine is there"
    monkeypatch.undo()
    company.advance(minutes=2)
    assert company.status("adele") is None or company.status("adele") == Status.NOT_PROVISIONED
    company.advance(hours=4)
    assert company.inventory() == {}


def test_l4_the_sweep_finds_late_objects_and_strangers(company: Company) -> None:
    """L4: an object with our key reopens its row and is cleaned up; one without is reported and never deleted."""
    company.basics("adele")
    company.settle()
    ((vm,),) = company.sql("SELECT to_jsonb(o) FROM simulator.objects o WHERE kind = 'vm'")
    company.leave("adele", "Sales")
    company.settle().advance(days=8)
    company.advance(hours=4)
    assert company.inventory() == {}
    # A woken zombie makes it once more, under the same key.
    company.sql(
        "INSERT INTO simulator.objects SELECT * FROM jsonb_populate_record(NULL::simulator.objects, CAST(:o AS jsonb))",
        o=json.dumps(vm),
    )
    with company.world.database.world.connect() as connection:
        simulated.add_stranger(connection, company.tenant.id, company.ids["site-a"], Kind.VM, "somebody else's")
    (difference,) = compare_tenant(company.world, company.tenant.id)
    assert difference.reopened == [vm["key"]]
    assert [s.name for s in difference.strangers] == ["somebody else's"]
    company.settle()
    assert compare_tenant(company.world, company.tenant.id)[0].reopened == []
    names = {name for (name,) in company.sql("SELECT name FROM simulator.objects WHERE kind = 'vm'")}
    assert names == {"somebody else's"}


def test_a0_not_ready_before_the_path_answers(company: Company) -> None:
    """A0: ready is never shown before the sign-in path really answered."""
    company.basics("adele")
    company.fault("A0", "endpointCheckFailed")
    company.settle()
    assert company.status("adele") == Status.FAILED
    assert company.pc("adele").status_detail["code"] == "endpointCheckFailed"
    assert company.sql("SELECT 1 FROM sign_in_details") == []


def test_a1_one_time_password_for_a_local_account(company: Company) -> None:
    """A1, C6, P3: where identity is local, an account of the machine, enabled at the end, password kept encrypted."""
    company.site(directory={"identity": "local"})
    company.plan()
    company.group()
    company.policy(local_admin=True)
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    ((name, token),) = company.sql("SELECT user_name, one_time_password FROM sign_in_details")
    assert name == "adele"
    password = company.world.secrets.decrypt(bytes(token))
    assert len(password) == 19
    ((everything,),) = company.sql("SELECT string_agg(s::text, ' ') FROM steps s")
    assert password not in everything
    ((vm,),) = company.sql("SELECT external_id FROM simulator.objects WHERE kind = 'vm'")
    with company.world.database.world.connect() as connection:
        inside = simulated.guest_state(connection, company.tenant.id, vm)
    assert inside is not None
    assert inside["administrators"] == ["adele"]
    assert inside["accounts"]["adele"]["enabled"] is True
    assert inside["maySignIn"] == ["adele"]


def test_hybrid_join_waits_and_times_out(company: Company) -> None:
    """C4: ninety minutes, then hybridAADJoinFailed; the wait holds no job and no thread."""
    company.basics("adele", connections=("HQ",))
    company.fault("C4", "hybridAADJoinFailed")
    company.settle()
    ((waiting, jobs),) = company.sql(
        "SELECT (SELECT count(*) FROM runs WHERE wake_at IS NOT NULL), (SELECT count(*) FROM procrastinate_jobs)"
    )
    assert (waiting, jobs) == (1, 0)
    company.advance(minutes=89)
    assert company.steps("adele")[-1].outcome == "running"
    company.advance(minutes=2)
    assert company.steps("adele")[-1].attempt == 2
    company.advance(minutes=91)
    company.advance(minutes=91)
    assert company.status("adele") == Status.FAILED
    assert company.pc("adele").status_detail["code"] == "hybridAADJoinFailed"


def test_r12_repair_in_place(company: Company) -> None:
    """R12: the failed configure steps again, nothing else; the machine stays, the warning goes."""
    company.basics("adele")
    company.fault("P5", "timeZoneRedirectionError")
    company.settle()
    before = company.pc("adele")
    assert before.status == Status.WARNINGS
    company.clear_faults()
    answer = cloud_pcs.repair(company.world, company.tenant, "test", ADELE)
    assert answer["steps"] == ["P5"]
    company.settle()
    after = company.pc("adele")
    assert (after.status, after.warnings, after.device_name) == (Status.PROVISIONED, [], before.device_name)
    assert [row.step for row in company.steps("adele", run=2)] == ["P5"]
    with pytest.raises(Refused, match="nothing to repair"):
        cloud_pcs.repair(company.world, company.tenant, "test", ADELE)


def test_r12_repair_applies_a_changed_user_setting(company: Company) -> None:
    """R12: P3: a changed user setting takes effect by repair, both ways; the most recently created setting wins."""
    company.basics("adele")
    company.user_setting("Admins", "Sales", True)
    company.settle()

    def administrators() -> list[str]:
        ((vm,),) = company.sql("SELECT external_id FROM simulator.objects WHERE kind = 'vm'")
        with company.world.database.world.connect() as connection:
            inside = simulated.guest_state(connection, company.tenant.id, vm)
        assert inside is not None
        return list(inside["administrators"])

    assert administrators() == ["AzureAD\\adele@contoso.com"]
    company.user_setting("No admins", "Sales", False)
    assert cloud_pcs.repair(company.world, company.tenant, "test", ADELE)["steps"] == ["P3"]
    company.settle()
    assert administrators() == []


def test_r7_cancel_is_a_way_out(company: Company) -> None:
    """R7: a provisioning that waits can be cancelled; it ends as failed, is cleaned up, and can be retried."""
    company.basics("adele", connections=("HQ",))
    company.fault("C4", "hybridAADJoinFailed")
    company.settle()
    cloud_pcs.cancel(company.world, company.tenant, "test", ADELE)
    company.settle()
    assert company.status("adele") == Status.FAILED
    assert company.pc("adele").status_detail["code"] == "provisioningCancelled"
    company.advance(hours=4)
    assert company.inventory() == {}
    company.clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "test", ADELE)
    company.settle()
    # The device object appears with the directory's next synchronisation.
    company.advance(minutes=31)
    assert company.status("adele") == Status.PROVISIONED


def test_r9_keep_extends_grace(company: Company) -> None:
    """R9: keep gives another full period from now."""
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle().advance(days=6)
    cloud_pcs.keep(company.world, company.tenant, "test", ADELE)
    company.advance(days=6)
    assert company.status("adele") == Status.IN_GRACE
    company.advance(days=2)
    assert company.status("adele") is None


def test_records_advance_writes_nothing_without_the_lease(company: Company) -> None:
    """V6: the fence is in the statement itself."""
    company.basics("adele")
    reconcile(company.world.database, company.tenant.id)
    ((run_id,),) = company.sql("SELECT id FROM runs WHERE state = 'active'")
    old = records.take(company.world.database, run_id)
    assert old is not None
    assert records.take(company.world.database, run_id) is not None
    capacity = {"kind": "capacity", "key": "k", "shared": False}
    begin = records.Beginning(1, "C1", "core", company.ids["site-a"], {}, [capacity])
    with pytest.raises(records.LeaseLost):
        records.advance(company.world.database, old, None, None, begin)
    assert company.steps("adele") == []
    assert company.held() == []


def _pipeline(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    monkeypatch.setattr(engine, "PIPELINE", tuple(s for s in PIPELINE if s.id != without))


def _cut_off_at(company: Company, step: str) -> UUID:
    """A run whose worker died while it did that step."""

    def die(moment: str, where: str, _: int) -> None:
        if (moment, where) == ("before", step):
            raise SystemExit

    reconcile(company.world.database, company.tenant.id)
    ((run_id,),) = company.sql("SELECT id FROM runs WHERE state = 'active'")
    with pytest.raises(SystemExit):
        engine.carry(company.world, run_id, die)
    return UUID(str(run_id))


@pytest.mark.parametrize("inserted", ["C3", "P2"])
def test_v6_a_step_inserted_by_an_upgrade_is_done(
    company: Company, inserted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V4, V6, L1: a step that a new version put before the running one is done too, with its rows."""
    company.basics("adele")
    _pipeline(monkeypatch, inserted)
    after = PIPELINE[[s.id for s in PIPELINE].index(inserted) + 1].id
    run_id = _cut_off_at(company, after)
    monkeypatch.undo()
    engine.carry(company.world, run_id)
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    assert {row.step for row in company.steps("adele")} == {s.id for s in PIPELINE}
    assert company.leaks() == set()


@pytest.mark.parametrize("removed", ["P2", "A1"])
def test_v6_a_step_removed_by_an_upgrade_is_closed(
    company: Company, removed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """V4, V6: the row of a running step that a new version no longer has is ended, and the run goes on."""
    company.basics("adele")
    run_id = _cut_off_at(company, removed)
    _pipeline(monkeypatch, removed)
    engine.carry(company.world, run_id)
    company.settle()
    assert company.status("adele") == Status.PROVISIONED
    (row,) = [row for row in company.steps("adele") if row.step == removed]
    assert row.outcome == "skipped"
    assert company.leaks() == set()


def test_an_image_that_is_still_being_made_is_waited_for(company: Company) -> None:
    """C2: a policy may name an image whose build has not ended; the run waits for it and loses no attempt."""
    company.basics()
    company.sql(
        "INSERT INTO device_images (tenant_id, display_name, version, site_id, status, next_step_at, disk_gb) "
        "VALUES (:tenant, 'Finance', '1.0.0', :site, 'pending', tenant_now(:tenant) + interval '20 minutes', 64)",
        site=company.ids["site-a"],
    )
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.sql("UPDATE policies SET image_type = 'custom', device_image = 'Finance' WHERE tenant_id = :tenant")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle().advance(minutes=10)
    assert (company.steps("adele")[-1].step, company.steps("adele")[-1].outcome) == ("C2", "running")
    company.advance(minutes=15)
    for _ in range(40):
        company.advance(minutes=5)
    assert company.status("adele") == Status.PROVISIONED
    assert {row.attempt for row in company.steps("adele")} == {1}


def test_r9_keep_never_shortens(company: Company) -> None:
    """R9: fewer hours than are left change nothing."""
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    before = company.pc("adele").grace_ends_at
    cloud_pcs.keep(company.world, company.tenant, "test", ADELE, hours=1)
    assert company.pc("adele").grace_ends_at == before
