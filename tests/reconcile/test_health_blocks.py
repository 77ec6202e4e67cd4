"""What hangs on the health of a connection into a real domain (V3)."""

from deskwright.domain.status import Status
from deskwright.operations import connection_view, connections
from tests.company import PLAN
from tests.office import OTHER, Office


def test_v3_a_wrong_password_blocks_until_a_right_one_is_entered(office: Office) -> None:
    """Failed, so nobody starts; the password is entered, tried, checked, and who waited starts by themselves."""
    company = office.company
    office.password(OTHER)
    office.check()
    company.plan()
    company.group()
    company.policy(connections=("HQ",))
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    waiting = company.pc("adele")
    assert (waiting.status, waiting.waiting_for) == (Status.PENDING, "connection")
    of = company.world.database, company.tenant, "test", "HQ"
    connections.set_password(*of, office.joiner.password, secrets=company.world.secrets)
    company.settle()
    assert office.health == "warning"
    assert company.status("adele") != Status.PENDING
    changes = connection_view.results(company.world.database, company.tenant, company.ids["HQ"])[0]["changes"]
    told = {c["check"]: (c["before"], c["after"]) for c in changes}
    assert told == {"joinAccount": ("failed", "passed")}  # what was not tried has not changed


def test_v3_a_refresh_that_fails_during_a_run_fails_that_attempt(office: Office) -> None:
    """`canaryCheckUnpass`, with the next attempt waiting until the connection is healthy; then it goes on by itself."""
    company = office.company
    office.check()
    company.sql("UPDATE tenants SET speed = 60 WHERE id = :tenant")
    company.plan()
    company.group()
    company.policy(connections=("HQ",))
    company.license_group(PLAN, "Sales")
    company.assign("Desktops", "Sales")
    company.user("adele")
    company.join("adele", "Sales")
    company.settle()
    assert company.status("adele") == Status.PROVISIONING
    office.password(OTHER)
    office.check()
    assert office.health == "failed"
    for _ in range(30):
        company.advance(minutes=1)
        errors = [row.code for row in company.steps("adele") if row.code]
        if errors:
            break
    assert errors == ["canaryCheckUnpass"]
    office.password(office.joiner.password)
    office.check()
    assert office.health == "warning"
