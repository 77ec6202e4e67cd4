"""The programs of the operating system that building an image needs, run so that their failure can be told."""

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# What a person is shown of a program that failed: its last words, as much as fits on a screen.
LAST_LINES = 15
LONGEST_LINE = 300

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "tar": "tar",
    "fakeroot": "fakeroot",
    "newuidmap": "uidmap",
}
"""Each program and the Debian package it comes in."""


class MissingTools(Exception):
    """Programs that are not installed; `packages` are the Debian packages that bring them."""

    def __init__(self, programs: Sequence[str]) -> None:
        self.programs = tuple(programs)
        self.packages = tuple(dict.fromkeys(PACKAGES[name] for name in programs))
        super().__init__(
            f"not installed: {', '.join(self.programs)}. "
            f"Install them: sudo apt install --no-install-recommends {' '.join(self.packages)}"
        )


class BuildFailed(Exception):
    """A program failed while an image was built; `last_lines` is the end of what it printed, bounded."""

    def __init__(self, doing: str, last_lines: Sequence[str] = ()) -> None:
        self.last_lines = tuple(line[:LONGEST_LINE] for line in last_lines[-LAST_LINES:])
        super().__init__("\n".join((f"{doing} failed", *self.last_lines)))


def path() -> str:
    """Where programs are looked for: file system tools are in sbin, which a person's own PATH may lack."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def require(*programs: str) -> None:
    """Raise MissingTools unless all of them are installed."""
    missing = [name for name in programs if shutil.which(name, path=path()) is None]
    if missing:
        raise MissingTools(missing)


def run(
    command: Sequence[str | Path],
    *,
    doing: str,
    each_line: Callable[[str], None] = lambda line: None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end; return the end of its output. Raises BuildFailed or MissingTools.

    It dies with this process: a killed build leaves nothing running that writes into the same directory.
    """
    require("setpriv", str(command[0]))
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(  # noqa: S603 - a list of arguments, never a shell's line
        ["setpriv", "--pdeathsig", "TERM", *map(str, command)],  # noqa: S607 - see path
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PATH": path(), "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        | dict(environment or {}),
    ) as started:
        assert started.stdout is not None
        for line in started.stdout:
            if line.strip():
                last.append(line.rstrip())
            each_line(line)
    if started.returncode:
        raise BuildFailed(doing, list(last))
    return "\n".join(last)
