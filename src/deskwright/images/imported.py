"""Bringing in an image that somebody else made: a disk file of a known format becomes an image like those built here.

A disk file can name other files to read: a base below it, parts beside it. Whoever sends one must not read what this
machine has, so such files are refused, and only what lies in the folder for imports is opened at all.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deskwright.images import process, tools
from deskwright.images.build import MANIFEST, Built, built

FORMATS = ("qcow2", "raw", "vpc", "vhdx", "vmdk")
"""As qemu-img names them; vpc is what Microsoft calls VHD."""
LARGEST_GB = 2048
_GB = 1024**3
_PERCENT = re.compile(rb"\(\s*([0-9.]+)/100%\)")
_EFI_PARTITION = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_OS_FAMILY = "DESKWRIGHT_IMPORT_OS_FAMILY"


class Unfit(Exception):
    """The file cannot be an image; the text says which rule it breaks."""


def file_of(uri: str, folder: Path) -> Path:
    """The file that a source's address names. Raises Unfit unless it lies in the folder for imports."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise Unfit(f"only files in {folder} can be imported, not {parts.scheme or parts.netloc}:")
    named = Path(unquote(parts.path) if parts.scheme else uri)
    file = (folder / named).resolve()  # links are followed before the place is looked at
    if folder.resolve() not in file.parents:
        raise Unfit(f"only files in {folder} can be imported")
    if not file.is_file():
        raise Unfit(f"there is no file {named.name} in {folder}")
    return file


def start(file: Path, into: Path, os_family: str) -> None:
    """Convert in a process of its own, as `process.start` builds."""
    tools.require("qemu-img")
    os.environ[_OS_FAMILY] = os_family  # inherited
    process.start(str(file), into, program=(sys.executable, "-m", "deskwright.images.imported"))


def look_at(file: Path) -> dict[str, Any]:
    """What qemu-img says of the file. Raises Unfit."""
    command = [_qemu_img(), "info", "--output=json", str(file)]
    done = subprocess.run(command, capture_output=True, timeout=60)  # noqa: S603 - our own program
    if done.returncode != 0:
        raise Unfit(f"{file.name} is no disk that QEMU can read: {done.stderr.decode(errors='replace').strip()[:200]}")
    told: dict[str, Any] = json.loads(done.stdout)
    if told["format"] not in FORMATS:
        raise Unfit(f"{file.name} has the format {told['format']}; it must be one of: {', '.join(FORMATS)}")
    data = told.get("format-specific", {}).get("data", {})
    if told.get("backing-filename") or told.get("full-backing-filename"):
        raise Unfit(f"{file.name} stands on another file; merge them first: qemu-img convert -O qcow2 {file.name} NEW")
    if data.get("data-file") or data.get("encrypt") or told.get("encrypted"):
        raise Unfit(f"{file.name} is encrypted, or keeps its data in another file")
    parts = [str(extent.get("filename")) for extent in data.get("extents", [])]
    if any(Path(part).resolve() != file.resolve() for part in parts):
        raise Unfit(f"{file.name} names other files as its parts; make one file of it: qemu-img convert")
    if told["virtual-size"] > LARGEST_GB * _GB or told["virtual-size"] < 1 << 20:
        raise Unfit(f"{file.name} is a disk of {told['virtual-size']} bytes; at most {LARGEST_GB} GB are taken")
    return told


def import_file(
    name: str,
    into: Path,
    progress: Callable[[float, str], None],
    *,
    cache: Path | None = None,
    add: tuple[str, ...] = (),
) -> Built:
    """Make an image of the file `name` in the directory `into`, which appears complete or not at all. Raises Unfit."""
    del cache, add
    existing = built(into)
    if existing:
        return existing
    file = Path(name)
    told = look_at(file)
    into.parent.mkdir(parents=True, exist_ok=True)
    making = into.with_name(f".{into.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        disk = making / "disk.qcow2"
        _convert(file, told["format"], disk, lambda share: progress(0.9 * share, "converting the disk"))
        progress(0.92, "computing the checksum")
        made = Built(
            disk=disk,
            kernel=None,
            initrd=None,
            command_line="",
            size_gb=max(1, -(-told["virtual-size"] // _GB)),
            os_family=os.environ.get(_OS_FAMILY, "linux"),
            firmware="uefi" if _has_efi_partition(disk) else "bios",
            sha256=_checksum(disk),
        )
        (making / MANIFEST).write_text(made.as_json())
        making.rename(into)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    progress(1.0, "done")
    return replace(made, disk=into / "disk.qcow2")


def _convert(file: Path, form: str, target: Path, told: Callable[[float], None]) -> None:
    # Its format is said outright: a raw disk whose guest wrote another format's header would else be read as that.
    command = [_qemu_img(), "convert", "-p", "-f", form, "-O", "qcow2", str(file), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:  # noqa: S603
        assert running.stdout is not None
        assert running.stderr is not None
        while said := os.read(running.stdout.fileno(), 4096):
            for percent in _PERCENT.findall(said)[-1:]:
                told(float(percent) / 100)
        error = running.stderr.read().decode(errors="replace").strip()
    if running.returncode != 0:
        raise Unfit(f"it could not be converted: {error[-300:]}")


def _has_efi_partition(disk: Path) -> bool:
    """Whether the disk has a GUID partition table with an EFI system partition: then UEFI starts it."""
    head = disk.with_suffix(".head")
    command = [_qemu_img(), "dd", "-f", "qcow2", "-O", "raw", "bs=512", "count=34", f"if={disk}", f"of={head}"]
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    raw = head.read_bytes()
    head.unlink()
    if raw[512:520] != b"EFI PART":
        return False
    (size,) = struct.unpack_from("<I", raw, 512 + 84)
    entries = [raw[at : at + 16] for at in range(1024, len(raw) - 127, max(size, 128))]
    return _EFI_PARTITION in entries


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _qemu_img() -> str:
    return shutil.which("qemu-img", path=tools.path()) or "qemu-img"


def main(arguments: list[str]) -> int:
    """``python -m deskwright.images.imported FILE --into DIR``; the exit code: 0 done, 1 refused, 3 it runs already."""
    file, _, into, *_ = arguments
    try:
        process.run(file, Path(into), make=import_file)
    except process.AlreadyRunning:
        return 3
    except (Unfit, tools.MissingTools) as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
