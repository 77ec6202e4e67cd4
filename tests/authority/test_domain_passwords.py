"""Programs and devices sign people in with the password of their domain, as the pages do."""

import re
from uuid import UUID

import pytest

from deskwright.identity import ldap_sign_in, sign_in
from deskwright.identity.apps import COMMAND_LINE
from deskwright.identity.failures import SENTENCES, Failure
from deskwright.operations import role_groups
from tests.authority.conftest import GRAPH, Door, hidden, sent_back
from tests.identity.domain_people import know, synchronised
from tests.real_domain import RealDomain


@pytest.fixture
def domain(door: Door, real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch) -> UUID:
    monkeypatch.setattr(ldap_sign_in, "_silence", ldap_sign_in._Silence())
    return know(door.company, real_domain)


def told(answer: object) -> str:
    found = re.search(r'id="wrong">(.*?)</p>', answer.text)  # type: ignore[attr-defined]
    assert found
    return found[1]


def test_a_browser(door: Door, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    synchronised(door.company, real_domain, domain, account)
    door.company.group("Admins")
    door.company.join(account.name.partition("@")[0], "Admins")
    role_groups.assign(*door.change, "administrator", "Admins")
    code = sent_back(door.sign_in(door.authorize(), account.name, account.password))["code"]
    answer = door.redeem(code)
    caller = door.caller(answer)
    assert caller.user_principal_name == account.name
    assert caller.roles == {"Cloud PC Administrator"}
    wrong = door.sign_in(door.authorize(), account.name, "not the password")
    assert told(wrong) == SENTENCES[Failure.WRONG]
    real_domain.controller.tool("user", "disable", account.name.partition("@")[0])
    assert told(door.sign_in(door.authorize(), account.name, account.password)) == SENTENCES[Failure.DISABLED]
    # What is open ends when the synchronisation has seen it.
    refreshed = door.refresh(answer.json()["refresh_token"])
    assert refreshed.status_code == 200
    door.company.sql("UPDATE users SET account_enabled = false WHERE domain_id IS NOT NULL")
    assert door.refresh(refreshed.json()["refresh_token"]).status_code == 400


def test_a_device(door: Door, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    synchronised(door.company, real_domain, domain, account)
    form = {"client_id": str(COMMAND_LINE), "scope": f"{GRAPH}/.default"}
    begun = door.browser.post(door.path("devicecode"), data=form).json()
    page = door.browser.post("/devicelogin", data={"user_code": begun["user_code"], "action": "next"})
    fields = {"csrf": hidden(page, "csrf"), "user_code": begun["user_code"], "action": "sign-in"}
    known = {**fields, "username": account.name, "password": account.password}
    assert "You are signed in" in door.browser.post("/devicelogin", data=known).text
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    answer = door.token(grant_type=grant, client_id=str(COMMAND_LINE), device_code=begun["device_code"])
    assert door.caller(answer).user_principal_name == account.name


def test_no_controller(door: Door, real_domain: RealDomain, domain: UUID) -> None:
    account = real_domain.user()
    synchronised(door.company, real_domain, domain, account)
    door.company.sql("UPDATE domains SET ca_certificate = NULL")
    away = door.sign_in(door.authorize(), account.name, account.password)
    assert told(away) == SENTENCES[Failure.UNREACHABLE]
    assert door.person("glass")
    assert sent_back(door.sign_in(door.authorize(), "glass@contoso.com"))["code"]
    assert isinstance(
        sign_in.sign_in(door.company.world.database, None, "glass@contoso.com", "correct horse battery"),
        sign_in.SignedIn,
    )
