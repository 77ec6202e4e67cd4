"""V6, L1-L4 on a real host: whatever dies, or is taken away behind our back, each ends as documented or goes on."""

from pathlib import Path

import pytest

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import consoles
from deskwright.provision.steps import core
from deskwright.reconcile.inventory import compare_tenant
from deskwright.settings import Settings
from tests.company import found
from tests.libvirt.real_company import RealCompany, on_host
from tests.processes.test_workers import until, workers
from tests.providers.viewer import connected

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"


def console_answers(firm: RealCompany) -> None:
    ticket = consoles.open_console(firm.world, firm.tenant, "test", ADELE)
    screen = consoles.screen_of(firm.world, firm.tenant, "test", ticket.sealed)
    assert screen is not None
    with connected(screen) as viewer:
        assert viewer.open(ticket.password).picture.size > (1, 1)


def once_only(firm: RealCompany) -> None:
    """One attempt, one machine, nothing doubled."""
    rows = firm.last_steps("adele")
    assert len({row.step for row in rows}) == len(rows) == 15
    assert {row.outcome for row in rows} == {"succeeded", "skipped"}
    assert len(firm.machines()) == 1
    assert len(firm.files()) == 2, "a disk and a seed"
    kinds = [f.kind for f in firm.everything()]
    assert len(kinds) == len(set(kinds)) == 8
    assert firm.leaks() == set()
    assert firm.kept_addresses() == {firm.pc("adele").ip_address}


def test_v6_workers_die_inside_one_step_after_the_other(firm: RealCompany) -> None:
    """V6, L1: kill -9 when the host has done it and nobody has heard of it; the next process finds what was made."""
    firm.settle_in("adele")
    # What a libvirtd leaves that dies while it makes a network: a bridge it does not know of.
    firm.host.in_network("ip", "link", "add", f"dw{firm.ids['site-a'].hex[:10]}", "type", "bridge")
    firm.begin("adele")
    for step in ("C2", "C3", "C4", "C5", "C6", "P6", "A1"):
        firm.die_in("adele", step)
    firm.until_status("adele", Status.PROVISIONED)
    once_only(firm)
    # A1 was done twice: the password that is shown is the one that holds.
    assert firm.inside("adele", "grep -c ^adele: /etc/shadow") == "1"
    firm.give_up("adele")
    firm.nothing_left()


def test_v6_libvirtd_and_a_worker_are_killed_during_a_run(firm: RealCompany, tmp_path: Path) -> None:
    """V6: libvirtd's death and a worker's delay a run and change nothing else; what runs survives them."""
    firm.settle_in("adele")
    with workers(firm, 1, tmp_path) as (worker,):
        until(lambda: any(s.step == "C3" for s in firm.steps("adele")), 60)
        worker.kill()
        worker.wait(10)
    firm.host.kill()
    try:
        firm.carry_on(lambda: "does not answer" in firm.waits_for())
    finally:
        firm.host.start()
    firm.until_status("adele", Status.PROVISIONED)
    once_only(firm)

    # A Cloud PC that is in use goes on without libvirtd, and answers when that is back.
    started = firm.inside("adele", "cut -d ' ' -f 22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id")
    firm.host.kill()
    try:
        with pytest.raises(Refused) as refused:
            consoles.open_console(firm.world, firm.tenant, "test", ADELE)
        assert "does not answer" in str(refused.value)
    finally:
        firm.host.start()
    console_answers(firm)
    assert firm.inside("adele", "cut -d ' ' -f 22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id") == started


def test_l4_machines_deleted_behind_our_back(firm: RealCompany) -> None:
    """V1, V2, L4: during a run the attempt fails and the next is clean; afterwards the sweep says what is missing."""
    firm.settle_in("adele")
    firm.begin("adele")
    firm.die_in("adele", "C3")
    taken_away(firm)
    firm.until_status("adele", Status.PROVISIONED)
    code, message = first_failure(firm)
    assert code == "internalServerError"
    assert "there is no machine" in message
    assert set(firm.outcomes("adele", 2).values()) == {"succeeded", "skipped"}
    assert len(firm.machines()) == 1
    assert len(firm.files()) == 2, "of the first attempt nothing is left but its address"
    assert len(firm.kept_addresses()) == 2
    assert firm.leaks() == set()

    taken_away(firm)
    (difference,) = compare_tenant(firm.world, firm.tenant.id)
    assert [key.rpartition(":")[2] for key in difference.missing] == [Kind.VM]
    assert (difference.strangers, difference.reopened) == ([], [])
    with pytest.raises(Refused) as refused:
        consoles.open_console(firm.world, firm.tenant, "test", ADELE)
    assert refused.value.code == "endpointCheckFailed"
    assert "there is no machine" in str(refused.value)
    assert refused.value.remedy
    firm.give_up("adele")
    firm.nothing_left()


def first_failure(firm: RealCompany) -> tuple[str, str]:
    (row,) = [s for s in firm.last_steps("adele") if s.outcome == "failed"]
    return row.code, row.message


def taken_away(firm: RealCompany) -> None:
    """As somebody with virsh would."""
    (machine,) = firm.machines().values()
    machine.destroy()
    machine.undefine()


def test_the_agent_falls_silent(firm: RealCompany) -> None:
    """V1: in a core step the attempt fails at its deadline, the next is clean; in a configure step it is a warning."""
    firm.settle_in("adele")
    firm.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")  # so that there is a pause between the attempts
    firm.begin("adele")
    firm.die_in("adele", "C3")
    firm.machine("adele").suspend()
    firm.carry_on(lambda: "does not answer" in firm.waits_for())
    assert firm.last_steps("adele")[-1].step == "C4"
    firm.advance(minutes=31)
    code, message = first_failure(firm)
    assert code == "deploymentTimeout"
    assert "does not answer" in message
    firm.die_in("adele", "P1")
    firm.machine("adele").suspend()
    firm.carry_on(lambda: firm.last_steps("adele")[-1].step == "P1" and "does not answer" in firm.waits_for())
    firm.sql("UPDATE tenants SET clock_offset = clock_offset + 11 * 60 WHERE id = :tenant")
    firm.carry_on(lambda: firm.last_steps("adele")[-1].step == "P2")
    firm.machine("adele").resume()
    # The agent itself dies and is started again: what was asked of it is asked again.
    firm.inside("adele", "(sleep 0.3; kill -9 $(pidof qemu-ga)) >/dev/null 2>&1 &")
    firm.until_status("adele", Status.WARNINGS)
    outcomes = firm.outcomes("adele", 2)
    assert {step for step, outcome in outcomes.items() if outcome == "warning"} == {"P1"}
    (warning,) = firm.pc("adele").warnings
    assert warning["code"] == "startMenuPowerIconsError"
    firm.give_up("adele")
    firm.nothing_left()


def test_two_tenants_on_one_host(firm: RealCompany, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same computer names, networks of their own; neither sees what the other has."""
    monkeypatch.setattr(core, "device_name", lambda *_: "CPC-SAME")
    settings = Settings(data_dir=firm.world.settings.data_dir)
    with on_host(found(firm.world.database, settings, "fabrikam.com"), firm.host) as other:
        both = (firm, other)
        for company in both:
            company.settle_in("adele")
        firm.carry_on(lambda: all(company.status("adele") == Status.PROVISIONED for company in both))
        assert firm.machines().keys() == other.machines().keys() == {"CPC-SAME"}
        assert firm.machines()["CPC-SAME"].UUID() != other.machines()["CPC-SAME"].UUID()
        assert firm.bridge() != other.bridge()
        mine, theirs = ({f.external_id for f in company.everything()} for company in both)
        assert not mine & theirs
        assert {f.kind for f in firm.everything()} == {f.kind for f in other.everything()}
        addresses = [company.pc("adele").ip_address for company in both]
        assert addresses[0].rpartition(".")[0] != addresses[1].rpartition(".")[0]
        assert firm.inside("adele", "hostname") == other.inside("adele", "hostname") == "CPC-SAME"
        firm.give_up("adele")
        firm.nothing_left()
        assert other.leaks() == set()
        assert other.inside("adele", "echo here") == "here"
