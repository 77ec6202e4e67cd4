"""Rows of the ledger that are device objects of the directory, or managed devices: what both sets tell of them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal_column, select

from deskwright.graph.call import Call
from deskwright.store.tables import cloud_pcs, ledger, runs, service_plans, steps, users

_l = ledger.c

# The plan's name: after a resize the Cloud PC's new one. Of a leftover: what it was.
MODEL: "ColumnElement[Any]" = func.coalesce(
    select(service_plans.c.display_name)
    .join(cloud_pcs, cloud_pcs.c.plan_id == service_plans.c.id)
    .where(cloud_pcs.c.id == _l.cloud_pc_id, _l.release_at.is_(None))
    .correlate(ledger)
    .scalar_subquery(),
    _l.details["model"].astext,
)
# ``Windows`` or ``Linux``: the step that made the attempt's machine says it.
SYSTEM: "ColumnElement[Any]" = func.initcap(
    select(steps.c.made["osFamily"].astext)
    .join(runs, runs.c.id == steps.c.run_id)
    .where(runs.c.cloud_pc_id == _l.cloud_pc_id, runs.c.number == _l.run_number)
    .where(steps.c.attempt == _l.attempt, steps.c.step == "C2")
    .correlate(ledger)
    .scalar_subquery()
)
_JOIN = (
    select(runs.c.policy["join_type"].astext)
    .where(runs.c.cloud_pc_id == _l.cloud_pc_id, runs.c.number == _l.run_number)
    .correlate(ledger)
    .scalar_subquery()
)


def of_kind(call: Call, kind: str) -> "Select[Any]":
    """Every ``device`` or ``managedDevice`` of the tenant that was made and not yet released."""
    # Written out, so that the partial index is seen to fit.
    written = _l.kind == literal_column(f"'{kind}'"), _l.state == literal_column("'created'")
    return select(ledger).where(_l.tenant_id == call.tenant.id, *written, _l.cloud_pc_id.is_not(None))


def about(connection: Connection, rows: "Sequence[Row[Any]]") -> dict[int, Any]:
    """By ledger row: model, system, kind of join, Cloud PC and user. One query a page."""
    c, u, p = cloud_pcs.c, users.c, service_plans.c
    query = (
        select(
            _l.id,
            MODEL.label("model"),
            SYSTEM.label("system"),
            _JOIN.label("join_type"),
            c.id.label("cloud_pc_id"),
            c.user_id,
            u.user_principal_name,
            u.display_name.label("user_display_name"),
            p.ram_gb,
            p.storage_gb,
        )
        .join(cloud_pcs, c.id == _l.cloud_pc_id)
        .join(users, u.id == c.user_id)
        .join(service_plans, p.id == c.plan_id)
        .where(_l.id.in_([row.id for row in rows]))
    )
    return {row.id: row for row in connection.execute(query)} if rows else {}
