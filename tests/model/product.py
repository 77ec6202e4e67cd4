"""The product, as an administrator uses it: every change through `deskwright.operations`, then what came of it."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace
from typing import Any

from deskwright import jobs
from deskwright.document import apply as document
from deskwright.document.export import export
from deskwright.domain.rules import Refused
from deskwright.operations import assignments, cloud_pcs, faults, groups, licenses, policies, tenants, users
from deskwright.reconcile.deadlines import sweep_orphans
from deskwright.worker import tasks
from tests.company import Company
from tests.model.runs import Fault
from tests.model.spec import Pair

ACTOR = "model"


class Product:
    def __init__(self, company: Company) -> None:
        self.company = company
        self.of = (company.world.database, company.tenant, ACTOR)
        self.names: dict[str, str] = {}
        """What each of the model's people is called now."""
        self.people: dict[str, str] = {}
        """Their ids: somebody may have the name of who was deleted."""
        company.sql("UPDATE tenants SET next_inventory_at = NULL WHERE id = :tenant")

    def upn(self, name: str) -> str:
        return f"{name}@{self.company.tenant.name}"

    # --- changes ------------------------------------------------------------------------------------

    def create_user(self, user: str) -> None:
        self.names[user] = user
        self.people[user] = str(users.create(*self.of, user_principal_name=self.upn(user))["id"])

    def rename_user(self, user: str, name: str) -> None:
        users.set_(*self.of, self.people[user], user_principal_name=self.upn(name))
        self.names[user] = name

    def enable(self, user: str, enabled: bool) -> None:
        users.set_(*self.of, self.people[user], account_enabled=enabled)

    def delete_user(self, user: str) -> None:
        users.delete(*self.of, self.people[user])

    def restore_user(self, user: str) -> None:
        users.restore(*self.of, self.people[user])

    def create_group(self, group: str) -> None:
        groups.create(*self.of, display_name=group)

    def rename_group(self, group: str, name: str) -> None:
        groups.set_(*self.of, group, display_name=name)

    def delete_group(self, group: str) -> None:
        groups.delete(*self.of, group)

    def join(self, user: str, group: str) -> None:
        groups.add_members(*self.of, group, [self.people[user]])

    def leave(self, user: str, group: str) -> None:
        groups.remove_members(*self.of, group, [self.people[user]])

    def create_plan(self, plan: str, seats: int) -> None:
        licenses.create_plan(*self.of, display_name=plan, seats=seats, vcpu_count=2, ram_gb=8, storage_gb=128)

    def set_seats(self, plan: str, seats: int) -> None:
        licenses.set_plan(*self.of, plan, seats=seats)

    def license_user(self, plan: str, user: str) -> None:
        licenses.assign(*self.of, plan, users=[self.people[user]])

    def unlicense_user(self, plan: str, user: str) -> None:
        licenses.remove(*self.of, plan, users=[self.people[user]])

    def license_group(self, plan: str, group: str) -> None:
        licenses.assign(*self.of, plan, groups=[group])

    def unlicense_group(self, plan: str, group: str) -> None:
        licenses.remove(*self.of, plan, groups=[group])

    def create_policy(self, policy: str, connections: tuple[str, ...]) -> None:
        place = self._place(connections)
        policies.create(*self.of, display_name=policy, gallery_image="debian-12-desktop", **place)

    def edit_policy(self, policy: str, connections: tuple[str, ...]) -> None:
        policies.set_(*self.of, policy, **self._place(connections))

    def rename_policy(self, policy: str, name: str) -> None:
        policies.set_(*self.of, policy, display_name=name)

    def delete_policy(self, policy: str) -> None:
        policies.delete(*self.of, policy)

    def assign(self, policy: str, group: str) -> None:
        assignments.assign(*self.of, policy, [group])

    def unassign(self, policy: str, group: str) -> None:
        assignments.unassign(*self.of, policy, [group])

    def set_assignments(self, policy: str, listed: list[str]) -> None:
        assignments.set_assignments(*self.of, policy, listed)

    def health(self, connection: str, healthy: bool) -> None:
        self.company.health(connection, "passed" if healthy else "failed")

    def add_fault(self, fault: Fault) -> None:
        user = None if fault.user is None else self.people[fault.user]
        faults.add(*self.of, step=fault.step, code=fault.code, user=user, attempts=fault.attempts)

    def clear_faults(self) -> None:
        faults.clear(*self.of)

    def advance(self, seconds: int) -> None:
        tenants.advance_clock(*self.of, timedelta(seconds=seconds))

    def act(self, action: str, pair: Pair) -> None:
        """One of an administrator's actions on the pair's Cloud PC. Raises Refused."""
        does: Callable[..., Any] = getattr(cloud_pcs, action)
        does(self.company.world, self.company.tenant, ACTOR, str(self.ids()[pair]))

    @staticmethod
    def _place(connections: tuple[str, ...]) -> dict[str, Any]:
        if connections:
            return {"join_type": "hybridAzureADJoin", "connections": list(connections)}
        return {"join_type": "azureADJoin", "region_group": "europeUnion", "region": "site-a"}

    # --- the queue of jobs --------------------------------------------------------------------------

    def work(self, most: int) -> None:
        """Do the first jobs that wait, and leave the rest."""
        does = tasks(self.company.world)
        for _ in range(most):
            with self.company.world.database.begin() as connection:
                job = jobs.take_next(connection)
            if job is None:
                return
            does[job[0]](job[1])

    def duplicate_jobs(self) -> None:
        """Every job is delivered a second time."""
        self.company.sql(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, args) "
            "SELECT queue_name, task_name, priority, lock, args FROM procrastinate_jobs WHERE status = 'todo'"
        )

    def reorder_jobs(self, seed: int) -> None:
        """The jobs that wait are done in any order: each has a place that the seed decides."""
        self.company.sql(
            "UPDATE procrastinate_jobs SET priority = hashtextextended(lock, :seed) % 50 WHERE status = 'todo'",
            seed=seed,
        )

    def lose_jobs(self) -> None:
        """Every job that waits is lost; what must happen stands in the tables, and the look for lost jobs finds it."""
        self.company.sql("DELETE FROM procrastinate_jobs")
        sweep_orphans(self.company.world.database)

    # --- looking ------------------------------------------------------------------------------------

    def statuses(self) -> dict[Pair, str]:
        return {(row.name, row.plan): row.status for row in self._live()}

    def ids(self) -> dict[Pair, Any]:
        return {(row.name, row.plan): row.id for row in self._live()}

    def policies(self) -> dict[Pair, Any]:
        return {(row.name, row.plan): row.policy_name for row in self._live()}

    def _live(self) -> list[Any]:
        called = {person: user for user, person in self.people.items()}
        rows = self.company.sql(
            "SELECT c.id, c.status, c.policy_name, p.display_name AS plan, "
            "c.user_id::text AS person FROM cloud_pcs c "
            "JOIN service_plans p ON p.id = c.plan_id WHERE c.tenant_id = :tenant AND c.status <> 'gone'"
        )
        return [SimpleNamespace(**row._mapping, name=called[row.person]) for row in rows]

    def held(self) -> Counter[str]:
        """What the providers have of us, by kind."""
        return Counter(self.company.inventory().values())

    def trace(self) -> tuple[Any, ...]:
        """What a refusal must not change."""
        ((revision, audits),) = self.company.sql(
            "SELECT revision, (SELECT count(*) FROM audit_events) FROM tenants WHERE id = :tenant"
        )
        rows = self.company.sql("SELECT id, status, policy_id, grace_ends_at, waiting_for FROM cloud_pcs ORDER BY id")
        runs = self.company.sql("SELECT id, state, lease, wake_at FROM runs ORDER BY id")
        jobs = self.company.sql("SELECT id FROM procrastinate_jobs ORDER BY id")
        return revision, audits, rows, runs, jobs

    def planned(self) -> list[str]:
        """What reconcile would still do if it looked at everybody once more: nothing, right after a settle."""
        everybody = self.company.verdicts("SELECT 1", "SELECT id FROM users WHERE tenant_id = :tenant")
        return [f"{v.action} {v.user_id}" for v in everybody if v.action.name != "NOTHING"]

    def planned_by_own_document(self) -> list[Any]:
        """What `plan` says to the tenant's own export."""
        out = StringIO()
        export(self.company.world.database, self.company.tenant, out)
        source = document.Document.of(out.getvalue(), environment=_Passwords())
        planned = document.plan(self.company.world, source, ACTOR, tenant=self.company.tenant, prune=True)
        return [*planned.changes, *(a for a in planned.actions if a != "leave alone")]

    def refused(self, does: Callable[[], None]) -> bool:
        """Whether it is refused; then nothing has changed."""
        before = self.trace()
        try:
            does()
        except Refused:
            assert self.trace() == before, "a refusal has changed something"
            return True
        return False


class _Passwords(dict[str, str]):
    """The environment of a document: every password is the same."""

    def __missing__(self, name: str) -> str:
        return "joiner's password"

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: object = None) -> str:
        return self[name]
