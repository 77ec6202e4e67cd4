"""A device without a browser: the device code flow."""

from typing import Any

import pytest

from deskwright.identity.apps import COMMAND_LINE
from deskwright.operations import tenants, users
from tests.authority.conftest import BASE, GRAPH, PASSWORD, Door, error, hidden

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def begin(door: Door, tenant: str | None = None, **given: str) -> dict[str, Any]:
    form = {"client_id": str(COMMAND_LINE), "scope": f"{GRAPH}/.default offline_access openid", **given}
    answer = door.browser.post(door.path("devicecode", tenant), data=form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def poll(door: Door, device: dict[str, Any], **given: str) -> Any:
    door.company.sql("UPDATE device_codes SET polled_at = polled_at - interval '5 seconds'")
    form = {"client_id": str(COMMAND_LINE), **given}
    return door.token(grant_type=GRANT, device_code=device["device_code"], **form)


def enter(door: Door, code: str, path: str = "/devicelogin", **given: str) -> Any:
    """Type the code, then sign in (or what `given` says)."""
    page = door.browser.get(path)
    page = door.browser.post(path, data={"csrf": hidden(page, "csrf"), "user_code": code, "action": "next"})
    if page.status_code != 200:
        return page
    form = {
        "csrf": hidden(page, "csrf"),
        "user_code": hidden(page, "user_code"),
        "username": "adele@contoso.com",
        "password": PASSWORD,
        "action": "sign-in",
        **given,
    }
    return door.browser.post(path, data=form)


def test_the_device_waits_until_somebody_signs_in(door: Door) -> None:
    door.person()
    device = begin(door)
    assert device["verification_uri"] == f"{BASE}/devicelogin"
    assert device["user_code"] in device["message"]
    assert (device["expires_in"], device["interval"]) == (900, 5)
    error(poll(door, device), 400, "authorization_pending", 70016)
    page = enter(door, device["user_code"])
    assert "You are signed in" in page.text
    found = poll(door, device)
    assert door.caller(found).actor == "adele@contoso.com"
    assert {"refresh_token", "id_token"} <= set(found.json())
    error(poll(door, device), 400, "bad_verification_code", 70019)


def test_the_page_names_the_application_and_warns(door: Door) -> None:
    door.person()
    device = begin(door)
    page = door.browser.get("/devicelogin", params={"user_code": device["user_code"]})
    assert device["user_code"] in page.text
    form = {"csrf": hidden(page, "csrf"), "user_code": device["user_code"], "action": "next"}
    page = door.browser.post("/devicelogin", data=form)
    assert "Deskwright command line" in page.text
    assert "only if you started this yourself" in page.text


@pytest.mark.parametrize("how", ["{0}", "{1}", "{2}"])
def test_the_code_may_be_typed_as_people_type(door: Door, how: str) -> None:
    door.person()
    device = begin(door)
    code = device["user_code"]
    typed = how.format(code.lower(), f"{code[:4]}-{code[4:]}", f" {code[:3]} {code[3:]} ")
    assert "You are signed in" in enter(door, typed, door.path("devicelogin")).text
    assert poll(door, device).status_code == 200


def test_declining_ends_it(door: Door) -> None:
    device = begin(door)
    assert "Cancelled" in enter(door, device["user_code"], action="cancel").text
    error(poll(door, device), 400, "authorization_declined", 70018)


def test_it_expires_in_real_time(door: Door) -> None:
    device = begin(door)
    door.company.advance(days=1)
    error(poll(door, device), 400, "authorization_pending", 70016)
    door.company.sql("UPDATE device_codes SET expires_at = now()")
    error(poll(door, device), 400, "expired_token", 70020)
    assert "no such code" in enter(door, device["user_code"]).text


def test_asking_too_often_is_told(door: Door) -> None:
    device = begin(door)
    poll(door, device)
    hurried = door.token(grant_type=GRANT, device_code=device["device_code"], client_id=str(COMMAND_LINE))
    error(hurried, 400, "slow_down", 70016)


def test_a_wrong_code_or_password_signs_nobody_in(door: Door) -> None:
    door.person()
    device = begin(door)
    for code in ("", "BCDFGHJKL", "x" * 20):
        assert enter(door, code).status_code == 400
    assert "not right" in enter(door, device["user_code"], password="wrong").text
    assert enter(door, device["user_code"], csrf="x" * 40).status_code == 400
    error(poll(door, device), 400, "authorization_pending", 70016)
    error(poll(door, {"device_code": "made up"}), 400, "bad_verification_code", 70019)


def test_a_one_time_password_is_replaced_on_the_way(door: Door) -> None:
    once = door.person(password=None)
    device = begin(door)
    page = enter(door, device["user_code"], password=once)
    error(poll(door, device), 400, "authorization_pending", 70016)
    names = ("csrf", "ticket", "user_code")
    form = {**{name: hidden(page, name) for name in names}, "new": PASSWORD, "again": PASSWORD}
    assert "You are signed in" in door.browser.post("/devicelogin", data=form).text
    assert poll(door, device).status_code == 200


def test_another_client_cannot_take_it(door: Door) -> None:
    door.person()
    other = door.app("tool", public_client=True)
    device = begin(door)
    enter(door, device["user_code"])
    error(poll(door, device, client_id=other), 400, "unauthorized_client", 700016)
    assert poll(door, device).status_code == 200


def test_a_tenants_device_admits_only_its_people(door: Door) -> None:
    """Section 5: no token ever crosses."""
    door.person()
    database = door.company.world.database
    tenants.create(database, "test", "fabrikam.com")
    foreign = begin(door, "fabrikam.com")
    assert "not right" in enter(door, foreign["user_code"]).text
    assert enter(door, foreign["user_code"], door.path("devicelogin")).status_code == 400
    anybodys = begin(door, "organizations")
    assert "You are signed in" in enter(door, anybodys["user_code"]).text
    assert door.caller(poll(door, anybodys)).tenant_id == door.company.tenant.id


def test_who_was_disabled_meanwhile_gets_nothing(door: Door) -> None:
    """E1: disabling stops sign-in."""
    door.person()
    device = begin(door)
    enter(door, device["user_code"])
    users.set_(*door.change, "adele@contoso.com", account_enabled=False)
    error(poll(door, device), 400, "invalid_grant", 50057)


def test_a_request_that_cannot_be_is_refused(door: Door) -> None:
    path = door.path("devicecode")
    app = str(COMMAND_LINE)
    error(door.browser.post(path, data={"scope": "openid"}), 400, "invalid_request", 900144)
    error(door.browser.post(path, data={"client_id": app}), 400, "invalid_request", 900144)
    error(door.browser.post(path, data={"client_id": app, "scope": "x.y"}), 400, "invalid_scope", 70011)
    confidential = door.app("page")
    asked = door.browser.post(path, data={"client_id": confidential, "scope": "openid"})
    error(asked, 401, "invalid_client", 7000218)
    narrow = door.app("tool", "CloudPC.Read.All", public_client=True)
    wide = door.browser.post(path, data={"client_id": narrow, "scope": "User.ReadWrite.All"})
    error(wide, 400, "invalid_grant", 65001)


def test_codes_are_stored_only_hashed(door: Door) -> None:
    device = begin(door)
    assert device["device_code"] not in repr(door.company.sql("SELECT * FROM device_codes"))
