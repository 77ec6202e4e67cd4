"""Roles and who holds them, the audit log, and alerts."""

from uuid import UUID, uuid4

import pytest

from deskwright.domain.alerts import holds
from deskwright.identity.permissions import ADMINISTRATOR, READER, ROLES
from deskwright.operations import cloud_pcs
from deskwright.operations import roles as role_operations
from tests import company as companies
from tests.company import Company
from tests.graph.conftest import Graph

ROLE = "/roleManagement/cloudPC"
AUDIT = "/deviceManagement/virtualEndpoint/auditEvents"
RULES, RECORDS = "/deviceManagement/monitoring/alertRules", "/deviceManagement/monitoring/alertRecords"
SPACE = "microsoft.graph.deviceManagement"


@pytest.fixture
def other(company: Company) -> Company:
    made = companies.found(company.world.database, company.world.settings, "fabrikam.com")
    made.basics("megan")
    return made


# --- roles -----------------------------------------------------------------------------------------------


def test_the_built_in_roles(graph: Graph) -> None:
    told = {r["displayName"]: r for r in graph.get(f"{ROLE}/roleDefinitions").values}
    assert told[ADMINISTRATOR]["id"] == "b5c08161-a7af-481c-ace2-a20a69a48fb1"
    assert told[READER]["id"] == "ea8e2fb8-e909-44e6-bae7-56757cf6f347"
    actions = told[READER]["rolePermissions"][0]["allowedResourceActions"]
    assert "Microsoft.CloudPC/CloudPCs/Read" in actions
    assert all(a.endswith("/Read") for a in actions)
    one = f"{ROLE}/roleDefinitions/{told[READER]['id']}"
    assert graph.get(one).body["isBuiltIn"] is True
    assert graph.get(f"{ROLE}/roleDefinitions?$filter=displayName eq 'cloud pc reader'").of("id") == [
        told[READER]["id"]
    ]
    assert graph.get(f"{ROLE}/roleDefinitions/$count").body == b"2"
    assert graph.patch(one, {"displayName": "x"}).status == graph.delete(one).status == 409
    assert graph.post(f"{ROLE}/roleDefinitions", {"displayName": "x"}).status == 501
    assert graph.get(f"/v1.0{ROLE}/roleDefinitions").status == 404


def _given(role: str, *users: UUID) -> dict[str, object]:
    ids = [str(u) for u in users]
    return {
        "displayName": "Desk",
        "roleDefinitionId": str(ROLES[role]),
        "principalIds": ids,
        "directoryScopeIds": ["/"],
    }


def test_a_role_is_given_changed_and_taken(graph: Graph, company: Company) -> None:
    adele, alex = company.user("adele"), company.user("alex")
    made = graph.post(f"{ROLE}/roleAssignments", _given(READER, adele, alex))
    assert made.status == 201
    assert set(made.body["principalIds"]) == {str(adele), str(alex)}
    assert (made.body["directoryScopeIds"], made.body["displayName"]) == (["/"], "Desk")
    held = role_operations.list_(company.world.database, company.tenant)
    assert {h["principalId"] for h in held} == {str(adele), str(alex)}
    path = f"{ROLE}/roleAssignments/{made.body['id']}"
    assert graph.patch(path, {"principalIds": [str(alex)], "description": "x"}).body["principalIds"] == [str(alex)]
    assert graph.get(f"{path}/principals").of("displayName") == ["alex"]
    assert graph.get(f"{path}/roleDefinition").body["displayName"] == READER
    assert graph.get(f"{ROLE}/roleAssignments?$filter=roleDefinitionId eq '{ROLES[ADMINISTRATOR]}'").values == []
    assert len(graph.get(f"{ROLE}/roleAssignments?$filter=principalIds/any(p:p eq '{alex}')").values) == 1
    assert graph.get(f"{ROLE}/roleAssignments?$filter=principalIds/any(p:p eq '{adele}')").values == []
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404
    assert role_operations.list_(company.world.database, company.tenant) == []
    activities = company.sql("SELECT activity FROM audit_events WHERE object_type = 'roleAssignment' ORDER BY id")
    assert [a.activity.split()[0] for a in activities] == ["Create", "Update", "Delete"]


def test_a_role_given_elsewhere_is_an_assignment_too(graph: Graph, company: Company) -> None:
    adele = company.user("adele")
    role_operations.assign(company.world.database, company.tenant, "cli", ADMINISTRATOR, "adele@contoso.com")
    (told,) = graph.get(f"{ROLE}/roleAssignments").values
    assert (told["principalIds"], told["roleDefinitionId"]) == ([str(adele)], str(ROLES[ADMINISTRATOR]))
    again = graph.post(f"{ROLE}/roleAssignments", _given(ADMINISTRATOR, adele))
    assert (again.status, again.code) == (409, "conflict")


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        ({"roleDefinitionId": "x"}, 400, "roleDefinitionId"),
        ({"roleDefinitionId": None}, 400, "roleDefinitionId"),
        ({"principalIds": []}, 400, "principalIds"),
        ({"principalIds": ["x"]}, 400, "principalIds"),
        ({"principalIds": [str(UUID(int=5))]}, 400, "principalIds"),
        ({"directoryScopeIds": ["/administrativeUnits/1"]}, 501, None),
    ],
)
def test_a_role_that_cannot_be_given(
    graph: Graph, company: Company, change: dict[str, object], status: int, part: str | None
) -> None:
    answer = graph.post(f"{ROLE}/roleAssignments", {**_given(READER, company.user("adele")), **change})
    assert answer.status == status
    assert answer.body["error"].get("target") == part
    assert company.sql("SELECT 1 FROM role_assignments") == []


def test_groups_hold_roles_too(graph: Graph, company: Company) -> None:
    adele, desk = company.user("adele"), company.group("Desk")
    made = graph.post(f"{ROLE}/roleAssignments", _given(READER, adele, desk))
    assert made.status == 201
    assert set(made.body["principalIds"]) == {str(adele), str(desk)}
    path = f"{ROLE}/roleAssignments/{made.body['id']}"
    principals = graph.get(f"{path}/principals").values
    assert {(p["@odata.type"], p["displayName"]) for p in principals} == {
        ("#microsoft.graph.user", "adele"),
        ("#microsoft.graph.group", "Desk"),
    }
    assert graph.get(f"{path}/principals/$count").body == b"2"
    assert graph.get(f"{path}/principals/{desk}").body["displayName"] == "Desk"
    assert len(graph.get(f"{ROLE}/roleAssignments?$filter=principalIds/any(p:p eq '{desk}')").values) == 1
    again = graph.post(f"{ROLE}/roleAssignments", _given(READER, desk))
    assert (again.status, again.code) == (409, "conflict")
    assert graph.patch(path, {"principalIds": [str(desk)]}).body["principalIds"] == [str(desk)]
    assert company.sql("SELECT 1 FROM role_assignments") == []
    assert graph.patch(path, {"principalIds": [str(adele)]}).body["principalIds"] == [str(adele)]
    assert company.sql("SELECT 1 FROM role_groups") == []
    assert graph.patch(path, {"principalIds": [str(desk)]}).status == 200
    assert graph.delete(path).status == 204
    assert graph.get(f"{ROLE}/roleAssignments").values == []


def test_a_group_of_another_tenant_is_none_here(graph: Graph, company: Company) -> None:
    ((group,),) = company.sql(
        "WITH t AS (INSERT INTO tenants (name) VALUES ('other.example') RETURNING id) "
        "INSERT INTO groups (tenant_id, display_name) SELECT id, 'Desk' FROM t RETURNING id"
    )
    assert graph.post(f"{ROLE}/roleAssignments", _given(READER, group)).status == 400
    assert company.sql("SELECT 1 FROM role_groups") == []


def test_what_roles_permit(graph: Graph) -> None:
    (space,) = graph.get(f"{ROLE}/resourceNamespaces").values
    assert space["name"] == "Microsoft.CloudPC"
    names = graph.get(f"{ROLE}/resourceNamespaces/{space['id']}/resourceActions?$top=999").of("name")
    assert "Microsoft.CloudPC/ProvisioningPolicies/Assign" in names
    assert graph.get(f"{ROLE}/resourceNamespaces/x").status == 404


# --- the audit log ---------------------------------------------------------------------------------------


def test_every_change_is_told_newest_first(graph: Graph, company: Company) -> None:
    company.user("adele")
    graph.patch("/users/adele@contoso.com", {"displayName": "Adele Vance", "jobTitle": "Seller"})
    group = graph.post("/groups", {"displayName": "Sales"}).body["id"]
    graph.delete(f"/groups/{group}")
    told = graph.get(f"/v1.0{AUDIT}").values
    assert [e["activity"] for e in told] == ["Delete group", "Create group", "Update user"]
    assert [e["activityOperationType"] for e in told] == ["delete", "create", "patch"]
    updated = graph.get(f"{AUDIT}/{told[2]['id']}").body
    (resource,) = updated["resources"]
    assert (resource["resourceType"], resource["resourceId"]) == ("user", str(company.ids["adele"]))
    changes = {c["displayName"]: (c["oldValue"], c["newValue"]) for c in resource["modifiedProperties"]}
    assert changes == {"displayName": ("adele", "Adele Vance"), "jobTitle": (None, "Seller")}
    assert updated["actor"]["type"] == "application"
    assert updated["actor"]["applicationDisplayName"] == "Automation"
    assert (updated["category"], updated["activityResult"]) == ("cloudPC", "success")
    assert graph.get(f"{AUDIT}/x").status == graph.get(f"{AUDIT}/999999").status == 404


def test_people_in_the_log_have_their_id(graph: Graph, company: Company) -> None:
    adele = company.user("adele")
    graph.as_user(adele, "adele@contoso.com", ADMINISTRATOR).post("/groups", {"displayName": "Sales"})
    (told,) = graph.get(f"{AUDIT}?$filter=actor/userPrincipalName eq 'adele@contoso.com'").values
    assert (told["actor"]["type"], told["actor"]["userId"]) == ("itPro", str(adele))


def test_the_log_is_filtered_sorted_counted_and_paged(graph: Graph, company: Company) -> None:
    for n in range(5):
        graph.post("/groups", {"displayName": f"Group {n}"})
    graph.post("/users", {"userPrincipalName": "x@contoso.com", "displayName": "x"})

    def names(path: str) -> list[str]:
        return [event["resources"][0]["displayName"] for event in graph.all(path)]

    assert names(f"{AUDIT}?$filter=componentName eq 'group'&$top=2") == [f"Group {n}" for n in (4, 3, 2, 1, 0)]
    assert names(f"{AUDIT}?$orderby=activityDateTime&$filter=activityType eq 'Create group'&$top=3")[0] == "Group 0"
    assert graph.get(f"{AUDIT}/$count").body == b"6"
    assert graph.get(f"{AUDIT}?$filter=activityDateTime gt 2100-01-01T00:00:00Z").values == []
    assert graph.get(f"{AUDIT}/getAuditActivityTypes").body["value"] == ["Create group", "Create user"]
    assert graph.post(AUDIT, {}).status == 405


# --- alerts ----------------------------------------------------------------------------------------------


def test_system_rules_are_there_from_the_start(graph: Graph) -> None:
    rules = graph.get(RULES).values
    assert {r["alertRuleTemplate"] for r in rules} == {
        "cloudPcProvisionScenario",
        "cloudPcImageUploadScenario",
        "cloudPcOnPremiseNetworkConnectionCheckScenario",
        "unknownFutureValue",  # cloudPcInGracePeriodScenario, a later member
    }
    later = graph.get(RULES, Prefer="include-unknown-enum-members").of("alertRuleTemplate")
    assert "cloudPcInGracePeriodScenario" in later
    assert all(r["isSystemRule"] and r["enabled"] for r in rules)
    assert graph.get(f"{RULES}/{rules[0]['id']}").body["threshold"] == {
        "aggregation": "count",
        "operator": "greaterOrEqual",
        "target": 1,
    }
    assert graph.get(RULES).of("id") == [r["id"] for r in rules]
    assert graph.delete(f"{RULES}/{rules[0]['id']}").status == 409


def _rule(graph: Graph, template: str) -> str:
    (found,) = graph.get(f"{RULES}?$filter=alertRuleTemplate eq '{template}'").values
    return str(found["id"])


def test_a_failed_provisioning_raises_an_alert_that_its_retry_resolves(graph: Graph, company: Company) -> None:
    company.basics("adele")
    company.fault("C4", "joinDomainFailed")
    company.settle().advance(hours=2)
    assert company.status("adele") == "failed"
    (record,) = graph.get(RECORDS).values
    assert (record["status"], record["alertRuleTemplate"]) == ("active", "cloudPcProvisionScenario")
    assert record["alertImpact"]["value"] == 1
    assert record["alertImpact"]["alertImpactDetails"][0]["value"] == company.pc("adele").display_name
    notifications = f"{RECORDS}/{SPACE}.getPortalNotifications()"
    (notification,) = graph.get(notifications).values
    assert (notification["alertRecordId"], notification["isPortalNotificationSent"]) == (record["id"], False)
    assert graph.post(f"{RECORDS}/{record['id']}/{SPACE}.setPortalNotificationAsSent").status == 204
    assert graph.get(notifications).values == []
    company.clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "test", "adele@contoso.com")
    company.settle()
    resolved = graph.get(f"{RECORDS}/{record['id']}").body
    assert (resolved["status"], resolved["detectedDateTime"]) == ("resolved", record["detectedDateTime"])
    assert resolved["resolvedDateTime"] is not None
    assert graph.get(f"{RECORDS}/$count?$filter=status eq 'active'").body == b"0"


def test_an_alert_that_nobody_looked_at_is_recorded_too(graph: Graph, company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.settle()
    company.health("HQ", "failed")
    company.sql("UPDATE connections SET next_check_at = NULL")
    company.sql("UPDATE tenants SET next_inventory_at = tenant_now(id) + interval '1 hour' WHERE id = :tenant")
    company.advance(hours=2)
    ((template,),) = company.sql("SELECT template FROM alert_records WHERE tenant_id = :tenant AND resolved_at IS NULL")
    assert template == "cloudPcOnPremiseNetworkConnectionCheckScenario"


def test_grace_is_an_alert_and_a_disabled_rule_none(graph: Graph, company: Company) -> None:
    company.basics("adele")
    company.settle().leave("adele", "Sales")
    company.settle()
    rule = _rule(graph, "cloudPcInGracePeriodScenario")
    assert graph.patch(f"{RULES}/{rule}", {"enabled": False}).body["enabled"] is False
    assert graph.get(RECORDS).values == []
    assert graph.patch(f"{RULES}/{rule}", {"enabled": True, "severity": "critical"}).status == 200
    (record,) = graph.get(RECORDS).values
    assert (record["severity"], record["alertRuleId"]) == ("critical", rule)


def test_a_rule_is_added_changed_and_deleted(graph: Graph, company: Company) -> None:
    body = {
        "alertRuleTemplate": "cloudPcProvisionScenario",
        "displayName": "A tenth fails",
        "severity": "critical",
        "enabled": True,
        "conditions": [
            {
                "relationshipType": "and",
                "conditionCategory": "provisionFailures",
                "aggregation": "affectedCloudPcPercentage",
                "operator": "greaterOrEqual",
                "thresholdValue": "10",
            }
        ],
        "notificationChannels": [{"notificationChannelType": "portal", "notificationReceivers": []}],
    }
    made = graph.post(RULES, body)
    assert (made.status, made.body["isSystemRule"]) == (201, False)
    assert made.body["conditions"] == body["conditions"]
    assert made.body["threshold"]["target"] == 10
    path = f"{RULES}/{made.body['id']}"
    changed = graph.patch(path, {"threshold": {"aggregation": "count", "operator": "greater", "target": 3}}).body
    assert [(c["aggregation"], c["operator"], c["thresholdValue"]) for c in changed["conditions"]] == [
        ("count", "greater", "3")
    ]
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404
    activities = company.sql("SELECT activity FROM audit_events ORDER BY id")
    assert [a.activity for a in activities] == ["Create alert rule", "Update alert rule", "Delete alert rule"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"alertRuleTemplate": "nothing"}, 400),
        ({"alertRuleTemplate": None}, 400),
        ({"alertRuleTemplate": "cloudPcFrontlineConcurrencyScenario"}, 501),
        ({"severity": "terrible"}, 400),
        ({"threshold": None}, 400),
        ({"threshold": {"aggregation": "durationInMinutes", "target": 1}}, 400),
        ({"threshold": {"target": -1}}, 400),
        ({"conditions": [{"conditionCategory": "cloudPcInGracePeriod", "thresholdValue": "1"}]}, 400),
        ({"notificationChannels": [{"notificationChannelType": "email"}]}, 501),
    ],
)
def test_a_rule_that_cannot_be_is_refused(graph: Graph, change: dict[str, object], status: int) -> None:
    body = {"alertRuleTemplate": "cloudPcProvisionScenario", "threshold": {"target": 1}, **change}
    assert graph.post(RULES, body).status == status
    assert len(graph.get(RULES).values) == 4


@pytest.mark.parametrize(
    ("conditions", "affected", "of", "expected"),
    [
        ([("and", "count", "greaterOrEqual", "1")], 0, 10, False),
        ([("and", "count", "less", "5")], 0, 10, False),
        ([("and", "count", "less", "5")], 1, 10, True),
        ([("and", "percentage", "greater", "10")], 1, 10, False),
        ([("and", "percentage", "greaterOrEqual", "10")], 1, 10, True),
        ([("and", "count", "equal", "3"), ("or", "percentage", "equal", "20")], 2, 10, True),
        ([("and", "count", "equal", "2"), ("and", "percentage", "notEqual", "20")], 2, 10, False),
    ],
)
def test_when_a_rule_holds(conditions: list[tuple[str, ...]], affected: int, of: int, expected: bool) -> None:
    names = ("relationshipType", "aggregation", "operator", "thresholdValue")
    assert holds([dict(zip(names, c, strict=True)) for c in conditions], affected, of) is expected


# --- whose, and who may ----------------------------------------------------------------------------------


def test_nothing_of_another_tenant(graph: Graph, company: Company, other: Company) -> None:
    theirs = graph.as_(tenant_id=other.tenant.id, tenant_name="fabrikam.com")
    assignment = theirs.post(f"{ROLE}/roleAssignments", _given(READER, other.ids["megan"])).body["id"]
    rule = theirs.post(RULES, {"alertRuleTemplate": "cloudPcProvisionScenario", "threshold": {"target": 1}}).body["id"]
    other.fault("C4", "joinDomainFailed")
    other.settle().advance(hours=2)
    record = theirs.get(RECORDS).values[0]["id"]
    event = theirs.get(AUDIT).values[0]["id"]
    for path in (
        f"{ROLE}/roleAssignments/{assignment}",
        f"{ROLE}/roleAssignments/{assignment}/principals",
        f"{RULES}/{rule}",
        f"{RULES}/{theirs.get(RULES).values[0]['id']}",
        f"{RECORDS}/{record}",
        f"{AUDIT}/{event}",
    ):
        assert theirs.get(path).status == 200, path
        assert graph.get(path).status == 404, path
    assert graph.get(AUDIT).values == graph.get(RECORDS).values == graph.get(f"{ROLE}/roleAssignments").values == []
    assert graph.delete(f"{ROLE}/roleAssignments/{assignment}").status == 404
    assert graph.patch(f"{RULES}/{rule}", {"enabled": False}).status == 404
    assert graph.post(f"{RECORDS}/{record}/{SPACE}.setPortalNotificationAsSent").status == 404
    sent = f"{RECORDS}/{SPACE}.changeAlertRecordsPortalNotificationAsSent"
    assert graph.post(sent, {"alertRecordIds": [record]}).status == 400
    assert graph.post(f"{ROLE}/roleAssignments", _given(READER, other.ids["megan"])).status == 400


def test_who_may(graph: Graph, company: Company) -> None:
    reads = graph.as_(permissions=frozenset({"CloudPC.Read.All"}))
    for path in (AUDIT, RULES, RECORDS, f"{ROLE}/roleAssignments"):
        assert reads.get(path).status == 200, path
    assert reads.post(f"{ROLE}/roleAssignments", {}).status == 403
    assert reads.post(RULES, {}).status == 403
    reader = graph.as_user(uuid4(), "reader@contoso.com", READER)
    assert reader.get(AUDIT).status == 200
    assert reader.post(f"{ROLE}/roleAssignments", {}).status == 403
    assert graph.as_(permissions=frozenset({"User.Read.All"})).get(AUDIT).status == 403
