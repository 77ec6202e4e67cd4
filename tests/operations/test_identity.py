"""App registrations, roles and passwords, as an administrator changes them."""

from typing import Any

import pytest

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity import sign_in
from deskwright.identity.failures import Failure
from deskwright.identity.sign_in import SignedIn
from deskwright.operations import applications, audit, credentials, roles, users
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database

Change = tuple[Database, TenantRef, str]


@pytest.fixture
def change(database: Database, contoso: TenantRef) -> Change:
    users.create(database, contoso, "test", user_principal_name="adele@contoso.com")
    return database, contoso, "test"


def activities(change: Change) -> list[str]:
    return [e["activity"] for e in audit.list_(*change[:2])]


def entered(change: Change, password: str) -> SignedIn | Failure:
    return sign_in.sign_in(change[0], change[1].id, "adele@contoso.com", password)


def test_an_application_is_made_changed_listed_and_deleted(change: Change) -> None:
    made = applications.create(
        *change, display_name=" report ", permissions=["cloudpc.read.all", "User.Read.All", "CloudPC.Read.All"]
    )
    assert made["displayName"] == "report"
    assert made["permissions"] == ["CloudPC.Read.All", "User.Read.All"]
    applications.set_(*change, "REPORT", display_name="nightly", redirect_uris=["http://localhost"])
    found = applications.show(*change[:2], made["id"])
    assert (found["displayName"], found["redirectUris"]) == ("nightly", ["http://localhost"])
    assert found["permissions"] == made["permissions"], "what was not given stays"
    assert [a["id"] for a in applications.list_(*change[:2])] == [made["id"]]
    applications.set_(*change, "nightly", permissions=[])
    assert applications.show(*change[:2], "nightly")["permissions"] == []
    applications.delete_(*change, "nightly")
    assert applications.list_(*change[:2]) == []
    assert activities(change)[:4] == [
        "Delete app registration",
        "Update app registration",
        "Update app registration",
        "Create app registration",
    ]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"display_name": ""}, "displayName"),
        ({"display_name": "Report"}, "displayName"),
        ({"permissions": ["CloudPC.Everything"]}, "permissions"),
        ({"permissions": ["User.Read"]}, "permissions"),
        ({"redirect_uris": ["http://example.com"]}, "redirectUris"),
        ({"redirect_uris": ["https://a/#b"]}, "redirectUris"),
        ({"redirect_uris": ["https://a:x/"]}, "redirectUris"),
        ({"redirect_uris": ["https://user@a/"]}, "redirectUris"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "redirectUris"),
        ({"redirect_uris": ["https://"]}, "redirectUris"),
        ({"redirect_uris": ["a b"]}, "redirectUris"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(change: Change, given: dict[str, Any], field: str) -> None:
    applications.create(*change, display_name="report")
    with pytest.raises(Refused) as refused:
        applications.create(*change, **{"display_name": "other", **given})
    assert refused.value.field == field
    assert len(applications.list_(*change[:2])) == 1


@pytest.mark.parametrize("uri", ["https://a.example/back", "http://127.0.0.1/x", "com.contoso.app://auth", "msal1://x"])
def test_addresses_that_may_be_registered(change: Change, uri: str) -> None:
    assert applications.create(*change, display_name="a", redirect_uris=[uri])["redirectUris"] == [uri]


def test_secrets_are_shown_once_and_counted(change: Change) -> None:
    applications.create(*change, display_name="report")
    made = applications.add_secret(*change, "report", display_name="laptop", days=30)
    (kept,) = applications.show(*change[:2], "report")["passwordCredentials"]
    assert kept == {k: v for k, v in made.items() if k not in ("secretText", "appId")}
    assert (kept["endDateTime"] - kept["startDateTime"]).days == 30
    assert made["secretText"] not in repr(audit.list_(*change[:2]))
    with pytest.raises(NotFound):
        applications.remove_secret(*change, "report", kept["hint"])
    applications.remove_secret(*change, "report", kept["keyId"])
    assert applications.show(*change[:2], "report")["passwordCredentials"] == []
    for days in (0, 731):
        with pytest.raises(Refused, match="days"):
            applications.add_secret(*change, "report", days=days)
    for _ in range(applications.SECRETS_AT_MOST):
        applications.add_secret(*change, "report")
    with pytest.raises(Refused, match="20 secrets"):
        applications.add_secret(*change, "report")


def test_a_public_client_has_no_secret(change: Change) -> None:
    applications.create(*change, display_name="tool", public_client=True)
    with pytest.raises(Refused, match="public client"):
        applications.add_secret(*change, "tool")
    applications.create(*change, display_name="report")
    applications.add_secret(*change, "report")
    with pytest.raises(Refused, match="no secrets"):
        applications.set_(*change, "report", public_client=True)


def test_roles_are_given_and_taken_once(change: Change) -> None:
    held = roles.assign(*change, "administrator", "adele@contoso.com")
    assert held["roleDefinitionId"] == "b5c08161-a7af-481c-ace2-a20a69a48fb1"
    assert roles.assign(*change, "Cloud PC Administrator", "adele@contoso.com") == held, "harmless"
    roles.assign(*change, "ea8e2fb8-e909-44e6-bae7-56757cf6f347", "adele@contoso.com")
    assert {r["role"] for r in roles.list_(*change[:2])} == {"Cloud PC Administrator", "Cloud PC Reader"}
    assert len(roles.list_(*change[:2], role="reader", user="adele@contoso.com")) == 1
    roles.unassign(*change, "administrator", "adele@contoso.com")
    with pytest.raises(Refused, match="does not hold"):
        roles.unassign(*change, "administrator", "adele@contoso.com")
    with pytest.raises(Refused, match="is no role"):
        roles.assign(*change, "king", "adele@contoso.com")
    assert activities(change)[:3] == ["Unassign role", "Assign role", "Assign role"]
    users.delete(*change, "adele@contoso.com")
    assert roles.list_(*change[:2]) == []


def test_a_password_is_given_or_made_for_one_use(change: Change) -> None:
    item = credentials.set_password(*change, "adele@contoso.com")
    found = entered(change, item["password"])
    assert isinstance(found, SignedIn)
    assert found.must_change
    assert item["forceChangePasswordNextSignIn"] is True
    item = credentials.set_password(*change, "adele@contoso.com", "correct horse battery")
    assert "password" not in item
    found = entered(change, "correct horse battery")
    assert isinstance(found, SignedIn)
    assert not found.must_change
    with pytest.raises(Refused, match="characters"):
        credentials.set_password(*change, "adele@contoso.com", "short")
    with pytest.raises(NotFound):
        credentials.set_password(*change, "nobody@contoso.com")
    assert "horse" not in repr(audit.list_(*change[:2]))


def test_a_new_password_lifts_the_lock(change: Change) -> None:
    credentials.set_password(*change, "adele@contoso.com", "correct horse battery")
    for _ in range(sign_in.ATTEMPTS):
        assert entered(change, "wrong") is Failure.WRONG
    assert entered(change, "correct horse battery") is Failure.WRONG
    credentials.set_password(*change, "adele@contoso.com", "another horse battery")
    assert isinstance(entered(change, "another horse battery"), SignedIn)
