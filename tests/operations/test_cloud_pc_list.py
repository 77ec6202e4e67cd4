"""The list of all Cloud PCs: filters, orders, pages that neither lose nor repeat anyone; previews of bulk actions."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from deskwright.domain.rules import Refused
from deskwright.operations import bulk_actions, bulk_preview, bulk_view, cloud_pc_list, listing, remote_actions
from deskwright.operations.bulk_preview import Preview
from deskwright.operations.cloud_pc_list import KEYS, Filter, Order
from tests.company import PLAN, Company, found

NAMES = ("adele", "alex", "bianca", "chris", "debra")


@pytest.fixture
def five(company: Company) -> Company:
    """adele and bianca work, alex has failed, chris is in grace, debra waits for a seat."""
    company.basics(*NAMES)
    company.seats(PLAN, 4)
    company.fault("C2", "internalServerError", user="alex")
    company.fault("P6", "diskAllocationError", user="bianca")
    company.settle()
    company.leave("chris", "Sales")
    return company.settle()


def _who(company: Company, wanted: Filter = Filter(), order: Order = Order(), **paging: Any) -> list[str]:
    page = cloud_pc_list.page(company.world.database, company.tenant, wanted, order, **paging)
    return [row["userPrincipalName"].partition("@")[0] for row in page.rows]


FILTERS = [
    (Filter(("failed",)), {"alex"}),
    (Filter(("failed", "inGracePeriod")), {"alex", "chris"}),
    (Filter(code="internalServerError"), {"alex"}),
    (Filter(code="diskAllocationError"), {"bianca"}),
    (Filter(waiting="seat"), {"debra"}),
    (Filter(user="CHRIS@contoso.com"), {"chris"}),
    (Filter(policy="Desktops"), set(NAMES)),
    (Filter(policy="Elsewhere"), set()),
    (Filter(plan=PLAN), set(NAMES)),
    (Filter(site="site-a"), {"adele", "bianca", "chris"}),
    (Filter(image="Debian 12 desktop"), {"adele", "bianca", "chris"}),
    (Filter(connection="HQ"), set()),
    (Filter(text="BIAN"), {"bianca"}),
    (Filter(text="CPC-adele"), {"adele"}),
    (Filter(("provisioned",), text="a"), {"adele"}),
    (Filter(text="%"), set()),
    (Filter(text="_"), set()),
]


def test_filters(five: Company) -> None:
    for wanted, who in FILTERS:
        assert set(_who(five, wanted)) == who, wanted


def test_r9_grace_that_ends_soon(five: Company) -> None:
    assert _who(five, Filter(grace_soon=True)) == []
    five.sql("UPDATE tenants SET clock_offset = clock_offset + 6 * 86400 WHERE id = :tenant")
    assert _who(five, Filter(grace_soon=True)) == ["chris"]


def test_pages_give_each_once_in_order(five: Company) -> None:
    for by, descending in product(KEYS, (False, True)):
        order = Order(by, descending)
        whole = _who(five, order=order)
        assert sorted(whole) == sorted(NAMES)
        assert _walked(five, order) == whole
        if by == "user":
            assert whole == sorted(NAMES, reverse=descending)
        if by == "device":
            assert set(whole[-2:]) == {"alex", "debra"}  # have none yet


def _walked(company: Company, order: Order) -> list[str]:
    walked: list[str] = []
    after = None
    while True:
        page = cloud_pc_list.page(company.world.database, company.tenant, order=order, after=after, limit=2)
        walked += [row["userPrincipalName"].partition("@")[0] for row in page.rows]
        after = page.following
        if after is None:
            return walked


def test_many_matches_are_walked_and_tell_the_same(five: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two ways of finding a page, by collecting the few that match and by walking the order, agree."""
    wanted = (Filter(text="a"), Filter(policy="Desktops"), Filter(text="cpc-"))
    few = [_who(five, each, Order(by)) for each, by in product(wanted, KEYS)]
    monkeypatch.setattr(cloud_pc_list, "_FEW", 0)
    assert [_who(five, each, Order(by)) for each, by in product(wanted, KEYS)] == few


@pytest.mark.parametrize(
    ("wanted", "order", "after", "field"),
    [
        (Filter(("asleep",)), Order(), None, "status"),
        (Filter(waiting="luck"), Order(), None, "waiting"),
        (Filter(text="x" * 201), Order(), None, "text"),
        (Filter(), Order("size"), None, "sort"),
        (Filter(), Order(), "nonsense", "after"),
        (Filter(), Order("since"), "WyJhIiwgImIiXQ", "after"),
    ],
)
def test_bad_input_names_the_field(
    company: Company, wanted: Filter, order: Order, after: str | None, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        cloud_pc_list.page(company.world.database, company.tenant, wanted, order, after=after)
    assert refused.value.field == field


def test_no_page_crosses_tenants(five: Company) -> None:
    other = found(five.world.database, five.world.settings, "fabrikam.com")
    other.basics("mallory")
    other.settle()
    assert _who(other) == ["mallory"]
    assert _who(other, Filter(user="adele@contoso.com")) == []
    assert _who(other, Filter(policy=str(five.ids["Desktops"]))) == []


def test_e6_the_place_in_the_queue_counts_those_who_are_not_on_the_page(company: Company) -> None:
    company.basics(*NAMES)
    company.seats(PLAN, 1)
    company.settle()
    waiting = sorted((pc for pc in company.pcs() if pc.waiting_for == "seat"), key=lambda pc: pc.entitled_number)
    with company.world.database.single.connect() as connection:
        (last,) = listing.cloud_pcs(connection, company.tenant, ids=[waiting[-1].id])
    assert last["queuePosition"] == len(waiting) == 4


def test_ids_of_all_that_match_up_to_a_limit(five: Company) -> None:
    ids = cloud_pc_list.ids(five.world.database, five.tenant, Filter(("failed",)), most=1)
    assert ids == [str(five.pc("alex").id)]
    with pytest.raises(Refused, match="at most 4"):
        cloud_pc_list.ids(five.world.database, five.tenant, Filter(), most=4)


# --- before a bulk action ------------------------------------------------------------------------------


def _preview(company: Company, kind: str, *users: str, **options: Any) -> Preview:
    ids = [str(company.pc(user).id) for user in users or NAMES]
    return bulk_preview.preview(company.world, company.tenant, "test", kind=kind, cloud_pc_ids=ids, options=options)


def _reasons(preview: Preview) -> dict[str, list[str]]:
    return {r.reason: [name.partition("@")[0] for _, name in r.some] for r in preview.refused}


def _state(company: Company) -> Any:
    return [
        company.sql("SELECT id, status, policy_id, modified_at FROM cloud_pcs ORDER BY id"),
        company.sql("SELECT id, state FROM runs ORDER BY id"),
        company.sql("SELECT count(*) FROM audit_events"),
        company.sql("SELECT count(*) FROM procrastinate_jobs"),
    ]


ACCEPTED = {
    "cloudPcBulkRestart": {"adele", "bianca", "chris"},
    "cloudPcBulkPowerOn": set[str](),
    "cloudPcBulkReprovision": {"adele", "bianca", "alex"},
    "retry": {"alex"},
    "repair": {"bianca"},
    "keep": {"chris"},
    "endGrace": {"chris"},
}


def test_a_preview_does_nothing_and_says_who_would_be_refused(five: Company) -> None:
    before = _state(five)
    for kind, accepted in ACCEPTED.items():
        told = _preview(five, kind)
        assert set(told.accepted) == {str(five.pc(user).id) for user in accepted}, kind
        assert sum(r.count for r in told.refused) == len(NAMES) - len(accepted)
        assert told.statuses["failed"] == 1
        # V5: the failed one has no data to lose.
        assert told.losing == {"cloudPcBulkReprovision": 2, "endGrace": 1}.get(kind, 0)
    assert _state(five) == before


def test_a_preview_refuses_by_the_rules_of_the_operation(five: Company) -> None:
    remote_actions.power_off(five.world, five.tenant, "test", "adele@contoso.com")
    told = _preview(five, "cloudPcBulkRestart", "adele", "bianca")
    assert _reasons(told) == {"a power off is already under way": ["adele"]}
    five.settle()
    told = _preview(five, "cloudPcBulkRestart", "adele", "bianca")
    assert _reasons(told) == {"it is powered off": ["adele"]}
    held = _preview(five, "cloudPcBulkResize", "adele", "bianca", targetServicePlanId=str(five.ids[PLAN]))
    assert _reasons(held) == {f"“{PLAN}” is the plan it has": ["adele", "bianca"]}


def test_r4_addresses_that_a_bulk_reprovision_needs(company: Company) -> None:
    company.site()
    company.connection(subnet="10.20.0.0/29")
    company.plan()
    company.group()
    company.policy(connections=("HQ",))
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    (need,) = _preview(company, "cloudPcBulkReprovision", "adele").needs
    assert (need.what, need.needed, need.short) == ("addresses of HQ", 1, False)
    assert 0 < need.free < 6
    assert replace(need, needed=need.free + 1).short


@pytest.mark.parametrize(
    ("kind", "ids", "field"),
    [("dance", ["x"], "kind"), ("cloudPcBulkResize", ["x"], "targetServicePlanId"), ("retry", [], "cloudPcIds")],
)
def test_bad_previews(company: Company, kind: str, ids: list[str], field: str) -> None:
    with pytest.raises(Refused) as refused:
        bulk_preview.preview(company.world, company.tenant, "test", kind=kind, cloud_pc_ids=ids, options={})
    assert refused.value.field == field


# --- the kinds that only pages have ------------------------------------------------------------------


def _begun(company: Company, kind: str, *users: str) -> Any:
    made = bulk_actions.create(
        company.world.database,
        company.tenant,
        "test",
        kind=kind,
        display_name="Now",
        cloud_pc_ids=[str(company.pc(user).id) for user in users],
        options={},
    )
    company.settle()
    return bulk_view.show(company.world.database, company.tenant, made)


def test_v1_retry_in_bulk(five: Company) -> None:
    five.clear_faults()
    done = _begun(five, "retry", "alex", "adele")
    assert (done["counts"]["successful"], done["counts"]["failed"], done["left"]) == (1, 1, 0)
    assert five.status("alex") == "provisioned"
    items = bulk_view.items(five.world.database, five.tenant, done["id"], outcome="failed")
    assert [(i["userPrincipalName"], "needs status failed" in i["reason"]) for i in items] == [
        ("adele@contoso.com", True)
    ]


def test_r12_repair_and_r9_keep_and_end_grace_in_bulk(five: Company) -> None:
    five.clear_faults()
    assert _begun(five, "repair", "bianca")["counts"]["successful"] == 1
    assert five.status("bianca") == "provisioned"
    before = five.pc("chris").grace_ends_at
    five.advance(days=1)
    assert _begun(five, "keep", "chris")["counts"]["successful"] == 1
    assert five.pc("chris").grace_ends_at > before
    assert _begun(five, "endGrace", "chris")["counts"]["successful"] == 1
    assert five.status("chris") in (None, "deprovisioning")
    names = [b["kind"] for b in bulk_view.list_(five.world.database, five.tenant)]
    assert names == ["endGrace", "keep", "repair"]
