"""Device images on a real host: brought or built, tried by a machine, used by Cloud PCs, refused, and taken away."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from deskwright.cli import image_commands
from deskwright.cli.app import app
from deskwright.domain.image_errors import IMAGE_ERRORS
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.images import recipes
from deskwright.images.imported import BROUGHT
from deskwright.operations import cloud_pcs, image_view, images, policies
from deskwright.operations.named import Item
from deskwright.providers.contract import ImageReady
from deskwright.providers.libvirt import images as trials
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.host import connect, found
from deskwright.providers.simulator.compute import SimulatedCompute
from deskwright.serve import WorkerThread
from tests.company import Company
from tests.images.disks import gpt
from tests.images.parts import program
from tests.libvirt import disks
from tests.libvirt.conftest import IMAGE
from tests.libvirt.real_company import SMALL, RealCompany

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"
SECONDS = 240.0
"""Far above what is measured (a conversion and an emulated start): the machine of the tests may be busy."""


@pytest.fixture(scope="session")
def bootable(image_cache: Path) -> Path:
    return disks.bootable(image_cache)


@pytest.fixture
def own_cache(image_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's images are made, with what is kept for all of them."""
    directory = tmp_path / "images"
    directory.mkdir()
    for kept in ("cache", IMAGE):
        (directory / kept).symlink_to(image_cache / kept)
    monkeypatch.setenv("DESKWRIGHT_IMAGE_DIR", str(directory))
    return directory


@pytest.fixture
def imports(firm: RealCompany, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The firm's own: beside it would be other tenants'."""
    directory = tmp_path / "imports"
    own = directory / str(firm.tenant.id)
    own.mkdir(parents=True)
    monkeypatch.setenv("DESKWRIGHT_IMPORT_DIR", str(directory))
    return own


@pytest.fixture
def here(firm: RealCompany, own_cache: Path, imports: Path) -> Iterator[RealCompany]:
    """A company with a site on the host; of its images nothing stays there."""
    before = pool(firm)
    firm.settle_in()
    yield firm
    for (image,) in firm.sql("SELECT id FROM device_images WHERE tenant_id = :tenant"):
        for providers in firm.providers():
            providers.compute.remove_image(image)
    assert {name for name in pool(firm) - before if not name.startswith(IMAGE)} == set()


def pool(firm: RealCompany) -> set[str]:
    """The files of images on the host."""
    there = found(connect(firm.host.uri).storagePoolLookupByName, volumes.IMAGES)
    return {name for name, _ in volumes.each(there)} if there is not None else set()


def created(firm: RealCompany, name: str, **source: str) -> str:
    made = images.create(
        firm.world.database,
        firm.tenant,
        "test",
        display_name=name,
        version="1.0.0",
        region="site-a",
        source=source,
    )
    return str(made["id"])


def shown(firm: RealCompany, image: str) -> Item:
    return images.show(firm.world.database, firm.tenant, image)


def made(firm: RealCompany, image: str) -> tuple[Item, list[tuple[float, str]]]:
    """The image when it is ready or has failed, and what people were told meanwhile."""
    told: list[tuple[float, str]] = []

    def ended() -> bool:
        item = shown(firm, image)
        now = (item["progressShare"] or 0.0, item["progressText"] or "")
        if item["status"] == "pending" and now not in told:
            told.append(now)
        return bool(item["status"] != "pending")

    firm.carry_on(ended, SECONDS)
    return shown(firm, image), told


def until_told(firm: RealCompany, image: str, words: str) -> None:
    firm.carry_on(lambda: words in (shown(firm, image)["progressText"] or ""), SECONDS)


def nothing_of(firm: RealCompany, image: str, cache: Path) -> None:
    assert [name for name in pool(firm) if image in name] == []
    assert [path.name for path in cache.iterdir() if image in path.name] == []
    assert [machine.name() for machine in connect(firm.host.uri).listAllDomains() if image in machine.name()] == []


def refused(firm: RealCompany, image: str, cache: Path) -> tuple[str, str]:
    """Carry on until the image has failed, with nothing left of it: (code, what was seen)."""
    item, _ = made(firm, image)
    assert item["status"] == "failed"
    assert item["errorCode"] in IMAGE_ERRORS, "Graph's, each with cause and remedy on the page"
    assert (item["seen"], item["checksum"], item["progressText"]) == (None, None, None)
    nothing_of(firm, image, cache)
    print(item["errorCode"], item["errorDetail"])
    return item["errorCode"], item["errorDetail"]


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


# --- by command -------------------------------------------------------------------------------------


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.fixture
def by_command(here: RealCompany, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealCompany]:
    """With a worker at work, as `deskwright serve` has it."""
    monkeypatch.setenv("DESKWRIGHT_DATABASE_URL", here.world.database.url)
    monkeypatch.setenv("DESKWRIGHT_DATA_DIR", str(here.world.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")
    worker = WorkerThread(here.world)
    worker.start()
    try:
        yield here
    finally:
        worker.stop()


def test_build_and_import_by_command(
    by_command: RealCompany, bootable: Path, own_cache: Path, imports: Path, tmp_path: Path
) -> None:
    there = ("--version", "1.0.0", "--site", "site-a")
    built = run("image", "build", "Lab", *there, "--source", IMAGE)
    assert built.exit_code == 0, built.output
    print(built.stdout)
    doing = " ".join(built.stdout.split())
    assert "Lab 1.0.0 is ready at site-a. Its trial: started by QEMU (BIOS), its guest agent answered" in doing
    assert "Lab 1.0.0 is being made: " in doing
    assert "a trial machine starts from Lab 1.0.0" in doing
    assert len(built.stdout.splitlines()) < 60

    file = disks.in_format(bootable, tmp_path / "Büro PC.vmdk", "vmdk")
    imported = run("image", "import", str(file), "--name", "Office", *there, "--json")
    assert imported.exit_code == 0, imported.output
    item = json.loads(imported.stdout)
    assert (item["status"], item["sizeInGB"], item["region"]) == ("ready", 2, "site-a")
    assert item["source"]["uri"].startswith(f"{BROUGHT}/")
    assert item["source"]["uri"].endswith("-Büro-PC.vmdk")
    assert file.exists()
    assert list((imports / BROUGHT).iterdir()) == [], "it is on the host now"

    again = run("image", "import", str(file), "--name", "Office", *there)
    assert again.exit_code == 1
    assert "is at site site-a already" in " ".join(again.stderr.split())
    assert list((imports / BROUGHT).iterdir()) == []

    (tmp_path / "letter.txt").write_text("Dear Adele,\n")
    failed = run("image", "import", str(tmp_path / "letter.txt"), "--name", "Letter", *there)
    assert failed.exit_code == 1
    said = " ".join(failed.stderr.split())
    assert "is no disk: neither a qcow2" in said
    assert "deskwright image show" in said
    assert len(list((imports / BROUGHT).iterdir())) == 1, "it may be tried again"
    assert run("image", "delete", "Letter").exit_code == 0
    assert list((imports / BROUGHT).iterdir()) == []

    for name, image in (("Lab", None), ("Office", item["id"])):
        gone = run("image", "delete", name)
        assert gone.exit_code == 0, gone.output
        if image:
            nothing_of(by_command, image, own_cache)


def test_without_a_worker_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_commands, "_SAY_SECONDS", 0.0)
    lines = image_commands._Lines(quiet=False)
    lines.say(None)
    assert "does `deskwright serve` or `deskwright worker` run?" in capsys.readouterr().out
    quiet = image_commands._Lines(quiet=True)
    quiet.say(None)
    quiet.say("unpacking")
    assert capsys.readouterr().out == ""
