"""The machine that Windows gets (UEFI, Secure Boot, a TPM) starts and works. No Windows: a Linux that checks it."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.guest.script import Script
from deskwright.providers.contract import ImageOrder, MachineSpec
from deskwright.providers.libvirt import agent, machines
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.libvirt import efi_disk
from tests.libvirt.conftest import outside_on
from tests.providers.conformance import Outside

pytestmark = [
    pytest.mark.guests,
    pytest.mark.skipif(
        shutil.which("swtpm") is None or not Path("/usr/share/OVMF").is_dir(), reason="needs ovmf and swtpm"
    ),
]

_FACTS = """\
modprobe tpm_crb; mkdir -p /run/efi; mount -t efivarfs efivarfs /run/efi
echo "firmware $([ -d /sys/firmware/efi ] && echo uefi)"
echo "secure boot $(od -An -tu1 -j4 -N1 /run/efi/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c | tr -d ' ')"
echo "tpm $(cat /sys/class/tpm/tpm0/tpm_version_major)"
"""


@pytest.fixture
def outside(
    database: Database,
    tenant: Tenant,
    host: Sandbox,
    image_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Outside:
    own = tmp_path / "imports" / str(tenant.id)
    own.mkdir(parents=True)
    shutil.copyfile(efi_disk.bootable(image_cache), own / "disk.qcow2")
    monkeypatch.setenv("DESKWRIGHT_IMPORT_DIR", str(own.parent))
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(tmp_path / "images"))
    return outside_on(database, tenant, host)


def test_a_machine_of_windows_starts_with_secure_boot_and_a_tpm(outside: Outside, host: Sandbox) -> None:
    compute, image = outside.providers.compute, uuid4()
    order = ImageOrder(image, "As Windows 1.0.0", {"uri": "disk.qcow2"}, "windows", datetime.now(UTC))
    ready = outside.until_done(lambda: compute.prepare_image(order))
    assert "started by QEMU (UEFI), its guest agent answered after" in ready.seen
    spec = MachineSpec("CPC-ADELE-TEST1", Size(2, 4, 64), "As Windows", "windows", "2vCPU/4GB/64GB", image)
    made = outside.until_done(lambda: compute.create_vm(outside.call("C2"), spec))
    machine = machines.look_up(connect(host.uri), made[Kind.VM].external_id)
    ends = time.monotonic() + 120
    while not agent.answers(machine):
        assert time.monotonic() < ends, "the agent does not answer"
        time.sleep(0.5)
    facts = agent.run(machine, Script(("/bin/sh", "-s"), _FACTS)).output
    assert facts.splitlines() == ["firmware uefi", "secure boot 1", "tpm 2"]
    kept = [*(host.directory / "lib").glob(f"swtpm/{machine.UUIDString()}"), *nvram(host)]
    assert len(kept) == 2, "the TPM's state and the firmware's variables"
    for kind, key in ((Kind.VM, "C2"), (Kind.DISK, "C2")):
        compute.release(kind, outside.call(key).key(kind))
    compute.remove_image(image)
    assert not any(path.exists() for path in kept)
    assert list(compute.inventory()) == []


def nvram(host: Sandbox) -> list[Path]:
    return list((host.directory / "lib" / "qemu" / "nvram").glob("*.fd"))
