"""All Cloud PCs in the admin center: the list, its address, columns, CSV, and bulk actions."""

import csv
import io
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from deskwright.operations import cloud_pc_list, cloud_pcs, listing
from deskwright.web import templating
from deskwright.web.admin import cloud_pcs as list_pages
from deskwright.web.admin.bulk_kinds import MENU, OFFERS
from deskwright.web.admin.cloud_pcs import harmless
from deskwright.web.view import admin
from tests.company import PLAN, Company
from tests.web.conftest import Browser, Page, Site, as_person
from tests.web.museum import furnish
from tests.web.screen import Screen


@pytest.fixture
def four(company: Company) -> Company:
    """adele and bianca work, alex has failed, debra waits for a seat."""
    company.basics("adele", "alex", "bianca", "debra")
    company.seats(PLAN, 3)
    company.fault("C2", "internalServerError", user="alex")
    return company.settle()


def _waiting(company: Company, *users: str) -> None:
    """All of them wait for a seat: soon made."""
    company.basics(*users)
    company.seats(PLAN, 0)
    company.settle()


def _shown(page: Page) -> list[str]:
    """The people of the rows, in their order."""
    return [name for name in ("adele", "alex", "bianca", "debra") if f"{name}@contoso.com</span>" in page.text]


def _id(company: Company, user: str) -> str:
    return str(company.pc(user).id)


# --- the list -----------------------------------------------------------------------------------------


def test_the_list_filters_by_its_address(pages: Browser, four: Company) -> None:
    everything = pages.get("cloud-pcs")
    assert _shown(everything) == ["adele", "alex", "bianca", "debra"]
    assert "4 of 4 Cloud PCs" in everything.words
    assert "All 4 Pending 1 Provisioned 2 Failed 1" in everything.words
    assert "waits for a seat, place 1" in everything.words
    for query, people in (
        ("status=failed", ["alex"]),
        ("status=failed&status=pendingProvision", ["alex", "debra"]),
        ("q=BIAN", ["bianca"]),
        ("code=internalServerError", ["alex"]),
        ("waiting=seat", ["debra"]),
        ("grace=soon", []),
        ("policy=Desktops&sort=device&dir=desc", ["adele", "alex", "bianca", "debra"]),
    ):
        assert _shown(pages.get(f"cloud-pcs?{query}")) == people, query
    chip = next(u for u in pages.get("cloud-pcs?q=a&status=failed").links() if "status=provisioned" in u)
    assert parse_qs(urlsplit(chip).query) == {"q": ["a"], "status": ["failed", "provisioned"]}
    assert "No Cloud PC matches" in pages.get("cloud-pcs?q=nobody").words
    taken = pages.get("cloud-pcs?code=internalServerError&status=failed")
    assert "take this filter away" in taken.words
    assert f"{pages.at('cloud-pcs')}?status=failed" in taken.links()


def test_an_empty_tenant_is_told_what_to_do(pages: Browser) -> None:
    assert "They appear by themselves" in pages.get("cloud-pcs").words


def test_a_wrong_address_is_told(pages: Browser) -> None:
    for query in ("status=asleep", "sort=size", "after=nonsense", "waiting=luck"):
        assert pages.get(f"cloud-pcs?{query}").status == 400, query


def test_pages_follow_one_another(pages: Browser, company: Company) -> None:
    _waiting(company, *(f"user{n:02}" for n in range(30)))
    first = pages.get("cloud-pcs?size=25&sort=user&dir=desc")
    assert first.text.count("data-row=") == 25
    assert "user29" in first.words
    assert "user04" not in first.words
    following = next(u for u in first.links() if "after=" in u)
    second = pages.get(following)
    assert second.text.count("data-row=") == 5
    assert "user04" in second.words
    assert "First page" in second.words
    assert "Next page" not in second.words


def test_a_renewed_list_is_a_part_of_the_page_and_asks_for_itself_again(pages: Browser, four: Company) -> None:
    part = pages.fragment("cloud-pcs?status=failed&sort=since")
    assert part.text.lstrip().startswith('<div id="results"')
    assert f'hx-get="{pages.at("cloud-pcs")}?status=failed&amp;sort=since"' in part.text


def test_r1_a_row_that_runs_tells_step_and_progress_and_a_pushed_row_is_the_same(
    pages: Browser, company: Company
) -> None:
    company.basics("adele")
    company.sql("UPDATE tenants SET speed = 60 WHERE id = :tenant")
    company.settle()
    page = pages.get("cloud-pcs")
    assert "left" in page.words
    assert "<progress" in page.text
    row = page.text[page.text.index("<tr id=") : page.text.index("</tbody>")]
    with company.world.database.single.connect() as connection:
        (pc,) = listing.cloud_pcs(connection, company.tenant)
    pushed = templating.part("admin/cloud_pcs.html", "row", pc=pc, tenant=company.tenant.name, admin=admin)
    # The moment is another one: what it counts has gone on.
    assert re.sub(r"\d+", "0", pushed.split("left</span>")[1]) == re.sub(r"\d+", "0", row.split("left</span>")[1])


def test_columns_and_size_are_kept(pages: Browser, four: Company) -> None:
    chosen = pages.post(
        "cloud-pcs/columns", {"columns": ["device", "site", "nonsense"], "size": "25", "query": "status=failed&x=y"}
    )
    assert chosen.url.endswith("/cloud-pcs?status=failed&size=25")
    assert "no-plan no-policy no-connection no-image no-since" in chosen.text
    none = pages.post("cloud-pcs/columns", {"size": "50"})
    assert "no-device no-plan" in none.text


def test_a_reader_sees_the_list_and_no_actions(pages: Browser, four: Company) -> None:
    rita = as_person(pages, four, "rita")
    page = rita.get("cloud-pcs")
    assert _shown(page) == ["adele", "alex", "bianca", "debra"]
    assert "data-select" not in page.text
    assert "bulk-kind" not in page.text
    assert rita.post("cloud-pcs/columns", {"columns": ["site"]}).status == 200
    for path in ("bulk/preview", "bulk/begin"):
        assert rita.post(path, {"kind": "retry", "cloudPcIds": _id(four, "alex")}).status == 403
    assert four.status("alex") == "failed"


def test_names_are_escaped(pages: Browser, four: Company) -> None:
    name = "<script>alert(1)</script>\u202e"
    four.sql("UPDATE users SET display_name = :name WHERE id = :id", name=name, id=four.ids["adele"])
    page = pages.get("cloud-pcs")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


# --- CSV ----------------------------------------------------------------------------------------------


def test_csv_has_the_filter_the_columns_and_no_formulas(pages: Browser, four: Company) -> None:
    four.sql("UPDATE users SET display_name = '=cmd|calc' WHERE id = :id", id=four.ids["alex"])
    pages.post("cloud-pcs/columns", {"columns": ["plan", "since"], "size": "50"})
    got = pages.client.get(pages.at("cloud-pcs.csv?status=failed"))
    assert got.headers["content-type"] == "text/csv; charset=utf-8"
    assert "cloud-pcs-contoso.com-20" in got.headers["content-disposition"]
    assert got.content.startswith(b"\xef\xbb\xbf")
    heads, row = csv.reader(io.StringIO(got.content.decode("utf-8-sig")))
    assert heads == ["User name", "Display name", "Status", "Service plan", "Since", "Detail"]
    assert row[:4] == ["alex@contoso.com", "'=cmd|calc", "Failed", PLAN]
    assert "T" in row[4]


def test_csv_of_many_is_sent_in_parts(pages: Browser, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    _waiting(company, *(f"user{n}" for n in range(7)))
    monkeypatch.setattr(cloud_pc_list, "_CHUNK", 2)
    monkeypatch.setattr(list_pages, "_CHUNK", 3)
    lines = pages.client.get(pages.at("cloud-pcs.csv")).content.decode("utf-8-sig").splitlines()
    assert [line.partition("@")[0] for line in lines[1:]] == [f"user{n}" for n in range(7)]


@pytest.mark.parametrize("value", ["=1", "+1", "-1", "@x", "\t=1", "\r1", "  =1"])
def test_what_begins_like_a_formula_is_made_harmless(value: str) -> None:
    assert harmless(value) == f"'{value}"
    assert harmless(f"a{value}") == f"a{value}"


# --- bulk actions -------------------------------------------------------------------------------------


def test_retry_from_the_list_to_its_end(pages: Browser, four: Company) -> None:
    """V1: chosen, told what it will do, begun, looked at."""
    four.clear_faults()
    ids = [_id(four, "alex"), _id(four, "adele")]
    told = pages.post("bulk/preview", {"kind": "retry", "scope": "selected", "cloudPcIds": ids})
    assert "1 Cloud PC will be provisioned again" in told.words
    assert "1 Cloud PC is left out" in told.words
    assert "retry needs status failed; it is provisioned" in told.words
    assert four.status("alex") == "failed"
    begun = pages.post("bulk/begin", {"kind": "retry", "cloudPcIds": told.field("cloudPcIds"), "displayName": "Again"})
    assert "0 of 1 done" in begun.words
    assert "Pending" in begun.words
    four.settle()
    over = pages.get(urlsplit(begun.url).path)
    assert "Over; all succeeded" in over.words
    assert "every 2s" not in over.text
    assert four.status("alex") == "provisioned"
    assert "Again" in pages.get("bulk").words


def test_what_failed_is_told_and_tried_again(pages: Browser, four: Company) -> None:
    begun = pages.post("bulk/begin", {"kind": "retry", "cloudPcIds": _id(four, "alex")})
    four.settle()
    over = pages.get(urlsplit(begun.url).path)
    assert "Over; not all succeeded" in over.words
    assert "Failed 1" in over.words
    four.clear_faults()
    again = pages.post(f"{urlsplit(begun.url).path}/retry")
    assert "1 Cloud PC tried again" in again.words
    four.settle()
    assert "all succeeded" in pages.get(urlsplit(begun.url).path).words
    nothing = pages.post(f"{urlsplit(begun.url).path}/retry")
    assert nothing.status == 422
    assert "has this bulk action failed" in nothing.words


def test_all_that_match_the_filter(pages: Browser, four: Company) -> None:
    told = pages.post("bulk/preview", {"kind": "cloudPcBulkRestart", "scope": "all", "filter": "status=provisioned"})
    assert "2 Cloud PCs will restart" in told.words
    assert told.text.count('name="cloudPcIds"') == 2
    none = pages.post(
        "bulk/preview",
        {"kind": "cloudPcBulkRestart", "scope": "selected", "back": pages.at("cloud-pcs?status=failed")},
    )
    assert none.url.endswith("?status=failed")
    assert "Choose at least one Cloud PC" in none.words


def test_more_than_ten_are_reprovisioned_only_when_their_number_is_typed(pages: Browser, company: Company) -> None:
    company.basics(*(f"user{n:02}" for n in range(11)))
    company.settle()
    told = pages.post("bulk/preview", {"kind": "cloudPcBulkReprovision", "scope": "all", "filter": ""})
    assert "11 people lose what is on their Cloud PC" in told.words
    assert "Type 11 to confirm" in told.words
    ids = [str(pc.id) for pc in company.pcs()]
    for typed in ("", "10", "yes"):
        kept = pages.post("bulk/begin", {"kind": "cloudPcBulkReprovision", "cloudPcIds": ids, "typed": typed})
        assert kept.status == 422
        assert "number of Cloud PCs that lose their data" in kept.words
    assert company.sql("SELECT 1 FROM bulk_actions") == []
    done = pages.post("bulk/begin", {"kind": "cloudPcBulkReprovision", "cloudPcIds": ids, "typed": "11"})
    assert "0 of 11 done" in done.words


def test_a_resize_asks_for_the_plan_first(pages: Browser, four: Company) -> None:
    asked = pages.post(
        "bulk/preview", {"kind": "cloudPcBulkResize", "scope": "selected", "cloudPcIds": _id(four, "adele")}
    )
    assert "To this service plan" in asked.words
    assert "What it will do" not in asked.words
    told = pages.post(
        "bulk/preview",
        {"kind": "cloudPcBulkResize", "cloudPcIds": _id(four, "adele"), "targetServicePlanId": str(four.ids[PLAN])},
    )
    assert f"“{PLAN}” is the plan it has" in told.words
    missing = pages.post("bulk/begin", {"kind": "cloudPcBulkResize", "cloudPcIds": _id(four, "adele")})
    assert missing.status == 422
    wrong = {"kind": "cloudPcBulkRestore", "cloudPcIds": _id(four, "adele"), "restorePointDateTime": "soon"}
    assert "must be a date and a time" in pages.post("bulk/preview", {**wrong, "again": "yes"}).words


def test_every_kind_on_offer_has_its_words() -> None:
    assert [kind for _, kinds in MENU for kind in kinds] != []
    assert {kind for _, kinds in MENU for kind in kinds} == set(OFFERS)


def test_another_tenants_bulk_action_is_not_there(pages: Browser, four: Company) -> None:
    assert pages.get("bulk/00000000-0000-0000-0000-000000000001").status == 404
    assert pages.get("bulk/nonsense").status == 404


# --- in a browser -------------------------------------------------------------------------------------


def test_rows_change_by_themselves_and_the_selection_stays(site: Site, screen: Screen) -> None:
    company = site.company
    company.basics("adele", "alex")
    company.fault("C2", "internalServerError", user="alex")
    company.settle()
    screen.carry(site.url, site.cookies)
    page = screen.page
    page.goto(site.at("cloud-pcs"))
    page.locator("[data-live-text]", has_text="Live").wait_for()
    page.locator("tbody tr", has_text="adele@").locator("input").check()
    page.locator("#bulk-kind").select_option("retry")
    assert page.locator("[data-selected-count]").inner_text() == "1"
    company.clear_faults()
    cloud_pcs.retry(company.world, company.tenant, "test", "alex@contoso.com")
    company.settle()
    page.locator("tbody tr", has_text="alex@").locator("text=Provisioned").wait_for()
    assert page.locator("tbody tr tr").count() == 0
    assert page.locator("tbody tr", has_text="adele@").locator("input").is_checked()
    assert page.locator("#bulk-kind").input_value() == "retry"
    page.locator(".chip", has_text="Failed").wait_for(state="detached")
    assert page.locator("[data-selected-count]").inner_text() == "1"
    assert screen.axe() == []
    assert screen.layout_shift < 0.1


def test_the_usual_columns_fit_a_desktop(site: Site, screen: Screen) -> None:
    """Nobody scrolls sideways at 1440 pixels to see since when."""
    furnish(site.company)
    screen.carry(site.url, site.cookies)
    screen.page.goto(site.at("cloud-pcs"))
    table = screen.page.locator(".table.pcs")
    assert table.locator("thead th:visible").count() == 9
    wide, room = table.evaluate("t => [t.scrollWidth, t.clientWidth]")
    assert wide <= room
