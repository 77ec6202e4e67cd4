"""E1-E10 as an administrator would see them: changes in, Cloud PCs out."""

from collections.abc import Callable
from itertools import permutations

import pytest
from sqlalchemy.exc import IntegrityError

from deskwright.domain.status import Status
from tests.company import PLAN, Company

BIG = "Cloud PC Enterprise 8vCPU/32GB/512GB"


@pytest.mark.parametrize("order", list(permutations(["user joins", "licence", "policy"])), ids=",".join)
def test_e1_any_order_of_events_leads_to_a_cloud_pc(company: Company, order: tuple[str, ...]) -> None:
    """E1: membership, licence and policy in any order; no administrator action."""
    company.site()
    company.plan()
    company.group()
    company.policy()
    company.user("adele")
    does = {
        "user joins": lambda: company.join("adele", "Sales"),
        "licence": lambda: company.license(PLAN, "adele"),
        "policy": lambda: company.assign("Desktops", "Sales"),
    }
    for number, event in enumerate(order):
        assert company.status("adele") not in {Status.PROVISIONED}, f"before event {number}"
        does[event]()
        company.settle()
    assert company.status("adele") == Status.PROVISIONED


def test_e1_a_licence_twice_is_one_licence(company: Company) -> None:
    """E1: directly and through a group together are one licence, and one Cloud PC."""
    company.basics("adele")
    company.license(PLAN, "adele")
    company.settle()
    assert len(company.pcs("adele")) == 1
    company.unlicense(PLAN, "adele")
    company.settle()
    assert company.status("adele") == Status.PROVISIONED, "the group's licence still holds it"


def test_e1_disabling_starts_nothing_and_takes_nothing(company: Company) -> None:
    """E1: a disabled user keeps the Cloud PC and gets no new one until enabled again."""
    company.basics("adele")
    company.settle()
    company.enable_user("adele", False)
    company.plan(BIG)
    company.license(BIG, "adele")
    company.settle()
    assert {pc.plan: (pc.status, pc.waiting_for) for pc in company.pcs("adele")} == {
        PLAN: (Status.PROVISIONED, None),
        BIG: (Status.NOT_PROVISIONED, "accountDisabled"),
    }
    company.enable_user("adele", True)
    company.settle()
    assert {pc.status for pc in company.pcs("adele")} == {Status.PROVISIONED}


def test_e2_the_database_refuses_a_second_live_one(company: Company) -> None:
    """E2: a unique index, not only code."""
    company.basics("adele")
    company.settle()
    with pytest.raises(IntegrityError):
        company.sql(
            "INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, display_name, status, entitled_number) "
            "SELECT tenant_id, user_id, plan_id, 'second', 'pendingProvision', 99 FROM cloud_pcs "
            "WHERE tenant_id = :tenant"
        )


def test_e2_repeated_events_make_one(company: Company) -> None:
    """E2: the same user touched again and again, also by two reconciles at once, gets one Cloud PC."""
    from concurrent.futures import ThreadPoolExecutor

    from deskwright.reconcile.entitlements import reconcile

    company.basics("adele", "alex", "megan")
    for _ in range(5):
        for user in ("adele", "alex", "megan"):
            company.enable_user(user, True)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(reconcile, company.world.database, company.tenant.id) for _ in range(4)]:
            done.result()
    company.settle()
    assert [len(company.pcs(u)) for u in ("adele", "alex", "megan")] == [1, 1, 1]
    assert len(company.runs("adele")) == 1


def test_e3_one_for_each_licence_by_the_same_policy(company: Company) -> None:
    """E3: several licences, one Cloud PC each with its plan's size, all by one policy."""
    company.basics("adele")
    company.plan(BIG)
    company.license(BIG, "adele")
    company.settle()
    assert [pc.plan for pc in company.pcs("adele")] == [PLAN, BIG]
    assert {pc.policy_name for pc in company.pcs("adele")} == {"Desktops"}
    assert len({pc.device_name for pc in company.pcs("adele")}) == 2


def test_e4_first_assigned_wins(company: Company) -> None:
    """E4: not the first made, not the first by name: the first assigned to a group of the user."""
    company.basics()
    company.policy("AAA earlier by name")
    company.group("Finance")
    company.user("adele")
    company.join("adele", "Finance")
    company.assign("AAA earlier by name", "Finance")  # number 2; Desktops has number 1 for Sales
    company.join("adele", "Sales")
    company.settle()
    assert company.pc("adele").policy_name == "Desktops"


def test_e5_licence_without_policy_is_listed(company: Company) -> None:
    """E5: member without a licence: nothing; licence without a policy: a visible row with the reason."""
    company.basics()
    company.user("adele")
    company.user("alex")
    company.plan(BIG)
    company.license(BIG, "adele")
    company.settle()
    assert company.status("alex") is None
    assert (company.pc("adele").status, company.pc("adele").waiting_for) == (Status.NOT_PROVISIONED, "noPolicy")
    company.join("adele", "Sales")
    company.settle()
    assert {pc.status for pc in company.pcs("adele")} == {Status.PROVISIONED}


def test_e6_the_rest_waits_in_order_and_starts_by_itself(company: Company) -> None:
    """E6: oldest entitlement first; a freed seat, or a new one, starts the next without anyone's help."""
    users = ["u1", "u2", "u3", "u4"]
    company.basics()
    company.seats(PLAN, 2)
    for user in users:
        company.user(user)
        company.join(user, "Sales")
    company.settle()
    assert [company.status(u) for u in users] == ["provisioned", "provisioned", "pendingProvision", "pendingProvision"]
    assert {company.pc(u).waiting_for for u in ("u3", "u4")} == {"seat"}

    company.leave("u1", "Sales")
    company.settle()
    first_three = [company.status(u) for u in users[:3]]
    assert first_three == ["inGracePeriod", "provisioned", "pendingProvision"], "grace holds its seat"
    company.advance(days=7, minutes=1)
    assert [company.status(u) for u in users] == [None, "provisioned", "provisioned", "pendingProvision"]
    company.seats(PLAN, 3)
    company.settle()
    assert company.status("u4") == "provisioned"


def test_e6_seats_are_counted_as_they_are(company: Company) -> None:
    """E6: the counted seats equal those in use after any history."""
    company.basics("adele", "alex", "megan")
    company.fault("C2", "imageNotSupportedFail", user="alex")
    company.settle()
    company.leave("megan", "Sales")
    company.settle().advance(days=8)
    ((used, counted),) = company.sql(
        "SELECT p.seats_used, (SELECT count(*) FROM cloud_pcs c WHERE c.plan_id = p.id AND c.status NOT IN "
        "('notProvisioned', 'pendingProvision', 'gone')) FROM service_plans p WHERE p.tenant_id = :tenant"
    )
    assert used == counted == 2


def test_e7_a_policy_edit_leaves_existing_ones_alone(company: Company) -> None:
    """E7: neither image nor name change on what exists; the next run uses the new settings; each run keeps its own."""
    from deskwright.operations import cloud_pcs

    company.basics("adele")
    company.settle()
    before = company.pc("adele")
    company.sql(
        "UPDATE policies SET display_name = 'Renamed', gallery_image = 'debian-12-server', revision = 2 "
        "WHERE tenant_id = :tenant"
    )
    company.enable_user("adele", True)
    company.settle()
    after = company.pc("adele")
    assert after.display_name == before.display_name
    assert (after.policy_name, after.image_name) == ("Desktops", "debian-12-desktop")
    ((profile,),) = company.sql(
        "SELECT data -> 'enrollmentProfileName' FROM simulator.objects WHERE kind = 'managedDevice'"
    )
    assert profile in ("Desktops", None)
    cloud_pcs.reprovision(company.world, company.tenant, "test", "adele@contoso.com")
    company.settle()
    assert company.pc("adele").image_name == "debian-12-server"
    assert [run.policy["display_name"] for run in company.runs("adele")] == ["Desktops", "Renamed"]


Change = Callable[[Company], None]
# What is lost -> how it is lost, and how it comes back.
LOSSES: dict[str, tuple[Change, Change]] = {
    "licence removed": (lambda c: c.unlicense(PLAN, "adele"), lambda c: c.license(PLAN, "adele")),
    "left the group": (lambda c: c.leave("adele", "Sales"), lambda c: c.join("adele", "Sales")),
    "policy unassigned": (lambda c: c.unassign("Desktops", "Sales"), lambda c: c.assign("Desktops", "Sales")),
    "user deleted": (lambda c: c.delete_user("adele"), lambda c: c.restore_user("adele")),
}


def directly_licensed(company: Company) -> Company:
    company.site()
    company.plan()
    company.group()
    company.policy()
    company.user("adele")
    company.license(PLAN, "adele")
    company.assign("Desktops", "Sales")
    company.join("adele", "Sales")
    return company.settle()


@pytest.mark.parametrize("loss", LOSSES)
def test_e8_grace_and_back(company: Company, loss: str) -> None:
    """E8: what is lost leads to grace; back in time, it is provisioned again, untouched."""
    lose, regain = LOSSES[loss]
    before = directly_licensed(company).pc("adele")
    lose(company)
    company.settle()
    grace = company.pc("adele")
    assert grace.status == Status.IN_GRACE
    assert grace.grace["lost"]
    assert grace.grace["cause"]["actor"] == "test"
    company.advance(days=6, hours=23)
    assert company.status("adele") == Status.IN_GRACE
    regain(company)
    company.settle()
    after = company.pc("adele")
    assert (after.id, after.device_name) == (before.id, before.device_name)
    assert (after.status, after.grace_ends_at) == ("provisioned", None)
    company.advance(days=30)
    assert company.pc("adele").id == before.id


@pytest.mark.parametrize("loss", LOSSES)
def test_e8_grace_expires(company: Company, loss: str) -> None:
    """E8: after seven days it is gone with all it held."""
    lose, _ = LOSSES[loss]
    directly_licensed(company)
    lose(company)
    company.settle().advance(days=7, minutes=1)
    left = company.pcs("adele")
    # A licence that is still there without a policy is listed (E5).
    assert [pc.status for pc in left] == (["notProvisioned"] if loss in ("left the group", "policy unassigned") else [])
    company.advance(hours=4)
    assert company.inventory() == {}
    assert company.held() == []


def test_e8_another_policy_does_not_keep_it_but_makes_the_next(company: Company) -> None:
    """E8: grace even though another policy reaches the user; after its end, provisioned anew under that one."""
    directly_licensed(company)
    company.policy("Second")
    company.group("Finance")
    company.assign("Second", "Finance")
    company.join("adele", "Finance")
    company.leave("adele", "Sales")
    company.settle()
    old = company.pc("adele")
    assert old.status == Status.IN_GRACE
    company.advance(days=7, minutes=1)
    new = company.pc("adele")
    assert (new.status, new.policy_name) == (Status.PROVISIONED, "Second")
    assert new.id != old.id


def test_e8_end_grace_by_hand(company: Company) -> None:
    """E8: end grace period: deprovisioning now, gone at once, the rest after three hours (L2)."""
    from deskwright.operations import cloud_pcs

    directly_licensed(company)
    company.leave("adele", "Sales")
    company.settle()
    cloud_pcs.end_grace(company.world, company.tenant, "test", "adele@contoso.com")
    company.settle()
    assert [pc.status for pc in company.pcs("adele")] == ["notProvisioned"]
    assert set(company.inventory().values()) == {"nic", "device", "managedDevice"}
    company.advance(hours=3, minutes=1)
    assert company.inventory() == {}


def test_e8_no_grace_for_what_never_was_provisioned(company: Company) -> None:
    """E8: failed and waiting ones just go."""
    company.basics("adele", "alex")
    company.seats(PLAN, 1)
    company.fault("C2", "imageNotSupportedFail")
    company.settle()
    assert (company.status("adele"), company.status("alex")) == ("failed", "pendingProvision")
    company.leave("adele", "Sales")
    company.leave("alex", "Sales")
    company.settle()
    assert company.pcs() == []
    company.advance(hours=4)
    assert company.inventory() == {}


def test_r13_the_brake_stops_and_lets_the_confirmed_through(company: Company) -> None:
    """R13: more than 25 people and 20 %: stopped, nothing changed; confirmed it happens."""
    from deskwright.domain.rules import ConfirmationRequired

    company.basics()
    with_pc = [f"u{n}" for n in range(27)]
    for user in with_pc:
        company.user(user)
        company.join(user, "Sales")
    company.sql(
        "INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, policy_id, display_name, status, entitled_number) "
        "SELECT :tenant, u.id, :plan, :policy, 'x', 'provisioned', 1 FROM users u WHERE u.tenant_id = :tenant",
        plan=company.ids[PLAN],
        policy=company.ids["Desktops"],
    )
    company.sql("DELETE FROM touched_users")
    with pytest.raises(ConfirmationRequired) as stop:
        company.unassign("Desktops", "Sales")
    assert (stop.value.losing, stop.value.of) == (27, 27)
    assert company.sql("SELECT 1 FROM policy_assignments") != []
    company.unassign("Desktops", "Sales", confirmed=True)
    company.settle()
    assert {pc.status for pc in company.pcs()} == {Status.IN_GRACE}


def test_e10_a_reconcile_reads_the_touched_only(company: Company) -> None:
    """E10: what is decided on is what was touched, however large the tenant."""
    from deskwright.reconcile.entitlements import reconcile_chunk

    company.basics("adele")
    company.settle()
    company.sql(
        "INSERT INTO users (tenant_id, user_principal_name, display_name) "
        "SELECT :tenant, 'x' || n || '@contoso.com', 'x' FROM generate_series(1, 1000) n"
    )
    company.enable_user("adele", True)
    assert reconcile_chunk(company.world.database, company.tenant.id) == 1
    assert reconcile_chunk(company.world.database, company.tenant.id) == 0
