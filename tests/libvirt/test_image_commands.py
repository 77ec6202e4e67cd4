"""Device images on a real host by command: `deskwright image build` and `image import`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deskwright.cli import image_commands
from deskwright.cli.app import app
from deskwright.images.imported import BROUGHT
from deskwright.serve import WorkerThread
from tests.libvirt import disks
from tests.libvirt.conftest import IMAGE
from tests.libvirt.device_images import nothing_of
from tests.libvirt.real_company import RealCompany

pytestmark = pytest.mark.guests

ADELE = "adele@contoso.com"


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
