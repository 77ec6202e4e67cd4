"""What a host has not got, each told with its numbers: room, memory, disk, addresses, a disk that starts (L2, L4)."""

import shutil
from pathlib import Path

import pytest

from deskwright.domain.status import Status
from deskwright.errors import CATALOGUE
from deskwright.operations import cloud_pcs
from deskwright.providers.contract import Call, Network
from deskwright.providers.libvirt import images as trials
from deskwright.providers.libvirt import machines, networks, volumes
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.sandbox import Sandbox
from tests.libvirt.conftest import IMAGE
from tests.libvirt.real_company import RealCompany

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"


def failed(firm: RealCompany, code: str, step: str, attempts: int = 3) -> str:
    """Carry on until the Cloud PC has failed so, with nothing left of it; returns the message."""
    firm.until_status("adele", Status.FAILED)
    told = firm.failed_with("adele")
    assert told.code == code, told.message
    assert step in CATALOGUE[code].steps
    assert told.remedies
    assert "?" not in told.message
    assert [s.step for s in firm.last_steps("adele") if s.outcome == "failed"] == [step] * attempts
    assert firm.machines() == {}
    assert firm.files() == set()
    return told.message


def small_disk(host: Sandbox, name: str, options: str) -> str:
    """The folder of a file system of its own, which goes with the host."""
    directory = host.directory / name
    directory.mkdir()
    host.in_network("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory))
    return str(directory)


def test_c1_what_was_promised_already(firm: RealCompany) -> None:
    """C1: over all tenants of the host no more is promised than its factor allows."""
    firm.settle_in("adele", overcommit={"vCpuCount": 200, "ramInGB": 0.01, "storageInGB": 200})
    message = failed(firm, "capacityUnavailable", "C1")
    assert "2 GB of memory" in message
    assert "left to promise are" in message
    firm.give_up("adele")
    firm.nothing_left()


def test_c1_memory_that_is_not_free_now(firm: RealCompany) -> None:
    """C1: what may be promised is not always there."""
    total = connect(firm.host.uri).getInfo()[1] // 1024
    firm.settle_in("adele", overcommit={"vCpuCount": 200, "ramInGB": 1, "storageInGB": 200})
    firm.sql("UPDATE service_plans SET ram_gb = :ram WHERE tenant_id = :tenant", ram=total)
    message = failed(firm, "capacityUnavailable", "C1")
    assert f"{total} GB of memory are needed, the host has" in message
    firm.give_up("adele")
    firm.nothing_left()


def test_c1_a_small_disk(firm: RealCompany) -> None:
    """C1: where the site's disks would be there is no room, whatever was promised."""
    directory = small_disk(firm.host, "small", "size=1g")
    firm.settle_in("adele", directory=directory)
    message = failed(firm, "capacityUnavailable", "C1")
    assert f"the host's disk has 1.0 GB free at {directory}" in message
    firm.give_up("adele")
    firm.nothing_left()


def test_c2_a_full_disk(firm: RealCompany) -> None:
    """C2: what could not be seen before (here there is room, but for no more files) ends there, with nothing left."""
    volumes.image_pool(connect(firm.host.uri), firm.host.disks)  # one for all sites of a host
    firm.settle_in("adele", directory=small_disk(firm.host, "few", "size=4g,nr_inodes=2"))
    message = failed(firm, "capacityUnavailable", "C2")
    assert "No space left on device" in message
    firm.give_up("adele")
    firm.nothing_left()


def test_c3_no_address_left(firm: RealCompany) -> None:
    """C3: of the site's own network, and of one that was there: refused at once, with the network's name."""
    firm.settle_in("adele")
    provider, site = firm.providers()[0].compute, firm.ids["site-a"]
    provider.ensure_network(Call(firm.tenant.id, site, site, 1, 1, "C3"))
    ((subnet,),) = firm.sql("SELECT host(subnet) FROM libvirt.networks WHERE tenant_id = :tenant")
    firm.sql(
        "INSERT INTO libvirt.nics (key, tenant_id, site_id, host, network, mac, address, machine) "
        "SELECT 'taken-' || n, :tenant, :site, :host, :network, 'mac-' || n, CAST(:subnet AS inet) + n, "
        "gen_random_uuid() FROM generate_series(2, 254) n",
        site=site,
        host=firm.host.uri,
        network=networks.name_of(site),
        subnet=subnet,
    )
    assert provider.free_addresses(Network()) == 0
    message = failed(firm, "noEnoughIpAddress", "C3")
    assert f"{subnet}/24" in message
    assert "own network of site-a" in message
    firm.sql("DELETE FROM libvirt.nics WHERE key LIKE 'taken-%'")
    firm.give_up("adele")
    firm.nothing_left()


def test_c2_an_image_is_tried_before_anybody_gets_it(
    firm: RealCompany, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: a disk that is none, and one that does not start, are refused with what was seen."""
    monkeypatch.setattr(trials, "EMULATED_SECONDS", 8.0)
    firm.settle_in("adele")
    own = tmp_path / "images" / "debian-12-server"
    shutil.copytree(images / IMAGE, own)
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(own.parent))
    firm.sql("UPDATE policies SET gallery_image = 'debian-12-server' WHERE tenant_id = :tenant")
    firm.sql("UPDATE tenants SET settings = '{\"attempts\": 1}' WHERE id = :tenant")
    disk = own / "disk.qcow2"
    whole = disk.read_bytes()
    disk.write_bytes(b"not a disk" * 1000)
    assert "debian-12-server" in failed(firm, "imageNotSupportedFail", "C2", attempts=1)

    disk.write_bytes(whole[: len(whole) // 50])
    cloud_pcs.retry(firm.world, firm.tenant, "test", ADELE)
    assert "software emulation" in failed(firm, "imageNotSupportedFail", "C2", attempts=1)
    left = [machine.name() for machine in connect(firm.host.uri).listAllDomains()]
    assert not any("trial" in name for name in left), left
    firm.give_up("adele")
    firm.nothing_left()


def test_c3_a_machine_that_does_not_start(firm: RealCompany) -> None:
    """C3: what has not taken its address by the step's deadline has failed, and says what was waited for."""
    firm.settle_in("adele")
    firm.sql("UPDATE tenants SET settings = '{\"attempts\": 1}' WHERE id = :tenant")
    firm.begin("adele")
    firm.die_in("adele", "C2")
    (machine,) = firm.machines().values()
    machine.destroy()
    empty = ("qemu-img", "create", "-q", "-f", "qcow2", machines.disk_path(machine), "4G")
    firm.host.in_network(*empty)
    machine.create()
    firm.carry_on(lambda: firm.last_steps("adele")[-1].step == "C3")
    firm.carry_on(lambda: firm.waits_for() != "None")
    firm.advance(minutes=16)
    message = failed(firm, "deploymentTimeout", "C3", attempts=1)
    assert "has not taken its address yet" in message
    assert "15 minutes" in message or "16 minutes" in message
    firm.give_up("adele")
    firm.nothing_left()
