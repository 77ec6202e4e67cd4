"""A worker that is killed while it synchronises a domain: another does it again, and nothing is half."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deskwright.operations import domains
from tests.company import Company
from tests.processes.test_workers import until, workers
from tests.real_domain import RealDomain

pytestmark = pytest.mark.processes

PEOPLE = 40
_numbers = count(1)


def test_a_killed_workers_synchronisation_is_done_again(
    company: Company, real_domain: RealDomain, tmp_path: Path
) -> None:
    unit = f"OU=Killed{next(_numbers)},{real_domain.domain.distinguished_name}"
    with real_domain.as_administrator() as opened:
        ldap: Any = opened.ldap
        ldap.add(unit, "organizationalUnit")
        people = [f"CN=k{n:03},{unit}" for n in range(PEOPLE)]
        for n, person in enumerate(people):
            ldap.add(person, "user", {"sAMAccountName": f"k{n:03}", "userAccountControl": 544})
        ldap.add(f"CN=Killed,{unit}", "group", {"sAMAccountName": "killed", "member": people})
    reader, d, world = real_domain.user(), real_domain.domain, company.world
    made = domains.create(
        world.database,
        company.tenant,
        "test",
        secrets=world.secrets,
        domain_name=d.name,
        user_name=reader.name,
        password=reader.password,
        controllers=[f"{real_domain.controller.host}={real_domain.controller.address}"],
        ca_certificate=d.ca_certificate,
        search_bases=[unit],
    )
    with frozen(real_domain), workers(company, 1, tmp_path) as (first,):
        # It waits for the controller, which does not answer.
        until(lambda: domains.show(world.database, company.tenant, made["id"])["syncRunning"], 30)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    with workers(company, 1, tmp_path):
        until(lambda: _ended(company, made["id"]), 60)
    shown = domains.show(world.database, company.tenant, made["id"])
    assert [run["status"] for run in shown["lastSyncs"]] == ["succeeded"]
    assert (shown["people"], shown["groups"]) == (PEOPLE, 1)
    assert company.sql("SELECT count(*) FROM memberships")[0][0] == PEOPLE
    assert company.sql("SELECT count(*) FROM users WHERE tenant_id = :tenant")[0][0] == PEOPLE


@contextmanager
def frozen(real_domain: RealDomain) -> Iterator[None]:
    """The controller takes connections and says nothing."""
    inside = [pid for pid in real_domain.controller._inside() if pid != real_domain.controller.pid]
    for pid in inside:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in inside:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _ended(company: Company, domain: str) -> bool:
    shown = domains.show(company.world.database, company.tenant, domain)
    return bool(shown["lastSyncs"]) and not shown["syncRunning"]
