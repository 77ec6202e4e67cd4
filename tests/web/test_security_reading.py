"""What a second reader tried against the pages: each of these once worked."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, cast
from urllib.parse import quote

import pytest
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from deskwright.api.watch import Watch
from deskwright.identity import sessions, sign_in
from deskwright.identity.failures import Failure
from deskwright.identity.passwords import digest
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import guests, users
from deskwright.store.database import Database
from deskwright.web import cookies, live, static_files
from deskwright.web.admin.cloud_pcs import harmless
from deskwright.web.csrf import csrf_of
from tests.company import Company, found
from tests.web.conftest import COOKIE, PASSWORD, Browser, Page, application, as_person, person, session_of, set_password

ENTERED = {"connectionType": "hybridAzureADJoin", "step": "credentials", "go": "back"}


@pytest.fixture
def stranger(company: Company) -> Iterator[TestClient]:
    """A browser that is not signed in."""
    with TestClient(application(company.world), base_url="http://127.0.0.1") as client:
        yield client


def _sealed_by_wizard(pages: Browser, text: str) -> str:
    """What the wizard seals for someone who enters `text` as the join account's password."""
    return pages.post("connections/new", {**ENTERED, "adDomainPassword": text}).field("adDomainPassword_sealed")


# --- what is sealed counts for what it was sealed for --------------------------------------------------------


def test_a_password_field_cannot_be_made_an_admission_to_any_address(pages: Browser, company: Company) -> None:
    """The wizard seals any text; sealed as an admission it would be a tunnel to any host and port of the network."""
    inside = socket.create_server(("127.0.0.1", 0))
    path = f"/admin/contoso.com/cloud-pcs/{company.ids['maria']}/console/socket"
    console = {
        "for": "console",
        "tenant": str(company.tenant.id),
        "actor": "maria@contoso.com",
        "until": time.time() + 60,
        "host": "127.0.0.1",
    }
    ticket = _sealed_by_wizard(pages, json.dumps({**console, "port": inside.getsockname()[1]}))
    held = {
        "for": "screen",
        "session": digest(f"screen:{pages.token}"),
        "socket": path,
        "until": time.time() + 60,
        "ticket": ticket,
    }
    admission = _sealed_by_wizard(pages, json.dumps(held))
    headers = {"Origin": "http://127.0.0.1", "Cookie": f"{COOKIE}={pages.token}"}
    let_in, ends = False, suppress(WebSocketDisconnect, CancelledError)
    with ends, pages.client.websocket_connect(f"ws://127.0.0.1{path}?ticket={quote(admission)}", headers=headers):
        let_in = True
    inside.close()
    assert not let_in


def _has_password(shown: Page) -> bool:
    return "It is entered. Leave this empty to keep it." in shown.words


def test_a_sealed_password_is_of_one_tenant_and_one_person(
    pages: Browser, company: Company, database: Database
) -> None:
    other = found(database, company.world.settings, "fabrikam.com")
    guests.assign(database, other.tenant, "test", ADMINISTRATOR, "maria@contoso.com")
    colleague = as_person(pages, company, "rita", ADMINISTRATOR)
    sealed = {
        "connectionType": "hybridAzureADJoin",
        "step": "review",
        "go": "back",
        "adDomainPassword_sealed": _sealed_by_wizard(pages, "joiner's password"),
    }
    assert _has_password(pages.post("connections/new", sealed))
    assert not _has_password(pages.post("/admin/fabrikam.com/connections/new", sealed))
    assert not _has_password(colleague.post("connections/new", sealed))
    at_rest = company.world.secrets.encrypt("joiner's password").decode()
    assert not _has_password(pages.post("connections/new", {**sealed, "adDomainPassword_sealed": at_rest}))


# --- a form that waits for its person ------------------------------------------------------------------------


def _waiting(shown: Page) -> bool:
    return 'name="sealed"' in shown.text


def test_a_form_of_another_site_is_not_kept_to_be_sent_after_signing_in(pages: Browser, company: Company) -> None:
    """Browsers send no Lax cookie with a form of another site: it looks like one whose session has ended."""
    pages.client.cookies.clear()
    fields = {"displayName": "Theirs", "csrf": csrf_of("x")}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {}):
        shown = pages._page(pages.client.post("/admin/contoso.com/groups/new", data=fields, headers=headers))
        assert shown.status == 401
        assert not _waiting(shown)
        assert "Theirs" not in shown.text


def test_a_form_waits_for_its_own_person_only_and_without_passwords(pages: Browser, company: Company) -> None:
    person(company, "rita", ADMINISTRATOR)
    set_password(company, "rita")
    company.sql("UPDATE web_sessions SET expires_at = now() - interval '13 hours'")
    at = f"users/{company.ids['maria']}/password"
    asked = pages.post(at, {"kind": "chosen", "password": "what maria has typed"})
    assert _waiting(asked)
    fields = {"csrf": asked.field("csrf"), "sealed": asked.field("sealed"), "password": PASSWORD}
    theirs = pages._page(pages.client.post("/sign-in", data={**fields, "username": "rita@contoso.com"}))
    assert "Nothing has been changed yet" not in theirs.words
    assert "chosen" not in theirs.text

    set_password(company, "maria")
    pages.client.cookies.clear()
    asked_again = pages._page(pages.client.get("/sign-in"))
    fields["csrf"] = asked_again.field("csrf")
    own = pages._page(pages.client.post("/sign-in", data={**fields, "username": "maria@contoso.com"}))
    assert "Nothing has been changed yet" in own.words
    assert own.field("kind") == "chosen"
    assert "what maria has typed" not in own.text


def test_signing_in_again_ends_the_session_before(pages: Browser, company: Company) -> None:
    person(company, "rita")
    set_password(company, "rita")
    shown = pages._page(pages.client.get("/sign-in/link/none"))
    assert shown.status == 410
    fields = {"csrf": csrf_of(pages.token), "username": "rita@contoso.com", "password": PASSWORD}
    pages.client.post("/sign-in", data=fields)
    assert pages.client.cookies[COOKIE] != pages.token
    assert sessions.find(company.world.database, pages.token) is None


def test_nobody_is_signed_in_as_another_by_a_form_of_a_neighbouring_site(pages: Browser, company: Company) -> None:
    """A page of another host of the same domain sends our cookie along, but has no form of ours."""
    person(company, "rita")
    set_password(company, "rita")
    fields = {"csrf": "x", "username": "rita@contoso.com", "password": PASSWORD}
    pages.client.post("/sign-in", data=fields, headers={"Sec-Fetch-Site": "same-site"})
    assert pages.client.cookies[COOKIE] == pages.token


def test_a_name_given_away_in_another_tenant_keeps_nobody_out(company: Company, database: Database) -> None:
    """Whose password it is, is meant; errors count for all who are called so."""
    first, second = (found(database, company.world.settings, name) for name in ("First", "Second"))
    for tenant, password in ((first, PASSWORD), (second, "another one entirely")):
        tenant.ids["dan"] = users.create(
            database, tenant.tenant, "test", user_principal_name="dan@shared.example", display_name="Dan"
        )["id"]
        set_password(tenant, "dan", password)
    for tenant, password in ((first, PASSWORD), (second, "another one entirely")):
        who = sign_in.sign_in(database, None, "dan@shared.example", password)
        assert isinstance(who, sign_in.SignedIn)
        assert who.tenant_id == tenant.tenant.id
    for _ in range(sign_in.ATTEMPTS):
        assert sign_in.sign_in(database, None, "dan@shared.example", "wrong") is Failure.WRONG
    assert sign_in.sign_in(database, None, "dan@shared.example", PASSWORD) is Failure.WRONG


# --- sessions ------------------------------------------------------------------------------------------------


def _seen(company: Company) -> float:
    with company.world.database.begin() as connection:
        age = connection.exec_driver_sql("SELECT extract(epoch FROM now() - seen_at) FROM web_sessions").scalar_one()
    return float(age)


def test_a_page_that_only_stays_open_does_not_keep_its_session(pages: Browser, company: Company) -> None:
    company.sql("UPDATE web_sessions SET seen_at = now() - interval '1 hour'")
    pages.fragment("groups")
    here = live._Live(company.world, Watch(company.world))
    asyncio.run(here.portal(_watching(pages.token)))
    asyncio.run(here.admin(_watching(pages.token, tenant="contoso.com")))
    assert _seen(company) > 3000
    pages.get("groups")
    assert _seen(company) < 60


def _watching(token: str, **path: str) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "path": "/",
        "query_string": b"",
        "headers": [(b"cookie", f"{COOKIE}={token}".encode())],
        "path_params": path,
    }
    return Request(scope)


def test_one_person_does_not_take_the_listening_places_of_a_tenant(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "OWN_AT_ONCE", 2)
    for name in ("adele", "alex"):
        person(company, name, None)
    adele, alex = session_of(company, "adele"), session_of(company, "alex")
    here = live._Live(company.world, Watch(company.world))

    async def listen(token: str) -> Any:
        answer = await here.portal(_watching(token))
        if answer.status_code == 200:
            events = cast(Any, cast(EventSourceResponse, answer).body_iterator)
            await anext(events)
            return events
        return answer.status_code

    async def all_() -> None:
        first, second = await listen(adele), await listen(adele)
        assert await listen(adele) == 503
        other = await listen(alex)
        await first.aclose()
        third = await listen(adele)
        for events in (second, other, third):
            await events.aclose()

    asyncio.run(all_())


# --- what is sent to us --------------------------------------------------------------------------------------


def test_a_form_without_a_length_ends_where_it_is_too_large(stranger: TestClient) -> None:
    """Before anybody is signed in: without an end it would fill the memory."""
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for n in range(40):
            taken += 1
            yield b"a%d=" % n + b"x" * 1024 * 1024 + b"&"

    got = stranger.post("/sign-in", content=endless(), headers={"content-type": "application/x-www-form-urlencoded"})
    assert got.status_code == 400
    assert "larger than 5 MB" in got.text


def test_static_files_are_remembered_by_one_name_each(pages: Browser) -> None:
    base = static_files.url("app.css").removesuffix("app.css")
    assert pages.client.get(f"{base}app.css").status_code == 200
    for n in range(1, 20):
        name = f"{'%2e/' * n}app.css"
        assert pages.client.get(f"{base}{name}").status_code == 404
    assert pages.client.get(f"{base}vendor/%2e%2e/app.css").status_code == 404
    assert pages.client.get(f"{base}{'x' * 5000}").status_code == 404


@pytest.mark.parametrize("to", ["/x\n", "/x\r\n", "/\r//evil.example"])
def test_an_address_to_go_to_has_no_line_ends(to: str) -> None:
    assert not cookies.is_local(to)


@pytest.mark.parametrize("path", ["audit?before=²", "audit?before=" + "9" * 30, "leftovers?after=²", "audit/²"])
def test_numbers_in_addresses_that_are_none_are_refused(pages: Browser, path: str) -> None:
    assert pages.get(path).status == 400


def test_full_width_signs_begin_formulas_too() -> None:
    for sign in "\uff1d\uff0b\uff0d\uff20":
        assert harmless(f"{sign}cmd") == f"'{sign}cmd"


def test_a_tenant_may_have_any_name(database: Database, company: Company, pages: Browser) -> None:
    """Its name goes into a cookie, and headers are Latin-1."""
    other = found(database, company.world.settings, "日本; HttpOnly")
    guests.assign(database, other.tenant, "test", ADMINISTRATOR, "maria@contoso.com")
    at = f"/admin/{quote(other.tenant.name, safe='')}"
    assert pages.get(f"{at}/groups").status == 200
    assert pages.client.get("/admin", follow_redirects=False).headers["location"].startswith(at)


def test_the_csrf_field_never_travels_in_an_address(pages: Browser) -> None:
    shown = pages.get("cloud-pcs")
    assert not re.search(r'(href|action)="[^"]*csrf', shown.text)
