"""Disk files for tests of importing: small ones that a firmware could start, in every format, and hostile ones."""

import struct
import subprocess
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

MB = 1 << 20
SIZE = 8 * MB
EFI_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
LINUX_PARTITION = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")

# As qemu-img convert makes them: (name, its format, options).
MADE = (
    ("disk.qcow2", "qcow2", ""),
    ("old.qcow2", "qcow2", "compat=0.10"),
    ("zstd.qcow2", "qcow2", "compression_type=zstd"),
    ("disk.raw", "raw", ""),
    ("disk.vhd", "vpc", ""),
    ("exact.vhd", "vpc", "subformat=fixed,force_size=on"),
    ("disk.vhdx", "vhdx", ""),
    ("disk.vmdk", "vmdk", ""),
    ("stream.vmdk", "vmdk", "subformat=streamOptimized"),
)


def qemu_img(*words: str | Path) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)


def mbr(target: Path, size: int = SIZE, kind: int = 0x83, active: int = 0x80) -> Path:
    """A raw disk with an MS-DOS partition table: one partition, some of it written."""
    entry = struct.pack("<B3sB3sII", active, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", 2048, size // 512 - 2048)
    return _written(target, size, {0: b"\xeb\xfe" + bytes(444) + entry + bytes(48) + b"\x55\xaa"})


def gpt(target: Path, kind: uuid.UUID = EFI_PARTITION, size: int = SIZE, entries_at: int = 2) -> Path:
    """A raw disk with a GUID partition table: one partition of that kind, some of it written."""
    return _written(target, size, gpt_table(size, [(kind, 2048, size // 512 - 41)], entries_at))


def gpt_table(size: int, partitions: Sequence[tuple[uuid.UUID, int, int]], entries_at: int = 2) -> dict[int, bytes]:
    """A GUID partition table: what stands where on a disk of that size. partitions: kind, first and last sector."""
    last = size // 512 - 1
    entries = b"".join(
        struct.pack("<16s16sQQQ72s", kind.bytes_le, uuid.uuid4().bytes_le, first, end, 0, b"x\0")
        for kind, first, end in partitions
    ).ljust(128 * 128, b"\0")

    def header(at: int, other: int, table: int) -> bytes:
        fields = (at, other, 34, last - 34, uuid.uuid4().bytes_le, table, 128, 128, zlib.crc32(entries))
        plain = b"EFI PART" + struct.pack("<IIII", 0x10000, 92, 0, 0) + struct.pack("<QQQQ16sQIII", *fields)
        return plain[:16] + struct.pack("<I", zlib.crc32(plain)) + plain[20:]

    protective = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, last)
    return {
        0: bytes(446) + protective + bytes(48) + b"\x55\xaa",
        512: header(1, last, entries_at),
        512 * entries_at: entries,
        512 * (last - 32): entries,
        512 * last: header(last, 1, last - 32),
    }


def in_format(raw: Path, target: Path, form: str, options: str = "") -> Path:
    qemu_img("convert", "-f", "raw", "-O", form, *(("-o", options) if options else ()), raw, target)
    return target


def qcow2_header(*, backing: bytes = b"", encryption: int = 0, features: int = 0, size: int = SIZE) -> bytes:
    """The first cluster of a qcow2 (version 3), as an attacker writes it by hand."""
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, 16, size, encryption, 1, 0x30000, 0x10000, 1, 0, 0)
    head += struct.pack(">QQQII", features, 0, 0, 4, 112) + bytes(8)
    if backing:
        head = head[:8] + struct.pack(">QI", 512, len(backing)) + head[20:]
    return (head.ljust(512, b"\0") + backing).ljust(0x40000, b"\0")


def vmdk_sparse(described: str, *, sectors: int = SIZE // 512) -> bytes:
    """A VMDK with that text in it. With no sectors QEMU goes by the text alone."""
    head = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 1, 3, sectors, 128, 1, 20, 512, 21, 26, 128, 0, b"\n \r\n", 0)
    return (head.ljust(512, b"\0") + described.encode()).ljust(128 * 512, b"\0")


def vhd_header(kind: int) -> bytes:
    """A VHD that begins and ends with its footer, of that kind: 2 fixed, 3 dynamic, 4 differencing."""
    footer = (b"conectix".ljust(60, b"\0") + struct.pack(">I", kind)).ljust(512, b"\0")
    return footer + bytes(4096) + footer


def _written(target: Path, size: int, parts: dict[int, bytes]) -> Path:
    with target.open("wb") as file:
        file.truncate(size)
        for at, data in {**parts, MB: b"some data\n" * 30_000}.items():
            file.seek(at)
            file.write(data)
    return target
