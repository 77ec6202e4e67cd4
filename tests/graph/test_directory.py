"""People, groups, who is in them, and licences, as Graph clients read and change them."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from deskwright.identity.permissions import READER
from tests import company as companies
from tests.company import PLAN, Company
from tests.graph.conftest import Graph


def _audited(company: Company) -> list[str]:
    rows = company.sql(
        "SELECT activity FROM audit_events WHERE tenant_id = :tenant AND actor = 'Automation' ORDER BY id"
    )
    return [row.activity for row in rows]


@pytest.fixture
def other(company: Company) -> Company:
    """Another tenant, with a person, a group and a plan."""
    made = companies.found(company.world.database, company.world.settings, "fabrikam.com")
    made.plan()
    made.group()
    made.user("megan")
    return made


# --- users -----------------------------------------------------------------------------------------------


def test_users_have_graphs_default_properties(graph: Graph, company: Company) -> None:
    company.user("adele")
    (adele,) = graph.get("/users").values
    assert set(adele) == {
        *("businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone"),
        *("officeLocation", "preferredLanguage", "surname", "userPrincipalName", "id"),
    }
    assert adele["userPrincipalName"] == "adele@contoso.com"
    assert adele["businessPhones"] == []


def test_a_user_is_found_by_id_and_by_name(graph: Graph, company: Company) -> None:
    company.user("adele")
    for key in (company.ids["adele"], "adele@contoso.com", "ADELE%40contoso.com"):
        assert graph.get(f"/v1.0/users/{key}").body["id"] == str(company.ids["adele"])
    assert graph.get("/users('adele@contoso.com')").body["displayName"] == "adele"
    assert graph.get("/users/nobody@contoso.com").status == 404


def test_a_user_is_created_with_all_that_was_said(graph: Graph, company: Company) -> None:
    body = {
        "@odata.type": "#microsoft.graph.user",
        "accountEnabled": False,
        "DisplayName": "Adele Vance",
        "mailNickname": "adele",
        "userPrincipalName": "adele@contoso.com",
        "mail": "adele@mail.contoso.com",
        "givenName": "Adele",
        "usageLocation": "DE",
        "businessPhones": ["+49 1"],
        "employeeHireDate": "2026-01-31T08:00:00Z",
        "passwordProfile": {"password": "correct horse battery", "forceChangePasswordNextSignIn": True},
        "unknownThing": 1,
    }
    made = graph.post("/users", body)
    assert made.status == 201
    assert made.body["mail"] == "adele@mail.contoso.com"
    read = graph.get(f"/users/{made.body['id']}?$select=givenName,usageLocation,accountEnabled,employeeHireDate").body
    assert {k: v for k, v in read.items() if not k.startswith("@")} == {
        "givenName": "Adele",
        "usageLocation": "DE",
        "accountEnabled": False,
        "employeeHireDate": "2026-01-31T08:00:00Z",
    }
    ((must_change,),) = company.sql("SELECT must_change FROM user_credentials WHERE tenant_id = :tenant")
    assert must_change is True
    assert _audited(company) == ["Create user", "Set password"]
    assert "correct horse" not in str(company.sql("SELECT before, after FROM audit_events"))


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"displayName": "x"}, "userPrincipalName"),
        ({"userPrincipalName": "x@contoso.com"}, "displayName"),
        ({"userPrincipalName": "not a name", "displayName": "x"}, "userPrincipalName"),
        ({"userPrincipalName": 7, "displayName": "x"}, "userPrincipalName"),
        ({"userPrincipalName": "x@contoso.com", "displayName": "x", "passwordProfile": {"password": "x"}}, "password"),
        ([], "body"),
    ],
)
def test_a_user_that_cannot_be_is_refused_by_name(graph: Graph, company: Company, body: object, part: str) -> None:
    answer = graph.post("/users", body)
    assert answer.status == 400
    assert answer.body["error"]["target"] == part
    assert company.sql("SELECT 1 FROM users") == []


def test_a_user_name_is_taken_once(graph: Graph, company: Company) -> None:
    company.user("adele")
    answer = graph.post("/users", {"userPrincipalName": "Adele@contoso.com", "displayName": "x"})
    assert (answer.status, answer.code) == (409, "nameAlreadyExists")


def test_a_user_is_changed(graph: Graph, company: Company) -> None:
    company.user("adele")
    path = "/users/adele@contoso.com"
    assert graph.patch(path, {"jobTitle": "Seller", "mail": "a@b.c", "accountEnabled": False}).status == 204
    selected = "?$select=jobTitle,mail,accountEnabled"
    read = graph.get(path + selected).body
    assert (read["jobTitle"], read["mail"], read["accountEnabled"]) == ("Seller", "a@b.c", False)
    assert graph.patch(path, {"jobTitle": None, "mail": None}).status == 204
    read = graph.get(path + selected).body
    assert (read["jobTitle"], read["mail"]) == (None, None)
    assert _audited(company) == ["Update user", "Update user"]


def test_a_deleted_user_is_gone_and_their_cloud_pc_in_grace(graph: Graph, company: Company) -> None:
    """E8, through the API."""
    company.basics("adele")
    company.settle()
    assert company.status("adele") == "provisioned"
    assert graph.delete(f"/users/{company.ids['adele']}").status == 204
    assert graph.get("/users/adele@contoso.com").status == 404
    assert company.settle().status("adele") == "inGracePeriod"
    assert graph.delete(f"/users/{company.ids['adele']}").status == 404


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("userPrincipalName eq 'ADELE@contoso.com'", {"adele"}),
        ("startswith(displayName,'a')", {"adele", "alex"}),
        ("accountEnabled eq false", {"alex"}),
        ("jobTitle eq 'Seller'", {"alex"}),
        ("mail eq 'alex@mail.com'", {"alex"}),
        ("onPremisesUserPrincipalName eq null", {"adele", "alex"}),
    ],
)
def test_users_are_filtered(graph: Graph, company: Company, expression: str, found: set[str]) -> None:
    company.user("adele")
    company.user("alex")
    graph.patch("/users/alex@contoso.com", {"accountEnabled": False, "jobTitle": "Seller", "mail": "alex@mail.com"})
    answer = graph.get(f"/users?$filter={expression}&$count=true", ConsistencyLevel="eventual")
    assert set(answer.of("displayName")) == found
    assert answer.body["@odata.count"] == len(found)


def test_users_by_licence_held_directly_or_through_a_group(graph: Graph, company: Company) -> None:
    company.plan()
    company.group()
    for name in ("adele", "alex", "megan"):
        company.user(name)
    company.license(PLAN, "adele")
    company.license_group(PLAN, "Sales")
    company.join("adele", "Sales")
    company.join("alex", "Sales")
    sku = company.ids[PLAN]
    answer = graph.get(f"/users?$filter=assignedLicenses/any(l:l/skuId eq {sku})&$select=displayName,assignedLicenses")
    assert {u["displayName"] for u in answer.values} == {"adele", "alex"}
    assert all(u["assignedLicenses"] == [{"disabledPlans": [], "skuId": str(sku)}] for u in answer.values)
    assert graph.get("/users/megan@contoso.com?$select=assignedLicenses").body["assignedLicenses"] == []


def test_users_are_searched_and_counted(graph: Graph, company: Company) -> None:
    company.user("adele")
    company.user("alex")
    assert graph.get('/users?$search="displayName:del"').of("displayName") == ["adele"]
    assert graph.get("/users/$count").body == b"2"


def test_everything_about_a_user(graph: Graph, company: Company) -> None:
    """`$select=*` and `$expand=*`: nothing the contract calls not nullable is null."""
    company.user("adele")
    company.group()
    company.join("adele", "Sales")
    for version in ("v1.0", "beta"):
        user = graph.get(f"/{version}/users/adele@contoso.com?$select=*&$expand=*").body
        assert user["deviceEnrollmentLimit"] == 0
        assert user["birthday"].startswith("0001")
        assert [g["displayName"] for g in user["memberOf"]] == ["Sales"]
        assert user["ownedDevices"] == []


def test_me(graph: Graph, company: Company) -> None:
    adele = company.user("adele")
    company.group()
    company.join("adele", "Sales")
    company.user("alex")
    mine = graph.as_user(adele, "adele@contoso.com")
    assert mine.get("/v1.0/me").body["userPrincipalName"] == "adele@contoso.com"
    assert mine.get("/me/memberOf").of("displayName") == ["Sales"]
    assert mine.get("/me/licenseDetails").values == []
    assert mine.get("/users").status == 403
    assert graph.get("/me").status == 403  # an application is nobody


# --- groups ----------------------------------------------------------------------------------------------

NEW = {"displayName": "Sales", "mailEnabled": False, "mailNickname": "sales", "securityEnabled": True}


def test_a_group_is_created_found_renamed_and_deleted(graph: Graph, company: Company) -> None:
    made = graph.post("/groups", {**NEW, "description": "All of sales"})
    assert made.status == 201
    assert (made.body["groupTypes"], made.body["securityEnabled"], made.body["mailEnabled"]) == ([], True, False)
    found = graph.get("/groups?$filter=displayName+eq+'sales'").values
    assert [g["id"] for g in found] == [made.body["id"]]
    assert (found[0]["description"], found[0]["mailNickname"]) == ("All of sales", "sales")
    path = f"/groups/{made.body['id']}"
    assert graph.patch(path, {"displayName": "Selling", "description": "x"}).status == 204
    assert graph.get(path).body["displayName"] == "Selling"
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404
    assert _audited(company) == ["Create group", "Update group", "Delete group"]


def test_microsoft_365_groups_are_unified(graph: Graph) -> None:
    body = {**NEW, "mailEnabled": True, "securityEnabled": False, "groupTypes": ["Unified"]}
    made = graph.post("/groups", body).body
    assert (made["groupTypes"], made["mailEnabled"], made["securityEnabled"]) == (["Unified"], True, False)
    graph.post("/groups", {**NEW, "displayName": "Others"})
    assert graph.get("/groups?$filter=groupTypes/any(c:c eq 'Unified')").of("displayName") == ["Sales"]
    assert graph.get("/groups?$filter=securityEnabled eq true").of("displayName") == ["Others"]
    refused = graph.patch(f"/groups/{made['id']}", {"groupTypes": []})
    assert (refused.status, refused.body["error"]["target"]) == (400, "groupTypes")


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"groupTypes": ["DynamicMembership"], "membershipRule": "x"}, 501, "dynamic membership"),
        ({"mailEnabled": True}, 501, "mailEnabled"),
        ({"securityEnabled": False}, 400, "securityEnabled"),
        ({"displayName": ""}, 400, "displayName"),
        ({"displayName": ["x"]}, 400, "displayName"),
    ],
)
def test_a_group_that_cannot_be_is_refused(graph: Graph, change: dict[str, object], status: int, said: str) -> None:
    answer = graph.post("/groups", {**NEW, **change})
    assert answer.status == status
    assert said in answer.body["error"]["message"]
    assert graph.get("/groups").values == []


# --- members ---------------------------------------------------------------------------------------------


def test_members_come_and_go_by_reference(graph: Graph, company: Company) -> None:
    group, adele, alex = company.group(), company.user("adele"), company.user("alex")
    members = f"/groups/{group}/members"
    assert graph.post(f"{members}/$ref", {"@odata.id": f"https://x/v1.0/directoryObjects/{adele}"}).status == 204
    assert graph.post(f"{members}/$ref", {"@odata.id": f"http://x/beta/users('{alex}')"}).status == 204
    told = graph.get(f"{members}?$select=id,displayName").values
    assert {m["displayName"] for m in told} == {"adele", "alex"}
    assert {m["@odata.type"] for m in told} == {"#microsoft.graph.user"}
    assert graph.get(f"{members}/$count").body == b"2"
    assert graph.get(f"/v1.0/groups/{group}/transitiveMembers").of("id") == [m["id"] for m in told]
    assert "@odata.type" not in graph.get(f"{members}/microsoft.graph.user").values[0]
    assert graph.get(f"{members}/microsoft.graph.group").values == []
    references = graph.get(f"{members}/$ref").of("@odata.id")
    assert sorted(r.rpartition("/")[2] for r in references) == sorted((str(adele), str(alex)))
    assert graph.delete(f"{members}/{adele}/$ref").status == 204
    assert graph.delete(f"{members}/$ref?@id=https://x/v1.0/directoryObjects/{alex}").status == 204
    assert graph.get(members).values == []
    assert graph.delete(f"{members}/{adele}/$ref").status == 404
    assert _audited(company) == ["Add group members"] * 2 + ["Remove group members"] * 2


def test_a_member_is_added_once(graph: Graph, company: Company) -> None:
    group, adele = company.group(), company.user("adele")
    reference = {"@odata.id": f"/directoryObjects/{adele}"}
    assert graph.post(f"/groups/{group}/members/$ref", reference).status == 204
    again = graph.post(f"/groups/{group}/members/$ref", reference)
    assert again.status == 400
    assert "added object references already exist" in again.body["error"]["message"]


def test_members_by_bind(graph: Graph, company: Company) -> None:
    adele, alex = company.user("adele"), company.user("alex")
    bound = [f"https://graph.microsoft.com/v1.0/directoryObjects/{adele}"]
    made = graph.post("/groups", {**NEW, "members@odata.bind": bound})
    path = f"/groups/{made.body['id']}"
    assert graph.get(f"{path}/members").of("id") == [str(adele)]
    assert graph.patch(path, {"members@odata.bind": [f"https://x/v1.0/users/{alex}"]}).status == 204
    assert graph.get(f"{path}?$expand=members").body["members"][0]["@odata.type"] == "#microsoft.graph.user"
    assert {m["displayName"] for m in graph.get(f"{path}?$expand=members($select=displayName)").body["members"]} == {
        "adele",
        "alex",
    }
    both = graph.patch(path, {"members@odata.bind": [f"/users/{adele}"]})
    assert (both.status, both.body["error"]["target"]) == (400, "members")


@pytest.mark.parametrize(
    "address", [None, 7, "", "x", "https://x/v1.0/policies/00000000-0000-0000-0000-000000000001", "/users/%zz"]
)
def test_a_reference_that_cannot_be_is_refused(graph: Graph, company: Company, address: object) -> None:
    answer = graph.post(f"/groups/{company.group()}/members/$ref", {"@odata.id": address})
    assert (answer.status, answer.body["error"]["target"]) == (400, "@odata.id")


def test_groups_in_groups_are_refused(graph: Graph, company: Company) -> None:
    """E1: only direct members count."""
    outer, inner = company.group("Outer"), company.group("Inner")
    answer = graph.post(f"/groups/{outer}/members/$ref", {"@odata.id": f"/directoryObjects/{inner}"})
    assert answer.status == 400
    assert "Members are people" in answer.body["error"]["message"]


def test_leaving_a_group_starts_grace_and_many_want_a_confirmation(graph: Graph, company: Company) -> None:
    """E8 and R13: the same effects and the same brake as everywhere."""
    company.basics("adele")
    company.sql("""UPDATE tenants SET settings = '{"brakePeople": 0, "brakeShare": 0}' WHERE id = :tenant""")
    company.settle()
    path = f"/groups/{company.ids['Sales']}/members/{company.ids['adele']}/$ref"
    stopped = graph.delete(path)
    assert (stopped.status, stopped.code) == (409, "confirmationRequired")
    assert stopped.body["error"]["details"][0]["target"] == "adele@contoso.com"
    assert company.settle().status("adele") == "provisioned"
    assert graph.delete(path, Deskwright_Confirm="true").status == 204
    assert company.settle().status("adele") == "inGracePeriod"
    stopped = graph.delete(f"/groups/{company.ids['Sales']}")
    assert stopped.status == 204


def test_which_groups_a_user_is_in(graph: Graph, company: Company) -> None:
    company.user("adele")
    company.group("A")
    company.group("B")
    company.join("adele", "A")
    (told,) = graph.get("/users/adele@contoso.com/memberOf").values
    assert (told["@odata.type"], told["displayName"]) == ("#microsoft.graph.group", "A")
    assert graph.get("/users/adele@contoso.com/transitiveMemberOf/$count").body == b"1"
    assert graph.get("/users/adele@contoso.com/memberOf/microsoft.graph.group").of("displayName") == ["A"]
    assert graph.get("/users/nobody@contoso.com/memberOf").status == 404


# --- licences --------------------------------------------------------------------------------------------


def test_skus_are_the_service_plans(graph: Graph, company: Company) -> None:
    plan = company.plan(seats=5)
    company.user("adele")
    company.license(PLAN, "adele")
    (sku,) = graph.get("/subscribedSkus").values
    assert sku["id"] == f"{company.tenant.id}_{plan}"
    assert (sku["skuId"], sku["skuPartNumber"]) == (str(plan), "CPC_E_2C_8GB_128GB")
    assert (sku["consumedUnits"], sku["prepaidUnits"]["enabled"]) == (1, 5)
    assert graph.get(f"/v1.0/subscribedSkus/{sku['id']}").body["servicePlans"] == sku["servicePlans"]
    assert graph.get("/subscribedSkus?$filter=skuPartNumber eq 'CPC_E_8C_32GB_128GB'").values == []
    assert graph.post("/subscribedSkus", {}).status == 405


def _licences(*add: object, remove: tuple[object, ...] = ()) -> dict[str, object]:
    return {
        "addLicenses": [{"skuId": str(a), "disabledPlans": []} for a in add],
        "removeLicenses": [str(r) for r in remove],
    }


def test_a_licence_brings_a_cloud_pc_and_its_loss_grace(graph: Graph, company: Company) -> None:
    """E1 and E8, through assignLicense."""
    company.basics()
    company.sql("DELETE FROM license_groups WHERE tenant_id = :tenant")
    company.user("adele")
    company.join("adele", "Sales")
    path, sku = "/users/adele@contoso.com", company.ids[PLAN]
    given = graph.post(f"{path}/assignLicense", _licences(sku))
    assert (given.status, given.body["userPrincipalName"]) == (200, "adele@contoso.com")
    assert company.settle().status("adele") == "provisioned"
    (held,) = graph.get(f"{path}/licenseDetails").values
    assert (held["skuId"], held["skuPartNumber"]) == (str(sku), "CPC_E_2C_8GB_128GB")
    assert graph.get(f"{path}/licenseDetails/{held['id']}").body["skuId"] == str(sku)
    assert graph.get(f"{path}/licenseDetails/$count").body == b"1"
    assert graph.post(f"{path}/assignLicense", _licences(remove=(sku,))).status == 200
    assert company.settle().status("adele") == "inGracePeriod"
    assert _audited(company) == ["Assign licence", "Remove licence"]


def test_direct_licences_beyond_the_seats_are_refused_with_the_numbers(graph: Graph, company: Company) -> None:
    """E6."""
    sku = company.plan(seats=1)
    company.user("adele")
    company.user("alex")
    company.license(PLAN, "adele")
    answer = graph.post("/users/alex@contoso.com/assignLicense", _licences(sku))
    assert (answer.status, answer.code) == (409, "quotaLimitReached")
    assert "1 seats, 1 consumed, 1 more" in answer.body["error"]["message"]


def test_a_groups_licence(graph: Graph, company: Company) -> None:
    sku, group = company.plan(), company.group()
    company.user("adele")
    company.join("adele", "Sales")
    given = graph.post(f"/groups/{group}/assignLicense", _licences(sku))
    assert (given.status, given.body["assignedLicenses"][0]["skuId"]) == (202, str(sku))
    inherited = graph.post("/users/adele@contoso.com/assignLicense", _licences(remove=(sku,)))
    assert inherited.status == 400
    assert "through a group" in inherited.body["error"]["message"]
    assert graph.post(f"/groups/{group}/assignLicense", _licences(remove=(sku,))).status == 202
    assert graph.get(f"/groups/{group}").body["assignedLicenses"] == []


def test_licences_are_exchanged_all_or_nothing(graph: Graph, company: Company) -> None:
    old, new = company.plan(), company.plan("Cloud PC Enterprise 4vCPU/16GB/256GB", seats=0)
    company.user("adele")
    company.license(PLAN, "adele")
    answer = graph.post("/users/adele@contoso.com/assignLicense", _licences(new, remove=(old,)))
    assert answer.status == 409
    assert graph.get("/users/adele@contoso.com/licenseDetails").of("skuId") == [str(old)]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"addLicenses": []}, "removeLicenses"),
        ({"addLicenses": [], "removeLicenses": []}, "addLicenses"),
        ({"addLicenses": ["x"], "removeLicenses": []}, "addLicenses[0]"),
        ({"addLicenses": [{"skuId": "x"}], "removeLicenses": []}, "addLicenses[0]/skuId"),
        ({"addLicenses": [], "removeLicenses": "x"}, "removeLicenses"),
        (_licences(UUID(int=7)), "skuId"),
        (_licences(remove=(UUID(int=7),)), "skuId"),
    ],
)
def test_licences_that_cannot_be_are_refused(graph: Graph, company: Company, body: object, part: str) -> None:
    company.user("adele")
    answer = graph.post("/users/adele@contoso.com/assignLicense", body)
    assert (answer.status, answer.body["error"]["target"]) == (400, part)


# --- by id alone, and the organization -------------------------------------------------------------------


def test_directory_objects(graph: Graph, company: Company) -> None:
    adele, group = company.user("adele"), company.group()
    assert graph.get(f"/directoryObjects/{group}").body["@odata.type"] == "#microsoft.graph.group"
    body = {"ids": [str(adele), str(uuid4()), str(group)], "types": ["user", "group"]}
    assert graph.post("/v1.0/directoryObjects/getByIds", body).of("displayName") == ["adele", "Sales"]
    assert graph.post("/directoryObjects/getByIds", {"ids": [str(adele)], "types": ["group"]}).values == []
    assert graph.post("/directoryObjects/getByIds", {"ids": ["x"]}).status == 400


def test_the_organization_is_the_tenant(graph: Graph, company: Company) -> None:
    (told,) = graph.get("/organization").values
    assert (told["id"], told["displayName"]) == (str(company.tenant.id), "contoso.com")
    assert told["verifiedDomains"][0]["name"] == "contoso.com"
    assert graph.get(f"/organization/{company.tenant.id}").body["displayName"] == "contoso.com"
    assert graph.get(f"/organization/{uuid4()}").status == 404


def test_the_organization_tells_whether_it_is_synchronised(graph: Graph, company: Company) -> None:
    def told() -> tuple[bool | None, str | None]:
        (it,) = graph.get("/organization").values
        return it["onPremisesSyncEnabled"], it["onPremisesLastSyncDateTime"]

    def said(statement: str) -> None:
        with company.world.database.begin() as connection:
            connection.execute(text(statement), {"tenant": company.tenant.id})

    assert told() == (None, None)
    said(
        """INSERT INTO domains (tenant_id, name, account_name, account_password)
           VALUES (:tenant, 'corp.contoso.com', 'reader@corp.contoso.com', '')"""
    )
    assert told() == (True, None)
    said("UPDATE domains SET sync_enabled = false, synced_at = '2026-11-30T12:00:00Z' WHERE tenant_id = :tenant")
    assert told() == (False, "2026-11-30T12:00:00Z")


# --- who may, and whose ----------------------------------------------------------------------------------


def test_nothing_of_another_tenant_is_seen_or_named(graph: Graph, company: Company, other: Company) -> None:
    group, adele = company.group(), company.user("adele")
    theirs = other.ids
    for path in (
        f"/users/{theirs['megan']}",
        "/users/megan@fabrikam.com",
        f"/users/{theirs['megan']}/memberOf",
        f"/users/{theirs['megan']}/licenseDetails",
        f"/groups/{theirs['Sales']}",
        f"/groups/{theirs['Sales']}/members",
        f"/groups/{theirs['Sales']}/members/$ref",
        f"/directoryObjects/{theirs['megan']}",
        f"/subscribedSkus/{other.tenant.id}_{theirs[PLAN]}",
        f"/organization/{other.tenant.id}",
    ):
        assert graph.get(path).status == 404, path
    assert graph.get("/users").of("id") == [str(adele)]
    assert graph.get("/groups").of("id") == [str(group)]
    assert graph.get("/subscribedSkus").values == []
    assert graph.patch(f"/users/{theirs['megan']}", {"displayName": "x"}).status == 404
    assert graph.delete(f"/users/{theirs['megan']}").status == 404
    assert graph.patch(f"/groups/{theirs['Sales']}", {"displayName": "x"}).status == 404
    assert graph.delete(f"/groups/{theirs['Sales']}").status == 404
    named = {"@odata.id": f"/directoryObjects/{theirs['megan']}"}
    assert graph.post(f"/groups/{group}/members/$ref", named).status == 400
    assert graph.post(f"/groups/{theirs['Sales']}/members/$ref", {"@odata.id": f"/users/{adele}"}).status == 404
    assert graph.post(f"/users/{adele}/assignLicense", _licences(theirs[PLAN])).status == 400
    assert graph.post(f"/groups/{theirs['Sales']}/assignLicense", _licences(theirs[PLAN])).status == 404


@pytest.mark.parametrize(
    ("permission", "reads", "writes"),
    [
        ("User.Read.All", {"/users", "/organization"}, set()),
        ("User.ReadWrite.All", {"/users", "/organization"}, {"/users"}),
        ("Group.Read.All", {"/groups"}, set()),
        ("Group.ReadWrite.All", {"/groups"}, {"/groups"}),
        ("LicenseAssignment.Read.All", {"/subscribedSkus"}, set()),
        ("Directory.ReadWrite.All", {"/users", "/groups", "/subscribedSkus", "/organization"}, {"/users", "/groups"}),
        ("CloudPC.ReadWrite.All", set(), set()),
    ],
)
def test_permissions(graph: Graph, company: Company, permission: str, reads: set[str], writes: set[str]) -> None:
    with_it = graph.as_(permissions=frozenset({permission}))
    for path in ("/users", "/groups", "/subscribedSkus", "/organization"):
        assert with_it.get(path).status == (200 if path in reads else 403), path
    for path in ("/users", "/groups"):
        assert with_it.post(path, {}).status == (400 if path in writes else 403), path


def test_a_reader_reads_and_changes_nothing(graph: Graph, company: Company) -> None:
    adele = company.user("adele")
    reader = graph.as_user(adele, "adele@contoso.com", READER)
    assert reader.get("/users").status == 200
    assert reader.patch("/users/adele@contoso.com", {"jobTitle": "x"}).status == 403
    assert reader.post("/groups", NEW).status == 403
