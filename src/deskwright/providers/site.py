"""A site as its providers see it: whose it is, and which provider serves it with what configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Site:
    tenant_id: UUID
    id: UUID
    name: str
    compute: Mapping[str, Any] = field(default_factory=lambda: {"kind": "simulator"})
    directory: Mapping[str, Any] = field(default_factory=lambda: {"kind": "simulator"})
    management: Mapping[str, Any] = field(default_factory=lambda: {"kind": "simulator"})
