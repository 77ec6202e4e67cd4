"""Reports that were exported: kept for a day, under the id of their job."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete as delete_from
from sqlalchemy import func, insert, select, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations.change import TenantRef, change
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import export_jobs

FORMATS = ("csv", "json")
MOST = 100
"""Exports that a tenant keeps at a time."""
_j = export_jobs.c


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    report_name: str,
    format_: str,
    filter_: str | None,
    columns: Sequence[str],
    content: bytes,
) -> UUID:
    """Keep an export for a day; returns its id. Those that have expired go."""
    now = func.tenant_now(tenant.id)
    with change(database, tenant, actor) as opened:
        connection = opened.connection
        connection.execute(delete_from(export_jobs).where(_j.tenant_id == tenant.id, _j.expires_at <= now))
        kept = connection.execute(select(func.count()).where(_j.tenant_id == tenant.id)).scalar_one()
        if kept >= MOST:
            rule = f"the tenant keeps {MOST} exports already"
            raise Refused("exportJobs", kept, rule, code="quotaLimitReached", remedy="Delete some; they go after a day")
        made: UUID = connection.execute(
            insert(export_jobs)
            .values(
                tenant_id=tenant.id,
                report_name=report_name,
                format=format_,
                filter=filter_,
                columns=list(columns),
                content=content,
                requested_at=now,
                expires_at=now + text("interval '1 day'"),
            )
            .returning(_j.id)
        ).scalar_one()
        about = {"reportName": report_name, "format": format_, "filter": filter_, "select": list(columns)}
        opened.audit("Create export job", "exportJob", [event(made, report_name, None, about)])
    return made


def delete(database: Database, tenant: TenantRef, actor: str, export_job: UUID) -> None:
    """Delete an export."""
    with change(database, tenant, actor) as opened:
        gone = delete_from(export_jobs).where(_j.tenant_id == tenant.id, _j.id == export_job).returning(_j.report_name)
        name = opened.connection.execute(gone).scalar_one_or_none()
        if name is None:
            raise NotFound("exportJob", str(export_job))
        about = {"reportName": name}
        opened.audit("Delete export job", "exportJob", [event(export_job, name, about, None)])
