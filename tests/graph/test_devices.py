"""Device objects and managed devices of Cloud PCs, and the actions of the latter."""

from uuid import UUID, uuid4

import pytest

from deskwright.identity.permissions import READER
from tests import company as companies
from tests.company import PLAN, Company
from tests.graph.conftest import Graph

MANAGED = "/deviceManagement/managedDevices"


@pytest.fixture
def adele(company: Company) -> Company:
    """A company in which Adele has a Cloud PC."""
    company.basics("adele")
    return company.settle()


def _external(company: Company, kind: str) -> str:
    ((found,),) = company.sql(
        "SELECT external_id FROM ledger WHERE tenant_id = :tenant AND kind = :kind AND state = 'created' "
        "AND release_at IS NULL",
        kind=kind,
    )
    return str(found)


def test_a_device_tells_model_and_policy(graph: Graph, adele: Company) -> None:
    """C2: dynamic groups and scripts find Cloud PCs by model and enrollmentProfileName."""
    pc = adele.pc("adele")
    (device,) = graph.get("/v1.0/devices").values
    assert device["displayName"] == pc.device_name
    assert device["deviceId"] == device["id"] == _external(adele, "device")
    assert (device["model"], device["enrollmentProfileName"]) == (PLAN, "Desktops")
    assert (device["trustType"], device["operatingSystem"], device["accountEnabled"]) == ("AzureAd", "Linux", True)
    assert graph.get(f"/devices/{device['id']}?$expand=memberOf").body["memberOf"] == []
    assert graph.get(f"/devices?$filter=deviceId eq '{device['id']}'").of("id") == [device["id"]]
    assert (
        graph.get("/devices?$filter=startswith(model,'Cloud PC') and operatingSystem eq 'linux'&$count=true").body[
            "@odata.count"
        ]
        == 1
    )
    assert graph.get("/devices?$filter=displayName eq 'other'").values == []


def test_extension_attributes_of_a_device_are_kept(graph: Graph, adele: Company) -> None:
    path = f"/devices/{_external(adele, 'device')}"
    assert graph.patch(path, {"extensionAttributes": {"extensionAttribute1": "floor 3"}}).status == 204
    assert graph.patch(path, {"extensionAttributes": {"extensionAttribute2": "x"}}).status == 204
    kept = graph.get(path).body["extensionAttributes"]
    assert (kept["extensionAttribute1"], kept["extensionAttribute2"], kept["extensionAttribute3"]) == (
        "floor 3",
        "x",
        None,
    )
    refused = graph.patch(path, {"accountEnabled": False})
    assert (refused.status, refused.code) == (501, "notSupported")
    assert graph.patch(path, {}).status == 400


def test_a_device_in_use_stays_and_a_leftover_can_go_at_once(graph: Graph, adele: Company) -> None:
    """L2: the rest goes after the clean-up delay, or now if somebody wants it."""
    old = _external(adele, "device")
    refused = graph.delete(f"/devices/{old}")
    assert (refused.status, refused.code) == (409, "notAllowed")
    assert graph.post(f"{MANAGED}/{_external(adele, 'managedDevice')}/reprovisionCloudPc").status == 204
    adele.settle()
    assert len(graph.get("/devices").values) == 2
    assert graph.get(f"/devices/{old}").body["isManaged"] is False
    assert graph.delete(f"/devices/{old}").status == 204
    adele.settle()
    assert graph.get(f"/devices/{old}").status == 404
    assert graph.get("/devices").of("id") == [_external(adele, "device")]
    assert adele.leaks() == set()


def test_a_managed_device(graph: Graph, adele: Company) -> None:
    pc = adele.pc("adele")
    (found,) = graph.get(MANAGED).values
    assert found["id"] == _external(adele, "managedDevice")
    assert (found["deviceName"], found["userPrincipalName"]) == (pc.device_name, "adele@contoso.com")
    assert found["azureADDeviceId"] == _external(adele, "device")
    assert (found["model"], found["operatingSystem"]) == (PLAN, "Linux")
    assert (found["physicalMemoryInBytes"], found["totalStorageSpaceInBytes"]) == (8 * 1024**3, 128 * 1024**3)
    assert (found["joinType"], found["deviceType"]) == ("azureADJoined", "cloudPC")
    assert "joinType" not in graph.get(f"/v1.0{MANAGED}").values[0]
    assert graph.get(f"{MANAGED}('{found['id']}')").body["deviceName"] == pc.device_name
    for expression in (
        f"deviceName eq '{pc.device_name}'",
        "userPrincipalName eq 'adele@contoso.com'",
        "model eq null",
    ):
        assert len(graph.get(f"{MANAGED}?$filter={expression}").values) == (0 if "null" in expression else 1)
    assert graph.get(f"{MANAGED}/$count").body == b"1"


def test_actions_are_the_cloud_pcs_own(graph: Graph, adele: Company) -> None:
    device = f"{MANAGED}/{_external(adele, 'managedDevice')}"
    assert graph.post(f"{device}/rebootNow").status == 204
    adele.settle()
    (result,) = graph.get(f"{device}/getCloudPcRemoteActionResults()").values
    assert (result["actionName"], result["actionState"]) == ("Reboot", "done")
    assert result["cloudPcId"] == str(adele.pc("adele").id)
    assert graph.get(f"{device}?$select=cloudPcRemoteActionResults").body["cloudPcRemoteActionResults"] == [result]
    refused = graph.post(f"{device}/restoreCloudPc", {"cloudPcSnapshotId": str(uuid4())})
    assert refused.status == 404
    assert graph.post(f"{device}/restoreCloudPc", {}).body["error"]["target"] == "cloudPcSnapshotId"
    assert graph.post(f"{device}/resizeCloudPc", {"targetServicePlanId": str(adele.ids[PLAN])}).status == 409


def test_review(graph: Graph, adele: Company) -> None:
    device = f"{MANAGED}/{_external(adele, 'managedDevice')}"
    assert graph.get(f"{device}/getCloudPcReviewStatus").body["inReview"] is False
    body = {"reviewStatus": {"inReview": True, "userAccessLevel": "restricted"}}
    assert graph.post(f"{device}/setCloudPcReviewStatus", body).status == 204
    read = graph.get(f"{device}/getCloudPcReviewStatus").body
    assert (read["inReview"], read["userAccessLevel"]) == (True, "restricted")


@pytest.mark.parametrize("action", ["syncDevice", "setDeviceName", "retire", "wipe"])
def test_what_cannot_be_done_says_so(graph: Graph, adele: Company, action: str) -> None:
    """Never a false success."""
    answer = graph.post(f"{MANAGED}/{_external(adele, 'managedDevice')}/{action}", {})
    assert (answer.status, answer.code) == (501, "notSupported")
    assert graph.post(f"{MANAGED}/{uuid4()}/{action}", {}).status == 404
    assert graph.delete(f"{MANAGED}/{_external(adele, 'managedDevice')}").status == 501


def test_several_at_once_tell_each_ones_fate(graph: Graph, adele: Company) -> None:
    device, nobody = _external(adele, "managedDevice"), str(uuid4())
    answer = graph.post(f"{MANAGED}/bulkReprovisionCloudPc", {"managedDeviceIds": [device, nobody]})
    assert answer.body["successfulDeviceIds"] == [device]
    assert answer.body["notFoundDeviceIds"] == [nobody]
    again = graph.post(f"{MANAGED}/bulkReprovisionCloudPc", {"managedDeviceIds": [device]}).body
    assert again["failedDeviceIds"] + again["notSupportedDeviceIds"] == [device]
    assert graph.post(f"{MANAGED}/bulkReprovisionCloudPc", {"managedDeviceIds": "x"}).status == 400


def test_a_leftovers_cloud_pc_is_not_acted_on(graph: Graph, adele: Company) -> None:
    old = _external(adele, "managedDevice")
    graph.post(f"{MANAGED}/{old}/reprovisionCloudPc")
    adele.settle()
    refused = graph.post(f"{MANAGED}/{old}/rebootNow")
    assert (refused.status, refused.code) == (409, "conflict")


def test_devices_of_another_tenant_do_not_exist(graph: Graph, company: Company) -> None:
    other = companies.found(company.world.database, company.world.settings, "fabrikam.com")
    other.basics("megan")
    other.settle()
    device, managed = _external(other, "device"), _external(other, "managedDevice")
    assert graph.get("/devices").values == graph.get(MANAGED).values == []
    for path in (f"/devices/{device}", f"{MANAGED}/{managed}", f"{MANAGED}/{managed}/getCloudPcRemoteActionResults"):
        assert graph.get(path).status == 404, path
    assert graph.delete(f"/devices/{device}").status == 404
    assert graph.patch(f"/devices/{device}", {"extensionAttributes": {"extensionAttribute1": "x"}}).status == 404
    assert graph.post(f"{MANAGED}/{managed}/rebootNow").status == 404
    assert graph.post(f"{MANAGED}/bulkReprovisionCloudPc", {"managedDeviceIds": [managed]}).body[
        "notFoundDeviceIds"
    ] == [managed]
    assert other.status("megan") == "provisioned"


def test_who_may(graph: Graph, adele: Company) -> None:
    device = f"{MANAGED}/{_external(adele, 'managedDevice')}"
    reads = graph.as_(permissions=frozenset({"DeviceManagementManagedDevices.Read.All", "Device.Read.All"}))
    assert (reads.get(device).status, reads.get("/devices").status) == (200, 200)
    assert reads.post(f"{device}/rebootNow").status == 403
    assert reads.delete(f"/devices/{uuid4()}").status == 403
    reader = graph.as_user(UUID(int=1), "reader@contoso.com", READER)
    assert reader.post(f"{device}/rebootNow").status == 403


def test_device_management_itself(graph: Graph, company: Company) -> None:
    assert graph.get("/v1.0/deviceManagement").body["intuneAccountId"] == str(company.tenant.id)
    (tag,) = graph.get("/deviceManagement/roleScopeTags").values
    assert (tag["id"], tag["displayName"], tag["isBuiltIn"]) == ("0", "Default", True)
    assert graph.get("/deviceManagement/roleScopeTags/0").body["displayName"] == "Default"
    assert graph.post("/deviceManagement/roleScopeTags", {"displayName": "x"}).status == 501
    assert graph.get("/v1.0/deviceManagement/roleScopeTags").status == 404
