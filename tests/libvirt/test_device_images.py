"""Device images on a real host: brought or built, tried by a machine, used by Cloud PCs, refused, and taken away."""

import os
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.images import recipes
from deskwright.operations import cloud_pcs, image_view, images, policies
from deskwright.providers.contract import ImageReady
from deskwright.providers.libvirt import images as trials
from deskwright.providers.libvirt.host import connect
from deskwright.providers.simulator.compute import SimulatedCompute
from tests.company import Company
from tests.images.disks import gpt
from tests.images.parts import program
from tests.libvirt import disks
from tests.libvirt.conftest import IMAGE
from tests.libvirt.device_images import SECONDS, created, made, nothing_of, pool, refused, until_told
from tests.libvirt.real_company import SMALL, RealCompany

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"


# --- what works -------------------------------------------------------------------------------------


def test_a_file_becomes_an_image_and_the_image_cloud_pcs(
    here: RealCompany, bootable: Path, own_cache: Path, imports: Path
) -> None:
    """Section 6: pending, tried, ready; C2: a plan whose disk is too small is refused; E9; deleted with its files."""
    file = disks.in_format(bootable, imports / "finance desktop.vhdx", "vhdx")
    image = created(here, "Finance", uri=file.name)
    item, told = made(here, image)
    assert item["status"] == "ready", item["errorDetail"]
    print(f"{item['seen']}; it was told {[text for _, text in told]}")
    assert re.fullmatch(
        r"started by QEMU \(BIOS\), its guest agent answered after \d+ s, generalised, 2 GB of disk", item["seen"]
    )
    assert re.fullmatch("[0-9a-f]{64}", item["checksum"])
    assert item["sizeInGB"] == 2
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert any("Finance 1.0.0 is being made" in text for _, text in told)
    assert any("a trial machine starts from Finance 1.0.0" in text for _, text in told)
    name = f"image-{image}"
    assert {n for n in pool(here) if image in n} == {f"{name}-{item['checksum'][:12]}.qcow2", f"{name}.json"}
    assert [path.name for path in own_cache.iterdir() if image in path.name] == []
    assert file.exists(), "it was put there by somebody, whose it is"

    policies.set_(here.world.database, here.tenant, "test", "Desktops", device_image="Finance")
    here.sql("UPDATE service_plans SET storage_gb = 1 WHERE tenant_id = :tenant")
    here.sql("UPDATE tenants SET settings = '{\"attempts\": 1}' WHERE id = :tenant")
    here.user("adele")
    here.join("adele", "Sales")
    here.until_status("adele", Status.FAILED)
    too_small = here.failed_with("adele")
    assert too_small.code == "imageDiskSizeOverMatch"
    assert too_small.message == f"Image Finance 1.0.0 needs 2 GB, the disk of {SMALL} has 1 GB."
    here.sql("UPDATE service_plans SET storage_gb = 4 WHERE tenant_id = :tenant")
    cloud_pcs.retry(here.world, here.tenant, "test", ADELE)
    here.until_status("adele", Status.PROVISIONED, SECONDS)
    assert here.inside("adele", "findmnt -n -o SOURCE /") == "/dev/vda1"
    size = int(here.inside("adele", "stat -f -c '%b %S' / | awk '{ printf \"%.0f\", $1 * $2 }'"))
    assert size > 3.5 * 1000**3, "P6: partition and file system have grown"

    with pytest.raises(Refused, match="can be deleted only while nothing uses it: policy Desktops, Cloud PCs"):
        images.delete(here.world.database, here.tenant, "test", image)
    here.give_up("adele")
    here.nothing_left()
    policies.set_(here.world.database, here.tenant, "test", "Desktops", gallery_image=IMAGE)
    images.delete(here.world.database, here.tenant, "test", image)
    nothing_of(here, image, own_cache)


def test_an_image_built_from_the_gallery(here: RealCompany, own_cache: Path) -> None:
    image = created(here, "Lab", gallery=IMAGE)
    item, told = made(here, image)
    assert item["status"] == "ready", item["errorDetail"]
    print(f"{item['seen']}; it was told {[text for _, text in told]}")
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert any(0.0 < share < 0.8 for share in shares), "how far the build is, as its own process says"
    said = " ".join(text for _, text in told)
    assert re.search(r"Lab 1\.0\.0 is being made: \d\d%, (unpacking|writing|converting|computing) the ", said)
    assert "a trial machine starts from Lab 1.0.0" in said
    assert "generalised" in item["seen"]
    images.delete(here.world.database, here.tenant, "test", image)
    nothing_of(here, image, own_cache)


# --- what does not ----------------------------------------------------------------------------------


def test_a_disk_that_starts_nothing_and_a_better_one_in_its_place(
    here: RealCompany, bootable: Path, own_cache: Path, imports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = disks.empty(imports / "disk")
    image = created(here, "Finance", uri=file.as_uri())
    monkeypatch.setattr(trials, "EMULATED_SECONDS", 6.0)
    code, reason = refused(here, image, own_cache)
    assert code == "sourceImageInvalid"
    assert re.fullmatch(
        r"a machine started from it did not answer through its guest agent within \d+ s by software emulation; "
        r"it read 0\.\d MB of its disk and wrote 0\.0 MB",
        reason,
    ), reason
    monkeypatch.undo()
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(own_cache))
    monkeypatch.setenv("DESKWRIGHT_IMPORT_DIR", str(imports.parent))
    disks.in_format(bootable, file, "vmdk")
    ((whole,),) = here.sql("SELECT image_id FROM device_images WHERE id = :image", image=image)
    images.upload_again(here.world.database, here.tenant, "test", whole, everywhere=False)
    item, _ = made(here, image)
    assert (item["status"], item["errorDetail"]) == ("ready", None)
    copy = image_view.show(here.world.database, here.tenant, UUID(str(whole)))["copies"][0]
    assert (copy["seen"], copy["checksum"]) == (item["seen"], item["checksum"])


def without_guest_exec() -> str:
    """The system's first process, whose agent is told not to run programs, as some distributions have it."""
    return (
        (Path(recipes.__file__).with_name("files") / "tiny/init")
        .read_text()
        .replace("qemu-ga ", "qemu-ga -b guest-exec ")
    )


def test_a_disk_for_uefi_is_tried_by_uefi(
    here: RealCompany, own_cache: Path, imports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its firmware starts, finds nothing, and goes with what it has kept."""
    monkeypatch.setattr(trials, "EMULATED_SECONDS", 8.0)
    gpt(imports / "disk.raw", size=64 << 20)
    image = created(here, "Finance", uri="disk.raw")
    until_told(here, image, "a trial machine starts from Finance 1.0.0, for")
    (trial,) = [m for m in connect(here.host.uri).listAllDomains() if image in m.name()]
    assert "OVMF" in trial.XMLDesc()
    code, reason = refused(here, image, own_cache)
    assert code == "sourceImageInvalid"
    assert "by software emulation; it read" in reason
    assert [file.name for file in (here.host.directory / "lib").rglob(f"*{image}*")] == []


@pytest.mark.parametrize(
    ("files", "code", "says"),
    [
        (
            {"/etc/machine-id": "0123456789abcdef0123456789abcdef\n", "/etc/krb5.keytab": "keys\n"},
            "sourceImageNotGeneralized",
            "it is not generalised: /etc/machine-id came with the image: every machine would have the same; "
            "it is joined to a domain already (/etc/krb5.keytab)",
        ),
        (
            {"/usr/sbin/init": "#!/bin/sh\nexec busybox poweroff -f\n"},
            "sourceImageInvalid",
            "a machine started from it stopped by itself within",
        ),
        (
            {"/usr/sbin/init": without_guest_exec()},
            "sourceImageInvalid",
            "its guest agent answers, but runs no programs (guest-exec): ",
        ),
    ],
    ids=["not generalised", "stops", "no guest-exec"],
)
def test_a_disk_that_starts_and_is_no_good(
    here: RealCompany, bootable: Path, own_cache: Path, imports: Path, files: dict[str, str], code: str, says: str
) -> None:
    disks.with_files(bootable, imports / "disk.raw", files)
    found, reason = refused(here, created(here, "Finance", uri="disk.raw"), own_cache)
    assert found == code
    assert reason.startswith(says)


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("missing.qcow2", "sourceImageNotFound", "there is no file missing.qcow2 in"),
        ("/etc/passwd", "sourceImageNotFound", "only files in"),
        ("https://files.contoso.com/disk.qcow2", "sourceImageNotFound", "not from https://files.contoso.com"),
        ("letter.txt", "sourceImageInvalid", "letter.txt is no disk: neither a qcow2"),
        ("huge.qcow2", "sourceImageSizeExceedsLimitation", "it must have 1 MB to 2048 GB"),
    ],
)
def test_a_file_that_is_none(here: RealCompany, own_cache: Path, imports: Path, uri: str, code: str, says: str) -> None:
    (imports / "letter.txt").write_text("Dear Adele,\n")
    disks.empty(imports / "huge.qcow2", "3T")
    found, reason = refused(here, created(here, "Finance", uri=uri), own_cache)
    assert found == code
    assert says in reason


def test_a_build_that_fails(
    here: RealCompany, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fault of the source: it may be built again."""
    program(tmp_path / "bin", "mke2fs", "echo 'no space left' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    code, reason = refused(here, created(here, "Lab", gallery=IMAGE), own_cache)
    assert code == "internalServerError"
    assert reason == "it could not be made: writing the file system failed\nno space left"


# --- what is deleted while it is made ---------------------------------------------------------------


def test_an_image_that_is_deleted_while_it_is_tried(here: RealCompany, own_cache: Path, imports: Path) -> None:
    disks.empty(imports / "disk")
    image = created(here, "Finance", uri="disk")
    until_told(here, image, "a trial machine starts from Finance 1.0.0, for")
    images.delete(here.world.database, here.tenant, "test", image)
    nothing_of(here, image, own_cache)
    here.settle()
    nothing_of(here, image, own_cache)


def test_what_comes_to_the_site_of_an_image_that_is_gone_is_taken_away(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the provider's work and what a worker writes about it."""
    company.site()
    gone: list[UUID] = []

    def prepare(self: Any, order: Any) -> ImageReady:
        images.delete(company.world.database, company.tenant, "test", str(order.id))
        gone.clear()  # what the deletion has taken away is not enough
        return ImageReady(2, "started")

    monkeypatch.setattr(SimulatedCompute, "prepare_image", prepare)
    monkeypatch.setattr(SimulatedCompute, "remove_image", lambda self, image: gone.append(image))
    item = images.create(
        company.world.database,
        company.tenant,
        "test",
        display_name="Finance",
        version="1.0.0",
        region="site-a",
        source={"uri": "x"},
    )
    company.settle()
    assert gone == [UUID(item["id"])]
