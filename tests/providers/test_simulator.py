"""The simulated outside world: the contract's rules, and what makes it a world worth trying things against."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import OperationalError

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.errors import STEPS, codes_for, explain
from deskwright.guest import configuration
from deskwright.guest.actions import CreateAccount, EnableAccount, SetRegistry
from deskwright.providers.contract import Network, NotYet, ProviderError, Providers
from deskwright.providers.registry import Site, providers_for
from deskwright.providers.simulator import (
    compute,
    directory,
    guest,
    health,
    machine,
    making,
    management,
    world,
)
from deskwright.providers.simulator import faults as faulting
from deskwright.store import statements
from deskwright.store.database import Database
from deskwright.store.tables import faults, tenants
from tests.conftest import Tenant, add_tenant
from tests.providers.conformance import ATTRIBUTES, DOMAIN, MAKING, SIZE, Conformance, Outside

INSTANT = float("inf")


def outside_of(database: Database, tenant: Tenant, **compute: Any) -> Outside:
    site = replace(tenant.site, compute={"kind": "simulator", **compute})

    def pass_time(later: NotYet) -> None:
        with database.begin() as connection:
            ahead = (later.until - now(database, tenant)).total_seconds()
            offset = tenants.c.clock_offset + max(0.0, ahead) + 0.001
            connection.execute(update(tenants).where(tenants.c.id == tenant.id).values(clock_offset=offset))

    return Outside(providers_for(database, site), tenant.id, tenant.site_id, pass_time)


def now(database: Database, tenant: Tenant) -> datetime:
    with database.single.connect() as connection:
        at: datetime = connection.execute(text("SELECT tenant_now(:t)"), {"t": tenant.id}).scalar_one()
    return at


def set_speed(database: Database, tenant: Tenant, speed: float) -> None:
    with database.begin() as connection:
        connection.execute(update(tenants).where(tenants.c.id == tenant.id).values(speed=speed))


def add_fault(database: Database, tenant: Tenant, step: str, code: str, **more: Any) -> None:
    with database.begin() as connection:
        connection.execute(insert(faults).values(tenant_id=tenant.id, step=step, code=code, **more))


def inside(database: Database, tenant: Tenant, vm: str) -> dict[str, Any]:
    with database.world.connect() as connection:
        state = world.guest_state(connection, tenant.id, vm)
    assert state is not None
    return state


@pytest.fixture
def outside(database: Database, tenant: Tenant) -> Outside:
    return outside_of(database, tenant)


@pytest.fixture
def slow(database: Database, tenant: Tenant) -> Outside:
    set_speed(database, tenant, 1.0)
    return outside_of(database, tenant)


class TestInstantSimulator(Conformance):
    @pytest.fixture
    def outside(self, database: Database, tenant: Tenant) -> Outside:
        return outside_of(database, tenant)


class TestSlowSimulator(Conformance):
    @pytest.fixture
    def outside(self, database: Database, tenant: Tenant) -> Outside:
        set_speed(database, tenant, 1.0)
        return outside_of(database, tenant)


# --- time ---------------------------------------------------------------------------------------------


def everything(outside: Outside) -> list[float]:
    """One Cloud PC from C1 to A1; returns the waits in seconds of the tenant's time."""
    p, waits, at = outside.providers, [], [0.0]

    def ask(what: Any) -> Any:
        while True:
            try:
                return what()
            except NotYet as later:
                waits.append(later.until.timestamp() - at[0] if at[0] else later.until.timestamp())
                outside.pass_time(later)

    ask(lambda: p.compute.allocate(outside.call("C1"), SIZE))
    vm = ask(lambda: p.compute.create_vm(outside.call("C2"), outside.spec()))[Kind.VM].external_id
    ask(lambda: p.compute.ensure_network(outside.call("C3")))
    ask(lambda: p.compute.attach_nic(outside.call("C3"), vm, Network()))
    ask(lambda: p.directory.join_domain(outside.call("C4"), "CPC-A", vm, DOMAIN))
    device = ask(lambda: p.directory.find_device(outside.call("C4"), "CPC-A", ATTRIBUTES))
    managed = ask(lambda: p.management.enrol(outside.call("C5"), device.external_id, "CPC-A", vm, ATTRIBUTES))
    ask(lambda: p.management.set_primary_user(outside.call("C6"), managed.external_id, "adele@contoso.com"))
    ask(lambda: p.compute.configure_guest(outside.call("P1"), vm, configuration.hide_power_icons("windows")))
    ask(lambda: p.compute.try_sign_in_path(outside.call("A0"), vm))
    return waits


def test_infinite_speed_never_waits(outside: Outside) -> None:
    assert everything(outside) == []


def test_speed_1_waits_for_each(slow: Outside) -> None:
    assert len(everything(slow)) == 10


def test_durations_are_divided_by_speed_and_repeatable(database: Database, tenant: Tenant) -> None:
    def wait(speed: float) -> float:
        another = add_tenant(database, f"t-{uuid4()}", speed=speed, seed=3)
        outside = outside_of(database, another)
        with pytest.raises(NotYet) as later:
            outside.providers.compute.create_vm(outside.call("C2"), outside.spec())
        return (later.value.until - now(database, another)).total_seconds()

    at_1 = wait(1)
    assert 0.69 * 360 < at_1 < 1.31 * 360
    assert wait(1) == pytest.approx(at_1, abs=2)  # another tenant, other ids: the seed and the user decide
    assert wait(60) == pytest.approx(at_1 / 60, abs=2)


def test_synchronisation_is_half_hourly(database: Database, slow: Outside, tenant: Tenant) -> None:
    directory, seen = slow.providers.directory, []
    for attempt in range(1, 4):
        call, vm = slow.call("C4", attempt=attempt), slow.vm(attempt=attempt)
        slow.until_done(lambda call=call, vm=vm: directory.join_domain(call, "CPC-A", vm, DOMAIN))  # type: ignore[misc]
        with pytest.raises(NotYet) as later:
            directory.find_device(call, "CPC-A", ATTRIBUTES)
        assert (later.value.until - now(database, tenant)).total_seconds() <= 1800
        assert all(f.kind != Kind.DEVICE or f.key != call.key(Kind.DEVICE) for f in directory.inventory())
        seen.append(later.value.until.timestamp())
        slow.pass_time(later.value)
        assert directory.find_device(call, "CPC-A", ATTRIBUTES).details["model"] == ATTRIBUTES["model"]
    gaps = [later - sooner for sooner, later in pairwise(seen)]
    assert [gap % 1800 for gap in gaps] == pytest.approx([0, 0], abs=0.01)


def test_a_device_that_was_never_joined_is_not_there(outside: Outside) -> None:
    with pytest.raises(NotYet):
        outside.providers.directory.find_device(outside.call("C4"), "CPC-A", ATTRIBUTES)


# --- scarcity -----------------------------------------------------------------------------------------


def test_capacity_runs_out_and_comes_back(database: Database, tenant: Tenant) -> None:
    outside = outside_of(database, tenant, capacity={"vCpuCount": 8, "ramInGB": 64, "storageInGB": 4000})
    compute = outside.providers.compute

    failed: list[ProviderError] = []

    def ask(attempt: int) -> bool:
        try:
            compute.allocate(outside.call("C1", attempt=attempt), Size(2, 8, 128))
        except ProviderError as full:
            failed.append(full)
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(16))) == 4
    assert len(failed) == 12
    for full in failed:
        assert full.code == "capacityUnavailable"
        assert (full.values["needed"]["vCpuCount"], full.values["free"]["vCpuCount"]) == (2, 0)
        assert "2 vCPU" in explain(full.code, full.values).message
    assert not compute.has_room(Size(2, 8, 128))
    assert compute.has_room(Size(2, 8, 128), freed=Size(2, 8, 128))
    ours = [f.key for f in compute.inventory()]
    with ThreadPoolExecutor(8) as pool:  # each released by several at once: freed once
        list(pool.map(lambda key: compute.release(Kind.CAPACITY, key), ours * 4))
    assert compute.has_room(Size(8, 64, 4000))
    assert not compute.has_room(Size(9, 64, 4000))
    assert ask(1)


def test_the_same_allocation_at_the_same_time_counts_once(database: Database, tenant: Tenant) -> None:
    outside = outside_of(database, tenant, capacity={"vCpuCount": 4})
    compute = outside.providers.compute
    for attempt in range(20):
        call = outside.call("C1", attempt=attempt)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, call=call: compute.allocate(call, Size(2, 8, 128)), range(8)))
        assert compute.has_room(Size(2, 1, 1))
        assert not compute.has_room(Size(3, 1, 1))
        compute.release(Kind.CAPACITY, call.key(Kind.CAPACITY))


def test_addresses_run_out_and_come_back(outside: Outside) -> None:
    compute, vm = outside.providers.compute, outside.vm()
    network = Network(uuid4(), "corp", "10.20.0.0/28")
    assert compute.free_addresses(network) == 13

    failed: list[ProviderError] = []

    def ask(attempt: int) -> str | None:
        try:
            made = compute.attach_nic(outside.call("C3", attempt=attempt), vm, network)
        except ProviderError as full:
            failed.append(full)
            return None
        return str(made.details["ipAddress"])

    with ThreadPoolExecutor(8) as pool:
        given = [a for a in pool.map(ask, range(40)) if a]
    assert sorted(given, key=lambda a: int(a.split(".")[3])) == [f"10.20.0.{n}" for n in range(2, 15)]
    assert len(failed) == 27
    for full in failed:
        assert full.code == "noEnoughIpAddress"
        assert (full.values["subnet"], full.values["total"], full.values["free"]) == ("10.20.0.0/28", 13, 0)
    assert compute.free_addresses(network) == 0
    taken = [f.key for f in compute.inventory() if f.kind == Kind.NIC]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: compute.release(Kind.NIC, key), taken[:5] * 4))
    assert compute.free_addresses(network) == 5
    with ThreadPoolExecutor(8) as pool:
        again = [a for a in pool.map(ask, range(100, 120)) if a]
    assert len(again) == len(set(again)) == 5
    assert set(again) < set(given)


def test_no_address_twice_under_coming_and_going(outside: Outside) -> None:
    compute, vm = outside.providers.compute, outside.vm()
    network = Network(uuid4(), "corp", "10.20.0.0/27")

    def come_and_go(n: int) -> None:
        for attempt in range(20):
            call = outside.call("C3", run=n, attempt=attempt)
            compute.attach_nic(call, vm, network)
            if attempt % 10:
                compute.release(Kind.NIC, call.key(Kind.NIC))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come_and_go, range(8)))
    assert compute.free_addresses(network) == 29 - 16


def test_the_same_nic_at_the_same_time_takes_one_address(outside: Outside) -> None:
    compute, vm = outside.providers.compute, outside.vm()
    network = Network(uuid4(), "corp", "10.20.0.0/24")
    for attempt in range(20):
        call = outside.call("C3", attempt=attempt)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, call=call: compute.attach_nic(call, vm, network), range(8)))
    assert compute.free_addresses(network) == 253 - 20


def test_a_subnet_too_small_for_anything(outside: Outside) -> None:
    with pytest.raises(ProviderError, match="noEnoughIpAddress"):
        outside.providers.compute.attach_nic(outside.call("C3"), outside.vm(), Network(uuid4(), "corp", "10.0.0.0/31"))


def test_tenants_share_nothing(database: Database, tenant: Tenant) -> None:
    one, other = outside_of(database, tenant), outside_of(database, add_tenant(database, "fabrikam.com"))
    other.cloud_pc_id = one.cloud_pc_id  # even the same keys
    network = Network(uuid4(), "corp", "10.20.0.0/24")
    made = [
        {kind: make(world) for kind, (_, make) in MAKING.items()} | {"nic": world.nic(world.vm(), network, attempt=2)}
        for world in (one, other)
    ]
    assert not set(map(str, made[0].values())) & set(map(str, made[1].values()))
    assert made[0]["nic"].details["ipAddress"] == made[1]["nic"].details["ipAddress"] == "10.20.0.2"  # type: ignore[union-attr]
    assert len(one.inventory()) == len(other.inventory())
    for kind, (step, _) in MAKING.items():
        key = one.call(step).key(kind)
        for provider in (one.providers.compute, one.providers.directory, one.providers.management):
            provider.release(kind, key)
    with pytest.raises(ProviderError):
        one.providers.compute.try_sign_in_path(one.call("A0"), str(made[1][Kind.VM]))
    assert len(other.inventory()) > len(one.inventory())
    assert not any(f.disabled for f in other.inventory())


def test_a_stranger_is_listed_without_a_key(database: Database, tenant: Tenant, outside: Outside) -> None:
    with database.world.connect() as connection:
        made = world.add_stranger(connection, tenant.id, tenant.site_id, Kind.VM, "somebody's own")
        world.add_stranger(connection, tenant.id, tenant.site_id, Kind.VM, "another")
    outside.vm()
    strangers = [f for f in outside.inventory() if not f.key]
    assert (made, "somebody's own") in {(f.external_id, f.name) for f in strangers}
    assert len(strangers) == 2


# --- the inside of a machine --------------------------------------------------------------------------


@pytest.mark.parametrize("os_family", ["windows", "linux"])
def test_every_configure_step_is_read_back(
    database: Database, tenant: Tenant, outside: Outside, os_family: str
) -> None:
    vm, configure = outside.vm(), outside.providers.compute.configure_guest
    steps = {
        "P1": configuration.hide_power_icons(os_family),
        "P2": configuration.disable_reset(os_family),
        "P3": configuration.local_administrator("AzureAD\\adele@contoso.com", True),
        "P4": configuration.teams_vdi_mode(os_family),
        "P5": configuration.time_zone_redirection(os_family),
        "P6": configuration.grow_partition(128),
        "P7": configuration.block_high_risk_ports("192.0.2.1"),
    }
    assert inside(database, tenant, vm)["partition_gb"] == guest.IMAGE_GB
    for step, actions in steps.items():
        for _ in range(2):
            assert configure(outside.call(step), vm, actions or ()).count("\n") == max(0, len(actions or ()) - 1)
    state = inside(database, tenant, vm)
    if os_family == "windows":
        start = r"SOFTWARE\Microsoft\PolicyManager\default\Start"
        assert state["registry"][rf"{start}\HideShutDown"] == {"value": 1}
        assert state["registry"][r"SOFTWARE\Microsoft\Teams"] == {"IsWVDEnvironment": 1}
        assert state["commands"] == ["reagentc.exe /disable"]
    else:
        assert "power-off" in state["files"]["/etc/polkit-1/rules.d/50-deskwright-power.rules"]["content"]
        assert state["files"]["/etc/profile.d/deskwright-time-zone.sh"]["mode"] == 0o644
    assert state["administrators"] == ["AzureAD\\adele@contoso.com"]
    assert state["partition_gb"] == 128
    assert (3389 in state["ports"]["tcp"], 11211 in state["ports"]["udp"]) == (True, True)
    assert state["ports"]["exceptFrom"] == "192.0.2.1"
    repaired = configuration.local_administrator("AzureAD\\adele@contoso.com", False)
    configure(outside.call("P3", run=2), vm, repaired)
    assert inside(database, tenant, vm)["administrators"] == []


def test_the_last_one_time_password_counts(database: Database, tenant: Tenant, slow: Outside) -> None:
    vm, compute = slow.vm(), slow.providers.compute
    slow.until_done(lambda: compute.configure_guest(slow.call("C6"), vm, (CreateAccount("adele"),)))
    assert inside(database, tenant, vm)["accounts"]["adele"]["enabled"] is False
    passwords = iter(f"password-{n}" for n in range(10))
    given = []

    def enable() -> str:  # as A1 does: a new password each time it asks
        given.append(next(passwords))
        return compute.configure_guest(slow.call("A1"), vm, (EnableAccount("adele", given[-1]),))

    printed = slow.until_done(enable)
    assert len(given) == 2
    enable()
    account = inside(database, tenant, vm)["accounts"]["adele"]
    assert account["password"] == guest.password_digest(vm, given[-1])
    assert account["enabled"]
    assert account["mustChangePassword"]
    assert not any(secret in f"{account} {printed}" for secret in given)


def test_an_unfinished_step_has_changed_nothing(database: Database, tenant: Tenant, slow: Outside) -> None:
    vm, action = slow.vm(), SetRegistry("SOFTWARE", "a", 1)
    with pytest.raises(NotYet) as later:
        slow.providers.compute.configure_guest(slow.call("P1"), vm, (action,))
    assert inside(database, tenant, vm)["registry"] == {}
    slow.pass_time(later.value)
    slow.providers.compute.configure_guest(slow.call("P1"), vm, (action,))
    assert inside(database, tenant, vm)["registry"] == {"SOFTWARE": {"a": 1}}


def test_a_deleted_machine_has_no_inside(database: Database, tenant: Tenant, outside: Outside) -> None:
    vm = outside.vm()
    outside.providers.compute.configure_guest(outside.call("P1"), vm, (SetRegistry("SOFTWARE", "a", 1),))
    outside.providers.compute.release(Kind.VM, outside.call("C2").key(Kind.VM))
    with database.world.connect() as connection:
        assert world.guest_state(connection, tenant.id, vm) is None
        assert connection.execute(text("SELECT count(*) FROM simulator.operations")).scalar_one() == 0


def test_the_sign_in_path_names_the_address(outside: Outside) -> None:
    vm, compute = outside.vm(), outside.providers.compute
    with pytest.raises(ProviderError, match="endpointCheckFailed"):
        compute.try_sign_in_path(outside.call("A0"), vm)
    outside.nic(vm, Network(uuid4(), "corp", "10.20.0.0/24"))
    assert compute.try_sign_in_path(outside.call("A0"), vm).startswith("RDP answered on 10.20.0.2:3389 in ")


# --- faults -------------------------------------------------------------------------------------------


def operation(outside: Outside, step: str, **changes: Any) -> Any:
    """The provider operation of a step; what it needs is made under a Cloud PC and user of its own."""
    nobody: dict[str, Any] = {"user": "nobody@contoso.com", "attempt": 99}
    p, call = outside.providers, outside.call(step, **changes)
    if step == "C1":
        return p.compute.allocate(call, SIZE)
    if step == "C2":
        return p.compute.create_vm(call, outside.spec())
    vm = outside.vm(**nobody)
    if step == "C3":
        return p.compute.attach_nic(call, vm, Network())
    if step == "C4":
        return p.directory.join_domain(call, "CPC-A", vm, DOMAIN)
    if step in {"C5", "C6"}:
        device = outside.device(vm, **nobody).external_id
        if step == "C5":
            return p.management.enrol(call, device, "CPC-A", vm, ATTRIBUTES)
        managed = p.management.enrol(outside.call("C5", **nobody), device, "CPC-A", vm, ATTRIBUTES)
        return p.management.set_primary_user(call, managed.external_id, "adele@contoso.com")
    match step:
        case "R1":
            return p.compute.restart(call, vm)
        case "R2" | "R3":
            return p.compute.power(call, vm, step == "R2")
        case "R4":
            return p.compute.resize(call, vm, SIZE, ATTRIBUTES["model"])
        case "R5":
            return p.compute.snapshot(call, vm)
        case "R6":
            return p.compute.restore(call, vm, p.compute.snapshot(outside.call("R5", **nobody), vm).external_id)
        case "P8":
            return p.directory.describe(call, outside.device(vm, **nobody).external_id, ATTRIBUTES)
    if step == "A0":
        outside.nic(vm, **nobody)
        return p.compute.try_sign_in_path(call, vm)
    return p.compute.configure_guest(call, vm, (SetRegistry("SOFTWARE", "a", 1),))


def code_of(outside: Outside, step: str, **changes: Any) -> str | None:
    try:
        operation(outside, step, **changes)
    except ProviderError as failed:
        return failed.code
    return None


@pytest.mark.parametrize("step", STEPS)
def test_every_step_can_fail_with_every_code_it_has(
    database: Database, tenant: Tenant, outside: Outside, step: str
) -> None:
    for code in codes_for(step):
        add_fault(database, tenant, step, code, user_principal_name="Adele@Contoso.com")
        if code in {"deploymentTimeout", "hybridAADJoinFailed"}:
            continue  # these do not fail: they never finish
        with pytest.raises(ProviderError) as failed:
            operation(outside, step)
        assert failed.value.code == code
        # What only the caller knows, or what a step leaves that this test did not do.
        others = dict.fromkeys(("cloudPc", "plan", "connection", "network", "domain", "image"), "x")
        assert "?" not in explain(code, {**others, **failed.value.values}).message
        with database.begin() as connection:
            connection.execute(text("DELETE FROM faults"))
    operation(outside, step)


@pytest.mark.parametrize("step", [s for s in STEPS if s != "A1"])
def test_any_code_at_any_step(database: Database, tenant: Tenant, outside: Outside, step: str) -> None:
    code = "hybridAADJoinFailed" if step != "C4" else "intuneEnrollFailed"
    add_fault(database, tenant, step, code, attempts=[1])
    assert code_of(outside, step) == code


def test_a_failed_operation_made_nothing(database: Database, tenant: Tenant, outside: Outside) -> None:
    for step, code in (("C1", "requestDisallowedByPolicy"), ("C2", "internalServerError")):
        add_fault(database, tenant, step, code)
        assert code_of(outside, step) == code
    assert outside.inventory() == []
    assert not outside.providers.compute.has_room(Size(100_001, 1, 1))
    assert outside.providers.compute.has_room(Size(100_000, 1, 1))


def test_a_fault_matches_user_policy_and_attempt(database: Database, tenant: Tenant, outside: Outside) -> None:
    add_fault(database, tenant, "C1", "internalServerError", user_principal_name="ALEX@contoso.com", attempts=[1, 2])
    add_fault(database, tenant, "C1", "requestDisallowedByPolicy", policy_name="sales DESKTOPS", attempts=[3])
    alex = {"user": "alex@Contoso.com"}
    assert [code_of(outside, "C1", attempt=n, **alex) for n in (1, 2, 3, 4)] == [
        "internalServerError",
        "internalServerError",
        "requestDisallowedByPolicy",
        None,
    ]
    assert code_of(outside, "C1", attempt=1) is None
    assert code_of(outside, "C2", attempt=1, **alex) is None
    assert code_of(outside, "C1", attempt=3, policy="Other", cloud_pc_id=uuid4()) is None


def test_attempts_none_means_every_attempt(database: Database, tenant: Tenant, outside: Outside) -> None:
    add_fault(database, tenant, "C1", "internalServerError", attempts=None)
    assert [code_of(outside, "C1", attempt=n) for n in (1, 2, 3)] == ["internalServerError"] * 3


def test_rate_is_repeatable_with_the_seed(database: Database, tenant: Tenant) -> None:
    def struck(seed: int) -> list[bool]:
        one = add_tenant(database, f"t-{uuid4()}", seed=seed)
        add_fault(database, one, "C1", "internalServerError", rate=0.3)
        outside = outside_of(database, one)
        return [code_of(outside, "C1", user=f"user{n}@contoso.com", attempt=n) is not None for n in range(100)]

    first = struck(1)
    assert 10 < sum(first) < 50
    assert struck(1) == first
    assert struck(2) != first


def test_a_delay_only_delays(database: Database, tenant: Tenant, slow: Outside) -> None:
    add_fault(database, tenant, "C1", "delay", delay_seconds=6000)
    with pytest.raises(NotYet) as later:
        operation(slow, "C1")
    assert 6000 < (later.value.until - now(database, tenant)).total_seconds() < 6030
    slow.pass_time(later.value)
    operation(slow, "C1")


def test_a_late_failure(database: Database, tenant: Tenant, slow: Outside) -> None:
    add_fault(database, tenant, "C1", "internalServerError", delay_seconds=600)
    for _ in range(2):
        with pytest.raises(NotYet) as later:
            operation(slow, "C1")
    slow.pass_time(later.value)
    assert code_of(slow, "C1") == "internalServerError"
    with database.world.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM simulator.operations")).scalar_one() == 0


@pytest.mark.parametrize("step", STEPS)
def test_deployment_timeout_never_finishes(database: Database, tenant: Tenant, outside: Outside, step: str) -> None:
    add_fault(database, tenant, step, "deploymentTimeout", user_principal_name="adele@contoso.com")
    with pytest.raises(NotYet) as later:
        operation(outside, step)
    assert (later.value.until - now(database, tenant)).days > 365


def test_hybrid_join_failed_means_no_device(database: Database, tenant: Tenant, outside: Outside) -> None:
    add_fault(database, tenant, "C4", "hybridAADJoinFailed")
    operation(outside, "C4")
    with pytest.raises(NotYet) as later:
        outside.providers.directory.find_device(outside.call("C4"), "CPC-A", ATTRIBUTES)
    assert (later.value.until - now(database, tenant)).days > 365
    assert not [f for f in outside.providers.directory.inventory() if f.key == outside.call("C4").key(Kind.DEVICE)]


def test_a_fault_of_the_clean_up(database: Database, tenant: Tenant, outside: Outside) -> None:
    operation(outside, "C1")
    add_fault(database, tenant, "release", "internalServerError")
    with pytest.raises(ProviderError, match="internalServerError"):
        outside.providers.compute.release(Kind.CAPACITY, outside.call("C1").key(Kind.CAPACITY))
    assert len(outside.inventory()) == 1
    with database.begin() as connection:
        connection.execute(text("DELETE FROM faults"))
    outside.providers.compute.release(Kind.CAPACITY, outside.call("C1").key(Kind.CAPACITY))
    assert outside.inventory() == []


# --- statements ---------------------------------------------------------------------------------------


def test_no_statement_is_too_long_to_be_remembered() -> None:
    modules = (faulting, making, machine, compute, directory, management, health)
    longest = max(len(value) for m in modules for value in vars(m).values() if isinstance(value, str))
    assert 2000 < longest <= statements.LONGEST


def test_a_lost_connection_is_replaced(database: Database, outside: Outside) -> None:
    outside.vm()
    with database.single.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ).all()
    with pytest.raises(OperationalError):
        outside.vm()
    assert outside.vm()


# --- health, and the registry -------------------------------------------------------------------------


def test_health_passes_but_for_faults(database: Database, tenant: Tenant, outside: Outside) -> None:
    health = outside.providers.health
    connection = {"id": uuid4(), "network": "corp", "subnet": "10.20.0.0/29"}
    assert health.probe("dns", connection) == ("passed", None, "")
    add_fault(database, tenant, "health:directoryReach", "adJoinCheckServerNotOperational")
    assert health.probe("directoryReach", connection)[:2] == ("failed", "adJoinCheckServerNotOperational")
    assert health.probe("dns", connection)[0] == "passed"
    add_fault(database, tenant, "health", "azureAdDeviceSyncCheckLongSyncCircle")
    assert health.probe("deviceSync", connection)[:2] == ("warning", "azureAdDeviceSyncCheckLongSyncCircle")


def test_health_counts_the_addresses(outside: Outside) -> None:
    health, vm = outside.providers.health, outside.vm()
    connection = {"id": uuid4(), "network": "corp", "subnet": "10.20.0.0/29"}
    assert health.probe("ipAddresses", connection) == ("passed", None, "5 free addresses in 10.20.0.0/29")
    assert health.probe("ipAddresses", {**connection, "demand": 6})[0] == "warning"
    for attempt in range(5):
        outside.nic(vm, Network(connection["id"], "corp", "10.20.0.0/29"), attempt=attempt)  # type: ignore[arg-type]
    assert health.probe("ipAddresses", connection)[:2] == ("failed", "resourceAvailabilityCheckNoSubnetIP")


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({"compute": {"kind": "abacus"}}, "compute.kind"),
        ({"directory": {"kind": "abacus"}}, "directory.kind"),
        ({"management": {"kind": "abacus"}}, "management.kind"),
        ({"directory": {"kind": "simulator", "identity": "paper"}}, "directory.identity"),
        ({"compute": {"kind": "simulator", "capacity": {"vCpuCount": -1}}}, "compute.capacity.vCpuCount"),
        ({"compute": {"kind": "simulator", "capacity": {"cores": 1}}}, "compute.capacity.cores"),
        ({"compute": {"kind": "simulator", "hostedNetwork": "here"}}, "compute.hostedNetwork"),
    ],
)
def test_a_site_that_cannot_be(database: Database, tenant: Tenant, configuration: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        providers_for(database, replace(tenant.site, **configuration))
    assert refused.value.field == field
    assert "site-a" in str(refused.value)


def test_an_unknown_kind_names_the_known_ones(database: Database) -> None:
    with pytest.raises(Refused, match=r"compute\.kind 'abacus': must be one of: .*simulator"):
        providers_for(database, Site(uuid4(), uuid4(), "here", compute={"kind": "abacus"}))


def test_registry_makes_all_four(database: Database, tenant: Tenant) -> None:
    made = providers_for(database, replace(tenant.site, directory={"kind": "simulator", "identity": "local"}))
    assert isinstance(made, Providers)
    assert made.directory.identity == "local"
    assert made.of("management") is made.management
