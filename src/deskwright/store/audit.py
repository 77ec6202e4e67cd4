"""Writing down who changed what. Every change passes here; secrets never do."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

_WRITE = text(
    """
    INSERT INTO audit_events (tenant_id, at, actor, activity, object_type, object_id, object_name, before, after)
    SELECT :tenant, tenant_now(:tenant), :actor, :activity, :type, e.id, e.name, e.before, e.after
      FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS e (id text, name text, before jsonb, after jsonb)
    """
)


def event(
    object_id: UUID | str,
    name: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One changed object; `before` is None for a new one, `after` for a deleted one."""
    return {"id": str(object_id), "name": name, "before": before, "after": after}


def write(
    connection: Connection,
    tenant: UUID,
    actor: str,
    activity: str,
    object_type: str,
    events: Iterable[dict[str, Any]],
) -> None:
    listed = list(events)
    if listed:
        values = {"tenant": tenant, "actor": actor, "activity": activity, "type": object_type}
        connection.execute(_WRITE, {**values, "events": json.dumps(listed, default=str)})
