"""`reports/exportJobs`: a report with all its rows as a file, kept for a day.

A job is completed when it is answered: the rows are those of that moment. `exportUrl` wants the same token as every
other call, unlike Microsoft's, whose address is a secret by itself.
"""

import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Bytes, Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_found
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.report_tables import REPORTS
from deskwright.graph.reports import Asked, exported
from deskwright.graph.routes import serves
from deskwright.operations import export_jobs as operations
from deskwright.store.tables import export_jobs

_SET = "/deviceManagement/virtualEndpoint/reports/exportJobs"
_j = export_jobs.c
_MEDIA = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def _rows(call: Call) -> "Select[Any]":
    columns = [column for column in export_jobs.c if column.name != "content"]
    return select(*columns).where(_j.tenant_id == call.tenant.id, _j.expires_at > func.tenant_now(call.tenant.id))


def _present(call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [
        {
            "id": row.id,
            "reportName": row.report_name,
            "format": row.format,
            "filter": row.filter,
            "select": row.columns,
            "exportJobStatus": "completed",
            "exportUrl": f"{call.root}{_SET}/{row.id}/content",
            "requestDateTime": row.requested_at,
            "expirationDateTime": row.expires_at,
        }
        for row in rows
    ]


EXPORT_JOBS = Source(
    "cloudPcExportJob",
    _rows,
    _j.id,
    Fields(
        {
            "id": Field(_j.id, "id"),
            "reportName": Field(_j.report_name, "enum"),
            "format": Field(_j.format),
            "requestDateTime": Field(_j.requested_at, "time"),
            "expirationDateTime": Field(_j.expires_at, "time"),
        },
        search=("reportName",),
    ),
    _present,
)


@serves("GET", _SET, READ, returns="Collection(cloudPcExportJob)")
def list_export_jobs(call: Call) -> Any:
    """List exported reports that have not expired."""
    return collection(call, EXPORT_JOBS, path=_SET.lstrip("/"))


@serves("GET", f"{_SET}/$count", READ, returns="Int32")
def count_export_jobs(call: Call) -> Any:
    """Count exported reports."""
    return number(count(call, EXPORT_JOBS))


@serves("GET", f"{_SET}/{{id}}", READ, returns="cloudPcExportJob")
def get_export_job(call: Call) -> Any:
    """Get an exported report's job."""
    return one(call, EXPORT_JOBS, "export job", call.key("export job"))


@serves("POST", _SET, READ, body="cloudPcExportJob", returns="cloudPcExportJob", writes=False)
def create_export_job(call: Call) -> Any:
    """Export a report. Who may read it may export it."""
    given = bodies.entity(call, "cloudPcExportJob")
    name, format_ = given.get("reportName"), (given.get("format") or "csv").lower()
    if name not in REPORTS:
        said = "is missing" if name is None else f"cannot be {name!r}"
        raise bad(f"'reportName' {said}; it must be one of: {', '.join(REPORTS)}.", "reportName")
    if format_ not in operations.FORMATS:
        raise bad(f"'format' must be one of: {', '.join(operations.FORMATS)}; it is '{format_[:40]}'.", "format")
    wanted = Asked(given.get("select") or (), given.get("filter") or None)
    with call.world.database.begin() as connection:
        content = exported(connection, call.tenant.id, REPORTS[name], wanted, format_)
    made = operations.create(
        *call.change,
        report_name=name,
        format_=format_,
        filter_=wanted.filter,
        columns=wanted.select,
        content=content,
    )
    return Created(one(call, EXPORT_JOBS, "export job", made))


@serves("DELETE", f"{_SET}/{{id}}", WRITE)
def delete_export_job(call: Call) -> None:
    """Delete an exported report."""
    operations.delete(*call.change, call.key("export job"))


@serves("GET", f"{_SET}/{{id}}/content", READ, extra=True, versions=("beta",), returns="Binary")
def export_content(call: Call) -> Any:
    """Get the file of an exported report."""
    key = call.key("export job")
    with call.reading() as connection:
        row = connection.execute(_rows(call).add_columns(_j.content).where(_j.id == key)).one_or_none()
    if row is None:
        raise not_found("export job", key)
    return Bytes(zlib.decompress(row.content), _MEDIA[row.format])
