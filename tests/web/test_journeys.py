"""Whole ways through the pages in a real browser: what an administrator sets out to do, until it is done."""

from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from deskwright.operations import licenses, users
from tests.company import PLAN, Company
from tests.web.conftest import Site, person, session_of, set_password
from tests.web.screen import Chromium, Screen


def _next(page: Page) -> None:
    page.get_by_role("button", name="Next", exact=True).click()


def test_from_an_empty_tenant_to_a_cloud_pc_by_the_three_wizards(site: Site, screen: Screen) -> None:
    """SPEC section 6."""
    company, page = site.company, screen.page
    database, tenant = company.world.database, company.tenant
    upn = "adele@contoso.com"
    adele = users.create(database, tenant, "test", user_principal_name=upn, display_name="Adele Vance")
    company.ids["adele"] = UUID(adele["id"])
    licenses.create_plan(database, tenant, "test", display_name=PLAN, seats=5)
    licenses.assign(database, tenant, "test", PLAN, users=["adele@contoso.com"])
    screen.carry(site.url, site.cookies)

    page.goto(site.at("sites/new"))
    page.fill("#f-name", "Berlin")
    page.select_option("#f-regionGroup", "germany")
    page.get_by_role("button", name="Make the site").click()
    page.goto(site.at("groups/new"))
    page.fill("#f-displayName", "Sales")
    page.get_by_role("button", name="Make the group").click()
    page.fill("#f-user", "adele@contoso.com")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("adele@contoso.com added")).to_be_visible()

    page.goto(site.at("connections/new"))
    page.check("input[name=region]")
    _next(page)
    page.fill("#f-displayName", "Berlin office")
    page.check("input[name=connectionType][value=azureADJoin]")
    page.fill("#f-network", "corp")
    page.fill("#f-subnet", "10.9.0.0/24")
    _next(page)
    while page.locator("[name=go][value=create]").count() == 0:
        _next(page)
    page.locator("[name=go][value=create]").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Berlin office")
    company.settle()
    expect(page.get_by_text("Healthy", exact=True).first).to_be_visible()  # without reload

    page.goto(site.at("images/new"))
    page.fill("#f-displayName", "Sales desktop")
    _next(page)
    page.check("input[name=regions]")
    _next(page)
    page.fill("#f-version", "1.0.0")
    _next(page)
    page.check("input[name=source][value=debian-12-desktop]")
    _next(page)
    page.locator("[name=go][value=create]").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sales desktop")
    company.settle()
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible()

    page.goto(site.at("policies/new"))
    page.fill("#f-displayName", "Sales desktops")
    page.check("input[name=network][value=connections]")
    page.locator("[name=onPremisesConnection]").first.wait_for()
    chosen = page.locator("[name=onPremisesConnection]").first
    if chosen.evaluate("e => e.tagName") == "SELECT":
        chosen.select_option(index=1)
    else:
        chosen.check()
    _next(page)
    page.check("input[name=image][value^=device]")
    _next(page)
    _next(page)
    page.locator("input[name=assignments]").first.check()
    _next(page)
    for folded in page.locator("main details:not([open]) > summary").all():
        folded.click()
    expect(page.get_by_text("adele@contoso.com").first).to_be_visible()  # who gets what, before it is made
    page.locator("[name=go][value=back]").click()
    expect(page.locator("input[name=assignments]").first).to_be_checked()
    _next(page)
    page.locator("[name=go][value=create]").click()
    expect(page.get_by_text("The policy Sales desktops is made")).to_be_visible()

    page.goto(site.at("cloud-pcs"))
    expect(page.locator("[data-live-text]")).to_have_text("Live")
    company.settle()
    expect(page.locator("tr[data-row]")).to_contain_text("Provisioned")
    assert company.status("adele") == "provisioned"
    assert screen.axe() == []


@pytest.fixture
def broken(company: Company) -> Company:
    company.basics("adele")
    company.fault(step="C5", code="intuneEnrollFailed", user="adele")
    return company.settle()


def test_what_failed_is_mended_from_its_page(broken: Company, site: Site, screen: Screen) -> None:
    """V1, R7: cause, remedy, the buttons that do it; and the end without reload."""
    page = screen.page
    screen.carry(site.url, site.cookies)
    page.goto(site.at())
    page.get_by_role("link", name="1 Cloud PC failed").click()
    page.locator("tr[data-row] th a").click()
    expect(page.get_by_role("heading", name="Intune enrolment failed").first).to_be_visible()
    page.get_by_role("button", name="Clear the simulator's fault").first.click()
    page.get_by_role("button", name="Retry", exact=True).first.click()
    broken.settle()
    expect(page.locator("main .state.good").first).to_contain_text("Provisioned")
    assert broken.status("adele") == "provisioned"
    assert screen.axe() == []


def test_a_row_changes_on_the_screen_and_a_selection_stays(company: Company, site: Site, screen: Screen) -> None:
    company.basics("adele", "alex")
    company.settle()
    page = screen.page
    screen.carry(site.url, site.cookies)
    page.goto(site.at("cloud-pcs"))
    expect(page.locator("[data-live-text]")).to_have_text("Live")
    row = page.locator(f'tr[data-row="{company.pc("adele").id}"]')
    row.locator("input[data-select]").check()
    company.leave("adele", "Sales")
    company.settle()
    expect(row).to_contain_text("In grace period")
    expect(row.locator("input[data-select]")).to_be_checked()
    company.unlicense(PLAN, "alex")
    company.sql("UPDATE cloud_pcs SET status = 'gone' WHERE id = :id", id=company.pc("alex").id)
    expect(page.locator("tr[data-row]")).to_have_count(1)
    expect(row.locator("input[data-select]")).to_be_checked()


def test_by_keyboard_alone(company: Company, site: Site, screen: Screen) -> None:
    """From the sign-in to a Cloud PC's page and back, never touching a mouse."""
    company.basics("adele")
    company.settle()
    set_password(company, "maria")
    page = screen.page
    page.goto(f"{site.url}/")
    page.keyboard.type("maria@contoso.com")  # the field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    _tab_to(page, "Cloud PCs")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Cloud PCs")).to_be_visible()
    _tab_to(page, "adele")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cloud-pcs/*")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    _tab_to(page, "m")  # the account's menu
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()


def _tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() and focused.inner_text().strip().lower() == text.lower():
            outline = focused.evaluate("e => getComputedStyle(e).outlineStyle")
            assert outline != "none", f"one does not see that {text} has the focus"
            return
    raise AssertionError(f"no way to {text} by the Tab key")


def test_without_scripts_pages_read_and_forms_work(
    company: Company, site: Site, chromium: Chromium, tmp_path_factory: pytest.TempPathFactory
) -> None:
    company.basics("adele")
    company.settle()
    with chromium.screen(tmp_path_factory.mktemp("shots"), scripts=False) as screen:
        page = screen.page
        screen.allow("status of 422")
        screen.carry(site.url, site.cookies)
        page.goto(site.at("cloud-pcs"))
        expect(page.locator("tr[data-row]")).to_contain_text("Provisioned")
        page.locator("main input[name=q]").fill("nobody")
        page.get_by_role("button", name="Find").click()
        expect(page.locator("tr[data-row]")).to_have_count(0)
        page.goto(site.at("groups/new"))
        page.fill("#f-displayName", "Sales")
        page.get_by_role("button", name="Make the group").click()
        expect(page.locator("#e-displayName")).to_contain_text("Sales")
        expect(page.locator("#f-displayName")).to_have_value("Sales")
        page.fill("#f-displayName", "Marketing")
        page.get_by_role("button", name="Make the group").click()
        expect(page.get_by_text("The group Marketing is made")).to_be_visible()


def test_an_administrator_and_a_reader_side_by_side(
    company: Company, site: Site, chromium: Chromium, shots: object
) -> None:
    """What one does the other sees at once; a reader is offered nothing that changes anything."""
    from pathlib import Path

    company.basics("adele")
    company.settle()
    person(company, "rita", "Cloud PC Reader")
    assert isinstance(shots, Path)
    with chromium.screen(shots) as one, chromium.screen(shots) as other:
        one.carry(site.url, site.cookies)
        other.carry(site.url, {"deskwright-session": session_of(company, "rita")})
        other.page.goto(site.at(f"cloud-pcs/{company.pc('adele').id}"))
        assert other.page.locator("main form[method=post]").count() == 0
        one.page.goto(site.at(f"cloud-pcs/{company.pc('adele').id}/rename"))
        one.page.fill("#f-displayName", "Adele's desk")
        one.page.locator("main form[method=post] button[type=submit]").last.click()
        company.settle()
        expect(other.page.get_by_role("heading", level=1)).to_contain_text("Adele's desk")
