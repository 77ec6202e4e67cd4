"""Building a gallery image: packages to a tree, the tree to a disk, all in a directory that appears complete.

download   mmdebstrap makes a root file system of Debian's packages (kept: see bootstrap)
unpack     its tree, with the recipe's files, and without what must not be the same in two machines
disk       ext4 made from the tree, a boot loader where the recipe wants one, qcow2
publish    the finished directory takes its name in one rename
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deskwright.images import bootstrap, disk, initramfs, tools, tree
from deskwright.images.recipes import RECIPES, File, Recipe

Progress = Callable[[float, str], None]

MANIFEST = "manifest.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Built:
    """A finished image. `kernel` and `initrd` are there where it is started by a kernel from outside its disk."""

    disk: Path
    kernel: Path | None
    initrd: Path | None
    command_line: str
    size_gb: int
    os_family: str
    firmware: str
    sha256: str
    """Of the disk file."""
    recipe: str = ""
    """Which recipe it was made by, and what that said: ``id:digest``."""

    def as_json(self) -> str:
        """The manifest: files by name, so that the directory can be moved."""
        values = asdict(self)
        for name in ("disk", "kernel", "initrd"):
            values[name] = values[name] and values[name].name
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, directory: Path) -> "Built":
        values: dict[str, Any] = json.loads(text)
        for name in ("disk", "kernel", "initrd"):
            values[name] = values[name] and directory / values[name]
        return cls(**values)


def built(into: Path) -> Built | None:
    """The image in that directory, or None: also where its recipe has become another since it was built."""
    try:
        found = Built.from_json((into / MANIFEST).read_text(), into)
    except FileNotFoundError:
        return None
    recipe = RECIPES.get(found.recipe.partition(":")[0])
    return found if recipe is None or found.recipe == _stamp(recipe) else None


def _stamp(recipe: Recipe) -> str:
    digest = hashlib.sha256(repr(recipe).encode())
    for file in (*recipe.early, *recipe.files):
        digest.update((Path(__file__).with_name("files") / file.source).read_bytes())
    return f"{recipe.id}:{digest.hexdigest()[:16]}"


def programs() -> tuple[str, ...]:
    """What must be installed to build; who is not root needs two more, to write files that root will own."""
    for_others = () if os.geteuid() == 0 else ("fakeroot", "newuidmap")
    return ("mmdebstrap", "mke2fs", "qemu-img", "tar", "setpriv", *for_others)


def build(
    recipe_id: str, into: Path, progress: Progress, *, cache: Path | None = None, add: tuple[str, ...] = ()
) -> Built:
    """Build that image in the directory `into`, which appears complete or not at all.

    An image that is there already is returned as it is: machines may run on it. `cache` keeps packages and root file
    systems (beside `into` unless given); `add` are further packages. `progress` is told a fraction from 0 to 1 and
    what is being done. Raises MissingTools and BuildFailed.
    """
    existing = built(into)
    if existing:
        return existing
    recipe = RECIPES[recipe_id]
    tools.require(*programs())
    into.parent.mkdir(parents=True, exist_ok=True)
    making = into.with_name(f".{into.name}.making")
    shutil.rmtree(making, ignore_errors=True)  # of a build that was killed
    making.mkdir()
    try:
        made = _build(recipe, making, cache or into.with_name("cache"), progress, add)
        (making / MANIFEST).write_text(made.as_json())
        shutil.rmtree(into, ignore_errors=True)  # by what the recipe said before; hosts have copies of their own
        making.rename(into)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    progress(1.0, "done")
    return Built.from_json(made.as_json(), into)


def _build(recipe: Recipe, making: Path, cache: Path, progress: Progress, add: tuple[str, ...]) -> Built:
    packages = (*recipe.packages, *add)
    archive = bootstrap.root_archive(recipe, packages, cache, lambda share, doing: progress(0.75 * share, doing))
    progress(0.75, "unpacking the file system")
    root, raw, target = making / "root", making / "disk.raw", making / "disk.qcow2"
    tree.unpack(archive, root)
    tree.put(root, recipe)
    tree.generalise(root)
    made = Built(
        disk=target,
        kernel=None,
        initrd=None,
        command_line=recipe.command_line,
        size_gb=recipe.size_gb,
        os_family="linux",
        firmware="bios",
        sha256="",
    )
    if recipe.boot == "kernel":
        made = _with_kernel(made, making, root)
    else:
        tree.put_grub_menu(root, initramfs.kernel_version(root), recipe.command_line)
    progress(0.82, "writing the file system")
    first = 0 if recipe.boot == "kernel" else disk.FIRST_SECTOR
    disk.write_file_system(root, raw, recipe.size_gb, first_sector=first)
    if recipe.boot == "grub":
        grub = root / "boot/grub/i386-pc"
        disk.write_boot_loader(raw, (grub / "boot.img").read_bytes(), (grub / "core.img").read_bytes())
    progress(0.9, "converting the disk")
    disk.to_qcow2(raw, target)
    raw.unlink()
    tree.remove(root)
    progress(0.97, "computing the checksum")
    return replace(made, sha256=_checksum(target), recipe=_stamp(recipe))


def _with_kernel(made: Built, making: Path, root: Path) -> Built:
    kernel, initrd = making / "vmlinuz", making / "initrd"
    shutil.copyfile(root / "boot" / f"vmlinuz-{initramfs.kernel_version(root)}", kernel)
    initramfs.write(initrd, root, bootstrap.text_of(File("/init", "tiny/initramfs")))
    return replace(made, kernel=kernel, initrd=initrd)


def _checksum(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
