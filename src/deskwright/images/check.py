"""Is an image generalised: does each machine made from it get an identity of its own?

Two ways to ask. Inside a trial machine, at its first start: what identifies it must be younger than that start, as
what came with the image is older. From outside: the file system in the disk is read by e2fsprogs' debugfs, with no
mount and as any user; that also sees what a first start would replace.
"""

import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from deskwright.images import tools
from deskwright.images.tree import LOCKED

# When this start was: the birth of /dev/zero, which the kernel makes at each one, by the clock that files had then.
# The time of the start in /proc/stat is the second best: it moves when the clock is put right later.
_SCRIPT = """\
found=
say() { found=1; echo "$1"; }
started=$(stat -c %W /dev/zero)
[ "${started:-0}" -gt 0 ] || started=$(sed -n 's/^btime //p' /proc/stat)
[ -s /etc/machine-id ] || say "there is no machine id"
for file in /etc/machine-id /etc/ssh/ssh_host_*_key /etc/xrdp/rsakeys.ini /etc/xrdp/key.pem; do
  [ -s "$file" ] || continue
  [ "$(stat -L -c %Y "$file")" -ge "$started" ] || say "$file came with the image: every machine would have the same"
done
while IFS=: read -r name password rest; do
  case "$password" in '*'* | '!'*) ;; *) say "the account $name has a password, or needs none" ;; esac
done </etc/shadow
[ ! -s /root/.ssh/authorized_keys ] || say "keys open the account root"
[ ! -e /etc/krb5.keytab ] || say "it is joined to a domain already (/etc/krb5.keytab)"
for history in /root/.bash_history /home/*/.bash_history; do
  [ ! -s "$history" ] || say "$history holds the commands of who prepared it"
done
[ -n "$found" ] || echo ok
"""

_EXT_MAGIC_AT, _EXT_MAGIC = 1080, b"\x53\xef"
_LINUX = 0x83
_SECTOR = 512


def generalised_script() -> str:
    """A script for sh as root in a trial machine's first start: prints ``ok``, or a line for each finding.

    It is for before accounts are made and a domain is joined.
    """
    return _SCRIPT


def findings(disk: Path, scratch: Path) -> list[str]:
    """What is not generalised in the ext4 file system of that qcow2 disk; an empty list when all is well.

    `scratch` is a directory with room for the disk's contents. Raises MissingTools, and BuildFailed where the disk
    holds no such file system that can be read.
    """
    tools.require("qemu-img", "debugfs")
    with tempfile.TemporaryDirectory(dir=scratch, prefix="check-") as directory:
        raw = Path(directory, "disk.raw")
        tools.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk, raw], doing="reading the disk")
        place = f"{raw}?offset={_file_system_at(raw)}"
        return list(_findings(lambda command: _debugfs(place, command)))


def _findings(ask: Callable[[str], str]) -> Iterator[str]:
    if not ask("cat /etc/passwd").strip():
        raise tools.BuildFailed("reading the disk", ["there is no operating system in its first file system"])
    if ask("cat /etc/machine-id").strip() not in ("", "uninitialized"):
        yield "/etc/machine-id is filled: every machine would have the same"
    for directory, beginning in (("/etc/ssh", "ssh_host_"), ("/etc/xrdp", "rsakeys"), ("/etc/xrdp", "key.pem")):
        # /inode/mode/owner/group/name/size/
        names = [line.split("/")[5] for line in ask(f"ls -p {directory}").splitlines() if line.count("/") >= 6]
        yield from (f"{directory}/{name} comes with the image" for name in names if name.startswith(beginning))
    for line in ask("cat /etc/shadow").splitlines():
        name, password = line.split(":")[:2]
        if password not in LOCKED and not password.startswith(("*", "!")):
            yield f"the account {name} has a password, or needs none"
    for file in ("/etc/krb5.keytab", "/root/.ssh/authorized_keys", "/root/.bash_history"):
        if ask(f"cat {file}"):
            yield f"{file} is there"


def _file_system_at(raw: Path) -> int:
    """Where the ext file system begins, in bytes: the whole disk, or its first Linux partition."""
    with raw.open("rb") as file:
        begin = file.read(2048)
    if begin[_EXT_MAGIC_AT : _EXT_MAGIC_AT + 2] == _EXT_MAGIC:
        return 0
    for at in range(446, 510, 16):
        _, _, kind, _, first, _ = struct.unpack_from("<B3sB3sII", begin, at)
        if kind == _LINUX:
            return int(first) * _SECTOR
    raise tools.BuildFailed("reading the disk", ["it has no ext4 file system, nor a Linux partition"])


def _debugfs(place: str, command: str) -> str:
    asked = ["debugfs", "-R", command, place]
    done = subprocess.run(  # noqa: S603 - a list of arguments
        asked, capture_output=True, text=True, errors="replace", check=False, env={"PATH": tools.path()}
    )
    if done.returncode or "Bad magic number" in done.stderr:
        raise tools.BuildFailed("reading the disk", done.stderr.splitlines())
    return done.stdout
