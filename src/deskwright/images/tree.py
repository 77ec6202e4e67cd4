"""The tree of an image before it becomes a disk: unpacked, given its own files, and generalised.

Where this does not run as root, fakeroot remembers the owners of files; what it remembers lies beside the tree.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from deskwright.images import bootstrap, tools
from deskwright.images.recipes import SUITE, Recipe

SOURCES = f"""\
deb http://deb.debian.org/debian {SUITE} main
deb http://deb.debian.org/debian {SUITE}-updates main
deb http://deb.debian.org/debian-security {SUITE}-security main
"""

# What would be the same in every machine made from the image, or tells of the machine it was built on.
SECRETS = (
    "etc/ssh/ssh_host_*",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    "etc/xrdp/rsakeys.ini",
    "etc/xrdp/key.pem",
    "etc/xrdp/cert.pem",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/dbus/machine-id",
)
TRACES = (
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/apt/sources.list.d/*",
    "var/lib/apt/lists/*",
    "var/cache/apt/*.bin",
    "var/cache/apt/archives/*.deb",
    "var/cache/debconf/*-old",
    "var/lib/cloud/*",
    "etc/*-",
    "tmp/*",
    "run/*",
)
LOCKED = ("*", "!", "!*", "!!")
"""What stands for a password in /etc/shadow where none opens the account."""


def as_root(command: Sequence[str | Path], root: Path) -> list[str | Path]:
    """The command as it must be run to see and set the owners of files in the tree."""
    if os.geteuid() == 0:
        return list(command)
    memory = root.with_suffix(".owners")
    return ["fakeroot", *(("-i", memory) if memory.exists() else ()), "-s", memory, "--", *command]


def unpack(archive: Path, root: Path) -> None:
    root.mkdir()
    # Devices are the kernel's to make; file capabilities only root may set.
    capabilities = ["--xattrs", "--xattrs-include=security.capability"] if os.geteuid() == 0 else []
    command: list[str | Path] = [
        "tar",
        "-xf",
        archive,
        "-C",
        root,
        "--numeric-owner",
        "--exclude=./dev/*",
        *capabilities,
    ]
    tools.run(as_root(command, root), doing="unpacking the file system")


def put(root: Path, recipe: Recipe) -> None:
    """The recipe's own files and links."""
    for file in recipe.files:
        place = _place(root, file.path)
        place.write_text(bootstrap.text_of(file))
        place.chmod(file.mode)
    for link in recipe.links:
        _place(root, link.path).symlink_to(link.to)


def put_grub_menu(root: Path, version: str, command_line: str) -> None:
    """The first menu of the boot loader: start that kernel at once."""
    menu = (Path(__file__).with_name("files") / "grub.cfg").read_text()
    text = menu.replace("{version}", version).replace("{command_line}", command_line)
    _place(root, "/boot/grub/grub.cfg").write_text(text)


def generalise(root: Path) -> None:
    """Take out what a machine must have for itself, and what the machine that builds left behind."""
    for pattern in (*SECRETS, *TRACES):
        for found in list(_matching(root, pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()
    for directory, _, names in os.walk(root / "var/log"):
        for log in (Path(directory, name) for name in names):
            if log.is_file() and not log.is_symlink():
                # Emptied, not removed: some programs may write to their log but not make it.
                os.truncate(log, 0)
    _place(root, "/etc/machine-id").write_text("")
    _place(root, "/etc/hostname").write_text("localhost\n")
    _place(root, "/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    _place(root, "/etc/apt/sources.list").write_text(SOURCES)
    if (root / "var/lib/dbus").is_dir():
        _place(root, "/var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    if not (root / "etc/resolv.conf").is_symlink():
        _place(root, "/etc/resolv.conf").write_text("")
    shadow = dict(line.split(":")[:2] for line in (root / "etc/shadow").read_text().splitlines())
    if shadow["root"] not in LOCKED:
        raise tools.BuildFailed("generalising the image", ["root has a password"])


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    """What the pattern names in the tree; not Path.glob, which asks the machine that builds where a link leads."""
    directory, _, name = pattern.rpartition("/")
    place = (root / directory).resolve()
    if place.is_dir() and place.is_relative_to(root.resolve()):
        yield from (found for found in place.iterdir() if fnmatch(found.name, name))


def remove(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)


def _place(root: Path, path: str) -> Path:
    """Where that file of the image lies in the tree; whatever is there is removed, and no link out is followed."""
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    parent = place.parent.resolve()
    if not parent.is_relative_to(root.resolve()):
        raise tools.BuildFailed("writing the image's files", [f"{path} leads out of the image"])
    place = parent / place.name
    if place.is_symlink() or place.is_file():
        place.unlink()
    return place
