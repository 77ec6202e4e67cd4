"""Every page of the table in a real browser: sizes, colours, accessibility, console, layout; and with each role.

With DESKWRIGHT_SHOTS set to a directory the pictures of all pages stay there (`make screenshots`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from deskwright.settings import Settings
from deskwright.store.database import Database
from deskwright.web import pages as table
from deskwright.web.pages import Needs
from tests.company import Company, found
from tests.conftest import _named
from tests.web.conftest import Browser, Site, _keep, application, person, served, session_of
from tests.web.museum import furnish, path_of
from tests.web.screen import Chromium

ENTRIES = [e for e in table.load() if e.method == "GET"]
_PARTS = ("/screenshot", "/rdp", ".csv", "/addresses", "/names", "/suggest/users", "/suggest/groups")
SHOWN = [e for e in ENTRIES if not e.path.endswith(_PARTS)]
_ids = [e.path for e in SHOWN]


@dataclass(frozen=True)
class Museum:
    site: Site
    examples: dict[str, str]

    @property
    def company(self) -> Company:
        return self.site.company

    def cookies(self, name: str) -> dict[str, str]:
        return {"deskwright-session": session_of(self.company, name)}


@pytest.fixture(scope="module")
def museum(server: Database) -> Iterator[Museum]:
    """One company for all tests here: they only look."""
    with server.single.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS museum WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE museum TEMPLATE template STRATEGY wal_log"))
    database = Database(_named(server.url, "museum"), pool_size=16)
    try:
        with TemporaryDirectory() as directory:
            company = found(database, Settings(data_dir=Path(directory)))
            examples = furnish(company)
            with served(company) as site:
                yield Museum(site, examples)
    finally:
        database.close()
        with server.single.connect() as connection:
            connection.execute(text("DROP DATABASE museum WITH (FORCE)"))


@pytest.mark.parametrize("entry", SHOWN, ids=_ids)
def test_a_page_is_accessible_still_and_silent(
    entry: table.Page, museum: Museum, chromium: Chromium, shots: Path
) -> None:
    name = (entry.path.replace("/admin/{tenant}", "admin").strip("/") or "start").replace("/", "-")
    name = name.replace("{", "").replace("}", "")
    with chromium.screen(shots) as screen:
        screen.allow("status of 410")  # the page about a link that is over
        screen.allow("status of 422")  # back from an issuer, in a browser that had not been sent there
        if entry.needs is not Needs.NOBODY:
            screen.carry(museum.site.url, museum.cookies("adele" if entry.needs is Needs.PERSON else "maria"))
        screen.page.goto(museum.site.url + path_of(entry, museum.examples))
        assert screen.page.locator("h1").count() == 1
        assert screen.layout_shift < 0.1
        assert screen.axe() == []
        screen.shot(f"{name}-1440-light")
        screen.dark()
        screen.shot(f"{name}-1440-dark")
        screen.phone()
        assert screen.axe() == []
        screen.shot(f"{name}-360-dark")
        screen.light()
        screen.shot(f"{name}-360-light")
        wider = screen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, "the page is wider than a phone"


@pytest.fixture(scope="module")
def clients(museum: Museum) -> dict[str, Browser]:
    """Browsers of people with different rights, on one application."""
    company = museum.company
    app = application(company.world)
    opened: dict[str, Browser] = {}
    for name in ("maria", "rita", "adele"):
        client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
        token = session_of(company, name)
        _keep(client, token)
        opened[name] = Browser(client, token, company.tenant.name)
    nobody = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    return {**opened, "nobody": Browser(nobody, "", company.tenant.name)}


@pytest.mark.parametrize("entry", table.load(), ids=lambda e: e.name)
def test_who_may(entry: table.Page, museum: Museum, clients: dict[str, Browser]) -> None:
    """Nobody without a session, no person without a role, no reader where something is changed; nobody elsewhere."""
    path = path_of(entry, museum.examples)

    def status(who: str, at: str = path) -> int:
        browser = clients[who]
        page = browser.get(at) if entry.method == "GET" else browser.post(at)
        return page.status

    if entry.needs is Needs.NOBODY:
        return
    if entry.method == "GET":
        answered = clients["nobody"].get(path)
        assert answered.status == 303
        assert answered.headers["location"].startswith("/sign-in?to=")
    else:
        assert status("nobody") in (401, 403)
    if entry.needs is Needs.PERSON:
        return
    assert status("adele") == 404
    elsewhere = path.replace("contoso.com", "fabrikam.com")
    assert status("maria", elsewhere) == 404
    if entry.needs is Needs.ADMINISTRATOR:
        assert status("rita") == 403


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.path)
def test_nothing_of_another_tenant_is_reached_by_its_id(
    entry: table.Page, museum: Museum, clients: dict[str, Browser], other: Browser
) -> None:
    """An administrator of another tenant, with this tenant's ids in their own addresses."""
    own = path_of(entry, museum.examples)
    theirs = own.replace("/admin/contoso.com", f"/admin/{other.tenant}")
    if own == theirs or "{" not in entry.path.replace("{tenant}", ""):
        return
    got = other.get(theirs)
    assert got.status in (303, 400, 404), got.words[:500]
    for name in ("adele@contoso.com", "frank@contoso.com", "Sales desktops", "joinDomainFailed"):
        assert name not in got.words


@pytest.fixture(scope="module")
def other(museum: Museum) -> Iterator[Browser]:
    from uuid import uuid4

    from deskwright.operations import tenants
    from deskwright.operations.change import TenantRef

    world = museum.company.world
    name = f"fabrikam-{uuid4().hex[:6]}.com"
    made: Any = tenants.create(world.database, "test", name=name)
    there = Company(world, TenantRef(tenants.find(world.database, made["name"]).id, name))
    person(there, "olga")
    token = session_of(there, "olga")
    with TestClient(application(world), base_url="http://127.0.0.1", follow_redirects=False) as client:
        _keep(client, token)
        yield Browser(client, token, name)
