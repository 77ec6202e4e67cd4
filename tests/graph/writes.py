"""For every call that carries a body: one that does what the call is for, to be sent whole or spoilt; and arguments."""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import uuid4

from deskwright.graph.routes import Route
from deskwright.identity.permissions import READER, ROLES
from tests.company import PLAN
from tests.graph.everything import ENDPOINT, LARGE, Everything

_numbers = count(1)
Body = Callable[[Everything], dict[str, Any]]


def _name(what: str) -> str:
    return f"{what} {next(_numbers)}"


def _assignments(e: Everything) -> dict[str, Any]:
    return {"assignments": [{"target": {"groupId": e.named["groups"]}}]}


def _assignment(e: Everything) -> dict[str, Any]:
    target = "#microsoft.graph.cloudPcManagementGroupAssignmentTarget"
    return {"target": {"@odata.type": target, "groupId": str(e.company.ids["Empty"])}}


def _review(_: Everything) -> dict[str, Any]:
    return {"reviewStatus": {"inReview": True, "userAccessLevel": "restricted"}}


def _snapshot(e: Everything) -> dict[str, Any]:
    return {"cloudPcSnapshotId": e.graph.get(f"{ENDPOINT}/snapshots").of("id")[0]}


def _image(e: Everything) -> dict[str, Any]:
    source = e.graph.get(f"{ENDPOINT}/deviceImages/getSourceImages()").values[0]["resourceId"]
    return {"displayName": _name("Image"), "version": "1.0.0", "sourceImageResourceId": source}


def _connection(_: Everything) -> dict[str, Any]:
    return {
        "displayName": _name("Network"),
        "connectionType": "azureADJoin",
        "virtualNetworkId": _name("net"),
        "subnetId": "10.50.0.0/24",
        "virtualNetworkLocation": "site-a",
    }


def _policy(_: Everything) -> dict[str, Any]:
    join = {"domainJoinType": "azureADJoin", "regionGroup": "europeUnion", "regionName": "automatic"}
    return {
        "displayName": _name("Policy"),
        "imageId": "debian-12-desktop",
        "imageType": "gallery",
        "domainJoinConfigurations": [join],
        "windowsSetting": {"locale": "en-GB"},
    }


def _setting(_: Everything) -> dict[str, Any]:
    return {
        "displayName": _name("Setting"),
        "localAdminEnabled": True,
        "restorePointSetting": {"frequencyType": "sixHours", "userRestoreEnabled": True},
    }


def _rule(_: Everything) -> dict[str, Any]:
    return {
        "alertRuleTemplate": "cloudPcProvisionScenario",
        "displayName": _name("Rule"),
        "severity": "critical",
        "enabled": True,
        "threshold": {"aggregation": "count", "operator": "greaterOrEqual", "target": 3},
    }


def _role_assignment(e: Everything) -> dict[str, Any]:
    return {
        "displayName": _name("Readers"),
        "roleDefinitionId": str(ROLES[READER]),
        "principalIds": [str(e.company.ids["warned"])],
        "directoryScopeIds": ["/"],
    }


def _devices(e: Everything) -> dict[str, Any]:
    return {"managedDeviceIds": [e.named["managedDevices"]]}


def _bulk(e: Everything) -> dict[str, Any]:
    kind = "#microsoft.graph.cloudPcBulkTroubleshoot"
    return {"@odata.type": kind, "displayName": _name("Bulk"), "cloudPcIds": [e.named["cloudPCs"]]}


def _licences(e: Everything) -> dict[str, Any]:
    return {"addLicenses": [{"skuId": str(e.company.ids[LARGE]), "disabledPlans": []}], "removeLicenses": []}


def _report(_: Everything) -> dict[str, Any]:
    return {"top": 5, "skip": 0, "select": [], "filter": "", "orderBy": [], "groupBy": [], "search": ""}


def _user(_: Everything) -> dict[str, Any]:
    profile = {"password": f"Long-Enough-{uuid4()}", "forceChangePasswordNextSignIn": True}
    return {
        "userPrincipalName": f"someone{next(_numbers)}@contoso.com",
        "displayName": "Someone",
        "accountEnabled": True,
        "mailNickname": "someone",
        "passwordProfile": profile,
    }


def _group(e: Everything) -> dict[str, Any]:
    who = f"https://graph.microsoft.com/v1.0/users/{e.named['users']}"
    return {
        "displayName": _name("Group"),
        "mailEnabled": False,
        "mailNickname": "g",
        "securityEnabled": True,
        "members@odata.bind": [who],
    }


def _reference(e: Everything) -> dict[str, Any]:
    return {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{e.company.ids['nothing']}"}


def _described(_: Everything) -> dict[str, Any]:
    return {"description": _name("Text")}


def _renamed(_: Everything) -> dict[str, Any]:
    return {"displayName": _name("Name")}


_MANAGED = "/deviceManagement/managedDevices"
_ALERTS = "/deviceManagement/monitoring"
_SPACE = "microsoft.graph.deviceManagement"
_ROLES = "/roleManagement/cloudPC"

# By method and path; those of Cloud PCs by what follows `cloudPCs`, wherever that stands.
GOOD: dict[str, Body] = {
    f"POST {_ALERTS}/alertRules": _rule,
    f"PATCH {_ALERTS}/alertRules/{{id}}": _rule,
    f"POST {_ALERTS}/alertRecords/{_SPACE}.changeAlertRecordsPortalNotificationAsSent": lambda e: {
        "alertRecordIds": e.graph.get(f"{_ALERTS}/alertRecords").of("id")[:1]
    },
    f"POST {ENDPOINT}/bulkActions": _bulk,
    f"PATCH {ENDPOINT}/bulkActions/{{id}}": _renamed,
    f"POST {ENDPOINT}/bulkActions/{{id}}/retry": lambda e: {"cloudPcIds": [e.named["cloudPCs"]]},
    f"POST {ENDPOINT}/onPremisesConnections": _connection,
    f"PATCH {ENDPOINT}/onPremisesConnections/{{id}}": lambda e: {"subscriptionName": _name("Subscription")},
    f"POST {ENDPOINT}/onPremisesConnections/{{id}}/updateAdDomainPassword": lambda e: {"adDomainPassword": "battery"},
    f"POST {ENDPOINT}/deviceImages": _image,
    f"PATCH {ENDPOINT}/deviceImages/{{id}}": lambda e: {"scopeIds": ["0"]},
    f"POST {ENDPOINT}/deviceImages/{{id}}/reupload": lambda e: {},
    f"POST {ENDPOINT}/deviceImages/{{id}}/retryUpload": lambda e: {},
    "PATCH /devices/{id}": lambda e: {"extensionAttributes": {"extensionAttribute1": _name("floor")}},
    "POST /groups": _group,
    "PATCH /groups/{id}": _described,
    "POST /users": _user,
    "PATCH /users/{id}": lambda e: {"jobTitle": _name("Seller")},
    "POST /directoryObjects/getByIds": lambda e: {"ids": [e.named["users"], e.named["groups"]], "types": ["user"]},
    f"POST {ENDPOINT}/reports/exportJobs": lambda e: {
        "reportName": "totalAggregatedRemoteConnectionReports",
        "format": "json",
        "select": ["CloudPcId"],
    },
    "POST /groups/{id}/members/$ref": _reference,
    "POST /users/{id}/assignLicense": _licences,
    "POST /groups/{id}/assignLicense": _licences,
    f"POST {_MANAGED}/{{id}}/reprovisionCloudPc": lambda e: {"userAccountType": "administrator"},
    f"POST {_MANAGED}/{{id}}/resizeCloudPc": lambda e: {"targetServicePlanId": str(e.company.ids[LARGE])},
    f"POST {_MANAGED}/{{id}}/restoreCloudPc": _snapshot,
    f"POST {_MANAGED}/{{id}}/setCloudPcReviewStatus": _review,
    f"POST {_MANAGED}/bulkReprovisionCloudPc": _devices,
    f"POST {_MANAGED}/bulkSetCloudPcReviewStatus": lambda e: {**_devices(e), **_review(e)},
    f"POST {_MANAGED}/{{id}}/setDeviceName": lambda e: {"deviceName": "x"},
    f"PATCH {_MANAGED}/{{id}}": lambda e: {"notes": "x"},
    f"PATCH {ENDPOINT}/organizationSettings": lambda e: {"enableSingleSignOn": True, "userAccountType": "standardUser"},
    f"POST {ENDPOINT}/provisioningPolicies": _policy,
    f"PATCH {ENDPOINT}/provisioningPolicies/{{id}}": _described,
    f"POST {ENDPOINT}/provisioningPolicies/{{id}}/assign": _assignments,
    f"POST {ENDPOINT}/provisioningPolicies/{{id}}/assignments": _assignment,
    f"PATCH {ENDPOINT}/provisioningPolicies/{{id}}/assignments/{{id}}": _assignments,
    f"POST {ENDPOINT}/provisioningPolicies/{{id}}/apply": lambda e: {
        "policySettings": "region",
        "reservePercentage": 8,
    },
    f"POST {ENDPOINT}/provisioningPolicies/applyConfig": lambda e: {
        "policySettings": ["region"],
        "cloudPcIds": [e.named["cloudPCs"]],
    },
    f"POST {_ROLES}/roleDefinitions": _renamed,
    f"PATCH {_ROLES}/roleDefinitions/{{id}}": _renamed,
    f"POST {_ROLES}/roleAssignments": _role_assignment,
    f"PATCH {_ROLES}/roleAssignments/{{id}}": _described,
    f"POST {ENDPOINT}/userSettings": _setting,
    f"PATCH {ENDPOINT}/userSettings/{{id}}": lambda e: {"resetEnabled": True},
    f"POST {ENDPOINT}/userSettings/{{id}}/assign": _assignments,
    f"POST {ENDPOINT}/userSettings/{{id}}/assignments": _assignment,
    f"PATCH {ENDPOINT}/userSettings/{{id}}/assignments/{{id}}": lambda e: {},
    f"POST {ENDPOINT}/snapshots/importSnapshot": lambda e: {"sourceFiles": [], "assignedUserId": "x"},
    "cloudPCs/{id}/reprovision": lambda e: {"userAccountType": "standardUser", "osVersion": "windows11"},
    "cloudPCs/{id}/rename": _renamed,
    "cloudPCs/{id}/resize": lambda e: {"targetServicePlanId": str(e.company.ids[LARGE])},
    "cloudPCs/{id}/restore": _snapshot,
    "cloudPCs/{id}/createSnapshot": lambda e: {"accessTier": "hot"},
    "cloudPCs/{id}/changeUserAccountType": lambda e: {"userAccountType": "standardUser"},
    "cloudPCs/{id}/setReviewStatus": _review,
    "cloudPCs/validateBulkResize": lambda e: {
        "cloudPcIds": [e.named["cloudPCs"]],
        "targetServicePlanId": str(e.company.ids[PLAN]),
    },
}


def good(route: Route, everything: Everything) -> dict[str, Any] | None:
    """The body that the call is made for; None: it needs none."""
    below = "cloudPCs" + route.path.partition("/cloudPCs")[2]
    made = GOOD.get(f"{route.method} {route.path}") or GOOD.get(below)
    if made is None and "/report" in route.path and route.method == "POST":
        made = _report
    return made(everything) if made else None


def arguments(route: Route, everything: Everything) -> str:
    """What must stand behind the path: a function's arguments, or a query."""
    if route.path.endswith("getProvisionedCloudPCs"):
        return f"(groupId='{everything.named['groups']}',servicePlanId='{everything.company.ids[PLAN]}')"
    if "RealTimeRemoteConnection" in route.path:
        return f"(cloudPcId='{everything.named['cloudPCs']}')"
    if route.method == "DELETE" and route.path.endswith("/members/$ref"):
        return f"?@id=https://graph.microsoft.com/v1.0/directoryObjects/{everything.named['users']}"
    return ""
