"""Every set of the directory, device management, roles, audit and alerts, held against the contract, whole."""

import pytest

from deskwright.graph.contract import model
from deskwright.identity.permissions import READER, ROLES
from tests.company import Company
from tests.graph.conftest import Graph
from tests.graph.contract_check import faults

ROLE = "/roleManagement/cloudPC"
SETS = {
    "/users": "user",
    "/groups": "group",
    "/users/adele@contoso.com/memberOf": "group",
    "/users/adele@contoso.com/licenseDetails": "licenseDetails",
    "/subscribedSkus": "subscribedSku",
    "/organization": "organization",
    "/devices": "device",
    "/deviceManagement/managedDevices": "managedDevice",
    "/deviceManagement/roleScopeTags": "roleScopeTag",
    "/deviceManagement/virtualEndpoint/auditEvents": "cloudPcAuditEvent",
    "/deviceManagement/monitoring/alertRules": "deviceManagement.alertRule",
    "/deviceManagement/monitoring/alertRecords": "deviceManagement.alertRecord",
    f"{ROLE}/roleDefinitions": "unifiedRoleDefinition",
    f"{ROLE}/roleAssignments": "unifiedRoleAssignmentMultiple",
    f"{ROLE}/resourceNamespaces": "unifiedRbacResourceNamespace",
    f"{ROLE}/resourceNamespaces/Microsoft.CloudPC/resourceActions": "unifiedRbacResourceAction",
}


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_answers_are_as_the_contract_says(graph: Graph, company: Company, version: str) -> None:
    company.basics("adele")
    company.settle().unassign("Desktops", "Sales")
    company.settle()
    holder = {"roleDefinitionId": str(ROLES[READER]), "principalIds": [str(company.ids["adele"])]}
    assert graph.post(f"{ROLE}/roleAssignments", holder).status == 201
    only_beta = (ROLE, "/deviceManagement/monitoring", "/deviceManagement/roleScopeTags")
    for path, type_name in SETS.items():
        if version == "v1.0" and path.startswith(only_beta):
            assert graph.get(f"/v1.0{path}").status == 404, path
            continue
        assert type_name in model(version).types
        for query in ("", "?$select=*&$expand=*"):
            told = graph.get(f"/{version}{path}{query}").values
            assert told, path
            for item in told:
                assert faults(version, type_name, item) == [], path
