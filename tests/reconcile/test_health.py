"""Connection health: checked on creation, again every six hours, and what hangs on it (V3, SPEC section 5)."""

from deskwright.domain.status import Status
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
