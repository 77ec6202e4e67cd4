"""What libvirt's objects carry of ours: their keys, and whose they are.

Domains and networks keep it as metadata. Storage volumes have none: a disk's and a snapshot's key is its name.
"""

import xml.etree.ElementTree as ET
from uuid import NAMESPACE_URL, UUID, uuid5

from deskwright.domain.resources import Kind

NAMESPACE = "urn:deskwright:libvirt:1"
_TAG = f"{{{NAMESPACE}}}deskwright"
ET.register_namespace("deskwright", NAMESPACE)


def element(values: dict[str, str]) -> ET.Element:
    """The metadata of an object; values: text by name."""
    return ET.Element(_TAG, values)


def of(xml: str) -> dict[str, str]:
    """The metadata in an object's XML; empty where Deskwright did not make it."""
    found = ET.fromstring(xml).find(f"metadata/{_TAG}")
    return {} if found is None else dict(found.attrib)


def uuid_of(key: str) -> UUID:
    """The UUID of the object with this key: making it twice finds the first."""
    return uuid5(NAMESPACE_URL, key)


def mac_of(key: str, turn: int) -> str:
    """An address in QEMU's range for a NIC with this key; another one in the next turn, should it be taken."""
    tail = uuid5(NAMESPACE_URL, f"{key}#{turn}").bytes[:3]
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *tail))


def volume_name(key: str) -> str:
    """The file name of the disk, snapshot or seed with this key."""
    return key.replace(":", "_") + (".iso" if key.endswith(f":{Kind.VM}") else ".qcow2")


def key_of(volume: str) -> str:
    """The key in a volume's name; empty for one that Deskwright did not make."""
    stem, _, ending = volume.rpartition(".")
    return stem.replace("_", ":") if stem.startswith("deskwright_") and ending in ("qcow2", "iso") else ""
