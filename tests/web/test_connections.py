"""Network connections in the admin center."""

import pytest
from sqlalchemy import text

from deskwright.checks.table import CHECKS, checks_for
from deskwright.operations import connections
from deskwright.operations.connection_rules import HYBRID
from tests.company import Company, found
from tests.web.browser import chromium, screen, shots
from tests.web.carried import carried, go, now
from tests.web.conftest import Browser, Page, Site, as_person
from tests.web.screen import Screen

__all__ = ["chromium", "screen", "shots"]

NEW = "connections/new"
DETAIL: dict[str, str | list[str]] = {
    "displayName": "Branch",
    "connectionType": HYBRID,
    "network": "corp",
    "subnet": "10.30.0.0/28",
}
CREDENTIALS: dict[str, str | list[str]] = {
    "adDomainName": "corp.contoso.com",
    "organizationalUnit": "OU=CloudPCs,DC=corp,DC=contoso,DC=com",
    "adDomainUsername": "joiner@corp.contoso.com",
    "adDomainPassword": "battery staple",
}


def to_review(pages: Browser, detail: dict[str, str | list[str]] = DETAIL) -> Page:
    """Through the wizard of a hybrid connection at site-a, up to its review."""
    page = go(pages, NEW, pages.get(NEW), {"region": "site-a"})
    page = go(pages, NEW, page, detail)
    return go(pages, NEW, page, CREDENTIALS) if detail["connectionType"] == HYBRID else page


def due_now(company: Company, name: str = "HQ") -> None:
    company.sql("UPDATE connections SET next_check_at = tenant_now(:tenant) WHERE id = :id", id=company.ids[name])


# --- the wizard -------------------------------------------------------------------------------------


def test_the_wizard_leads_from_a_site_to_a_checked_connection(pages: Browser, company: Company) -> None:
    """SPEC section 6; R4: the review says how many Cloud PCs the subnet has addresses for."""
    company.site()
    page = pages.get(NEW)
    assert now(page) == "Site"
    seen = [page]
    for fields, title in (({"region": "site-a"}, "Detail"), (DETAIL, "Credentials"), (CREDENTIALS, "Review and save")):
        page = go(pages, NEW, page, fields)  # type: ignore[arg-type]
        seen.append(page)
        assert now(page) == title
    assert "13 addresses are free in the subnet: enough for 4 Cloud PCs at 3 each" in page.words
    assert "deskwright connection create Branch --region site-a" in page.words
    made = go(pages, NEW, page, {}, "create")
    assert "The connection Branch is made" in made.words
    assert "Not checked yet" in made.words
    company.settle()
    checked = pages.get(made.url.partition("contoso.com/")[2])
    assert "Healthy" in checked.words
    for check in checks_for(HYBRID):
        assert check.title in checked.words
    assert not any("battery staple" in p.text for p in [*seen, made, checked])
    ((kept,),) = company.sql("SELECT ad_domain_password FROM connections WHERE tenant_id = :tenant")
    assert company.world.secrets.decrypt(bytes(kept)) == "battery staple"


def test_an_entra_join_asks_for_no_credentials_and_keeps_none(pages: Browser, company: Company) -> None:
    """Whoever entered them before choosing another type does not leave them behind."""
    company.site()
    review = to_review(pages)
    detail = go(pages, NEW, go(pages, NEW, review, {}, "back"), CREDENTIALS, "back")
    assert now(detail) == "Detail"
    assert detail.field("displayName") == "Branch"
    review = go(pages, NEW, detail, {**DETAIL, "connectionType": "azureADJoin"})
    assert now(review) == "Review and save"
    assert "Credentials" not in review.words
    go(pages, NEW, review, {}, "create")
    made = connections.show(company.world.database, company.tenant, "Branch")
    assert (made["connectionType"], made["adDomainName"], made["adDomainUsername"]) == ("azureADJoin", None, None)
    assert company.sql("SELECT ad_domain_password FROM connections WHERE tenant_id = :tenant") == [(None,)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"displayName": "hq"}, "already has a network connection of that name"),
        ({"displayName": ""}, "Must not be empty"),
        ({"network": " "}, "Must not be empty"),
        ({"subnet": "10.20.0.1/24"}, "is not a subnet"),
        ({"connectionType": "vpn"}, "must be one of"),
    ],
)
def test_a_wrong_detail_stays_with_its_error_and_all_that_was_entered(
    pages: Browser, company: Company, wrong: dict[str, str], says: str
) -> None:
    company.site()
    company.connection("HQ")
    page = go(pages, NEW, pages.get(NEW), {"region": "site-a"})
    again = go(pages, NEW, page, {**DETAIL, **wrong})
    (field,) = wrong
    assert again.status == 422
    assert now(again) == "Detail"
    assert says in again.words
    assert f'href="#f-{field}"' in again.text
    assert again.field("subnet") == wrong.get("subnet", "10.30.0.0/28")
    assert ("region", "site-a") in carried(again)


def test_fields_are_checked_while_one_types_by_the_operations_own_rules(pages: Browser, company: Company) -> None:
    company.site()
    company.connection("HQ")
    typed = {"step": "detail", "region": "site-a", **DETAIL}
    taken = pages.post(f"{NEW}/check", {**typed, "displayName": "hq", "_field": "displayName"})
    assert 'id="e-displayName"' in taken.text
    assert "already has a network connection" in taken.words
    right = pages.post(f"{NEW}/check", {**typed, "displayName": "Branch", "_field": "displayName"})
    assert right.words == ""
    domain = pages.post(f"{NEW}/check", {**typed, "adDomainName": "corp", "_field": "adDomainName"})
    assert "must be the domain's full DNS name" in domain.words
    own = pages.post("connections/HQ/edit/check", {"displayName": "HQ", "_field": "displayName"})
    assert own.words == ""


def test_a_password_that_was_entered_is_kept_when_one_goes_back(pages: Browser, company: Company) -> None:
    company.site()
    back = go(pages, NEW, to_review(pages), {}, "back")
    assert "Leave this empty to keep it" in back.words
    review = go(pages, NEW, back, {**CREDENTIALS, "adDomainPassword": ""})
    assert now(review) == "Review and save"
    go(pages, NEW, review, {}, "create")
    ((kept,),) = company.sql("SELECT ad_domain_password FROM connections WHERE tenant_id = :tenant")
    assert company.world.secrets.decrypt(bytes(kept)) == "battery staple"


def test_without_a_password_there_is_no_review(pages: Browser, company: Company) -> None:
    company.site()
    page = go(pages, NEW, go(pages, NEW, pages.get(NEW), {"region": "site-a"}), DETAIL)
    again = go(pages, NEW, page, {**CREDENTIALS, "adDomainPassword": ""})
    assert (again.status, now(again)) == (422, "Credentials")
    assert "needed to join computers to the domain" in again.words


# --- health -----------------------------------------------------------------------------------------


def test_a_failed_check_is_told_with_its_code_and_remedy(pages: Browser, company: Company) -> None:
    """SPEC section 3, V3: unhealthy means that nothing is provisioned, and the page says what mends it."""
    company.basics(connections=("HQ",))
    company.fault("health:adDomainJoin", "adJoinCheckIncorrectCredentials")
    due_now(company)
    assert "about to run" in pages.get("connections/HQ").words
    company.settle()
    page = pages.get("connections/HQ")
    assert "adJoinCheckIncorrectCredentials" in page.words
    assert CHECKS["adDomainJoin"].remedy in page.words
    assert "Nothing is provisioned over an unhealthy connection" in page.words
    assert "Healthy → Unhealthy by deskwright" in page.words
    assert pages.at("connections") + f"/{company.ids['HQ']}/edit" in page.links()
    results = page.words[page.words.index("What was found") :]
    assert results.index("Active Directory domain join") < results.index("DNS can resolve")
    assert "Unhealthy" in pages.get("connections").words


def test_run_now_checks_again_and_health_returns(pages: Browser, company: Company) -> None:
    company.basics(connections=("HQ",))
    company.health("HQ", "failed")
    asked = pages.post("connections/HQ/check")
    assert "HQ is being checked" in asked.words
    assert "until they have ended the last result counts" in asked.words
    company.settle()
    part = pages.fragment("connections/HQ")
    assert part.text.lstrip().startswith('<div id="health"')
    assert "Healthy" in part.words
    assert "Request health check by maria@contoso.com" in part.words


def test_results_of_the_time_before_are_told_as_such(pages: Browser, company: Company) -> None:
    """Until a check that was asked for has begun, nobody takes the old result for its own."""
    company.basics(connections=("HQ",))
    due_now(company)
    company.settle()
    assert "was passed" not in pages.get("connections/HQ").words
    pages.post("connections/HQ/check")
    assert "Waiting was passed" in pages.get("connections/HQ").words


def test_r4_addresses_stand_beside_what_may_be_needed(pages: Browser, company: Company) -> None:
    """R4, L2: three addresses for each person that the connection's policies reach."""
    company.site()
    company.connection("HQ", subnet="10.20.0.0/29")
    company.group()
    company.policy(connections=("HQ",))
    company.assign("Desktops", "Sales")
    for user in ("u1", "u2"):
        company.user(user)
        company.join(user, "Sales")
    assert "5 free up to 6 needed" in pages.get("connections").words
    page = pages.get("connections/HQ").words
    assert "People its policies reach 2" in page
    assert "The subnet may be too small" in page


# --- edit, password, delete -------------------------------------------------------------------------


def test_it_is_edited_and_then_checked_anew(pages: Browser, company: Company) -> None:
    """V3"""
    company.site()
    company.connection("HQ")
    form = pages.get("connections/HQ/edit")
    names = ("displayName", "network", "subnet", "adDomainName", "adDomainUsername")
    fields = {name: form.field(name) for name in names}
    fields |= {"adDomainUsername": "joiner@corp.contoso.com", "subnet": "10.21.0.1/24", "region": "site-a"}
    wrong = pages.post("connections/HQ/edit", fields)
    assert (wrong.status, wrong.field("subnet")) == (422, "10.21.0.1/24")
    saved = pages.post("connections/HQ/edit", {**fields, "subnet": "10.21.0.0/24"})
    assert "It is checked anew" in saved.words
    assert "10.21.0.0/24" in saved.words
    assert "about to run" in saved.words


def test_the_password_goes_in_and_is_never_shown(pages: Browser, company: Company) -> None:
    company.site()
    company.connection("HQ")
    empty = pages.post("connections/HQ/password", {"adDomainPassword": ""})
    assert empty.status == 422
    done = pages.post("connections/HQ/password", {"adDomainPassword": " with blanks "})
    assert "The password is set" in done.words
    ((kept,),) = company.sql("SELECT ad_domain_password FROM connections WHERE tenant_id = :tenant")
    assert company.world.secrets.decrypt(bytes(kept)) == " with blanks "
    assert "with blanks" not in pages.get("connections/HQ/edit").text


def test_e9_what_uses_it_stands_where_it_cannot_be_deleted(pages: Browser, company: Company) -> None:
    """E9"""
    company.basics("adele", connections=("HQ",))
    company.settle()
    asked = pages.get("connections/HQ/delete")
    assert "The policy Desktops uses it" in asked.words
    assert "1 Cloud PC is in it" in asked.words
    assert pages.at("policies") + "/Desktops" in asked.links()
    refused = pages.post("connections/HQ/delete")
    assert refused.status == 422
    assert "can be deleted only while nothing uses it: policy Desktops, Cloud PCs" in refused.words
    company.connection("Branch", subnet="10.40.0.0/24")
    assert "The connection Branch is deleted" in pages.post("connections/Branch/delete").words


# --- who sees what ----------------------------------------------------------------------------------


def test_a_reader_looks_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.site()
    company.connection("HQ")
    rita = as_person(pages, company, "rita")
    page = rita.get("connections/HQ")
    assert "HQ" in page.words
    assert "Run now" not in page.words
    assert "New connection" not in rita.get("connections").words
    assert rita.get(NEW).status == 403
    assert rita.post("connections/HQ/check").status == 403
    assert rita.post("connections/HQ/delete").status == 403


def test_a_connection_of_another_tenant_is_not_there(pages: Browser, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    other.site()
    other.connection("HQ")
    assert pages.get(f"connections/{other.ids['HQ']}").status == 404
    assert pages.get("connections/HQ").status == 404
    pages.post(f"connections/{other.ids['HQ']}/check")
    assert other.sql("SELECT next_check_at FROM connections WHERE tenant_id = :tenant") == [(None,)]


def test_names_are_text_and_lists_are_searched(pages: Browser, company: Company) -> None:
    company.site()
    company.connection("<script>alert(1)</script>")
    company.connection("HQ", subnet="10.21.0.0/24")
    page = pages.get("connections")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text
    narrowed = pages.fragment("connections?q=hq")
    assert "HQ" in narrowed.words
    assert "alert" not in narrowed.words
    assert "No connection is called that" in pages.get("connections?q=nothing").words


def test_a_page_of_many_goes_on(pages: Browser, company: Company) -> None:
    company.site()
    for number in range(26):
        company.connection(f"Branch {number:02}", subnet=f"10.{number}.0.0/24")
    first = pages.get("connections")
    assert "Branch 24" in first.words
    assert "Branch 25" not in first.words
    (following,) = [u for u in first.links() if "after=" in u]
    assert "Branch 25" in pages.get(following).words


def test_the_checks_end_before_ones_eyes(site: Site, screen: Screen) -> None:
    """Live, without a reload: Run now, a check under way, its end."""
    company = site.company
    company.basics(connections=("HQ",))
    company.fault("health:dns", "dnsCheckFqdnNotFound", delay=3600)
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    screen.carry(site.url, site.cookies)
    screen.page.goto(site.at("connections/HQ"))
    screen.page.get_by_role("button", name="Run now").click()
    screen.page.get_by_text("about to run").wait_for()
    company.settle()
    screen.page.get_by_text("The checks are running").wait_for()
    screen.page.locator("tr", has_text="DNS can resolve").get_by_text("Running").wait_for()
    assert screen.axe() == []
    company.advance(hours=2)
    screen.page.get_by_text("dnsCheckFqdnNotFound").wait_for()
    screen.page.get_by_text("Nothing is provisioned over an unhealthy connection").wait_for()
    assert screen.page.get_by_role("button", name="Run now").is_enabled()
    assert screen.layout_shift < 0.1
    with company.world.database.begin() as connection:
        assert connection.execute(text("SELECT health_status FROM connections")).scalar_one() == "failed"
