"""The tenant under /deskwright: documents, faults, the clock, audit, the doctor; and what is refused, and how."""

import json
from typing import Any

import pytest
import yaml

from deskwright import errors
from deskwright.operations import tenants
from tests.api.conftest import Api
from tests.company import PLAN, Company, found

DOCUMENT = f"""
tenant: contoso.com
sites: [{{name: site-a, regionGroup: europeUnion}}]
users: [{{userPrincipalName: adele@contoso.com, displayName: Adele}}]
groups: [{{displayName: Sales, members: [adele@contoso.com]}}]
servicePlans: [{{displayName: {PLAN}, seats: 5}}]
licenses: [{{servicePlan: {PLAN}, groups: [Sales]}}]
provisioningPolicies:
  - displayName: Desktops
    domainJoinConfigurations: [{{domainJoinType: azureADJoin, region: site-a}}]
    image: {{gallery: debian-12-desktop}}
    assignments: [Sales]
"""
YAML = {"content_type": "application/yaml"}


def test_plan_tells_and_apply_does(api: Api, company: Company) -> None:
    """R3: what `plan` shows is what `apply` does, and a second apply changes nothing."""
    planned = api.post("/plan", DOCUMENT.encode(), **YAML)
    assert planned.status == 200, planned.body
    assert planned.body["actions"] == {"create": 1}
    assert api.get("/cloudPCs").values == []
    asked = f"/apply?revision={planned.body['revision']}&sha256={planned.body['sha256']}"
    applied = api.post(asked, DOCUMENT.encode(), **YAML)
    assert {k: v for k, v in applied.body.items() if k != "brake"} == {
        k: v for k, v in planned.body.items() if k != "brake"
    }
    stale = api.post(asked, DOCUMENT.encode(), **YAML)
    assert (stale.status, stale.body["error"]["target"]) == (400, "plan")
    assert api.get("/tenant/settling").body["settled"] is False
    company.settle()
    assert api.get("/cloudPCs").of("status") == ["provisioned"]
    assert api.get("/tenant/settling").body["settled"] is True
    again = api.post("/apply", json.dumps(yaml.safe_load(DOCUMENT)).encode())
    assert again.body["counts"] == {}
    exported = api.get("/export")
    assert exported.headers["content-type"].startswith("application/yaml")
    assert api.post("/apply", exported.body, **YAML).body["counts"] == {}
    assert {e["actor"] for e in api.get("/auditEvents?limit=200").values} == {"Automation", "deskwright"}


def test_a_document_of_another_tenant_is_refused(api: Api, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    answer = api.post("/apply", DOCUMENT.replace("tenant: contoso.com", "tenant: fabrikam.com").encode(), **YAML)
    assert (answer.status, answer.code) == (400, "invalidDocument")
    assert tenants.show(company.world.database, other.tenant)["revision"] == 0


def test_problems_are_told_all_at_once_with_their_lines(api: Api) -> None:
    bad = DOCUMENT.replace("members: [adele@contoso.com]", "members: [bob@contoso.com]").replace("Desktops", "'a<b'")
    answer = api.post("/plan", bad.encode(), **YAML)
    assert (answer.status, answer.code) == (400, "invalidDocument")
    details = answer.body["error"]["details"]
    assert {d["line"] for d in details} == {5, 9}
    assert all({"field", "rule", "message"} <= set(d) for d in details)


CONNECTION = """
onPremisesConnections:
  - {displayName: HQ, connectionType: hybridAzureADJoin, region: site-a, network: corp, subnet: 10.20.0.0/24,
     adDomainName: corp.contoso.com, organizationalUnit: "OU=CloudPCs", adDomainUsername: joiner@corp.contoso.com,
     adDomainPassword: {env: HQ_PASSWORD}}
"""


def test_the_service_never_reads_its_environment_for_others(
    api: Api, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQ_PASSWORD", "the service's own secret")
    document = DOCUMENT + CONNECTION
    refused = api.post("/apply", document.encode(), **YAML)
    assert (refused.status, refused.code) == (400, "invalidDocument")
    assert "HQ_PASSWORD" in refused.body["error"]["message"]

    form = (
        b'--b\r\nContent-Disposition: form-data; name="document"\r\n\r\n' + document.encode() + b"\r\n"
        b'--b\r\nContent-Disposition: form-data; name="environment.HQ_PASSWORD"\r\n\r\njoin me\r\n--b--\r\n'
    )
    done = api.post("/apply", form, content_type="multipart/form-data; boundary=b")
    assert done.status == 200, done.body
    ((kept,),) = company.sql("SELECT ad_domain_password FROM connections")
    assert company.world.secrets.decrypt(bytes(kept)) == "join me"
    # Without it, what is kept stays.
    assert api.post("/apply", document.encode(), **YAML).body["counts"] == {}


def test_the_brake_wants_its_header(api: Api, company: Company) -> None:
    """R13."""
    company.basics("adele", "alex", "zoe")
    tenants.set_settings(company.world.database, company.tenant, "test", {"brakePeople": 1})
    company.settle()
    document = f"tenant: contoso.com\nlicenses: [{{servicePlan: {PLAN}, groups: []}}]\n".encode()
    assert api.post("/plan", document, **YAML).body["brake"]["losing"] == 3
    stopped = api.post("/apply", document, **YAML)
    assert (stopped.status, stopped.code) == (409, "confirmationRequired")
    assert "Deskwright-Confirm" in stopped.body["error"]["message"]
    assert "zoe@contoso.com" in {d["target"] for d in stopped.body["error"]["details"]}
    assert api.post("/apply", document, deskwright_confirm="true", **YAML).status == 200
    company.settle()
    assert company.status("zoe") == "inGracePeriod"


def test_faults(api: Api, company: Company) -> None:
    """R5."""
    company.basics("adele")
    added = api.post("/faults", {"step": "C2", "code": "imageNotSupportedFail", "user": "adele@contoso.com"})
    assert added.status == 201
    assert api.get("/faults").values == [added.body]
    company.settle()
    assert company.status("adele") == "failed"
    timeline = api.get("/cloudPCs/adele@contoso.com/timeline").body
    assert timeline["error"]["faultId"] == added.body["id"]
    assert api.delete(f"/faults/{added.body['id']}").body == added.body
    assert api.delete(f"/faults/{added.body['id']}").status == 404
    refused = api.post("/faults", {"step": "C2", "code": "noSuchCode"})
    assert (refused.status, refused.body["error"]["target"]) == (400, "faults.code")
    api.post("/faults", {"step": "C3", "code": "delay", "delaySeconds": 5})
    assert [f["code"] for f in api.delete("/faults").values] == ["delay"]
    assert api.get("/faults").values == []


def test_the_clock(api: Api) -> None:
    before = api.get("/clock").body
    after = api.post("/clock/advance", {"seconds": 7 * 86400}).body
    assert after["clockOffsetInSeconds"] == before["clockOffsetInSeconds"] + 7 * 86400
    refused = api.post("/clock/advance", {"seconds": -1})
    assert (refused.status, refused.body["error"]["target"]) == (400, "seconds")


def test_the_doctor_sees_the_own_tenant_only(api: Api, company: Company) -> None:
    company.basics("adele", connections=("HQ",))
    company.settle()
    company.health("HQ", "failed")
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.site("elsewhere")
    other.connection("Theirs", site="elsewhere", health="failed")
    answer = api.get("/doctor")
    assert "Connection HQ" in answer.of("check")
    told = json.dumps(answer.body)
    for secret in ("fabrikam", "Theirs", "elsewhere", str(company.world.settings.data_dir)):
        assert secret not in told


def test_tenant_sites_audit_and_errors(api: Api, company: Company) -> None:
    company.basics("adele")
    company.settle()
    tenant = api.get("/tenant").body
    assert (tenant["name"], tenant["overview"]["cloudPCs"]["provisioned"]) == ("contoso.com", 1)
    assert tenant["settings"]["gracePeriodInHours"] == 168
    assert api.get("/sites").of("name") == ["site-a"]
    api.post("/clock/advance", {"seconds": 1})
    event = api.get("/auditEvents?limit=1&actor=Automation").values[0]
    assert event["activity"] == "Advance clock"
    assert api.get(f"/auditEvents/{event['id']}").body == event
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    stranger = api.as_(tenant_id=other.tenant.id, tenant_name=other.tenant.name)
    assert stranger.get(f"/auditEvents/{event['id']}").status == 404
    assert stranger.get("/sites").values == []
    assert stranger.get("/tenant").body["name"] == "fabrikam.com"
    assert {e["code"] for e in api.get("/errors").values} == set(errors.CATALOGUE)
    assert api.get("/errors/joinDomainFailed").body["remedies"]
    assert api.get("/errors/nothing").status == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "target"),
    [
        ("POST", "/faults", b"{", 400, "body"),
        ("POST", "/faults", {"step": "C2"}, 400, "code"),
        ("POST", "/faults", {"step": "C2", "code": 7}, 400, "code"),
        ("POST", "/faults", {"step": "C2", "code": "a\0b"}, 400, "code"),
        ("POST", "/faults", b"x" * 1_000_001, 413, None),
        ("GET", "/cloudPCs?limit=0", None, 400, "limit"),
        ("GET", "/cloudPCs?status=nonsense", None, 400, "status.0"),
        ("GET", "/nothing", None, 404, None),
        ("DELETE", "/clock", None, 405, None),
        ("POST", "/plan", b"tenant: [", 400, None),
        ("GET", "/sites?after=x", None, 400, "after"),
    ],
)
def test_what_cannot_be_is_refused_in_graphs_envelope(
    api: Api, method: str, path: str, body: Any, status: int, target: str | None
) -> None:
    answer = api.call(method, path, body, client_request_id="mine")
    assert answer.status == status
    error = answer.body["error"]
    assert error["innerError"]["client-request-id"] == answer.headers["client-request-id"] == "mine"
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    if target:
        assert error["target"] == target


def test_media_types_that_are_not_read(api: Api) -> None:
    answer = api.post("/plan", b"<tenant/>", content_type="application/xml")
    assert (answer.status, answer.code) == (415, "UnsupportedMediaType")
