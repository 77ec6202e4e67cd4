"""Seats: who may start now (E6). Every start of a run that nobody asked for by hand happens here."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.domain.status import Status
from deskwright.provision.run import PROVISION
from deskwright.store.database import Database
from deskwright.store.status import move

_PLANS = text(
    "SELECT id, seats - seats_used AS free FROM service_plans WHERE tenant_id = :tenant AND id = ANY(:plans) "
    "ORDER BY id FOR UPDATE"
)
# Before anyone is chosen: those whose policy has no healthy connection wait for one and hold up nobody (V3).
_WITHOUT_CONNECTION = text(
    """
    UPDATE cloud_pcs c SET waiting_for = 'connection'
     WHERE c.plan_id = :plan AND c.status = 'pendingProvision' AND c.waiting_for = 'start'
       AND EXISTS (SELECT 1 FROM policy_connections pc WHERE pc.policy_id = c.policy_id)
       AND NOT EXISTS (SELECT 1 FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
                        WHERE pc.policy_id = c.policy_id AND k.health_status IN ('passed', 'warning'))
    """
)
# Two ordered reads of the queue's index, so that a long queue costs no more than the seats there are.
_OLDEST = text(
    """
    SELECT id FROM (
      (SELECT id, entitled_number FROM cloud_pcs
        WHERE plan_id = :plan AND status = 'pendingProvision' AND waiting_for = 'start'
        ORDER BY entitled_number LIMIT :free)
      UNION ALL
      (SELECT id, entitled_number FROM cloud_pcs
        WHERE plan_id = :plan AND status = 'pendingProvision' AND waiting_for = 'seat'
        ORDER BY entitled_number LIMIT :free)) oldest
     ORDER BY entitled_number LIMIT :free
    """
)
# Whoever has just been changed is looked at first, and their seat waits for reconcile, which is on its way: they may be
# disabled, or reached by another policy. A policy that is being deleted starts nobody.
_STILL_DUE = text(
    """
    SELECT c.id FROM cloud_pcs c JOIN policies p ON p.id = c.policy_id
     WHERE c.id = ANY(:ids)
       AND NOT EXISTS (SELECT 1 FROM touched_users t WHERE t.tenant_id = :tenant AND t.user_id = c.user_id)
       FOR KEY SHARE OF p
    """
)
_QUEUE_UP = text(
    "UPDATE cloud_pcs SET waiting_for = 'seat' WHERE plan_id = :plan AND status = 'pendingProvision' "
    "AND waiting_for = 'start'"
)
_RELEASE_CONNECTION = text(
    """
    UPDATE cloud_pcs c SET waiting_for = 'start' FROM policy_connections pc
     WHERE pc.connection_id = :connection AND c.policy_id = pc.policy_id AND c.status = 'pendingProvision'
       AND c.waiting_for = 'connection' RETURNING c.plan_id
    """
)
# E7: the run keeps the policy as it is now.
_START = text(
    """
    INSERT INTO runs (tenant_id, cloud_pc_id, number, kind, policy, options, requested_by, started_at)
    SELECT c.tenant_id, c.id, COALESCE((SELECT max(number) FROM runs r WHERE r.cloud_pc_id = c.id), 0) + 1, :kind,
           to_jsonb(p) - 'kept_properties' || jsonb_build_object('connections', COALESCE(
             (SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
               WHERE pc.policy_id = p.id), '[]')),
           CAST(:options AS jsonb), :actor, tenant_now(c.tenant_id)
      FROM cloud_pcs c JOIN policies p ON p.id = c.policy_id WHERE c.id = ANY(:ids) RETURNING id
    """
)


def start_waiting(connection: Connection, tenant: UUID, plans: Iterable[UUID]) -> None:
    """Give the free seats of these plans to the oldest entitlements, and tell the rest what they wait for."""
    for plan in connection.execute(_PLANS, {"tenant": tenant, "plans": list(plans)}).all():
        connection.execute(_WITHOUT_CONNECTION, {"plan": plan.id})
        if plan.free > 0:
            oldest = connection.execute(_OLDEST, {"plan": plan.id, "free": plan.free}).scalars().all()
            due = connection.execute(_STILL_DUE, {"tenant": tenant, "ids": oldest}).scalars().all() if oldest else []
            started = move(
                connection,
                due,
                Status.PROVISIONING,
                why="a seat is free",
                waiting_for=None,
                status_detail=None,
            )
            start_runs(connection, sorted(started), "provision")
        connection.execute(_QUEUE_UP, {"plan": plan.id})


def fill(database: Database, plan: UUID) -> None:
    """The job of a freed seat."""
    with database.begin() as connection:
        tenant = connection.execute(
            text("SELECT tenant_id FROM service_plans WHERE id = :id"), {"id": plan}
        ).scalar_one_or_none()
        if tenant is not None:
            start_waiting(connection, tenant, [plan])


def start_runs(
    connection: Connection,
    cloud_pcs: list[UUID],
    kind: str,
    *,
    actor: str = "deskwright",
    options: str = "{}",
    priority: int = 0,
) -> list[UUID]:
    """A run for each, with its policy's present settings, and the job that carries it. Returns the runs."""
    if not cloud_pcs:
        return []
    values = {"ids": cloud_pcs, "kind": kind, "actor": actor, "options": options}
    runs = list(connection.execute(_START, values).scalars())
    defer_runs(connection, runs, priority=priority)
    return runs


def defer_runs(connection: Connection, runs: list[UUID], *, priority: int = 0) -> None:
    """The job that carries each run, queued when this transaction commits."""
    jobs.defer(connection, PROVISION, runs, priority=priority)


def connection_is_healthy(connection: Connection, tenant: UUID, network_connection: UUID) -> None:
    """Let those start that waited for it (V3)."""
    plans = set(connection.execute(_RELEASE_CONNECTION, {"connection": network_connection}).scalars())
    start_waiting(connection, tenant, plans)
