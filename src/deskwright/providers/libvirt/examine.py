"""Examining a libvirt host: does it answer, by what do machines run, what room has it, what lies about?

It is looked at through libvirt and, where the host is this machine, through its files. Nothing is changed. What the
doctor says of it is in `findings`.
"""

import grp
import json
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import libvirt

from deskwright.images import build as building
from deskwright.images import tools
from deskwright.providers.contract import Condition
from deskwright.providers.libvirt import findings, machines, volumes
from deskwright.providers.libvirt.capacity import Capacity
from deskwright.providers.libvirt.configuration import Configuration, configuration
from deskwright.providers.libvirt.host import connect, found, said
from deskwright.providers.libvirt.records import Records
from deskwright.providers.site import Site
from deskwright.store.database import Database


def examine(database: Database, site: Site) -> Iterator[Condition]:
    """What is well and what is not, in the order in which the mends should be tried."""
    at = configuration(site.compute, site.name)
    try:
        connection = connect(at.uri)
        host = _Host(at, connection, Records(database, site.tenant_id, site.id, at.uri))
    except libvirt.libvirtError as error:
        yield findings.unreachable(said(error), at, _daemon(), _user(os.geteuid()), systemd=_has_systemd())
        return
    for about, look in _LOOKS.items():
        try:
            yield from look(host)
        except libvirt.libvirtError as error:
            yield Condition(about, "fail", f"could not be looked at: {said(error)}", f"virsh -c {_quoted(at)} version")


class _Host:
    def __init__(self, at: Configuration, connection: Any, records: Records) -> None:
        self.at, self.connection, self.records = at, connection, records
        connection.getCapabilities()  # the first time libvirt looks at every QEMU program there is
        began = time.monotonic()
        self.capabilities = ET.fromstring(connection.getCapabilities())
        self.seconds = time.monotonic() - began
        self.offered = any(d.get("type") == "kvm" for d in self.capabilities.iterfind("guest/arch/domain"))
        features = {f.get("name", "") for f in self.capabilities.iterfind("host/cpu/feature")}
        self.flags = frozenset(features | (_flags(Path("/proc/cpuinfo")) if at.is_local else set()))

    @property
    def shares_network(self) -> bool:
        """Whether its network is this machine's: a libvirt with a socket of its own may have one of its own."""
        return self.at.is_local and "socket" not in parse_qs(urlsplit(self.at.uri).query)

    def image_pool(self) -> Any:
        pool = found(self.connection.storagePoolLookupByName, volumes.IMAGES)
        return pool if pool is not None and pool.isActive() else None


# --- does it answer ----------------------------------------------------------------------------------------


def _answers(host: _Host) -> Iterator[Condition]:
    version, engine = (_version(n) for n in (host.connection.getLibVersion(), host.connection.getVersion()))
    _, memory_mib, processors, *_ = host.connection.getInfo()
    has = f"{processors} processors, {memory_mib / 1024:.0f} GB of memory"
    detail = f"{host.at.where} answers: {host.connection.getHostname()}, libvirt {version}, QEMU {engine}, {has}"
    yield Condition("libvirt", "ok", detail)


# --- by what machines run ----------------------------------------------------------------------------------


def _accelerated(host: _Host) -> Iterator[Condition]:
    labels = host.capabilities.iterfind("host/secmodel[model='dac']/baselabel[@type='kvm']")
    label = next((text for one in labels if (text := one.text)), "")
    runs_as = int(label.split(":")[0].lstrip("+")) if host.at.is_local and label else None
    groups = _groups(runs_as, label)
    if host.at.is_session and host.at.is_local:
        runs_as, groups = os.geteuid(), tuple(os.getgroups())
    yield from findings.acceleration(
        findings.Acceleration(
            wanted=host.at.acceleration,
            offered=host.offered,
            seconds=host.seconds,
            runs_as=runs_as,
            groups=groups,
            user="" if runs_as is None else _user(runs_as),
            device=_device(findings.KVM_DEVICE) if host.at.is_local else None,
            here=host.at.is_local,
            flags=host.flags,
            systemd=_has_systemd(),
            session=host.at.is_session,
        )
    )


# --- images ------------------------------------------------------------------------------------------------


def _built(host: _Host) -> Iterator[Condition]:
    try:
        tools.require(*building.programs())
    except tools.MissingTools as missing:
        detail = f"this machine cannot build them, not installed: {', '.join(missing.programs)}"
        mend = f"sudo apt install --no-install-recommends {' '.join(missing.packages)}"
        yield Condition("building images", "warn", detail, mend)
    else:
        yield Condition("building images", "ok", "every program is there")


def _firmware(host: _Host) -> Iterator[Condition]:
    told = host.connection.getDomainCapabilities(None, "x86_64", "q35", "kvm" if host.offered else "qemu", 0)
    yield findings.windows(ET.fromstring(told))


def _images(host: _Host) -> Iterator[Condition]:
    pool = host.image_pool()
    names = sorted(name for name, _ in volumes.each(pool) if name.endswith(".json")) if pool is not None else []
    if not names:
        yield Condition("image", "ok", "none is there yet: each is brought when it is first needed")
    for name in names:
        try:
            manifest = json.loads(volumes.content(volumes.look_up(pool, name)))
        except ValueError:
            mend = f"virsh -c {_quoted(host.at)} vol-delete --pool {volumes.IMAGES} {shlex.quote(name)}"
            yield Condition("image", "fail", f"{name} was cut short: no machine can be made from the image", mend)
            continue
        yield findings.image(
            name.removesuffix(".json"), manifest, host.at.acceleration, host.at.uri, offered=host.offered
        )


def _leftovers(host: _Host) -> Iterator[Condition]:
    trials = {}
    for machine in host.connection.listAllDomains():
        try:
            carried = machines.tags_of(machine)
        except libvirt.libvirtError:
            continue  # it ended while we looked
        if "trial" in carried:
            trials[machine.name()] = carried["began"]
    there = list(findings.leftovers(trials, datetime.now(UTC), host.at.uri))
    yield from there or [Condition("leftovers", "ok", "no trial machine was left behind")]


# --- room --------------------------------------------------------------------------------------------------


def _room(host: _Host) -> Iterator[Condition]:
    pool = host.image_pool()
    if pool is None and not host.at.is_local:
        yield Condition("disk", "ok", "the first Cloud PC makes the pool of disks there, then its room can be told")
        return
    if pool is not None:
        _, total, _, free = pool.info()
    else:
        total, _, free = shutil.disk_usage(_existing(Path(host.at.directory)))
    most, used = Capacity(host.connection, host.at).most, host.records.used()
    yield findings.disk(free / volumes.GB, total / volumes.GB, used.storage_gb, most.storage_gb, host.at.directory)
    _, memory_mib, processors, *_ = host.connection.getInfo()
    memory = host.connection.getMemoryStats(-1)
    now = (memory["free"] + memory.get("buffers", 0) + memory.get("cached", 0)) / 1024**2
    has = f"{memory_mib / 1024:.0f} GB, {now:.0f} GB of them free now"
    yield findings.promises("memory", used.ram_gb, most.ram_gb, "GB", has, "ramInGB")
    yield findings.promises("vCPU", used.vcpu, most.vcpu, "", f"{processors} processors", "vCpuCount")


# --- network -----------------------------------------------------------------------------------------------


def _network(host: _Host) -> Iterator[Condition]:
    if host.at.is_session:
        detail = "one user's session: each machine has a network of its own, which leads out and lets nobody in"
        yield Condition("network", "ok", detail)
        return
    if not host.shares_network:
        return
    if shutil.which("dnsmasq", path=tools.path()) is None:
        detail = "dnsmasq is not installed, which gives machines their addresses"
        yield Condition("network", "fail", detail, "sudo apt install --no-install-recommends dnsmasq-base")
    running = host.connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    nat = [n.name() for n in running if ET.fromstring(n.XMLDesc()).find("forward[@mode='nat']") is not None]
    yield findings.forwarding(Path("/proc/sys/net/ipv4/ip_forward").read_text().strip(), nat)
    closed = findings.dropping(_firewall())
    if closed:
        detail = f"drops what no rule lets through, as Docker and ufw set it: {', '.join(closed)}"
        mend = "If machines reach nothing: sudo iptables -I FORWARD -i BRIDGE -j ACCEPT, and the same with -o BRIDGE"
        yield Condition("firewall", "warn", detail, mend)


# --- this machine ------------------------------------------------------------------------------------------


def _device(path: Path) -> findings.Device | None:
    try:
        told = path.stat()
    except OSError:
        return None
    mode = stat.S_IMODE(told.st_mode)
    shown = f"{_user(told.st_uid)}:{_group(told.st_gid)}, mode {mode:04o}"
    return findings.Device(mode, told.st_uid, told.st_gid, shown)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _groups(user: int | None, label: str) -> tuple[int, ...]:
    """Of the machines' processes: the group they are started with, and those the user is in."""
    if user is None:
        return ()
    own = int(label.split(":")[1].lstrip("+"))
    try:
        entry = pwd.getpwuid(user)
    except KeyError:  # a number without a name is in no others
        return (own,)
    return (own, *os.getgrouplist(entry.pw_name, entry.pw_gid))


def _firewall() -> str:
    """What its chains are; empty where we may not look."""
    for command in (("nft", "list", "chains"), ("iptables", "-S", "FORWARD")):
        program = shutil.which(command[0], path=tools.path())
        if program is None or os.geteuid() != 0:
            continue
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
        if done.stdout.strip():
            return done.stdout
    return ""


def _flags(cpuinfo: Path) -> set[str]:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _daemon() -> str | None:
    return next((p for name in ("libvirtd", "virtqemud") if (p := shutil.which(name, path=tools.path()))), None)


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _quoted(at: Configuration) -> str:
    return shlex.quote(at.uri)


_LOOKS: dict[str, Callable[[_Host], Iterator[Condition]]] = {
    "libvirt": _answers,
    "acceleration": _accelerated,
    "building images": _built,
    "Windows": _firmware,
    "image": _images,
    "leftovers": _leftovers,
    "disk": _room,
    "network": _network,
}
