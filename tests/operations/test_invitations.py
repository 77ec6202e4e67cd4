"""R16: people are invited by a one-time link; the first administrator is one of them."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity import links
from deskwright.operations import audit, invitations, roles, tenants, users
from deskwright.operations.change import TenantRef
from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.receivers import mail_server

BASE = "https://desktops.contoso.com"
CHOSEN = "correct horse battery"
Change = tuple[Database, TenantRef, str]


@pytest.fixture
def change(database: Database, contoso: TenantRef) -> Change:
    users.create(database, contoso, "test", user_principal_name="adele@contoso.com", display_name="Adele Vance")
    return database, contoso, "test"


def token_of(url: str) -> str:
    assert url.startswith(f"{BASE}/sign-in/link/")
    return url.rpartition("/")[2]


def test_an_invitation_is_a_link_that_works(change: Change) -> None:
    item = invitations.invite(*change, "ADELE@contoso.com", base=f"{BASE}/")
    assert (item["userPrincipalName"], item["mailed"]) == ("adele@contoso.com", False)
    who = links.use(change[0], token_of(item["url"]), CHOSEN)
    assert who is not None
    assert who.person.user_principal_name == "adele@contoso.com"
    again = invitations.invite(*change, "adele@contoso.com", base=BASE)
    newest = invitations.invite(*change, "adele@contoso.com", base=BASE)
    assert links.look(change[0], token_of(again["url"])) is None
    assert links.look(change[0], token_of(newest["url"])) is not None


def test_it_is_audited_without_the_token(change: Change) -> None:
    item = invitations.invite(*change, "adele@contoso.com", base=BASE)
    event = audit.list_(*change[:2])[0]
    assert (event["activity"], event["displayName"]) == ("Invite user", "adele@contoso.com")
    assert token_of(item["url"]) not in repr(audit.list_(*change[:2]))


def test_who_cannot_be_invited(change: Change) -> None:
    users.set_(*change, "adele@contoso.com", account_enabled=False)
    with pytest.raises(Refused, match="disabled") as refused:
        invitations.invite(*change, "adele@contoso.com", base=BASE)
    assert "--enabled" in refused.value.remedy
    users.delete(*change, "adele@contoso.com")
    with pytest.raises(NotFound):
        invitations.invite(*change, "adele@contoso.com", base=BASE)


def test_it_is_mailed_where_a_mail_server_is_set(change: Change, tmp_path: Path) -> None:
    users.set_(*change, "adele@contoso.com", mail="adele@home.example")
    with mail_server() as inbox:
        url = SecretStr(f"smtp://127.0.0.1:{inbox.port}")
        settings = Settings(data_dir=tmp_path, smtp_url=url, mail_from="desktops@contoso.com")
        item = invitations.invite(*change, "adele@contoso.com", base=BASE, settings=settings)
        assert item["mailed"]
    assert inbox.recipients == ["adele@home.example"]
    part = inbox.mails[0].get_body(("plain",))
    assert part is not None
    assert item["url"] in part.get_content()
    assert links.look(change[0], token_of(item["url"])) is not None
    item = invitations.invite(*change, "adele@contoso.com", base=BASE, settings=settings)
    assert not item["mailed"], "the server is away: the link can still be passed on"
    assert links.look(change[0], token_of(item["url"])) is not None


def test_the_first_administrator_comes_to_be_and_is_left_alone(change: Change) -> None:
    database, contoso, _ = change
    first = invitations.first_administrator(*change, base=BASE)
    assert first is not None
    assert first["userPrincipalName"] == "admin@contoso.com"
    assert users.show(database, contoso, "admin@contoso.com")["displayName"] == "Administrator"
    assert [r["userPrincipalName"] for r in roles.list_(database, contoso, role="administrator")] == [
        "admin@contoso.com"
    ]
    again = invitations.first_administrator(*change, base=BASE)
    assert again is not None, "nobody has chosen a password yet"
    assert links.look(database, token_of(first["url"])) is None
    links.use(database, token_of(again["url"]), CHOSEN)
    assert invitations.first_administrator(*change, base=BASE) is None
    named = invitations.first_administrator(*change, "adele@contoso.com", base=BASE)
    assert named is not None, "who is named gets a link"
    assert len(roles.list_(database, contoso, role="administrator")) == 2
    assert len(users.list_(database, contoso)) == 2
    users.set_(*change, "admin@contoso.com", account_enabled=False)
    with pytest.raises(Refused, match="disabled"):
        invitations.first_administrator(*change, base=BASE)


@pytest.mark.parametrize(
    ("tenant", "upn"),
    [
        ("My Lab", "admin@my-lab"),
        ("  ??? ", "admin@localhost"),
        ("a@b", "admin@a-b"),
        ("Fabrikam.com", "admin@fabrikam.com"),
    ],
)
def test_any_tenants_name_gives_a_user_name(database: Database, tenant: str, upn: str) -> None:
    tenants.create(database, "test", tenant, default_simulated_sites=False)
    here = tenants.find(database, tenant)
    item = invitations.first_administrator(database, here, "test", base=BASE)
    assert item is not None
    assert item["userPrincipalName"] == upn
