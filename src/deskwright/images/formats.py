"""What a disk file is, by its own bytes: told before any program opens it that would follow what the file names.

qemu-img opens what a disk names as its base, its data or its parts while it only tells what the disk is, and takes the
format from what a guest may have written. So it is decided here, and a file that names others goes no further.
"""

import os
import re
import struct
from typing import BinaryIO

FORMATS = ("qcow2", "raw", "vpc", "vhdx", "vmdk")
"""As qemu-img names them; vpc is what Microsoft calls VHD."""

SECTOR = 512
_HEAD = 1 << 17
_QCOW2_DATA_FILE, _QCOW2_CORRUPT, _QCOW2_KNOWN = 1 << 2, 1 << 1, (1 << 5) - 1
_VHD = b"conectix"
_VHD_FIXED, _VHD_DIFFERENCING = 2, 4
_VMDK_DESCRIPTOR = 20 * SECTOR
_VMDK_WHOLE = ("monolithicSparse", "streamOptimized")
_EFI_PARTITION = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")
_PROTECTIVE, _EFI = 0xEE, 0xEF

# (where, these bytes, what it is): files that people take for disks, or that are disks of a format not taken.
_OTHERS = (
    (0, b"# Disk DescriptorFile", "a VMDK whose parts are other files; make one file of it: qemu-img convert"),
    (0, b"COWD", "a VMDK of an old kind; convert it first: qemu-img convert"),
    (0, b"LUKS\xba\xbe", "encrypted"),
    (0, b"QED\0", "a disk of the format QED"),
    (0, b"WithoutFreeSpace", "a disk of the format Parallels"),
    (0, b"WithouFreSpacExt", "a disk of the format Parallels"),
    (64, b"\x7f\x10\xda\xbe", "a disk of the format VDI"),
    (32769, b"CD001", "the image of a CD: install a machine from it, and import that machine's disk"),
    (0, b"MSWIM\0\0\0", "a WIM archive"),
    (257, b"ustar", "a tar archive (or OVA); unpack it first"),
    (0, b"PK\x03\x04", "a zip archive; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"\x1f\x8b", "compressed (gzip); unpack it first"),
    (0, b"\xfd7zXZ\0", "compressed (xz); unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed (zstd); unpack it first"),
    (0, b"BZh", "compressed (bzip2); unpack it first"),
)


INVALID = "sourceImageInvalid"


class Unfit(Exception):
    """The file cannot be an image; the text says which rule it breaks, `code` is that of a device image's error."""

    def __init__(self, text: str, code: str = INVALID) -> None:
        super().__init__(text)
        self.code = code


def format_of(file: BinaryIO, name: str) -> str:
    """The format of an open file, one of `FORMATS`. Raises Unfit where it has none, names other files or is cut short.

    `name` is what the texts call it.
    """
    size = file.seek(0, os.SEEK_END)
    head, tail = _part(file, 0, _HEAD), _part(file, max(0, size - SECTOR), SECTOR)
    if head.startswith(b"QFI\xfb"):
        _check_qcow2(head, name)
        return "qcow2"
    if head.startswith(b"KDMV"):
        _check_vmdk(head, name)
        return "vmdk"
    if head.startswith(b"vhdxfile"):
        return "vhdx"
    if head.startswith(_VHD):
        _check_vhd(head, tail, name)
        return "vpc"
    for where, these, what in _OTHERS:
        if head.startswith(these, where):
            raise Unfit(f"{name} is {what}")
    if _is_fixed_vhd(tail, size):
        return "vpc"
    _check_raw(head, size, name)
    return "raw"


def starts_by_uefi(head: bytes) -> bool:
    """Whether a disk that begins so has an EFI system partition: then UEFI starts it, else BIOS."""
    if head[SECTOR : SECTOR + 8] == b"EFI PART":
        (at,) = struct.unpack_from("<Q", head, SECTOR + 72)
        (count, each) = struct.unpack_from("<II", head, SECTOR + 80)
        places = range(at * SECTOR, min(len(head) - 15, at * SECTOR + min(count, 1024) * each), max(each, 128))
        return any(head[place : place + 16] == _EFI_PARTITION for place in places)
    entries = _mbr(head)
    return any(kind == _EFI for _, kind, _ in entries) and not any(active for active, _, _ in entries)


def _part(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _check_qcow2(head: bytes, name: str) -> None:
    if len(head) < 104:
        raise Unfit(f"{name} is cut short: it ends within its first lines")
    version, base = struct.unpack_from(">IQ", head, 4)
    (encryption,) = struct.unpack_from(">I", head, 32)
    features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
    if version not in (2, 3) or features & ~_QCOW2_KNOWN:
        raise Unfit(f"{name} is a qcow2 of a version or with features that are not known")
    if base:
        raise Unfit(f"{name} stands on another file; merge them first: qemu-img convert -O qcow2 FILE NEW")
    if features & _QCOW2_DATA_FILE:
        raise Unfit(f"{name} keeps its data in another file; make one file of them: qemu-img convert -O qcow2")
    if encryption:
        raise Unfit(f"{name} is encrypted")
    if features & _QCOW2_CORRUPT:
        raise Unfit(f"{name} says of itself that it is corrupt; qemu-img check may mend it")


def _check_vmdk(head: bytes, name: str) -> None:
    if len(head) < SECTOR + _VMDK_DESCRIPTOR:
        raise Unfit(f"{name} is cut short: it ends within its first lines")
    (sectors,) = struct.unpack_from("<Q", head, 12)
    # QEMU reads this text here, wherever the header says that it is.
    described = head[SECTOR : SECTOR + _VMDK_DESCRIPTOR].partition(b"\0")[0].decode(errors="replace")
    kind = re.search(r'createType\s*=\s*"([^"]*)"', described)
    if sectors == 0 or (kind and kind[1] not in _VMDK_WHOLE):
        raise Unfit(f"{name} names other files as its parts; make one file of it: qemu-img convert")
    parent = re.search(r"parentCID\s*=\s*([0-9a-fA-F]+)", described)
    # Not only in the text: QEMU looks for this one beyond its end.
    hinted = b"parentFileNameHint" in head[SECTOR : SECTOR + _VMDK_DESCRIPTOR]
    if hinted or (parent and parent[1].lower() != "ffffffff"):
        raise Unfit(f"{name} stands on another file; merge them first: qemu-img convert")


def _check_vhd(head: bytes, tail: bytes, name: str) -> None:
    if len(head) < SECTOR or not tail.startswith(_VHD):
        raise Unfit(f"{name} is cut short: it does not end as a VHD does")
    if struct.unpack_from(">I", head, 60)[0] == _VHD_DIFFERENCING:
        raise Unfit(f"{name} stands on another file; merge them first")


def _is_fixed_vhd(tail: bytes, size: int) -> bool:
    """A raw disk with a footer, which qemu-img takes for a raw disk that is a sector longer."""
    if len(tail) < SECTOR or not tail.startswith(_VHD):
        return False
    told, kind = struct.unpack_from(">Q", tail, 48)[0], struct.unpack_from(">I", tail, 60)[0]
    return bool(kind == _VHD_FIXED and told <= size - SECTOR)


def _check_raw(head: bytes, size: int, name: str) -> None:
    table = head[SECTOR : SECTOR + 8] == b"EFI PART"
    if head[510:512] != b"\x55\xaa" and not table:
        raise Unfit(f"{name} is no disk: neither a qcow2, VHD, VHDX or VMDK, nor a raw disk with a partition table")
    ends = [end for _, kind, end in _mbr(head) if kind != _PROTECTIVE]
    if table:
        ends.append(struct.unpack_from("<Q", head, SECTOR + 32)[0] + 1)  # where the table's second copy is
    if max(ends, default=0) > -(-size // SECTOR):
        raise Unfit(f"{name} is cut short: it has {size} bytes, its partition table speaks of {max(ends) * SECTOR}")


def _mbr(head: bytes) -> list[tuple[bool, int, int]]:
    """(start from here, its kind, the sector after its last) of each partition of an MS-DOS table."""
    rows = [struct.unpack_from("<B3xB3xII", head, at) for at in range(446, 510, 16)] if len(head) >= SECTOR else []
    if head[510:512] != b"\x55\xaa" or any(active not in (0, 0x80) for active, *_ in rows):
        return []  # a file system's first sector ends so, too
    return [(active == 0x80, kind, first + count) for active, kind, first, count in rows if kind]
