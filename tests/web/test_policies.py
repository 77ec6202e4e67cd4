"""Provisioning policies in the admin center: list, wizard, edit, groups, what each would do before it is done."""

import re
from typing import Any

from playwright.sync_api import expect

from deskwright.operations import assignments, audit, policies
from tests.company import PLAN, Company
from tests.web.browser import chromium, screen, shots
from tests.web.conftest import Browser, Page, Site, as_person
from tests.web.screen import Screen

__all__ = ["chromium", "screen", "shots"]

GENERAL = {
    "displayName": "Desktops two",
    "description": "",
    "domainJoinType": "azureADJoin",
    "network": "hosted",
    "regionGroup": "europeUnion",
    "regionName": "automatic",
}
IMAGE = {"image": "gallery:debian-12-desktop"}
CONFIGURATION = {
    "cloudPcNamingTemplate": "CPC-%USERNAME:5%-%RAND:5%",
    "windowsSetting.locale": "en-US",
    "enableSingleSignOn": "true",
    "localAdminEnabled": "false",
}


def entered(page: Page) -> dict[str, Any]:
    """What the form of a page would send: hidden fields, texts, what is chosen and ticked."""
    fields: list[tuple[str, str]] = []
    for tag in re.findall(r"<input\b[^>]*>", page.text):
        given = dict(re.findall(r'(name|type|value)="([^"]*)"', tag))
        picked = given.get("type") not in ("radio", "checkbox") or " checked" in tag
        if picked and given.get("name", "csrf") != "csrf":
            fields.append((given["name"], given.get("value", "")))
    for select, body in re.findall(r'<select\b[^>]*name="([^"]*)"[^>]*>(.*?)</select>', page.text, re.S):
        chosen = re.search(r'value="([^"]*)" selected', body) or re.search(r'value="([^"]*)"', body)
        fields.append((select, chosen.group(1) if chosen else ""))
    found: dict[str, Any] = {}
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


def go(pages: Browser, page: Page, how: str = "next", path: str = "policies/new", **given: Any) -> Page:
    return pages.post(path, {**entered(page), **given, "go": how})


def company_with_groups(company: Company) -> None:
    company.basics("adele", "alex")
    company.group("Finance")
    for name in ("miriam", "patti"):
        company.user(name)
        company.join(name, "Finance")
    company.license(PLAN, "miriam")
    company.settle()


def to_review(pages: Browser, groups: list[str], **general: Any) -> Page:
    page = go(pages, pages.get("policies/new"), **{**GENERAL, **general})
    page = go(pages, page, **IMAGE)
    page = go(pages, page, **CONFIGURATION)
    return go(pages, page, assignments=groups)


def test_the_wizard_leads_from_general_to_a_policy_that_provisions_and_back_loses_nothing(
    pages: Browser, company: Company
) -> None:
    company_with_groups(company)
    first = pages.get("policies/new")
    titles = ["General", "Image", "Configuration", "Assignments", "Review + create"]
    assert [t for t in titles if t in first.words] == titles
    assert "Previous" not in first.words
    second = go(pages, first, **GENERAL)
    assert "Debian 12 desktop recommended" in second.words
    third = go(pages, second, **IMAGE)
    assert "CPC-adele-" in third.words
    back = go(pages, go(pages, third, "back", **CONFIGURATION), "back")
    assert back.field("displayName") == "Desktops two"
    review = to_review(pages, [str(company.ids["Finance"])])
    assert policies.list_(company.world.database, company.tenant)[1:] == []
    assert "1 Cloud PC will be made miriam@contoso.com" in review.words
    assert "1 person has no licence and gets nothing" in review.words
    assert "deskwright policy create 'Desktops two'" in review.words
    made = go(pages, review, "create")
    assert "The policy Desktops two is made" in made.words
    company.settle()
    assert company.status("miriam") == "provisioned"
    assert company.status("patti") is None


def test_the_review_says_who_is_served_by_a_policy_that_was_first_e4(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    review = to_review(pages, [str(company.ids["Sales"])])
    assert "2 people are served by another policy" in review.words
    assert "Desktops wins: assigned to Sales first (number 1, this one has 2)" in review.words
    assert "No Cloud PC is made, changed or taken away" in review.words


def test_a_refusal_names_field_value_and_rule_on_its_page(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    taken = go(pages, pages.get("policies/new"), **{**GENERAL, "displayName": "desktops"})
    assert taken.status == 422
    assert "“desktops” this tenant already has a provisioning policy of that name" in taken.words
    nowhere = go(pages, pages.get("policies/new"), **{**GENERAL, "regionGroup": "japan"})
    assert "“japan” this tenant has no site there" in nowhere.words
    domain = go(pages, pages.get("policies/new"), **{**GENERAL, "domainJoinType": "hybridAzureADJoin"})
    assert domain.status == 422
    assert "needs a network connection" in domain.words.lower()
    third = go(pages, go(pages, pages.get("policies/new"), **GENERAL), **IMAGE)
    short = go(pages, third, **{**CONFIGURATION, "cloudPcNamingTemplate": "PC-%RAND:3%"})
    assert "needs %RAND:y% with y of at least 5" in short.words
    assert short.field("cloudPcNamingTemplate") == "PC-%RAND:3%"


def test_fields_are_checked_and_names_shown_as_one_types(pages: Browser, company: Company) -> None:
    company.basics("adele")
    said = pages.post("policies/new/check", {"displayName": "Sales & more", "_field": "displayName"})
    assert "must not contain any of" in said.words
    fine = pages.post("policies/new/check", {"displayName": "Sales", "_field": "displayName"})
    assert fine.words == ""
    names = pages.get("policies/names?cloudPcNamingTemplate=PC-%25USERNAME:3%25-%25RAND:6%25")
    assert "PC-ade-" in names.words
    assert len(re.findall(r"<code>PC-\w+-\w{6}</code>", names.text)) == 3
    assert "only letters, digits and hyphen" in pages.get("policies/names?cloudPcNamingTemplate=%25RAND:5%25!").words


def test_an_unhealthy_connection_is_shown_with_the_reason_and_refused(pages: Browser, company: Company) -> None:
    company.basics()
    company.connection("HQ")
    company.connection("Branch", subnet="10.30.0.0/24", health="failed")
    hybrid = {**GENERAL, "domainJoinType": "hybridAzureADJoin", "network": "connections"}
    place = pages.post("policies/new/place", hybrid)
    branches = re.findall(r"<option[^>]*>Branch[^<]*", place.text)
    assert branches
    assert all(" disabled" in branch and "unhealthy" in branch for branch in branches)
    assert "Branch Unhealthy" in place.words
    tried = go(pages, pages.get("policies/new"), **hybrid, onPremisesConnection=str(company.ids["Branch"]))
    assert "isn't healthy" in tried.words
    went = go(pages, pages.get("policies/new"), **hybrid, onPremisesConnection=[str(company.ids["HQ"]), ""])
    assert "Debian 12 desktop" in went.words


def test_an_own_image_must_be_at_every_site_the_policy_can_land_on(pages: Browser, company: Company) -> None:
    company.basics()
    company.site("site-b")
    company.sql(
        "INSERT INTO device_images (tenant_id, display_name, version, site_id, source, operating_system, os_family, "
        "disk_gb, status) VALUES (:tenant, 'Finance desktop', '1.0.0', :site, '{\"uri\": \"x\"}', '', 'linux', 64, "
        "'ready')",
        site=company.ids["site-a"],
    )
    anywhere = go(pages, pages.get("policies/new"), **GENERAL)
    assert "it is missing at site-b" in anywhere.words
    tried = go(pages, anywhere, image="device:Finance desktop")
    assert tried.status == 422
    assert "it is missing at site-b" in tried.words
    there = go(pages, pages.get("policies/new"), **{**GENERAL, "regionName": "site-a"})
    assert "Naming template" in go(pages, there, image="device:Finance desktop").words


def test_groups_are_found_and_stay_ticked_without_javascript(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    page = go(pages, go(pages, go(pages, pages.get("policies/new"), **GENERAL), **IMAGE), **CONFIGURATION)
    finance = str(company.ids["Finance"])
    found = pages.post("policies/new/groups", {**entered(page), "assignments": finance, "q": "sal"})
    assert f'value="{finance}" checked' in found.text
    assert "Sales" in found.words
    assert "Has Desktops already" in found.words
    assert found.field("displayName") == "Desktops two"
    only = pages.post("policies/new/groups", {"q": "fin"}, headers={"HX-Request": "true"})
    assert "Sales" not in only.words
    assert "<html" not in only.text


def test_the_list_tells_network_cloud_pcs_by_status_and_overlaps(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    company.policy("Other", connections=())
    company.assign("Other", "Sales")
    page = pages.get("policies")
    assert "2 Provisioned" in page.words
    assert "overlaps with Desktops" in page.words
    assert "/admin/contoso.com/cloud-pcs?policy=Desktops&status=provisioned" in page.links()
    assert "Desktops" not in pages.fragment("policies?q=oth").words.replace("overlaps with Desktops", "")


def test_the_page_of_a_policy_tells_places_overlaps_document_and_drift(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    company.policy("Other")
    company.assign("Other", "Sales")
    page = pages.get("policies/Other")
    assert "Desktops, it was assigned first" in page.words
    assert "provisioningPolicies: - displayName: Other" in page.words
    assert "made with other settings" not in pages.get("policies/Desktops").words
    policies.set_(company.world.database, company.tenant, "test", "Desktops", locale="de-DE", description="new")
    assert "2 Cloud PCs were made with other settings" in pages.get("policies/Desktops").words
    drift = pages.get("policies/Desktops/drift")
    assert drift.words.count("Language and region") == 2


def test_an_edit_is_reviewed_touches_nobody_and_can_keep_what_no_longer_could_be_chosen_e7(
    pages: Browser, company: Company
) -> None:
    company_with_groups(company)
    company.sql("UPDATE policies SET gallery_image = 'microsoftwindowsdesktop_windows-ent-cpc_win11-22h2-ent-cpc'")
    page = pages.get("policies/Desktops/edit")
    path = page.url.partition("contoso.com/")[2]
    review = go(pages, page, path=path, description="Better", **{"windowsSetting.locale": "de-DE"})
    assert "Language and region en-US de-DE" in review.words
    assert "2 Cloud PCs of this policy stay as they are" in review.words
    saved = go(pages, review, "create", path=path)
    assert "Better" in saved.words
    image = policies.show(company.world.database, company.tenant, "Desktops")["imageId"]
    assert image.endswith("22h2-ent-cpc")
    company.settle()
    assert company.status("adele") == "provisioned"


def test_taking_a_group_away_shows_who_loses_and_the_audit_log_puts_it_back_e8_r13(
    pages: Browser, company: Company
) -> None:
    company_with_groups(company)
    company.group("Later")
    assignments.set_assignments(company.world.database, company.tenant, "t", "Desktops", ["Sales", "Finance"])
    path = "policies/Desktops/assignments"
    review = go(pages, pages.get(path), path=path, assignments=[str(company.ids["Later"])])
    assert "2 Cloud PCs are lost" in review.words
    assert "adele@contoso.com" in review.words
    assert "goes into the grace period" in review.words
    done = go(pages, review, "create", path=path)
    company.settle()
    assert company.status("adele") == "inGracePeriod"
    event = audit.list_(company.world.database, company.tenant, resource="Desktops")[0]["id"]
    assert f"/restore/{event}" in done.text
    asked = pages.get(f"policies/Desktops/restore/{event}")
    assert "2 come back from grace, untouched" in asked.words.replace("Cloud PCs ", "")
    pages.post(f"policies/Desktops/restore/{event}")
    company.settle()
    assert company.status("adele") == "provisioned"
    now = policies.show(company.world.database, company.tenant, "Desktops")["assignments"]
    assert [(a["groupDisplayName"], a["number"]) for a in now] == [("Sales", 1), ("Finance", 2)]


def test_the_brake_asks_before_many_lose_theirs_r13(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    company.sql('UPDATE tenants SET settings = \'{"brakePeople": 1, "brakeShare": 0.1}\' WHERE id = :tenant')
    path = "policies/Desktops/assignments"
    review = go(pages, pages.get(path), path=path, assignments=[])
    stopped = go(pages, review, "create", path=path)
    assert stopped.status == 409
    assert company.status("adele") == "provisioned"
    pages.post(path, {**entered(stopped), "confirmed": "true"})
    company.settle()
    assert company.status("adele") == "inGracePeriod"


def test_a_policy_is_deleted_only_while_unassigned_e9(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    asked = pages.get("policies/Desktops/delete")
    assert "only while it is assigned to no group" in asked.words
    assert "Delete the policy" not in asked.words
    refused = pages.post("policies/Desktops/delete")
    assert refused.status == 422
    company.policy("Other")
    gone = pages.post("policies/Other/delete")
    assert "The policy Other is deleted" in gone.words


def test_a_reader_sees_all_of_it_and_changes_nothing(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    rita = as_person(pages, company, "rita")
    page = rita.get("policies/Desktops")
    assert page.status == 200
    assert not [u for u in page.links() if u.endswith(("/edit", "/assignments", "/delete", "/new"))]
    assert rita.get("policies/new").status == 403
    assert rita.post("policies/Desktops/assignments", {"step": "review", "go": "create"}).status == 403
    assert policies.show(company.world.database, company.tenant, "Desktops")["assignments"]


def test_hostile_names_are_text(pages: Browser, company: Company) -> None:
    company_with_groups(company)
    company.group("<script>alert(1)</script>")
    company.policy("'; DROP TABLE policies; --\u202e")
    company.assign("'; DROP TABLE policies; --\u202e", "<script>alert(1)</script>")
    for path in (
        "policies",
        "policies/new",
        f"policies/{company.ids[chr(39) + '; DROP TABLE policies; --' + chr(0x202E)]}",
    ):
        assert "<script>alert" not in pages.get(path).text


def test_the_wizard_answers_while_one_types_and_is_accessible_at_every_step(site: Site, screen: Screen) -> None:
    company_with_groups(site.company)
    site.company.connection("HQ")
    screen.carry(site.url, site.cookies)
    page = screen.page
    page.goto(site.at("policies/new"))
    page.get_by_label("Name", exact=True).fill("desktops")
    expect(page.locator("#e-displayName")).to_contain_text("already has a provisioning policy")
    page.get_by_label("Name", exact=True).fill("Fine")
    expect(page.locator("#e-displayName")).to_be_hidden()
    page.get_by_role("radio", name="Hybrid join").check()
    expect(page.get_by_role("radio", name="Hosted network")).to_be_disabled()
    page.get_by_label("First", exact=True).select_option(index=1)
    assert screen.axe() == []
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Image", exact=True)).to_be_visible()
    assert screen.axe() == []
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Naming template").fill("HQ-%USERNAME:4%-%RAND:6%")
    expect(page.locator("#names")).to_contain_text("HQ-adel-")
    assert screen.axe() == []
    page.get_by_label("Naming template").press("Enter")
    page.get_by_role("checkbox", name="Sales").check()
    page.get_by_label("Find a group").fill("fin")
    page.get_by_role("checkbox", name="Finance").check()
    expect(page.get_by_role("checkbox", name="Sales")).to_be_checked()
    assert screen.axe() == []
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("1 Cloud PC will be made")).to_be_visible()
    expect(page.get_by_role("row", name="HQ 10.20.0.0/24")).to_contain_text("3")
    assert screen.axe() == []
