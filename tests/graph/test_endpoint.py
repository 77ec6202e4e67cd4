"""virtualEndpoint itself, the organization's settings, and sets that are empty here."""

import pytest

from deskwright.identity.permissions import READER
from tests.company import Company
from tests.graph.conftest import Graph

ENDPOINT = "/deviceManagement/virtualEndpoint"
SETTINGS = f"{ENDPOINT}/organizationSettings"


def test_organization_settings(graph: Graph, company: Company) -> None:
    before = graph.get(SETTINGS).body
    assert {name: value for name, value in before.items() if name != "@odata.context"} == {
        "id": str(company.tenant.id),
        "enableMEMAutoEnroll": True,
        "enableSingleSignOn": False,
        "osVersion": "windows11",
        "userAccountType": "standardUser",
        "windowsSettings": {"language": "en-US"},
    }
    after = graph.patch(SETTINGS, {"userAccountType": "administrator", "windowsSettings": {"language": "de-DE"}})
    assert after.status == 200
    assert graph.get(SETTINGS).body == after.body
    assert after.body == {**before, "userAccountType": "administrator", "windowsSettings": {"language": "de-DE"}}
    (event,) = company.sql("SELECT * FROM audit_events WHERE activity = 'Update organization settings'")
    assert (event.before["userAccountType"], event.after["userAccountType"]) == ("standardUser", "administrator")
    for wrong in ({"userAccountType": "king"}, {"windowsSettings": {"language": "Danish"}}, {"osVersion": 11}):
        assert graph.patch(SETTINGS, wrong).status == 400
    assert graph.patch(SETTINGS, {"userAccountType": None}).body["userAccountType"] == "standardUser"
    reader = graph.as_(permissions=frozenset({"CloudPC.Read.All"}))
    assert reader.patch(SETTINGS, {"osVersion": "windows10"}).status == 403
    assert graph.get(f"/v1.0{SETTINGS}").status == 404


def test_the_endpoint_itself(graph: Graph, company: Company) -> None:
    assert graph.get(ENDPOINT).body["id"] == str(company.tenant.id)
    assert graph.get(f"/v1.0{ENDPOINT}").status == 200
    assert graph.get(f"{ENDPOINT}?$expand=cloudPCs").status == 501


def test_permissions_follow_from_the_callers(graph: Graph, company: Company) -> None:
    reader = graph.as_user(company.user(), "adele@contoso.com", READER)
    reads = set(reader.get(f"{ENDPOINT}/getEffectivePermissions()").body["value"])
    writes = set(graph.get(f"{ENDPOINT}/getEffectivePermissions").body["value"]) - reads
    assert "Microsoft.CloudPC/ProvisioningPolicies/Read" in reads
    assert "Microsoft.CloudPC/ProvisioningPolicies/Create" in writes
    assert all(p.endswith("/Read") for p in reads)
    scoped = reader.get(f"{ENDPOINT}/retrieveScopedPermissions()").body["value"]
    assert {p["permission"] for p in scoped} == reads
    assert all(p["scopeIds"] == ["0"] for p in scoped)


def test_what_is_not_known_is_null(graph: Graph, company: Company) -> None:
    setting = graph.get(f"{ENDPOINT}/retrieveTenantEncryptionSetting()").body
    assert setting["tenantDiskEncryptionType"] is None
    mapping = graph.get(f"{ENDPOINT}/crossCloudGovernmentOrganizationMapping").body
    assert (mapping["id"], mapping["organizationIdsInUSGovCloud"]) == (str(company.tenant.id), [])


@pytest.mark.parametrize("name", ["frontLineServicePlans", "externalPartnerSettings", "externalPartners"])
def test_empty_sets(graph: Graph, name: str) -> None:
    assert graph.get(f"{ENDPOINT}/{name}?$filter=displayName eq 'x'").values == []
    assert graph.get(f"{ENDPOINT}/{name}/$count").body == b"0"
    assert graph.get(f"{ENDPOINT}/{name}/1").status == 404
    assert graph.post(f"{ENDPOINT}/{name}", {}).status in (405, 501)


@pytest.mark.parametrize("name", ["sharedUseServicePlans", "settingProfiles", "maintenanceWindows"])
def test_sets_that_only_scripts_know(graph: Graph, name: str) -> None:
    for version in ("/v1.0", "/beta"):
        assert graph.get(f"{version}{ENDPOINT}/{name}?$expand=assignments").values == []
    assert graph.post(f"{ENDPOINT}/{name}", {"displayName": "x"}).status == 501
    assert graph.delete(f"{ENDPOINT}/{name}/1").status == 501
