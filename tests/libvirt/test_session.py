"""A site whose libvirt is one ordinary user's session: the contract's rules, with networks inside QEMU."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.guest.actions import WriteFile
from deskwright.providers.contract import Network, NotYet, ProviderError
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.tags import volume_name
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.libvirt.conftest import outside_on
from tests.libvirt.session import Session, session
from tests.providers.conformance import ComputeConformance, Outside

# Those in which a session differs. All others passed too, and take minutes.
RULES: tuple[Callable[[ComputeConformance, Outside], None], ...] = (
    ComputeConformance.test_shared_objects_are_the_sites,
    ComputeConformance.test_each_nic_has_an_address_of_its_own,
    ComputeConformance.test_sign_in_path_answers,
    ComputeConformance.test_a_running_machine_has_a_screen,
    ComputeConformance.test_a_snapshot_is_restored_only_to_its_machine,
    ComputeConformance.test_inventory_is_complete_and_ours,
    ComputeConformance.test_what_cannot_be_done_has_a_code_of_the_catalogue,
)
RULES_OF_NICS: tuple[Callable[[ComputeConformance, Outside, Kind], None], ...] = (
    ComputeConformance.test_same_key_at_the_same_time,
    ComputeConformance.test_release_twice_and_of_nothing,
)
URI = "qemu:///session"


@pytest.fixture(scope="module")
def user_session() -> Iterator[Session]:
    with session() as started:
        yield started


@pytest.fixture
def outside(database: Database, tenant: Tenant, user_session: Session, images: Path) -> Iterator[Outside]:
    found = outside_on(database, tenant, user_session)
    yield found
    for left in sorted(found.providers.compute.inventory(), key=lambda f: list(Kind).index(Kind(f.kind))):
        found.providers.compute.release(Kind(left.kind), left.key)
    assert list(found.providers.compute.inventory()) == []


@pytest.mark.guests
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_contract_is_kept(rule: Callable[[ComputeConformance, Outside], None], outside: Outside) -> None:
    rule(ComputeConformance(), outside)


@pytest.mark.guests
@pytest.mark.parametrize("rule", RULES_OF_NICS, ids=lambda rule: rule.__name__)
def test_the_contract_is_kept_of_nics(
    rule: Callable[[ComputeConformance, Outside, Kind], None], outside: Outside
) -> None:
    rule(ComputeConformance(), outside, Kind.NIC)


@pytest.mark.guests
def test_c3_networks_of_the_host_are_refused_by_name(outside: Outside) -> None:
    """C3: before a card is plugged in, and with what to set instead."""
    vm, office = outside.vm(), Network(uuid4(), "office", "10.20.0.0/24")
    with pytest.raises(ProviderError) as refused:
        outside.until_done(lambda: outside.providers.compute.attach_nic(outside.call("C3"), vm, office))
    assert refused.value.code == "internalServerError"
    assert "for office the site's compute.uri must be that of the whole host" in refused.value.values["reason"]
    assert outside.providers.compute.free_addresses(office) == 0
    assert [f for f in outside.providers.compute.inventory() if f.kind == Kind.NIC] == []


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Session, Path]]:
    """A session that writes no disk until a file is there."""
    with tempfile.TemporaryDirectory() as made:
        folder, gate = Path(made), Path(made, "go")
        folder.chmod(0o755)  # the session is another user's
        real, slow = shutil.which("qemu-img"), folder / "qemu-img"
        waits = f'while [ "$1" = create ] && [ ! -e {gate} ]; do sleep 0.02; done'
        slow.write_text(f'#!/bin/sh\n{waits}\nexec {real} "$@"\n')
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        with session() as started:
            yield started, gate


@pytest.mark.guests
def test_c2_no_machine_is_started_on_a_disk_that_is_still_written(
    database: Database, tenant: Tenant, images: Path, hesitant: tuple[Session, Path]
) -> None:
    """C2: of a worker that died, libvirt goes on writing the disk. A machine that had it would find nothing on it."""
    host, gate = hesitant
    outside = outside_on(database, tenant, host)
    compute, first, call = outside.providers.compute, uuid4(), outside.call("C2")
    gate.touch()
    outside.vm(cloud_pc_id=first)
    gate.unlink()
    connection = connect(host.uri)
    pool = volumes.existing_site_pool(connection, tenant.site_id)
    base = volumes.base_of(pool.storageVolLookupByName(volume_name(replace(call, cloud_pc_id=first).key(Kind.DISK))))
    name = volume_name(call.key(Kind.DISK))
    with ThreadPoolExecutor(1) as died:
        writing = died.submit(volumes.overlay, pool, name, base, outside.spec().size.storage_gb)
        try:
            while name not in {v.name() for v in pool.listAllVolumes()}:
                assert not writing.done()
            with pytest.raises(NotYet, match="the disk of CPC-ADELE-TEST1 is being written"):
                compute.create_vm(call, outside.spec())
            assert len(connection.listAllDomains()) == 1
        finally:
            gate.touch()
        vm = outside.vm()
        writing.result()
    outside.until_done(lambda: compute.configure_guest(outside.call("P1"), vm, (WriteFile("/etc/here", "yes"),)))
    for left in compute.inventory():
        compute.release(Kind(left.kind), left.key)


def test_its_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/home/adele/.local/share")
    assert configuration({"uri": URI}, "lab").directory == "/home/adele/.local/share/libvirt/images/deskwright"
    assert configuration({"uri": URI, "directory": "/srv/d/"}, "lab").directory == "/srv/d"
    assert configuration({}, "lab").directory == "/var/lib/libvirt/images/deskwright"
    with pytest.raises(Refused, match="full path"):
        configuration({"uri": "qemu+ssh://lab/session"}, "lab")


def test_its_part_of_the_hosted_networks_is_larger() -> None:
    """A network for each machine, not one for all."""
    assert configuration({"hostedNetworks": "10.91.0.0/24"}, "lab").subnet_prefix == 24
    with pytest.raises(Refused, match="at least a /20"):
        configuration({"uri": URI, "hostedNetworks": "10.91.0.0/24"}, "lab")
    assert configuration({"uri": URI, "hostedNetworks": "10.91.0.0/20"}, "lab").subnet_prefix == 20
