"""Domains in a document, and the people and groups that come from one."""

import pytest

from tests.document.conftest import Documents

DOMAIN = """
tenant: contoso.com
domains:
  - domainName: Corp.contoso.com
    userName: reader@corp.contoso.com
    password: {env: READER}
    nameServers: [10.0.0.10]
    searchBases: ["OU=Staff,DC=corp,DC=contoso,DC=com"]
"""
REST = """
users:
  - {userPrincipalName: mine@contoso.com}
groups:
  - {displayName: Mine, members: [mine@contoso.com, ann@corp.contoso.com]}
servicePlans:
  - {displayName: Cloud PC Enterprise 2vCPU/8GB/128GB, seats: 5}
licenses:
  - {servicePlan: Cloud PC Enterprise 2vCPU/8GB/128GB, groups: [Sales]}
"""


@pytest.fixture(autouse=True)
def _reader(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READER", "CORP_CONTOSO_COM_READER_PASSWORD"):
        monkeypatch.setenv(name, "s3cret!")


def synchronised(documents: Documents) -> None:
    """Ann and Sales, as a run would leave them."""
    documents.sql(
        "WITH d AS (SELECT id, tenant_id FROM domains), u AS ("
        "INSERT INTO users (tenant_id, user_principal_name, display_name, domain_id) "
        "SELECT tenant_id, 'ann@corp.contoso.com', 'Ann', id FROM d RETURNING id, tenant_id), g AS ("
        "INSERT INTO groups (tenant_id, display_name, domain_id) SELECT tenant_id, 'Sales', id FROM d RETURNING id) "
        "INSERT INTO memberships (group_id, user_id, tenant_id) SELECT g.id, u.id, u.tenant_id FROM g, u"
    )


def test_a_domain_is_made_changed_and_read_again(documents: Documents) -> None:
    made = documents.apply(DOMAIN)
    assert made.counts["domains"] == {"create": 1}
    assert documents.sql("SELECT name, next_sync_at IS NOT NULL FROM domains") == [("corp.contoso.com", True)]
    assert documents.apply(DOMAIN).counts == {}
    documents.sql("""UPDATE domains SET cursor = '{"controller": "dc1"}'""")
    changed = documents.apply(DOMAIN.replace("10.0.0.10", "10.0.0.11"))
    assert changed.counts["domains"] == {"update": 1}
    assert documents.sql("SELECT name_servers, cursor FROM domains") == [(["10.0.0.11"], {})]
    exported = documents.export()
    assert "CORP_CONTOSO_COM_READER_PASSWORD" in exported
    assert "s3cret!" not in exported
    assert documents.apply(DOMAIN + "    syncEnabled: false\n").counts["domains"] == {"update": 1}
    assert documents.sql("SELECT next_sync_at, account_password IS NOT NULL FROM domains") == [(None, True)]
    assert "s3cret!" not in str(documents.sql("SELECT before, after FROM audit_events"))


def test_what_is_wrong_with_a_domain_is_told_by_line(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    found = documents.problems(DOMAIN.replace("OU=Staff,DC=corp", "OU=Staff,DC=other").replace("10.0.0.10", "dc1"))
    assert {(p.line, p.field) for p in found} == {(7, "domains[0].nameServers"), (8, "domains[0].searchBases")}
    (found_one,) = documents.problems(DOMAIN.replace("    password: {env: READER}\n", ""))
    assert "needed to read the domain" in found_one.rule
    monkeypatch.delenv("READER")
    (found_one,) = documents.problems(DOMAIN)
    assert "READER" in found_one.rule


def test_who_comes_from_a_domain_may_be_named_but_is_changed_there(documents: Documents) -> None:
    documents.apply(DOMAIN)
    synchronised(documents)
    documents.apply(DOMAIN + REST, prune=True)
    people = documents.sql("SELECT user_principal_name FROM users WHERE deleted_at IS NULL ORDER BY 1")
    assert people == [("ann@corp.contoso.com",), ("mine@contoso.com",)]
    assert documents.sql("SELECT display_name FROM groups ORDER BY 1") == [("Mine",), ("Sales",)]
    exported = documents.export()
    assert "Ann" not in exported
    assert "displayName: Sales" not in exported
    assert documents.apply(exported, prune=True).counts == {}
    says = "is synchronised from corp.contoso.com; change it there"
    for wrong in (
        "users:\n  - {userPrincipalName: ann@corp.contoso.com, displayName: Other}\n",
        "users:\n  - {userPrincipalName: ann@corp.contoso.com, accountEnabled: false}\n",
        "groups:\n  - {displayName: Sales, kind: microsoft365}\n",
    ):
        (problem,) = documents.problems("tenant: contoso.com\n" + wrong)
        assert (problem.line, problem.rule) == (3, says)
    (problem,) = documents.problems("tenant: contoso.com\ngroups:\n  - {displayName: Sales, members: []}\n")
    assert "members are synchronised from corp.contoso.com" in problem.rule
    # A domain that is not named any more leaves them behind.
    documents.apply("tenant: contoso.com\ndomains: []\n", prune=True)
    assert documents.sql("SELECT domain_id FROM users WHERE user_principal_name LIKE 'ann%'") == [(None,)]
