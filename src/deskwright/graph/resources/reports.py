"""`reports`: tables as an octet stream, one call each. What they are made from is in `graph.report_tables`."""

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Select, Text, cast, literal, null, select

from deskwright.graph import report_tables
from deskwright.graph.access import READ
from deskwright.graph.answers import Bytes
from deskwright.graph.call import Call
from deskwright.graph.cloud_pc import CLOUD_PCS
from deskwright.graph.errors import bad, not_found
from deskwright.graph.listing import one
from deskwright.graph.report_tables import REPORTS
from deskwright.graph.reports import Asked, Report, answer, asked
from deskwright.graph.routes import serves
from deskwright.operations.named import as_id
from deskwright.store.tables import cloud_pcs

_c = cloud_pcs.c
_SET = "/deviceManagement/virtualEndpoint/reports"

# Calls that are one report each, and those whose body says which: the enumeration of names, and which without one.
_ONE: dict[str, Report] = {
    "getRemoteConnectionHistoricalReports": report_tables.HISTORY,
    "getDailyAggregatedRemoteConnectionReports": report_tables.DAILY_USE,
    "getTotalAggregatedRemoteConnectionReports": report_tables.TOTAL_USE,
    "getRawRemoteConnectionReports": report_tables.RAW_USE,
    "getActionStatusReports": report_tables.ACTION_STATUS,
    "getConnectionQualityReports": report_tables.QUALITY,
    "retrieveBulkActionStatusReport": report_tables.BULK_STATUS,
    "retrieveCloudPcPerformanceMetricsReport": report_tables.PERFORMANCE,
}
_NAMED: dict[str, tuple[str, str]] = {
    "getInaccessibleCloudPcReports": ("cloudPCInaccessibleReportName", "inaccessibleCloudPcReports"),
    "getCloudPcRecommendationReports": ("cloudPcReportName", "cloudPcUsageCategoryReports"),
    "retrieveCloudPcRecommendationReports": ("cloudPcRecommendationReportType", "cloudPcUsageCategoryReports"),
    "getCloudPcPerformanceReport": ("cloudPCPerformanceReportName", "performanceTrendReport"),
    "retrieveCloudPcTenantMetricsReport": ("cloudPCPerformanceReportName", "performanceTrendReport"),
    "retrieveCloudPcTroubleshootReports": ("cloudPCTroubleshootReportType", "troubleshootDetailsReport"),
    "retrieveConnectionQualityReports": ("cloudPCConnectionQualityReportType", "remoteConnectionQualityReport"),
    "retrieveCrossRegionDisasterRecoveryReport": (
        "cloudPcDisasterRecoveryReportName",
        "crossRegionDisasterRecoveryReport",
    ),
    "getFrontlineReport": ("cloudPcReportName", "frontlineLicenseUsageReport"),
    "retrieveFrontlineReports": ("cloudPCFrontlineReportType", "licenseUsageReport"),
}


def _serve_one(name: str, report: Report) -> None:
    def serve(call: Call) -> Bytes:
        return answer(call, report, asked(call))

    serve.__name__, serve.__doc__ = name, f"Get the report of {name}."
    serves("POST", f"{_SET}/{name}", READ, returns="Binary", writes=False)(serve)


def _serve_named(path: str, enumeration: str, usual: str) -> None:
    name = path.rpartition("/")[2]

    def serve(call: Call) -> Bytes:
        return answer(call, _named(call, enumeration, usual), asked(call))

    serve.__name__, serve.__doc__ = name, f"Get a report of {name}, which the body may name."
    serves("POST", path, READ, returns="Binary", writes=False)(serve)


for _name, _report in _ONE.items():
    _serve_one(_name, _report)
for _name, (_enumeration, _usual) in _NAMED.items():
    _serve_named(f"{_SET}/{_name}", _enumeration, _usual)
_serve_named(
    "/deviceManagement/virtualEndpoint/report/retrieveCloudPcRecommendationReports",
    *_NAMED["retrieveCloudPcRecommendationReports"],
)


@serves("GET", _SET, READ, returns="cloudPcReports")
def get_reports(call: Call) -> Any:
    """Get the reports, which have no properties of their own."""
    return {"@odata.context": f"{call.root}/$metadata#microsoft.graph.cloudPcReports", "id": str(call.tenant.id)}


@serves("GET", "/deviceManagement/virtualEndpoint/report", READ, returns="cloudPcReport")
def get_report(call: Call) -> Any:
    """Get the report, which has no properties of its own."""
    return {"@odata.context": f"{call.root}/$metadata#microsoft.graph.cloudPcReport", "id": str(call.tenant.id)}


@serves("GET", f"{_SET}/getRealTimeRemoteConnectionStatus", READ, returns="Binary")
def real_time_status(call: Call) -> Any:
    """Get whether somebody is signed in to a Cloud PC: sessions are not recorded, so that it is unknown."""
    return answer(call, _status_of(call), Asked())


@serves("GET", f"{_SET}/getRealTimeRemoteConnectionLatency", READ, returns="Binary")
def real_time_latency(call: Call) -> Any:
    """Get the latency of the session on a Cloud PC: sessions are not recorded, so that there is none."""
    _status_of(call)
    columns = {"CloudPcId": "String", "ManagedDeviceName": "String", "RoundTripTimeInMs": "Double"}
    return answer(call, Report(columns), Asked())


def _status_of(call: Call) -> Report:
    given = call.arguments.get("cloudpcid", "")
    key = as_id(given)
    if key is None:
        raise not_found("Cloud PC", given[:60])
    one(call, CLOUD_PCS, "Cloud PC", key)
    columns = {
        "ManagedDeviceName": "String",
        "CloudPcId": "String",
        "SignInStatus": "String",
        "DaysSinceLastSignIn": "Int64",
    }

    def rows(tenant: UUID) -> "Select[Any]":
        told = (
            _c.device_name.label("ManagedDeviceName"),
            cast(_c.id, Text).label("CloudPcId"),
            literal("Unknown").label("SignInStatus"),
            cast(null(), Integer).label("DaysSinceLastSignIn"),
        )
        return select(*told).where(_c.id == key, _c.tenant_id == tenant)

    return Report(columns, rows)


def _named(call: Call, enumeration: str, usual: str) -> Report:
    """The report that the body names, by `reportName` or `reportType`."""
    known = call.model.enumerations.get(enumeration)
    given = call.fields.get("reportname") or call.fields.get("reporttype")
    if given is None:
        return REPORTS[usual]
    members = known.members if known else tuple(REPORTS)
    name = next((m for m in members if isinstance(given, str) and m.lower() == given.lower()), None)
    if name is None or name not in REPORTS:
        names = ", ".join(m for m in members if m in REPORTS)
        raise bad(f"The value {given!r:.80} of 'reportName' is not one of {names}.", "reportName")
    return REPORTS[name]
