"""Connection health: checked on creation, again every six hours, and what hangs on it (V3, SPEC section 5)."""

import json
from typing import Any

import pytest

from deskwright.domain.status import Status
from deskwright.operations import connection_view, connections
from tests.company import PLAN, Company


def due_now(company: Company, connection: str = "HQ") -> None:
    company.sql("UPDATE connections SET next_check_at = tenant_now(:tenant) WHERE id = :id", id=company.ids[connection])


def health(company: Company) -> str:
    ((status,),) = company.sql("SELECT health_status FROM connections WHERE tenant_id = :tenant")
    return str(status)


def checks(company: Company) -> dict[str, str]:
    return dict(company.sql("SELECT check_id, status FROM connection_checks WHERE tenant_id = :tenant"))


def test_a_new_connection_is_checked_and_then_used(company: Company) -> None:
    """V3: pending until its first check has settled; then who waited for it starts by themselves."""
    company.basics("adele")
    company.connection("HQ", health="pending")
    company.group("Branch")
    company.policy("Branch desktops", connections=("HQ",))
    company.license_group(PLAN, "Branch")
    company.assign("Branch desktops", "Branch")
    company.user("alex")
    company.join("alex", "Branch")
    company.settle()
    assert (company.pc("alex").status, company.pc("alex").waiting_for) == (Status.PENDING, "connection")
    due_now(company)
    company.settle()
    assert health(company) == "passed"
    assert set(checks(company).values()) == {"passed"}
    assert company.status("alex") == Status.PROVISIONED


def test_refreshed_every_six_hours(company: Company) -> None:
    """The refresh is a deadline in the tenant's time: six hours by default."""
    company.basics(connections=("HQ",))
    due_now(company)
    company.settle()
    company.fault("health:adDomainJoin", "adJoinCheckFailed")
    company.advance(hours=5, minutes=59)
    assert health(company) == "passed"
    company.advance(minutes=2)
    assert health(company) == "failed"
    assert checks(company)["adDomainJoin"] == "failed"
    company.clear_faults()
    company.advance(hours=6, minutes=1)
    assert health(company) == "passed"


def test_a_check_under_way_keeps_the_last_settled_result(company: Company) -> None:
    """V3: while checks run, the status of before counts; when they have ended, the new one does."""
    company.basics(connections=("HQ",))
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.fault("health:dns", "dnsCheckFqdnNotFound", delay=600)
    due_now(company)
    company.settle()
    ((checking,),) = company.sql("SELECT checking FROM connections WHERE tenant_id = :tenant")
    assert checking
    assert health(company) == "passed"
    company.advance(hours=1)
    company.advance(hours=1)
    assert health(company) == "failed"


def test_addresses_are_compared_with_three_attempts_each(company: Company) -> None:
    """R4, L2: free addresses against the people a connection serves, three for each."""
    company.site()
    company.connection("HQ", subnet="10.20.0.0/29")
    company.plan()
    company.group()
    company.policy(connections=("HQ",))
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    for user in ("u1", "u2"):
        company.user(user)
        company.join(user, "Sales")
    due_now(company)
    company.settle()
    assert checks(company)["ipAddresses"] == "warning"
    assert health(company) == "warning"


def test_a_request_during_a_check_is_not_lost(company: Company) -> None:
    """An edit or a request meanwhile sets the deadline anew, and the check's end does not take it away."""
    from deskwright.reconcile import health as checking

    company.basics(connections=("HQ",))
    due_now(company)
    seen = checking._ask
    asked: list[int] = []

    def meddling(*args: object) -> object:
        if not asked:
            asked.append(1)
            company.sql("UPDATE connections SET next_check_at = tenant_now(tenant_id) + interval '1 ms'")
        return seen(*args)  # type: ignore[arg-type]

    checking._ask = meddling  # type: ignore[assignment]
    try:
        checking.check_connection(company.world, company.ids["HQ"])
    finally:
        checking._ask = seen
    ((pending,),) = company.sql("SELECT next_check_at <= tenant_now(tenant_id) + interval '1 s' FROM connections")
    assert pending


def settings(company: Company, **values: float) -> None:
    company.sql("UPDATE tenants SET settings = CAST(:s AS jsonb) WHERE id = :tenant", s=json.dumps(values))


def test_a_single_failure_need_not_count(company: Company) -> None:
    """Hysteresis: until there are enough in a row the last settled status stands (V3); a look each minute."""
    company.basics(connections=("HQ",))
    settings(company, connectionFailuresUntilUnhealthy=3, connectionPassesUntilHealthy=2)
    company.fault("health:adDomainJoin", "adJoinCheckAccessDenied")
    due_now(company)
    company.settle()
    assert health(company) == "passed"
    assert checks(company)["adDomainJoin"] == "failed"
    database, tenant, own = company.world.database, company.tenant, company.ids["HQ"]
    unsettled = {"result": "failed", "count": 1, "needed": 3}
    assert connection_view.standing(database, tenant, own)["unsettled"] == unsettled
    company.advance(seconds=30)
    assert connection_view.standing(database, tenant, own)["unsettled"] == unsettled
    company.advance(minutes=1)
    assert health(company) == "passed"
    company.advance(minutes=1, seconds=1)
    assert health(company) == "failed"
    assert connection_view.standing(database, tenant, own)["unsettled"] is None
    company.clear_faults()
    company.advance(hours=6)
    assert health(company) == "failed"
    assert connection_view.standing(database, tenant, own)["unsettled"] == {"result": "passed", "count": 1, "needed": 2}
    company.advance(minutes=1, seconds=1)
    assert health(company) == "passed"
    told = connection_view.results(database, tenant, own)
    assert [r["status"] for r in told] == ["passed", "passed", "failed", "failed", "failed"]
    ((changes,),) = company.sql("SELECT count(*) FROM audit_events WHERE activity = 'Connection health changed'")
    assert changes == 2


def test_who_waits_for_a_connection_starts_when_it_is_settled(company: Company) -> None:
    """Not before: one pass after a failure is not yet healthy."""
    company.basics("adele", connections=("HQ",))
    settings(company, connectionPassesUntilHealthy=2)
    company.health("HQ", "failed")
    company.settle()
    due_now(company)
    company.settle()
    assert company.status("adele") == Status.PENDING
    company.advance(minutes=1, seconds=1)
    assert company.status("adele") == Status.PROVISIONED


def test_only_what_goes_on_is_asked_again(company: Company) -> None:
    """A check that takes long does not make the others run twice; what needs it waits for it."""
    company.basics(connections=("HQ",))
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.fault("health:joinAccount", "adJoinCheckIncorrectCredentials", delay=600)
    due_now(company)
    company.settle()
    first = dict(company.sql("SELECT check_id, started_at FROM connection_checks WHERE tenant_id = :tenant"))
    assert checks(company)["joinAccount"] == "running"
    assert "adDomainJoin" not in first
    company.advance(minutes=11)
    after = dict(company.sql("SELECT check_id, started_at FROM connection_checks WHERE tenant_id = :tenant"))
    assert {check: after[check] for check in first} == first
    assert checks(company)["joinAccount"] == "failed"
    assert checks(company)["adDomainJoin"] == "informational"
    assert health(company) == "failed"


def test_an_edit_while_checks_go_on_begins_with_the_first_again(company: Company) -> None:
    company.basics(connections=("HQ",))
    company.sql("UPDATE tenants SET speed = 1 WHERE id = :tenant")
    company.fault("health:adDomainJoin", "adJoinCheckAccessDenied", delay=600)
    due_now(company)
    company.settle()
    before = dict(company.sql("SELECT check_id, started_at FROM connection_checks WHERE tenant_id = :tenant"))
    company.clear_faults()
    connections.set_(company.world.database, company.tenant, "test", "HQ", subnet="10.21.0.0/24")
    company.settle()
    after = dict(company.sql("SELECT check_id, started_at FROM connection_checks WHERE tenant_id = :tenant"))
    assert all(after[check] > before[check] for check in before)
    assert health(company) == "passed"


def test_a_look_that_was_cut_short_goes_on_where_it_was(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed worker's job comes again: checks that had ended are not done again."""
    from deskwright.reconcile import health as checking

    company.basics(connections=("HQ",))
    due_now(company)
    asked: list[str] = []
    ask = checking._ask

    class Killed(BaseException):
        pass

    def killed(probe: Any, check: Any, facts: Any) -> Any:
        asked.append(check.id)
        if check.id == "adDomainJoin" and asked.count("adDomainJoin") == 1:
            raise Killed
        return ask(probe, check, facts)

    monkeypatch.setattr(checking, "_ask", killed)
    with pytest.raises(Killed):
        checking.check_connection(company.world, company.ids["HQ"])
    assert checks(company)["adDomainJoin"] == "running"
    checking.check_connection(company.world, company.ids["HQ"])
    assert sorted(asked) == sorted([*checks(company), "adDomainJoin"])
    assert health(company) == "passed"
