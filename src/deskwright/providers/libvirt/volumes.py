"""Disks on the host: a storage pool for each site, and one for the images that all of them start from."""

import contextlib
import io
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import libvirt

from deskwright.providers.libvirt.host import found, is_absent

IMAGES = "deskwright-images"
GB = 1024**3
_CHUNK = 1 << 20
_START_SECONDS = 2.0


class BeingMade(Exception):
    """libvirt still writes the volume, for somebody else or for a process that has died since."""


def site_pool(connection: Any, directory: str, site: UUID) -> Any:
    """The pool of a site's disks, made on first use."""
    return _pool(connection, f"deskwright-{site}", f"{directory}/{site}")


def image_pool(connection: Any, directory: str) -> Any:
    """The host's one pool of images, made on first use: sites with other folders use the images in this one."""
    return _pool(connection, IMAGES, f"{directory}/images")


def folder(pool: Any) -> str:
    """Where a pool is on the host."""
    return ET.fromstring(pool.XMLDesc()).findtext("target/path") or ""


def existing_site_pool(connection: Any, site: UUID) -> Any:
    """The pool of a site's disks; None where none was needed yet."""
    pool = found(connection.storagePoolLookupByName, f"deskwright-{site}")
    if pool is not None and not pool.isActive():
        pool.create()
    return pool


def _pool(connection: Any, name: str, path: str) -> Any:
    pool = found(connection.storagePoolLookupByName, name)
    if pool is None:
        try:
            pool = connection.storagePoolDefineXML(_pool_xml(name, path))
            pool.setAutostart(1)
        except libvirt.libvirtError:
            pool = connection.storagePoolLookupByName(name)  # somebody made it meanwhile, or this raises
    ends = time.monotonic() + _START_SECONDS
    while not pool.isActive():
        try:
            pool.build()  # its folder: who defined the pool may not have come so far
            pool.create()
        except libvirt.libvirtError:  # refused, too, while somebody else does the same
            if time.monotonic() >= ends:
                raise
            time.sleep(0.02)
    return pool


def _pool_xml(name: str, path: str) -> str:
    root = ET.Element("pool", type="dir")
    ET.SubElement(root, "name").text = name
    ET.SubElement(ET.SubElement(root, "target"), "path").text = path
    return ET.tostring(root, encoding="unicode")


def look_up(pool: Any, name: str) -> Any:
    """A volume, also one that came to be behind libvirt's back; None where it is not there."""
    volume = _known(pool, name)
    if volume is None:
        refresh(pool)
        volume = _known(pool, name)
    return volume


def overlay(pool: Any, name: str, base: str, size_gb: int) -> Any:
    """A disk that holds only what differs from `base` (a path on the host); the one there is, or a new one.

    Raises BeingMade.
    """
    volume = _known(pool, name)
    if volume is None:
        try:
            return pool.createXML(_volume_xml(name, size_gb * GB, "qcow2", base))
        except libvirt.libvirtError:  # libvirt writes over no file, also over one that it did not know
            volume = look_up(pool, name)
            if volume is None:
                raise
    _must_be_whole(volume)
    return volume


def written(pool: Any, name: str, content: bytes | Path) -> Any:
    """A volume with these bytes. A crash leaves it cut short: whoever reads it must know that it is whole."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    volume = _anew(pool, name, size)
    stream = pool.connect().newStream()
    volume.upload(stream, 0, size)
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
        while chunk := source.read(_CHUNK):
            _send(stream, chunk)
    stream.finish()
    if isinstance(content, bytes):
        return volume
    refresh(pool)  # what was said to be raw may be a qcow2 file
    return look_up(pool, name)


def content(volume: Any, longest: int = 1 << 20) -> bytes:
    """The bytes of a small volume."""
    stream = volume.storagePoolLookupByVolume().connect().newStream()
    volume.download(stream, 0, min(volume.info()[1], longest))
    held = b""
    while got := stream.recv(_CHUNK):
        held += got
    stream.finish()
    return held


def copy(pool: Any, name: str, source: Any, base: str, size_gb: int) -> Any:
    """A copy of an overlay, on the same base: what differs is copied, the base is not."""
    return look_up(pool, name) or pool.createXMLFrom(_volume_xml(name, size_gb * GB, "qcow2", base), source, 0)


def delete(pool: Any, name: str) -> None:
    volume = look_up(pool, name)
    if volume is None:
        return
    try:
        volume.delete()
    except libvirt.libvirtError as error:
        if not is_absent(error):
            raise


def base_of(volume: Any) -> str:
    """The path of what an overlay stands on."""
    path = ET.fromstring(volume.XMLDesc()).findtext("backingStore/path")
    return path or ""


def each(pool: Any) -> Iterator[tuple[str, str]]:
    """(name, path on the host) of everything in a pool."""
    refresh(pool)
    for volume in pool.listAllVolumes():
        yield volume.name(), volume.path()


def refresh(pool: Any) -> None:
    """Let libvirt look at the folder again, which it refuses while a volume is being written."""
    with contextlib.suppress(libvirt.libvirtError):
        pool.refresh()


def _known(pool: Any, name: str) -> Any:
    """A volume that libvirt knows of. Looking for others in the folder takes the longer, the more there are."""
    return found(pool.storageVolLookupByName, name)


def _anew(pool: Any, name: str, size: int) -> Any:
    """A raw volume, in the place of one that is there."""
    volume = _known(pool, name)
    if volume is not None:
        volume.delete()
    try:
        return pool.createXML(_volume_xml(name, size, "raw"))
    except libvirt.libvirtError:
        volume = look_up(pool, name)  # libvirt writes over no file, also over one that it did not know
        if volume is None:
            raise
        volume.delete()
        return pool.createXML(_volume_xml(name, size, "raw"))


def _must_be_whole(volume: Any) -> None:
    """A volume is known, and its file is there, while it is still being written. A machine started with it then finds
    an empty disk, for good. Reading is the cheapest thing that libvirt refuses until it is whole."""
    stream = volume.storagePoolLookupByVolume().connect().newStream()
    try:
        volume.download(stream, 0, 1)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID:
            raise BeingMade(volume.name()) from error
        raise
    stream.abort()


def _volume_xml(name: str, size: int, kind: str, base: str = "") -> str:
    root = ET.Element("volume", type="file")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "capacity", unit="bytes").text = str(size)
    if kind == "qcow2":
        ET.SubElement(root, "allocation", unit="bytes").text = "0"
    target = ET.SubElement(root, "target")
    ET.SubElement(target, "format", type=kind)
    if base:
        backing = ET.SubElement(root, "backingStore")
        ET.SubElement(backing, "path").text = base
        ET.SubElement(backing, "format", type="qcow2")
    return ET.tostring(root, encoding="unicode")


def _send(stream: Any, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[stream.send(chunk) :]
