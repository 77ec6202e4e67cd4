"""Moving Cloud PCs from one status to another: the only place that writes `cloud_pcs.status`."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.status import Status, sources_of

NOW = object()
"""As a column's value: the tenant's time."""

_MOVE = """
    WITH old AS MATERIALIZED (
      SELECT id, status AS was FROM cloud_pcs WHERE id = ANY(:ids) AND status = ANY(:sources) ORDER BY id FOR UPDATE),
    changed AS (
      UPDATE cloud_pcs c SET status = :status, status_since = tenant_now(c.tenant_id){columns}
        FROM old WHERE c.id = old.id
      RETURNING c.id, c.tenant_id, c.display_name, old.was),
    audited AS (
      INSERT INTO audit_events (tenant_id, at, actor, activity, object_type, object_id, object_name, before, after)
      SELECT tenant_id, tenant_now(tenant_id), :actor, :activity, 'cloudPC', id::text, display_name,
             jsonb_build_object('status', was), CAST(:after AS jsonb) FROM changed)
    SELECT id FROM changed
"""


def move(
    connection: Connection,
    ids: Iterable[UUID],
    to: Status,
    *,
    actor: str = "deskwright",
    why: str = "",
    **columns: Any,
) -> set[UUID]:
    """Move every one of `ids` that may become `to` (domain.status), writing `columns` along, and audit it.

    Returns those that were moved: a Cloud PC that meanwhile is in a status from which `to` is illegal is left
    alone, and the caller, who decided on older facts, looks again.
    """
    listed = list(ids)
    if not listed:
        return set()
    values = {name: json.dumps(v, default=str) if isinstance(v, list | dict) else v for name, v in columns.items()}
    statement = _MOVE.format(columns="".join(f", {name} = {_written(name, v)}" for name, v in columns.items()))
    after = {"status": str(to), **({"why": why} if why else {})}
    given = {
        **{name: v for name, v in values.items() if v is not None and v is not NOW},
        "ids": listed,
        "sources": [str(s) for s in sources_of(to)],
        "status": str(to),
        "actor": actor,
        "activity": f"Cloud PC is {to}",
        "after": json.dumps(after),
    }
    return set(connection.execute(text(statement), given).scalars())


def _written(name: str, value: Any) -> str:
    """How a column's value stands in the statement: bound, but for what SQL says itself."""
    if value is None:
        return "NULL"
    if value is NOW:
        return "tenant_now(c.tenant_id)"
    return f"CAST(:{name} AS jsonb)" if isinstance(value, list | dict) else f":{name}"
