"""A machine as libvirt's domain XML (https://libvirt.org/formatdomain.html). Pure: values in, text out."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from uuid import UUID

from deskwright.domain.plans import Size
from deskwright.providers.libvirt import tags

AGENT_CHANNEL = "org.qemu.guest_agent.0"
SPARE_PORTS = 6
"""PCI Express ports for what is plugged in while the machine runs. Each costs a start that is emulated, with systemd, a
fifth of a second: so what a Linux machine has from the beginning is at none."""
_WINDOWS_PORTS = 9
_FIRST_SLOT = 0x10
"""Of the devices that are at no port; libvirt itself begins at the other end."""


@dataclass(frozen=True)
class Boot:
    """How a machine with this image starts."""

    firmware: str = "bios"
    """bios | uefi"""
    kernel: str = ""
    """Path on the host; empty: the disk brings its own boot loader."""
    initrd: str = ""
    command_line: str = ""


@dataclass(frozen=True)
class MachineXml:
    uuid: UUID
    name: str
    title: str
    size: Size
    os_family: str
    virt_type: str
    """kvm | qemu"""
    boot: Boot
    disk: str
    """Path on the host of its qcow2 disk."""
    seed: str = ""
    """Path on the host of the ISO image with its first-boot data."""
    tags: dict[str, str] = field(default_factory=dict)
    listen: str = "127.0.0.1"
    """The host's address at which the screen listens."""
    password: str = field(default="", repr=False)
    """Of the screen, until somebody is admitted to it: nobody knows it."""


def text(machine: MachineXml) -> str:
    root = ET.Element("domain", type=machine.virt_type)
    _said(root, "name", machine.name)
    _said(root, "uuid", str(machine.uuid))
    _said(root, "title", machine.title)
    ET.SubElement(root, "metadata").append(tags.element(machine.tags))
    _said(root, "memory", str(machine.size.ram_gb), unit="GiB")
    _said(root, "vcpu", str(machine.size.vcpu))
    _system(root, machine)
    _processor(root, machine)
    windows = machine.os_family == "windows"
    clock = ET.SubElement(root, "clock", offset="localtime" if windows else "utc")
    for name, policy in (("rtc", "catchup"), ("pit", "delay")):
        ET.SubElement(clock, "timer", name=name, tickpolicy=policy)
    ET.SubElement(clock, "timer", name="hpet", present="no")
    if windows:
        ET.SubElement(clock, "timer", name="hypervclock", present="yes")
    _devices(root, machine)
    return ET.tostring(root, encoding="unicode")


def nic(mac: str, source: str, security_group: str = "") -> str:
    """A NIC's XML. source: a libvirt network's name, or ``bridge:NAME``."""
    bridge = source.removeprefix("bridge:") if source.startswith("bridge:") else ""
    root = ET.Element("interface", type="bridge" if bridge else "network")
    ET.SubElement(root, "mac", address=mac)
    ET.SubElement(root, "source", {"bridge": bridge} if bridge else {"network": source})
    ET.SubElement(root, "model", type="virtio")
    if security_group:
        ET.SubElement(root, "filterref", filter=security_group)
    return ET.tostring(root, encoding="unicode")


def user_nic(mac: str, network: IPv4Network) -> str:
    """The XML of a NIC whose network, with its DHCP server, is inside QEMU and nobody else's."""
    root = ET.Element("interface", type="user")
    ET.SubElement(root, "mac", address=mac)
    ET.SubElement(root, "ip", family="ipv4", address=str(network.network_address), prefix=str(network.prefixlen))
    ET.SubElement(root, "model", type="virtio")
    return ET.tostring(root, encoding="unicode")


def screen(password: str, listen: str, valid_until: str = "") -> str:
    """The screen's XML. listen: an address of the host; valid_until: UTC, ``2026-11-30T12:00:00``; empty: for good."""
    root = ET.Element("graphics", type="vnc", autoport="yes", listen=listen, passwd=password)
    if valid_until:
        root.set("passwdValidTo", valid_until)
    ET.SubElement(root, "listen", type="address", address=listen)
    return ET.tostring(root, encoding="unicode")


def _said(parent: ET.Element, tag: str, said: str, **attributes: str) -> ET.Element:
    made = ET.SubElement(parent, tag, attributes)
    made.text = said
    return made


def _system(root: ET.Element, machine: MachineXml) -> None:
    uefi = machine.boot.firmware == "uefi"
    system = ET.SubElement(root, "os", {"firmware": "efi"} if uefi else {})
    _said(system, "type", "hvm", arch="x86_64", machine="q35")
    if uefi and machine.os_family == "windows":
        firmware = ET.SubElement(system, "firmware")
        for name in ("enrolled-keys", "secure-boot"):
            ET.SubElement(firmware, "feature", enabled="yes", name=name)
    if machine.boot.kernel:
        _said(system, "kernel", machine.boot.kernel)
        _said(system, "initrd", machine.boot.initrd)
        _said(system, "cmdline", machine.boot.command_line)
    else:
        ET.SubElement(system, "boot", dev="hd")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(features, "apic")
    if machine.os_family == "windows":
        hyperv = ET.SubElement(features, "hyperv", mode="custom")
        for name in ("relaxed", "vapic"):
            ET.SubElement(hyperv, name, state="on")
        ET.SubElement(hyperv, "spinlocks", state="on", retries="8191")
        if uefi:
            ET.SubElement(features, "smm", state="on")


def _processor(root: ET.Element, machine: MachineXml) -> None:
    # Emulated, the largest model costs nothing more, and newer systems want more than the default has.
    cpu = ET.SubElement(root, "cpu", mode="host-passthrough" if machine.virt_type == "kvm" else "maximum")
    # One socket: desktop editions of Windows use no more than two of them.
    ET.SubElement(cpu, "topology", sockets="1", cores=str(machine.size.vcpu), threads="1")


def _devices(root: ET.Element, machine: MachineXml) -> None:
    devices = ET.SubElement(root, "devices")
    windows = machine.os_family == "windows"
    ET.SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
    for index in range(1, 1 + SPARE_PORTS + (_WINDOWS_PORTS if windows else 0)):
        ET.SubElement(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    fixed = [ET.SubElement(devices, "controller", type="virtio-serial", index="0")]
    if not windows:
        # Its tablet is a virtio one; a controller that nothing is at costs a third of a second where it is emulated.
        ET.SubElement(devices, "controller", type="usb", model="none")
    disk = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    ET.SubElement(disk, "source", file=machine.disk)
    ET.SubElement(disk, "target", dev="vda", bus="virtio")
    fixed.append(disk)
    if machine.seed:
        # The kernels made for virtual machines have no driver for a SATA drive; Windows wants a drive.
        seed = ET.SubElement(devices, "disk", type="file", device="cdrom" if windows else "disk")
        ET.SubElement(seed, "driver", name="qemu", type="raw")
        ET.SubElement(seed, "source", file=machine.seed)
        ET.SubElement(seed, "target", dev="sda" if windows else "vdb", bus="sata" if windows else "virtio")
        ET.SubElement(seed, "readonly")
        fixed.append(seed)
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)
    ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(devices, "console", type="pty")
    devices.append(ET.fromstring(screen(machine.password, machine.listen)))
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="vga", vram="32768")
    fixed.append(ET.SubElement(devices, "input", type="tablet", bus="usb" if windows else "virtio"))
    source = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(source, "backend", model="random").text = "/dev/urandom"
    fixed.append(source)
    if windows:
        tpm = ET.SubElement(devices, "tpm", model="tpm-crb")
        ET.SubElement(tpm, "backend", type="emulator", version="2.0")
        return
    # Memory is not taken from a running machine.
    ET.SubElement(devices, "memballoon", model="none")
    for slot, device in enumerate(fixed, _FIRST_SLOT):
        ET.SubElement(device, "address", type="pci", domain="0", bus="0", slot=f"{slot:#x}", function="0")
