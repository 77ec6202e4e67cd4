"""The tiny image's initial file system: a busybox, the modules that reach the disk, and a script.

Uncompressed: unpacking costs an emulated processor more than reading two more megabytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from deskwright.images.tools import BuildFailed

# In the order they are loaded; what a kernel has built in is left out. crc32c is asked for by name when ext4 starts,
# so no dependency mentions it.
MODULES = ("crc32c_generic", "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ext4")

_DIRECTORY, _FILE = 0o040755, 0o100000


def write(target: Path, root: Path, script: str) -> None:
    """Write it for the one kernel installed under `root`, with `script` as its process 1."""
    modules = _modules(root, MODULES)
    files = {"init": script.encode(), "modules/order": "".join(f"{path.name}\n" for path in modules).encode()}
    files |= {f"modules/{path.name}": path.read_bytes() for path in modules}
    files["bin/busybox"] = (root / "bin/busybox").read_bytes()
    target.write_bytes(_archive(("bin", "dev", "modules", "proc", "root", "sys"), files))


def kernel_version(root: Path) -> str:
    """The release of the one kernel installed under `root`."""
    (modules,) = (root / "usr/lib/modules").iterdir()
    return modules.name


def _modules(root: Path, wanted: Sequence[str]) -> list[Path]:
    """The files of those modules and of all they depend on, in an order in which they can be loaded."""
    home = root / "usr/lib/modules" / kernel_version(root)
    needs: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for line in (home / "modules.dep").read_text().splitlines():
        file, _, before = line.partition(":")
        where[_name(file)] = file
        needs[file] = before.split()
    ordered: dict[str, None] = {}
    built_in = {_name(file) for file in (home / "modules.builtin").read_text().splitlines()}
    for name in wanted:
        if name in built_in:
            continue
        if name not in where:
            raise BuildFailed("writing the initial file system", [f"the kernel has no module {name}"])
        file = where[name]
        ordered |= dict.fromkeys((*reversed(needs[file]), file))
    return [home / file for file in ordered]


def _name(file: str) -> str:
    """A module's name, from its file's: there a hyphen may stand for an underscore."""
    return PurePosixPath(file).name.split(".")[0].replace("-", "_")


def _archive(directories: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    """A cpio archive in the kernel's format "newc", the same bytes each time."""
    entries: list[tuple[str, int, bytes]] = [(name, _DIRECTORY, b"") for name in directories]
    entries += [(name, _FILE | _mode(name), data) for name, data in sorted(files.items())]
    entries.append(("TRAILER!!!", 0, b""))
    return b"".join(part for number, entry in enumerate(entries, 1) for part in _entry(number, *entry))


def _mode(name: str) -> int:
    return 0o755 if name in ("init", "bin/busybox") else 0o644


def _entry(number: int, name: str, mode: int, data: bytes) -> Iterator[bytes]:
    path = name.encode() + b"\0"
    # inode, mode, owner, group, links, time, size, device (2), device of a special file (2), length of name, check
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields)
    yield header + path + b"\0" * (-(len(header) + len(path)) % 4)
    yield data + b"\0" * (-len(data) % 4)
