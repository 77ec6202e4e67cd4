"""R7: the doctor finds what is wrong with a libvirt host, and says what to type."""

import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.operations import doctor
from deskwright.operations.change import TenantRef
from deskwright.providers import registry
from deskwright.providers.contract import Condition
from deskwright.providers.libvirt import findings, machine_xml, volumes
from deskwright.providers.libvirt.configuration import configuration as configured
from deskwright.providers.libvirt.findings import Acceleration, Device
from deskwright.providers.libvirt.machine_xml import Boot, MachineXml
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.store.secrets import open_secrets
from deskwright.store.tables import sites
from tests.conftest import Tenant
from tests.libvirt.conftest import IMAGE, configuration, outside_on
from tests.providers.conformance import SIZE

QEMU, KVM_GROUP = 64055, 108
USABLE = Acceleration(
    wanted="auto",
    offered=True,
    seconds=0.001,
    runs_as=QEMU,
    groups=(QEMU, KVM_GROUP),
    user="libvirt-qemu",
    device=Device(0o660, 0, KVM_GROUP, "root:kvm, mode 0660"),
)


def one(found: Iterator[Condition]) -> Condition:
    (only,) = found
    return only


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    settings = Settings(data_dir=tmp_path)
    return World(database, open_secrets(settings), settings)


def on(database: Database, tenant: Tenant, compute: dict[str, Any]) -> None:
    """Let the tenant's site be served by this."""
    builtin = {"kind": "builtin"}
    changed = sites.update().where(sites.c.id == tenant.site_id)
    with database.begin() as connection:
        connection.execute(changed.values(compute=compute, directory=builtin, management=builtin))


# --- who may open /dev/kvm -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "group", "may"),
    [
        (0o660, KVM_GROUP, True),
        (0o666, 0, True),
        (0o600, 0, False),
        (0o600, KVM_GROUP, False),
        (0o660, 0, False),
        (0o640, KVM_GROUP, False),
        # The group's rights count for its members, also where others have more.
        (0o606, KVM_GROUP, False),
    ],
)
def test_who_may_open_the_device(mode: int, group: int, may: bool) -> None:
    assert Device(mode, 0, group).may_be_opened(QEMU, (QEMU, KVM_GROUP)) is may


def test_the_owner_is_asked_by_the_owners_rights() -> None:
    assert Device(0o600, 0, 0).may_be_opened(0, (0,))
    assert not Device(0o066, 0, 0).may_be_opened(0, (0,))


# --- by what machines run ------------------------------------------------------------------------------------


def test_kvm_that_is_offered_is_tried_with_each_image() -> None:
    assert one(findings.acceleration(USABLE)).mark == "ok"
    (first, second) = findings.acceleration(replace(USABLE, flags=frozenset({"hypervisor"})))
    assert (first.mark, second.about, second.mark) == ("ok", "nesting", "ok")


def test_a_device_that_machines_cannot_open_is_the_trap() -> None:
    closed = replace(USABLE, device=Device(0o600, 0, 0, "root:root, mode 0600"), seconds=4.2)
    for offered in (True, False):
        told = one(findings.acceleration(replace(closed, offered=offered)))
        assert told.mark == "fail"
        for word in ("root:root, mode 0600", "libvirt-qemu", "4.2 s"):
            assert word in told.detail
        assert told.mend.startswith("sudo chown root:kvm /dev/kvm && sudo chmod 660 /dev/kvm;")
        assert "systemctl restart libvirtd" in told.mend
    assert "sudo libvirtd -d" in one(findings.acceleration(replace(closed, systemd=False))).mend


def test_in_a_session_the_trap_is_the_users_own() -> None:
    """Nothing of the whole host is changed for it."""
    mine = replace(USABLE, runs_as=1000, groups=(1000,), user="adele", session=True)
    first = one(findings.acceleration(mine))
    assert (first.mark, first.mend) == ("fail", "sudo adduser adele kvm, then sign in again and end libvirtd")


def test_slowness_tells_of_the_trap_where_the_device_cannot_be_seen() -> None:
    remote = Acceleration(wanted="auto", offered=True, seconds=8.0, here=False)
    told = one(findings.acceleration(remote))
    assert (told.mark, "8.0 s" in told.detail, told.mend.startswith("On that host")) == ("fail", True, True)


@pytest.mark.parametrize(
    ("flags", "mend"),
    [
        ({"vmx"}, "modprobe kvm_intel"),
        ({"svm", "hypervisor"}, "modprobe kvm_amd"),
        ({"hypervisor"}, "nested virtualisation"),
        (set(), "firmware"),
    ],
)
def test_without_kvm_the_reason_and_its_mend_are_told(flags: set[str], mend: str) -> None:
    none = replace(USABLE, offered=False, device=None, flags=frozenset(flags))
    told = next(findings.acceleration(none))
    assert told.mark == "warn"
    assert "ten times slower" in told.detail
    assert mend in told.mend
    assert next(findings.acceleration(replace(none, wanted="kvm"))).mark == "fail"
    assert next(findings.acceleration(replace(none, wanted="qemu"))).mark == "ok"


def test_without_kvm_on_another_host_one_is_told_where_to_look() -> None:
    told = one(findings.acceleration(Acceleration(wanted="auto", offered=False, seconds=0.0, here=False)))
    assert told.mend.startswith("On that host: ls -l /dev/kvm")


# --- no answer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "error", "daemon", "systemd", "mend"),
    [
        ("qemu:///system", "Failed to connect socket: No such file", "libvirtd", True, "systemctl enable --now"),
        ("qemu:///system", "Failed to connect socket: No such file", "libvirtd", False, "virtlogd -d && sudo libvirtd"),
        ("qemu:///system", "Failed to connect socket: No such file", None, False, "make libvirt"),
        ("qemu:///system", "Failed to connect socket: Permission denied", "libvirtd", True, "adduser deskwright libv"),
        ("qemu:///system", "authentication unavailable: no polkit agent", "libvirtd", True, "adduser deskwright libv"),
        ("qemu+unix:///system?socket=/nowhere", "No such file", "libvirtd", True, "whose socket is /nowhere"),
        ("qemu+ssh://host/system", "Cannot recv data: Permission denied", None, True, "virsh -c qemu+ssh://host/sys"),
    ],
)
def test_no_answer(uri: str, error: str, daemon: str | None, systemd: bool, mend: str) -> None:
    at = configured({"kind": "libvirt", "uri": uri}, "site-a")
    told = findings.unreachable(error, at, daemon, "deskwright", systemd=systemd)
    assert told.mark == "fail"
    assert error in told.detail
    assert mend in told.mend


def test_an_unreachable_host_is_one_finding(database: Database, tenant: Tenant) -> None:
    for uri in ("qemu+unix:///system?socket=/nowhere/libvirt-sock", "qemu+tcp://127.0.0.1:1/system"):
        site = replace(tenant.site, compute={"kind": "libvirt", "uri": uri})
        told = one(registry.examine_host(database, site))
        assert (told.about, told.mark) == ("libvirt", "fail")
        assert told.mend


def test_a_simulated_site_has_no_host(database: Database, tenant: Tenant) -> None:
    assert list(registry.examine_host(database, tenant.site)) == []


def test_a_missing_binding_is_told(
    world: World, database: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> Iterator[Condition]:
        with registry._binding(tenant.site):
            raise ModuleNotFoundError(name="libvirt")
        yield

    monkeypatch.setitem(registry.HOSTS, "libvirt", gone)
    on(database, tenant, {"kind": "libvirt"})
    told = next(f for f in doctor.examine(world) if f.check == "Host of site-a of contoso.com")
    assert (told.mark, told.mend) == ("fail", "make libvirt installs them")


# --- images, leftovers, room, network ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran_by", "wanted", "offered", "mark"),
    [
        ("kvm", "auto", True, "ok"),
        ("qemu", "auto", False, "ok"),
        ("qemu", "qemu", True, "ok"),
        ("qemu", "auto", True, "warn"),
        ("qemu", "kvm", True, "warn"),
        ("kvm", "qemu", True, "warn"),
        ("kvm", "auto", False, "fail"),
    ],
)
def test_an_images_trial_against_what_is_wanted_now(ran_by: str, wanted: str, offered: bool, mark: str) -> None:
    manifest = {"virt_type": ran_by, "seen": "started by it, its guest agent answered after 6 s"}
    told = findings.image("debian-12-tiny", manifest, wanted, "qemu:///system", offered=offered)
    assert told.mark == mark
    assert "answered after 6 s" in told.detail
    assert bool(told.mend) == (mark != "ok")
    own = findings.image("image-8a", manifest, wanted, "qemu:///system", offered=offered)
    assert "vol-delete" not in own.mend, "nobody would bring it again"


def test_old_trials_are_left_over() -> None:
    now = datetime.now(UTC)
    trials = {
        "deskwright-trial-a": (now - timedelta(minutes=20)).isoformat(),
        "deskwright-trial-b": (now - timedelta(hours=5)).isoformat(),
    }
    told = one(findings.leftovers(trials, now, "qemu:///system"))
    assert "deskwright-trial-b" in told.detail
    assert "5 h" in told.detail
    assert "undefine --nvram --remove-all-storage deskwright-trial-b" in told.mend


@pytest.mark.parametrize(("free", "mark"), [(400.0, "ok"), (99.0, "warn"), (1.5, "fail")])
def test_room_on_the_disk(free: float, mark: str) -> None:
    told = findings.disk(free, 1000.0, 300, 1000, "/disks")
    assert told.mark == mark
    assert f"{free:.0f} of 1000 GB are free at /disks; 300 of 1000 GB are promised" in told.detail


def test_promises_near_what_may_be_promised() -> None:
    assert findings.promises("memory", 90, 100, "GB", "100 GB", "ramInGB").mark == "ok"
    told = findings.promises("memory", 91, 100, "GB", "100 GB", "ramInGB")
    assert (told.mark, "overcommit.ramInGB" in told.mend) == ("warn", True)


def test_forwarding() -> None:
    assert findings.forwarding("1", ["default"]).mark == "ok"
    assert findings.forwarding("0", []).mark == "ok"
    told = findings.forwarding("0", ["default"])
    assert (told.mark, told.mend) == ("fail", "sudo sysctl -w net.ipv4.ip_forward=1")


def test_firewalls_that_drop_what_is_forwarded() -> None:
    listed = """\
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
	chain DOCKER-USER {
	}
}
table inet own {
	chain passing {
		type filter hook forward priority filter; policy accept;
	}
	chain input {
		type filter hook input priority filter; policy drop;
	}
}
"""
    assert findings.dropping(listed) == ["ip filter FORWARD"]
    assert findings.dropping("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n") == ["iptables FORWARD"]
    assert findings.dropping("-P FORWARD ACCEPT\n") == findings.dropping("") == []


def test_what_windows_lacks() -> None:
    full = """<d><os><enum name='firmware'><value>efi</value></enum>
      <loader><enum name='secure'><value>yes</value></enum></loader></os>
      <devices><tpm><enum name='backendModel'><value>emulator</value></enum></tpm></devices></d>"""
    assert findings.windows(ET.fromstring(full)).mark == "ok"
    told = findings.windows(ET.fromstring(full.replace("emulator", "passthrough").replace("efi", "bios")))
    assert told.mark == "warn"
    assert "UEFI (ovmf), a TPM 2.0" in told.detail


# --- a real one ----------------------------------------------------------------------------------------------


@pytest.mark.guests
@pytest.mark.usefixtures("images")
def test_a_host_is_examined(world: World, database: Database, tenant: Tenant, host: Sandbox) -> None:
    outside = outside_on(database, tenant, host)
    outside.until_done(lambda: outside.providers.compute.allocate(outside.call("C1"), SIZE))
    outside.vm()
    on(database, tenant, configuration(host))
    name = f"Host of {tenant.site.name} of contoso.com: "
    seen = [f for f in doctor.examine(world) if f.check.startswith(name)]
    told = {f.check.removeprefix(name): f for f in seen}
    assert {f.mark for f in seen} <= {"ok", "warn"}, seen
    assert host.uri.partition("=")[2] in told["libvirt"].detail
    assert told["image"].detail.startswith(f"{IMAGE} is ready: started by QEMU")
    assert "promised" in told["disk"].detail
    assert told["vCPU"].detail.startswith("2 of 400 are promised")
    assert told["memory"].detail.startswith("8 of ")
    assert told["leftovers"].mark == "ok"
    assert "forwarding" not in told, "its network is not this machine's"

    # Nothing of the host is for one tenant's administrators, who share it with others.
    ref = TenantRef(tenant.id, "contoso.com")
    assert not [f for f in doctor.examine_tenant(world, ref) if "Host of" in f.check]
    for left in list(outside.providers.compute.inventory()):
        outside.providers.compute.release(Kind(left.kind), left.key)


@pytest.mark.guests
def test_the_mend_of_an_old_trial_leaves_the_image_alone(database: Database, tenant: Tenant, host: Sandbox) -> None:
    connection = host.connect()
    pool = volumes.image_pool(connection, host.disks)
    base = volumes.overlay(pool, "old-base.qcow2", "", 1)
    try:
        disk = volumes.overlay(pool, "trial-old.qcow2", base.path(), 1)
        began = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
        machine = MachineXml(
            uuid=uuid4(),
            name="deskwright-trial-old",
            title="",
            size=Size(1, 1, 1),
            os_family="linux",
            virt_type="qemu",
            boot=Boot(),
            disk=disk.path(),
            tags={"trial": "old", "virtType": "qemu", "began": began},
        )
        connection.defineXML(machine_xml.text(machine)).create()
        site = replace(tenant.site, compute=configuration(host))
        (told,) = [c for c in registry.examine_host(database, site) if c.about == "leftovers"]
        assert told.mark == "warn"
        subprocess.run(["sh", "-c", told.mend], check=True, capture_output=True)
        (told,) = [c for c in registry.examine_host(database, site) if c.about == "leftovers"]
        assert told.mark == "ok"
        left = {name for name, _ in volumes.each(pool)}
        assert "trial-old.qcow2" not in left
        assert "old-base.qcow2" in left
    finally:
        volumes.delete(pool, "old-base.qcow2")
        connection.close()
