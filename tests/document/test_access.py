"""Identity providers and roles of groups in documents."""

import pytest

from deskwright.document.apply import Document, apply
from deskwright.domain.rules import Refused
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import groups, role_groups, users
from tests.document.conftest import Documents

DOCUMENT = """
tenant: contoso.com
users:
  - {userPrincipalName: adele@contoso.com}
groups:
  - {displayName: Desk, members: [adele@contoso.com]}
  - {displayName: Admins}
roleGroups:
  - {role: administrator, group: admins}
  - {role: Cloud PC Reader, group: Desk}
identityProviders:
  - displayName: Work id
    issuer: https://id.example/realm
    clientId: us
    clientSecret: {env: WORK_ID_CLIENT_PASSWORD}
"""
SECRET = "very secret indeed"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORK_ID_CLIENT_PASSWORD", SECRET)


def test_written_exported_and_written_again(documents: Documents) -> None:
    first = documents.apply(DOCUMENT)
    assert first.counts["roleGroups"] == {"create": 2}
    assert first.counts["identityProviders"] == {"create": 1}
    tenant = documents.tenant()
    held = [(i["role"], i["groupDisplayName"]) for i in role_groups.list_(documents.world.database, tenant)]
    assert held == [(ADMINISTRATOR, "Admins"), (READER, "Desk")]
    ((kept, *rest),) = documents.sql("SELECT client_secret, user_claim, enabled FROM identity_providers")
    assert documents.world.secrets.decrypt(kept) == SECRET
    assert rest == ["preferred_username", True]
    exported = documents.export()
    assert "roleGroups:\n  - {role: Cloud PC Administrator, group: Admins}" in exported
    assert "clientSecret: {env: WORK_ID_CLIENT_PASSWORD}" in exported
    assert documents.plan(exported, prune=True).counts == {}
    assert SECRET not in exported + repr(documents.sql("SELECT before, after FROM audit_events"))


def test_only_what_differs_is_changed(documents: Documents, monkeypatch: pytest.MonkeyPatch) -> None:
    documents.apply(DOCUMENT)
    changed = DOCUMENT.replace("clientId: us", "clientId: them").replace(
        "  - {role: Cloud PC Reader, group: Desk}\n", ""
    )
    assert documents.apply(changed).counts == {"identityProviders": {"update": 1}}
    assert documents.apply(changed, prune=True).counts == {"roleGroups": {"delete": 1}}
    monkeypatch.setenv("WORK_ID_CLIENT_PASSWORD", "another")
    planned = documents.plan(changed)
    assert planned.changes == [
        {"kind": "identityProviders", "name": "Work id", "change": "update", "properties": ["clientSecret"]}
    ]
    documents.apply(changed)
    ((kept,),) = documents.sql("SELECT client_secret FROM identity_providers")
    assert documents.world.secrets.decrypt(kept) == "another"
    nothing = "tenant: contoso.com\nroleGroups: []\nidentityProviders: []\n"
    assert documents.apply(nothing, prune=True).counts == {
        "roleGroups": {"delete": 1},
        "identityProviders": {"delete": 1},
    }


def test_what_is_wrong_is_told_with_its_line(documents: Documents) -> None:
    wrong = """
tenant: contoso.com
groups: [{displayName: Desk}]
roleGroups:
  - {role: king, group: Desk}
  - {role: reader, group: Desks}
  - {role: reader, group: Desk}
  - {role: Cloud PC Reader, group: desk}
identityProviders:
  - {displayName: A, issuer: "http://id.example", clientId: x}
  - {displayName: B, issuer: "https://id.example", clientId: x, clientSecret: plain}
  - {displayName: C, issuer: "https://id.example", clientId: x, clientSecret: {env: NOT_SET_ANYWHERE}}
"""
    told = {(p.line, p.field): p.rule for p in documents.problems(wrong)}
    assert "is no role" in told.pop((5, "roleGroups[0].role"))
    assert "did you mean Desk" in told.pop((6, "roleGroups[1].group")).replace("'", "")
    assert "written twice" in told.pop((8, "roleGroups.group"))
    assert "must be https" in told.pop((10, "identityProviders[0].issuer"))
    assert "{env: NAME}" in told.pop((11, "identityProviders[1].clientSecret"))
    assert "NOT_SET_ANYWHERE is not set" in told.pop((12, "identityProviders[2].clientSecret"))
    assert told == {}


def test_a_document_does_not_lock_up_behind_who_applies_it(documents: Documents) -> None:
    documents.apply(DOCUMENT)
    change = documents.world.database, documents.tenant(), "test"
    groups.add_members(*change, "Admins", ["adele@contoso.com"])
    without = "tenant: contoso.com\nroleGroups: []\n"
    for document in (without, "tenant: contoso.com\ngroups: [{displayName: Desk}]\n"):
        with pytest.raises(Refused, match="is the last administrator"):
            apply(documents.world, Document.of(document, "tenant.yaml"), "adele@contoso.com", prune=True)
    assert documents.apply(without, prune=True).counts == {"roleGroups": {"delete": 2}}
    assert users.show(change[0], change[1], "adele@contoso.com")["accountEnabled"]
