"""Moving Cloud PCs from one status to another: the only place that writes `cloud_pcs.status`."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, bindparam, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from deskwright.domain.status import Status, sources_of
from deskwright.store.tables import audit_events, cloud_pcs


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
    pc = cloud_pcs.c
    old = (
        select(pc.id, pc.status.label("was"))
        .where(pc.id.in_(bindparam("ids", expanding=True)), pc.status.in_(sources_of(to)))
        .order_by(pc.id)
        .with_for_update()
        .cte("old")
    )
    changed = (
        update(cloud_pcs)
        .where(pc.id == old.c.id)
        .values(status=to, status_since=func.tenant_now(pc.tenant_id), **columns)
        .returning(pc.id, pc.tenant_id, pc.display_name, old.c.was)
        .cte("changed")
    )
    audited = (
        insert(audit_events)
        .from_select(
            [
                "tenant_id",
                "at",
                "actor",
                "activity",
                "object_type",
                "object_id",
                "object_name",
                "before",
                "after",
            ],
            select(
                changed.c.tenant_id,
                func.tenant_now(changed.c.tenant_id),
                literal(actor),
                literal(f"Cloud PC is {to}"),
                literal("cloudPC"),
                cast(changed.c.id, Text),
                changed.c.display_name,
                func.jsonb_build_object("status", changed.c.was),
                literal({"status": str(to), **({"why": why} if why else {})}, JSONB),
            ),
        )
        .cte("audited")
    )
    rows = connection.execute(select(changed.c.id).add_cte(audited), {"ids": listed})
    return {row.id for row in rows}
