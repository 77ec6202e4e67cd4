"""Bulk actions: carried out item by item by the same operations, summed up from real results, safe against crashes."""

from typing import Any
from uuid import uuid4

import pytest

from deskwright.identity.permissions import READER
from deskwright.operations import bulk_actions, remote_actions
from deskwright.providers.contract import ProviderError
from tests.company import Company, found
from tests.graph.conftest import Answer, Graph

SET = "/deviceManagement/virtualEndpoint/bulkActions"
PCS = "/deviceManagement/virtualEndpoint/cloudPCs"


@pytest.fixture
def ids(company: Company) -> list[str]:
    company.basics("adele", "alex")
    company.settle()
    return [str(company.pc(user).id) for user in ("adele", "alex")]


def _begin(graph: Graph, kind: str, ids: list[str], **more: Any) -> Answer:
    body = {"@odata.type": f"#microsoft.graph.{kind}", "displayName": "Tonight", "cloudPcIds": ids, **more}
    return graph.post(SET, body)


def _summary(graph: Graph, bulk: str) -> tuple[str, dict[str, int]]:
    told = graph.get(f"{SET}/{bulk}").body
    return told["status"], {name: n for name, n in told["actionSummary"].items() if n}


def test_a_bulk_restart(graph: Graph, company: Company, ids: list[str]) -> None:
    made = _begin(graph, "cloudPcBulkRestart", ids)
    assert made.status == 201, made.body
    assert made.body["@odata.type"] == "#microsoft.graph.cloudPcBulkRestart"
    assert (made.body["cloudPcIds"], made.body["status"]) == (ids, "pending")
    assert made.body["actionSummary"]["pendingCount"] == 2
    company.settle()
    assert _summary(graph, made.body["id"]) == ("succeeded", {"successfulCount": 2})
    for pc in ids:
        assert graph.get(f"{PCS}/{pc}").body["lastRemoteActionResult"]["actionName"] == "Reboot"
    assert [b["id"] for b in graph.get(SET).values] == [made.body["id"]]
    assert graph.get(f"{SET}/$count").body == b"1"


def test_what_an_item_refuses_is_a_failure_of_that_item_and_can_be_retried(
    graph: Graph, company: Company, ids: list[str]
) -> None:
    remote_actions.power_off(company.world, company.tenant, "test", ids[0])
    company.settle()
    bulk = _begin(graph, "cloudPcBulkRestart", ids).body["id"]
    company.settle()
    assert _summary(graph, bulk) == ("failed", {"failedCount": 1, "successfulCount": 1})
    remote_actions.power_on(company.world, company.tenant, "test", ids[0])
    company.settle()
    assert graph.post(f"{SET}/{bulk}/retry", {"cloudPcIds": [ids[1]]}).status == 409  # that one did not fail
    assert graph.post(f"{SET}/{bulk}/retry", {"cloudPcIds": ids}).status == 204
    company.settle()
    assert _summary(graph, bulk) == ("succeeded", {"successfulCount": 2})


def test_kinds_with_options(graph: Graph, company: Company, ids: list[str]) -> None:
    review = {"inReview": True, "userAccessLevel": "restricted"}
    assert _begin(graph, "cloudPcBulkSetReviewStatus", ids, reviewStatus=review).status == 201
    assert _begin(graph, "cloudPcBulkCreateSnapshot", ids[:1]).status == 201
    company.settle()
    assert graph.get(f"{PCS}/{ids[1]}/retrieveReviewStatus").body["inReview"] is True
    (snapshot,) = graph.get(f"{PCS}/{ids[0]}/retrieveSnapshots").values
    late = {"restorePointDateTime": "2199-01-01T00:00:00Z", "timeRange": "before"}
    bulk = _begin(graph, "cloudPcBulkRestore", ids, **late).body
    assert (bulk["timeRange"], bulk["restorePointDateTime"][:4]) == ("before", "2199")
    company.settle()
    # The other one has no snapshot.
    assert _summary(graph, bulk["id"]) == ("failed", {"failedCount": 1, "successfulCount": 1})
    (restored,) = graph.get(f"{PCS}/{ids[0]}/retrieveSnapshots").values
    assert (restored["id"], bool(restored["lastRestoredDateTime"])) == (snapshot["id"], True)


def test_a_job_that_died_goes_on_and_doubles_nothing(graph: Graph, company: Company, ids: list[str]) -> None:
    """V6: the process died after the restart was accepted and before the item said so."""
    bulk = _begin(graph, "cloudPcBulkRestart", ids).body["id"]
    company.sql(
        "UPDATE bulk_action_items SET state = 'begun', run_before = 1 WHERE cloud_pc_id = CAST(:id AS uuid)", id=ids[0]
    )
    remote_actions.restart(company.world, company.tenant, "Automation", ids[0])
    company.settle()
    assert _summary(graph, bulk) == ("succeeded", {"successfulCount": 2})
    assert company.sql("SELECT count(*) FROM runs WHERE kind = 'restart'")[0][0] == 2


def test_a_large_one_is_carried_out_in_several_jobs(
    graph: Graph, company: Company, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_actions, "_BATCH", 1)
    bulk = _begin(graph, "cloudPcBulkTroubleshoot", ids).body["id"]
    company.settle()
    assert _summary(graph, bulk) == ("succeeded", {"successfulCount": 2})


def test_rename_and_delete(graph: Graph, company: Company, ids: list[str]) -> None:
    bulk = _begin(graph, "cloudPcBulkRestart", ids).body["id"]
    assert graph.patch(f"{SET}/{bulk}", {"displayName": "Other"}).body["displayName"] == "Other"
    assert graph.patch(f"{SET}/{bulk}", {"cloudPcIds": []}).status == 400
    assert graph.delete(f"{SET}/{bulk}").status == 204
    assert graph.get(f"{SET}/{bulk}").status == 404
    company.settle()
    assert company.sql("SELECT 1 FROM runs WHERE kind = 'restart'") == []
    activities = [
        e.activity
        for e in company.sql("SELECT activity FROM audit_events WHERE object_type = 'bulkAction' ORDER BY id")
    ]
    assert activities == ["Create bulk action", "Update bulk action", "Delete bulk action"]


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"@odata.type": None}, 400, "@odata.type"),
        ({"@odata.type": "#microsoft.graph.cloudPC"}, 400, "@odata.type"),
        ({"@odata.type": "#microsoft.graph.cloudPcBulkMove"}, 501, "cloudPcBulkMove"),
        ({"displayName": None}, 400, "displayName"),
        ({"cloudPcIds": []}, 400, "cloudPcIds"),
        ({"cloudPcIds": "all"}, 400, "cloudPcIds"),
        ({"cloudPcIds": ["x"]}, 404, "x"),
        ({"@odata.type": "#microsoft.graph.cloudPcBulkResize"}, 400, "targetServicePlanId"),
        ({"scheduledDuringMaintenanceWindow": True}, 501, "maintenance"),
    ],
)
def test_bad_input(graph: Graph, company: Company, change: dict[str, Any], status: int, named: str) -> None:
    body = {"@odata.type": "#microsoft.graph.cloudPcBulkRestart", "displayName": "x", "cloudPcIds": [str(uuid4())]}
    company.basics("adele")
    company.settle()
    body["cloudPcIds"] = [str(company.pc("adele").id)]
    refused = graph.post(SET, {k: v for k, v in {**body, **change}.items() if v is not None})
    assert refused.status == status, refused.body
    assert named in refused.body["error"]["message"]
    assert company.sql("SELECT 1 FROM bulk_actions") == []


def test_isolation_and_permissions(graph: Graph, company: Company, ids: list[str]) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.basics("mallory")
    other.settle()
    assert _begin(graph, "cloudPcBulkRestart", [*ids, str(other.pc("mallory").id)]).status == 404
    bulk = _begin(graph, "cloudPcBulkRestart", ids).body["id"]
    theirs = graph.as_(tenant_id=other.tenant.id, tenant_name=other.tenant.name)
    assert theirs.get(SET).values == []
    assert theirs.get(f"{SET}/{bulk}").status == theirs.delete(f"{SET}/{bulk}").status == 404
    assert theirs.post(f"{SET}/{bulk}/retry").status == 404
    reader = graph.as_user(company.ids["adele"], "adele@contoso.com", READER)
    assert reader.get(f"{SET}/{bulk}").status == 200
    assert _begin(reader, "cloudPcBulkRestart", ids).status == 403


def test_a_site_that_does_not_answer_fails_its_item_and_not_those_behind_it(
    graph: Graph, company: Company, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    does = remote_actions.restart

    def restart(world: Any, tenant: Any, actor: str, cloud_pc: str) -> Any:
        if cloud_pc == ids[0]:
            raise ProviderError("capacityUnavailable", reason="the site does not answer")
        return does(world, tenant, actor, cloud_pc)

    monkeypatch.setattr(remote_actions, "restart", restart)
    bulk = _begin(graph, "cloudPcBulkRestart", ids).body["id"]
    company.settle()
    assert _summary(graph, bulk) == ("failed", {"failedCount": 1, "successfulCount": 1})
