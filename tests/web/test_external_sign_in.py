"""Signing in at the pages with an identity provider: a second Deskwright is the issuer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import expect
from starlette.testclient import TestClient

from deskwright import serve
from deskwright.identity import sessions
from deskwright.identity.apps import COMMAND_LINE
from deskwright.operations import identity_providers
from deskwright.store.database import Database
from deskwright.web import sign_in
from deskwright.web.throttle import Throttle
from tests.company import Company
from tests.web.conftest import COOKIE, PASSWORD, Browser, Page, Site, application, person, set_password
from tests.web.issuer import Second, second_deskwright
from tests.web.screen import Screen

BASE = "http://127.0.0.1"
HELD = "deskwright-issuer"


@pytest.fixture(autouse=True)
def _own_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Throttle()
    monkeypatch.setattr(sign_in, "throttle", made)
    monkeypatch.setattr("deskwright.web.external_sign_in.throttle", made)


@pytest.fixture
def second(server: Database, tmp_path: Path) -> Iterator[Second]:
    with second_deskwright(server, tmp_path / "second") as running:
        yield running


@pytest.fixture
def stranger(company: Company) -> Iterator[Browser]:
    with TestClient(application(company.world), base_url=BASE) as client:
        yield Browser(client)


def way(page: Page) -> str:
    (found,) = [link for link in page.links() if link.startswith("/sign-in/with/")]
    return found


def visit(second: Second, address: str, username: str, action: str = "sign-in") -> str:
    """Sign in at the issuer; the address that it sends the browser back to."""
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}"
    with TestClient(serve.application(second.company.world), base_url=second.url) as browser:
        page = browser.get(path)
        assert page.status_code == 200, page.text
        csrf = re.search(r'name="csrf" value="([^"]*)"', page.text)
        assert csrf
        form = {"csrf": csrf[1], "username": username, "password": PASSWORD, "action": action}
        back = browser.post(path, data=form, follow_redirects=False)
        assert back.status_code == 302, back.text
        return str(back.headers["location"])


def begin(stranger: Browser, address: str) -> str:
    """To the issuer: where the browser is sent."""
    went = stranger.client.get(address, follow_redirects=False)
    assert went.status_code == 303, went.text
    return str(went.headers["location"])


def follow(stranger: Browser, address: str) -> Any:
    parts = urlsplit(address)
    return stranger.client.get(f"{parts.path}?{parts.query}", follow_redirects=False)


def test_there_and_back(company: Company, second: Second, stranger: Browser) -> None:
    person(company)
    second.person("maria@contoso.com")
    second.serves(company, BASE)
    offered = stranger.get("/sign-in?tenant=contoso.com&to=/admin/contoso.com/groups")
    assert "Continue with Head office" in offered.words
    back = visit(second, begin(stranger, way(offered)), "maria@contoso.com")
    assert back.startswith(f"{BASE}/sign-in/back/")
    done = follow(stranger, back)
    assert (done.status_code, done.headers["location"]) == (303, "/admin/contoso.com/groups")
    session = sessions.find(company.world.database, stranger.client.cookies[COOKIE])
    assert session is not None
    assert session.user_principal_name == "maria@contoso.com"
    assert HELD not in stranger.client.cookies
    again = follow(stranger, back)
    assert again.status_code == 422, "the same answer a second time signs nobody in"


def test_offers_come_after_the_name_and_do_not_tell_who_exists(
    company: Company, second: Second, stranger: Browser
) -> None:
    assert "Other ways" not in stranger.get("/sign-in").words, "nobody has any"
    person(company)
    second.serves(company, BASE)
    page = stranger.get("/sign-in")
    assert "Continue with" not in page.words
    assert "Other ways to sign in" in page.words

    def other(name: str) -> Page:
        fields = {"csrf": page.field("csrf"), "username": name, "to": "/portal"}
        got = stranger.client.post("/sign-in/other", data=fields)
        return Page(got.status_code, got.text, str(got.url), got.headers)

    there, not_there = other("maria@contoso.com"), other("nobody@contoso.com")
    assert there.words == not_there.words
    assert "Continue with Head office for contoso.com" in there.words
    assert way(there) == way(not_there).replace("nobody", "maria")
    assert "to=%2Fportal&user=maria%40contoso.com" in way(there)
    assert "There is no other way to sign in for names that end so" in other("maria@elsewhere.example").words
    assert "Enter your user name first" in other("").words
    assert stranger.get("/sign-in?tenant=nowhere.example").words == stranger.get("/sign-in").words.replace(
        " Other ways to sign in", ""
    )


def test_what_goes_wrong_is_told_and_does_not_begin_anew(company: Company, second: Second, stranger: Browser) -> None:
    second.person("paul@contoso.com")
    item = second.serves(company, BASE)
    address = f"/sign-in/with/{item['id']}"
    back = visit(second, begin(stranger, address), "paul@contoso.com", action="cancel")
    told = follow(stranger, back)
    assert told.status_code == 422
    assert "Head office did not sign you in. It says: access_denied" in told.text
    back = visit(second, begin(stranger, address), "paul@contoso.com")
    told = follow(stranger, back)
    assert "says that you are paul@contoso.com. There is no such account here, or it is disabled" in told.text
    assert COOKIE not in stranger.client.cookies
    forged = f"/sign-in/back/{item['id']}?error=x&error_description=Call+555+1234&state=guessed"
    told = stranger.client.get(forged)
    assert "555" not in told.text, "words of others are shown only where we asked"
    assert told.status_code == 422


def test_a_sign_in_that_another_browser_began_is_not_finished_here(
    company: Company, second: Second, stranger: Browser
) -> None:
    """Else somebody could sign another person's browser in as themselves."""
    person(company)
    second.person("maria@contoso.com")
    item = second.serves(company, BASE)
    with TestClient(application(company.world), base_url=BASE) as attacker:
        back = visit(second, begin(Browser(attacker), f"/sign-in/with/{item['id']}"), "maria@contoso.com")
    assert follow(stranger, back).status_code == 422
    assert COOKIE not in stranger.client.cookies


def test_codes_of_one_issuer_are_not_shown_to_another(company: Company, second: Second, stranger: Browser) -> None:
    """Each issuer sends browsers back to an address of its own."""
    person(company)
    second.person("maria@contoso.com")
    one, other = second.serves(company, BASE), second.serves(company, BASE, "Elsewhere")
    begin(stranger, f"/sign-in/with/{other['id']}")
    held = stranger.client.cookies[HELD]
    back = visit(second, begin(stranger, f"/sign-in/with/{one['id']}"), "maria@contoso.com")
    stranger.client.cookies.set(HELD, held, domain="127.0.0.1", path="/")
    assert follow(stranger, back).status_code == 422


def test_a_provider_that_is_disabled_or_gone_signs_nobody_in(
    company: Company, second: Second, stranger: Browser
) -> None:
    person(company)
    second.person("maria@contoso.com")
    item = second.serves(company, BASE)
    back = visit(second, begin(stranger, f"/sign-in/with/{item['id']}"), "maria@contoso.com")
    change = company.world.database, company.tenant, "test", item["id"]
    identity_providers.set_(*change, enabled=False, secrets=company.world.secrets)
    assert "not offered any more" in follow(stranger, back).text
    assert "not offered any more" in stranger.get(f"/sign-in/with/{item['id']}").words
    assert "Other ways" not in stranger.get("/sign-in").words
    identity_providers.delete(*change)
    assert follow(stranger, back).status_code == 422


def test_many_attempts_are_turned_away(
    company: Company, second: Second, stranger: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Throttle(attempts=2, seconds=3600)
    monkeypatch.setattr("deskwright.web.external_sign_in.throttle", few)
    item = second.serves(company, BASE)
    for _ in range(2):
        begin(stranger, f"/sign-in/with/{item['id']}")
    assert stranger.get(f"/sign-in/with/{item['id']}").status == 429


def test_an_issuer_that_is_away_is_told(company: Company, stranger: Browser) -> None:
    item = identity_providers.create(
        company.world.database, company.tenant, "test", display_name="Away", issuer="http://127.0.0.1:9",
        client_id="x", secrets=company.world.secrets,
    )  # fmt: skip
    page = stranger.get(f"/sign-in/with/{item['id']}?user=adele@contoso.com")
    assert page.status == 422
    assert "Away cannot be used at the moment. 127.0.0.1:9 cannot be reached" in page.words
    assert page.field("username") == "adele@contoso.com"


def test_the_page_of_a_tenant_signs_in_its_own_people_only(company: Company, second: Second, stranger: Browser) -> None:
    person(company)
    set_password(company, "maria")
    company.sql("INSERT INTO tenants (name) VALUES ('other.example')")
    for tenant, status in (("other.example", 422), ("nowhere.example", 422), ("Contoso.com", 303)):
        page = stranger.get(f"/sign-in?tenant={tenant}")
        fields = {"csrf": page.field("csrf"), "tenant": page.field("tenant"), "username": "maria@contoso.com"}
        got = stranger.client.post("/sign-in", data={**fields, "password": PASSWORD}, follow_redirects=False)
        assert got.status_code == status, tenant


def test_in_a_browser(company: Company, second: Second, site: Site, screen: Screen) -> None:
    second.person("maria@contoso.com")
    second.serves(company, site.url)
    page = screen.page
    for name, size, colours in (
        ("wide-light", screen.wide, screen.light),
        ("wide-dark", screen.wide, screen.dark),
        ("phone-light", screen.phone, screen.light),
        ("phone-dark", screen.phone, screen.dark),
    ):
        size()
        colours()
        page.goto(f"{site.url}/sign-in")
        screen.shot(f"sign-in-{name}")
        page.fill("#username", "maria@contoso.com")
        screen.allow("422")
        page.get_by_role("button", name="Other ways to sign in").click()
        expect(page.get_by_role("link", name="Continue with Head office")).to_be_visible()
        assert screen.axe() == []
        screen.shot(f"sign-in-other-{name}")
    screen.wide()
    screen.light()
    page.goto(f"{site.url}/sign-in?to=/admin/contoso.com/groups&tenant=contoso.com")
    page.get_by_role("link", name="Continue with Head office").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.url.startswith(second.url)
    page.fill("#username", "maria@contoso.com")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.url}/admin/contoso.com/groups")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Groups")


@pytest.fixture
def whole(company: Company) -> Iterator[Browser]:
    """A browser at the whole service: pages and authorisation server."""
    with TestClient(serve.application(company.world), base_url=BASE) as client:
        yield Browser(client)


def request_of(company: Company, **more: str) -> str:
    query = {
        "client_id": str(COMMAND_LINE),
        "response_type": "code",
        "redirect_uri": "http://localhost:8400",
        "scope": "CloudPC.Read.All openid",
        "state": "a b",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
        **more,
    }
    return f"/{company.tenant.name}/oauth2/v2.0/authorize?{urlencode(query)}"


def test_a_program_gets_its_code_by_an_identity_provider(company: Company, second: Second, whole: Browser) -> None:
    person(company)
    second.person("maria@contoso.com")
    second.serves(company, BASE)
    request = request_of(company)
    page = whole.get(request)
    assert "Continue with Head office" in page.words
    back = visit(second, begin(whole, way(page)), "maria@contoso.com")
    went = follow(whole, back)
    assert COOKIE not in whole.client.cookies, "a program was waiting, not a page"
    waiting = whole.get(str(went.headers["location"]))
    assert "You are maria@contoso.com ." in waiting.words
    form = {"csrf": waiting.field("csrf"), "action": "continue"}
    assert "Continue with" in whole.get(request_of(company, state="another")).words, "for that one request only"
    forged = whole.client.post(request, data={**form, "csrf": "x" * 30}, follow_redirects=False)
    assert forged.status_code == 400
    done = whole.client.post(request, data=form, follow_redirects=False)
    assert done.status_code == 302
    assert done.headers["location"].startswith("http://localhost:8400?code=")
    assert "state=a+b" in done.headers["location"]
    (row,) = company.sql("SELECT user_id FROM authorization_codes")
    assert row.user_id == company.ids["maria"]
    again = whole.client.post(request, data=form, follow_redirects=False)
    assert again.status_code == 400, "once"


def test_who_is_brought_must_still_be_allowed(company: Company, second: Second, whole: Browser) -> None:
    person(company)
    second.person("maria@contoso.com")
    second.serves(company, BASE)
    request = request_of(company)
    follow(whole, visit(second, begin(whole, way(whole.get(request))), "maria@contoso.com"))
    company.sql("UPDATE users SET account_enabled = false")
    assert "You are maria" not in whole.get(request).words
    company.sql("UPDATE users SET account_enabled = true")
    waiting = whole.get(request)
    form = {"csrf": waiting.field("csrf"), "action": "cancel"}
    left = whole.client.post(request, data=form, follow_redirects=False)
    assert "error=access_denied" in left.headers["location"]
    assert "You are maria" not in whole.get(request).words
