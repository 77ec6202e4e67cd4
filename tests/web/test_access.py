"""Administrators in the admin center: roles, guests, app registrations."""

import re
from collections.abc import Callable

import pytest

from deskwright.domain.rules import Refused
from deskwright.identity.passwords import secret_matches
from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import role_assignments, roles
from tests.company import Company
from tests.web.conftest import Browser, as_person


def give(pages: Browser, user: str, role: str = READER, origin: str = "here") -> str:
    return pages.post("access/give", {"user": user, "role": role, "from": origin}).words


def take(pages: Browser, company: Company, name: str, role: str = ADMINISTRATOR) -> tuple[int, str]:
    done = pages.post("access/take", {"principal": company.ids[name], "role": role, "kind": "person"})
    return done.status, done.words


def test_roles_are_given_and_taken(pages: Browser, company: Company) -> None:
    company.user("adele")
    assert "adele@contoso.com is Cloud PC Reader now." in give(pages, "adele@contoso.com")
    assert "adele@contoso.com" in pages.get("access").words
    assert "is Cloud PC Reader no longer" in take(pages, company, "adele", READER)[1]
    wrong = pages.post("access/give", {"user": "nobody@contoso.com", "role": READER, "from": "here"})
    assert wrong.status == 422
    assert wrong.field("user") == "nobody@contoso.com"
    assert pages.post("access/give", {"user": "adele@contoso.com", "role": "King", "from": "here"}).status == 422


def test_the_last_administrator_keeps_the_role(pages: Browser, company: Company) -> None:
    status, said = take(pages, company, "maria")
    assert status == 422
    assert "maria@contoso.com” is the last administrator of contoso.com" in said
    assert "Give another person the role Cloud PC Administrator first." in said
    company.user("adele")
    give(pages, "adele@contoso.com", ADMINISTRATOR)
    status, _ = take(pages, company, "maria")
    assert status in (200, 404)
    assert pages.get("").status == 404
    held = roles.list_(company.world.database, company.tenant, role=ADMINISTRATOR)
    assert [h["userPrincipalName"] for h in held] == ["adele@contoso.com"]


def test_a_disabled_administrator_is_none_who_could_take_over(pages: Browser, company: Company) -> None:
    company.user("adele")
    give(pages, "adele@contoso.com", ADMINISTRATOR)
    company.enable_user("adele", False)
    assert take(pages, company, "maria")[0] == 422


def test_others_may_take_the_last_role_and_the_api_keeps_to_the_same_rule(company: Company) -> None:
    database, tenant = company.world.database, company.tenant
    company.user("maria")
    upn = "maria@contoso.com"
    made = role_assignments.create(database, tenant, "test", role=ADMINISTRATOR, principals=[upn])
    own: list[Callable[[], object]] = [
        lambda: roles.unassign(database, tenant, upn.upper(), ADMINISTRATOR, upn),
        lambda: role_assignments.delete(database, tenant, upn, made),
    ]
    for act in own:
        with pytest.raises(Refused, match="last administrator"):
            act()
    roles.unassign(database, tenant, "the command line", ADMINISTRATOR, upn)
    assert roles.list_(database, tenant) == []


def test_a_group_gives_its_members_a_role(pages: Browser, company: Company) -> None:
    group = company.group("Desk")
    company.user("adele")
    company.join("adele", "Desk")
    assert "Everybody in Desk is Cloud PC Reader now." in give(pages, "Desk", READER, "group")
    shown = pages.get("access")
    assert "Desk Group of 1 person" in shown.words
    assert "Through groups User name Through adele@contoso.com Desk" in shown.words
    assert as_person(pages, company, "adele", None).get("access").status == 200
    missing = pages.post("access/give", {"user": "Nobody", "role": READER, "from": "group"})
    assert missing.status == 422
    done = pages.post("access/take", {"principal": group, "role": READER, "kind": "group"})
    assert "Everybody in Desk is Cloud PC Reader no longer." in done.words
    assert as_person(pages, company, "adele", None).get("access").status == 404


def test_identity_providers_are_added_changed_and_removed(pages: Browser, company: Company) -> None:
    fields = {
        "displayName": "Work id",
        "issuer": "http://127.0.0.1:9",
        "clientId": "us",
        "clientSecret": " a secret ",
        "userClaim": "preferred_username",
    }
    wrong = pages.post("access/providers/new", {**fields, "issuer": "http://id.example"})
    assert wrong.status == 422
    assert wrong.field("clientSecret") == ""
    made = pages.post("access/providers/new", fields)
    assert "Added, but it cannot be used yet. 127.0.0.1:9 cannot be reached" in made.words
    at = made.url.partition("/admin/contoso.com/")[2]
    assert "a secret" not in made.text
    assert f"http://127.0.0.1/sign-in/back/{at.rpartition('/')[2]}" in made.words
    (row,) = company.sql("SELECT client_secret FROM identity_providers")
    assert company.world.secrets.decrypt(row.client_secret) == " a secret "
    kept = pages.post(f"{at}/edit", {**fields, "clientId": "them", "clientSecret": ""})
    assert "Saved." in kept.words
    (row,) = company.sql("SELECT client_id, client_secret FROM identity_providers")
    assert (row.client_id, company.world.secrets.decrypt(row.client_secret)) == ("them", " a secret ")
    pages.post(f"{at}/edit", {**fields, "clientSecret": "", "removeSecret": "true"})
    assert company.sql("SELECT client_secret FROM identity_providers") == [(None,)]
    assert "Nobody signs in with it any more" in pages.post(f"{at}/enable", {"enabled": "false"}).words
    assert "cannot be reached" in pages.post(f"{at}/check").words
    assert "Work id is deleted" in pages.post(f"{at}/delete").words


def test_a_person_of_another_tenant_becomes_a_guest(pages: Browser, company: Company) -> None:
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('msp.com') RETURNING id")
    company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) VALUES (:other, 'pat@msp.com', 'Pat')",
        other=other,
    )
    assert "no such object in this tenant" in give(pages, "pat@msp.com", ADMINISTRATOR)
    assert "pat@msp.com is Cloud PC Administrator now." in give(pages, "pat@msp.com", ADMINISTRATOR, "elsewhere")
    shown = pages.get("access")
    assert "pat@msp.com Guest from msp.com" in shown.words
    ((guest,),) = company.sql("SELECT user_id FROM guest_roles WHERE tenant_id = :tenant")
    gone = pages.post("access/take", {"principal": guest, "role": ADMINISTRATOR, "kind": "guest"})
    assert "is Cloud PC Administrator no longer" in gone.words


def test_an_app_registration_and_its_secret(pages: Browser, company: Company) -> None:
    bad = pages.post("access/apps/new", {"displayName": "report", "redirectUris": "http://example.com/"})
    assert bad.status == 422
    assert "must be https" in bad.words
    permissions = ["CloudPC.Read.All", "User.Read.All"]
    made = pages.post("access/apps/new", {"displayName": "report", "kind": "secret", "permissions": permissions})
    assert "Now make a secret for it." in made.words
    at = made.url.partition("contoso.com/")[2]
    shown = pages.post(f"{at}/secrets/add", {"label": "pipeline", "days": "30"})
    (secret,) = re.findall(r"<code>([\w.~-]{40})</code>", shown.text)
    ((kept,),) = company.sql("SELECT hash FROM app_secrets")
    assert secret_matches(kept, secret)
    one = pages.get(at)
    assert secret not in one.text
    assert f"pipeline {secret[:3]}…" in one.words
    assert pages.post(f"{at}/secrets/add", {"days": "0"}).status == 422
    assert "Saved." in pages.post(f"{at}/edit", {"displayName": "report", "permissions": "CloudPC.Read.All"}).words
    assert "report CloudPC.Read.All with secrets Enabled" in pages.get("access/apps").words
    assert "Disabled." in pages.post(f"{at}/account", {"accountEnabled": "false"}).words
    key = one.field("keyId")
    assert "The secret pipeline is removed." in pages.post(f"{at}/secrets/remove", {"keyId": key}).words
    assert "report is deleted" in pages.post(f"{at}/delete").words


def test_a_public_app_keeps_no_secret(pages: Browser) -> None:
    made = pages.post("access/apps/new", {"displayName": "cli", "kind": "public", "redirectUris": "http://localhost"})
    assert "A program on people's machines" in made.words
    assert "Make a secret" not in made.words


def test_a_reader_sees_and_changes_nothing(pages: Browser, company: Company) -> None:
    pages.post("access/apps/new", {"displayName": "report", "kind": "secret"})
    reader = as_person(pages, company, "rita")
    for path in ("access", "access/apps", "access/apps/report"):
        seen = reader.get(path)
        assert seen.status == 200
        assert "<form method" not in seen.text.partition("<main")[2]
    assert reader.post("access/give", {"user": "rita@contoso.com", "role": ADMINISTRATOR}).status == 403
    for what in ("secrets/add", "delete", "edit"):
        assert reader.post(f"access/apps/report/{what}").status == 403
