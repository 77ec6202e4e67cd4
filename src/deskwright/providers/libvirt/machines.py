"""Machines on the host: found by our tags, told once, and changed only while they are off."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import libvirt

from deskwright.domain.plans import Size
from deskwright.providers.libvirt import agent, tags, volumes
from deskwright.providers.libvirt.host import found

SHUT_DOWN_SECONDS = 60.0
"""A machine that is told to shut down and does not is turned off after so long (real time)."""

_GONE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def look_up(connection: Any, uuid: str) -> Any:
    """A machine; None where there is none, or the text is no UUID."""
    try:
        return found(connection.lookupByUUID, UUID(uuid).bytes)
    except ValueError:
        return None


def of_site(connection: Any, site: UUID) -> Iterator[tuple[Any, dict[str, str]]]:
    """Every machine of a site, with its tags."""
    for machine in connection.listAllDomains():
        try:
            carried = tags.of(machine.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        except libvirt.libvirtError:
            continue  # deleted while we looked
        if carried.get("site") == str(site):
            yield machine, carried


def tags_of(machine: Any) -> dict[str, str]:
    return tags.of(machine.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def define(connection: Any, xml: str, uuid: str) -> Any:
    """The machine, started; the one there is, or a new one."""
    machine = look_up(connection, uuid) or connection.defineXML(xml)
    machine.setAutostart(1)  # as long as nobody turns it off, it comes back with its host
    start(machine)
    return machine


def start(machine: Any) -> None:
    if machine.isActive():
        return
    try:
        machine.create()
    except libvirt.libvirtError:
        if not machine.isActive():  # nobody else has started it either
            raise


def running(machine: Any) -> str:
    """Which start of the machine this is; "off" where it does not run."""
    return str(machine.ID()) if machine.isActive() else "off"


def shut_down(machine: Any, seconds: float) -> bool:
    """Tell it to shut down, `seconds` after it was told first; whether it is off."""
    if not machine.isActive():
        return True
    try:
        if seconds >= SHUT_DOWN_SECONDS:
            machine.destroy()
        elif agent.answers(machine):
            agent.shut_down(machine)
        else:
            machine.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    except libvirt.libvirtError:
        if machine.isActive() and seconds >= SHUT_DOWN_SECONDS:
            raise
    return not machine.isActive()


def delete(machine: Any) -> None:
    """Turn it off and take it away, with all that libvirt keeps of it, but its disk."""
    try:
        if machine.isActive():
            machine.destroy()
    except libvirt.libvirtError:
        if machine.isActive():
            raise
    found(machine.undefineFlags, _GONE)


def has_nic(machine: Any, mac: str) -> bool:
    return mac in {nic.get("address") for nic in ET.fromstring(machine.XMLDesc()).iterfind("devices/interface/mac")}


def plug(machine: Any, nic_xml: str) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    machine.attachDeviceFlags(nic_xml, flags | libvirt.VIR_DOMAIN_AFFECT_LIVE if machine.isActive() else flags)


def unplug(machine: Any, nic_xml: str) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
    try:
        machine.detachDeviceFlags(nic_xml, flags | libvirt.VIR_DOMAIN_AFFECT_LIVE if machine.isActive() else flags)
    except libvirt.libvirtError:
        if has_nic(machine, ET.fromstring(nic_xml).find("mac").get("address", "")):  # type: ignore[union-attr]
            raise


def disk_path(machine: Any) -> str:
    """The path on the host of what it writes to now."""
    for disk in ET.fromstring(machine.XMLDesc()).iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None and source is not None and target.get("dev") == "vda":
            return source.get("file", "")
    return ""


def change_size(connection: Any, machine: Any, size: Size, model: str) -> None:
    """Of a machine that is off: processors, memory and model."""
    root = ET.fromstring(machine.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    for name in ("memory", "currentMemory"):
        for memory in root.findall(name):
            memory.set("unit", "GiB")
            memory.text = str(size.ram_gb)
    for processors in root.findall("vcpu"):
        processors.text = str(size.vcpu)
    for topology in root.findall("cpu/topology"):
        topology.set("cores", str(size.vcpu))
    for carried in root.findall(f"metadata/{{{tags.NAMESPACE}}}deskwright"):
        carried.set("model", model)
    connection.defineXML(ET.tostring(root, encoding="unicode"))


def grow_disk(disk: Any, size_gb: int) -> None:
    if disk.info()[1] < size_gb * volumes.GB:
        disk.resize(size_gb * volumes.GB)


def freeze(machine: Any, over: str, copied: Callable[[], None]) -> None:
    """Let `copied` copy the disk while the machine goes on: what it writes meanwhile goes to the file `over`, and is
    brought back afterwards. A crash in between is found by the disk standing on `over`."""
    disk = disk_path(machine)
    if disk != over:
        root = ET.Element("domainsnapshot")
        of = ET.SubElement(ET.SubElement(root, "disks"), "disk", name="vda", snapshot="external")
        ET.SubElement(of, "source", file=over)
        flags = (
            libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        )
        machine.snapshotCreateXML(ET.tostring(root, encoding="unicode"), flags)
    try:
        copied()
    finally:
        _bring_back(machine)


def _bring_back(machine: Any) -> None:
    flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW | libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
    if not machine.blockJobInfo("vda"):
        machine.blockCommit("vda", None, None, 0, flags)
    while True:
        job = machine.blockJobInfo("vda")
        if not job:
            return
        if job["cur"] == job["end"]:
            try:
                machine.blockJobAbort("vda", libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
                return
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_BLOCK_COPY_ACTIVE:
                    raise
