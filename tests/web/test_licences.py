"""Licences in the admin center: plans, seats, the queue (E6), and the import from CSV."""

import pytest

from deskwright.domain.rules import Refused
from deskwright.operations import licence_import, licence_view
from tests.company import PLAN, Company
from tests.web.conftest import Browser, as_person

SECOND = "Cloud PC Enterprise 4vCPU/16GB/256GB"


def held(company: Company, plan: str = PLAN) -> set[str]:
    """Who holds the licence directly."""
    rows = company.sql(
        "SELECT u.display_name FROM license_users l JOIN users u ON u.id = l.user_id WHERE l.plan_id = :plan",
        plan=company.ids[plan],
    )
    return {row.display_name for row in rows}


def test_a_plan_is_made_changed_and_deleted(pages: Browser, company: Company) -> None:
    wrong = pages.post("licences/new", {"displayName": "Small", "seats": "3"})
    assert wrong.status == 422
    assert "must hold a size" in wrong.words
    made = pages.post("licences/new", {"displayName": PLAN, "seats": "3"})
    assert f"{PLAN} is made" in made.words
    at = made.url.partition("contoso.com/")[2]
    assert "2 virtual CPUs · 8 GB memory · 128 GB disk" in made.words
    assert pages.post(f"{at}/seats", {"seats": ""}).status == 422
    assert "has 7 seats now" in pages.post(f"{at}/seats", {"seats": "7"}).words
    assert "is deleted" in pages.post(f"{at}/delete").words
    assert "No service plans yet" in pages.get("licences").words


def test_e6_seats_grace_and_queue_are_counted(pages: Browser, company: Company) -> None:
    company.basics("adele", "alex", "lee")
    company.seats(PLAN, 1)
    company.settle()
    listed = pages.get("licences").words
    assert "3 1 of 1" in listed
    one = pages.get(f"licences/{company.ids[PLAN]}")
    assert "2 waiting for a seat" in one.words
    assert one.words.index("alex@contoso.com") < one.words.index("lee@contoso.com")
    company.leave("adele", "Sales", confirmed=True)
    company.settle()
    assert "1 in grace, holding a seat" in pages.get(f"licences/{company.ids[PLAN]}").words
    more = pages.post(f"licences/{company.ids[PLAN]}/seats", {"seats": "5"})
    assert "has 5 seats now" in more.words
    company.settle()
    assert company.status("lee") == "provisioned"


def test_e6_the_queue_is_paged_with_the_places(company: Company) -> None:
    company.basics("adele", "alex", "lee", "zoe")
    company.seats(PLAN, 1)
    company.settle()
    with company.world.database.begin() as connection:
        first = licence_view.waiting(connection, company.tenant, PLAN, None, 2)
        after = str(first[-1]["entitledNumber"])
        second = licence_view.waiting(connection, company.tenant, PLAN, after, 2)
        with pytest.raises(Refused):
            licence_view.waiting(connection, company.tenant, PLAN, "x", 2)
    places = [(w["queuePosition"], w["userPrincipalName"].partition("@")[0]) for w in first + second]
    assert places == [(1, "alex"), (2, "lee"), (3, "zoe")]


def test_licences_are_given_and_taken(pages: Browser, company: Company) -> None:
    company.plan(seats=1)
    company.group()
    company.user("adele")
    company.user("lee")
    at = f"licences/{company.ids[PLAN]}"
    assert (
        "Assigned to adele@contoso.com, group Sales."
        in pages.post(f"{at}/assign", {"user": "adele@contoso.com", "group": "sales"}).words
    )
    beyond = pages.post(f"{at}/assign", {"user": "lee@contoso.com"})
    assert beyond.status == 422
    assert "has 1 seats, 1 consumed, 1 more asked for" in beyond.words
    assert beyond.field("user") == "lee@contoso.com"
    assert pages.post(f"{at}/delete").status == 422
    gone = pages.post(f"{at}/remove", {"user": company.ids["adele"]})
    assert "Taken from adele@contoso.com." in gone.words
    assert "Taken from group Sales." in pages.post(f"{at}/remove", {"group": company.ids["Sales"]}).words
    assert held(company) == set()


def test_r13_taking_the_licence_from_many_wants_a_confirmation(pages: Browser, company: Company) -> None:
    company.basics(*(f"user{n:02}" for n in range(30)))
    company.settle()
    at = f"licences/{company.ids[PLAN]}"
    stopped = pages.post(f"{at}/remove", {"group": company.ids["Sales"]})
    assert stopped.status == 409
    assert "30 of 30 people would lose their Cloud PC" in stopped.words
    done = pages.post(f"{at}/remove", {"group": stopped.field("group"), "confirmed": "true"})
    assert "Taken from group Sales." in done.words


# --- import ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"adele@contoso.com,{PLAN},Sales;Pilot",
        f"\ufeffuserPrincipalName,servicePlanName,groups\r\nadele@contoso.com,{PLAN},Sales;Pilot\r\n",
        f"adele@contoso.com;{PLAN};Sales;Pilot",
        f'"adele@contoso.com"\t"{PLAN}"\tSales\tPilot',
        f"Groups,Department,UPN,Service plan\n\nSales;Pilot,x,adele@contoso.com,{PLAN}",
    ],
)
def test_a_line_is_read_however_it_is_separated(text: str) -> None:
    (line,) = licence_import.parse(text)
    assert (line.user, line.plan, line.groups) == ("adele@contoso.com", PLAN, ("Sales", "Pilot"))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "has no lines"),
        ("userPrincipalName,servicePlanName\n", "has no lines"),
        ("userPrincipalName,licence\na,b", "must name the column servicePlanName once"),
        ('a,"b', "cannot be read at line 1"),
        ("a,b\n" * (licence_import.MOST_LINES + 1), "at most 50,000 lines"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(text: str, rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        licence_import.parse(text)


def test_files_are_bounded_and_utf8() -> None:
    for content, rule in ((b"\xff\xfa", "UTF-8"), (b"a\0", "text"), (b"a" * (licence_import.LARGEST + 1), "4 MB")):
        with pytest.raises(Refused, match=rule):
            licence_import.read(content)
    assert licence_import.read("\ufeffzoë".encode()) == "zoë"
    assert licence_import.read("zoë".encode("utf-16")) == "zoë"


def test_the_preview_says_what_is_wrong_line_by_line_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.plan()
    company.group()
    company.user("adele")
    company.user("lee")
    company.license(PLAN, "lee")
    lines = [
        "userPrincipalName,servicePlanName,groups",
        f"ADELE@contoso.com,{PLAN},sales",
        f"lee@contoso.com,{PLAN}",
        f"nobody@contoso.com,{PLAN}",
        "adele@contoso.com,Huge,Nowhere",
        f"adele@contoso.com,{PLAN}",
        "lee@contoso.com",
    ]
    before = company.sql("SELECT revision FROM tenants")
    shown = pages.post("licences/import", {"lines": "\n".join(lines)})
    assert shown.status == 200
    assert "6 lines read, 1 of them said twice" in shown.words
    assert "3 lines are wrong" in shown.words
    assert "Line 4 userPrincipalName nobody@contoso.com there is no user of that name in this tenant" in shown.words
    assert "Line 5 servicePlanName Huge there is no service plan of that name" in shown.words
    assert "Line 5 groups Nowhere there is no group of that name" in shown.words
    assert "Line 7 servicePlanName empty the service plan is missing" in shown.words
    assert f"{PLAN} 1 1 99 of 100 0" in shown.words
    assert "Sales 1 0" in shown.words
    assert company.sql("SELECT revision FROM tenants") == before
    assert held(company) == {"lee"}
    sealed = shown.field("sealed")
    refused = pages.post("licences/import/apply", {"sealed": sealed})
    assert refused.status == 422
    assert "(line 4)" in refused.words
    done = pages.post("licences/import/apply", {"sealed": sealed, "leaveOutWrong": "true"})
    assert "1 licence assigned, 1 person put into groups, 3 wrong lines left out." in done.words
    assert held(company) == {"adele", "lee"}


def test_what_was_previewed_is_imported_and_brings_cloud_pcs(pages: Browser, company: Company) -> None:
    company.basics()
    company.plan(SECOND, seats=5)
    for name in ("adele", "lee"):
        company.user(name)
    text = f"adele@contoso.com,{PLAN},Sales\nlee@contoso.com,{SECOND},Sales\n"
    files = {"file": ("people.csv", text.encode(), "text/csv")}
    shown = pages.post("licences/import", files=files)
    assert "2 lines read" in shown.words
    done = pages.post("licences/import/apply", {"sealed": shown.field("sealed")})
    assert "2 licences assigned, 2 people put into groups." in done.words
    company.settle()
    # Sales holds the first plan too: everybody in it gets that, and lee the second besides.
    assert [pc.plan for pc in company.pcs("lee")] == [PLAN, SECOND]
    assert company.status("adele") == "provisioned"
    again = pages.post("licences/import", files=files)
    assert "Everybody has it already" in again.words


def test_e6_an_import_beyond_the_seats_is_refused(pages: Browser, company: Company) -> None:
    company.plan(seats=1)
    for name in ("adele", "lee", "zoe"):
        company.user(name)
    text = "\n".join(f"{name}@contoso.com,{PLAN}" for name in ("adele", "lee", "zoe"))
    shown = pages.post("licences/import", {"lines": text})
    assert f"{PLAN} 3 0 1 of 1 2 · add seats" in shown.words
    refused = pages.post("licences/import/apply", {"sealed": shown.field("sealed")})
    assert refused.status == 422
    assert "1 seats, 0 consumed, 3 more asked for" in refused.words
    assert held(company) == set()
    pages.post(f"licences/{company.ids[PLAN]}/seats", {"seats": "3"})
    assert "3 licences assigned" in pages.post("licences/import/apply", {"sealed": refused.field("sealed")}).words


def test_only_a_file_that_was_sealed_here_is_imported(pages: Browser, company: Company) -> None:
    company.plan()
    company.user("adele")
    other = company.world.secrets.encrypt(f"another purpose:adele@contoso.com,{PLAN}").decode()
    for sealed in ("", "x", "ä", other):
        refused = pages.post("licences/import/apply", {"sealed": sealed})
        assert refused.status == 422, sealed
        assert "did not come along" in refused.words
    assert held(company) == set()


def test_fifty_thousand_lines_are_previewed(company: Company) -> None:
    company.plan(seats=100_000)
    company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) "
        "SELECT :tenant, 'u' || n || '@contoso.com', 'u' FROM generate_series(1, 50000) n"
    )
    lines = licence_import.parse("\n".join(f"U{n}@contoso.com,{PLAN}" for n in range(1, 50_001)))
    database, tenant = company.world.database, company.tenant
    with database.begin() as connection:
        (plan,) = licence_import.preview(connection, tenant, lines)["plans"]
    assert (plan["assign"], plan["newSeats"], plan["beyondSeats"]) == (50_000, 50_000, 0)
    assert licence_import.apply(database, tenant, "test", lines)["assigned"] == 50_000


def test_a_reader_sees_and_changes_nothing(pages: Browser, company: Company) -> None:
    company.basics("adele")
    reader = as_person(pages, company, "rita")
    seen = reader.get(f"licences/{company.ids[PLAN]}")
    assert "<form method" not in seen.text.partition("<main")[2]
    for what in ("seats", "assign", "remove", "delete"):
        assert reader.post(f"licences/{company.ids[PLAN]}/{what}").status == 403
    assert reader.post("licences/import", {"lines": f"adele@contoso.com,{PLAN}"}).status == 403


def test_an_import_stays_in_its_tenant(company: Company) -> None:
    company.plan()
    company.group()
    company.user("adele")
    ((other,),) = company.sql("INSERT INTO tenants (name) VALUES ('fabrikam.com') RETURNING id")
    stranger = type(company.tenant)(other, "fabrikam.com")
    with company.world.database.begin() as connection:
        seen = licence_import.preview(connection, stranger, licence_import.parse(f"adele@contoso.com,{PLAN},Sales"))
    assert [p["field"] for p in seen["problems"]] == ["userPrincipalName", "servicePlanName", "groups"]
