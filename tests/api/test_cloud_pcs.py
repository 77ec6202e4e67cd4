"""Cloud PCs under /deskwright: what the list and the timeline tell, waiting, and the actions."""

import json
import threading
import time
from typing import Any

import pytest

from deskwright.cli.output import _plain
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import view
from tests.api.conftest import Api
from tests.company import PLAN, Company, found


def as_json(told: Any) -> Any:
    return json.loads(json.dumps(told, default=_plain))


def told(company: Company, **options: Any) -> list[dict[str, Any]]:
    with company.world.database.single.connect() as connection:
        rows: list[dict[str, Any]] = as_json(view.cloud_pcs(connection, company.tenant, **options))
    return rows


def timeless(row: dict[str, Any]) -> dict[str, Any]:
    """Without what is another thing at every look."""
    return {k: v for k, v in row.items() if k not in ("now", "etaSeconds", "progress")}


def test_the_list_tells_what_the_command_line_tells(api: Api, company: Company) -> None:
    company.basics("adele", "alex", "zoe")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.fault("P1", "startMenuPowerIconsError", user="zoe")
    company.settle()
    answer = api.get("/cloudPCs")
    assert answer.status == 200
    assert [timeless(r) for r in answer.values] == [timeless(r) for r in told(company)]
    assert answer.of("status") == ["provisioned", "failed", "provisionedWithWarnings"]
    assert answer.body["nextLink"] is None
    assert api.get("/cloudPCs?status=failed").of("userPrincipalName") == ["alex@contoso.com"]
    assert api.get("/cloudPCs?user=ZOE@contoso.com").of("status") == ["provisionedWithWarnings"]


def test_pages(api: Api, company: Company) -> None:
    company.basics("adele", "alex", "zoe")
    company.settle()
    names, link = [], "/cloudPCs?limit=1"
    while link:
        answer = api.get(link)
        names += answer.of("userPrincipalName")
        link = answer.body["nextLink"]
    assert names == ["adele@contoso.com", "alex@contoso.com", "zoe@contoso.com"]


@pytest.mark.parametrize(
    ("fault", "status"),
    [(None, "provisioned"), ("C2", "failed"), ("P1", "provisionedWithWarnings")],
)
def test_a_timeline_is_whole(api: Api, company: Company, fault: str | None, status: str) -> None:
    """R1: nothing that `deskwright show` knows is missing."""
    company.basics("adele", connections=("HQ",))
    if fault:
        company.fault(fault, "imageNotSupportedFail" if fault == "C2" else "startMenuPowerIconsError")
    company.settle()
    pc = company.pc("adele")
    with company.world.database.single.connect() as connection:
        wanted = as_json(view.timeline(connection, company.tenant, pc.id))
    answer = api.get("/cloudPCs/adele@contoso.com/timeline")
    assert answer.body["status"] == status
    for name, value in wanted.items():
        if name not in ("now", "ledger"):
            assert answer.body[name] == value, name
    assert [e["key"] for e in answer.body["ledger"]] == [e["key"] for e in wanted["ledger"]]
    assert [set(e) for e in answer.body["ledger"]] == [set(e) for e in wanted["ledger"]]
    assert api.get(f"/cloudPCs/{pc.id}").body["status"] == status
    assert api.get(f"/cloudPCs/{pc.device_name or pc.id}").body["id"] == str(pc.id)


def test_explain_tells_what_the_command_line_tells(api: Api, company: Company) -> None:
    """R2."""
    company.basics("adele")
    company.settle()
    with company.world.database.single.connect() as connection:
        wanted = as_json(view.explain_user(connection, company.tenant, "adele@contoso.com"))
    assert api.get("/explain/adele@contoso.com").body == wanted
    assert api.get("/explain/nobody@contoso.com").status == 404


def test_actions_do_what_they_say(api: Api, company: Company) -> None:
    company.basics("adele")
    company.fault("C2", "imageNotSupportedFail")
    company.settle()
    company.clear_faults()
    accepted = api.post("/cloudPCs/adele@contoso.com/retry")
    assert (accepted.status, accepted.body["status"]) == (202, "provisioning")
    company.settle()
    assert company.status("adele") == "provisioned"
    assert api.post("/cloudPCs/adele@contoso.com/repair", {"steps": ["P4"]}).body["steps"] == ["P4"]
    company.settle()
    assert api.post("/cloudPCs/adele@contoso.com/reprovision", {"userAccountType": "administrator"}).status == 202
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    kept = api.post("/cloudPCs/adele@contoso.com/keep", {"hours": 500})
    assert kept.body["gracePeriodEndDateTime"] > "2"
    assert api.post("/cloudPCs/adele@contoso.com/endGracePeriod").body["status"] == "deprovisioning"
    company.settle()
    assert company.pcs("adele") == []
    actors = {e["actor"] for e in api.get("/auditEvents?resource=Desktops - adele").values}
    assert actors <= {"Automation", "deskwright", "test"}
    done = {e["activity"] for e in api.get("/auditEvents?actor=Automation").values}
    assert {"Cloud PC: retry", "Cloud PC: repair", "Cloud PC: keep", "Cloud PC: end grace period"} <= done


def test_cancel(api: Api, company: Company) -> None:
    company.basics("adele")
    company.fault("C2", "delay", delay=3600)
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.settle()
    assert api.post("/cloudPCs/adele@contoso.com/cancel").body["status"] == "failed"


@pytest.mark.parametrize("action", ["retry", "keep", "endGracePeriod", "cancel"])
def test_what_the_status_does_not_allow_is_a_conflict(api: Api, company: Company, action: str) -> None:
    company.basics("adele")
    company.settle()
    answer = api.post(f"/cloudPCs/adele@contoso.com/{action}")
    assert answer.status in (400, 409)
    assert "provisioned" in answer.body["error"]["message"]
    assert company.status("adele") == "provisioned"


def test_wait_answers_as_soon_as_it_is_so(api: Api, company: Company) -> None:
    """R6: scripts need not poll."""
    company.basics("adele")
    worker = threading.Timer(0.2, company.settle)
    worker.start()
    began = time.monotonic()
    answer = api.get("/cloudPCs?user=adele@contoso.com&wait=30s&for=provisioned")
    worker.join()
    assert answer.of("status") == ["provisioned"]
    assert time.monotonic() - began < 15
    one = api.get(f"/cloudPCs/{answer.values[0]['id']}?wait=30s&for=provisioned")
    assert one.body["status"] == "provisioned"


def test_wait_ends_when_the_time_is_over_or_it_cannot_come(api: Api, company: Company) -> None:
    company.basics("adele")
    company.fault("C2", "imageNotSupportedFail")
    assert api.get("/cloudPCs?user=adele@contoso.com&wait=100ms").status == 200
    company.settle()
    assert api.get("/cloudPCs/adele@contoso.com?wait=30s").body["status"] == "failed"
    for path, target in (
        ("/cloudPCs?wait=30s", "user"),
        ("/cloudPCs/adele@contoso.com?wait=soon", "wait"),
        ("/cloudPCs/adele@contoso.com?wait=1s&for=ready", "for"),
    ):
        answer = api.get(path)
        assert (answer.status, answer.body["error"]["target"]) == (400, target)
    assert api.get("/cloudPCs?user=nobody@contoso.com&wait=1s").status == 404


def test_another_tenants_cloud_pcs_do_not_exist(api: Api, company: Company) -> None:
    company.basics("adele")
    company.settle()
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    stranger = api.as_(tenant_id=other.tenant.id, tenant_name=other.tenant.name)
    pc = str(company.pc("adele").id)
    assert stranger.get("/cloudPCs").values == []
    assert stranger.get(f"/cloudPCs?after={pc}").values == []
    for path in ("", "/timeline", "/timeline/events"):
        assert stranger.get(f"/cloudPCs/{pc}{path}").status == 404
    for action in ("retry", "repair", "reprovision", "endGracePeriod", "keep", "cancel"):
        assert stranger.post(f"/cloudPCs/{pc}/{action}").status == 404
    assert stranger.get("/explain/adele@contoso.com").status == 404
    assert stranger.get("/ledger").values == []
    assert stranger.get(f"/ledger?cloudPC={pc}").status == 404


def test_who_may_what(api: Api, company: Company) -> None:
    company.basics("adele")
    company.settle()
    reads = api.as_(permissions=frozenset({"CloudPC.Read.All"}))
    assert reads.get("/cloudPCs").status == 200
    assert reads.post("/cloudPCs/adele@contoso.com/reprovision").status == 403
    assert reads.get("/doctor").status == 403
    assert reads.post("/plan", b"tenant: contoso.com").status == 403
    person = api.as_user(company.ids["adele"], "adele@contoso.com")
    assert person.get("/cloudPCs").status == 403
    reader = api.as_user(company.ids["adele"], "adele@contoso.com", READER)
    assert reader.get("/cloudPCs").status == 200
    refused = reader.post("/cloudPCs/adele@contoso.com/reprovision")
    assert (refused.status, refused.code) == (403, "Forbidden")
    assert ADMINISTRATOR in refused.body["error"]["message"]
    administrator = api.as_user(company.ids["adele"], "adele@contoso.com", ADMINISTRATOR)
    assert administrator.post("/cloudPCs/adele@contoso.com/reprovision").status == 202


def test_the_ledger_tells_what_is_left(api: Api, company: Company) -> None:
    """R8."""
    company.basics("adele")
    company.fault("C4", "joinDomainFailed", attempts=[1])
    company.settle()
    everything, left = api.get("/ledger").values, api.get("/ledger?left=true").values
    assert 0 < len(left) < len(everything)
    assert all(entry["left"] for entry in left)
    assert {e["userPrincipalName"] for e in left} == {"adele@contoso.com"}
    assert api.get("/cloudPCs").values[0]["servicePlanName"] == PLAN
