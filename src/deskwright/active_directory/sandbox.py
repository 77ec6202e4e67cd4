"""A domain controller for demos and tests: Samba in network and mount namespaces of its own, as root.

It is reached from this machine by a pair of virtual interfaces and nowhere else. Its folders are in one directory.
"""

import contextlib
import ipaddress
import json
import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deskwright.active_directory.client import reachable
from deskwright.active_directory.discovery import Domain, controllers
from deskwright.active_directory.problems import DirectoryProblem

_POOL = ipaddress.IPv4Network("10.88.0.0/16")
_WAIT_SECONDS = 90.0
_PORTS = (53, 88, 389, 464, 636)
_INTERFACE = "dc0"
_COMPUTER = "bf967a86-0de6-11d0-a285-00aa003049e2"
"""schemaIDGUID of the class computer."""
# Also where whoever started it was killed and could stop nothing.
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
# What Samba keeps beside its own folders (sockets, locks) must not meet another Samba's.
_HOLD = """\
mount --make-rprivate /
for part in /run/samba /var/cache/samba /var/lib/samba /var/log/samba; do
  mkdir -p $part && mount -t tmpfs -o mode=755 tmpfs $part
done
ip link set lo up
echo
exec sleep infinity
"""


class SandboxFailed(Exception):
    """It did not start; the text has what was said."""


@dataclass
class DomainController:
    """A running controller of `domain`, whose administrator is ``Administrator``."""

    directory: Path
    domain: Domain
    address: str
    gateway: str
    """This machine's address on the pair."""
    link: str
    """This machine's interface of the pair."""
    password: str = field(repr=False)
    _holder: "subprocess.Popen[bytes]" = field(repr=False)
    _samba: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return f"dc1.{self.domain.name}"

    @property
    def pid(self) -> int:
        """A process in its network."""
        return self._holder.pid

    def run(self, *command: str, stdin: str = "") -> str:
        """Run something where it is; returns its output. Raises SandboxFailed with what it said."""
        inside = ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "--", *command]
        done = subprocess.run(inside, input=stdin.encode(), capture_output=True)  # noqa: S603
        if done.returncode:
            said = (done.stdout + done.stderr).decode(errors="replace").strip()
            raise SandboxFailed(f"{' '.join(command[:4])}: {said[-1000:]}")
        return done.stdout.decode(errors="replace")

    def tool(self, *arguments: str) -> str:
        """samba-tool."""
        return self.run("samba-tool", *arguments, "--configfile", str(self.directory / "etc" / "smb.conf"))

    def may_join(self, account: str, unit: str) -> None:
        """Delegate to the user what joining needs: to create computer objects in the unit, and everything on those."""
        shown = self.tool("user", "show", account, "--attributes=objectSid")
        sid = next(line.split()[1] for line in shown.splitlines() if line.startswith("objectSid:"))
        rights = f"(OA;CI;CCDC;{_COMPUTER};;{sid})(OA;CIIO;GA;;{_COMPUTER};{sid})"
        self.tool("dsacl", "set", "--objectdn", unit, "--action=allow", "--sddl", rights)

    def start(self) -> None:
        """Raises SandboxFailed."""
        inside = ["nsenter", f"--target={self._holder.pid}", "--mount", "--net", "--"]
        command = [
            "samba",
            "--foreground",
            "--no-process-group",
            "--debug-stdout",
            "-s",
            str(self.directory / "etc" / "smb.conf"),
        ]
        log = (self.directory / "samba.log").open("ab")
        options = ["--option", f"pid directory={self.directory / 'run'}"]
        # What it would write of itself into DNS and its account stands there since it was prepared. At each start these
        # two cost more than all the rest, and until they are through nobody can sign in by Kerberos.
        options += ["--option", "dns update command=/bin/true", "--option", "spn update command=/bin/true"]
        wanted = [*_ENDS_WITH_US, *inside, *command, *options]
        self._samba = subprocess.Popen(wanted, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        log.close()
        ends = time.monotonic() + _WAIT_SECONDS
        while not (all(reachable(self.address, port, 1.0) for port in _PORTS) and self._is_known()):
            if self._samba.poll() is not None or time.monotonic() > ends:
                said = (self.directory / "samba.log").read_text(errors="replace")[-2000:]
                raise SandboxFailed(f"Samba did not start: {said}")
            time.sleep(0.05)

    def _is_known(self) -> bool:
        """Whether its own DNS tells where it is."""
        try:
            return bool(controllers(Domain(self.domain.name, name_servers=(self.address,))))
        except DirectoryProblem:
            return False

    def kill(self) -> None:
        """Samba ends at once, its namespaces stay: `start` starts it again."""
        # Until none is left: one that is being forked is missed at first, and one that dies holds its port till then.
        ends = time.monotonic() + _WAIT_SECONDS
        while left := [pid for pid in self._inside() if pid != self._holder.pid]:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > ends:
                raise SandboxFailed(f"processes {left} did not end within {_WAIT_SECONDS:.0f} s")
            time.sleep(0.02)
        if self._samba is not None:
            self._samba.wait(20)
            if self._samba.stdin is not None:
                self._samba.stdin.close()

    def reachable_from(self, pid: int, subnet: str) -> None:
        """Lay a second pair of interfaces to the network of process `pid`, whose machines have addresses in `subnet`.
        Raises SandboxFailed."""
        its, theirs = "10.89.255.1", "10.89.255.2"
        there = ["nsenter", f"--target={pid}", "--net", "--", "ip"]
        name = f"{self.link}m"
        _ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        _ip("link", "set", name, "netns", str(self._holder.pid))
        _ip("link", "set", f"{name}p", "netns", str(pid))
        self.run("ip", "addr", "add", f"{its}/30", "dev", name)
        self.run("ip", "link", "set", name, "up")
        self.run("ip", "route", "add", subnet, "via", theirs)
        for command in (
            ("addr", "add", f"{theirs}/30", "dev", f"{name}p"),
            ("link", "set", f"{name}p", "up"),
            ("route", "add", f"{self.address}/32", "via", its),
        ):
            done = subprocess.run([*there, *command], capture_output=True)  # noqa: S603
            if done.returncode:
                raise SandboxFailed(f"ip {' '.join(command)}: {done.stderr.decode(errors='replace').strip()}")

    def stop(self) -> None:
        self.kill()
        self._holder.kill()
        self._holder.wait(20)
        _ip("link", "delete", self.link, check=False)

    def _inside(self) -> list[int]:
        """Every process in its network."""
        try:
            here = os.readlink(f"/proc/{self._holder.pid}/ns/net")
        except OSError:
            return []
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "ns" / "net") == here:
                    found.append(int(process.name))
        return found


@contextlib.contextmanager
def domain_controller(directory: Path, name: str = "corp.contoso.test") -> Iterator[DomainController]:
    """A new domain with its one controller, in an empty `directory`. Raises SandboxFailed."""
    started = prepared(directory, name)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def prepared(directory: Path, name: str) -> DomainController:
    """The same, not started yet."""
    link, network = _free_link()
    ours, its = (str(network[1]), str(network[10]))
    holder = subprocess.Popen(  # noqa: S603
        [*_ENDS_WITH_US, "unshare", "--mount", "--net", "--", "sh", "-c", _HOLD],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert holder.stdout is not None
    holder.stdout.readline()  # it is in its own network now
    holder.stdout.close()
    password = f"{secrets.token_urlsafe(15)}.aA1"
    try:
        _ip("link", "set", f"{link}p", "netns", str(holder.pid), "name", _INTERFACE)
        _ip("addr", "add", f"{ours}/24", "dev", link)
        _ip("link", "set", link, "up")
        # The certificate that Samba makes for itself is its own authority, too.
        certificate = directory / "private" / "tls" / "ca.pem"
        made = DomainController(directory, Domain(name), its, ours, link, password, holder)
        made.run("ip", "addr", "add", f"{its}/24", "dev", _INTERFACE)
        made.run("ip", "link", "set", _INTERFACE, "up")
        made.run("ip", "route", "add", "default", "via", ours)
        directory.mkdir(parents=True, exist_ok=True)
        made.run(
            "samba-tool", "domain", "provision", "--server-role=dc", "--use-rfc2307",
            "--dns-backend=SAMBA_INTERNAL", f"--realm={name.upper()}", f"--domain={name.split('.')[0].upper()}",
            "--host-name=dc1", f"--host-ip={its}", f"--targetdir={directory}", f"--adminpass={password}",
            f"--option=interfaces=lo {_INTERFACE}", "--option=bind interfaces only=yes",
            # Nothing outside can be reached, and nothing is asked there.
            "--option=dns forwarder=127.0.0.1",
        )  # fmt: skip
        made.start()  # makes its certificate
        made.run("samba_spnupdate", "-s", str(directory / "etc" / "smb.conf"))
        made.kill()
        made.domain = Domain(name, name_servers=(its,), ca_certificate=certificate.read_text())
    except BaseException:
        holder.kill()
        holder.wait(20)
        _ip("link", "delete", link, check=False)
        raise
    return made


def _free_link() -> tuple[str, ipaddress.IPv4Network]:
    """A new pair of interfaces, and a network nobody here has."""
    taken = [
        ipaddress.IPv4Network(f"{a['local']}/{a['prefixlen']}", strict=False)
        for interface in json.loads(_ip("-json", "addr"))
        for a in interface.get("addr_info", [])
        if a["family"] == "inet"
    ]
    numbers = list(range(256))
    random.SystemRandom().shuffle(numbers)
    for number in numbers:
        network = list(_POOL.subnets(new_prefix=24))[number]
        if any(network.overlaps(other) for other in taken):
            continue
        link = f"dwad{number}"
        # Its name is the claim: two processes cannot both make it.
        if _ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p", check=False) is not None:
            return link, network
    raise SandboxFailed(f"no free network left in {_POOL}")


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True)  # noqa: S603, S607
    if done.returncode and check:
        raise SandboxFailed(f"ip {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode() if not done.returncode else None  # type: ignore[return-value]
