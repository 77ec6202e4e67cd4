"""onPremisesConnections, images and supportedRegions: where Cloud PCs are, and what they are made of."""

from typing import Any
from uuid import uuid4

import pytest

from deskwright.domain.images import GALLERY
from tests.company import Company, found
from tests.graph.conftest import ADMINISTRATOR, Graph

ENDPOINT = "/deviceManagement/virtualEndpoint"
CONNECTIONS, IMAGES = f"{ENDPOINT}/onPremisesConnections", f"{ENDPOINT}/deviceImages"
SUBSCRIPTION = "0ac520ee-14c0-480f-b6c9-0a90c58ffff8"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-w365"
NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/corp"
HYBRID = {
    "displayName": "HQ",
    "connectionType": "hybridAzureADJoin",
    "subscriptionId": SUBSCRIPTION,
    "subscriptionName": "Production",
    "resourceGroupId": GROUP,
    "virtualNetworkId": NETWORK,
    "subnetId": f"{NETWORK}/subnets/default",
    "adDomainName": "corp.contoso.com",
    "adDomainUsername": "joiner@corp.contoso.com",
    "adDomainPassword": "correct horse",
    "organizationalUnit": "OU=CloudPCs,DC=corp,DC=contoso,DC=com",
}
ENTRA = {
    "displayName": "Lab",
    "connectionType": "azureADJoin",
    "virtualNetworkId": "lab",
    "subnetId": "10.20.0.0/24",
}


def create(graph: Graph, path: str, given: dict[str, Any]) -> dict[str, Any]:
    answer = graph.post(path, given)
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.body
    return made


# --- network connections -----------------------------------------------------------------------------------


def test_what_terraform_and_pscloudpc_send(graph: Graph, company: Company) -> None:
    """Azure's resource ids are told again as they were given; here they mean a network and a subnet of a site."""
    company.site("westeurope")
    made = create(graph, CONNECTIONS, HYBRID)
    assert made["healthCheckStatus"] == "pending"
    company.settle()
    got = graph.get(f"{CONNECTIONS}/{made['id']}").body
    sent = {name: value for name, value in HYBRID.items() if name != "adDomainPassword"}
    assert sent.items() <= got.items()
    assert (got["adDomainPassword"], got["type"], got["virtualNetworkLocation"]) == (
        None,
        "hybridAzureADJoin",
        "westeurope",
    )
    assert (got["healthCheckStatus"], got["healthCheckPaused"], got["inUseByCloudPc"]) == ("passed", False, False)
    (row,) = company.sql("SELECT network, subnet, resource_group FROM connections")
    assert tuple(row) == ("corp", "default", "rg-w365")
    everything = str(company.sql("SELECT before, after FROM audit_events"))
    assert "correct horse" not in everything
    assert "correct horse" not in str(got)


def test_health_details_are_told_when_they_are_selected(graph: Graph, company: Company) -> None:
    company.site()
    company.fault("health:dns", "dnsCheckFqdnNotFound")
    made = create(graph, CONNECTIONS, HYBRID)
    company.settle()
    path = f"{CONNECTIONS}/{made['id']}"
    assert "healthCheckStatusDetail" not in graph.get(path).body
    got = graph.get(f"{path}?$select=id,healthCheckStatus,healthCheckStatusDetail,healthCheckStatusDetails,inUse").body
    assert (got["healthCheckStatus"], got["inUse"]) == ("failed", False)
    assert got["healthCheckStatusDetail"] == got["healthCheckStatusDetails"]
    checks = {c["displayName"]: c for c in got["healthCheckStatusDetail"]["healthChecks"]}
    dns = checks["DNS can resolve the Active Directory domain"]
    assert (dns["status"], dns["errorType"]) == ("failed", "dnsCheckFqdnNotFound")
    assert dns["additionalDetail"] == dns["additionalDetails"]
    assert "DNS servers" in dns["recommendedAction"]
    reach = checks["A domain controller can be reached"]
    assert (reach["status"], reach["errorType"]) == ("informational", None)
    assert reach["additionalDetail"] == f"not tried: “{dns['displayName']}” failed"
    others = {c["status"] for c in checks.values() if not c["additionalDetail"].startswith("not tried")}
    assert others == {"passed", "failed"}
    v1 = graph.get(f"/v1.0{path}?$select=healthCheckStatusDetail").body["healthCheckStatusDetail"]
    assert "additionalDetails" not in v1["healthChecks"][0]


def test_health_runs_again_when_it_is_asked_for(graph: Graph, company: Company) -> None:
    company.site()
    made = create(graph, CONNECTIONS, HYBRID)
    company.settle()
    path = f"{CONNECTIONS}/{made['id']}"
    assert graph.post(f"{path}/runHealthChecks").status == 403  # as on Graph: not for an application by itself
    person = graph.as_user(company.user(), "adele@contoso.com", ADMINISTRATOR)
    assert person.post(f"{path}/runHealthChecks").status == 204
    assert graph.get(path).body["healthCheckStatus"] == "pending"
    assert graph.get(f"{CONNECTIONS}?$filter=healthCheckStatus eq 'passed'").values == []
    company.settle()
    assert graph.get(path).body["healthCheckStatus"] == "passed"
    assert graph.get(f"{CONNECTIONS}?$filter=healthCheckStatus eq 'passed'").of("displayName") == ["HQ"]
    assert person.post(f"{CONNECTIONS}/{uuid4()}/runHealthChecks").status == 404


def test_patch_and_password(graph: Graph, company: Company) -> None:
    company.site()
    made = create(graph, CONNECTIONS, HYBRID)
    path = f"{CONNECTIONS}/{made['id']}"
    subnet = f"{NETWORK}/subnets/other"
    answer = graph.patch(path, {"displayName": "Head office", "subnetId": subnet, "adDomainPassword": "battery staple"})
    assert (answer.status, answer.body["displayName"], answer.body["subnetId"]) == (200, "Head office", subnet)
    assert answer.body["virtualNetworkId"] == NETWORK
    assert graph.post(f"{path}/updateAdDomainPassword", {"adDomainPassword": "third"}).status == 204
    assert graph.post(f"{path}/updateAdDomainPassword", {}).status == 400
    (row,) = company.sql("SELECT ad_domain_password AS p FROM connections")
    assert company.world.secrets.decrypt(row.p) == "third"
    moved = graph.patch(path, {"connectionType": "azureADJoin"})
    assert (moved.status, moved.body["error"]["target"]) == (409, "connectionType")
    told = str(company.sql("SELECT before, after FROM audit_events"))
    assert "battery staple" not in told
    assert "third" not in told


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"displayName": None}, "displayName"),
        ({"virtualNetworkId": ""}, "virtualNetworkId"),
        ({"subnetId": None}, "subnetId"),
        ({"adDomainPassword": None}, "adDomainPassword"),
        ({"adDomainName": "corp"}, "adDomainName"),
        ({"connectionType": "wire"}, "connectionType"),
        ({"virtualNetworkLocation": "atlantis"}, "region"),
    ],
)
def test_a_connection_that_cannot_be_is_refused(
    graph: Graph, company: Company, changes: dict[str, Any], target: str
) -> None:
    company.site()
    answer = graph.post(CONNECTIONS, {**HYBRID, **changes})
    assert (answer.status, answer.body["error"]["target"]) == (400, target), answer.body
    assert graph.get(CONNECTIONS).values == []


def test_the_site_of_a_network(graph: Graph, company: Company) -> None:
    """By its location; else where a connection into it is already; else, all being simulated, the first site."""
    company.site("westeurope")
    company.site("japaneast", "japan")
    first = create(graph, CONNECTIONS, {**ENTRA, "displayName": "A"})
    there = create(graph, CONNECTIONS, {**ENTRA, "displayName": "B", "virtualNetworkLocation": "japaneast"})
    company.sql("UPDATE connections SET network = 'tokyo' WHERE id = :id", id=there["id"])
    again = create(graph, CONNECTIONS, {**ENTRA, "displayName": "C", "virtualNetworkId": "tokyo"})
    assert [c["virtualNetworkLocation"] for c in (first, there, again)] == ["westeurope", "japaneast", "japaneast"]
    company.sql("""UPDATE sites SET compute = '{"kind": "libvirt"}'""")
    refused = graph.post(CONNECTIONS, {**ENTRA, "displayName": "D", "virtualNetworkId": "elsewhere"})
    assert (refused.status, refused.body["error"]["target"]) == (400, "virtualNetworkLocation")


def test_a_connection_in_use_stays(graph: Graph, company: Company) -> None:
    """E9"""
    company.basics("adele", connections=("HQ",))
    path = f"{CONNECTIONS}/{company.ids['HQ']}"
    assert graph.get(f"{path}?$select=inUse,inUseByCloudPc").body["inUse"] is True
    company.settle()
    assert graph.get(path).body["inUseByCloudPc"] is True
    refused = graph.delete(path)
    assert (refused.status, refused.code) == (409, "notAllowed")
    assert (
        graph.get(f"{path}?$select=subnetPrivateIpDetail").body["subnetPrivateIpDetail"]["subnetAvailableIpCount"] > 1
    )


# --- images ------------------------------------------------------------------------------------------------


def test_a_device_image_is_one_wherever_its_copies_are(graph: Graph, company: Company) -> None:
    company.site("a")
    company.site("b")
    sources = graph.get(f"{IMAGES}/getSourceImages()").values
    source = next(s for s in sources if s["id"] == "debian-12-desktop")
    assert set(source) == {
        "category",
        "displayName",
        "id",
        "resourceId",
        "subscriptionDisplayName",
        "subscriptionId",
    }
    given = {"displayName": "Finance", "version": "1.0.0", "sourceImageResourceId": source["resourceId"]}
    made = create(graph, IMAGES, given)
    assert given.items() <= made.items()
    assert (made["status"], made["errorCode"], made["sizeInGB"], made["osStatus"]) == ("pending", None, 16, "supported")
    assert made["expirationDate"] == GALLERY["debian-12-desktop"].expiration_date.isoformat()
    assert len(company.sql("SELECT 1 FROM device_images")) == 2
    company.advance(hours=1)
    (listed,) = graph.get(IMAGES).values
    assert listed["status"] == "ready"
    assert listed["lastModifiedDateTime"] > made["lastModifiedDateTime"]
    assert graph.get(f"{IMAGES}/$count?$filter=status eq 'ready' and displayName eq 'finance'").body == b"1"
    taken = graph.post(IMAGES, given)
    assert (taken.status, taken.code) == (409, "nameAlreadyExists")
    renamed = graph.patch(f"{IMAGES}/{made['id']}", {"displayName": "Finance 2"})
    assert (renamed.status, renamed.body["displayName"]) == (200, "Finance 2")
    assert graph.patch(f"{IMAGES}/{made['id']}", {"version": "2.0.0"}).status == 400
    assert graph.delete(f"{IMAGES}/{made['id']}").status == 204
    assert company.sql("SELECT 1 FROM device_images") == []
    assert graph.get(f"{IMAGES}/{made['id']}").status == 404


def test_an_image_that_fails_says_why_and_can_be_uploaded_again(graph: Graph, company: Company) -> None:
    company.site()
    company.fault("image", "sourceImageNotGeneralized")
    azure = f"{GROUP}/providers/Microsoft.Compute/images/gold"
    made = create(graph, IMAGES, {"displayName": "Gold", "version": "1.0.0", "sourceImageResourceId": azure})
    path = f"{IMAGES}/{made['id']}"
    assert (made["sourceImageResourceId"], made["osStatus"]) == (azure, "unknown")
    company.advance(hours=1)
    got = graph.get(path).body
    assert (got["status"], got["errorCode"], got["statusDetails"]) == (
        "failed",
        "sourceImageNotGeneralized",
        "sourceImageNotGeneralized",
    )
    company.clear_faults()
    assert graph.post(f"{path}/reupload").status == 204
    assert graph.get(path).body["status"] == "pending"
    company.advance(hours=1)
    assert graph.get(path).body["status"] == "ready"
    assert graph.post(f"{path}/reupload").status == 409


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({"version": "1"}, "version"),
        ({"version": None}, "version"),
        ({"displayName": None}, "displayName"),
        ({"sourceImageResourceId": ""}, "sourceImageResourceId"),
    ],
)
def test_an_image_that_cannot_be_is_refused(graph: Graph, company: Company, changes: Any, target: str) -> None:
    company.site()
    given = {"displayName": "Gold", "version": "1.0.0", "sourceImageResourceId": "debian-12-tiny", **changes}
    answer = graph.post(IMAGES, given)
    assert (answer.status, answer.body["error"]["target"]) == (400, target)
    assert graph.get(IMAGES).values == []


def test_an_image_in_use_stays(graph: Graph, company: Company) -> None:
    """E9"""
    company.site()
    given = {"displayName": "Gold", "version": "1.0.0", "sourceImageResourceId": "debian-12-tiny"}
    image = create(graph, IMAGES, given)["id"]
    policy = {
        "displayName": "Golden",
        "imageId": image,
        "imageType": "custom",
        "domainJoinConfigurations": [{"domainJoinType": "azureADJoin", "regionName": "site-a"}],
    }
    create(graph, f"{ENDPOINT}/provisioningPolicies", policy)
    assert graph.delete(f"{IMAGES}/{image}").code == "notAllowed"
    assert graph.patch(f"{IMAGES}/{image}", {"displayName": "Other"}).code == "notAllowed"


def test_gallery_images_with_their_support_by_date(graph: Graph, company: Company) -> None:
    path = f"{ENDPOINT}/galleryImages"
    assert {i["id"] for i in graph.all(path)} == set(GALLERY)
    windows = "microsoftwindowsdesktop_windows-ent-cpc_win11-25h2-ent-cpc"
    got = graph.get(f"{path}/{windows.upper()}").body
    assert (got["publisherName"], got["publisher"], got["skuName"], got["startDate"], got["status"]) == (
        "microsoftwindowsdesktop",
        "microsoftwindowsdesktop",
        "win11-25h2-ent-cpc",
        "2025-09-30",
        "supported",
    )
    assert "publisher" not in graph.get(f"/v1.0{path}/{windows}").body
    supported = int(graph.get(f"{path}/$count?$filter=status eq 'supported'").body)
    assert graph.get(f"{path}?$filter=sizeInGB lt 4&$select=id").values == [{"id": "debian-12-tiny"}]
    company.advance(days=365 * 5)
    assert int(graph.get(f"{path}/$count?$filter=status eq 'supported'").body) < supported
    assert graph.get(f"{path}/windows-95").status == 404
    assert graph.post(path, {}).status == 405


def test_regions_are_available_where_there_is_a_site(graph: Graph, company: Company) -> None:
    company.site("westeurope")
    company.site("our cellar", "germany")
    path = f"{ENDPOINT}/supportedRegions"
    available = graph.all(f"{path}?$filter=regionStatus eq 'available' and supportedSolution eq 'windows365'")
    assert {(r["displayName"], r["regionGroup"], r["geographicLocationType"]) for r in available} == {
        ("westeurope", "europeUnion", "europe"),
        ("our cellar", "germany", "europe"),
    }
    japan = graph.get(f"{path}/japaneast").body
    assert (japan["regionStatus"], japan["supportedSolution"]) == ("unavailable", ["windows365"])
    assert graph.get(f"/v1.0{path}").status == 404
    (italy,) = graph.get(f"{path}?$filter=id eq 'italynorth'").values
    assert italy["regionGroup"] == "unknownFutureValue"
    (asked,) = graph.get(f"{path}?$filter=id eq 'italynorth'", Prefer="include-unknown-enum-members").values
    assert asked["regionGroup"] == "italy"


def test_another_tenants_places_do_not_exist(graph: Graph, company: Company) -> None:
    company.site()
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.site()
    connection = other.connection()
    image = create(
        graph.as_(tenant_id=other.tenant.id, tenant_name=other.tenant.name),
        IMAGES,
        {"displayName": "Theirs", "version": "1.0.0", "sourceImageResourceId": "debian-12-tiny"},
    )["id"]
    person = graph.as_user(company.user(), "adele@contoso.com", ADMINISTRATOR)
    assert [graph.get(path).values for path in (CONNECTIONS, IMAGES)] == [[], []]
    for method, path, given in (
        ("GET", f"{CONNECTIONS}/{connection}", None),
        ("PATCH", f"{CONNECTIONS}/{connection}", {"displayName": "Mine"}),
        ("DELETE", f"{CONNECTIONS}/{connection}", None),
        ("POST", f"{CONNECTIONS}/{connection}/runHealthChecks", None),
        ("POST", f"{CONNECTIONS}/{connection}/updateAdDomainPassword", {"adDomainPassword": "x"}),
        ("GET", f"{IMAGES}/{image}", None),
        ("PATCH", f"{IMAGES}/{image}", {"displayName": "Mine"}),
        ("DELETE", f"{IMAGES}/{image}", None),
        ("POST", f"{IMAGES}/{image}/reupload", None),
    ):
        assert person.call(method, path, given).status == 404, (method, path)
    policy = {
        "displayName": "Golden",
        "imageId": image,
        "domainJoinConfigurations": [{"domainJoinType": "azureADJoin", "regionName": "site-a"}],
    }
    assert graph.post(f"{ENDPOINT}/provisioningPolicies", policy).status == 404
    reader = graph.as_(permissions=frozenset({"CloudPC.Read.All"}))
    assert [reader.post(p, {}).status for p in (CONNECTIONS, IMAGES)] == [403, 403]
    assert [reader.get(p).status for p in (CONNECTIONS, IMAGES)] == [200, 200]
