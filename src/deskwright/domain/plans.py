"""Service plans: the size a licence stands for, read from its name."""

import re
from dataclasses import dataclass

from deskwright.domain.rules import Refused

_SIZE = re.compile(r"(\d+)vCPU/(\d+)GB/(\d+)GB", re.IGNORECASE)


@dataclass(frozen=True)
class Size:
    vcpu: int
    ram_gb: int
    storage_gb: int


def size_from_name(name: str) -> Size | None:
    """``Cloud PC Enterprise 2vCPU/8GB/128GB`` -> Size(2, 8, 128); None where the name does not say."""
    found = _SIZE.search(name)
    return Size(*(int(n) for n in found.groups())) if found else None


def size_of(name: str, vcpu: int | None, ram_gb: int | None, storage_gb: int | None) -> Size:
    """The size given, completed from the name; Refused where neither says it."""
    named = size_from_name(name)
    if named is None and None in (vcpu, ram_gb, storage_gb):
        raise Refused(
            "displayName",
            name,
            "the name must hold a size such as 2vCPU/8GB/128GB, or give vCpuCount, ramInGB and storageInGB",
        )
    size = Size(
        vcpu or (named.vcpu if named else 0),
        ram_gb or (named.ram_gb if named else 0),
        storage_gb or (named.storage_gb if named else 0),
    )
    if min(size.vcpu, size.ram_gb, size.storage_gb) < 1:
        raise Refused("vCpuCount", size.vcpu, "vCpuCount, ramInGB and storageInGB must be at least 1")
    return size
