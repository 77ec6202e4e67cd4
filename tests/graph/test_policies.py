"""provisioningPolicies and their assignments, in the forms that real clients send."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event

from deskwright.domain.images import GALLERY
from deskwright.identity.permissions import READER
from tests.company import PLAN, Company, found
from tests.graph.conftest import ADMINISTRATOR, Graph

POLICIES = "/deviceManagement/virtualEndpoint/provisioningPolicies"
WINDOWS = "microsoftwindowsdesktop_windows-ent-cpc_win11-25h2-ent-cpc-m365"
GROUP_TARGET = "#microsoft.graph.cloudPcManagementGroupAssignmentTarget"


def body(**changes: Any) -> dict[str, Any]:
    return {
        "displayName": "Sales desktops",
        "imageId": "debian-12-desktop",
        "imageType": "gallery",
        "domainJoinConfigurations": [
            {"domainJoinType": "azureADJoin", "regionGroup": "europeUnion", "regionName": "automatic"}
        ],
        **changes,
    }


@pytest.fixture(autouse=True)
def ground(company: Company) -> None:
    company.site()
    company.group()


def create(graph: Graph, **changes: Any) -> dict[str, Any]:
    answer = graph.post(POLICIES, body(**changes))
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.body
    return made


def assign(graph: Graph, policy: str, *groups: Any) -> None:
    assignments = [{"target": {"groupId": str(group)}} for group in groups]
    answer = graph.post(f"{POLICIES}/{policy}/assign", {"assignments": assignments})
    assert answer.status == 204, answer.body


def groups_of(graph: Graph, policy: str) -> list[str]:
    found = graph.get(f"{POLICIES}/{policy}?$expand=assignments").body["assignments"]
    return [a["target"]["groupId"] for a in found]


# --- a policy ---------------------------------------------------------------------------------------------


def test_a_created_policy_is_told_whole(graph: Graph, company: Company) -> None:
    made = create(
        graph,
        description="Standard desktop",
        enableSingleSignOn=True,
        windowsSetting={"locale": "da-DK"},
        cloudPcNamingTemplate="S-%USERNAME:4%-%RAND:5%",
        localAdminEnabled=True,
    )
    got = graph.get(f"{POLICIES}/{made['id']}").body
    assert got == made
    assert got["@odata.context"].endswith("#microsoft.graph.cloudPcProvisioningPolicy")
    told = {name: got[name] for name in body()}
    assert told["domainJoinConfigurations"] == [
        {
            "domainJoinType": "azureADJoin",
            "type": "azureADJoin",
            "regionGroup": "europeUnion",
            "regionName": "automatic",
            "onPremisesConnectionId": None,
            "geographicLocationType": None,
        }
    ]
    assert (got["imageDisplayName"], got["imageType"]) == ("Debian 12 desktop", "gallery")
    assert (got["enableSingleSignOn"], got["localAdminEnabled"], got["gracePeriodInHours"]) == (True, True, 168)
    assert (got["windowsSetting"], got["windowsSettings"]) == ({"locale": "da-DK"}, {"language": "da-DK"})
    assert (got["createdBy"], got["lastModifiedBy"]) == ("Automation", "Automation")
    assert (got["provisioningType"], got["userExperienceType"], got["managedBy"]) == (
        "dedicated",
        "cloudPc",
        ["windows365"],
    )
    assert got["createdDateTime"].endswith("Z")
    (written,) = company.sql("SELECT * FROM audit_events WHERE object_id = :id", id=made["id"])
    assert (written.actor, written.activity) == ("Automation", "Create provisioning policy")


def test_v1_knows_the_new_names_only(graph: Graph) -> None:
    made = create(graph, windowsSettings={"language": "sv-SE"})
    told = graph.get(f"/v1.0{POLICIES}/{made['id']}").body
    assert told["windowsSetting"] == {"locale": "sv-SE"}
    assert not {"windowsSettings", "createdDateTime", "managedBy", "scopeIds"} & set(told)
    assert "type" not in told["domainJoinConfigurations"][0]
    assert told["microsoftManagedDesktop"] == {"managedType": "notManaged", "profile": None}
    old = graph.post(f"/v1.0{POLICIES}", body(displayName="Old script", WindowsSettings={"Language": "nb-NO"}))
    assert old.body["windowsSetting"] == {"locale": "nb-NO"}


def test_what_the_intune_portal_sends(graph: Graph) -> None:
    """Old and new names, members without meaning here: kept as they are given, and told again."""
    made = create(
        graph,
        managedBy="windows365",
        userExperienceType="cloudPc",
        imageId=WINDOWS.upper(),
        imageDisplayName="whatever",
        microsoftManagedDesktop={"type": "premiumManaged", "profile": "p"},
        domainJoinConfigurations=[
            {
                "type": "azureADJoin",
                "regionGroup": "europeUnion",
                "regionName": "site-a",
                "geographicLocationType": "europe",
            }
        ],
        scopeIds=["0", "7"],
        autopatch=[],
        autopilotConfiguration=None,
        userSettingsPersistenceEnabled=False,
        snapshotResetMode="disabled",
    )
    assert made["imageId"] == WINDOWS
    assert made["imageDisplayName"] == GALLERY[WINDOWS].display_name
    assert made["microsoftManagedDesktop"] == {
        "managedType": "premiumManaged",
        "type": "premiumManaged",
        "profile": "p",
    }
    assert (made["scopeIds"], made["autopatch"], made["snapshotResetMode"]) == (["0", "7"], None, "disabled")
    (join,) = made["domainJoinConfigurations"]
    assert (join["regionName"], join["geographicLocationType"]) == ("site-a", "europe")
    changed = graph.patch(f"{POLICIES}/{made['id']}", {"autopatch": {"autopatchGroupId": "ring-1"}, "scopeIds": None})
    assert (changed.status, changed.body["autopatch"]) == (200, {"autopatchGroupId": "ring-1"})
    assert changed.body["scopeIds"] == ["0"]


def test_patch_changes_what_is_given_and_answers_the_policy(graph: Graph, company: Company) -> None:
    made = create(graph)
    answer = graph.patch(f"{POLICIES}/{made['id']}", {"DisplayName": "Renamed", "description": "new", "unknown": 1})
    assert answer.status == 200
    differs = {name for name in made if made[name] != answer.body[name]}
    assert differs == {"displayName", "description", "lastModifiedDateTime"}
    same = graph.patch(f"{POLICIES}/{made['id']}", {"description": None})
    assert same.body["description"] is None
    (rows,) = company.sql("SELECT count(*) AS n FROM audit_events WHERE activity = 'Update provisioning policy'")
    assert rows.n == 2


def test_connections_are_kept_in_their_order(graph: Graph, company: Company) -> None:
    first, second = company.connection("A"), company.connection("B", subnet="10.30.0.0/24")
    join = {"domainJoinType": "hybridAzureADJoin"}
    made = create(
        graph,
        domainJoinConfigurations=[
            {**join, "onPremisesConnectionId": str(second)},
            {**join, "onPremisesConnectionId": str(first), "regionName": "", "regionGroup": None},
        ],
    )
    assert [j["onPremisesConnectionId"] for j in made["domainJoinConfigurations"]] == [str(second), str(first)]
    hosted = graph.patch(f"{POLICIES}/{made['id']}", {"domainJoinConfigurations": body()["domainJoinConfigurations"]})
    assert [j["onPremisesConnectionId"] for j in hosted.body["domainJoinConfigurations"]] == [None]


def test_a_custom_image_is_told_by_the_id_it_was_given_by(graph: Graph, company: Company) -> None:
    images = "/deviceManagement/virtualEndpoint/deviceImages"
    of = {"displayName": "Finance", "sourceImageResourceId": "debian-12-desktop"}
    first = graph.post(images, {**of, "version": "1.0.0"}).body["id"]
    newer = graph.post(images, {**of, "version": "2.0.0"}).body["id"]
    company.advance(hours=1)
    made = create(graph, imageId=first, imageType="custom")
    assert (made["imageId"], made["imageDisplayName"], made["imageType"]) == (first, "Finance", "custom")
    assert graph.get(f"{POLICIES}?$filter=imageId eq '{first}'").of("id") == [made["id"]]
    assert graph.patch(f"{POLICIES}/{made['id']}", {"imageId": newer, "imageType": "custom"}).body["imageId"] == newer
    missing = graph.patch(f"{POLICIES}/{made['id']}", {"imageId": str(uuid4())})
    assert (missing.status, missing.body["error"]["target"]) == (404, "deviceImage")


def test_a_policy_without_locale_takes_the_organizations(graph: Graph) -> None:
    settings = "/deviceManagement/virtualEndpoint/organizationSettings"
    graph.patch(settings, {"windowsSettings": {"language": "fi-FI"}, "enableSingleSignOn": True})
    made = create(graph)
    assert (made["windowsSetting"]["locale"], made["enableSingleSignOn"]) == ("fi-FI", True)


@pytest.mark.parametrize(
    ("changes", "status", "target"),
    [
        ({"displayName": None}, 400, "displayName"),
        ({"displayName": "a<b"}, 400, "displayName"),
        ({"displayName": 7}, 400, "displayName"),
        ({"imageId": "windows-95"}, 400, "image"),
        ({"imageId": None}, 400, "image"),
        ({"imageType": "floppy"}, 400, "imageType"),
        ({"provisioningType": "shared"}, 501, "provisioningType"),
        ({"provisioningType": "sharedByUser"}, 501, "provisioningType"),
        ({"cloudPcNamingTemplate": "PC-%RAND:2%"}, 400, "cloudPcNamingTemplate"),
        ({"windowsSetting": {"locale": "Danish"}}, 400, "windowsSetting.locale"),
        ({"domainJoinConfigurations": []}, 400, "domainJoinConfigurations"),
        ({"domainJoinConfigurations": None}, 400, "regionGroup"),
        ({"domainJoinConfigurations": [{"regionGroup": "europeUnion"}]}, 400, "domainJoinConfigurations"),
        (
            {"domainJoinConfigurations": [{"domainJoinType": "azureADJoin", "regionName": "automatic"}]},
            400,
            "domainJoinConfigurations",
        ),
        (
            {"domainJoinConfigurations": [{"domainJoinType": "azureADJoin", "regionGroup": "atlantis"}]},
            400,
            "domainJoinConfigurations[0]/regionGroup",
        ),
        (
            {"domainJoinConfigurations": [{"domainJoinType": "azureADJoin", "regionGroup": "japan"}]},
            400,
            "regionGroup",
        ),
        (
            {"domainJoinConfigurations": [{"domainJoinType": "hybridAzureADJoin", "onPremisesConnectionId": "x"}]},
            404,
            "onPremisesConnection",
        ),
    ],
)
def test_a_refusal_names_the_property(graph: Graph, changes: dict[str, Any], status: int, target: str) -> None:
    answer = graph.post(POLICIES, body(**changes))
    assert (answer.status, answer.body["error"]["target"]) == (status, target), answer.body
    assert graph.get(POLICIES).values == []


def test_a_name_is_taken_once(graph: Graph) -> None:
    create(graph)
    answer = graph.post(POLICIES, body(displayName="SALES desktops"))
    assert (answer.status, answer.code) == (409, "nameAlreadyExists")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("displayName eq 'b'", ["B"]),
        ("imageType eq 'gallery' and imageId eq 'debian-12-tiny'", ["C"]),
        ("contains(imageDisplayName,'tiny')", ["C"]),
        ("provisioningType eq 'dedicated' and enableSingleSignOn eq true", ["A"]),
        ("managedBy eq 'windows365' and localAdminEnabled eq false", ["A", "B", "C"]),
        ("createdDateTime lt 2020-01-01T00:00:00Z", []),
        ("windowsSetting/locale eq 'da-DK'", ["B"]),
        ("description eq null", ["A", "B", "C"]),
    ],
)
def test_filter(graph: Graph, expression: str, names: list[str]) -> None:
    create(graph, displayName="A", enableSingleSignOn=True)
    create(graph, displayName="B", windowsSetting={"locale": "da-DK"})
    create(graph, displayName="C", imageId="debian-12-tiny")
    assert graph.get(f"{POLICIES}?$filter={expression}&$orderby=displayName").of("displayName") == names
    assert graph.get(f"{POLICIES}/$count?$filter={expression}").body == str(len(names)).encode()


def test_what_terraform_does(graph: Graph, company: Company) -> None:
    """graph-clients §5.9: names are compared first, everything is read with its assignments, and unassigned last."""
    assert graph.get(POLICIES).values == []
    made = create(graph)
    path = f"{POLICIES}/{made['id']}?$select=*&$expand=assignments"
    read = graph.get(path).body
    assert read["assignments"] == []
    assert {name: value for name, value in read.items() if name != "assignments"} == made
    target = {"@odata.type": GROUP_TARGET, "groupId": str(company.ids["Sales"])}
    assert (
        graph.post(f"{POLICIES}/{made['id']}/assign", {"assignments": [{"id": None, "target": target}]}).status == 204
    )
    (assignment,) = graph.get(path).body["assignments"]
    assert assignment["target"] | target == assignment["target"]
    refused = graph.delete(f"{POLICIES}/{made['id']}")
    assert (refused.status, refused.code) == (409, "notAllowed")
    assert graph.post(f"{POLICIES}/{made['id']}/assign", {"assignments": []}).status == 204
    assert graph.delete(f"{POLICIES}/{made['id']}").status == 204
    assert graph.get(path).status == 404


# --- assignments -------------------------------------------------------------------------------------------


def test_assign_replaces_the_list_and_keeps_the_numbers_of_those_that_stay(graph: Graph, company: Company) -> None:
    """E4"""
    policy, other = create(graph)["id"], create(graph, displayName="Other")["id"]
    sales, lab, it = company.ids["Sales"], company.group("Lab"), company.group("IT")
    assign(graph, policy, lab, sales)
    assign(graph, other, it)
    assert groups_of(graph, policy) == [str(lab), str(sales)]
    assign(graph, policy, it, sales)
    assert groups_of(graph, policy) == [str(sales), str(it)]
    numbers = company.sql("SELECT number FROM policy_assignments WHERE group_id = :g ORDER BY 1", g=it)
    assert [n for (n,) in numbers] == [3, 4]
    (written,) = company.sql("SELECT * FROM audit_events WHERE object_id = :id ORDER BY id DESC LIMIT 1", id=policy)
    assert written.activity == "Assign provisioning policy"


@pytest.mark.parametrize(
    "element",
    [
        {"target": {"@odata.type": GROUP_TARGET, "groupId": "{group}"}},
        {"target": {"@odata.type": GROUP_TARGET[1:], "groupId": "{group}"}},
        {"id": "", "Target": {"GroupId": "{group}", "servicePlanId": None}},
        {"id": "{policy}_{group}", "target": {"groupId": "{group}"}},
        {"id": "{policy}_{group}"},
    ],
)
def test_forms_of_an_assignment(graph: Graph, company: Company, element: Any) -> None:
    policy = create(graph)["id"]
    ids = {"{group}": str(company.ids["Sales"]), "{policy}": policy}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: filled(v) for k, v in value.items()}
        for placeholder, real in ids.items():
            value = value.replace(placeholder, real) if isinstance(value, str) else value
        return value

    assert graph.post(f"{POLICIES}/{policy}/assign", {"Assignments": [filled(element)]}).status == 204
    assert groups_of(graph, policy) == [str(company.ids["Sales"])]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"assignments": None}, 400),
        ({"assignments": [{}]}, 400),
        ({"assignments": [{"target": {"groupId": "Sales"}}]}, 400),
        ({"assignments": [{"target": {"groupId": str(uuid4())}}]}, 404),
        ({"assignments": [{"target": {"groupId": str(uuid4()), "servicePlanId": "p"}}]}, 501),
    ],
)
def test_an_assignment_that_cannot_be_changes_nothing(
    graph: Graph, company: Company, given: dict[str, Any], status: int
) -> None:
    policy = create(graph)["id"]
    assign(graph, policy, company.ids["Sales"])
    assert graph.post(f"{POLICIES}/{policy}/assign", given).status == status
    assert groups_of(graph, policy) == [str(company.ids["Sales"])]


def test_single_assignments(graph: Graph, company: Company) -> None:
    policy = create(graph)["id"]
    assignments = f"{POLICIES}/{policy}/assignments"
    target = {"target": {"groupId": str(company.ids["Sales"])}}
    made = graph.post(assignments, target)
    assert (made.status, made.body["target"]["groupId"]) == (201, str(company.ids["Sales"]))
    assert graph.get(assignments).of("id") == [made.body["id"]]
    assert graph.get(f"{assignments}/$count").body == b"1"
    for name in (made.body["id"], f"{policy}_{company.ids['Sales']}"):
        assert graph.get(f"{assignments}/{name}").body == made.body
    assert graph.patch(f"{assignments}/{made.body['id']}", target).status == 200
    elsewhere = {"target": {"groupId": str(company.group("Lab"))}}
    assert graph.patch(f"{assignments}/{made.body['id']}", elsewhere).status == 501
    assert graph.delete(f"{assignments}/{made.body['id']}").status == 204
    assert graph.get(f"{assignments}/{made.body['id']}").status == 404
    assert graph.get(f"{POLICIES}/{uuid4()}/assignments").status == 404


def test_assigned_users_are_those_the_assignment_really_reaches(graph: Graph, company: Company) -> None:
    """E1, E4: licensed, and not reached by an earlier assignment."""
    company.plan()
    lab = company.group("Lab")
    for user, groups in (
        ("adele", ("Sales",)),
        ("both", ("Lab", "Sales")),
        ("lidia", ("Lab",)),
        ("nobody", ("Sales",)),
    ):
        company.user(user)
        for group in groups:
            company.join(user, group)
        if user != "nobody":
            company.license(PLAN, user)
    first, second = create(graph)["id"], create(graph, displayName="Second")["id"]
    assign(graph, first, lab)
    assign(graph, second, company.ids["Sales"])
    (assignment,) = graph.get(f"{POLICIES}/{second}/assignments?$expand=assignedUsers").values
    assert [u["userPrincipalName"] for u in assignment["assignedUsers"]] == ["adele@contoso.com"]
    users = f"{POLICIES}/{first}/assignments/{first}_{lab}/assignedUsers"
    assert sorted(graph.get(users).of("displayName")) == ["both", "lidia"]
    assert graph.get(f"{users}/$count").body == b"2"
    assert graph.get(f"{users}/{company.ids['lidia']}").body["displayName"] == "lidia"
    assert graph.get(f"{users}(userPrincipalName='lidia@contoso.com')").body["id"] == str(company.ids["lidia"])
    assert graph.get(f"{users}/{company.ids['adele']}").status == 404
    nested = graph.get(
        f"{POLICIES}?$expand=assignments($expand=assignedUsers($select=displayName))&$orderby=displayName"
    )
    told = [[u for a in p["assignments"] for u in a["assignedUsers"]] for p in nested.values]
    assert sorted(u["displayName"] for u in told[0]) == ["both", "lidia"]
    assert told[1] == [{"displayName": "adele"}]


def test_the_brake_stops_an_assign_and_a_header_confirms_it(graph: Graph, company: Company) -> None:
    """R13"""
    company.sql("""UPDATE tenants SET settings = '{"brakePeople": 1, "brakeShare": 0.1}' WHERE id = :tenant""")
    company.plan()
    company.license_group(PLAN, "Sales")
    policy = create(graph)["id"]
    assign(graph, policy, company.ids["Sales"])
    for user in ("adele", "alex", "lidia"):
        company.user(user)
        company.join(user, "Sales")
    company.settle()
    assert company.status("adele") == "provisioned"
    path = f"{POLICIES}/{policy}/assign"
    nobody: dict[str, Any] = {"assignments": []}
    stopped = graph.post(path, nobody)
    assert (stopped.status, stopped.code) == (409, "confirmationRequired")
    assert {d["target"] for d in stopped.body["error"]["details"]} == {
        f"{user}@contoso.com" for user in ("adele", "alex", "lidia")
    }
    assert groups_of(graph, policy) == [str(company.ids["Sales"])]
    assert graph.post(path, nobody, Deskwright_Confirm="true").status == 204
    company.settle()
    assert company.status("adele") == "inGracePeriod"


# --- apply -------------------------------------------------------------------------------------------------


def test_apply_never_pretends(graph: Graph, company: Company) -> None:
    """E7: an edit touches nobody, so there is something to apply; that would delete their data, and is refused."""
    company.plan()
    company.user()
    company.join("adele", "Sales")
    company.license(PLAN, "adele")
    policy = create(graph)["id"]
    assign(graph, policy, company.ids["Sales"])
    company.settle()
    status = f"{POLICIES}/{policy}/retrievePolicyUpdateStatusResult"
    assert graph.get(status).body["hasUnappliedPolicyUpdate"] is False
    assert graph.post(f"{POLICIES}/{policy}/apply", {"policySettings": None}).status == 204
    graph.patch(f"{POLICIES}/{policy}", {"enableSingleSignOn": True})
    assert graph.get(status).body["hasUnappliedPolicyUpdate"] is True
    assert graph.post(f"{POLICIES}/{policy}/apply", {"policySettings": "region"}).status == 204
    cloud_pc = str(company.pc("adele").id)
    for path, given in (
        (f"{policy}/apply", {"policySettings": ["singleSignOn"]}),
        ("applyConfig", {"cloudPcIds": [cloud_pc], "policySettings": ["singleSignOn"]}),
    ):
        refused = graph.post(f"{POLICIES}/{path}", given)
        assert (refused.status, refused.code) == (501, "notSupported")
        assert "Sales desktops - adele" in refused.body["error"]["message"]
    assert graph.post(f"{POLICIES}/{policy}/apply", {"policySettings": "colour"}).status == 400
    assert graph.post(f"{POLICIES}/applyConfig", {"cloudPcIds": [str(uuid4())]}).status == 404
    assert graph.get(f"{POLICIES}/{policy}/retrievePolicyApplySchedule()").status == 404
    assert graph.post(f"{POLICIES}/{policy}/schedulePolicyApplyTask", {}).status == 501


# --- rights ------------------------------------------------------------------------------------------------


def test_reading_and_changing_need_different_rights(graph: Graph, company: Company) -> None:
    reader = graph.as_(permissions=frozenset({"CloudPC.Read.All"}))
    policy = create(graph)["id"]
    assert reader.get(POLICIES).of("id") == [policy]
    for method, path in (
        ("POST", ""),
        ("PATCH", f"/{policy}"),
        ("DELETE", f"/{policy}"),
        ("POST", f"/{policy}/assign"),
    ):
        assert reader.call(method, f"{POLICIES}{path}", {}).status == 403, (method, path)
    adele = company.user("adele")
    assert graph.as_user(adele, "adele@contoso.com", READER).get(POLICIES).status == 200
    assert graph.as_user(adele, "adele@contoso.com", READER).delete(f"{POLICIES}/{policy}").status == 403
    assert graph.as_user(adele, "adele@contoso.com").get(POLICIES).status == 403
    assert graph.as_user(adele, "adele@contoso.com", ADMINISTRATOR).delete(f"{POLICIES}/{policy}").status == 204


def test_another_tenants_objects_do_not_exist(graph: Graph, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.site()
    theirs, group = other.policy(), other.group("Theirs")
    other.assign("Desktops", "Theirs")
    path = f"{POLICIES}/{theirs}"
    assert graph.get(POLICIES).values == []
    assert graph.get(f"{POLICIES}/$count").body == b"0"
    for method, at, given in (
        ("GET", "", None),
        ("PATCH", "", {"description": "x"}),
        ("DELETE", "", None),
        ("POST", "/assign", {"assignments": []}),
        ("GET", "/assignments", None),
        ("POST", "/apply", {}),
        ("GET", f"/assignments/{theirs}_{group}/assignedUsers", None),
        ("DELETE", f"/assignments/{theirs}_{group}", None),
    ):
        assert graph.call(method, f"{path}{at}", given).status == 404, (method, at)
    mine = create(graph)["id"]
    refused = graph.post(f"{POLICIES}/{mine}/assign", {"assignments": [{"target": {"groupId": str(group)}}]})
    assert refused.status == 404
    connection = other.connection()
    join = {"domainJoinType": "hybridAzureADJoin", "onPremisesConnectionId": str(connection)}
    assert graph.post(POLICIES, body(displayName="X", domainJoinConfigurations=[join])).status == 404
    assert other.sql("SELECT count(*) FROM policy_assignments WHERE tenant_id = :tenant")[0][0] == 1


def test_a_longer_page_costs_no_more_statements(graph: Graph, company: Company) -> None:
    for n in range(4):
        assign(graph, create(graph, displayName=f"P{n}")["id"], company.ids["Sales"])
    counts = []
    for top in (1, 4):
        statements: list[str] = []

        def count(*given: Any, seen: list[str] = statements) -> None:
            seen.append(given[2])

        event.listen(Engine, "before_cursor_execute", count)
        try:
            answer = graph.get(f"{POLICIES}?$expand=assignments($expand=assignedUsers)&$top={top}&$count=true")
        finally:
            event.remove(Engine, "before_cursor_execute", count)
        assert len(answer.values) == top
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 8
    assert [len(p["assignments"]) for p in graph.all(f"{POLICIES}?$top=2&$expand=*")] == [1, 1, 1, 1]
