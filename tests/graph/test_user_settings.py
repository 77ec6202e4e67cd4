"""userSettings: what is stored, what is told again, and whom it is assigned to."""

from typing import Any
from uuid import uuid4

import pytest

from tests.company import Company, found
from tests.graph.conftest import Graph

SETTINGS = "/deviceManagement/virtualEndpoint/userSettings"


def create(graph: Graph, **given: Any) -> dict[str, Any]:
    answer = graph.post(SETTINGS, {"displayName": "Developers", **given})
    assert answer.status == 201, answer.body
    made: dict[str, Any] = answer.body
    return made


def test_a_setting_is_told_whole(graph: Graph) -> None:
    made = create(
        graph,
        localAdminEnabled=True,
        resetEnabled=True,
        restorePointSetting={"frequencyType": "sixHours", "userRestoreEnabled": True},
        notificationSetting={"restartPromptsDisabled": True},
        crossRegionDisasterRecoverySetting={"disasterRecoveryType": "notConfigured"},
        selfServiceEnabled=True,
        userSettingsPersistence="unknown to the contract",
    )
    assert graph.get(f"{SETTINGS}/{made['id']}").body == made
    assert (made["localAdminEnabled"], made["resetEnabled"], made["selfServiceEnabled"]) == (True, True, True)
    assert made["restorePointSetting"] == {
        "frequencyInHours": 6,
        "frequencyType": "sixHours",
        "userRestoreEnabled": True,
    }
    assert made["notificationSetting"] == {"restartPromptsDisabled": True}
    assert made["crossRegionDisasterRecoverySetting"]["crossRegionDisasterRecoveryEnabled"] is False
    assert made["provisioningSourceType"] == "image"
    v1 = graph.get(f"/v1.0{SETTINGS}/{made['id']}").body
    assert v1["restorePointSetting"] == {"frequencyType": "sixHours", "userRestoreEnabled": True}
    assert not {"selfServiceEnabled", "notificationSetting"} & set(v1)


@pytest.mark.parametrize(
    ("given", "hours", "word"),
    [
        ({}, 12, "default"),
        ({"frequencyType": "default"}, 12, "default"),
        ({"frequencyInHours": 4}, 4, "fourHours"),
        ({"frequencyInHours": 12}, 12, "twelveHours"),
        ({"frequencyType": "twentyFourHours", "frequencyInHours": 24}, 24, "twentyFourHours"),
    ],
)
def test_old_and_new_names_of_the_frequency(graph: Graph, given: dict[str, Any], hours: int, word: str) -> None:
    told = create(graph, restorePointSetting=given)["restorePointSetting"]
    assert (told["frequencyInHours"], told["frequencyType"]) == (hours, word)


def test_patch_changes_what_is_given(graph: Graph, company: Company) -> None:
    made = create(graph, restorePointSetting={"frequencyType": "default", "userRestoreEnabled": True})
    answer = graph.patch(f"{SETTINGS}/{made['id']}", {"LocalAdminEnabled": True, "resetEnabled": None})
    assert answer.status == 200
    assert {n for n in made if made[n] != answer.body[n]} == {"localAdminEnabled", "lastModifiedDateTime"}
    later = graph.patch(f"{SETTINGS}/{made['id']}", {"restorePointSetting": {"frequencyInHours": 24}}).body
    assert later["restorePointSetting"]["userRestoreEnabled"] is True
    activities = company.sql("SELECT activity FROM audit_events WHERE object_id = :id ORDER BY id", id=made["id"])
    assert [a for (a,) in activities] == ["Create user setting", "Update user setting", "Update user setting"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"displayName": ""}, 400),
        ({"localAdminEnabled": "yes"}, 400),
        ({"restorePointSetting": {"frequencyInHours": 5}}, 400),
        ({"restorePointSetting": {"frequencyType": "hourly"}}, 400),
        ({"crossRegionDisasterRecoverySetting": {"crossRegionDisasterRecoveryEnabled": True}}, 501),
    ],
)
def test_what_cannot_be_is_refused(graph: Graph, given: dict[str, Any], status: int) -> None:
    assert graph.post(SETTINGS, {"displayName": "Developers", **given}).status == status
    assert graph.get(SETTINGS).values == []


def test_assignments(graph: Graph, company: Company) -> None:
    sales, lab = company.group(), company.group("Lab")
    setting = create(graph)["id"]
    assert graph.get(f"{SETTINGS}?$expand=assignments").values[0]["assignments"] == []
    path = f"{SETTINGS}/{setting}"
    assert graph.post(f"{path}/assign", {"assignments": [{"target": {"groupId": str(sales)}}]}).status == 204
    made = graph.post(f"{path}/assignments", {"target": {"groupId": str(lab)}})
    assert made.status == 201
    told = graph.get(f"{path}?$expand=assignments").body["assignments"]
    assert [a["target"]["groupId"] for a in told] == [str(sales), str(lab)]
    assert told[1] == {name: value for name, value in made.body.items() if name != "@odata.context"}
    assert graph.get(f"{path}/assignments/$count").body == b"2"
    assert graph.delete(f"{path}/assignments/{made.body['id']}").status == 204
    assert graph.post(f"{path}/assign", {"assignments": []}).status == 204
    assert graph.get(f"{path}/assignments").values == []
    assert graph.post(f"{path}/assign", {"assignments": [{"target": {"groupId": str(uuid4())}}]}).status == 404
    assert graph.delete(path).status == 204
    assert graph.get(path).status == 404


def test_filter_and_count(graph: Graph) -> None:
    create(graph, displayName="A", localAdminEnabled=True)
    create(graph, displayName="B")
    assert graph.get(f"{SETTINGS}?$filter=localAdminEnabled eq true").of("displayName") == ["A"]
    assert graph.get(f"{SETTINGS}/$count?$filter=startswith(displayName,'b')").body == b"1"


def test_the_organizations_account_type_counts_where_nothing_else_does(graph: Graph, company: Company) -> None:
    company.basics("adele", "alex")
    developers = company.group("Developers")
    company.join("alex", "Developers")
    setting = create(graph, localAdminEnabled=False)["id"]
    graph.post(f"{SETTINGS}/{setting}/assign", {"assignments": [{"target": {"groupId": str(developers)}}]})
    answer = graph.patch("/deviceManagement/virtualEndpoint/organizationSettings", {"userAccountType": "administrator"})
    assert answer.status == 200
    company.settle()
    outputs = {user: next(s.output for s in company.steps(user) if s.step == "P3") for user in ("adele", "alex")}
    assert outputs["adele"].startswith("administrator, by the organization's settings")
    assert outputs["alex"].startswith("standard user, by user setting 'Developers'")


def test_another_tenants_setting_does_not_exist(graph: Graph, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.group()
    theirs = other.user_setting("Theirs", "Sales", True)
    assert graph.get(SETTINGS).values == []
    for method, at in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/assign"), ("GET", "/assignments")):
        given: dict[str, Any] = {"assignments": []} if at == "/assign" else {}
        assert graph.call(method, f"{SETTINGS}/{theirs}{at}", given).status == 404, (method, at)
    reader = graph.as_(permissions=frozenset({"CloudPC.Read.All"}))
    assert reader.post(SETTINGS, {"displayName": "x"}).status == 403
    assert reader.get(SETTINGS).status == 200
