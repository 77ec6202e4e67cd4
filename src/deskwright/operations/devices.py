"""Device objects of the directory that Deskwright made: what may be changed of them, and getting rid of leftovers."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from deskwright import jobs
from deskwright.domain.rules import NotFound, Refused
from deskwright.operations.change import TenantRef, change
from deskwright.provision.ledger import CLEAN_UP
from deskwright.store.audit import event
from deskwright.store.database import Database

# Device objects that were made and are not released.
_DEVICE = text(
    """
    SELECT l.id, l.external_id, l.details, l.release_at, l.cloud_pc_id, c.device_name
      FROM ledger l JOIN cloud_pcs c ON c.id = l.cloud_pc_id
     WHERE l.tenant_id = :tenant AND l.kind = 'device' AND l.state = 'created' AND l.external_id = :device
       FOR UPDATE OF l
    """
)
_KEEP = text(
    """
    UPDATE ledger SET details = jsonb_set(details, '{extensionAttributes}',
           COALESCE(details -> 'extensionAttributes', '{}'::jsonb) || CAST(:attributes AS jsonb)) WHERE id = :id
    """
)
_RELEASE = text("UPDATE ledger SET release_at = tenant_now(tenant_id) WHERE id = :id")


def set_extension_attributes(
    database: Database, tenant: TenantRef, actor: str, device: str, attributes: Mapping[str, str | None]
) -> None:
    """Set those of the fifteen free texts of a device object that are named; None clears one."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, device)
        before = row.details.get("extensionAttributes") or {}
        opened.connection.execute(_KEEP, {"id": row.id, "attributes": json.dumps(dict(attributes))})
        old = {name: before.get(name) for name in attributes}
        opened.audit("Update device", "device", [event(device, _name(row), old, dict(attributes))])


def delete(database: Database, tenant: TenantRef, actor: str, device: str) -> None:
    """Release a leftover device object now instead of after the clean-up delay (L2). Refused for one in use."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, device)
        if row.release_at is None:
            rule = "belongs to a Cloud PC that is in use"
            remedy = "It goes with its Cloud PC: end its grace period, or reprovision it"
            raise Refused("device", _name(row), rule, code="notAllowed", remedy=remedy)
        opened.connection.execute(_RELEASE, {"id": row.id})
        jobs.defer(opened.connection, CLEAN_UP, [row.cloud_pc_id])
        opened.audit("Delete device", "device", [event(device, _name(row), dict(row.details), None)])


def _one(connection: Connection, tenant: TenantRef, device: str) -> "Row[Any]":
    row = connection.execute(_DEVICE, {"tenant": tenant.id, "device": device}).first()
    if row is None:
        raise NotFound("device", device)
    return row


def _name(row: "Row[Any]") -> str:
    return str(row.details.get("displayName") or row.device_name or row.external_id)
