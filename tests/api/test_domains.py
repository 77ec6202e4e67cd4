"""Active Directory domains under /deskwright, and what Graph tells of who comes from one."""

import base64
import json
from uuid import UUID

import pytest

from tests.api.conftest import Api
from tests.company import Company

PASSWORD = "battery staple"
NEW = {
    "domainName": "corp.contoso.com",
    "userName": "reader@corp.contoso.com",
    "password": PASSWORD,
    "nameServers": ["10.0.0.10"],
    "verify": False,
}
SOURCE = UUID("00112233-4455-6677-8899-aabbccddeeff")


def test_a_domain_is_made_read_changed_and_forgotten(api: Api) -> None:
    made = api.post("/domains", NEW)
    assert made.status == 201, made.body
    assert made.body["syncStatus"] == "never"
    assert made.body["nameServers"] == ["10.0.0.10"]
    again = api.post("/domains", NEW)
    assert (again.status, again.body["error"]["code"]) == (409, "nameAlreadyExists")
    changed = api.call("PATCH", "/domains/corp.contoso.com", {"syncIntervalInMinutes": 60})
    assert changed.body["syncIntervalInMinutes"] == 60
    wrong = api.call("PATCH", "/domains/corp.contoso.com", {"searchBases": ["OU=Staff,DC=other"], "verify": False})
    assert wrong.status == 400
    assert "searchBases" in wrong.body["error"]["message"]
    shown = api.get(f"/domains/{made.body['id']}")
    assert (shown.body["lastSyncs"], shown.body["findings"], shown.body["wouldLose"]) == ([], [], None)
    assert [d["domainName"] for d in api.get("/domains").values] == ["corp.contoso.com"]
    everything = json.dumps([made.body, changed.body, shown.body, api.get("/audit").body])
    assert PASSWORD not in everything
    tested = api.post("/domains/corp.contoso.com/test")
    assert (tested.status, tested.body["passed"]) == (200, False)
    assert api.delete("/domains/corp.contoso.com").status == 200
    assert api.get("/domains/corp.contoso.com").status == 404


def test_r13_a_run_that_stopped_is_confirmed(api: Api, company: Company) -> None:
    api.post("/domains", NEW)
    nothing = api.post("/domains/corp.contoso.com/synchronise", {"confirm": True})
    assert (nothing.status, nothing.code) == (409, "notAllowed")
    losing = json.dumps({"people": 27, "of": 30, "who": ["ann@corp.contoso.com"], "ids": [str(SOURCE)]})
    company.sql(
        "UPDATE domains SET sync_status = 'confirmationRequired', sync_losing = CAST(:losing AS jsonb)", losing=losing
    )
    shown = api.get("/domains/corp.contoso.com").body
    assert shown["wouldLose"] == {"people": 27, "of": 30, "who": ["ann@corp.contoso.com"]}
    assert api.post("/domains/corp.contoso.com/synchronise", {"confirm": True}).status == 202
    assert company.sql("SELECT sync_confirmed FROM domains") == [(True,)]


def test_a_group_is_given_to_the_domain(api: Api, company: Company) -> None:
    api.post("/domains", NEW)
    company.group("Sales")
    given = api.post("/domains/corp.contoso.com/adopt", {"group": "sales"})
    assert given.body == {
        "id": str(company.ids["Sales"]),
        "displayName": "Sales",
        "domainName": "corp.contoso.com",
    }
    twice = api.post("/domains/corp.contoso.com/adopt", {"group": "Sales"})
    assert twice.status == 409


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_graph_tells_where_people_and_groups_come_from(api: Api, company: Company, version: str) -> None:
    api.post("/domains", NEW)
    company.user("ann")
    company.group("Sales")
    company.sql("UPDATE domains SET synced_at = '2026-01-02T03:04:05Z'")
    for table, name in (("users", "ann"), ("groups", "Sales")):
        company.sql(f"UPDATE {table} SET domain_id = (SELECT id FROM domains) WHERE id = :id", id=company.ids[name])
        company.sql(
            "INSERT INTO domain_objects (domain_id, source_id, tenant_id, kind, object_id, name, distinguished_name, "
            "security_identifier, seen_at) SELECT id, :source, tenant_id, :kind, :object, :name, :dn, 'S-1-5-21-1', "
            "now() FROM domains",
            source=UUID(int=SOURCE.int + (table == "groups")),
            kind=table[:-1],
            object=company.ids[name],
            name=name,
            dn=f"CN={name},DC=corp,DC=contoso,DC=com",
        )
    wanted = (
        "onPremisesSyncEnabled,onPremisesDomainName,onPremisesSamAccountName,onPremisesSecurityIdentifier,"
        "onPremisesLastSyncDateTime"
    )
    person = api.get(f"/{version}/users/{company.ids['ann']}?$select={wanted},onPremisesImmutableId,"
                     "onPremisesDistinguishedName").body  # fmt: skip
    assert person["onPremisesSyncEnabled"] is True
    assert person["onPremisesDomainName"] == "corp.contoso.com"
    assert person["onPremisesSamAccountName"] == "ann"
    assert person["onPremisesSecurityIdentifier"] == "S-1-5-21-1"
    assert person["onPremisesLastSyncDateTime"] == "2026-01-02T03:04:05Z"
    assert person["onPremisesDistinguishedName"] == "CN=ann,DC=corp,DC=contoso,DC=com"
    assert base64.b64decode(person["onPremisesImmutableId"]) == SOURCE.bytes_le
    group = api.get(f"/{version}/groups/{company.ids['Sales']}?$select={wanted}").body
    assert (group["onPremisesSyncEnabled"], group["onPremisesSamAccountName"]) == (True, "Sales")
    refused = api.call("PATCH", f"/{version}/users/{company.ids['ann']}", {"displayName": "Other"})
    assert refused.status == 409
    assert "is synchronised from corp.contoso.com; change it there" in refused.body["error"]["message"]
