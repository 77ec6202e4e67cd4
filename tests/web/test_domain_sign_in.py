"""The sign-in page with the password of a real domain, in a real browser, and what it says when that does not work."""

from uuid import UUID

import pytest
from playwright.sync_api import expect

from deskwright.identity import ldap_sign_in, sessions
from deskwright.identity.failures import SENTENCES, Failure
from deskwright.operations import role_groups
from deskwright.web import sign_in
from deskwright.web.throttle import Throttle
from tests.company import Company
from tests.identity.domain_people import know, synchronised
from tests.real_domain import RealDomain
from tests.web.conftest import Browser, Site
from tests.web.screen import Screen


@pytest.fixture
def domain(company: Company, real_domain: RealDomain, monkeypatch: pytest.MonkeyPatch) -> UUID:
    monkeypatch.setattr(ldap_sign_in, "_silence", ldap_sign_in._Silence())
    monkeypatch.setattr(sign_in, "throttle", Throttle())
    return know(company, real_domain)


def test_in_a_browser(company: Company, real_domain: RealDomain, domain: UUID, site: Site, screen: Screen) -> None:
    account = real_domain.user()
    name = account.name.partition("@")[0]
    synchronised(company, real_domain, domain, account)
    company.group("Desk")
    company.join(name, "Desk")
    role_groups.assign(company.world.database, company.tenant, "test", "reader", "Desk")
    page = screen.page
    screen.allow("422")

    def enter(password: str) -> None:
        page.goto(f"{site.url}/sign-in")
        page.fill("#username", account.name)
        page.fill("#password", password)
        page.get_by_role("button", name="Sign in", exact=True).click()

    enter("not the password")
    expect(page.get_by_role("alert")).to_contain_text(SENTENCES[Failure.WRONG])
    enter(account.password)
    page.wait_for_url(f"{site.url}/admin/contoso.com")
    real_domain.controller.tool("user", "disable", name)
    page.get_by_role("heading", level=1).first.wait_for()
    page.context.clear_cookies()
    enter(account.password)
    expect(page.get_by_role("alert")).to_contain_text(SENTENCES[Failure.DISABLED])
    company.sql("UPDATE domains SET controllers = ARRAY['dc1.corp.contoso.test=127.0.0.9']")
    for size, colours, picture in (
        (screen.wide, screen.light, "unreachable-wide-light"),
        (screen.phone, screen.dark, "unreachable-phone-dark"),
    ):
        size()
        colours()
        enter(account.password)
        expect(page.get_by_role("alert")).to_contain_text("The directory cannot be reached")
        assert screen.axe() == []
        screen.shot(picture)


def test_the_page_of_who_has_their_password_elsewhere(
    company: Company, real_domain: RealDomain, domain: UUID, pages: Browser
) -> None:
    account = real_domain.user()
    user = synchronised(company, real_domain, domain, account)
    shown = pages.get(f"users/{user}")
    assert f"kept in {real_domain.domain.name}" in shown.words
    assert not [link for link in shown.links() if link.endswith("/password")]
    refused = pages.post(f"users/{user}/password", {"kind": "generated"})
    assert refused.status == 422
    assert f"kept in {real_domain.domain.name}" in refused.words
    assert sessions.find(company.world.database, pages.token)
