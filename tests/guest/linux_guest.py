"""A disposable Linux guest: this machine's programs under an overlay, with accounts, network and host name of its own.

Nothing of it reaches the machine underneath. It needs root, or `unshare` with subordinate ids (package uidmap).
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from deskwright.guest.actions import Action
from deskwright.guest.script import script_for

# What a minimal Debian has; the same whatever this machine's own accounts are.
_SEED = {
    "passwd": "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n",
    "shadow": "root:*:19000:0:99999:7:::\nmail:*:19000:0:99999:7:::\n",
    "group": "root:x:0:\nmail:x:8:\nusers:x:100:\nstaff:x:50:\n",
    "gshadow": "root:*::\nmail:*::\nusers:*::\nstaff:*::\n",
    "sudoers": "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    "hosts": "127.0.0.1\tlocalhost\n127.0.1.1\told-name\n",
    "hostname": "old-name\n",
}
_NAMESPACES = ("--mount", "--net", "--uts")
_START = """
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
if [ "$2" = kernel ]; then for of in proc sys dev; do mount --rbind "/$of" "$1/root/$of"; done; fi
if [ "$2" = bare ]; then mount --bind /dev "$1/root/dev"; fi
hostname old-name
echo ready
exec sleep infinity
"""


class LinuxGuest:
    """`kernel`: whether it sees this machine's /proc and /sys, or empty folders in which a test puts its own files.

    `network_of`: a process whose network it is in, instead of one of its own.
    """

    def __init__(self, folder: Path, *, kernel: bool = True, network_of: int | None = None) -> None:
        self.root = folder / "root"
        for name in ("root", "work", "upper/etc", "upper/etc/sudoers.d"):
            (folder / name).mkdir(parents=True)
        for name, content in _SEED.items():
            (folder / "upper/etc" / name).write_text(content)
        for name in ("shadow", "gshadow"):
            (folder / "upper/etc" / name).chmod(0o640)
        as_root = () if os.geteuid() == 0 else ("--map-root-user", "--map-auto")
        network = ("nsenter", f"--net=/proc/{network_of}/ns/net") if network_of else ()
        own = [namespace for namespace in _NAMESPACES if not (network and namespace == "--net")]
        started = ["sh", "-c", _START, "sh", str(folder), "kernel" if kernel else "bare"]
        self._process = subprocess.Popen(
            [*network, "unshare", *as_root, *own, *started],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "no namespaces: run as root, or install uidmap"
        users = ("--user", "--setuid=0", "--setgid=0") if as_root else ()
        self._enter = ["nsenter", f"--target={self._process.pid}", *users, *_NAMESPACES, "chroot", str(self.root)]

    def run(self, interpreter: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._enter, *interpreter], input=text, capture_output=True, text=True, timeout=30, check=False
        )

    def sh(self, command: str) -> str:
        """What `command` prints, run by the guest's sh; it must succeed."""
        done = self.run(("/bin/sh", "-c", command), "")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def do(self, *actions: Action) -> str:
        """What the actions' script prints; it must succeed, with one line for each action."""
        done = self.try_to(*actions)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert len(done.stdout.splitlines()) == len(actions)
        return done.stdout

    def refusal(self, *actions: Action) -> str:
        """What the script says on standard error; it must fail."""
        done = self.try_to(*actions)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def try_to(self, *actions: Action) -> subprocess.CompletedProcess[str]:
        script = script_for("linux", actions)
        return self.run(script.interpreter, script.text)

    def close(self) -> None:
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.root.parent, ignore_errors=True)
