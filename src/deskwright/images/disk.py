"""Disks made as plain files: no loop device, no mount, so no right beyond writing into a directory."""

import os
import secrets
import struct
from pathlib import Path

from deskwright.images import tools, tree

LABEL = "cloudpc"
SECTOR = 512
FIRST_SECTOR = 2048
"""Where the partition of a disk with a boot loader begins: at 1 MiB, as everywhere."""

# Said outright, so that the host's version of mke2fs does not decide: GRUB 2.06 cannot read the second.
_FEATURES = "^orphan_file,^metadata_csum_seed"


def write_file_system(root: Path, raw: Path, size_gb: int, *, first_sector: int = 0) -> None:
    """Make `raw` a sparse disk of that size, holding the tree `root` in one ext4 from that sector to its end."""
    size, offset = size_gb * 1024**3, first_sector * SECTOR
    with raw.open("wb") as file:
        file.truncate(size)
    command: list[str | Path] = [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-O", _FEATURES, "-m", "1", "-d", root),
        # The file reads as zeros already; without this, every machine would clear its inode tables when first started.
        *("-E", f"assume_storage_prezeroed=1,offset={offset}"),
        *(raw, f"{(size - offset) // 1024}k"),
    ]
    tools.run(tree.as_root(command, root), doing="writing the file system")


def write_boot_loader(raw: Path, boot: bytes, core: bytes) -> None:
    """Put GRUB for BIOS before the first partition, with an MS-DOS partition table that lists this one partition.

    `boot` is GRUB's 512-byte boot.img, which loads `core` from the sector after it, as its own installer has it.
    """
    if len(core) > (FIRST_SECTOR - 1) * SECTOR:
        raise tools.BuildFailed("writing the boot loader", [f"its core has {len(core)} bytes"])
    sectors = raw.stat().st_size // SECTOR - FIRST_SECTOR
    # Cylinder, head and sector: the values that mean "see the sector numbers". 0x83: Linux; 0x80: start from here.
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", FIRST_SECTOR, sectors)
    table = secrets.token_bytes(4) + b"\0\0" + entry + bytes(48) + b"\x55\xaa"
    with raw.open("r+b") as file:
        file.write(boot[:440] + table + core)


def to_qcow2(raw: Path, target: Path) -> None:
    # Measured on the tiny image: a third of the size for one second more, and no slower to start from.
    form = ["-O", "qcow2", "-c", "-o", "compression_type=zstd", "-m", "4"]
    tools.run(["qemu-img", "convert", "-f", "raw", *form, raw, target], doing="converting the disk to qcow2")
    with target.open("rb") as file:
        os.fsync(file.fileno())
