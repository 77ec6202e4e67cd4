"""What is shared is measured rightly, and by index however many Cloud PCs there are."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from deskwright.operations import measures
from deskwright.operations.measures import MEASURES, Measuring
from deskwright.store.database import Database
from deskwright.telemetry import metrics as m
from deskwright.telemetry.exposition import Sample
from tests.company import PLAN, Company, found


def values(company: Company, metric: m.Metric) -> dict[tuple[str, ...], float]:
    samples = Measuring(company.world).samples()
    return {(*s.labels, *([s.tenant] if s.tenant else [])): s.value for s in samples if s.metric is metric}


def by_tenant(company: Company) -> Company:
    settings = company.world.settings.model_copy(update={"metrics_by_tenant": True})
    return replace(company, world=replace(company.world, settings=settings))


def test_an_empty_installation_has_its_zeros(company: Company) -> None:
    statuses = values(company, m.CLOUD_PCS)
    assert set(statuses.values()) == {0}
    assert ("failed",) in statuses
    assert values(company, m.CONNECTIONS)[("failed",)] == 0
    assert values(company, m.JOBS)[("provision", "waiting")] == 0
    assert values(company, m.RECONCILE_LAG) == {(): 0}
    assert values(company, m.WORKERS_ALIVE) == {(): 0}
    assert values(company, m.TENANTS) == {(): 1}
    assert values(company, m.DATABASE_UP) == {(): 1}


def test_cloud_pcs_seats_and_who_waits(company: Company) -> None:
    company.basics("adele", "alex", "kim")
    company.seats(PLAN, 2)
    company.fault("C1", "capacityUnavailable", user="alex")
    company.settle().advance(minutes=10)
    statuses = values(company, m.CLOUD_PCS)
    assert (statuses[("provisioned",)], statuses[("failed",)], statuses[("pendingProvision",)]) == (1, 1, 1)
    assert values(company, m.CLOUD_PCS_WAITING) == {("start",): 0, ("seat",): 1, ("connection",): 0}
    assert values(company, m.SEATS) == {(): 2}
    assert values(company, m.SEATS_USED) == {(): 2}
    assert values(company, m.PLANS_FULL) == {(): 1}


def test_the_queue_and_the_lag_of_reconcile(company: Company) -> None:
    company.basics("adele", "alex")
    company.sql("UPDATE touched_users SET at = at - interval '90 seconds' WHERE number = 1")
    company.sql("UPDATE procrastinate_events SET at = at - interval '40 seconds'")
    assert values(company, m.TOUCHED_USERS)[()] >= 2
    assert values(company, m.RECONCILE_LAG)[()] == pytest.approx(90, abs=20)
    assert values(company, m.JOBS)[("reconcile", "waiting")] >= 1
    assert values(company, m.JOB_OLDEST_SECONDS)[("reconcile",)] == pytest.approx(40, abs=20)
    company.settle()
    assert values(company, m.RECONCILE_LAG) == {(): 0}
    assert values(company, m.JOBS)[("reconcile", "waiting")] == 0


def test_what_is_late(company: Company) -> None:
    company.basics("adele")
    company.settle()
    company.leave("adele", "Sales")
    company.settle()
    company.sql("UPDATE tenants SET clock_offset = 8 * 86400 WHERE id = :tenant")
    assert values(company, m.DEADLINES_OVERDUE)[("cloud_pcs.grace_ends_at",)] == 1
    assert values(company, m.DEADLINE_LATE)[("cloud_pcs.grace_ends_at",)] == pytest.approx(86400, abs=60)
    company.sql("UPDATE ledger SET release_at = tenant_now(tenant_id) - interval '1 h', release_attempts = 2")
    assert values(company, m.RELEASES_OVERDUE)[()] == values(company, m.RELEASES_REFUSED)[()] > 0


def test_connections_and_their_addresses(company: Company) -> None:
    company.site()
    company.connection("HQ")
    company.connection("Branch", subnet="10.30.0.0/28", health="failed")
    assert values(company, m.CONNECTIONS) == {("passed",): 1, ("warning",): 0, ("failed",): 1, ("pending",): 0}
    free = values(company, m.FREE_ADDRESSES)
    assert set(free) == {(str(company.ids["HQ"]),), (str(company.ids["Branch"]),)}
    assert 0 < free[(str(company.ids["Branch"]),)] < 16 < free[(str(company.ids["HQ"]),)]


def test_a_host_that_does_not_answer_holds_up_no_scrape(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.site()
    company.connection("HQ")
    from threading import Event

    never = Event()
    monkeypatch.setattr(measures, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(Measuring, "_compute", lambda *_: never.wait(20) or None)
    measuring = Measuring(company.world)
    began = {s.metric.name for s in measuring.samples()}
    assert m.FREE_ADDRESSES.name not in began
    assert m.CONNECTIONS.name in began
    assert measuring._asking is not None
    assert measuring._asking.is_alive()
    measuring.samples()
    never.set()
    measuring._asking.join(10)


def test_tenants_are_told_apart_only_where_it_is_set(company: Company) -> None:
    other = found(company.world.database, company.world.settings, "fabrikam.com")
    for here in (company, other):
        here.basics("adele")
        here.settle()
    assert values(company, m.CLOUD_PCS)[("provisioned",)] == 2
    apart = values(by_tenant(company), m.CLOUD_PCS)
    assert apart == {("provisioned", str(here.tenant.id)): 1 for here in (company, other)}
    for sample in Measuring(by_tenant(company).world).samples():
        assert (sample.tenant is None) or sample.metric.by_tenant
        assert "contoso" not in str(sample)


def test_a_database_that_is_away_is_said(company: Company) -> None:
    away = Database("postgresql://nobody@127.0.0.1:9/none?connect_timeout=1")
    told = Measuring(replace(company.world, database=away)).samples()
    assert told == [Sample(m.DATABASE_UP, 0)]
    away.close()


_LARGE = {"cloud_pcs", "runs", "steps", "ledger", "users", "notifications", "audit_events"}


@pytest.mark.parametrize("apart", [False, True], ids=["all", "by tenant"])
def test_large_tables_are_read_by_index(company: Company, apart: bool) -> None:
    """A scan would make every scrape as slow as the installation is large."""
    company.basics("adele")
    company.settle()
    with company.world.database.engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        for measure in MEASURES:
            query = measure.query(apart and measure.metrics[0].by_tenant)
            plan = "\n".join(connection.execute(text(f"EXPLAIN {query}")).scalars())
            for table in _LARGE:
                assert f"Seq Scan on {table}" not in plan, (measure.metrics[0].name, plan)
