"""A small disk that starts by itself, as somebody else might send it, and what may be wrong with such a disk."""

import fcntl
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deskwright.images import bootstrap, disk, initramfs, tools, tree
from deskwright.images.recipes import RECIPES, File, Recipe

_TINY, _SERVER = RECIPES["debian-12-tiny"], RECIPES["debian-12-server"]
_INITRAMFS = File("/init", "tiny/initramfs")
RECIPE: Recipe = replace(
    _TINY,
    id="tiny-with-grub",
    boot="grub",
    packages=(*_TINY.packages, "grub-pc-bin", "grub2-common"),
    commands=_SERVER.commands,
)


def bootable(kept: Path) -> Path:
    """A qcow2 with a partition table, GRUB and the tiny system; built once and kept in that folder."""
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
    kernel = initramfs.kernel_version(root)
    initramfs.write(root / "boot" / f"initrd.img-{kernel}", root, bootstrap.text_of(_INITRAMFS))
    tree.put_grub_menu(root, kernel, RECIPE.command_line)
    disk.write_file_system(root, raw, RECIPE.size_gb, first_sector=disk.FIRST_SECTOR)
    grub = root / "boot/grub/i386-pc"
    disk.write_boot_loader(raw, (grub / "boot.img").read_bytes(), (grub / "core.img").read_bytes())
    disk.to_qcow2(raw, making / "disk.qcow2")
    return making / "disk.qcow2"


def in_format(source: Path, target: Path, form: str) -> Path:
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", form, source, target], check=True)
    return target


def with_files(source: Path, target: Path, files: Mapping[str, str]) -> Path:
    """The disk as raw, with these files put into it as whoever prepared it would have left them."""
    in_format(source, target, "raw")
    place = f"{target}?offset={disk.FIRST_SECTOR * disk.SECTOR}"
    with tempfile.TemporaryDirectory() as directory:
        content = Path(directory, "content")
        for path, text in files.items():
            content.write_text(text)
            for command in (f"rm {path}", f"write {content} {path}", f"sif {path} mode 0100755"):
                subprocess.run(
                    ["debugfs", "-w", "-R", command, place], check=True, capture_output=True, env={"PATH": tools.path()}
                )
    return target


def empty(target: Path, size: str = "1G") -> Path:
    """A disk of zeros, of which only a trial shows that it starts nothing."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, size], check=True)
    return target
