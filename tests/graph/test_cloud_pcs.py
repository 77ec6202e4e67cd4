"""Cloud PCs as the API lists and tells them: values, filters, pages, versions, and whose they are."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import event

from deskwright.graph.contract import VERSIONS
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import remote_actions
from tests.company import PLAN, Company, found
from tests.graph.conftest import Graph
from tests.graph.contract_check import faults

SET = "/deviceManagement/virtualEndpoint/cloudPCs"


@pytest.fixture
def staffed(company: Company) -> Company:
    """Adele and Alex with a Cloud PC each."""
    company.basics("adele", "alex")
    return company.settle()


def _id(company: Company, user: str) -> str:
    return str(company.pc(user).id)


def test_every_property_that_can_be_known(graph: Graph, staffed: Company) -> None:
    row = staffed.pc("adele")
    told = graph.get(f"{SET}/{row.id}").body
    devices = dict(
        staffed.sql(
            "SELECT kind, external_id FROM ledger WHERE cloud_pc_id = :id AND state = 'created' "
            "AND kind IN ('device', 'managedDevice')",
            id=row.id,
        )
    )
    expected = {
        "id": str(row.id),
        "displayName": "Desktops - adele",
        "status": "provisioned",
        "statusDetail": None,
        "userPrincipalName": "adele@contoso.com",
        "userDetail": {"userId": str(staffed.ids["adele"]), "userDisplayName": "adele"},
        "groupDetail": None,
        "provisioningPolicyId": str(staffed.ids["Desktops"]),
        "provisioningPolicyName": "Desktops",
        "provisioningType": "dedicated",
        "productType": "enterprise",
        "servicePlanId": str(staffed.ids[PLAN]),
        "servicePlanName": PLAN,
        "servicePlanType": "enterprise",
        "imageDisplayName": "Debian 12 desktop",
        "managedDeviceName": row.device_name,
        "managedDeviceId": devices["managedDevice"],
        "aadDeviceId": devices["device"],
        "deviceRegionName": "site-a",
        "onPremisesConnectionName": None,
        "osVersion": None,
        "powerState": "running",
        "userAccountType": "standardUser",
        "connectionSetting": {"enableSingleSignOn": True},
        "gracePeriodEndDateTime": None,
        "diskEncryptionState": "notAvailable",
        "scopeIds": ["0"],
        "partnerAgentInstallResults": [],
        "lastRemoteActionResult": None,
    }
    assert {name: told[name] for name in expected} == expected
    assert UUID(told["aadDeviceId"])
    assert datetime.fromisoformat(told["provisionedDateTime"]) == row.provisioned_at
    assert datetime.fromisoformat(told["lastModifiedDateTime"]) == row.modified_at.astimezone(UTC)
    assert told["connectivityResult"]["status"] == "available"
    # Only on $select, as the contract says.
    assert "provisioningConfiguration" not in told
    chosen = graph.get(f"{SET}/{row.id}?$select=provisioningConfiguration").body
    assert chosen["provisioningConfiguration"] == {"domainJoinType": "azureADJoin"}


def test_v1_has_no_status(graph: Graph, staffed: Company) -> None:
    told = graph.get(f"/v1.0{SET}/{_id(staffed, 'adele')}").body
    assert "status" not in told
    assert told["userPrincipalName"] == "adele@contoso.com"
    assert told["managedDeviceName"] == staffed.pc("adele").device_name


def test_what_is_gone_is_not_listed(graph: Graph, staffed: Company) -> None:
    gone = _id(staffed, "alex")
    staffed.leave("alex", "Sales")
    staffed.settle().advance(days=8)
    assert staffed.status("alex") is None
    assert graph.get(SET).of("userPrincipalName") == ["adele@contoso.com"]
    assert graph.get(f"{SET}/{gone}").status == 404
    assert graph.get(f"{SET}/$count").body == b"1"


_FILTERS: list[tuple[str, set[str]]] = [
    ("status eq 'provisioned'", {"adele"}),
    ("Status eq 'PROVISIONED'", {"adele"}),
    ("(status eq 'provisioned' or status eq 'inGracePeriod')", {"adele", "alex"}),
    ("status ne 'provisioned'", {"alex"}),
    ("status in ('inGracePeriod','failed')", {"alex"}),
    ("status eq 'frobnicated'", set()),
    ("userPrincipalName eq 'Adele@contoso.com'", {"adele"}),
    ("startswith(userPrincipalName,'al')", {"alex"}),
    ("contains(displayName,'ADELE')", {"adele"}),
    ("provisioningType eq 'dedicated'", {"adele", "alex"}),
    ("provisioningType eq 'shared'", set()),
    ("productType eq 'enterprise' and powerState eq 'running'", {"adele", "alex"}),
    ("gracePeriodEndDateTime ne null", {"alex"}),
    ("lastModifiedDateTime gt 2020-01-01T00:00:00Z", {"adele", "alex"}),
    ("imageDisplayName eq 'Debian 12 desktop'", {"adele", "alex"}),
    (f"servicePlanName eq '{PLAN}'", {"adele", "alex"}),
    ("userDetail/userDisplayName eq 'alex'", {"alex"}),
    ("disasterRecoveryCapability/capabilityType eq 'failover'", set()),
]


def test_filter(graph: Graph, staffed: Company) -> None:
    staffed.leave("alex", "Sales")
    staffed.settle()
    for expression, who in _FILTERS:
        answer = graph.get(f"{SET}?$filter={expression}")
        assert answer.status == 200, answer.body
        assert {name.split("@")[0] for name in answer.of("userPrincipalName")} == who, expression
        assert graph.get(f"{SET}/$count?$filter={expression}").body == str(len(who)).encode()


def test_filter_by_ids(graph: Graph, staffed: Company) -> None:
    adele = graph.get(f"{SET}/{_id(staffed, 'adele')}").body
    for name in ("aadDeviceId", "managedDeviceId", "id", "provisioningPolicyId", "servicePlanId"):
        chosen = graph.get(f"{SET}?$filter={name} eq '{adele[name].upper()}'&$orderby={name}")
        everyone = name in ("provisioningPolicyId", "servicePlanId")
        assert len(chosen.values) == (2 if everyone else 1), name
        assert adele["id"] in chosen.of("id")
        assert graph.get(f"{SET}?$filter={name} eq '{uuid4()}'").values == []


def test_a_device_of_an_earlier_run_is_not_told(graph: Graph, staffed: Company) -> None:
    before = graph.get(f"{SET}/{_id(staffed, 'adele')}").body
    assert graph.post(f"{SET}/{before['id']}/reprovision").status == 204
    staffed.settle()
    after = graph.get(f"{SET}/{before['id']}").body
    assert after["status"] == "provisioned"
    for name in ("aadDeviceId", "managedDeviceId", "managedDeviceName"):
        assert after[name] not in (None, before[name])
        assert graph.get(f"{SET}?$filter={name} eq '{before[name]}'").values == []
        assert graph.get(f"{SET}?$filter={name} eq '{after[name]}'").of("id") == [before["id"]]
    assert after["lastRemoteActionResult"]["actionName"] == "Reprovision"
    assert after["lastRemoteActionResult"]["actionState"] == "done"


def test_order_and_pages(graph: Graph, staffed: Company) -> None:
    graph.post(f"{SET}/{_id(staffed, 'alex')}/rename", {"displayName": "Just changed"})
    for order in ("lastModifiedDateTime desc", "lastModifiedDateTime", "gracePeriodEndDateTime desc", "status,id desc"):
        first = graph.get(f"{SET}?$orderby={order}&$top=1")
        rest = graph.get(first.body["@odata.nextLink"])
        assert {*first.of("id"), *rest.of("id")} == {_id(staffed, "adele"), _id(staffed, "alex")}, order
        if order == "lastModifiedDateTime desc":
            assert first.of("displayName") == ["Just changed"]
    assert graph.get(f"{SET}?$orderby=userPrincipalName desc").of("userPrincipalName") == [
        "alex@contoso.com",
        "adele@contoso.com",
    ]
    assert graph.get(f"{SET}?$top=1&$count=true").body["@odata.count"] == 2


def test_the_detail_of_a_failed_one(graph: Graph, company: Company) -> None:
    company.basics("adele")
    company.fault("C4", "joinDomainFailed")
    company.settle().advance(hours=1)
    told = graph.get(SET).values[0]
    assert told["status"] == "failed"
    assert told["statusDetail"]["code"] == "joinDomainFailed"
    more = {item["name"]: item["value"] for item in told["statusDetail"]["additionalInformation"]}
    assert more["retriable"] == "true"
    assert more["remedy"]
    assert told["statusDetails"] == told["statusDetail"]
    assert told["aadDeviceId"] is None


def test_the_detail_of_warnings(graph: Graph, company: Company) -> None:
    company.basics("adele")
    company.fault("P5", "timeZoneRedirectionError")
    company.settle()
    told = graph.get(SET).values[0]
    assert (told["status"], told["statusDetail"]["code"]) == ("provisionedWithWarnings", "timeZoneRedirectionError")


def test_the_reason_of_one_that_is_not_provisioned(graph: Graph, company: Company) -> None:
    """E5: a licence without a policy is listed, with the reason."""
    company.basics()
    company.user("adele")
    company.license(PLAN, "adele")
    company.settle()
    told = graph.get(SET).values[0]
    assert (told["status"], told["statusDetail"]["code"]) == ("notProvisioned", "noPolicy")
    assert told["statusDetail"]["message"] == "No policy reaches the user."


def test_the_reason_of_a_grace_period(graph: Graph, staffed: Company) -> None:
    """E8, R9"""
    staffed.leave("adele", "Sales")
    staffed.settle()
    told = graph.get(f"{SET}/{_id(staffed, 'adele')}").body
    assert told["status"] == "inGracePeriod"
    assert told["statusDetail"]["code"] == "inGracePeriod"
    assert told["gracePeriodEndDateTime"].endswith("Z")


def test_a_page_costs_a_handful_of_statements(graph: Graph, company: Company) -> None:
    company.basics(*(f"user{n}" for n in range(12)))
    company.settle()
    counts: list[int] = []
    for top in (1, 12):
        statements: list[str] = []
        listener = lambda *args: statements.append(args[2])  # noqa: E731, B023
        event.listen(company.world.database.single, "before_cursor_execute", listener)
        assert len(graph.get(f"{SET}?$top={top}").values) == top
        event.remove(company.world.database.single, "before_cursor_execute", listener)
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 2
    statements = []
    event.listen(company.world.database.single, "before_cursor_execute", lambda *args: statements.append(args[2]))
    graph.get(f"{SET}?$select=id,status,userPrincipalName")
    assert len(statements) == 1


def test_one_costs_one_statement_and_is_told_as_in_a_list(
    graph: Graph, staffed: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = _id(staffed, "adele")
    graph.get(SET)  # connected
    statements: list[Any] = []
    execute = psycopg.Cursor.execute

    def counted(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        statements.append(query)
        return execute(cursor, query, *args, **options)

    with monkeypatch.context() as watched:
        watched.setattr(psycopg.Cursor, "execute", counted)
        alone = graph.get(f"{SET}/{name}").body
    assert len(statements) == 1
    (listed,) = [pc for pc in graph.get(SET).values if pc["id"] == alone["id"]]
    assert {name: value for name, value in alone.items() if name != "@odata.context"} == listed
    assert listed["aadDeviceId"]
    assert listed["connectivityResult"]["status"] == "available"
    # Of a part alone, too.
    selected = graph.get(f"{SET}/{alone['id']}?$select=userAccountType,managedDeviceId").body
    assert selected["userAccountType"] == alone["userAccountType"]
    assert selected["managedDeviceId"] == alone["managedDeviceId"]


# --- functions ------------------------------------------------------------------------------------------------


def test_provisioned_for_a_group_and_plan(graph: Graph, staffed: Company) -> None:
    staffed.group("Others")
    plan = staffed.ids[PLAN]
    ours = graph.get(f"{SET}/getProvisionedCloudPCs(groupId='{staffed.ids['Sales']}',servicePlanId='{plan}')")
    assert len(ours.values) == 2
    other = graph.get(f"{SET}/getProvisionedCloudPCs(groupId='{staffed.ids['Others']}',servicePlanId='{plan}')")
    assert other.values == []
    refused = graph.get(f"{SET}/getProvisionedCloudPCs(groupId='x',servicePlanId='{plan}')")
    assert refused.status == 400
    assert "groupId" in refused.body["error"]["message"]


def test_counts_by_status(graph: Graph, staffed: Company) -> None:
    staffed.leave("alex", "Sales")
    staffed.settle()
    for form in ("retrieveCloudPcCountByStatus", "retrieveCloudPcCountByStatus()"):
        told = graph.get(f"{SET}/{form}").values
        assert told == [{"count": 1, "status": "provisioned"}, {"count": 1, "status": "inGracePeriod"}]


def test_launch_detail_is_404_until_it_is_provisioned(graph: Graph, company: Company) -> None:
    company.basics("adele")
    company.fault("C2", "capacityUnavailable")
    company.settle()
    administrator = graph.as_user(company.ids["adele"], "adele@contoso.com", ADMINISTRATOR)
    pc = _id(company, "adele")
    assert administrator.get(f"{SET}/{pc}/retrieveCloudPcLaunchDetail").status == 404
    company.clear_faults()
    company.advance(hours=1)
    if company.status("adele") == "failed":
        graph.post(f"{SET}/{pc}/retry")
        company.settle()
    for version in ("v1.0", "beta"):
        told = administrator.get(f"/{version}{SET}/{pc}/retrieveCloudPcLaunchDetail()")
        assert told.status == 200, told.body
        assert told.body["cloudPcId"] == pc
        assert told.body["cloudPcLaunchUrl"].endswith(f"/portal/cloud-pcs/{pc}")
    assert administrator.get(f"{SET}/{pc}/getCloudPcLaunchInfo").body["cloudPcId"] == pc
    assert graph.get(f"{SET}/{pc}/retrieveCloudPcLaunchDetail").status == 403  # an application by itself


def test_connectivity_history_tells_the_walks_along_the_sign_in_path(graph: Graph, staffed: Company) -> None:
    pc = _id(staffed, "adele")
    assert graph.post(f"{SET}/{pc}/troubleshoot").status == 204
    staffed.settle()
    told = graph.get(f"{SET}/{pc}/getCloudPcConnectivityHistory()").values
    assert [e["eventType"] for e in told] == ["userTroubleshooting", "deviceHealthCheck"]
    assert {e["eventResult"] for e in told} == {"success"}
    only = graph.get(f"{SET}/{pc}/getCloudPcConnectivityHistory?$filter=eventType eq 'deviceHealthCheck'")
    assert len(only.values) == 1


def test_supported_actions_follow_status_and_power(graph: Graph, staffed: Company) -> None:
    pc = _id(staffed, "adele")

    def enabled() -> set[str]:
        told = graph.get(f"{SET}/{pc}/getSupportedCloudPcRemoteActions", Prefer="include-unknown-enum-members").values
        return {a["actionName"] for a in told if a["actionCapability"] == "enabled"}

    assert {"restart", "powerOff", "resize", "reprovision"} <= enabled()
    assert "powerOn" not in enabled()
    remote_actions.power_off(staffed.world, staffed.tenant, "test", pc)
    staffed.settle()
    assert "powerOn" in enabled()
    assert not {"restart", "powerOff"} & enabled()


def test_what_is_frontline_only_is_refused(graph: Graph, staffed: Company) -> None:
    pc = _id(staffed, "adele")
    refused = graph.get(f"{SET}/{pc}/getFrontlineCloudPcAccessState")
    assert (refused.status, refused.code) == (501, "notSupported")
    assert (
        graph.get(f"{SET}/{pc}/retrieveFrontlineCloudPcDetail").body["frontlineCloudPcAvailability"] == "notApplicable"
    )


# --- whose ------------------------------------------------------------------------------------------------------


def test_another_tenants_are_not_there(graph: Graph, staffed: Company) -> None:
    other = found(staffed.world.database, staffed.world.settings, "fabrikam.com")
    other.basics("mallory")
    other.settle()
    pc = str(other.pc("mallory").id)
    assert pc not in {*graph.get(SET).of("id")}
    for path in (f"{SET}/{pc}", f"{SET}/{pc}/retrieveSnapshots", f"/users/{other.ids['mallory']}/cloudPCs"):
        assert graph.get(path).status == 404, path
    assert graph.get(f"{SET}?$filter=id eq '{pc}'").values == []


def test_a_person_sees_their_own(graph: Graph, staffed: Company) -> None:
    adele = graph.as_user(staffed.ids["adele"], "adele@contoso.com")
    own, others = _id(staffed, "adele"), _id(staffed, "alex")
    for path in ("/me/cloudPCs", "/v1.0/me/cloudPCs", "/users/adele@contoso.com/cloudPCs"):
        assert adele.get(path).of("id") == [own]
    assert adele.get("/me/cloudPCs/$count").body == b"1"
    assert adele.get(f"/me/cloudPCs/{own}").status == 200
    assert adele.get(f"/me/cloudPCs/{others}").status == 404
    assert adele.get(f"/users/{staffed.ids['alex']}/cloudPCs").status == 403
    assert adele.get(SET).status == 403
    for place in ("/me/cloudPCs", SET):
        assert adele.get(f"{place}/{own}/retrieveCloudPcLaunchDetail").status == 200
        assert adele.get(f"{place}/{others}/retrieveCloudPcLaunchDetail").status == 404
    assert adele.get("/me/cloudPCs/retrieveCloudPcCountByStatus").values == [{"count": 1, "status": "provisioned"}]


def test_a_reader_sees_those_of_others(graph: Graph, staffed: Company) -> None:
    reader = graph.as_user(staffed.ids["adele"], "adele@contoso.com", READER)
    assert len(reader.get(SET).values) == 2
    assert reader.get(f"/users/{staffed.ids['alex']}/cloudPCs").of("id") == [_id(staffed, "alex")]
    assert reader.get("/me/cloudPCs").of("id") == [_id(staffed, "adele")]


def test_an_application_has_no_me(graph: Graph, staffed: Company) -> None:
    assert graph.get("/me/cloudPCs").status == 403
    assert len(graph.get("/users/adele@contoso.com/cloudPCs").values) == 1
    assert graph.get("/users/nobody@contoso.com/cloudPCs").status == 404


def test_permissions(graph: Graph, staffed: Company) -> None:
    assert graph.as_(permissions=frozenset({"CloudPC.Read.All"})).get(SET).status == 200
    assert graph.as_(permissions=frozenset({"User.Read.All"})).get(SET).status == 403


# --- the contract -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_are_as_the_contract_says(graph: Graph, company: Company, version: str) -> None:
    """Types, members of enumerations, what must not be null: in every status, of everything there is about one."""
    company.basics("adele", "alex", "megan", "lee")
    company.fault("C4", "joinDomainFailed", user="alex")
    company.fault("P5", "timeZoneRedirectionError", user="megan")
    company.user("joni")
    company.license(PLAN, "joni")
    company.settle().advance(hours=1)
    company.leave("lee", "Sales")
    company.settle()
    pc = _id(company, "adele")
    for action in ("createSnapshot", "troubleshoot", "powerOff"):
        assert graph.post(f"{SET}/{pc}/{action}").status == 204
        company.settle()
    bulk = {"@odata.type": "#microsoft.graph.cloudPcBulkPowerOn", "displayName": "On", "cloudPcIds": [pc]}
    assert graph.post("/deviceManagement/virtualEndpoint/bulkActions", bulk).status == 201
    told = graph.get(f"/{version}{SET}", Prefer="include-unknown-enum-members").values
    assert len(told) == 5
    for one in told:
        assert faults(version, "cloudPC", one) == []
    if version == "beta":
        graph.post("/deviceManagement/virtualEndpoint/reports/exportJobs", {"reportName": "cloudPCInventoryReport"})
        sets = {
            "cloudPcSnapshot": "/deviceManagement/virtualEndpoint/snapshots",
            "cloudPcBulkAction": "/deviceManagement/virtualEndpoint/bulkActions",
            "cloudPcExportJob": "/deviceManagement/virtualEndpoint/reports/exportJobs",
            "cloudPcRemoteActionResult": f"{SET}/{pc}/retrieveCloudPCRemoteActionResults",
            "cloudPcConnectivityEvent": f"{SET}/{pc}/getCloudPcConnectivityHistory",
            "cloudPcRemoteActionCapability": f"{SET}/{pc}/getSupportedCloudPcRemoteActions",
            "cloudPcStatusSummary": f"{SET}/retrieveCloudPcCountByStatus",
        }
        for type_name, path in sets.items():
            values = graph.get(path, Prefer="include-unknown-enum-members").values
            assert values, path
            assert [fault for value in values for fault in faults(version, type_name, value)] == []
        review = graph.get(f"{SET}/{pc}/retrieveReviewStatus").body
        assert faults(version, "cloudPcReviewStatus", review) == []
