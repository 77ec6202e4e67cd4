"""What is well and what is not with a libvirt host, and the mend of each. Pure: what was seen in, findings out."""

import shlex
import stat
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deskwright.providers.contract import Condition
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.capacity import LEAST_DISK_GB
from deskwright.providers.libvirt.configuration import Configuration

SLOW_SECONDS = 1.0
"""libvirt says within milliseconds what it has looked at before."""
LITTLE = 0.1
"""Less of something than this share is worth a word."""
OLD_TRIAL = timedelta(hours=1)
"""A trial takes a quarter of an hour at the most, by KVM and by emulation."""
KVM_DEVICE = Path("/dev/kvm")


@dataclass(frozen=True)
class Device:
    """Who may open /dev/kvm."""

    mode: int
    owner: int
    group: int
    shown: str = ""
    """The same for people."""

    def may_be_opened(self, user: int, groups: Iterable[int]) -> bool:
        """By a process of that user and those groups, which has no other rights."""
        if user == self.owner:
            wanted = stat.S_IRUSR | stat.S_IWUSR
        elif self.group in groups:
            wanted = stat.S_IRGRP | stat.S_IWGRP
        else:
            wanted = stat.S_IROTH | stat.S_IWOTH
        return self.mode & wanted == wanted


@dataclass(frozen=True)
class Acceleration:
    """What is known of how machines run on a host."""

    wanted: str
    """auto | kvm | qemu"""
    offered: bool
    """KVM stands in libvirt's capabilities. That it works, only a trial shows."""
    seconds: float
    """That libvirt took to say its capabilities again."""
    runs_as: int | None = None
    """User id of the machines' processes, like the next two None or empty where the host is not this machine."""
    groups: tuple[int, ...] = ()
    user: str = ""
    device: Device | None = None
    here: bool = True
    """Whether the host is this machine: then `device` says what there is."""
    flags: frozenset[str] = field(default_factory=frozenset)
    """Of the processor."""
    systemd: bool = True
    session: bool = False
    """Whether the machines run as the user who asked."""


def unreachable(error: str, at: Configuration, daemon: str | None, user: str, *, systemd: bool) -> Condition:
    """Why there is no connection. daemon: libvirt's program on this machine, None where it is not
    installed; user: who asked."""
    detail, socket = f"{at.where} does not answer: {error}", parse_qs(urlsplit(at.uri).query).get("socket")
    if not at.is_local:
        mend = f"virsh -c {shlex.quote(at.uri)} version must work for the user {user}, without asking for anything"
    elif "Permission denied" in error or "polkit" in error or "authentication" in error:
        mend = f"sudo adduser {shlex.quote(user)} libvirt, then sign in again and restart Deskwright"
    elif daemon is None:
        mend = "make libvirt"
    elif socket:
        mend = f"Start the libvirt whose socket is {socket[0]}, or correct compute.uri of the site"
    else:
        mend = "sudo systemctl enable --now libvirtd" if systemd else "sudo virtlogd -d && sudo libvirtd -d"
    return Condition("libvirt", "fail", detail, mend)


def acceleration(a: Acceleration) -> Iterator[Condition]:
    trapped = a.device is not None and a.runs_as is not None and not a.device.may_be_opened(a.runs_as, a.groups)
    if trapped or a.seconds > SLOW_SECONDS:
        yield _each_time(a, trapped=trapped)
    elif a.offered and a.wanted != "qemu":
        yield Condition("acceleration", "ok", "KVM is offered; each image is tried with it before it is used")
    elif a.wanted == "qemu":
        yield Condition("acceleration", "ok", "software emulation, as compute.acceleration of the site says")
    else:
        why, mend = _why_not(a)
        detail = f"no KVM: {why}. Machines run by software emulation, about ten times slower"
        yield Condition("acceleration", "fail" if a.wanted == "kvm" else "warn", detail, mend)
    if "hypervisor" in a.flags and a.wanted != "qemu":
        detail = "the host is a virtual machine itself: KVM may be offered there and still not start a system"
        yield Condition("nesting", "ok", f"{detail}. What an image's trial showed, counts")


def _each_time(a: Acceleration, *, trapped: bool) -> Condition:
    """libvirt keeps what it knows of QEMU only while it finds /dev/kvm as QEMU does."""
    again = "sudo systemctl restart libvirtd" if a.systemd else "end libvirtd and start it again: sudo libvirtd -d"
    slow = f"; libvirt looks at QEMU anew with each call, {a.seconds:.1f} s each" if a.seconds > SLOW_SECONDS else ""
    if trapped and a.device is not None:
        detail = f"{KVM_DEVICE} is there ({a.device.shown}), but machines run as {a.user}, who cannot open it{slow}"
        if a.session:
            mend = f"sudo adduser {shlex.quote(a.user)} kvm, then sign in again and end libvirtd"
            return Condition("acceleration", "fail", detail, mend)
        return Condition(
            "acceleration", "fail", detail, f"sudo chown root:kvm {KVM_DEVICE} && sudo chmod 660 {KVM_DEVICE}; {again}"
        )
    detail = f"libvirt took {a.seconds:.1f} s to say again what it can: it looks at QEMU anew with each call"
    where = "" if a.here else "On that host: "
    return Condition("acceleration", "fail", detail, f"{where}ls -l {KVM_DEVICE}: root:kvm, mode 0660; then {again}")


def _why_not(a: Acceleration) -> tuple[str, str]:
    """(reason, mend) where libvirt offers no KVM."""
    if not a.here:
        return "libvirt does not offer it there", f"On that host: ls -l {KVM_DEVICE}, and lsmod | grep kvm"
    if a.device is not None:
        return f"{KVM_DEVICE} is there ({a.device.shown}), but libvirt has not seen it", "Restart libvirtd"
    if {"vmx", "svm"} & a.flags:
        module = "kvm_intel" if "vmx" in a.flags else "kvm_amd"
        return f"there is no {KVM_DEVICE}, though the processor could", f"sudo modprobe {module}, then restart libvirtd"
    if "hypervisor" in a.flags:
        mend = "Turn on nested virtualisation where this virtual machine is defined"
        return f"there is no {KVM_DEVICE}: this is a virtual machine that is not let virtualise", mend
    return (
        f"there is no {KVM_DEVICE}: the processor does not offer it",
        "Turn on VT-x or AMD-V in the machine's firmware",
    )


def windows(domain_capabilities: ET.Element) -> Condition:
    """Whether a machine can have what Windows 11 wants."""

    def has(path: str, value: str) -> bool:
        return any(v.text == value for v in domain_capabilities.iterfind(f"{path}/value"))

    wanted = {
        "UEFI (ovmf)": has("os/enum[@name='firmware']", "efi"),
        "Secure Boot (ovmf)": has("os/loader/enum[@name='secure']", "yes"),
        "a TPM 2.0 (swtpm swtpm-tools)": has("devices/tpm/enum[@name='backendModel']", "emulator"),
    }
    missing = [name for name, there in wanted.items() if not there]
    if not missing:
        return Condition("Windows", "ok", "UEFI, Secure Boot and a TPM are there for Windows images")
    mend = "sudo apt install --no-install-recommends ovmf swtpm swtpm-tools, then restart libvirtd"
    return Condition("Windows", "warn", f"images of Windows cannot start: missing are {', '.join(missing)}", mend)


def image(name: str, manifest: Mapping[str, Any], wanted: str, uri: str, *, offered: bool) -> Condition:
    """What an image's trial showed, against what machines should run by now."""
    runs_by = str(manifest.get("virt_type"))
    by = "kvm" if wanted == "kvm" or (wanted == "auto" and offered) else "qemu"
    detail = f"{name} is ready: {manifest.get('seen')}"
    if runs_by == by:
        return Condition("image", "ok", detail)
    mend = (
        "Make a new version of the image: it is tried anew"
        if name.startswith("image-")
        else f"virsh -c {shlex.quote(uri)} vol-delete --pool {volumes.IMAGES} {shlex.quote(name)}.json lets the next "
        "Cloud PC try it anew"
    )
    if runs_by == "kvm" and not offered:
        return Condition("image", "fail", f"{detail}. There is no KVM any more: its machines cannot start", mend)
    if runs_by == "kvm":
        return Condition("image", "warn", f"{detail}. Its machines go on running by KVM", mend)
    return Condition("image", "warn", f"{detail}. It was not seen to start by KVM: its machines are emulated", mend)


def leftovers(trials: Mapping[str, str], now: datetime, uri: str) -> Iterator[Condition]:
    """trials: when each trial machine was begun, by its name."""
    for name, began in sorted(trials.items()):
        age = now - datetime.fromisoformat(began)
        if age > OLD_TRIAL:
            detail = f"{name} has been trying an image for {age.total_seconds() / 3600:.0f} h; the next use ends it"
            virsh = f"virsh -c {shlex.quote(uri)}"
            mend = f"{virsh} destroy {name}; {virsh} undefine --nvram --remove-all-storage {name}"
            yield Condition("leftovers", "warn", detail, mend)


def disk(free: float, total: float, promised: int, most: int, folder: str) -> Condition:
    """In GB; most: what may be promised."""
    detail = f"{free:.0f} of {total:.0f} GB are free at {folder}; {promised} of {most} GB are promised"
    mend = f"Free space at {folder}, or mount a larger disk there"
    if free < LEAST_DISK_GB:
        return Condition("disk", "fail", f"{detail}. No machine is made with less than {LEAST_DISK_GB} GB free", mend)
    return Condition("disk", "warn", detail, mend) if free < LITTLE * total else Condition("disk", "ok", detail)


def promises(what: str, promised: int, most: int, unit: str, has: str, key: str) -> Condition:
    """What is promised to Cloud PCs, running or not; key: the overcommit's property."""
    detail = f"{promised} of {most}{unit and ' '}{unit} are promised; the host has {has}"
    if promised <= (1 - LITTLE) * most:
        return Condition(what, "ok", detail)
    mend = f"Use another site for more Cloud PCs, or raise compute.overcommit.{key} of this one"
    return Condition(what, "warn", detail, mend)


def forwarding(value: str, nat: Sequence[str]) -> Condition:
    """value: of net.ipv4.ip_forward; nat: the networks that run and need it."""
    if value == "1":
        detail = "net.ipv4.ip_forward is 1: machines reach the outside, and this host routes between all its networks"
        return Condition("forwarding", "ok", detail)
    if nat:
        detail = f"net.ipv4.ip_forward is {value}: machines on {', '.join(nat)} reach nothing outside the host"
        return Condition("forwarding", "fail", detail, "sudo sysctl -w net.ipv4.ip_forward=1")
    detail = f"net.ipv4.ip_forward is {value}; libvirt sets it to 1 with the first network, and then this host routes"
    return Condition("forwarding", "ok", detail)


def dropping(listed: str) -> list[str]:
    """Chains that drop what is forwarded unless a rule lets it through, in what ``nft list chains`` or
    ``iptables -S FORWARD`` prints."""
    table, chain, found_in = "", "", []
    for line in map(str.split, listed.splitlines()):
        if line[:1] == ["table"]:
            table = " ".join(line[1:3])
        elif line[:1] == ["chain"]:
            chain = line[1]
        elif "hook" in line and "forward" in line and "drop;" in line:
            found_in.append(f"{table} {chain}")
        elif line == ["-P", "FORWARD", "DROP"]:
            found_in.append("iptables FORWARD")
    return found_in
