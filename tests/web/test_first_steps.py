"""The first steps (R16): from an empty tenant to the first Cloud PC, by hand, at once, and in a real browser."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deskwright.domain.likely_region import likely_region_group
from deskwright.domain.plans import size_from_name
from deskwright.domain.regions import REGION_GROUPS
from deskwright.operations import first_steps, guests, invitations, tenants
from deskwright.worker import Worker
from tests.company import PLAN, Company, found
from tests.web.conftest import PASSWORD, Browser, Site, as_person
from tests.web.screen import Screen


def _wanted(company: Company) -> bool:
    with company.world.database.single.connect() as connection:
        return first_steps.wanted(connection, company.tenant)


def test_each_step_leads_to_the_next_and_the_last_to_a_cloud_pc(pages: Browser, company: Company) -> None:
    begin = pages.get("start")
    assert "0 of 6 done" in begin.words
    assert "Do it all with examples" in begin.words
    site = pages.post("start", {"step": "site", "regionGroup": "germany", "name": ""})
    assert "The site germanywestcentral is made." in site.words
    assert site.field("seats") == "10", "the form of the next step is there, filled in"
    plan = pages.post("start", {"step": "licence", "displayName": PLAN, "seats": "3"})
    assert "2 processors, 8 GB memory, 128 GB disk · 0 of 3 seats in use" in plan.words
    given = {"me": ["false", "true"], "users": "adele\nalex@contoso.com, adele@contoso.com", "groupName": "Pilot"}
    people = pages.post("start", {"step": "people", **given})
    assert "The group Pilot has its people, and the licence." in people.words
    policy = pages.post(
        "start",
        {
            "step": "policy",
            "displayName": "Desktops",
            "groups": str(company.sql("SELECT id FROM groups")[0].id),
            "image": "gallery:debian-12-desktop",
            "regionGroup": "germany",
            "cloudPcNamingTemplate": people.field("cloudPcNamingTemplate"),
        },
    )
    assert "4 of 6 done" in policy.words
    company.settle()
    assert sorted(pc.status for pc in company.pcs()) == ["provisioned"] * 3
    done = pages.get("start")
    assert "5 of 6 done" in done.words
    assert "Open your portal" in done.words, "one's own is the one to watch"
    assert "Desktops - maria" in done.words


def test_everything_at_once_is_one_click_and_a_second_one_makes_nothing(pages: Browser, company: Company) -> None:
    company.sql("UPDATE tenants SET speed = 1")
    assert _wanted(company)
    made = pages.post("start", {"step": "everything"})
    assert "Everything is there. Watch the first Cloud PC come up." in made.words
    assert not _wanted(company)
    names = [
        company.sql(f"SELECT name FROM ({query}) q(name)")[0].name
        for query in (
            "SELECT region_group FROM sites",
            "SELECT user_principal_name FROM memberships JOIN users u ON u.id = user_id",
            "SELECT gallery_image FROM policies",
            "SELECT speed FROM tenants",
        )
    ]
    assert names == ["europeUnion", "maria@contoso.com", "debian-12-desktop", first_steps.QUICK]
    before = company.sql("SELECT revision FROM tenants")
    assert "Everything was there already." in pages.post("start", {"step": "everything"}).words
    assert company.sql("SELECT revision FROM tenants") == before
    company.sql("UPDATE tenants SET speed = 'infinity'")
    company.settle()
    assert company.status("maria") == "provisioned"


def test_everything_takes_what_is_there(pages: Browser, company: Company) -> None:
    company.site("workshop", "switzerland")
    company.plan(seats=0)
    company.policy("Idle", region=None, region_group="switzerland")
    company.group("Sales")
    made = pages.post("start", {"step": "everything"})
    assert "Everything is there." in made.words
    counted = company.sql(
        "SELECT (SELECT count(*) FROM sites) AS sites, (SELECT count(*) FROM policies) AS policies, "
        "(SELECT seats FROM service_plans) AS seats, (SELECT count(*) FROM groups) AS groups"
    )
    assert tuple(counted[0]) == (1, 1, 10, 2)
    company.settle()
    assert company.pc("maria").policy_name == "Idle"


def test_it_is_wanted_until_there_is_a_policy_or_a_cloud_pc(company: Company) -> None:
    assert _wanted(company)
    company.site()
    assert _wanted(company), "a site alone provisions nothing"
    company.policy()
    assert not _wanted(company)
    # The sites that `deskwright init` makes are not in the way.
    tenants.create(company.world.database, "test", "fabrikam.com")
    fresh = tenants.find(company.world.database, "fabrikam.com")
    with company.world.database.single.connect() as connection:
        assert first_steps.wanted(connection, fresh)


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"step": "people", "users": "adele\nalex@x@y", "groupName": "Pilot"}, "users", "alex@x@y"),
        ({"step": "people", "users": "", "groupName": "Pilot"}, "users", "Name at least one person."),
        ({"step": "people", "users": "adele", "groupName": ""}, "groupName", "Must not be empty."),
        ({"step": "people", "users": " ".join(f"p{n}" for n in range(201)), "groupName": "x"}, "users", "at most 200"),
    ],
)
def test_wrong_people_are_told_beside_the_field_and_nothing_is_made(
    pages: Browser, company: Company, fields: dict[str, str], field: str, told: str
) -> None:
    company.site()
    company.plan()
    before = company.sql("SELECT revision FROM tenants")
    wrong = pages.post("start", fields)
    assert wrong.status == 422
    assert told.lower() in wrong.words.lower()
    assert f'href="#f-{field}"' in wrong.text
    assert "adele" in wrong.words or "adele" not in fields["users"], "what was entered is kept"
    assert company.sql("SELECT revision FROM tenants") == before


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"step": "site", "regionGroup": "atlantis", "name": "x"}, "regionGroup"),
        ({"step": "site", "regionGroup": "germany", "name": "x" * 65}, "name"),
    ],
)
def test_a_wrong_site_is_told_beside_its_field(pages: Browser, fields: dict[str, str], field: str) -> None:
    wrong = pages.post("start", fields)
    assert wrong.status == 422
    assert f'href="#f-{field}"' in wrong.text
    assert wrong.field("name") == fields["name"]


@pytest.mark.parametrize("seats", ["0", "-1", "many", ""])
def test_seats_are_a_number_of_at_least_one(pages: Browser, company: Company, seats: str) -> None:
    company.site()
    wrong = pages.post("start", {"step": "licence", "displayName": PLAN, "seats": seats})
    assert wrong.status == 422
    assert 'href="#f-seats"' in wrong.text
    assert company.sql("SELECT 1 FROM service_plans") == []


def test_a_refused_policy_keeps_what_was_entered(pages: Browser, company: Company) -> None:
    company.site()
    company.plan()
    company.group()
    company.user("adele")
    company.join("adele", "Sales")
    company.license_group(PLAN, "Sales")
    fields = {"step": "policy", "displayName": "A|B", "groups": str(company.ids["Sales"]), "regionGroup": "europeUnion"}
    fields |= {"image": "gallery:debian-12-desktop", "cloudPcNamingTemplate": "PC-%RAND:5%"}
    wrong = pages.post("start", fields)
    assert wrong.status == 422
    assert 'href="#f-displayName"' in wrong.text
    assert (wrong.field("displayName"), wrong.field("cloudPcNamingTemplate")) == ("A|B", "PC-%RAND:5%")
    none = pages.post("start", {**fields, "displayName": "Desktops", "groups": ""})
    assert "choose the group" in none.words.lower()
    assert company.sql("SELECT 1 FROM policies") == []


def test_a_policy_may_go_through_a_network_connection(pages: Browser, company: Company) -> None:
    company.site()
    company.connection("HQ")
    company.plan()
    company.group()
    company.user("adele")
    company.join("adele", "Sales")
    company.license_group(PLAN, "Sales")
    assert "HQ (site-a)" in pages.get("start").words
    fields = {"displayName": "Desktops", "groups": str(company.ids["Sales"]), "regionGroup": "europeUnion"}
    fields |= {"onPremisesConnection": str(company.ids["HQ"]), "image": "gallery:debian-12-desktop"}
    done = pages.post("start", {"step": "policy", **fields, "cloudPcNamingTemplate": "PC-%RAND:5%"})
    assert "Desktops is assigned." in done.words
    assert [tuple(r) for r in company.sql("SELECT join_type, region_group FROM policies")] == [
        ("hybridAzureADJoin", None)
    ]


def test_a_failed_one_shows_cause_and_remedy_and_is_retried_from_here(pages: Browser, company: Company) -> None:
    company.basics()
    company.join("maria", "Sales")
    company.fault("C5", "intuneEnrollFailed")
    company.settle()
    company.advance(hours=2)
    company.advance(hours=2)
    failed = pages.get("start")
    assert company.status("maria") == "failed"
    assert "Cause." in failed.words
    assert "What mends it." in failed.words
    assert "The simulator was told to fail here." in failed.words
    assert "every 2s" not in failed.text, "it rests"
    company.clear_faults()
    retried = pages.post("start", {"step": "retry", "cloudPc": str(company.pc("maria").id)})
    assert "A new run has begun." in retried.words
    company.settle()
    assert "It is ready" in pages.get("start").words


def test_where_nobody_is_due_one_the_page_says_so(pages: Browser, company: Company) -> None:
    company.basics()
    assert "Nobody is due one yet" in pages.get("start").words


def test_more_people_come_and_are_invited_by_link(pages: Browser, company: Company) -> None:
    pages.post("start", {"step": "everything"})
    company.settle()
    added = pages.post("start/people", {"users": "adele"})
    assert "They are in Cloud PC users. Invite them below." in added.words
    assert "adele@contoso.com" in added.words
    wrong = pages.post("start/people", {"users": "a@b@c"})
    assert wrong.status == 422
    user = company.sql("SELECT id FROM users WHERE user_principal_name = 'adele@contoso.com'")[0].id
    links = pages.post("start/invite", {"users": str(user)})
    assert "1 invitation" in links.words
    assert "http://127.0.0.1/sign-in/link/" in links.words
    assert links.headers["cache-control"] == "no-store"
    assert "invited, the link counts until" in pages.get("start").words
    assert "choose whom to invite" in pages.post("start/invite").words.lower()


def test_a_reader_sees_how_far_it_is_and_changes_nothing(pages: Browser, company: Company) -> None:
    rita = as_person(pages, company, "rita")
    seen = rita.get("start")
    assert "An administrator takes these steps." in seen.words
    assert '<form method="post" action="/admin/contoso.com/start' not in seen.text
    for path in ("start", "start/people", "start/invite"):
        assert rita.post(path, {"step": "everything"}).status == 403
    assert company.sql("SELECT 1 FROM sites") == []


def test_an_administrator_of_another_tenant_sets_up_for_somebody_else(pages: Browser, company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    guests.assign(company.world.database, other.tenant, "test", "administrator", "maria@contoso.com")
    page = pages.get("/admin/fabrikam.com/start")
    assert "a group with one person in it" in page.words
    pages.post("/admin/fabrikam.com/start", {"step": "everything"})
    members = other.sql("SELECT user_principal_name AS n FROM memberships m JOIN users u ON u.id = m.user_id")
    assert [m.n for m in members] == ["adele@fabrikam.com"]
    assert company.sql("SELECT 1 FROM memberships WHERE tenant_id = :tenant") == []
    other.settle()
    assert "Open your portal" not in pages.get("/admin/fabrikam.com/start").words


def test_hostile_names_are_shown_as_text(pages: Browser, company: Company) -> None:
    company.basics()
    company.sql("UPDATE groups SET display_name = '<script>alert(1)</script>'")
    page = pages.get("start")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


def test_a_simulation_as_slow_as_real_machines_is_made_quick_from_here(pages: Browser, company: Company) -> None:
    company.sql("UPDATE tenants SET speed = 1")
    company.basics()
    company.join("maria", "Sales")
    company.settle()
    assert "Run the simulation 60 times as fast" in pages.get("start").words
    pages.post("start", {"step": "quick"})
    assert company.sql("SELECT speed FROM tenants")[0].speed == first_steps.QUICK


@pytest.mark.parametrize(
    ("languages", "group"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "austria"),
        ("de", "germany"),
        ("en-GB", "unitedKingdom"),
        ("zh-Hant-TW", "taiwan"),
        ("pt_BR", "brazil"),
        ("xx-ZZ, fr-CH", "switzerland"),
        ("", "europeUnion"),
        ("*;;,,-", "europeUnion"),
        ("," * 10_000 + "de", "europeUnion"),
    ],
)
def test_where_a_person_likely_is(languages: str, group: str) -> None:
    assert likely_region_group(languages) == group


def test_a_likely_region_is_one_that_can_be_had() -> None:
    assert likely_region_group("de", frozenset({"france", "usEast"})) == "france"
    assert likely_region_group("en-US", frozenset({"france", "usEast"})) == "usEast"
    assert {likely_region_group(f"xx-{a}{b}") for a in "ABCDEFGIJKLMNSTUZ" for b in "ABDEHLRSTUZ"} <= set(REGION_GROUPS)


def test_every_size_that_is_offered_says_what_it_is() -> None:
    assert first_steps.USUAL_PLAN in first_steps.SIZES
    assert all(size_from_name(name) for name in first_steps.SIZES)


@contextmanager
def _working(company: Company) -> Iterator[None]:
    worker = Worker(company.world, 2)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(20)


def test_from_the_link_of_init_to_a_cloud_pc_that_comes_up_live(site: Site, screen: Screen) -> None:
    """R16: no documentation, no reload; V4: its steps are seen as they are done."""
    company, page = site.company, screen.page
    company.sql("UPDATE tenants SET speed = 300")
    invited = invitations.first_administrator(company.world.database, company.tenant, "init", base=site.url)
    assert invited is not None
    page.goto(invited["url"])
    page.fill("[name=new]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/admin/contoso.com/start")
    assert screen.axe() == []
    with _working(company):
        page.click("text=Do it all with examples")
        page.wait_for_selector("[data-status=provisioning]")
        page.evaluate("() => { window.same = true; }")
        assert screen.axe() == []
        screen.shot("first-steps-provisioning")
        page.wait_for_selector(".watched-steps .succeeded")
        page.wait_for_selector("[data-status=provisioned]", timeout=60_000)
    assert page.evaluate("() => window.same"), "it came up on the page that was open"
    assert page.is_visible("text=Open your portal")
    assert company.sql("SELECT user_principal_name AS n FROM users JOIN cloud_pcs c ON c.user_id = users.id")[0].n == (
        "admin@contoso.com"
    )
    assert screen.axe() == []
    assert screen.layout_shift < 0.1
    screen.phone()
    screen.dark()
    screen.shot("first-steps-ready-phone-dark")
