"""A build appears complete or not at all, downloads once, and says what is missing."""

import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest

from deskwright.images import check, disk, tools, tree
from deskwright.images.build import Built, build, built
from deskwright.images.recipes import RECIPES
from deskwright.images.tools import BuildFailed, MissingTools
from tests.images.parts import VERSION, needs_tools, program, root_archive, stand_in_for_mmdebstrap


def silent(fraction: float, doing: str) -> None:
    pass


def test_the_manifest_is_read_back_wherever_its_directory_is(tmp_path: Path) -> None:
    there = tmp_path / "there"
    image = Built(there / "disk.qcow2", there / "vmlinuz", None, "quiet", 2, "linux", "bios", "ab" * 32)
    assert Built.from_json(image.as_json(), there) == image
    assert Built.from_json(image.as_json(), tmp_path).disk == tmp_path / "disk.qcow2"


def test_missing_tools_are_named_with_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "path", lambda: str(tmp_path))
    with pytest.raises(MissingTools) as caught:
        build("debian-12-tiny", tmp_path / "images" / "tiny", silent)
    assert {"mmdebstrap", "mke2fs", "qemu-img"} <= set(caught.value.programs)
    assert "sudo apt install --no-install-recommends mmdebstrap e2fsprogs qemu-utils" in str(caught.value)
    assert not (tmp_path / "images").exists()


@needs_tools
def test_an_image_appears_with_its_manifest(bin_directory: Path, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    into = tmp_path / "images" / "tiny"
    image = build("debian-12-tiny", into, lambda fraction, doing: told.append((fraction, doing)))
    assert image == built(into)
    assert {path.name for path in into.iterdir()} == {"disk.qcow2", "vmlinuz", "initrd", "manifest.json"}
    assert image.sha256 == hashlib.sha256(image.disk.read_bytes()).hexdigest()
    assert image.kernel is not None
    assert image.kernel.read_text() == "a kernel\n"
    shares = [fraction for fraction, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", image.disk]))
    assert (info["format"], info["virtual-size"]) == ("qcow2", 2 * 1024**3)


@needs_tools
def test_the_initial_file_system_loads_modules_in_an_order_that_works(bin_directory: Path, tmp_path: Path) -> None:
    image = build("debian-12-tiny", tmp_path / "tiny", silent)
    assert image.initrd is not None
    data = image.initrd.read_bytes()
    begin = data.index(b"modules/order\0")
    listed = data[begin + 14 :].lstrip(b"\0").split(b"070701")[0].rstrip(b"\0").decode().split()
    # What is built in is left out; each module comes after what it needs.
    assert listed == ["virtio.ko", "ring.ko", "virtio-pci.ko", "virtio_blk.ko", "virtio_scsi.ko", "ext4.ko"]


@needs_tools
def test_the_same_root_is_not_downloaded_twice_and_other_packages_are(bin_directory: Path, tmp_path: Path) -> None:
    build("debian-12-tiny", tmp_path / "one", silent)
    build("debian-12-tiny", tmp_path / "two", silent)
    calls = (bin_directory / "calls").read_text().splitlines()
    assert len(calls) == 1
    build("debian-12-tiny", tmp_path / "three", silent, add=("adcli",))
    calls = (bin_directory / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert ",adcli" in calls[1]


@needs_tools
def test_an_image_that_is_there_stays_as_it_is(bin_directory: Path, tmp_path: Path) -> None:
    first = build("debian-12-tiny", tmp_path / "tiny", silent)
    written = first.disk.stat().st_mtime_ns
    assert build("debian-12-tiny", tmp_path / "tiny", silent) == first
    assert first.disk.stat().st_mtime_ns == written


@needs_tools
@pytest.mark.parametrize("failing", ["mmdebstrap", "mke2fs", "qemu-img"])
def test_where_a_program_fails_nothing_appears(bin_directory: Path, tmp_path: Path, failing: str) -> None:
    program(bin_directory, failing, "seq -f 'line %g' 100; echo 'no space left' >&2; exit 1")
    into = tmp_path / "images" / "tiny"
    with pytest.raises(BuildFailed) as caught:
        build("debian-12-tiny", into, silent)
    assert caught.value.last_lines[-1] == "no space left"
    assert len(caught.value.last_lines) == tools.LAST_LINES
    assert [path.name for path in into.parent.iterdir()] == ["cache"]
    assert not list((into.parent / "cache").glob("making-*"))


@needs_tools
def test_a_root_with_a_password_is_refused(bin_directory: Path, tmp_path: Path) -> None:
    stand_in_for_mmdebstrap(bin_directory, root_archive(tmp_path / "open.tar", etc__shadow="root::1::::::\n"))
    with pytest.raises(BuildFailed, match="root has a password"):
        build("debian-12-tiny", tmp_path / "tiny", silent)


@needs_tools
def test_what_is_built_is_generalised(bin_directory: Path, tmp_path: Path) -> None:
    image = build("debian-12-tiny", tmp_path / "tiny", silent)
    assert check.findings(image.disk, tmp_path) == []


@needs_tools
def test_secrets_and_traces_are_gone_whoever_they_are_linked_to(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree.unpack(root_archive(tmp_path / "root.tar"), root)
    (root / "etc/xrdp").mkdir()
    for name, to in (("key.pem", "/etc/ssl/private/ssl-cert-snakeoil.key"), ("cert.pem", "/etc/passwd")):
        (root / "etc/xrdp" / name).symlink_to(to)
    tree.generalise(root)
    assert list((root / "etc/xrdp").iterdir()) == []
    assert list((root / "etc/ssh").iterdir()) == []
    assert (root / "etc/machine-id").read_text() == ""
    assert (root / "etc/hostname").read_text() == "localhost\n"
    assert (root / "etc/resolv.conf").read_text() == ""
    # Emptied, and still there: who writes to it may not make it.
    assert (root / "var/log/dpkg.log").read_text() == ""
    # Nothing of the network it was built in, and no source but Debian's own.
    told = [path for path in root.rglob("*") if path.is_file() and "192.0.2.1" in path.read_text()]
    assert told == []
    assert (root / "etc/apt/sources.list").read_text() == tree.SOURCES


def test_no_file_is_written_through_a_link_out_of_the_image(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (root / "sbin").symlink_to(outside)
    with pytest.raises(BuildFailed, match="leads out of the image"):
        tree.put(root, RECIPES["debian-12-tiny"])
    assert list(outside.iterdir()) == []


@needs_tools
@pytest.mark.parametrize("with_partition", [False, True])
def test_what_is_not_generalised_is_found_from_outside(tmp_path: Path, with_partition: bool) -> None:
    root, raw = tmp_path / "root", tmp_path / "disk.raw"
    for path, text in {
        "etc/passwd": "root:x:0:0:::/bin/sh\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/ssh/ssh_host_rsa_key": "a key\n",
        "etc/shadow": "root:$y$abc:1::::::\nanna:*:1::::::\n",
        "etc/krb5.keytab": "keys\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    disk.write_file_system(root, raw, 1, first_sector=disk.FIRST_SECTOR if with_partition else 0)
    if with_partition:
        disk.write_boot_loader(raw, bytes(512), bytes(40_000))
    disk.to_qcow2(raw, tmp_path / "disk.qcow2")
    assert [line.split(" ", 1)[0] for line in check.findings(tmp_path / "disk.qcow2", tmp_path)] == [
        "/etc/machine-id",
        "/etc/ssh/ssh_host_rsa_key",
        "the",  # account root
        "/etc/krb5.keytab",
    ]


@needs_tools
def test_a_disk_without_a_file_system_is_not_called_generalised(tmp_path: Path) -> None:
    (tmp_path / "empty.raw").write_bytes(bytes(1 << 20))
    disk.to_qcow2(tmp_path / "empty.raw", tmp_path / "empty.qcow2")
    with pytest.raises(BuildFailed, match="no ext4 file system"):
        check.findings(tmp_path / "empty.qcow2", tmp_path)


def test_the_boot_loader_lies_before_the_one_partition(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(10 << 20)
    disk.write_boot_loader(raw, b"B" * 512, b"C" * 1000)
    begin = raw.read_bytes()[:2048]
    assert begin[:440] == b"B" * 440
    assert begin[510:512] == b"\x55\xaa"
    assert begin[512:1512] == b"C" * 1000
    assert struct.unpack_from("<II", begin, 446 + 8) == (2048, 10 * 2048 - 2048)


def test_a_core_that_would_reach_into_the_partition_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed):
        disk.write_boot_loader(tmp_path / "disk.raw", bytes(512), bytes(1 << 20))


@needs_tools
def test_a_program_is_run_by_arguments_not_by_a_shell(tmp_path: Path) -> None:
    assert tools.run(["echo", "$HOME; `id`"], doing="x") == "$HOME; `id`"
    assert VERSION in tools.run(["echo", VERSION], doing="x", environment={"A": os.devnull})
