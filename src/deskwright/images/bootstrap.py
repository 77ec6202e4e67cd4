"""A Debian root file system as a tar, made by mmdebstrap and kept, so that the next build downloads nothing."""

import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deskwright.images import tools
from deskwright.images.recipes import SUITE, File, Recipe

KEEP_SECONDS = 30 * 24 * 3600.0
"""After this a kept root file system is made anew, with the security updates since."""

Progress = Callable[[float, str], None]

_PATHS_LEFT_OUT = ("man", "doc", "info", "locale", "lintian")
_COUNT = re.compile(r"(\d+) newly installed")


def root_archive(recipe: Recipe, packages: tuple[str, ...], cache: Path, progress: Progress) -> Path:
    """The tar of that recipe's root file system with those packages, from `cache` or made now."""
    archive = cache / f"{recipe.id}-{_key(recipe, packages)}.tar"
    if archive.exists() and time.time() - archive.stat().st_mtime < KEEP_SECONDS:
        return archive
    downloads = cache / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    for left in cache.glob("making-*"):  # of a build that was killed; one that still runs holds its directory
        if time.time() - left.stat().st_mtime > 6 * 3600:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as making:
        made, early = Path(making, "root.tar"), Path(making, "early.tar")
        _write_early(recipe.early, early)
        command = _command(recipe, packages, downloads, early, made)
        tools.run(command, doing="mmdebstrap", each_line=_Watch(progress))
        made.replace(archive)
    return archive


def text_of(file: File) -> str:
    return (Path(__file__).with_name("files") / file.source).read_text()


def _key(recipe: Recipe, packages: tuple[str, ...]) -> str:
    parts = [SUITE, sorted(packages), list(recipe.commands), recipe.small, [[f.path, text_of(f)] for f in recipe.early]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _command(recipe: Recipe, packages: tuple[str, ...], downloads: Path, early: Path, made: Path) -> list[str]:
    return [
        *("mmdebstrap", "--variant=minbase", "--format=tar", "--verbose"),
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        f"--include={','.join(packages)}",
        # Packages downloaded once serve every image. (These words are mmdebstrap's own commands, not a shell's.)
        '--setup-hook=mkdir -p "$1/var/cache/apt/archives"',
        f"--setup-hook=sync-in {downloads} /var/cache/apt/archives",
        "--skip=essential/unlink",
        f"--essential-hook=tar-in {early} /",
        f"--customize-hook=sync-out /var/cache/apt/archives {downloads}",
        *(f'--customize-hook=chroot "$1" {shlex.join(command.split())}' for command in recipe.commands),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _PATHS_LEFT_OUT if recipe.small),
        *("--dpkgopt=path-include=/usr/share/doc/*/copyright",) * recipe.small,
        *_proxies(),
        *(SUITE, str(made), *_sources()),
    ]


def _sources() -> list[str]:
    """This machine's own sources of the release, where it is Debian's of the same name; else mmdebstrap's choice."""
    form = "$(ORIGIN)|$(CODENAME)|$(COMPONENT)|deb $(REPO_URI) $(RELEASE) main"
    asked = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    try:
        listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return []
    rows = [line.split("|", 3) for line in dict.fromkeys(listed.splitlines())]
    wanted = [(row[1], row[3]) for row in rows if row[0] == "Debian" and row[2] == "main"]
    found = [source for name, source in wanted if name in (SUITE, f"{SUITE}-updates", f"{SUITE}-security")]
    return found if any(name == SUITE for name, _ in wanted) else []


def _proxies() -> Iterator[str]:
    """The way out of this network that the machine's own apt takes. It does not stay in the image."""
    try:
        asked = ["apt-config", "dump", "--format", '%f "%v";%n', "Acquire::http", "Acquire::https"]
        listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return
    for line in listed.splitlines():
        if "::Proxy" in line and '""' not in line:
            yield f"--aptopt={line}"


def _write_early(files: tuple[File, ...], target: Path) -> None:
    with tarfile.open(target, "w") as archive:
        for file in files:
            data = text_of(file).encode()
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(data), file.mode
            archive.addfile(entry, io.BytesIO(data))


class _Watch:
    """Reads progress off mmdebstrap's and apt's lines: packages downloaded, unpacked and configured."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._expected, self._seen, self._told = 0, 0, 0.0

    def __call__(self, line: str) -> None:
        counted = _COUNT.search(line)
        if counted:
            self._expected += int(counted[1])
        if line.startswith("I: running apt-get update"):
            self._tell(0.02, "reading the list of packages")
        for begin, phase in (("Get:", "downloading"), ("Unpacking ", "unpacking"), ("Setting up ", "configuring")):
            if line.startswith(begin) and self._expected:
                self._seen += 1
                # Three lines for each package, fewer where it was downloaded before.
                self._tell(min(0.95, 0.05 + 0.9 * self._seen / (3 * self._expected)), f"{phase} packages")
        if line.startswith("I: creating tarball"):
            self._tell(0.97, "packing the file system")

    def _tell(self, share: float, doing: str) -> None:
        # How many packages there are is said in two parts: the share never goes back.
        self._told = max(self._told, share)
        self._progress(self._told, doing)
