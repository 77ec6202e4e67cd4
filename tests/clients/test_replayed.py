"""What clients send that cannot be run here, replayed request for request: Terraform, PowerShell modules, runbooks.

The requests are written from what each client is known to call, in its own spelling; the answers are checked for what
the client goes on to look at.
"""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.company import PLAN, Company
from tests.graph.conftest import Answer, Graph, graph

__all__ = ["graph"]

ENDPOINT = "/beta/deviceManagement/virtualEndpoint"
IMAGE = "microsoftwindowsdesktop_windows-ent-cpc_win11-25h2-ent-cpc-m365"
GROUP_TARGET = "#microsoft.graph.cloudPcManagementGroupAssignmentTarget"


@pytest.fixture
def staffed(company: Company) -> Company:
    """Adele and Alex with a Cloud PC each, licensed through the group Sales."""
    company.basics("adele", "alex")
    return company.settle()


def _made(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.body
    entity: dict[str, Any] = answer.body
    return entity


def _report(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a report as scripts make them: values by the names in the schema."""
    assert (answer.status, answer.headers["content-type"]) == (200, "application/octet-stream")
    told = json.loads(answer.body)
    columns = [column["Column"] for column in told["Schema"]]
    return [dict(zip(columns, row, strict=True)) for row in told["Values"]]


# --- the Terraform provider ------------------------------------------------------------------------------


def _terraform_reads(graph: Graph, path: str, *, expand: bool = True) -> dict[str, Any]:
    options = f"?{quote('$select', safe='$')}=*" + ("&$expand=assignments" if expand else "")
    answer = graph.get(f"{path}{options}", ConsistencyLevel="eventual", Accept="application/json")
    assert answer.status == 200, answer.body
    entity: dict[str, Any] = answer.body
    return entity


def test_terraform_provisioning_policy(graph: Graph, company: Company) -> None:
    """Looks whether the name is taken, creates, assigns, reads, changes, reads, takes all assignments away, deletes."""
    company.site()
    group, other = company.group("Sales"), company.group("Finance")
    policies = f"{ENDPOINT}/provisioningPolicies"
    assert graph.get(policies).of("displayName") == []
    planned = {
        "@odata.type": "#microsoft.graph.cloudPcProvisioningPolicy",
        "displayName": "Terraform",
        "description": "made by code",
        "cloudPcNamingTemplate": "CPC-%USERNAME:5%-%RAND:5%",
        "provisioningType": "dedicated",
        "imageId": IMAGE,
        "imageType": "gallery",
        "enableSingleSignOn": True,
        "localAdminEnabled": False,
        "managedBy": "windows365",
        "windowsSetting": {"locale": "en-US"},
        "microsoftManagedDesktop": {"managedType": "notManaged", "profile": ""},
        "autopatch": {"autopatchGroupId": "6f0f2b0e-6b1f-4e58-9d6d-0b6f7bde2a01"},
        "domainJoinConfigurations": [
            {"domainJoinType": "azureADJoin", "regionGroup": "europeUnion", "regionName": "automatic"}
        ],
        "scopeIds": ["0"],
    }
    made = _made(graph.post(policies, planned))
    path = f"{policies}/{made['id']}"

    def targets(*groups: Any) -> dict[str, Any]:
        return {"assignments": [{"target": {"@odata.type": GROUP_TARGET, "groupId": str(g)}} for g in groups]}

    assert graph.post(f"{path}/assign", targets(group, other)).status == 204
    state = _terraform_reads(graph, path)
    same = ("displayName", "description", "provisioningType", "imageId", "imageType", "enableSingleSignOn", "scopeIds")
    assert {n: state[n] for n in same} == {n: planned[n] for n in same}
    assert (state["windowsSetting"], state["autopatch"]) == (planned["windowsSetting"], planned["autopatch"])
    assert state["domainJoinConfigurations"][0]["regionName"] == "automatic"
    assert {a["target"]["groupId"] for a in state["assignments"]} == {str(group), str(other)}
    assert {a["target"]["@odata.type"] for a in state["assignments"]} == {GROUP_TARGET}
    # A plan right after that finds nothing to do.
    assert _terraform_reads(graph, path) == state
    assert graph.patch(path, {**planned, "displayName": "Renamed", "description": ""}).status == 200
    assert graph.post(f"{path}/assign", targets(other)).status == 204
    state = _terraform_reads(graph, path)
    assert (state["displayName"], [a["target"]["groupId"] for a in state["assignments"]]) == ("Renamed", [str(other)])
    apply = {"policySettings": "singleSignOn", "reservePercentage": 100}
    assert graph.post(f"{path}/apply", apply).status == 204
    assert graph.delete(path).status == 409  # as on Graph, while it is assigned
    assert graph.post(f"{path}/assign", {"assignments": []}).status == 204
    assert _terraform_reads(graph, path)["assignments"] == []
    assert graph.delete(path).status == 204
    gone = graph.get(f"{path}?$select=*&$expand=assignments")
    assert (gone.status, gone.code) == (404, "ResourceNotFound")


def test_terraform_user_setting(graph: Graph, company: Company) -> None:
    group = company.group()
    settings = f"{ENDPOINT}/userSettings"
    planned = {
        "@odata.type": "#microsoft.graph.cloudPcUserSetting",
        "displayName": "Terraform",
        "localAdminEnabled": True,
        "resetEnabled": True,
        "selfServiceEnabled": False,
        "restorePointSetting": {"frequencyInHours": 12, "frequencyType": "twelveHours", "userRestoreEnabled": True},
        "crossRegionDisasterRecoverySetting": {
            "maintainCrossRegionRestorePointEnabled": False,
            "userInitiatedDisasterRecoveryAllowed": False,
            "disasterRecoveryType": "notConfigured",
        },
        "notificationSetting": {"restartPromptsDisabled": False},
    }
    path = f"{settings}/{_made(graph.post(settings, planned))['id']}"
    target = {"@odata.type": GROUP_TARGET, "groupId": str(group)}
    assert graph.post(f"{path}/assign", {"assignments": [{"target": target}]}).status == 204
    state = _terraform_reads(graph, path)
    assert (state["restorePointSetting"], state["resetEnabled"]) == (planned["restorePointSetting"], True)
    assert [a["target"]["groupId"] for a in state["assignments"]] == [str(group)]
    assert graph.patch(path, {**planned, "localAdminEnabled": False}).status == 200
    assert _terraform_reads(graph, path)["localAdminEnabled"] is False
    assert graph.post(f"{path}/assign", {"assignments": []}).status == 204
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404


def test_terraform_network_connection(graph: Graph, company: Company) -> None:
    company.site()
    connections = f"{ENDPOINT}/onPremisesConnections"
    network = "/subscriptions/0ac520ee/resourceGroups/desks/providers/Microsoft.Network/virtualNetworks/corp"
    planned = {
        "displayName": "Terraform",
        "connectionType": "hybridAzureADJoin",
        "subscriptionId": "0ac520ee-14c0-480f-b6c9-0a90c58f0001",
        "resourceGroupId": "/subscriptions/0ac520ee/resourceGroups/desks",
        "virtualNetworkId": network,
        "subnetId": f"{network}/subnets/desks",
        "adDomainName": "corp.contoso.com",
        "adDomainUsername": "joiner@corp.contoso.com",
        "adDomainPassword": "correct horse battery",
        "organizationalUnit": "OU=CloudPCs,DC=corp,DC=contoso,DC=com",
    }
    path = f"{connections}/{_made(graph.post(connections, planned))['id']}"
    company.settle()
    state = _terraform_reads(graph, path, expand=False)
    told = {name: state[name] for name in planned if name != "adDomainPassword"}
    assert told == {name: value for name, value in planned.items() if name != "adDomainPassword"}
    assert (state["adDomainPassword"], state["healthCheckStatus"]) == (None, "passed")
    assert graph.patch(path, {**planned, "displayName": "Renamed"}).body["displayName"] == "Renamed"
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404


def test_terraform_device_image_and_the_rest(graph: Graph, company: Company) -> None:
    company.site()
    images = f"{ENDPOINT}/deviceImages"
    source = graph.get(f"{images}/getSourceImages").values[0]["resourceId"]
    planned = {"displayName": "Terraform", "version": "1.0.0", "sourceImageResourceId": source}
    path = f"{images}/{_made(graph.post(images, planned))['id']}"
    company.settle()
    state = _terraform_reads(graph, path, expand=False)
    assert ({n: state[n] for n in planned}, state["status"]) == (planned, "ready")
    assert graph.patch(path, {"displayName": "Renamed"}).body["displayName"] == "Renamed"
    assert graph.delete(path).status == 204
    settings = f"{ENDPOINT}/organizationSettings"
    planned = {"enableMEMAutoEnroll": True, "enableSingleSignOn": False, "userAccountType": "standardUser"}
    changed = graph.patch(settings, {**planned, "windowsSettings": {"language": "da-DK"}})
    assert changed.status == 200, changed.body
    assert graph.get(settings).body["windowsSettings"] == {"language": "da-DK"}
    for data_source in ("cloudPCs", "auditEvents", "galleryImages", "frontLineServicePlans", "deviceImages"):
        assert graph.get(f"{ENDPOINT}/{data_source}").status == 200, data_source
    rule = {
        "alertRuleTemplate": "cloudPcProvisionScenario",
        "displayName": "Terraform",
        "severity": "warning",
        "enabled": True,
        "threshold": {"aggregation": "count", "operator": "greaterOrEqual", "target": 90},
        "notificationChannels": [{"notificationChannelType": "portal", "notificationReceivers": []}],
    }
    rules = "/beta/deviceManagement/monitoring/alertRules"
    path = f"{rules}/{_made(graph.post(rules, rule))['id']}"
    assert graph.patch(path, {**rule, "severity": "critical"}).body["severity"] == "critical"
    assert graph.delete(path).status == 204


# --- PSCloudPC -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_pscloudpc(graph: Graph, company: Company, version: str) -> None:
    """Paths in lower case with a slash at the end, members in PascalCase, blanks as plus signs."""
    company.site()
    company.plan()
    company.group("Sales")
    company.user("adele")
    endpoint = f"/{version}/devicemanagement/virtualendpoint"
    assert PLAN in graph.get(f"{endpoint}/serviceplans").of("displayName")
    if version == "beta":
        assert graph.get(f"{endpoint}/supportedRegions?$filter=displayName+eq+'site-a'").status == 200
    (group,) = graph.get(f"/{version}/groups?$filter=displayName+eq+'Sales'").values
    network = {
        "DisplayName": "HQ",
        "Type": "azureADJoin",
        "ConnectionType": "azureADJoin",
        "SubscriptionId": "0ac520ee-14c0-480f-b6c9-0a90c58f0001",
        "ResourceGroupId": "/subscriptions/0ac520ee/resourceGroups/desks",
        "VirtualNetworkId": "/subscriptions/0ac520ee/virtualNetworks/corp",
        "SubnetId": "/subscriptions/0ac520ee/virtualNetworks/corp/subnets/desks",
    }
    _made(graph.post(f"{endpoint}/onPremisesConnections/", network))
    company.settle()
    (connection,) = graph.get(f"{endpoint}/onpremisesconnections/?$filter=displayName+eq+'HQ'").values
    assert connection["healthCheckStatus"] == "passed"  # anything else, and it goes no further
    policy = {
        "DisplayName": "First policy",
        "Description": "",
        "ProvisioningType": "dedicated",
        "ManagedBy": "windows365",
        "ImageId": IMAGE,
        "ImageType": "gallery",
        "EnableSingleSignOn": True,
        "CloudPcNamingTemplate": "CPC-%USERNAME:5%-%RAND:5%",
        "WindowsSettings": {"Language": "en-US"},
        "DomainJoinConfigurations": [{"Type": "azureADJoin", "OnPremisesConnectionId": connection["id"]}],
        "MicrosoftManagedDesktop": {"Type": "notManaged", "Profile": ""},
        "Autopatch": [],
        "AutopilotConfiguration": None,
    }
    made = _made(graph.post(f"{endpoint}/provisioningPolicies", policy))
    assert made["windowsSetting"] == {"locale": "en-US"}
    path = f"{endpoint}/provisioningPolicies/{made['id']}"
    target = {"Target": {"GroupId": group["id"]}, "Id": None}
    assert graph.post(f"{path}/assign", {"Assignments": [target]}).status == 204
    (found,) = graph.get(
        f"{endpoint}/provisioningPolicies?$filter=displayName+eq+'First+policy'&$expand=assignments"
    ).values
    assert [a["target"]["groupId"] for a in found["assignments"]] == [group["id"]]
    assert graph.patch(path, {"DisplayName": "Second policy"}).body["displayName"] == "Second policy"
    setting = {"DisplayName": "Setting", "LocalAdminEnabled": True, "ResetEnabled": False,
               "RestorePointSetting": {"FrequencyType": "sixHours", "UserRestoreEnabled": True}}  # fmt: skip
    one = f"{endpoint}/userSettings/{_made(graph.post(f'{endpoint}/userSettings', setting))['id']}"
    assert graph.post(f"{one}/assign", {"Assignments": [target]}).status == 204
    assert len(graph.get(f"{one}/?$expand=assignments").body["assignments"]) == 1
    assert graph.post(f"{one}/assign", {"Assignments": []}).status == graph.delete(one).status == 204
    assert graph.post(f"{path}/assign", {"Assignments": {}}).status == graph.delete(path).status == 204


def test_pscloudpc_acts_through_device_management(graph: Graph, staffed: Company) -> None:
    (pc,) = graph.get(f"{ENDPOINT}/CloudPCs?$filter=userPrincipalName+eq+'adele@contoso.com'").values
    managed = f"/beta/deviceManagement/managedDevices/{pc['managedDeviceId']}"
    assert graph.post(f"{ENDPOINT}/CloudPCs/{pc['id']}/reboot").status == 204
    staffed.settle()
    assert graph.post(f"{managed}/reprovisionCloudPc", {}).status == 204
    staffed.settle()
    assert graph.get(f"{ENDPOINT}/cloudPCs/{pc['id']}").body["managedDeviceId"] != pc["managedDeviceId"]


# --- WindowsCloudPC --------------------------------------------------------------------------------------


def test_windowscloudpc(graph: Graph, staffed: Company) -> None:
    """Functions without brackets, keys in brackets, reports as octet streams, sets that no reference describes."""
    (pc,) = graph.get(f"{ENDPOINT}/cloudPCs?$filter=contains(displayName,'adele')&$orderBy=displayName").values
    one = f"{ENDPOINT}/cloudPCs/{pc['id']}"
    assert graph.post(f"{one}/createSnapshot", {}).status == 204
    staffed.settle()
    (snapshot,) = graph.get(f"{one}/retrieveSnapshots").values
    assert graph.post(f"{one}/restore", {"cloudPcSnapshotId": snapshot["id"]}).status == 204
    staffed.settle()
    assert graph.post(f"{one}/rename", {"displayName": "Adele's own"}).status == 204
    results = graph.get(f"{one}/retrieveCloudPCRemoteActionResults").values
    assert {"Restore", "CreateSnapshot"} <= {r["actionName"] for r in results}
    assert graph.get(f"{one}/getCloudPcConnectivityHistory").values
    device = graph.get(f"/beta/deviceManagement/managedDevices('{pc['managedDeviceId']}')").body
    assert device["userPrincipalName"] == "adele@contoso.com"
    assert graph.post(f"/beta/deviceManagement/managedDevices('{device['id']}')/syncDevice").status == 501
    status = graph.get(f"{ENDPOINT}/reports/getRealTimeRemoteConnectionStatus(cloudPcId='{pc['id']}')")
    assert _report(status)[0]["CloudPcId"] == pc["id"]
    asked = {"top": 25, "skip": 0, "search": "", "filter": "", "select": ["CloudPcId"], "orderBy": ["CloudPcId"]}
    total = graph.post(f"{ENDPOINT}/reports/getTotalAggregatedRemoteConnectionReports", asked)
    assert {row["CloudPcId"] for row in _report(total)} == {str(staffed.pc(u).id) for u in ("adele", "alex")}
    history = {"filter": f"CloudPcId eq '{pc['id']}'", "orderBy": ["SignInDateTime"], "top": 25}
    assert _report(graph.post(f"{ENDPOINT}/reports/getRemoteConnectionHistoricalReports", history)) == []
    bulk = {
        "@odata.type": "#microsoft.graph.cloudPcBulkRestart",
        "displayName": "Restart",
        "cloudPcIds": [pc["id"]],
        "scheduledDuringMaintenanceWindow": False,
    }
    assert _made(graph.post(f"{ENDPOINT}/bulkActions", bulk))["actionSummary"]["pendingCount"] == 1
    staffed.settle()
    for name in ("settingProfiles", "maintenanceWindows", "sharedUseServicePlans"):
        assert graph.get(f"{ENDPOINT}/{name}").values == []
    assert graph.post(f"{ENDPOINT}/maintenanceWindows", {"displayName": "Sunday"}).status == 501
    adele = graph.as_user(staffed.ids["adele"], "adele@contoso.com")
    launch = adele.get(f"/beta/me/cloudPCs/{pc['id']}/retrieveCloudPcLaunchDetail").body
    assert launch["cloudPcLaunchUrl"].startswith("http")
    many = graph.get(
        f"{ENDPOINT}/cloudPCs?$filter=(status+eq+'provisioned'+or+status+eq+'failed')", Prefer="odata.maxpagesize=5"
    )
    assert len(many.values) == 2


# --- CloudPC-Replace, RevokeUnusedLicense, realmjoin ------------------------------------------------------


def _of_user(graph: Graph, upn: str) -> list[dict[str, Any]]:
    return graph.get(
        f"{ENDPOINT}/cloudPCs?$filter=userPrincipalName eq '{upn}'&$select=id,status,userPrincipalName"
    ).values


def test_cloudpc_replace(graph: Graph, staffed: Company) -> None:
    """Out of the group, grace, its end, gone; into another group, and a new one comes (E8)."""
    staffed.group("Finance")
    staffed.policy("Finance desktops")
    staffed.license_group(PLAN, "Finance")
    staffed.assign("Finance desktops", "Finance")
    user, upn = str(staffed.ids["adele"]), "adele@contoso.com"
    (old,) = _of_user(graph, upn)
    (group,) = graph.get("/v1.0/groups?$filter=displayName eq 'Sales'").values
    members = graph.get(f"/v1.0/groups/{group['id']}/members?$select=id").of("id")
    assert user in members
    assert graph.delete(f"/v1.0/groups/{group['id']}/members/{user}/$ref").status == 204
    staffed.settle()
    assert _of_user(graph, upn)[0]["status"] == "inGracePeriod"
    assert graph.post(f"{ENDPOINT}/cloudPCs/{old['id']}/endGracePeriod").status == 204
    staffed.settle().advance(hours=4)
    assert _of_user(graph, upn) == []
    (target,) = graph.get("/v1.0/groups?$filter=displayName eq 'Finance'").values
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{user}"}
    assert graph.post(f"/v1.0/groups/{target['id']}/members/$ref", reference).status == 204
    staffed.settle()
    (new,) = _of_user(graph, upn)
    assert (new["status"], new["id"] != old["id"]) == ("provisioned", True)
    assert graph.get(f"{ENDPOINT}/cloudPCs/{new['id']}").body["provisioningPolicyName"] == "Finance desktops"


def test_revoke_unused_license(graph: Graph, staffed: Company) -> None:
    """Who never signed in loses the group by which they are licensed, and so the Cloud PC; the rest keep theirs."""
    body = {
        "select": ["CloudPcId", "UserPrincipalName", "DaysSinceLastSignIn", "NeverSignedIn", "CreatedDate"],
        "filter": "NeverSignedIn eq true and UserPrincipalName eq 'alex@contoso.com'",
        "top": 100,
    }
    rows = _report(graph.post(f"{ENDPOINT}/reports/getTotalAggregatedRemoteConnectionReports", body))
    (unused,) = [row["UserPrincipalName"] for row in rows]
    (policy,) = graph.get(f"{ENDPOINT}/provisioningPolicies?$expand=assignments").values
    group = policy["assignments"][0]["target"]["groupId"]
    function = f"getProvisionedCloudPCs(groupId='{group}',servicePlanId='{staffed.ids[PLAN]}')"
    assert unused in graph.get(f"{ENDPOINT}/cloudPCs/{function}").of("userPrincipalName")
    (member,) = [m for m in graph.get(f"/v1.0/groups/{group}/members").values if m["userPrincipalName"] == unused]
    assert graph.delete(f"/v1.0/groups/{group}/members/{member['id']}/$ref").status == 204
    staffed.settle()
    assert [pc["status"] for pc in _of_user(graph, unused)] == ["inGracePeriod"]
    assert [pc["status"] for pc in _of_user(graph, "adele@contoso.com")] == ["provisioned"]
    assert graph.get("/v1.0/subscribedSkus").of("consumedUnits") == [1]


# --- Microsoft365DSC, IntuneManagement -------------------------------------------------------------------


def test_microsoft365dsc(graph: Graph, staffed: Company) -> None:
    policies = f"{ENDPOINT}/provisioningPolicies"
    (found,) = graph.get(f"{policies}?$filter=DisplayName eq 'Desktops'").values
    one = graph.get(f"{policies}/{found['id']}?$expand=assignments").body
    assert (one["displayName"], len(one["assignments"])) == ("Desktops", 1)
    assert graph.get(f"{policies}?$filter=DisplayName eq 'It''s not there'").values == []
    assert graph.get(f"{ENDPOINT}/onPremisesConnections?$filter=DisplayName eq 'HQ'").values == []
    assert graph.get("/v1.0/groups?$filter=DisplayName eq 'Sales'&$select=id").of("id") == [
        one["assignments"][0]["target"]["groupId"]
    ]


def test_intune_management_exports_and_imports(graph: Graph, staffed: Company) -> None:
    """A policy as it was exported, with everything read-only in it, makes another one."""
    policies = f"{ENDPOINT}/provisioningPolicies"
    (found,) = graph.get(f"{policies}?$select=*&$expand=*").values
    exported = {**graph.get(f"{policies}/{found['id']}?$expand=assignments").body, "displayName": "Copy"}
    copy = _made(graph.post(policies, exported))
    assert copy["id"] != found["id"]
    assert copy["domainJoinConfigurations"] == found["domainJoinConfigurations"]
    # Ids of assignments are those of the old policy.
    assert graph.post(f"{policies}/{copy['id']}/assign", {"assignments": exported["assignments"]}).status == 204
    assert len(graph.get(f"{policies}/{copy['id']}?$expand=assignments").body["assignments"]) == 1


# --- ImplementWindows365 ---------------------------------------------------------------------------------


def test_implement_windows_365(graph: Graph, company: Company) -> None:
    """From an empty tenant to a Cloud PC, and back: every call of the wizard, in its order."""
    company.site()
    company.plan(seats=5)
    company.user("adele")
    (sku,) = [s for s in graph.get("/v1.0/subscribedSkus").values if s["prepaidUnits"]["enabled"] > s["consumedUnits"]]
    body = {"displayName": "W365 users", "mailEnabled": False, "mailNickname": "w365", "securityEnabled": True}
    group = _made(graph.post("/v1.0/groups", body))["id"]
    licence = {"addLicenses": [{"skuId": sku["skuId"]}], "removeLicenses": []}
    assert graph.post(f"/v1.0/groups/{group}/assignLicense", licence).status == 202
    setting = _made(graph.post(f"{ENDPOINT}/userSettings", {
        "displayName": "W365 user setting", "selfServiceEnabled": True, "localAdminEnabled": True,
        "restorePointSetting": {"frequencyInHours": 6, "userRestoreEnabled": True},
    }))["id"]  # fmt: skip
    target = {"assignments": [{"id": None, "target": {"@odata.type": GROUP_TARGET, "groupId": group}}]}
    assert graph.post(f"{ENDPOINT}/userSettings/{setting}/assign", target).status == 204
    (region,) = [r for r in graph.get(f"{ENDPOINT}/supportedRegions").values if r["displayName"] == "site-a"][:1]
    image = next(i for i in graph.get(f"{ENDPOINT}/galleryImages").values if i["status"] == "supported")
    policy = _made(graph.post(f"{ENDPOINT}/provisioningPolicies", {
        "displayName": "W365 policy", "description": "", "provisioningType": "dedicated", "managedBy": "windows365",
        "imageId": image["id"], "imageDisplayName": image["displayName"], "imageType": "gallery",
        "microsoftManagedDesktop": {"type": "notManaged", "profile": None}, "enableSingleSignOn": True,
        "windowsSettings": {"language": "en-GB"},
        "domainJoinConfigurations": [
            {"type": "azureADJoin", "regionName": region["displayName"], "regionGroup": region["regionGroup"]}
        ],
    }))["id"]  # fmt: skip
    assert graph.post(f"{ENDPOINT}/provisioningPolicies/{policy}/assign", target).status == 204
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/users/{company.ids['adele']}"}
    assert graph.post(f"/v1.0/groups/{group}/members/$ref", reference).status == 204
    company.settle()
    (pc,) = graph.get(f"{ENDPOINT}/cloudPCs").values
    assert (pc["status"], pc["userAccountType"], pc["provisioningPolicyName"]) == (
        "provisioned",
        "administrator",
        "W365 policy",
    )
    # Tear-down, in reverse.
    nothing: dict[str, Any] = {"assignments": []}
    assert graph.post(f"{ENDPOINT}/provisioningPolicies/{policy}/assign", nothing).status == 204
    company.settle()
    assert graph.post(f"{ENDPOINT}/cloudPCs/{pc['id']}/endGracePeriod").status == 204
    company.settle()
    assert graph.delete(f"{ENDPOINT}/provisioningPolicies/{policy}").status == 204
    assert graph.post(f"{ENDPOINT}/userSettings/{setting}/assign", nothing).status == 204
    assert graph.delete(f"{ENDPOINT}/userSettings/{setting}").status == 204
    taken = {"addLicenses": [], "removeLicenses": [sku["skuId"]]}
    assert graph.post(f"/v1.0/groups/{group}/assignLicense", taken).status == 202
    assert graph.delete(f"/v1.0/groups/{group}").status == 204
    company.advance(hours=4)
    assert graph.get(f"{ENDPOINT}/cloudPCs").values == []
    assert company.leaks() == set()
