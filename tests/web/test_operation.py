"""Overview, audit log, leftovers, health, sites and settings in the admin center."""

from datetime import UTC, datetime, timedelta

import pytest

from deskwright.identity.permissions import READER
from deskwright.operations.attention import stretches
from deskwright.web.plot import HEIGHT, WIDTH, plot
from tests.company import PLAN, Company
from tests.web.conftest import Browser, as_person


@pytest.fixture
def desktops(company: Company) -> Company:
    company.site()
    company.plan(seats=1)
    company.group()
    company.policy()
    return company


def test_the_overview_leads_to_what_needs_somebody(pages: Browser, desktops: Company) -> None:
    for name in ("adele", "alex"):
        desktops.user(name)
        desktops.join(name, "Sales")
        desktops.license(PLAN, name)
    desktops.assign("Desktops", "Sales")
    desktops.settle()
    seen = pages.get("")
    assert "1 person waits for a seat" in seen.words
    assert "/admin/contoso.com/cloud-pcs?status=pendingProvision&waiting=seat" in seen.links()
    assert "0 left · 1 of 1 in use · 1 waits" in seen.words
    assert "p50" in seen.words
    part = pages.fragment("")
    assert part.text.strip().startswith('<div id="glance"')


def test_an_empty_tenant_is_led_to_its_first_cloud_pc(pages: Browser) -> None:
    assert "/admin/contoso.com/start" in pages.get("").links()


def test_stretches_have_the_quantiles_of_what_ended_in_them() -> None:
    begins = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [(begins + timedelta(seconds=n), float(n)) for n in range(1, 101)]
    (one, other) = stretches(rows)
    assert (one.count, other.count) == (59, 41)
    assert (one.p50, one.p95) == (30.0, 57.0)
    assert stretches([]) == []
    year = stretches([(begins + timedelta(days=n), 60.0) for n in range(365)])
    assert len(year) <= 26
    assert sum(t.count for t in year) == 365


def test_a_plot_stays_within_its_frame() -> None:
    begins = datetime(2026, 3, 1, tzinfo=UTC)
    drawn = plot(stretches([(begins + timedelta(hours=n), 37.0 * n) for n in range(1, 60)]))
    assert drawn is not None
    for p in drawn.points:
        assert 0 <= p.x <= WIDTH
        assert 0 <= p.p95 <= p.p50 <= HEIGHT
    assert plot([]) is None


def test_the_audit_log_tells_who_changed_what_from_what(pages: Browser) -> None:
    pages.post("groups/new", {"displayName": "Sales"})
    pages.post("groups/Sales/rename", {"displayName": "Selling"})
    seen = pages.get("audit?resource=Selling")
    assert "maria@contoso.com" in seen.words
    event = next(link for link in seen.links() if "/audit/" in link)
    told = pages.get(event)
    assert "Display name Sales Selling" in told.words
    assert "Nothing found" in pages.get("audit?actor=nobody").words
    assert pages.get("audit?before=x").status == 400


def test_a_previous_assignment_is_put_back(pages: Browser, desktops: Company) -> None:
    """R13."""
    from deskwright.operations import assignments, policies

    database, tenant = desktops.world.database, desktops.tenant
    assignments.assign(database, tenant, "maria", "Desktops", ["Sales"])
    assignments.unassign(database, tenant, "maria", "Desktops", ["Sales"])
    newest = next(link for link in pages.get("audit").links() if "/audit/" in link)
    assert "Put the previous assignment back" in pages.get(newest).words
    back = next(link for link in pages.get(newest).links() if "/restore/" in link)
    assert pages.post(back).status == 200
    assert policies.show(database, tenant, "Desktops")["assignments"]


def test_leftovers_are_told_with_the_time_they_go(pages: Browser, desktops: Company) -> None:
    """R8, L2."""
    assert "Nothing is left over" in pages.get("leftovers").words
    desktops.user("adele")
    desktops.join("adele", "Sales")
    desktops.license(PLAN, "adele")
    desktops.sql("INSERT INTO faults (tenant_id, step, code, rate) VALUES (:tenant, 'C5', 'intuneEnrollFailed', 1)")
    desktops.assign("Desktops", "Sales")
    desktops.settle()
    seen = pages.get("leftovers")
    assert "network interfaces" in seen.words
    assert "adele@contoso.com" in seen.words
    assert "in 2 h 59 min" in seen.words or "in 3 h" in seen.words


def test_health_comes_after_the_page_and_without_scripts_with_it(pages: Browser, desktops: Company) -> None:
    assert "Looking" in pages.get("health").words
    assert "Deadlines" in pages.fragment("health").words
    assert "Deadlines" in pages.get("health?findings=now").words


def test_a_site_with_real_machines_has_the_built_in_directory(pages: Browser, company: Company) -> None:
    host = '{"uri": "qemu+ssh://somewhere.example/system"}'
    form = {"name": "Lab", "regionGroup": "germany", "compute": "libvirt", "computeConfiguration": host}
    refused = pages.post("sites/new", {**form, "directory": "simulator"})
    assert (refused.status, "must be builtin or activedirectory where compute.kind is libvirt" in refused.words) == (
        422,
        True,
    )
    assert "is made" in pages.post("sites/new", {**form, "directory": "", "management": ""}).words
    query = "SELECT directory, management FROM sites WHERE tenant_id = :tenant AND name = 'Lab'"
    assert company.sql(query)[0] == ({"kind": "builtin"}, {"kind": "builtin"})


def test_sites_are_made_changed_and_deleted(pages: Browser) -> None:
    made = pages.post("sites/new", {"name": "Berlin", "regionGroup": "germany", "compute": "simulator"})
    assert "The site Berlin is made" in made.words
    wrong = pages.post("sites/new", {"name": "berlin", "regionGroup": "germany"})
    assert wrong.status == 422
    assert 'href="#f-name"' in wrong.text
    wrong = pages.post(
        "sites/new", {"name": "Bonn", "regionGroup": "germany", "computeConfiguration": "{not", "compute": "simulator"}
    )
    assert wrong.status == 422
    assert 'href="#f-computeConfiguration"' in wrong.text
    assert "{not" in wrong.text
    assert "Saved" in pages.post("sites/Berlin", {"name": "Potsdam"}).words
    assert "is deleted" in pages.post("sites/Potsdam/delete").words


def test_settings_are_changed_and_put_back_to_their_default(pages: Browser, company: Company) -> None:
    page = pages.get("settings")
    assert page.field("gracePeriodInHours") == "168"
    pages.post("settings", {"gracePeriodInHours": "24,5"})
    assert pages.get("settings").field("gracePeriodInHours") == "24.5"
    wrong = pages.post("settings", {"gracePeriodInHours": "-1"})
    assert wrong.status == 422
    assert wrong.field("gracePeriodInHours") == "-1"
    assert 'href="#f-gracePeriodInHours"' in wrong.text
    pages.post("settings", {"gracePeriodInHours": "168"})
    with company.world.database.single.connect() as connection:
        kept = connection.exec_driver_sql("SELECT settings FROM tenants").scalar_one()
    assert kept == {}


def test_the_clock_of_a_simulated_tenant_is_advanced(pages: Browser, company: Company) -> None:
    company.site()
    assert "1 d further" in pages.post("settings/clock", {"by": "1", "unit": "d"}).words
    assert "1 d" in pages.get("settings").words
    assert pages.post("settings/clock", {"by": "-1", "unit": "d"}).status == 422
    assert pages.post("settings/clock", {"by": "nan", "unit": "d"}).status == 422


@pytest.mark.parametrize("path", ["", "audit", "leftovers", "health", "sites", "settings"])
def test_a_reader_sees_them(pages: Browser, desktops: Company, path: str) -> None:
    reader = as_person(pages, desktops, "rita", READER)
    assert reader.get(path).status == 200
