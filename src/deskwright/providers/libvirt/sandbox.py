"""A libvirt host for demos and tests: libvirtd in mount and network namespaces of its own, as root.

The machine's own libvirt and network are left alone. Its folders are in one directory, so its socket, its disks and
its logs can be reached from outside; its bridges, its DHCP servers and its guests cannot.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import libvirt

from deskwright.providers.libvirt.host import said

_QEMU = """\
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
max_queued = 0
"""
_START = """\
set -e
mount --make-rprivate /
for part in run etc lib cache log; do
  case $part in run) at=/run/libvirt;; etc) at=/etc/libvirt;; *) at=/var/$part/libvirt;; esac
  mkdir -p $at && mount --bind "$1/$part" $at
done
ip link set lo up
virtlogd -d -p /run/libvirt/virtlogd.pid
exec libvirtd -p /run/libvirt/libvirtd.pid
"""
_WAIT_SECONDS = 60.0


class SandboxFailed(Exception):
    """libvirtd did not start; the text has the end of its log."""


@dataclass
class Sandbox:
    """A libvirtd. `start` after `kill` starts it again where its guests still run."""

    directory: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.directory}/run/libvirt-sock"

    @property
    def disks(self) -> str:
        return str(self.directory / "disks")

    def connect(self) -> "libvirt.virConnect":
        return libvirt.open(self.uri)

    def start(self) -> None:
        inside = ["sh", "-c", _START, "sh", str(self.directory)]
        wanted = ["unshare", "--mount", "--net", "--", *inside]
        if self._process is not None:  # its namespaces live on with virtlogd and the guests
            pid = (self.directory / "run" / "virtlogd.pid").read_text().strip()
            enter = ["nsenter", f"--target={pid}", "--mount", "--net", "--"]
            wanted = [*enter, "libvirtd", "-p", "/run/libvirt/libvirtd.pid"]
        log = (self.directory / "libvirtd.log").open("ab")
        self._process = subprocess.Popen(wanted, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own programs
        log.close()
        ends = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                libvirt.open(self.uri).close()
                return
            except libvirt.libvirtError as error:
                if time.monotonic() > ends or self._process.poll() is not None:
                    log_end = (self.directory / "libvirtd.log").read_text(errors="replace")[-2000:]
                    raise SandboxFailed(f"libvirtd did not start: {said(error)}\n{log_end}") from None
                time.sleep(0.1)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End libvirtd; its guests go on."""
        pid = int((self.directory / "run" / "libvirtd.pid").read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
        if self._process is not None:
            self._process.wait(20)

    def in_network(self, *command: str) -> str:
        """Run something where its bridges are."""
        pid = (self.directory / "run" / "virtlogd.pid").read_text().strip()
        inside = ["nsenter", f"--target={pid}", "--mount", "--net", "--", *command]
        done = subprocess.run(inside, capture_output=True, check=True)  # noqa: S603
        return done.stdout.decode()

    def stop(self) -> None:
        """Everything that was started here ends."""
        with contextlib.suppress(libvirt.libvirtError):
            connection = self.connect()
            for machine in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                machine.destroy()
            for network in connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE):
                network.destroy()
            connection.close()
        for pid in self._inside():  # also what an earlier libvirtd left: its guests, its DHCP servers
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)

    def _inside(self) -> list[int]:
        """Every process in its network, which is virtlogd's."""
        try:
            pid = int((self.directory / "run" / "virtlogd.pid").read_text())
            here, ours = os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/self/ns/net")
        except (OSError, ValueError):
            return []
        if here == ours:  # the number belongs to another process now
            return []
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "ns" / "net") == here:
                    found.append(int(process.name))
        return found


@contextlib.contextmanager
def sandbox(directory: Path) -> Iterator[Sandbox]:
    """A host whose folders are in `directory`, whose path must be short for the sockets. Raises SandboxFailed."""
    host = prepared(directory)
    try:
        host.start()
        yield host
    finally:
        host.stop()


def prepared(directory: Path) -> Sandbox:
    """The same, not started yet."""
    for part in ("run", "lib", "cache", "log", "disks"):
        (directory / part).mkdir(parents=True)
    shutil.copytree("/etc/libvirt", directory / "etc", symlinks=True)
    for autostarted in (directory / "etc").glob("*/autostart/*"):
        autostarted.unlink()
    for network in (directory / "etc" / "qemu" / "networks").glob("*.xml"):
        network.unlink()
    (directory / "etc" / "qemu.conf").write_text(_QEMU)
    return Sandbox(directory)
