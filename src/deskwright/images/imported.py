"""Bringing in an image that somebody else made: a disk file of a known format becomes an image like those built here.

A disk file can name other files to read: a base below it, parts beside it. Whoever sends one must not read what this
machine has. So only what lies in the folder for imports is opened, once; `formats` refuses what names other files; and
qemu-img is told format and file outright, by descriptor, so that no name can be read as an address.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from deskwright.domain.image_errors import IMAGE_ERRORS
from deskwright.images import formats, process, tools
from deskwright.images.build import MANIFEST, Built, built
from deskwright.images.formats import Unfit

LARGEST_GB = 2048
BROUGHT = "brought"
"""The part of the folder for imports whose files are taken away again when they are not needed any more."""
KEEP_FREE_GB = 1
"""So much room a conversion leaves: a file of a few megabytes may become any size."""
LOOK_SECONDS = 60.0
"""qemu-img needs a moment to tell what a disk is, unless somebody made it so that it does not."""
CHECK_SECONDS = 1800.0

NOT_FOUND = "sourceImageNotFound"
_TOO_LARGE, _SITE_FAILED = "sourceImageSizeExceedsLimitation", "internalServerError"

_GB = 1024**3
_MEMORY = 4 * _GB
_SLACK = 1 << 20
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|file:")
_PERCENT = re.compile(r"\(\s*([0-9.]+)/100%\)")
_FIRST_SECTORS = 34


def file_of(uri: str, folder: Path) -> Path:
    """The file that a source's address names. Raises Unfit unless it lies in the folder for imports."""
    rule = f"only files in {folder} can be imported"
    try:
        parts = urlsplit(uri if _SCHEME.match(uri) else "")
        if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
            raise Unfit(f"{rule}, not from {parts.scheme}://{parts.netloc}", NOT_FOUND)
        named = Path(unquote(parts.path) if parts.scheme else uri)
        file = (folder / named).resolve()  # links are followed before the place is looked at
        if folder.resolve() not in file.parents:
            raise Unfit(rule, NOT_FOUND)
        if not file.is_file():
            raise Unfit(f"there is no file {named.name} in {folder}", NOT_FOUND)
    except (OSError, RuntimeError, ValueError) as wrong:  # too long, links in a circle, no name at all
        raise Unfit(f"{rule}; {uri[:100]!r} names none", NOT_FOUND) from wrong
    return file


def drop(uri: str, folder: Path) -> None:
    """Take a file away that was brought for one import; what people put there themselves stays."""
    try:
        file = file_of(uri, folder)
    except Unfit:
        return
    if file.parent == (folder / BROUGHT).resolve():
        file.unlink(missing_ok=True)


def start(file: Path, into: Path, os_family: str) -> None:
    """Convert in a process of its own, as `process.start` builds."""
    program = (sys.executable, "-m", "deskwright.images.imported", os_family)
    process.start(str(file), into, program=program, needs=("qemu-img", "setpriv"))


def import_file(
    name: str,
    into: Path,
    progress: Callable[[float, str], None],
    *,
    os_family: str = "linux",
    cache: Path | None = None,
    add: tuple[str, ...] = (),
) -> Built:
    """Make an image of the file `name` in the directory `into`, which appears complete or not at all. Raises Unfit."""
    del cache, add
    existing = built(into)
    if existing:
        return existing
    with _opened(Path(name)) as file:
        progress(0.0, "looking at the file")
        disk = _Disk(file, Path(name).name)
        into.parent.mkdir(parents=True, exist_ok=True)
        making = into.with_name(f".{into.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        try:
            made = _make(disk, making, os_family, progress)
            making.rename(into)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    progress(1.0, "done")
    return replace(made, disk=into / made.disk.name)


def _make(disk: "_Disk", making: Path, os_family: str, progress: Callable[[float, str], None]) -> Built:
    target = making / "disk.qcow2"

    def tell(share: float) -> None:
        if not making.exists():
            raise Unfit("it was deleted meanwhile")
        progress(0.05 + 0.85 * share, "converting the disk")

    disk.convert(target, tell)
    progress(0.92, "computing the checksum")
    made = Built(
        disk=target,
        kernel=None,
        initrd=None,
        command_line="",
        size_gb=max(1, -(-disk.size // _GB)),
        os_family=os_family,
        firmware="uefi" if formats.starts_by_uefi(_first_sectors(target)) else "bios",
        sha256=_checksum(target),
    )
    (making / MANIFEST).write_text(made.as_json())
    return made


class _Disk:
    """A file that was looked at, and found to be a whole disk of a known format that stands alone."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        form = formats.format_of(file, name)
        # By this descriptor it is the file that was looked at, whatever has its name by now.
        told: dict[str, Any] = {
            "driver": form,
            "file": {"driver": "file", "filename": f"/proc/{os.getpid()}/fd/{file.fileno()}"},
        }
        if form == "qcow2":
            told["backing"] = None
        self._source = f"json:{json.dumps(told)}"
        self.size = self._look()
        if form in ("qcow2", "vmdk", "vhdx"):
            self._check()

    def convert(self, target: Path, tell: Callable[[float], None]) -> None:
        """Write it as qcow2. Raises Unfit, and what `tell` raises, with nothing left running."""
        room = shutil.disk_usage(target.parent).free - KEEP_FREE_GB * _GB
        if room <= 0:
            raise Unfit(f"there is no room for it in {target.parent.parent}", _SITE_FAILED)
        command = _qemu_img(f"--fsize={room}", "convert", "-p", "-O", "qcow2", self._source, str(target))
        said: deque[str] = deque(maxlen=5)
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **_quietly()
        ) as running:
            assert running.stdout is not None
            try:
                for line in running.stdout:  # it ends its lines of progress by a carriage return, which counts as one
                    percents = _PERCENT.findall(line)
                    if percents:
                        tell(float(percents[-1]) / 100)
                    elif line.strip():
                        said.append(line)
            except BaseException:
                running.kill()
                raise
        if running.returncode != 0 and target.exists() and target.stat().st_size >= room - _SLACK:
            where = target.parent.parent
            raise Unfit(f"it could not be converted: there is not enough room in {where}", _SITE_FAILED)
        if running.returncode != 0:
            raise Unfit(f"it could not be converted: {self._plain(' '.join(said))}")
        with target.open("rb") as written:
            os.fsync(written.fileno())

    def _look(self) -> int:
        """Its size in bytes, by qemu-img."""
        done = self._asked("info", "--output=json", seconds=LOOK_SECONDS)
        if done.returncode != 0:
            raise Unfit(f"{self._name} is no disk that QEMU can read: {self._plain(done.stderr)}")
        told: dict[str, Any] = json.loads(done.stdout)
        data = told.get("format-specific", {}).get("data", {})
        # `formats` has refused these; should it have been misled, nothing has been copied yet.
        if told.get("backing-filename") or told.get("encrypted") or data.get("data-file") or data.get("encrypt"):
            raise Unfit(f"{self._name} is encrypted, or names another file")
        size = int(told["virtual-size"])
        if not 1 << 20 <= size <= LARGEST_GB * _GB:
            code = _TOO_LARGE if size > LARGEST_GB * _GB else formats.INVALID
            raise Unfit(f"{self._name} is a disk of {size} bytes; it must have 1 MB to {LARGEST_GB} GB", code)
        return size

    def _check(self) -> None:
        """Whether all that it speaks of is there: a file cut short reads as zeros otherwise."""
        done = self._asked("check", seconds=CHECK_SECONDS)
        if done.returncode not in (0, 3):  # 3: room that is not used
            said = self._plain(done.stderr or done.stdout)
            raise Unfit(f"{self._name} is damaged or cut short: {said}")

    def _asked(self, *command: str, seconds: float) -> "subprocess.CompletedProcess[str]":
        asked = _qemu_img(f"--as={_MEMORY}", *command, self._source)
        try:
            return subprocess.run(  # noqa: S603 - our own program
                asked, capture_output=True, text=True, errors="replace", timeout=seconds, **_quietly()
            )
        except subprocess.TimeoutExpired:
            raise Unfit(f"{self._name} is no disk that QEMU can read within {seconds:.0f} s") from None

    def _plain(self, said: str) -> str:
        """qemu-img's words, on one line and bounded, with the file's name where its address was."""
        return " ".join(said.replace(self._source, self._name).replace("qemu-img: ", "").split())[-300:]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise Unfit(f"{path.name} could not be opened: {error.strerror}", NOT_FOUND) from error
    try:
        # The path has no links in it, see file_of: where it leads elsewhere by now, somebody has just put one there.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or os.readlink(f"/proc/self/fd/{descriptor}") != str(path):
            raise Unfit(f"{path.name} is no file, or another one by now", NOT_FOUND)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def _qemu_img(limit: str, *command: str) -> list[str]:
    """It ends with this process, stays within a limit of prlimit's, and leaves no core file of a person's disk."""
    return ["setpriv", "--pdeathsig", "KILL", "prlimit", limit, "--core=0", "qemu-img", *command]


def _quietly() -> dict[str, Any]:
    return {"stdin": subprocess.DEVNULL, "env": {**os.environ, "PATH": tools.path(), "LC_ALL": "C.UTF-8"}}


def _first_sectors(disk: Path) -> bytes:
    head = disk.with_suffix(".head")
    count = [f"bs={formats.SECTOR}", f"count={_FIRST_SECTORS}"]
    command = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", *count, f"if={disk}", f"of={head}"]
    tools.run(command, doing="reading the partition table")
    sectors = head.read_bytes()
    head.unlink()
    return sectors


def _checksum(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def why(failed: str) -> Unfit | None:
    """What `process.look` tells of an import that was refused; None where something else went wrong."""
    code, colon, said = failed.partition(": ")
    return Unfit(said, code) if colon and code in IMAGE_ERRORS else None


def _telling(os_family: str) -> Callable[..., Built]:
    """`import_file`, with the code in the text of what it raises: only that comes out of its process."""

    def make(*arguments: Any, **more: Any) -> Built:
        try:
            return import_file(*arguments, **more, os_family=os_family)
        except Unfit as unfit:
            raise Unfit(f"{unfit.code}: {unfit}", unfit.code) from unfit

    return make


def main(arguments: list[str]) -> int:
    """``python -m deskwright.images.imported FAMILY FILE --into DIR``; 0 done, 1 refused, 3 it runs already."""
    os_family, file, _, into, *_ = arguments
    try:
        process.run(file, Path(into), make=_telling(os_family))
    except process.AlreadyRunning:
        return 3
    except (Unfit, tools.MissingTools, tools.BuildFailed) as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
