"""A company whose one site is a libvirt host: its Cloud PCs are real machines, looked at from inside by their agent."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from deskwright import jobs
from deskwright.domain.resources import Kind
from deskwright.errors import Explained, explain
from deskwright.guest.script import Script
from deskwright.providers.contract import Found, Providers
from deskwright.providers.libvirt import agent, machines, networks, volumes
from deskwright.providers.libvirt.host import connect, found
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.providers.registry import providers_for
from deskwright.provision import run as engine
from deskwright.provision.context import Done, RunFacts, StepContext, World
from deskwright.provision.pipeline import Step
from deskwright.provision.sites import load_site
from deskwright.reconcile.deadlines import sweep_orphans
from deskwright.store.database import Database
from deskwright.worker import drain, tasks
from tests.company import Company
from tests.libvirt.conftest import IMAGE, configuration

SMALL = "Cloud PC Business 1vCPU/2GB/4GB"
_BOOT_SECONDS = 90.0


class RealCompany(Company):
    """As a `Company`; what follows from a change takes its time, so `carry_on` waits for something to become so."""

    def __init__(self, company: Company, host: Sandbox) -> None:
        super().__init__(company.world, company.tenant)
        self.host = host

    def settle_in(self, *users: str, plan: str = SMALL, local_admin: bool = False, **compute: Any) -> None:
        """One libvirt site, group, plan and policy; `users` are licensed members of the group."""
        self.site("site-a", compute=configuration(self.host, **compute), directory={"kind": "builtin"})
        self.sql("UPDATE sites SET management = directory WHERE tenant_id = :tenant")
        self.plan(plan)
        if plan == SMALL:
            self.sql("UPDATE service_plans SET vcpu_count = 1, ram_gb = 2, storage_gb = 4 WHERE tenant_id = :tenant")
        self.group()
        self.policy(image=IMAGE, local_admin=local_admin)
        self.license_group(plan, "Sales")
        self.assign("Desktops", "Sales")
        for user in users:
            self.user(user)
            self.join(user, "Sales")

    # --- time ---------------------------------------------------------------------------------------

    def carry_on(self, until: Callable[[], bool], seconds: float = _BOOT_SECONDS) -> float:
        """Do what is due, again and again, until it is so; returns how many seconds that took."""
        began = time.monotonic()
        while True:
            with self.world.database.begin() as connection:  # what a process that died had in its hands
                jobs.take_over(connection, self.world.settings.stalled_seconds)
            sweep_orphans(self.world.database)
            drain(self.world)
            if until():
                return time.monotonic() - began
            assert time.monotonic() - began < seconds, self.told()
            time.sleep(0.1)

    def begin(self, user: str) -> None:
        """Do what is due until the user's run is there, and nothing of it."""
        does = tasks(self.world)
        while not self.runs(user):
            with self.world.database.begin() as connection:
                job = jobs.take_next(connection)
            assert job is not None
            does[job[0]](job[1])

    def until_step(self, user: str, step: str, attempt: int = 1) -> float:
        """Carry on until that step of the last run has begun and waits, or has ended."""
        return self.carry_on(lambda: any((s.step, s.attempt) == (step, attempt) for s in self.last_steps(user)))

    def until_status(self, user: str, status: str, seconds: float = _BOOT_SECONDS) -> float:
        return self.carry_on(lambda: self.status(user) == status, seconds)

    def told(self) -> str:
        """Where every run is, for a test that has waited too long."""
        runs = self.sql("SELECT state, wake_reason, error FROM runs WHERE tenant_id = :tenant")
        steps = self.sql(
            "SELECT step, attempt, outcome, code, message FROM steps s JOIN runs r ON r.id = s.run_id "
            "WHERE r.tenant_id = :tenant ORDER BY s.started_at DESC LIMIT 6"
        )
        return "\n".join(["still not so", *(str(tuple(row)) for row in [*runs, *steps])])

    def die_in(self, user: str, step: str) -> None:
        """Carry the user's run in a process of its own, which kill -9 ends when the outside world has done the work of
        `step` and nobody has heard of it yet."""
        (run,) = [run.id for run in self.runs(user) if run.state == "active"]
        child = os.fork()
        if child == 0:
            try:
                _carry_until_death(
                    replace(self.world, database=Database(self.world.database.url, pool_size=2)), run, step
                )
            finally:
                os._exit(3)
        _, how = os.waitpid(child, 0)
        assert os.WIFSIGNALED(how), f"{step}: it ended by itself. {self.told()}"

    # --- looking ------------------------------------------------------------------------------------

    def last_steps(self, user: str) -> list[Any]:
        """Of the last run."""
        rows = self.steps(user)
        return [row for row in rows if row.run == rows[-1].run]

    def outcomes(self, user: str, attempt: int = 1) -> dict[str, str]:
        """Of one attempt of the last run, by step."""
        return {s.step: s.outcome for s in self.last_steps(user) if s.attempt == attempt}

    def ended_with(self, user: str, step: str, attempt: int = 1) -> tuple[str, str]:
        """(code, message) of that step."""
        (row,) = [s for s in self.last_steps(user) if (s.step, s.attempt) == (step, attempt)]
        return row.code, row.message

    def left(self, user: str) -> dict[str, Any]:
        """What the last attempt's steps left for those after them, such as ``vmId``."""
        held: dict[str, Any] = {}
        for row in self.last_steps(user):
            held.update(row.made or {})
        return held

    def waits_for(self) -> str:
        """What the administrator is shown that the one active run waits for."""
        active = self.sql("SELECT wake_reason FROM runs WHERE tenant_id = :tenant AND state = 'active'")
        assert len(active) == 1, self.told()
        return str(active[0].wake_reason)

    def failed_with(self, user: str) -> Explained:
        """What the administrator is told of a failed Cloud PC."""
        told = self.pc(user).status_detail
        return explain(told["code"], told["values"])

    def sites(self) -> list[UUID]:
        return [site for (site,) in self.sql("SELECT id FROM sites WHERE tenant_id = :tenant")]

    def machines(self) -> dict[str, Any]:
        """The libvirt domains of this company's sites, by computer name."""
        return {
            carried["computer"]: machine
            for site in self.sites()
            for machine, carried in machines.of_site(connect(self.host.uri), site)
        }

    def machine(self, user: str) -> Any:
        """The domain of the user's last attempt."""
        return machines.look_up(connect(self.host.uri), self.left(user)["vmId"])

    def inside(self, user: str, script: str) -> str:
        """What a script of sh prints in the user's machine; its agent may be slow to answer."""
        for _ in range(50):
            try:
                return agent.run(self.machine(user), Script(("/bin/sh", "-s"), script)).output.strip()
            except agent.Silent:
                time.sleep(0.2)
        raise AssertionError("the agent does not answer")

    def files(self) -> set[str]:
        """What lies in the pools of the sites' disks."""
        pools = [volumes.existing_site_pool(connect(self.host.uri), site) for site in self.sites()]
        return {name for pool in pools if pool is not None for name, _ in volumes.each(pool)}

    def kept_addresses(self) -> set[str]:
        """Those that the DHCP servers of the sites' own networks keep for a NIC."""
        there = connect(self.host.uri)
        own = [found(there.networkLookupByName, networks.name_of(site)) for site in self.sites()]
        return {address for n in own if n is not None for _, address in networks.reservations(n)}

    def bridge(self) -> str:
        """Of the site's own network."""
        name = networks.name_of(self.ids["site-a"])
        return str(connect(self.host.uri).networkLookupByName(name).bridgeName())

    def providers(self) -> list[Providers]:
        return [providers_for(self.world.database, load_site(self.world.database, site)) for site in self.sites()]

    def everything(self) -> list[Found]:
        """All that the providers have, also what the sites share."""
        names = ("compute", "directory", "management")
        return [f for providers in self.providers() for name in names for f in providers.of(name).inventory()]

    # --- the end ------------------------------------------------------------------------------------

    def give_up(self, *users: str) -> None:
        """They lose group and licence; grace and clean-up delay pass."""
        for user in users:
            self.leave(user, "Sales", confirmed=True)
        self.settle().advance(days=8)
        self.advance(hours=4)

    def nothing_left(self) -> None:
        """L2, L4: inventory and ledger are one, and hold what the sites share, which stays."""
        assert self.held() == []
        assert self.leaks() == set()
        assert {f.kind for f in self.everything()} <= {Kind.NETWORK, Kind.SECURITY_GROUP}
        assert (self.machines(), self.files(), self.kept_addresses()) == ({}, set(), set())


def _carry_until_death(world: World, run: UUID, last: str) -> None:
    planned = engine.planned_steps

    def dying(step: Step) -> Step:
        def do(ctx: StepContext) -> Done:
            step.do(ctx)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        return replace(step, do=do)

    def plan(run: RunFacts) -> tuple[Step, ...]:
        return tuple(dying(step) if step.id == last else step for step in planned(run))

    pytest.MonkeyPatch().setattr(engine, "planned_steps", plan)  # ends with this process
    ends = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < ends:
        engine.carry(world, run)
        time.sleep(0.1)


@contextmanager
def on_host(company: Company, host: Sandbox) -> Iterator[RealCompany]:
    """A company on that host, of which nothing stays there."""
    real = RealCompany(company, host)
    yield real
    for providers in real.providers():
        for left in sorted(providers.compute.inventory(), key=lambda f: list(Kind).index(Kind(f.kind))):
            providers.compute.release(Kind(left.kind), left.key)
    for site in real.sites():
        pool = volumes.existing_site_pool(connect(host.uri), site)
        if pool is not None:
            pool.destroy()
            pool.undefine()
