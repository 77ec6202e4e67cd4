"""People sign in with a browser: the authorization code with PKCE, the pages, and refresh tokens."""

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deskwright.identity.apps import COMMAND_LINE
from deskwright.identity.passwords import SHORTEST
from deskwright.operations import applications, credentials, roles, tenants, users
from tests.authority.conftest import BASE, CHALLENGE, GRAPH, PASSWORD, REDIRECT, Door, error, hidden, sent_back


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


def test_from_the_page_to_the_token(door: Door) -> None:
    door.person()
    roles.assign(*door.change, "administrator", "adele@contoso.com")
    answer = door.sign_in(door.authorize(nonce="n-1"))
    back = sent_back(answer)
    assert back["state"] == "s-1"
    found = door.redeem(back["code"], client_info="1")
    caller = door.caller(found)
    assert caller.actor == caller.user_principal_name == "adele@contoso.com"
    assert caller.roles == {"Cloud PC Administrator"}
    assert "CloudPC.ReadWrite.All" in caller.permissions
    assert caller.app_name == "Deskwright command line"
    identity = claims(found.json()["id_token"])
    assert (identity["nonce"], identity["aud"]) == ("n-1", str(COMMAND_LINE))
    assert identity["iss"] == f"{BASE}/{door.tenant}/v2.0"
    info = json.loads(base64.urlsafe_b64decode(found.json()["client_info"] + "=="))
    assert info == {"uid": identity["oid"], "utid": door.tenant}


def test_only_what_was_asked_for_is_given(door: Door) -> None:
    door.person()
    found = door.redeem(door.code(door.authorize(scope="cloudpc.read.all")))
    assert door.caller(found).permissions == {"CloudPC.Read.All", "User.Read"}
    assert "refresh_token" not in found.json(), "offline_access was not asked for"
    assert "id_token" not in found.json()


def test_an_application_gives_no_more_than_it_has_been_granted(door: Door) -> None:
    door.person()
    app = door.app("page", "CloudPC.Read.All", redirect_uris=[REDIRECT])
    secret = door.secret("page")
    wide = door.authorize(client_id=app, scope="CloudPC.ReadWrite.All")
    code = door.code(wide)
    said = error(door.redeem(code, client_id=app, client_secret=secret), 400, "invalid_grant", 65001)
    assert "CloudPC.ReadWrite.All" in said
    code = door.code(door.authorize(client_id=app))
    found = door.redeem(code, client_id=app, client_secret=secret)
    assert door.caller(found).permissions == {"CloudPC.Read.All", "User.Read"}


def test_a_confidential_client_must_show_its_secret(door: Door) -> None:
    door.person()
    app = door.app("page", redirect_uris=[REDIRECT])
    query = door.authorize(client_id=app, code_challenge="", code_challenge_method="")
    code = door.code(query)
    error(door.redeem(code, client_id=app, code_verifier=""), 401, "invalid_client", 7000218)
    found = door.redeem(code, client_id=app, client_secret=door.secret("page"), code_verifier="")
    assert door.caller(found).app_name == "page"


@pytest.mark.parametrize(
    ("wrong", "what", "number"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant", 70000),
        ({"code_verifier": ""}, "invalid_request", 900144),
        ({"redirect_uri": "http://localhost:8401"}, "invalid_grant", 70000),
        ({"redirect_uri": ""}, "invalid_grant", 70000),
    ],
)
def test_a_code_is_worth_nothing_without_its_verifier_and_address(
    door: Door, wrong: dict[str, str], what: str, number: int
) -> None:
    door.person()
    code = door.code()
    error(door.redeem(code, **wrong), 400, what, number)
    error(door.redeem(code), 400, "invalid_grant", 70008)


def test_a_code_counts_once_and_a_second_use_ends_what_came_of_it(door: Door) -> None:
    door.person()
    code = door.code()
    first = door.redeem(code).json()
    error(door.redeem(code), 400, "invalid_grant", 70008)
    error(door.refresh(first["refresh_token"]), 400, "invalid_grant", 70008)


def test_a_code_expires_and_is_stored_only_hashed(door: Door) -> None:
    door.person()
    code = door.code()
    assert code not in repr(door.company.sql("SELECT * FROM authorization_codes"))
    door.company.sql("UPDATE authorization_codes SET expires_at = now()")
    error(door.redeem(code), 400, "invalid_grant", 70008)


def test_a_code_of_one_client_is_worth_nothing_to_another(door: Door) -> None:
    door.person()
    other = door.app("tool", public_client=True, redirect_uris=["http://localhost"])
    error(door.redeem(door.code(), client_id=other), 400, "invalid_grant", 70008)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({"client_id": "0f8fad5b-d9cb-469f-a165-70867728950e"}, 700016),
        ({"client_id": ""}, 7000218),
        ({"redirect_uri": "https://evil.example/"}, 900144),
        ({"redirect_uri": "http://localhost.evil.example:8400"}, 900144),
        ({"redirect_uri": "http://localhost:8400@evil.example"}, 900144),
        ({"redirect_uri": "http://localhost:8400/elsewhere"}, 900144),
        ({"redirect_uri": "javascript:alert(1)"}, 900144),
        ({"redirect_uri": ""}, 900144),
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_registered(door: Door, given: dict[str, str], number: int) -> None:
    query = door.authorize(**given)
    for _ in range(2):
        page = door.browser.get(door.path("authorize"), params=query, follow_redirects=False)
        assert page.status_code == 400
        assert "location" not in page.headers
        assert f"AADSTS{number}" in page.text
        query["prompt"] = "none"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"scope": "CloudPC.Everything"}, "invalid_scope"),
        ({"scope": ""}, "invalid_request"),
        ({"code_challenge": "", "code_challenge_method": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_other_mistakes_are_told_to_the_client(door: Door, given: dict[str, str], what: str) -> None:
    answer = door.browser.get(door.path("authorize"), params=door.authorize(**given), follow_redirects=False)
    back = sent_back(answer)
    assert back["error"] == what
    assert back["state"] == "s-1"


def test_a_public_client_may_use_any_port_of_this_machine_and_no_other_address(door: Door) -> None:
    """RFC 8252, section 7.3."""
    door.person()
    app = door.app("tool", public_client=True, redirect_uris=["http://localhost/back"])
    for port in ("", ":1", ":65535"):
        query = door.authorize(client_id=app, redirect_uri=f"http://localhost{port}/back")
        assert door.browser.get(door.path("authorize"), params=query).status_code == 200
    for uri in ("http://localhost:99999/back", "http://localhost:x/back", "https://localhost:1/back"):
        query = door.authorize(client_id=app, redirect_uri=uri)
        assert door.browser.get(door.path("authorize"), params=query).status_code == 400


def test_cancelling_tells_the_client(door: Door) -> None:
    assert sent_back(door.sign_in(door.authorize(), action="cancel"))["error"] == "access_denied"


def test_the_code_may_be_posted_or_put_in_the_fragment(door: Door) -> None:
    door.person()
    page = door.sign_in(door.authorize(response_mode="form_post"))
    assert page.status_code == 200
    assert f'action="{REDIRECT}"' in page.text
    assert hidden(page, "state") == "s-1"
    assert f"form-action 'self' {REDIRECT}" in page.headers["content-security-policy"]
    assert door.caller(door.redeem(hidden(page, "code"))).actor == "adele@contoso.com"
    answer = door.sign_in(door.authorize(response_mode="fragment"))
    parts = urlsplit(answer.headers["location"])
    assert parts.query == ""
    assert door.caller(door.redeem(parse_qs(parts.fragment)["code"][0])).actor == "adele@contoso.com"


# --- the page itself ---------------------------------------------------------------------------------


def test_unknown_user_wrong_password_and_no_password_get_the_same_answer(door: Door) -> None:
    door.person()
    door.company.user("alex")
    said = set()
    for name, password in (
        ("nobody@contoso.com", PASSWORD),
        ("adele@contoso.com", "wrong"),
        ("alex@contoso.com", PASSWORD),
        ("adele@contoso.com", ""),
        ("adele@contoso.com", "x" * 5000),
    ):
        answer = door.sign_in(door.authorize(), name, password)
        assert answer.status_code == 400
        said.add(answer.text.partition('role="alert" id="wrong">')[2].partition("</p>")[0])
    assert len(said) == 1
    assert "not right" in said.pop()


def test_a_disabled_or_deleted_user_does_not_sign_in(door: Door) -> None:
    """E1: disabling stops sign-in."""
    door.person()
    users.set_(*door.change, "adele@contoso.com", account_enabled=False)
    assert "disabled" in door.sign_in(door.authorize()).text
    assert "disabled" not in door.sign_in(door.authorize(), password="wrong").text, "not told to a stranger"
    users.set_(*door.change, "adele@contoso.com", account_enabled=True)
    assert door.code()
    users.delete(*door.change, "adele@contoso.com")
    assert "not right" in door.sign_in(door.authorize()).text


def test_ten_errors_lock_for_five_minutes_of_real_time(door: Door) -> None:
    door.person()
    for _ in range(10):
        assert door.sign_in(door.authorize(), password="wrong").status_code == 400
    assert "not right" in door.sign_in(door.authorize()).text
    door.company.advance(days=1)
    assert door.sign_in(door.authorize()).status_code == 400, "the tenant's clock does not unlock (R5)"
    assert [a.activity for a in door.company.sql("SELECT activity FROM audit_events")].count("Lock sign-in") == 1
    door.company.sql("UPDATE user_credentials SET locked_until = locked_until - interval '5 minutes'")
    assert door.code()


def test_a_right_password_forgets_the_errors_before_it(door: Door) -> None:
    door.person()
    for _ in range(2):
        for _ in range(6):
            door.sign_in(door.authorize(), password="wrong")
        assert door.code()


def test_a_form_of_another_site_is_not_taken(door: Door) -> None:
    door.person()
    path, query = door.path("authorize"), door.authorize()
    form = {"username": "adele@contoso.com", "password": PASSWORD, "csrf": "made up by somebody else entirely"}
    answer = door.browser.post(path, params=query, data=form, follow_redirects=False)
    assert answer.status_code == 400
    page = door.browser.get(path, params=query)
    door.browser.cookies.clear()
    stolen = {**form, "csrf": hidden(page, "csrf")}
    assert door.browser.post(path, params=query, data=stolen, follow_redirects=False).status_code == 400
    cancelled = door.browser.post(path, params=query, data={**stolen, "action": "cancel"}, follow_redirects=False)
    assert cancelled.status_code == 400


def test_pages_may_not_be_framed_scripted_or_kept(door: Door) -> None:
    page = door.browser.get(door.path("authorize"), params=door.authorize(login_hint='<script>"x'))
    policy = page.headers["content-security-policy"]
    for wanted in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", f"form-action 'self' {REDIRECT}"):
        assert wanted in policy
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert "<script>" not in page.text
    assert 'value="&lt;script&gt;&#34;x"' in page.text
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


def test_pages_can_be_used_by_everybody(door: Door) -> None:
    """WCAG: language, labels, a title, errors that are announced and tied to their fields; phone and dark mode."""
    door.person()
    wrong = door.sign_in(door.authorize(), password="wrong").text
    for wanted in (
        '<html lang="en">',
        "<title>Error: Sign in",
        'name="viewport"',
        "prefers-color-scheme: dark",
        '<label for="username">',
        '<label for="password">',
        'role="alert"',
        'aria-describedby="wrong"',
        'autocomplete="username"',
        'autocomplete="current-password"',
    ):
        assert wanted in wrong
    assert 'value="adele@contoso.com"' in wrong
    assert 'value="wrong"' not in wrong


def test_a_one_time_password_must_be_replaced(door: Door) -> None:
    once = door.person(password=None)
    query, path = door.authorize(), door.path("authorize")
    page = door.sign_in(query, password=once)
    assert page.status_code == 200
    assert "Choose a password" in page.text
    form = {"csrf": hidden(page, "csrf"), "ticket": hidden(page, "ticket"), "action": "new-password"}

    def choose(new: str, again: str) -> Any:
        return door.browser.post(path, params=query, data={**form, "new": new, "again": again}, follow_redirects=False)

    assert "not the same" in choose(PASSWORD, PASSWORD + "x").text
    assert f"{SHORTEST} to" in choose("short", "short").text
    assert "another one" in choose(once, once).text
    assert "must not be the user name" in choose("adele@contoso.com", "adele@contoso.com").text
    assert door.caller(door.redeem(sent_back(choose(PASSWORD, PASSWORD))["code"])).actor == "adele@contoso.com"
    assert choose("another password", "another password").status_code == 400, "the ticket counted once"
    assert "not right" in door.sign_in(query, password=once).text
    assert door.code()
    assert PASSWORD not in repr(door.company.sql("SELECT * FROM audit_events"))
    assert PASSWORD not in repr(door.company.sql("SELECT * FROM user_credentials"))


def test_a_made_up_ticket_is_refused(door: Door) -> None:
    door.person(password=None)
    path, query = door.path("authorize"), door.authorize()
    page = door.browser.get(path, params=query)
    for ticket in ("x", door.company.world.secrets.encrypt('{"for": "something else"}').decode()):
        form = {"csrf": hidden(page, "csrf"), "ticket": ticket, "new": PASSWORD, "again": PASSWORD}
        answer = door.browser.post(path, params=query, data=form, follow_redirects=False)
        assert answer.status_code == 400
        assert "too long" in answer.text


def test_people_of_any_tenant_sign_in_at_organizations(door: Door) -> None:
    door.person()
    database = door.company.world.database
    tenants.create(database, "test", "fabrikam.com")
    other = tenants.find(database, "fabrikam.com")
    # The same name in another tenant: whose domain it is goes before.
    users.create(database, other, "test", user_principal_name="adele@contoso.com")
    credentials.set_password(database, other, "test", "adele@contoso.com", "another password")
    query = door.authorize()
    code = door.code(query, tenant="organizations")
    assert door.caller(door.redeem(code, tenant="common")).tenant_id == door.company.tenant.id
    assert door.sign_in(query, password="another password", tenant="organizations").status_code == 400
    code = door.code(query, password="another password", tenant="fabrikam.com")
    error(door.redeem(code), 400, "invalid_grant", 50020)


def test_an_application_admits_only_people_of_its_tenant(door: Door) -> None:
    app = door.app("page", redirect_uris=[REDIRECT])
    database = door.company.world.database
    tenants.create(database, "test", "fabrikam.com")
    other = tenants.find(database, "fabrikam.com")
    users.create(database, other, "test", user_principal_name="alex@fabrikam.com")
    credentials.set_password(database, other, "test", "alex@fabrikam.com", PASSWORD)
    query = door.authorize(client_id=app)
    assert "not right" in door.sign_in(query, "alex@fabrikam.com", tenant="common").text
    page = door.browser.get(door.path("authorize", "fabrikam.com"), params=query)
    assert page.status_code == 400
    assert "AADSTS700016" in page.text


# --- refresh tokens ----------------------------------------------------------------------------------


def test_a_refresh_token_brings_new_ones_and_counts_once(door: Door) -> None:
    door.person()
    first = door.redeem(door.code()).json()
    second = door.refresh(first["refresh_token"])
    assert door.caller(second).actor == "adele@contoso.com"
    assert second.json()["refresh_token"] != first["refresh_token"]
    assert "id_token" in second.json()
    held = repr(door.company.sql("SELECT * FROM refresh_tokens"))
    assert first["refresh_token"] not in held
    assert second.json()["refresh_token"] not in held


def test_two_processes_may_refresh_at_the_same_moment(door: Door) -> None:
    door.person()
    first = door.redeem(door.code()).json()["refresh_token"]
    one, two = door.refresh(first), door.refresh(first)
    assert door.refresh(one.json()["refresh_token"]).status_code == 200
    assert door.refresh(two.json()["refresh_token"]).status_code == 200


def test_a_refresh_token_used_again_later_ends_its_family(door: Door) -> None:
    door.person()
    first = door.redeem(door.code()).json()["refresh_token"]
    second = door.refresh(first).json()["refresh_token"]
    other = door.redeem(door.code()).json()["refresh_token"]
    door.company.sql("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")
    error(door.refresh(first), 400, "invalid_grant", 70008)
    error(door.refresh(second), 400, "invalid_grant", 70008)
    assert door.refresh(other).status_code == 200, "another sign-in goes on"


def test_a_refresh_token_may_bring_less_but_not_more(door: Door) -> None:
    door.person()
    scope = "CloudPC.ReadWrite.All offline_access"
    token = door.redeem(door.code(door.authorize(scope=scope))).json()["refresh_token"]
    error(door.refresh(token, scope="User.ReadWrite.All"), 400, "invalid_grant", 65001)
    less = door.refresh(token, scope="CloudPC.Read.All")
    assert door.caller(less).permissions == {"CloudPC.Read.All", "User.Read"}
    again = door.refresh(less.json()["refresh_token"])
    assert "CloudPC.ReadWrite.All" in door.caller(again).permissions


def test_a_refresh_token_ends_with_its_person_application_or_password(door: Door) -> None:
    door.person()
    app = door.app("tool", public_client=True, redirect_uris=["http://localhost"])

    def token() -> str:
        return str(door.redeem(door.code(door.authorize(client_id=app)), client_id=app).json()["refresh_token"])

    def refresh(token: str) -> Any:
        return door.token(grant_type="refresh_token", refresh_token=token, client_id=app)

    held = token()
    users.set_(*door.change, "adele@contoso.com", account_enabled=False)
    error(refresh(held), 400, "invalid_grant", 50057)
    users.set_(*door.change, "adele@contoso.com", account_enabled=True)
    held = token()
    credentials.set_password(*door.change, "adele@contoso.com", PASSWORD)
    error(refresh(held), 400, "invalid_grant", 70008)
    held = token()
    error(door.refresh(held), 400, "invalid_grant", 70000)  # another client's
    door.company.sql("UPDATE refresh_tokens SET expires_at = now()")
    error(refresh(held), 400, "invalid_grant", 70008)
    held = token()
    applications.set_(*door.change, "tool", account_enabled=False)
    error(refresh(held), 400, "unauthorized_client", 7000112)
    error(refresh("made up"), 400, "unauthorized_client", 7000112)


def test_the_challenge_is_really_the_verifiers() -> None:
    assert len(CHALLENGE) == 43


def test_the_old_scope_words_work(door: Door) -> None:
    door.person()
    found = door.redeem(door.code(door.authorize(scope=f"{GRAPH}/CloudPC.Read.All {GRAPH}/user.read.all")))
    assert door.caller(found).permissions == {"CloudPC.Read.All", "User.Read.All", "User.Read"}
    assert found.json()["scope"] == f"{GRAPH}/CloudPC.Read.All {GRAPH}/user.read.all"
