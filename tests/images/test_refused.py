"""What is refused before anything opens it: files that name others, that are cut short, or that are no disk."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from deskwright.images import formats, imported
from tests.images import disks
from tests.images.disks import MB, SIZE
from tests.images.importing import REAL, Make, flat, refused
from tests.images.parts import needs_tools, program

pytestmark = needs_tools


# --- what is refused ----------------------------------------------------------------------------------


def with_backing(folder: Path) -> Path:
    disks.mbr(folder / "base.raw")
    disks.qemu_img("create", "-f", "qcow2", "-F", "raw", "-b", folder / "base.raw", folder / "a.qcow2")
    return folder / "a.qcow2"


def with_data_file(folder: Path) -> Path:
    data = folder / "data.raw"
    disks.qemu_img("create", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", folder / "a.qcow2", str(SIZE))
    return folder / "a.qcow2"


def encrypted(folder: Path) -> Path:
    secret, options = "secret,id=s,data=abc", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"
    for _ in range(20):
        with contextlib.suppress(subprocess.CalledProcessError):  # it measures the processor, which may be busy
            disks.qemu_img("create", "-f", "qcow2", "--object", secret, "-o", options, folder / "a.qcow2", str(SIZE))
            break
    return folder / "a.qcow2"


def in_parts(folder: Path) -> Path:
    raw = disks.mbr(folder / "a.raw")
    return disks.in_format(raw, folder / "a.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse")


def written(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


_SPARSE = 'createType="monolithicSparse"\nRW 16384 SPARSE "a.vmdk"\n'
HOSTILE: list[tuple[str, Make, str]] = [
    ("qcow2 on another", with_backing, "stands on another file; merge them first"),
    ("qcow2 on a host's file", written("a", disks.qcow2_header(backing=b"/etc/passwd")), "stands on another file"),
    ("qcow2 on an address", written("a", disks.qcow2_header(backing=b'json:{"driver":"nbd"}')), "stands on another"),
    ("qcow2 with a data file", with_data_file, "keeps its data in another file"),
    ("qcow2 encrypted", encrypted, "is encrypted"),
    ("qcow2 encrypted the old way", written("a", disks.qcow2_header(encryption=1)), "is encrypted"),
    ("qcow2 corrupt", written("a", disks.qcow2_header(features=2)), "says of itself that it is corrupt"),
    ("qcow2 of the future", written("a", disks.qcow2_header(features=1 << 40)), "not known"),
    ("qcow2 of a few bytes", written("a", b"QFI\xfb\0\0\0\3"), "is cut short"),
    ("vmdk in parts", in_parts, "parts are other files"),
    ("vmdk of a host's file", flat, "parts are other files"),
    ("vmdk by its text", written("a", disks.vmdk_sparse('RW 8 FLAT "/etc/passwd" 0\n', sectors=0)), "as its parts"),
    ("vmdk of a device", written("a", disks.vmdk_sparse('createType="vmfsRaw"\n')), "as its parts"),
    ("vmdk on another", written("a", disks.vmdk_sparse(f"parentCID=1234abcd\n{_SPARSE}")), "stands on another file"),
    (
        "vmdk on another, told late",
        written("a", disks.vmdk_sparse(f'{_SPARSE}\0parentFileNameHint="/etc/passwd"\n')),
        "stands on another file",
    ),
    ("vmdk of a few bytes", written("a", b"KDMV\1\0\0\0"), "is cut short"),
    ("vhd on another", written("a", disks.vhd_header(4)), "stands on another"),
    ("vhd of a few bytes", written("a", b"conectix"), "is cut short"),
    ("text", written("a", b"Hello, this is a letter.\n" * 1000), "is no disk: neither a qcow2"),
    ("nothing", written("a", b""), "is no disk"),
    ("zeros", written("a", bytes(2 * MB)), "is no disk"),
    ("luks", written("a", b"LUKS\xba\xbe".ljust(MB, b"\0")), "is encrypted"),
    ("cd", written("a.iso", (bytes(32769) + b"CD001").ljust(MB, b"\0")), "is the image of a CD"),
    ("vdi", written("a", (bytes(64) + b"\x7f\x10\xda\xbe").ljust(MB, b"\0")), "of the format VDI"),
    ("gzip", written("a.gz", b"\x1f\x8b".ljust(MB, b"\0")), "is compressed (gzip)"),
    ("ova", written("a.ova", (bytes(257) + b"ustar").ljust(MB, b"\0")), "unpack it first"),
    ("directory", lambda folder: folder, "is no file"),
    ("missing", lambda folder: folder / "missing", "could not be opened"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "says"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_what_names_others_or_is_no_disk_is_refused_before_anything_opens_it(
    folder: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make, says: str
) -> None:
    file = make(folder)
    there = sorted(path.name for path in folder.iterdir())
    program(tmp_path / "bin", "qemu-img", f'touch {tmp_path}/called; exec {REAL} "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    reason = refused(file, into, imported.NOT_FOUND if file.name in ("imports", "missing") else formats.INVALID)
    assert reason.startswith(file.name)
    assert says in reason
    assert not (tmp_path / "called").exists()
    assert sorted(path.name for path in folder.iterdir()) == there


def cut(form: str, by: int, options: str = "") -> Make:
    def make(folder: Path) -> Path:
        file = disks.in_format(disks.mbr(folder / "whole"), folder / f"a.{form}", form, options)
        os.truncate(file, file.stat().st_size - by)
        return file

    return make


def cut_gpt(folder: Path) -> Path:
    file = disks.gpt(folder / "a.raw")
    os.truncate(file, SIZE - 512)
    return file


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (cut("qcow2", 100_000), "damaged or cut short"),
        (cut("raw", MB), "its partition table speaks of 8388608"),
        (cut_gpt, "its partition table speaks of 8388608"),
        (cut("vpc", 100_000), "does not end as a VHD does"),
        (cut("vmdk", 100_000), "damaged or cut short"),
        (cut("vmdk", 100_000, "subformat=streamOptimized"), "File truncated"),
        (cut("vhdx", 9 * MB), "no disk that QEMU can read"),
    ],
)
def test_what_is_cut_short_is_refused(folder: Path, into: Path, make: Make, says: str) -> None:
    assert says in refused(make(folder), into)


@pytest.mark.parametrize("size", ["8E", "2049G"])
def test_a_disk_of_an_enormous_size_is_refused(folder: Path, into: Path, size: str) -> None:
    if size == "8E":
        (folder / "a.qcow2").write_bytes(disks.qcow2_header(size=(1 << 63) - 512))
        assert "no disk that QEMU can read" in refused(folder / "a.qcow2", into)
        return
    disks.qemu_img("create", "-f", "qcow2", folder / "a.qcow2", size)
    said = refused(folder / "a.qcow2", into, "sourceImageSizeExceedsLimitation")
    assert "must have 1 MB to 2048 GB" in said


def test_a_disk_that_is_none_is_told_by_name_not_by_address(folder: Path, into: Path) -> None:
    file = written("bad disk.vhdx", b"vhdxfile".ljust(MB, b"\0"))(folder)
    reason = refused(file, into)
    assert reason.startswith("bad disk.vhdx is no disk that QEMU can read: ")
    assert "/proc" not in reason
    assert "json:" not in reason
