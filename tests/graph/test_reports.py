"""Reports: octet streams of JSON made from what is truly known; filters, orders, groups and pages in the body."""

import json
from typing import Any
from uuid import uuid4

import pytest

from deskwright.graph.contract import model
from deskwright.graph.report_tables import REPORTS
from deskwright.identity.permissions import READER
from deskwright.operations import remote_actions
from tests.company import Company, found
from tests.graph.conftest import Answer, Graph

SET = "/deviceManagement/virtualEndpoint/reports"


@pytest.fixture
def staffed(company: Company) -> Company:
    company.basics("adele", "alex")
    return company.settle()


def _report(answer: Answer) -> tuple[list[str], list[list[Any]], int]:
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/octet-stream"
    told = json.loads(answer.body)
    assert set(told) == {"TotalRowCount", "Schema", "Values"}
    columns = [c["Column"] for c in told["Schema"]]
    assert all(len(row) == len(columns) for row in told["Values"])
    return columns, told["Values"], told["TotalRowCount"]


def test_total_use_lists_every_cloud_pc_without_any(graph: Graph, staffed: Company) -> None:
    """A Cloud PC without a recorded session shows no use; none is made up."""
    select = ["CloudPcId", "userprincipalname", "TotalUsageInHour", "DaysSinceLastSignIn", "NeverSignedIn"]
    body = {"select": select, "orderBy": ["UserPrincipalName desc"]}
    columns, values, total = _report(graph.post(f"{SET}/getTotalAggregatedRemoteConnectionReports/", body))
    assert columns == ["CloudPcId", "UserPrincipalName", "TotalUsageInHour", "DaysSinceLastSignIn", "NeverSignedIn"]
    assert total == 2
    assert values == [[str(staffed.pc(user).id), f"{user}@contoso.com", 0.0, None, True] for user in ("alex", "adele")]


@pytest.mark.parametrize(
    ("body", "users"),
    [
        ({"filter": "TotalUsageInHour lt 40"}, {"adele", "alex"}),
        ({"filter": "TotalUsageInHour gt 40"}, set()),
        ({"filter": "UserPrincipalName eq 'adele@contoso.com' and NeverSignedIn eq true"}, {"adele"}),
        ({"filter": "CreatedDate gt datetime'2020-01-01T00:00:00Z'"}, {"adele", "alex"}),
        ({"search": "alex"}, {"alex"}),
        ({"orderBy": ["UserPrincipalName"], "top": 1}, {"adele"}),
        ({"orderBy": ["UserPrincipalName"], "top": 1, "skip": 1}, {"alex"}),
        ({"top": 5, "skip": 5}, set()),
    ],
)
def test_rows_are_chosen_by_the_body(graph: Graph, staffed: Company, body: dict[str, Any], users: set[str]) -> None:
    body = {"select": ["UserPrincipalName"], **body}
    _, values, total = _report(graph.post(f"{SET}/getTotalAggregatedRemoteConnectionReports", body))
    assert {row[0].split("@")[0] for row in values} == users
    if "skip" in body or "top" in body:
        assert total == 2


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"select": ["Colour"]}, "Colour"),
        ({"select": "CloudPcId"}, "select"),
        ({"filter": "Colour eq 1"}, "Colour"),
        ({"filter": "TotalUsageInHour lt"}, "filter"),
        ({"orderBy": ["CloudPcId sideways"]}, "orderBy"),
        ({"top": "many"}, "top"),
        ({"skip": -1}, "skip"),
        ({"groupBy": ["PcType"], "select": ["CloudPcId"]}, "CloudPcId"),
    ],
)
def test_bad_input_is_named(graph: Graph, staffed: Company, body: dict[str, Any], named: str) -> None:
    refused = graph.post(f"{SET}/getTotalAggregatedRemoteConnectionReports", body)
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert named in refused.body["error"]["message"]


def test_groups(graph: Graph, staffed: Company) -> None:
    columns, values, total = _report(
        graph.post(f"{SET}/getTotalAggregatedRemoteConnectionReports", {"groupBy": ["PcType"]})
    )
    assert columns == ["PcType", "TotalUsageInHour", "DaysSinceLastSignIn"]
    assert (values, total) == ([["dedicated", 0.0, None]], 1)


def test_action_status(graph: Graph, staffed: Company) -> None:
    pc = str(staffed.pc("adele").id)
    remote_actions.restart(staffed.world, staffed.tenant, "Automation", pc)
    staffed.settle()
    staffed.fault("A0", "endpointCheckFailed")
    remote_actions.troubleshoot(staffed.world, staffed.tenant, "Automation", pc)
    staffed.settle().advance(hours=1)
    body = {
        "filter": f"CloudPcId eq '{pc}'",
        "select": ["Action", "ActionState", "DeviceOwnerUserPrincipalName", "InitiatedByUserPrincipalName"],
        "orderBy": ["RequestDateTime"],
    }
    _, values, _ = _report(graph.post(f"{SET}/getActionStatusReports", body))
    assert values == [
        ["Reboot", "done", "adele@contoso.com", "Automation"],
        ["Troubleshoot", "failed", "adele@contoso.com", "Automation"],
    ]
    # And it is listed as not to be reached, until somebody finds that it answers again.
    select = {"select": ["CloudPcId", "DeviceHealthStatus"]}
    _, values, _ = _report(graph.post(f"{SET}/getInaccessibleCloudPcReports", select))
    assert values == [[pc, "NotResponding"]]
    _, values, _ = _report(graph.post(f"{SET}/retrieveCloudPcTroubleshootReports", {"select": ["Result", "ErrorCode"]}))
    assert values == [["failed", "endpointCheckFailed"]]
    staffed.clear_faults()
    remote_actions.troubleshoot(staffed.world, staffed.tenant, "Automation", pc)
    staffed.settle()
    assert _report(graph.post(f"{SET}/getInaccessibleCloudPcReports", select))[1] == []


def test_bulk_action_status(graph: Graph, staffed: Company) -> None:
    ids = [str(staffed.pc(user).id) for user in ("adele", "alex")]
    body = {"@odata.type": "#microsoft.graph.cloudPcBulkRestart", "displayName": "Tonight", "cloudPcIds": ids}
    graph.post("/deviceManagement/virtualEndpoint/bulkActions", body)
    staffed.settle()
    select = {"select": ["BulkActionDisplayName", "CloudPcId", "ActionState"]}
    _, values, total = _report(graph.post(f"{SET}/retrieveBulkActionStatusReport", select))
    assert sorted(values) == sorted(["Tonight", pc, "successful"] for pc in ids)
    assert total == 2


def test_real_time_status(graph: Graph, staffed: Company) -> None:
    pc = staffed.pc("adele")
    columns, values, _ = _report(graph.get(f"{SET}/getRealTimeRemoteConnectionStatus(cloudPcId='{pc.id}')"))
    assert dict(zip(columns, values[0], strict=True)) == {
        "ManagedDeviceName": pc.device_name,
        "CloudPcId": str(pc.id),
        "SignInStatus": "Unknown",
        "DaysSinceLastSignIn": None,
    }
    assert _report(graph.get(f"{SET}/getRealTimeRemoteConnectionLatency(cloudPcId='{pc.id}')"))[1] == []
    assert graph.get(f"{SET}/getRealTimeRemoteConnectionStatus(cloudPcId='{uuid4()}')").status == 404


def test_reports_of_what_does_not_exist_here_are_empty_tables(graph: Graph) -> None:
    for name, report in (
        ("getRemoteConnectionHistoricalReports", None),
        ("getDailyAggregatedRemoteConnectionReports", None),
        ("getRawRemoteConnectionReports", None),
        ("getFrontlineReport", "frontlineLicenseUsageReport"),
        ("retrieveFrontlineReports", "licenseUsageReport"),
        ("retrieveCrossRegionDisasterRecoveryReport", "crossRegionDisasterRecoveryReport"),
        ("getCloudPcRecommendationReports", "cloudPcUsageCategoryReports"),
        ("getCloudPcPerformanceReport", "performanceTrendReport"),
        ("retrieveConnectionQualityReports", "remoteConnectionQualityReport"),
        ("retrieveCloudPcPerformanceMetricsReport", None),
    ):
        body = {"reportName": report, "select": ["CloudPcId", "SomethingNewer"], "filter": "CloudPcId eq 'x'"}
        columns, values, total = _report(graph.post(f"{SET}/{name}", body))
        assert (columns, values, total) == (["CloudPcId", "SomethingNewer"], [], 0), name
    refused = graph.post(f"{SET}/getInaccessibleCloudPcReports", {"reportName": "frobnication"})
    assert refused.status == 400
    assert "reportName" in refused.body["error"]["message"]
    v1 = "/v1.0/deviceManagement/virtualEndpoint/report/retrieveCloudPcRecommendationReports"
    assert _report(graph.post(v1, {"reportType": "cloudPcUsageCategoryReport"}))[2] == 0


def test_every_name_of_the_contract_has_its_report() -> None:
    names = [m for m in model("beta").enumerations["cloudPcReportName"].members if m != "unknownFutureValue"]
    assert [name for name in names if name not in REPORTS] == []


def test_every_report_can_be_asked_for_whole(graph: Graph, staffed: Company) -> None:
    """Columns and rows belong together, in every one of them."""
    for name in model("beta").enumerations["cloudPcReportName"].members:
        if name != "unknownFutureValue":
            made = graph.post(f"{SET}/exportJobs", {"reportName": name, "format": "json"})
            assert made.status == 201, (name, made.body)


def test_export_jobs(graph: Graph, staffed: Company) -> None:
    body = {
        "reportName": "cloudPCInventoryReport",
        "select": ["UserPrincipalName", "Status"],
        "filter": "Status ne 'x'",
    }
    made = graph.post(f"{SET}/exportJobs", body, Prefer="include-unknown-enum-members")
    assert made.status == 201, made.body
    assert (made.body["exportJobStatus"], made.body["format"]) == ("completed", "csv")
    assert made.body["reportName"] == "cloudPCInventoryReport"
    file = graph.get(made.body["exportUrl"])
    assert file.headers["content-type"].startswith("text/csv")
    lines = file.body.decode().split()
    assert lines[0] == "UserPrincipalName,Status"
    assert sorted(lines[1:]) == ["adele@contoso.com,provisioned", "alex@contoso.com,provisioned"]
    as_json = graph.post(f"{SET}/exportJobs", {**body, "format": "json"}).body
    assert len(graph.get(as_json["exportUrl"]).body) == 2
    assert graph.get(f"{SET}/exportJobs/$count").body == b"2"
    assert graph.delete(f"{SET}/exportJobs/{as_json['id']}").status == 204
    assert graph.get(as_json["exportUrl"]).status == 404
    staffed.advance(days=2)
    assert graph.get(f"{SET}/exportJobs").values == []
    assert graph.get(made.body["exportUrl"]).status == 404
    activities = [e.activity for e in staffed.sql("SELECT activity FROM audit_events WHERE object_type = 'exportJob'")]
    assert activities == ["Create export job", "Create export job", "Delete export job"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "reportName"),
        ({"reportName": "nothing"}, "reportName"),
        ({"reportName": "actionStatusReport", "format": "pdf"}, "format"),
        ({"reportName": "actionStatusReport", "filter": "Colour eq 1"}, "Colour"),
        ({"reportName": "actionStatusReport", "select": ["Colour"]}, "Colour"),
    ],
)
def test_export_jobs_that_cannot_be(graph: Graph, body: dict[str, Any], named: str) -> None:
    refused = graph.post(f"{SET}/exportJobs", body)
    assert refused.status == 400, refused.body
    assert named in refused.body["error"]["message"]


def test_a_text_that_a_spreadsheet_would_run_is_told_to_be_a_text(graph: Graph, staffed: Company) -> None:
    staffed.sql("UPDATE cloud_pcs SET display_name = '=HYPERLINK(1)'")
    made = graph.post(f"{SET}/exportJobs", {"reportName": "cloudPCInventoryReport", "select": ["CloudPcName"]}).body
    assert graph.get(made["exportUrl"]).body.decode().split()[1:] == ["'=HYPERLINK(1)"] * 2


def test_isolation_and_permissions(graph: Graph, staffed: Company) -> None:
    other = found(staffed.world.database, staffed.world.settings, "fabrikam.com")
    theirs = graph.as_(tenant_id=other.tenant.id, tenant_name=other.tenant.name)
    made = graph.post(f"{SET}/exportJobs", {"reportName": "cloudPCInventoryReport"}).body
    for name in (
        "getTotalAggregatedRemoteConnectionReports",
        "getActionStatusReports",
        "getInaccessibleCloudPcReports",
    ):
        assert _report(theirs.post(f"{SET}/{name}"))[1:] == ([], 0)
    assert theirs.get(made["exportUrl"]).status == theirs.delete(f"{SET}/exportJobs/{made['id']}").status == 404
    pc = staffed.pc("adele").id
    assert theirs.get(f"{SET}/getRealTimeRemoteConnectionStatus(cloudPcId='{pc}')").status == 404
    reader = graph.as_user(staffed.ids["adele"], "adele@contoso.com", READER)
    assert reader.post(f"{SET}/getTotalAggregatedRemoteConnectionReports").status == 200
    person = graph.as_user(staffed.ids["adele"], "adele@contoso.com")
    assert person.post(f"{SET}/getTotalAggregatedRemoteConnectionReports").status == 403
