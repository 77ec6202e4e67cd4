"""Actions on Cloud PCs: each really changes what a later read shows, or is refused; who may; what is audited."""

from typing import Any
from uuid import uuid4

import pytest

from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import licenses
from tests.company import PLAN, Company, found
from tests.graph.conftest import Graph

SET = "/deviceManagement/virtualEndpoint/cloudPCs"
LARGER = "Cloud PC Enterprise 4vCPU/16GB/256GB"


@pytest.fixture
def pc(company: Company) -> str:
    """Adele's Cloud PC."""
    company.basics("adele")
    company.settle()
    return str(company.pc("adele").id)


def _told(graph: Graph, pc: str) -> dict[str, Any]:
    body: dict[str, Any] = graph.get(f"{SET}/{pc}").body
    return body


def _last(graph: Graph, pc: str) -> tuple[str, str]:
    result = graph.get(f"{SET}/{pc}/retrieveCloudPCRemoteActionResults").values[0]
    return result["actionName"], result["actionState"]


def test_reprovision(graph: Graph, company: Company, pc: str) -> None:
    body = {"userAccountType": "administrator", "osVersion": "windows11"}
    assert graph.post(f"/v1.0{SET}/{pc}/reprovision", body).status == 204
    assert _told(graph, pc)["status"] == "provisioning"
    company.settle()
    told = _told(graph, pc)
    assert (told["status"], told["userAccountType"]) == ("provisioned", "administrator")
    assert _last(graph, pc) == ("Reprovision", "done")
    actors = {e.actor for e in company.sql("SELECT actor FROM audit_events WHERE activity = 'Cloud PC: reprovision'")}
    assert actors == {"Automation"}


@pytest.mark.parametrize(
    ("body", "field"), [({"userAccountType": "king"}, "userAccountType"), ({"OsVersion": "windows95"}, "osVersion")]
)
def test_bad_parameters_are_named(graph: Graph, pc: str, body: dict[str, str], field: str) -> None:
    refused = graph.post(f"{SET}/{pc}/reprovision", body)
    assert (refused.status, refused.code) == (400, "BadRequest")
    assert f"'{field}'" in refused.body["error"]["message"]


def test_power(graph: Graph, company: Company, pc: str) -> None:
    for off, on in (("powerOff", "powerOn"), ("stop", "start")):
        assert graph.post(f"{SET}/{pc}/{off}").status == 204
        company.settle()
        assert _told(graph, pc)["powerState"] == "poweredOff"
        assert _told(graph, pc)["connectivityResult"]["status"] == "unavailable"
        again = graph.post(f"{SET}/{pc}/{off}")
        assert (again.status, again.code) == (409, "conflict")
        assert graph.post(f"{SET}/{pc}/reboot").status == 409
        assert graph.post(f"{SET}/{pc}/{on}").status == 204
        company.settle()
        assert _told(graph, pc)["powerState"] == "running"
        assert graph.post(f"{SET}/{pc}/{on}").status == 409


def test_reboot_and_troubleshoot(graph: Graph, company: Company, pc: str) -> None:
    for action, name in (("reboot", "Reboot"), ("troubleshoot", "Troubleshoot")):
        assert graph.post(f"/v1.0{SET}/{pc}/{action}").status == 204
        assert _last(graph, pc) == (name, "pending")
        company.settle()
        assert _last(graph, pc) == (name, "done")


def test_rename(graph: Graph, pc: str) -> None:
    device = _told(graph, pc)["managedDeviceName"]
    assert graph.post(f"/v1.0{SET}/{pc}/rename", {"DisplayName": "Adele's own"}).status == 204
    told = _told(graph, pc)
    assert (told["displayName"], told["managedDeviceName"]) == ("Adele's own", device)
    for body in ({}, {"displayName": 7}, {"displayName": "x" * 65}):
        refused = graph.post(f"{SET}/{pc}/rename", body)
        assert refused.status == 400
        assert "displayName" in refused.body["error"]["message"]


def test_resize(graph: Graph, company: Company) -> None:
    company.site()
    company.plan()
    larger = licenses.create_plan(company.world.database, company.tenant, "test", display_name=LARGER, seats=5)
    company.group()
    company.policy()
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.license(PLAN, "adele")
    company.settle()
    pc = str(company.pc("adele").id)
    target = larger["id"]
    assert graph.post(f"{SET}/validateBulkResize", {"cloudPcIds": [pc], "targetServicePlanId": target}).values == [
        {"cloudPcId": pc, "validationResult": "success"}
    ]
    assert graph.post(f"{SET}/{pc}/resize", {"targetServicePlanId": target}).status == 204
    assert _told(graph, pc)["status"] == "resizing"
    company.settle()
    told = _told(graph, pc)
    assert (told["status"], told["servicePlanName"]) == ("provisioned", LARGER)
    assert _last(graph, pc) == ("Resize", "done")
    back = {"cloudPcIds": [pc, str(uuid4())], "targetServicePlanId": str(company.ids[PLAN])}
    assert [r["validationResult"] for r in graph.post(f"{SET}/validateBulkResize", back).values] == [
        "operationNotSupported",
        "cloudPcNotFound",
    ]
    refused = graph.post(f"{SET}/{pc}/resize", {"targetServicePlanId": str(company.ids[PLAN])})
    assert refused.status == 409
    assert "disk" in refused.body["error"]["message"]


def test_snapshots_and_restore(graph: Graph, company: Company, pc: str) -> None:
    assert graph.get(f"{SET}/{pc}/retrieveSnapshots").values == []
    assert graph.post(f"{SET}/{pc}/createSnapshot", {"storageAccountId": None}).status == 204
    company.settle()
    (taken,) = graph.get(f"{SET}/{pc}/retrieveSnapshots()").values
    assert (taken["cloudPcId"], taken["snapshotType"], taken["status"]) == (pc, "manual", "ready")
    assert graph.get("/deviceManagement/virtualEndpoint/snapshots").values == [taken]
    assert graph.get("/deviceManagement/virtualEndpoint/snapshots/$count").body == b"1"
    one = graph.get(f"/deviceManagement/virtualEndpoint/snapshots/{taken['id']}").body
    assert one["createdDateTime"] == taken["createdDateTime"]
    assert graph.post(f"/v1.0{SET}/{pc}/restore", {"cloudPcSnapshotId": taken["id"]}).status == 204
    assert _told(graph, pc)["status"] == "restoring"
    company.settle()
    assert _told(graph, pc)["status"] == "provisioned"
    (taken,) = graph.get(f"{SET}/{pc}/retrieveSnapshots").values
    assert taken["lastRestoredDateTime"]
    assert graph.post(f"{SET}/{pc}/restore", {"cloudPcSnapshotId": str(uuid4())}).status == 404
    shared = graph.post(f"{SET}/{pc}/createSnapshot", {"storageAccountId": "/subscriptions/1"})
    assert (shared.status, shared.code) == (501, "notSupported")


def test_sets_beside_the_snapshots_are_empty(graph: Graph, pc: str) -> None:
    base = "/deviceManagement/virtualEndpoint/snapshots"
    for path in ("getSubscriptions()", "getStorageAccounts(subscriptionId='x')"):
        assert graph.get(f"{base}/{path}").values == []
    assert graph.post(f"{base}/importSnapshot", {}).status == 501


def test_change_of_the_account_type(graph: Graph, company: Company, pc: str) -> None:
    assert _told(graph, pc)["userAccountType"] == "standardUser"
    assert graph.post(f"{SET}/{pc}/changeUserAccountType", {"userAccountType": "administrator"}).status == 204
    company.settle()
    assert _told(graph, pc)["userAccountType"] == "administrator"
    assert graph.post(f"{SET}/{pc}/changeUserAccountType", {}).status == 400


def test_review(graph: Graph, pc: str) -> None:
    assert graph.get(f"{SET}/{pc}/retrieveReviewStatus").body["inReview"] is False
    review = {"inReview": True, "userAccessLevel": "restricted", "restorePointDateTime": "2026-01-31T12:00:00Z"}
    assert graph.post(f"{SET}/{pc}/setReviewStatus", {"reviewStatus": review}).status == 204
    told = graph.get(f"{SET}/{pc}/retrieveReviewStatus()").body
    assert (told["inReview"], told["userAccessLevel"]) == (True, "restricted")
    wrong = {"reviewStatus": {"inReview": True, "userAccessLevel": "none"}}
    assert graph.post(f"{SET}/{pc}/setReviewStatus", wrong).status == 400


def test_end_of_grace(graph: Graph, company: Company, pc: str) -> None:
    refused = graph.post(f"{SET}/{pc}/endGracePeriod")
    assert (refused.status, refused.code) == (409, "conflict")
    company.leave("adele", "Sales")
    company.settle()
    assert graph.post(f"/v1.0{SET}/{pc}/endGracePeriod").status == 204
    assert _told(graph, pc)["status"] == "deprovisioning"
    company.settle().advance(hours=4)
    assert graph.get(f"{SET}/{pc}").status == 404


def test_retry_of_a_failed_one(graph: Graph, company: Company) -> None:
    """V1"""
    company.basics("adele")
    company.fault("C4", "joinDomainFailed")
    company.settle().advance(hours=1)
    pc = str(company.pc("adele").id)
    assert _told(graph, pc)["status"] == "failed"
    company.clear_faults()
    assert graph.post(f"{SET}/{pc}/retry").status == 204
    company.settle()
    assert _told(graph, pc)["status"] == "provisioned"


def test_partner_agents_are_refused(graph: Graph, pc: str) -> None:
    assert graph.post(f"{SET}/{pc}/retryPartnerAgentInstallation").status == 501


ACTIONS = ("reboot", "reprovision", "troubleshoot", "powerOff", "createSnapshot", "retry", "endGracePeriod")


def test_actions_need_the_permission_and_the_role(graph: Graph, company: Company, pc: str) -> None:
    reader = graph.as_user(company.user("megan"), "megan@contoso.com", READER)
    for action in ACTIONS:
        assert graph.as_(permissions=frozenset({"CloudPC.Read.All"})).post(f"{SET}/{pc}/{action}").status == 403
        assert reader.post(f"{SET}/{pc}/{action}").status == 403
    assert company.sql("SELECT 1 FROM runs WHERE kind <> 'provision'") == []


def test_another_tenants_cannot_be_acted_on(graph: Graph, company: Company, pc: str) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.basics("mallory")
    other.settle()
    for action in ACTIONS:
        for name in (other.pc("mallory").id, uuid4(), "not-an-id"):
            assert graph.post(f"{SET}/{name}/{action}").status == 404, action
    assert other.sql("SELECT 1 FROM runs WHERE tenant_id = :tenant AND kind <> 'provision'") == []


def test_another_tenants_ids_in_bodies(graph: Graph, company: Company, pc: str) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.plan(LARGER)
    assert graph.post(f"{SET}/{pc}/resize", {"targetServicePlanId": str(other.ids[LARGER])}).status == 404


def test_what_a_person_may_do_to_their_own(graph: Graph, company: Company, pc: str) -> None:
    company.user("alex")
    adele = graph.as_user(company.ids["adele"], "adele@contoso.com")
    alex = graph.as_user(company.ids["alex"], "alex@contoso.com")
    for action in ("reboot", "troubleshoot", "powerOff", "powerOn"):
        assert adele.post(f"/me/cloudPCs/{pc}/{action}").status == 204, action
        company.settle()
        assert alex.post(f"/me/cloudPCs/{pc}/{action}").status == 404
        assert alex.post(f"/users/{company.ids['adele']}/cloudPCs/{pc}/{action}").status == 403
    assert adele.post(f"/users/adele@contoso.com/cloudPCs/{pc}/rename", {"displayName": "Mine"}).status == 204
    assert _told(graph, pc)["displayName"] == "Mine"
    for action in ("endGracePeriod", "resize", "createSnapshot", "changeUserAccountType", "setReviewStatus"):
        assert adele.post(f"/me/cloudPCs/{pc}/{action}").status == 403, action
    assert adele.post(f"{SET}/{pc}/reboot").status == 403
    assert adele.as_(permissions=frozenset({"CloudPC.Read.All"})).post(f"/me/cloudPCs/{pc}/reboot").status == 403


def test_reset_and_restore_need_the_user_setting(graph: Graph, company: Company, pc: str) -> None:
    adele = graph.as_user(company.ids["adele"], "adele@contoso.com")
    graph.post(f"{SET}/{pc}/createSnapshot")
    company.settle()
    (snapshot,) = adele.get(f"/me/cloudPCs/{pc}/retrieveSnapshots").values
    calls = (("reprovision", None), ("restore", {"cloudPcSnapshotId": snapshot["id"]}))
    for action, body in calls:
        refused = adele.post(f"/me/cloudPCs/{pc}/{action}", body)
        assert (refused.status, refused.code) == (403, "Forbidden")
        assert "user setting" in refused.body["error"]["message"]
    company.user_setting("Self-service", "Sales", False)
    company.sql("UPDATE user_settings SET reset_enabled = true, restore_enabled = true")
    company.settle()
    assert adele.post(f"/me/cloudPCs/{pc}/restore", calls[1][1]).status == 204
    company.settle()
    assert adele.post(f"/me/cloudPCs/{pc}/reprovision", {"userAccountType": "administrator"}).status == 403
    assert adele.post(f"/me/cloudPCs/{pc}/reprovision").status == 204
    events = company.sql("SELECT actor FROM audit_events WHERE activity = 'Cloud PC: reprovision'")
    assert [e.actor for e in events] == ["adele@contoso.com"]


def test_an_administrators_own(graph: Graph, company: Company, pc: str) -> None:
    adele = graph.as_user(company.ids["adele"], "adele@contoso.com", ADMINISTRATOR)
    assert adele.post(f"/me/cloudPCs/{pc}/createSnapshot").status == 204
