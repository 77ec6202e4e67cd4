"""Whether one membership change costs the same however large the tenant is, and how soon the work begins."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from deskwright.bench import companies
from deskwright.bench.ground import Server, until, value, worker
from deskwright.bench.results import Part
from deskwright.operations import groups
from deskwright.reconcile.entitlements import reconcile_chunk
from deskwright.store.database import Database

TIMES_SMALLEST, FIRST_STEP_MILLISECONDS = 1.5, 250.0
_WARM_UP = 12  # psycopg prepares a statement at its sixth use, PostgreSQL may change its plan at the twelfth
Tell = Callable[[str], None]

_BUFFERS = text("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()")


@dataclass
class Sized:
    """A tenant of one size, alone in its database, and what was measured in it."""

    people: int
    company: companies.Company
    change: list[float] = field(default_factory=list)
    reconcile: list[float] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)

    @property
    def both(self) -> list[float]:
        return [a + b for a, b in zip(self.change, self.reconcile, strict=True)]


def reconcile(server: Server, tell: Tell, *, sizes: Sequence[int], changes: int, starts: int) -> Part:
    """One person joins the group everybody is in: the change, and the reconcile that starts their Cloud PC."""
    tenants = []
    for people in sizes:
        tell(f"reconcile: filling a tenant of {people:,} people")
        company = companies.found(server.fresh(), newcomers=_WARM_UP + changes + starts)
        companies.populate(company, people)
        tenants.append(Sized(people, company))
    tell(f"reconcile: {changes} changes in each tenant, in turns")
    for n in range(_WARM_UP + changes):
        for tenant in random.sample(tenants, len(tenants)):
            _change(tenant, n, counts=n >= _WARM_UP)

    part = Part("reconcile", f"Reconcile: one membership change, medians of {changes}")
    smallest = tenants[0]
    for tenant in tenants:
        _check(tenant, _WARM_UP + changes)
        name = f"{tenant.people:,} people: change and reconcile"
        part.add(name, _milliseconds(tenant.both), "ms")
        if tenant is not smallest:
            ratio = statistics.median(tenant.both) / statistics.median(smallest.both)
            part.add("  to the smallest tenant", ratio, "x", at_most=TIMES_SMALLEST)
        part.add("  of it reconcile", _milliseconds(tenant.reconcile), "ms")
        part.add("  buffers read", statistics.median(tenant.buffers))
        part.details[str(tenant.people)] = {
            "changeMilliseconds": [round(t * 1000, 3) for t in tenant.change],
            "reconcileMilliseconds": [round(t * 1000, 3) for t in tenant.reconcile],
            "buffers": tenant.buffers,
        }
    largest = tenants[-1]
    tell(f"reconcile: {starts} changes with an idle worker, {largest.people:,} people")
    waits = _first_steps(server, largest, range(_WARM_UP + changes, _WARM_UP + changes + starts))
    name = f"{largest.people:,} people: commit to the run's first step"
    part.add(name, _milliseconds(waits), "ms", at_most=FIRST_STEP_MILLISECONDS)
    part.add("  slowest", max(waits) * 1000, "ms")
    part.details["firstStepMilliseconds"] = [round(w * 1000, 1) for w in waits]
    part.notes = [
        "Each tenant has a database of its own: all people in one group with licence and policy, each with a "
        "provisioned Cloud PC, every tenth waiting for a seat of another plan as well.",
    ]
    for tenant in tenants:
        server.drop(tenant.company.database)
    return part


def _change(tenant: Sized, number: int, *, counts: bool) -> None:
    company = tenant.company
    before = _buffers(company.database)
    began = time.perf_counter()
    groups.add_members(company.database, company.tenant, "bench", companies.EVERYONE, [company.newcomer(number)])
    changed = time.perf_counter()
    taken = reconcile_chunk(company.database, company.tenant.id)
    ended = time.perf_counter()
    if taken != 1:
        raise RuntimeError(f"the reconcile took {taken} changes instead of one")
    if counts:
        tenant.change.append(changed - began)
        tenant.reconcile.append(ended - changed)
        tenant.buffers.append(_buffers(company.database) - before)


def _buffers(database: Database) -> int:
    """Pages this database's backends have looked at. `begin` has one connection here, the one that is measured."""
    with database.begin() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
    with database.single.connect() as connection:
        return int(connection.execute(_BUFFERS).scalar_one())


def _check(tenant: Sized, changes: int) -> None:
    """A change that started nothing would be fast, and would measure nothing."""
    started = value(tenant.company.database, "SELECT count(*) FROM runs WHERE state = 'active'")
    if started != changes:
        raise RuntimeError(f"{changes} changes started {started} runs")


def _first_steps(server: Server, tenant: Sized, numbers: range) -> list[float]:
    company, database, waits = tenant.company, tenant.company.database, []
    first_step = (
        "SELECT extract(epoch FROM min(s.started_at)) FROM steps s JOIN runs r ON r.id = s.run_id "
        "JOIN cloud_pcs c ON c.id = r.cloud_pc_id JOIN users u ON u.id = c.user_id "
        "WHERE u.user_principal_name = :name AND u.tenant_id = :tenant"
    )
    with worker(server, database, 8):
        until(lambda: _is_quiet(database))  # the runs of the changes before
        for number in numbers:
            # At any phase of whatever the worker does every second.
            time.sleep(random.uniform(0.3, 1.3))  # noqa: S311
            name = company.newcomer(number)
            groups.add_members(database, company.tenant, "bench", companies.EVERYONE, [name])
            committed = time.time()
            began: list[Any] = []

            def begun(who: str = name, found: list[Any] = began) -> bool:
                found[:] = [value(database, first_step, name=who, tenant=company.tenant.id)]
                return found[0] is not None

            until(begun, pause=0.1, seconds=60)
            waits.append(float(began[0]) - committed)
            until(lambda: _is_quiet(database))
    return waits


def _is_quiet(database: Database) -> bool:
    return not value(database, "SELECT count(*) FROM procrastinate_jobs")


def _milliseconds(seconds: Sequence[float]) -> float:
    return statistics.median(seconds) * 1000
