"""What a host has, and whether a machine of some size still fits: what was promised, and what is really free now."""

import os
from typing import Any

from deskwright.domain.plans import Size
from deskwright.providers.libvirt import volumes
from deskwright.providers.libvirt.configuration import Configuration
from deskwright.providers.libvirt.host import found
from deskwright.providers.libvirt.records import Used

_KIB_PER_GB = 1024**2
LEAST_DISK_GB = 2
"""Free on the host before another disk is begun: an overlay starts small, but it starts growing at once."""
_NOTHING = Size(0, 0, 0)


class Capacity:
    """One host's, as it is now."""

    def __init__(self, connection: Any, at: Configuration, disks: Any = None) -> None:
        """disks: the pool of the site's disks, where there is one already."""
        self._connection, self._at = connection, at
        _, memory_mib, processors, *_ = connection.getInfo()
        total, free = self._disk(disks)
        self._free_disk = free
        self.most = Used(
            int(processors * at.overcommit.vcpu),
            int(memory_mib / 1024 * at.overcommit.ram),
            int(total * at.overcommit.storage),
        )

    def missing(self, size: Size, used: Used, freed: Size = _NOTHING) -> str | None:
        """Why `size` does not fit beside what is promised, were `freed` given back; None where it does."""
        left = Size(
            max(0, self.most.vcpu - used.vcpu + freed.vcpu),
            max(0, self.most.ram_gb - used.ram_gb + freed.ram_gb),
            max(0, self.most.storage_gb - used.storage_gb + freed.storage_gb),
        )
        if size.vcpu <= left.vcpu and size.ram_gb <= left.ram_gb and size.storage_gb <= left.storage_gb:
            return self.missing_now(size, freed)
        return (
            f"{size.vcpu} vCPU, {size.ram_gb} GB of memory and {size.storage_gb} GB of disk are needed,"
            f" left to promise are {left.vcpu}, {left.ram_gb} and {left.storage_gb}"
        )

    def missing_now(self, size: Size, freed: Size = _NOTHING) -> str | None:
        """Why the host cannot take it at this moment, whatever was promised."""
        memory = self._connection.getMemoryStats(-1)
        free = (memory["free"] + memory.get("buffers", 0) + memory.get("cached", 0)) / _KIB_PER_GB + freed.ram_gb
        if free < size.ram_gb / self._at.overcommit.ram:
            return f"{size.ram_gb} GB of memory are needed, the host has {free:.1f} GB free now"
        if self._free_disk < min(LEAST_DISK_GB, size.storage_gb):
            return f"the host's disk has {self._free_disk:.1f} GB free at {self._at.directory}"
        return None

    def _disk(self, disks: Any) -> tuple[float, float]:
        """(size, free) in GB of where the disks are."""
        pool = disks or found(self._connection.storagePoolLookupByName, volumes.IMAGES)
        if pool is None or not pool.isActive():
            if not self._at.is_local:
                pool = volumes.image_pool(self._connection, self._at.directory)
            else:
                return _local_disk(self._at.directory)
        volumes.refresh(pool)
        _, capacity, _, available = pool.info()
        return capacity / volumes.GB, available / volumes.GB


def _local_disk(path: str) -> tuple[float, float]:
    """Of the file system on which the folder is, or will be."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    told = os.statvfs(path)
    return told.f_blocks * told.f_frsize / volumes.GB, told.f_bavail * told.f_frsize / volumes.GB
