"""What a host has not got, each told with its numbers: room, memory, disk, addresses, a disk that starts (L2, L4)."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt
import pytest

from deskwright.domain.status import Status
from deskwright.errors import CATALOGUE
from deskwright.images.build import built
from deskwright.operations import cloud_pcs
from deskwright.providers.contract import Network, ProviderError
from deskwright.providers.libvirt import images, volumes
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.sandbox import Sandbox
from tests.libvirt.conftest import IMAGE
from tests.libvirt.real_company import SMALL, RealCompany

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"


def failed(firm: RealCompany, code: str, step: str) -> str:
    """Carry on until the Cloud PC has failed so, with nothing left of it; returns the message."""
    firm.until_status("adele", Status.FAILED)
    told = firm.failed_with("adele")
    assert told.code == code
    assert step in CATALOGUE[code].steps
    assert told.remedies
    assert "?" not in told.message
    assert [s.step for s in firm.last_steps("adele") if s.outcome == "failed"] == [step] * 3
    assert firm.machines() == {}
    assert firm.files() == set()
    return told.message


@contextmanager
def small_disk(host: Sandbox, directory: Path, options: str) -> Iterator[str]:
    """A file system of its own on the host."""
    directory.mkdir()
    host.in_network("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory))
    try:
        yield str(directory)
    finally:
        host.in_network("umount", "--lazy", str(directory))


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


def test_c1_c2_a_full_disk(firm: RealCompany) -> None:
    """C1 sees that the disk is small; what is not seen before C2 ends there, and leaves nothing either."""
    with small_disk(firm.host, firm.host.directory / "small", "size=1g") as directory:
        firm.settle_in("adele", directory=directory)
        message = failed(firm, "capacityUnavailable", "C1")
        assert f"the host's disk has 1.0 GB free at {directory}" in message
    with small_disk(firm.host, firm.host.directory / "few", "size=4g,nr_inodes=4") as directory:
        firm.sql(
            "UPDATE sites SET compute = compute || jsonb_build_object('directory', CAST(:d AS text)) "
            "WHERE tenant_id = :tenant",
            d=directory,
        )
        pool = volumes.existing_site_pool(connect(firm.host.uri), firm.ids["site-a"])
        assert pool is None, "what could not be allocated has made no pool"
        cloud_pcs.retry(firm.world, firm.tenant, "test", ADELE)
        message = failed(firm, "capacityUnavailable", "C2")
        assert "No space left on device" in message
        firm.give_up("adele")
        firm.nothing_left()


def test_c3_no_address_left(firm: RealCompany) -> None:
    """C3: of the site's own network, and of one that was there: refused at once, with the network's name."""
    firm.settle_in("adele")
    provider = firm.providers()[0].compute
    provider.ensure_network(firm.call("C3"))
    ((subnet,),) = firm.sql("SELECT host(subnet) FROM libvirt.networks WHERE tenant_id = :tenant")
    firm.sql(
        "INSERT INTO libvirt.nics (key, tenant_id, site_id, host, network, mac, address, machine) "
        "SELECT 'taken-' || n, :tenant, :site, :host, :network, 'mac-' || n, CAST(:subnet AS inet) + n, "
        "gen_random_uuid() FROM generate_series(2, 254) n",
        site=firm.ids["site-a"],
        host=firm.host.uri,
        network=f"deskwright-{firm.ids['site-a']}",
        subnet=subnet,
    )
    assert provider.free_addresses(Network()) == 0
    message = failed(firm, "noEnoughIpAddress", "C3")
    assert f"{subnet}/24" in message
    assert "own network of site-a" in message
    firm.sql("DELETE FROM libvirt.nics WHERE key LIKE 'taken-%'")
    firm.give_up("adele")
    firm.nothing_left()


def test_c2_c3_an_image_that_does_not_start(
    firm: RealCompany, tmp_path: Path, images_of: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: an image is tried before anybody gets it; C3: what does not start afterwards ends at the step's deadline."""
