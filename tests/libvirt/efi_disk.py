"""A disk that starts by UEFI, with Secure Boot: Debian's shim, GRUB and kernel, all signed, and the tiny system.

It takes the place of Windows: whatever a machine of Windows has (UEFI, Secure Boot, a TPM) is there for it.
"""

import fcntl
import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path

from deskwright.images import bootstrap, disk, initramfs, tree
from deskwright.images.recipes import RECIPES, File, Recipe
from tests.images.disks import EFI_PARTITION, LINUX_PARTITION, gpt_table

_TINY = RECIPES["debian-12-tiny"]
_INITRAMFS = File("/init", "tiny/initramfs")
_ESP, _ESP_SECTORS = "boot/esp.img", 32768
_SIGNED = "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
_MENU = (
    "search --no-floppy --label cloudpc --set root\\n"
    "linux /boot/vmlinuz root=LABEL=cloudpc ro console=ttyS0 console=tty0 quiet\\n"
    "initrd /boot/initrd\\nboot\\n"
).replace(" ", "\\040")
RECIPE: Recipe = replace(
    _TINY,
    id="tiny-with-uefi",
    packages=(*_TINY.packages, "shim-signed", "grub-efi-amd64-signed", "mtools"),
    commands=(
        # The firmware looks for BOOTX64.EFI, that for grubx64.efi beside it, and that for its menu in EFI/debian.
        # Commands are run without a shell, word by word: so one word it is.
        f'awk BEGIN{{printf("{_MENU}")>"/tmp/grub.cfg"}}',
        f"mformat -C -T {_ESP_SECTORS} -h 64 -s 32 -i /{_ESP} ::",
        f"mmd -i /{_ESP} ::/EFI ::/EFI/BOOT ::/EFI/debian",
        f"mcopy -i /{_ESP} /usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI",
        f"mcopy -i /{_ESP} {_SIGNED} ::/EFI/BOOT/grubx64.efi",
        f"mcopy -i /{_ESP} /tmp/grub.cfg ::/EFI/debian/grub.cfg",
    ),
)


def bootable(kept: Path) -> Path:
    """The qcow2, built once and kept in that folder."""
    files = [bootstrap.text_of(file) for file in (*RECIPE.files, _INITRAMFS)]
    made = kept / f"{RECIPE.id}-{hashlib.sha256(repr((RECIPE, files)).encode()).hexdigest()[:12]}.qcow2"
    with (kept / f"{RECIPE.id}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            for old in kept.glob(f"{RECIPE.id}-*.qcow2"):
                old.unlink()
            with tempfile.TemporaryDirectory(dir=kept, prefix=f".{RECIPE.id}-") as making:
                _build(Path(making), kept / "cache").rename(made)
    return made


def _build(making: Path, cache: Path) -> Path:
    archive = bootstrap.root_archive(RECIPE, RECIPE.packages, cache, lambda share, doing: None)
    root, raw = making / "root", making / "disk.raw"
    tree.unpack(archive, root)
    tree.put(root, RECIPE)
    tree.generalise(root)
    esp = (root / _ESP).read_bytes()
    (root / _ESP).unlink()
    (root / "boot/vmlinuz").symlink_to(f"vmlinuz-{initramfs.kernel_version(root)}")
    initramfs.write(root / "boot/initrd", root, bootstrap.text_of(_INITRAMFS))
    first = disk.FIRST_SECTOR + _ESP_SECTORS
    disk.write_file_system(root, raw, RECIPE.size_gb, first_sector=first)
    end = raw.stat().st_size // disk.SECTOR - 1
    parts = [(EFI_PARTITION, disk.FIRST_SECTOR, first - 1), (LINUX_PARTITION, first, end)]
    size = (end + 1 + disk.FIRST_SECTOR) * disk.SECTOR  # with room for the table's second copy
    with raw.open("r+b") as file:
        file.truncate(size)
        for at, data in {**gpt_table(size, parts), disk.FIRST_SECTOR * disk.SECTOR: esp}.items():
            file.seek(at)
            file.write(data)
    disk.to_qcow2(raw, making / "disk.qcow2")
    return making / "disk.qcow2"
