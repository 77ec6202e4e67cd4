"""Files that others made: every format becomes an image, and what names, hides or breaks something is refused."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from deskwright.images import formats, imported, process
from deskwright.images.build import built
from deskwright.images.formats import Unfit
from deskwright.images.imported import drop, file_of, import_file
from deskwright.images.process import look
from tests.images import disks
from tests.images.disks import SIZE
from tests.images.importing import REAL, Make, brought, flat, refused
from tests.images.parts import needs_tools, program
from tests.images.test_process import builder, wait

pytestmark = needs_tools


# --- what is taken ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "form", "options"), disks.MADE)
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_every_format_becomes_an_image(
    folder: Path, into: Path, name: str, form: str, options: str, firmware: str
) -> None:
    raw = (disks.gpt if firmware == "uefi" else disks.mbr)(folder / "source.raw")
    file = disks.in_format(raw, folder / name, form, options)
    with file.open("rb") as opened:
        assert formats.format_of(opened, name) == form
    image = brought(file, into)
    assert image == built(into)
    assert (image.firmware, image.os_family, image.size_gb) == (firmware, "linux", 1)
    assert (image.kernel, image.initrd, image.command_line) == (None, None, "")
    assert image.sha256 == sha256(image.disk.read_bytes()).hexdigest()
    assert {path.name for path in into.iterdir()} == {"disk.qcow2", "manifest.json"}
    disks.qemu_img("compare", "-f", "raw", "-F", "qcow2", raw, image.disk)


def test_the_size_is_that_of_the_disk_in_whole_gigabytes(folder: Path, into: Path) -> None:
    raw = disks.mbr(folder / "a.raw", size=(1 << 30) + (1 << 29))
    assert brought(raw, into).size_gb == 2


def test_a_fixed_vhd_is_not_taken_for_a_raw_disk_that_is_longer(folder: Path, into: Path) -> None:
    """qemu-img takes it for one: a GUID partition table would not be found at the disk's end."""
    file = disks.in_format(disks.gpt(folder / "a.raw"), folder / "a.vhd", "vpc", "subformat=fixed,force_size=on")
    brought(file, into)
    (length,) = re.findall(
        r'"virtual-size": (\d+)',
        subprocess.check_output([REAL, "info", "--output=json", into / "disk.qcow2"], text=True),
    )
    assert int(length) == SIZE


@pytest.mark.parametrize(
    ("make", "firmware"),
    [
        (lambda p: disks.gpt(p, disks.LINUX_PARTITION), "bios"),
        (lambda p: disks.gpt(p, entries_at=20), "uefi"),
        (lambda p: disks.mbr(p, kind=0xEF, active=0), "uefi"),
        (lambda p: disks.mbr(p, kind=0xEF), "bios"),
    ],
)
def test_the_partition_table_tells_the_firmware(folder: Path, into: Path, make: Make, firmware: str) -> None:
    assert brought(make(folder / "a.raw"), into).firmware == firmware


def test_a_partition_table_that_lies_is_read_without_harm() -> None:
    for wild in (b"\xff" * 16, bytes(16), b"\x02" + bytes(7) + b"\xff" * 8):
        head = bytearray(34 * 512)
        head[512:520] = b"EFI PART"
        head[512 + 72 : 512 + 88] = wild
        assert not formats.starts_by_uefi(bytes(head))
    assert not formats.starts_by_uefi(b"")


@pytest.mark.parametrize(
    "name",
    [
        "with spaces.raw",
        "Größe – 図.raw",
        "nbd:127.0.0.1:10809",
        'json:{"driver":"nbd","host":"127.0.0.1"}',
        "fat:rw:x.raw",
        "-O raw",
        "a,file.filename=b.raw",
        "a$(id)`id`;.raw",
        "100%20.raw",
    ],
)
def test_a_name_is_a_name(folder: Path, into: Path, name: str) -> None:
    """Whatever QEMU would make of it."""
    disks.mbr(folder / name)
    assert brought(file_of(name, folder), into).firmware == "bios"


def test_an_address_of_a_file(folder: Path) -> None:
    file = disks.mbr(folder / "with spaces.raw")
    (folder / "sub").mkdir()
    other = disks.mbr(folder / "sub" / "Größe.raw")
    for uri, expected in (
        (file.as_uri(), file),
        (f"file://localhost{folder}/with%20spaces.raw", file),
        (str(file), file),
        ("sub/Größe.raw", other),
        (other.as_uri(), other),
    ):
        assert file_of(uri, folder) == expected


# --- where files are ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "../outside.raw",
        "sub/../../outside.raw",
        "{outside}",
        "file://{outside}",
        "file:{outside}",
        "file:///%2e%2e/outside.raw",
        "file:..%2Foutside.raw",
        "/etc/passwd",
        "link.raw",
        "linked/outside.raw",
        "http://files.contoso.com/disk.raw",
        "https://files.contoso.com/disk.raw",
        "nbd://127.0.0.1/x",
        "file://files.contoso.com/disk.raw",
        "file://127.0.0.1{folder}/disk.raw",
        "HTTP://files.contoso.com/disk.raw",
        "http://[",
        "disk.raw\0",
        "x" * 2000,
        "circle.raw",
        "",
        ".",
        "sub",
        "missing.raw",
        "pipe",
    ],
)
def test_only_files_in_the_folder_for_imports_are_taken(folder: Path, uri: str) -> None:
    outside = disks.mbr(folder.parent / "outside.raw")
    disks.mbr(folder / "disk.raw")
    (folder / "sub").mkdir()
    (folder / "link.raw").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    (folder / "circle.raw").symlink_to(folder / "circle.raw")
    os.mkfifo(folder / "pipe")
    with pytest.raises(Unfit) as caught:
        file_of(uri.format(outside=outside, folder=folder), folder)
    assert str(folder) in str(caught.value)
    assert caught.value.code == imported.NOT_FOUND


def test_what_takes_the_place_of_a_file_is_not_read(folder: Path, into: Path) -> None:
    """Between the look and the conversion somebody who may write to the folder puts another one there."""
    file = disks.mbr(folder / "a.raw")
    kept = shutil.copyfile(file, folder / "kept.raw")
    secret = disks.mbr(folder.parent / "secret.raw", kind=0x07)

    def swap(share: float, doing: str) -> None:
        if doing == "looking at the file":
            file.unlink()
            file.symlink_to(secret)

    image = import_file(str(file), into, swap)
    disks.qemu_img("compare", "-f", "raw", "-F", "qcow2", kept, image.disk)
    assert "could not be opened" in refused(file, folder / "images" / "2", imported.NOT_FOUND), "a link, by now"
    (folder / "moved").symlink_to(folder.parent)
    assert "another one by now" in refused(folder / "moved" / "secret.raw", folder / "images" / "3", imported.NOT_FOUND)


def test_only_files_that_were_brought_for_one_import_are_taken_away(folder: Path) -> None:
    (folder / imported.BROUGHT).mkdir()
    one, mine = disks.mbr(folder / imported.BROUGHT / "one.raw"), disks.mbr(folder / "mine.raw")
    (folder / imported.BROUGHT / "link.raw").symlink_to(mine)
    for uri in (
        "brought/one.raw",
        "brought/one.raw",
        "mine.raw",
        "brought/link.raw",
        "brought/../mine.raw",
        "/etc/passwd",
    ):
        drop(uri, folder)
    assert not one.exists()
    assert mine.exists()


# --- what goes wrong meanwhile ------------------------------------------------------------------------


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a script in the place of one of qemu-img's commands."""

    def put(command: str, script: str) -> None:
        program(tmp_path / "bin", "qemu-img", f'case "$1" in {command}) {script} ;; *) exec {REAL} "$@" ;; esac')
        monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")

    return put


def test_progress_is_told_and_rises(folder: Path, into: Path) -> None:
    told: list[tuple[float, str]] = []
    brought(disks.in_format(disks.mbr(folder / "a.raw"), folder / "a.vmdk", "vmdk"), into, told)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert list(dict.fromkeys(doing for _, doing in told)) == [
        "looking at the file",
        "converting the disk",
        "computing the checksum",
        "done",
    ]
    assert 0.9 in [round(share, 2) for share, _ in told], "qemu-img's own progress, to its end"


def test_a_file_that_keeps_qemu_busy_is_refused(
    folder: Path, into: Path, stand_in: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("info", "exec sleep 60")
    monkeypatch.setattr(imported, "LOOK_SECONDS", 0.3)
    began = time.monotonic()
    assert "within 0 s" in refused(disks.mbr(folder / "a.raw"), into)
    assert time.monotonic() - began < 10


def test_where_room_runs_out_nothing_is_left(folder: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file can become larger than it is, so the room is set before, and some is left for others."""
    free = imported.KEEP_FREE_GB << 30
    monkeypatch.setattr(imported.shutil, "disk_usage", lambda where: SimpleNamespace(free=free))  # type: ignore[attr-defined]
    file = disks.mbr(folder / "a.raw")
    assert "there is no room for it" in refused(file, into, "internalServerError")
    free += 300_000
    assert f"there is not enough room in {into.parent}" in refused(file, into, "internalServerError")


def test_a_conversion_that_fails_says_why(folder: Path, into: Path, stand_in: Callable[[str, str], None]) -> None:
    stand_in("convert", r"printf '    (1.00/100%%)\r'; echo 'qemu-img: error while writing: No space left' >&2; exit 1")
    reason = refused(disks.mbr(folder / "a.raw"), into)
    assert reason == "it could not be converted: error while writing: No space left"


def test_what_is_deleted_meanwhile_is_not_converted_to_its_end(
    folder: Path, into: Path, tmp_path: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("convert", rf"echo $$ >{tmp_path}/pid; while :; do printf '    (1.00/100%%)\r'; sleep 0.05; done")

    def deleted(share: float, doing: str) -> None:
        if doing == "converting the disk":
            shutil.rmtree(into.with_name(".image-1.making"))

    with pytest.raises(Unfit, match="deleted meanwhile"):
        import_file(str(disks.mbr(folder / "a.raw")), into, deleted)
    assert not runs(int((tmp_path / "pid").read_text()))


# --- as a process of its own --------------------------------------------------------------------------


def runs(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and nobody asked about."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


@pytest.fixture
def own_process(into: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    yield
    if look(into).running:
        os.kill(builder(into), signal.SIGKILL)


@pytest.mark.usefixtures("own_process", "bin_directory")
def test_it_runs_on_its_own_and_the_family_is_the_files(folder: Path, into: Path) -> None:
    before = dict(os.environ)
    imported.start(disks.gpt(folder / "w 11.raw"), into, "windows")
    assert dict(os.environ) == before, "another import may begin at the same moment"
    done = wait(into, lambda progress: progress.finished or progress.failed)
    assert done.failed is None
    assert done.finished is not None
    assert (done.finished.os_family, done.finished.firmware) == ("windows", "uefi")


@pytest.mark.usefixtures("own_process", "bin_directory")
def test_a_refusal_is_told(folder: Path, into: Path) -> None:
    imported.start(flat(folder), into, "linux")
    failed = wait(into, lambda progress: progress.failed)
    assert failed.failed
    reason = imported.why(failed.failed)
    assert reason is not None
    assert str(reason).startswith("a.vmdk is a VMDK whose parts are other files")
    assert reason.code == formats.INVALID
    assert imported.why("OSError: something else") is None
    wait(into, lambda progress: not progress.running)
    process.forget(into)
    assert look(into).failed is None


@pytest.mark.usefixtures("own_process", "bin_directory")
def test_one_that_was_killed_is_seen_and_started_again(
    folder: Path, into: Path, tmp_path: Path, stand_in: Callable[[str, str], None]
) -> None:
    stand_in("convert", rf"echo $$ >{tmp_path}/pid; printf '   (50.00/100%%)\r   (50.00/100%%)\r'; exec sleep 60")
    file = disks.mbr(folder / "a.raw")
    imported.start(file, into, "linux")
    halfway = wait(into, lambda progress: progress.fraction > 0.4)
    assert (halfway.running, halfway.doing) == (True, "converting the disk")
    converter = int((tmp_path / "pid").read_text())
    assert runs(converter)
    os.kill(builder(into), signal.SIGKILL)
    dead = wait(into, lambda progress: not progress.running)
    assert (dead.finished, dead.failed) == (None, None)
    ends = time.monotonic() + 10
    while runs(converter):
        assert time.monotonic() < ends, "qemu-img goes on without it"
        time.sleep(0.02)
    program(tmp_path / "bin", "qemu-img", f'exec {REAL} "$@"')
    imported.start(file, into, "linux")
    done = wait(into, lambda progress: progress.finished or progress.failed)
    assert done.failed is None
    assert {path.name for path in into.parent.iterdir() if path.is_dir()} == {"image-1"}
