"""Reading the audit log: who changed what, when, from what to what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from deskwright.domain.rules import NotFound
from deskwright.operations import named
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.store.database import Database
from deskwright.store.tables import audit_events


def _present(row: "Row[Any]") -> Item:
    return {
        "id": row.id,
        "activityDateTime": row.at,
        "activity": row.activity,
        "actor": row.actor,
        "resourceType": row.object_type,
        "resourceId": row.object_id,
        "displayName": row.object_name,
        "before": row.before,
        "after": row.after,
        "correlationId": row.correlation_id,
    }


def list_(
    database: Database,
    tenant: TenantRef,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 100,
    resource: str | None = None,
    resource_type: str | None = None,
    actor: str | None = None,
    since: datetime | None = None,
) -> list[Item]:
    """Events newest first, those with an id below `before`; or, with `after`, oldest first those above it.

    `resource` is an id or a name. Each page is bounded, and paging by id misses and repeats nothing.
    """
    c = audit_events.c
    query = select(audit_events).where(c.tenant_id == tenant.id).limit(named.check_limit(limit))
    query = query.order_by(c.id.desc()) if after is None else query.where(c.id > after).order_by(c.id)
    if before is not None:
        query = query.where(c.id < before)
    if resource is not None and named.as_id(resource) is not None:
        query = query.where(c.object_id == str(named.as_id(resource)))
    elif resource is not None:
        query = query.where(func.lower(c.object_name) == resource.strip().lower())
    if resource_type is not None:
        query = query.where(c.object_type == resource_type)
    if actor is not None:
        query = query.where(c.actor == actor)
    if since is not None:
        query = query.where(c.at >= since)
    with database.single.connect() as connection:
        return [_present(row) for row in connection.execute(query)]


def show(database: Database, tenant: TenantRef, event: int) -> Item:
    """One event."""
    c = audit_events.c
    with database.single.connect() as connection:
        row = connection.execute(select(audit_events).where(c.tenant_id == tenant.id, c.id == event)).one_or_none()
    if row is None:
        raise NotFound("auditEvent", event, "deskwright audit list shows those there are")
    return _present(row)
