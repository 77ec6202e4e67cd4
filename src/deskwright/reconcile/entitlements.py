"""From touched users to Cloud PCs that should exist: the only place that acts on verdicts.

One reconcile per tenant at a time (the job's lock), touched users in the order of their changes, so that the oldest
entitlement is first in the queue (E6). Each chunk is one transaction: users taken, verdicts, rows, runs, jobs.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.decide.entitlement import decide
from deskwright.decide.verdict import Action, Verdict, Waiting
from deskwright.domain.status import Status
from deskwright.provision.ledger import schedule_release
from deskwright.provision.run import PROVISION
from deskwright.reconcile import facts, seats
from deskwright.settings import TenantSettings
from deskwright.store.database import Database
from deskwright.store.status import NOW, move
from deskwright.store.touched import touch_users

CHUNK = 500
# An answer to a change goes before new starts.
_STOP_PRIORITY = 15

_TAKE = text(
    """
    WITH taken AS (
      DELETE FROM touched_users WHERE number IN (
        SELECT number FROM touched_users WHERE tenant_id = :tenant ORDER BY number LIMIT :chunk FOR UPDATE SKIP LOCKED)
      RETURNING number, user_id, cause)
    SELECT number, user_id, cause FROM taken ORDER BY number
    """
)
# Two reconciles of one user would decide on the same facts; the second waits here and reads after the first.
_LOCK = text("SELECT id FROM users WHERE id = ANY(:users) ORDER BY id FOR NO KEY UPDATE")

_INSERT = text(
    """
    INSERT INTO cloud_pcs (tenant_id, user_id, plan_id, policy_id, policy_name, display_name, status, status_since,
           waiting_for, entitled_number)
    SELECT :tenant, n.user_id, n.plan_id, n.policy_id, n.policy_name,
           COALESCE(n.policy_name || ' - ', '') || u.display_name, n.status, tenant_now(:tenant),
           n.waiting_for, n.number
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (user_id uuid, plan_id uuid, policy_id uuid,
           policy_name text, status text, waiting_for text, number bigint)
      JOIN users u ON u.id = n.user_id
    ON CONFLICT (user_id, plan_id) WHERE status <> 'gone' DO NOTHING
    """
)
_AIM = text(
    """
    UPDATE cloud_pcs c SET policy_id = n.policy_id, policy_name = n.policy_name, waiting_for = n.waiting_for,
           display_name = COALESCE(n.policy_name || ' - ', '') || u.display_name,
           entitled_number = CASE WHEN n.requeue THEN n.number ELSE c.entitled_number END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id uuid, policy_id uuid, policy_name text, waiting_for text,
           number bigint, requeue boolean), users u
     WHERE c.id = n.id AND u.id = c.user_id AND c.status IN ('notProvisioned', 'pendingProvision')
    """
)
_GRACE = text(
    """
    UPDATE cloud_pcs c SET grace_ends_at = tenant_now(c.tenant_id) + make_interval(secs => :seconds),
           grace = jsonb_build_object('since', tenant_now(c.tenant_id), 'lost', n.lost, 'cause', n.cause, 'was', n.was)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id uuid, lost jsonb, cause jsonb, was text) WHERE c.id = n.id
    """
)
_LOOK_AGAIN = text(
    "UPDATE cloud_pcs SET waiting_for = 'start' WHERE id = ANY(:ids) AND status = 'pendingProvision' "
    "AND waiting_for = 'connection'"
)
_STOP = text(
    """
    UPDATE runs SET wake_at = tenant_now(tenant_id), wake_reason = 'entitlement changed'
     WHERE cloud_pc_id = ANY(:ids) AND state = 'active' RETURNING id, cloud_pc_id
    """
)


# The run passes it on when it ends; one that has ended meanwhile does not know it.
_LOST_MEANWHILE = text(
    """
    UPDATE runs r SET options = r.options || jsonb_build_object('lost', n.cause)
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS n (id uuid, cause jsonb)
     WHERE r.cloud_pc_id = n.id AND r.state = 'active' RETURNING r.cloud_pc_id
    """
)


def reconcile(database: Database, tenant: UUID) -> None:
    """Look at every touched user of the tenant, chunk by chunk, until none is left."""
    while reconcile_chunk(database, tenant):
        pass


def reconcile_chunk(database: Database, tenant: UUID) -> int:
    """One chunk; returns how many touched rows it took."""
    with database.begin() as connection:
        taken = connection.execute(_TAKE, {"tenant": tenant, "chunk": CHUNK}).all()
        if not taken:
            return 0
        numbers: dict[UUID, int] = {}
        causes: dict[UUID, Mapping[str, Any]] = {}
        for row in taken:
            numbers.setdefault(row.user_id, row.number)
            causes[row.user_id] = row.cause
        connection.execute(_LOCK, {"users": list(numbers)})
        known = facts.load(connection, tenant, numbers)
        verdicts = [v for user in numbers if user in known for v in decide(known[user])]
        _act(connection, tenant, verdicts, numbers, causes)
    return len(taken)


def _act(
    connection: Connection,
    tenant: UUID,
    verdicts: Iterable[Verdict],
    numbers: Mapping[UUID, int],
    causes: Mapping[UUID, Mapping[str, Any]],
) -> None:
    by_action: dict[Action, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_action[verdict.action].append(verdict)
    still = [v for v in by_action.pop(Action.NOTHING, []) if v.status is Status.PENDING]
    if not by_action and not still:
        return
    settings = TenantSettings(
        **connection.execute(text("SELECT settings FROM tenants WHERE id = :tenant"), {"tenant": tenant}).scalar_one()
    )

    _insert(connection, tenant, [*by_action[Action.CREATE], *by_action[Action.LIST]], numbers)
    _aim(connection, [*by_action[Action.QUEUE], *by_action[Action.UNQUEUE], *by_action[Action.AIM]], numbers)
    move(connection, _ids(by_action[Action.QUEUE]), Status.PENDING, why="due")
    move(connection, _ids(by_action[Action.UNQUEUE]), Status.NOT_PROVISIONED, why="not due now")
    _remove(connection, by_action[Action.REMOVE], settings)
    _stop(connection, tenant, by_action[Action.STOP], causes)
    _enter_grace(connection, by_action[Action.ENTER_GRACE], causes, settings)
    _leave_grace(connection, by_action[Action.LEAVE_GRACE])
    _grace_later(connection, tenant, by_action[Action.GRACE_LATER], causes)

    # Somebody touched a waiting one: its plan may have more seats, its policy another network.
    connection.execute(_LOOK_AGAIN, {"ids": _ids(still)})
    moved = (v for a in (Action.CREATE, Action.QUEUE, Action.UNQUEUE, Action.AIM, Action.REMOVE) for v in by_action[a])
    due = {v.plan_id for v in (*still, *moved)}
    seats.start_waiting(connection, tenant, due)


def _ids(verdicts: Iterable[Verdict]) -> list[UUID]:
    return [v.cloud_pc_id for v in verdicts if v.cloud_pc_id is not None]


def _insert(connection: Connection, tenant: UUID, new: list[Verdict], numbers: Mapping[UUID, int]) -> None:
    if new:
        rows = [
            {
                "user_id": v.user_id,
                "plan_id": v.plan_id,
                "number": numbers[v.user_id],
                "status": Status.NOT_PROVISIONED if v.waiting_for else Status.PENDING,
                **_policy(v),
            }
            for v in new
        ]
        connection.execute(_INSERT, {"tenant": tenant, "rows": json.dumps(rows, default=str)})


def _aim(connection: Connection, changed: list[Verdict], numbers: Mapping[UUID, int]) -> None:
    if changed:
        rows = [
            {
                "id": v.cloud_pc_id,
                "number": numbers[v.user_id],
                "requeue": v.action is Action.QUEUE,
                **_policy(v),
            }
            for v in changed
        ]
        connection.execute(_AIM, {"rows": json.dumps(rows, default=str)})


def _policy(verdict: Verdict) -> dict[str, Any]:
    return {
        "policy_id": verdict.policy.policy_id if verdict.policy else None,
        "policy_name": verdict.policy.policy_name if verdict.policy else None,
        "waiting_for": verdict.waiting_for or Waiting.START,
    }


def _remove(connection: Connection, gone: list[Verdict], settings: TenantSettings) -> None:
    """Never provisioned, so no grace (E8): a row without a machine goes now, a failed one when it is cleaned up."""
    move(
        connection,
        _ids(v for v in gone if v.status is not Status.FAILED),
        Status.GONE,
        why="no longer entitled",
        gone_at=NOW,
        waiting_for=None,
    )
    failed = move(
        connection,
        _ids(v for v in gone if v.status is Status.FAILED),
        Status.DEPROVISIONING,
        why="no longer entitled",
    )
    if failed:
        schedule_release(connection, sorted(failed), delay_seconds=settings.cleanUpDelayInHours * 3600)


def _stop(
    connection: Connection, tenant: UUID, stopped: list[Verdict], causes: Mapping[UUID, Mapping[str, Any]]
) -> None:
    """Wake the runs: each sees for itself that its ground is gone (V3), and nobody else writes its rows."""
    if not stopped:
        return
    woken = connection.execute(_STOP, {"ids": _ids(stopped)}).all()
    jobs.defer(connection, PROVISION, [row.id for row in woken], priority=_STOP_PRIORITY)
    ended_meanwhile = set(_ids(stopped)) - {row.cloud_pc_id for row in woken}
    for verdict in stopped:
        if verdict.cloud_pc_id in ended_meanwhile:
            touch_users(connection, tenant, [verdict.user_id], causes.get(verdict.user_id, {}))


def _enter_grace(
    connection: Connection,
    lost: list[Verdict],
    causes: Mapping[UUID, Mapping[str, Any]],
    settings: TenantSettings,
) -> None:
    if not lost:
        return
    rows = [
        {"id": v.cloud_pc_id, "lost": list(v.lost), "cause": causes.get(v.user_id, {}), "was": v.status} for v in lost
    ]
    values = {"seconds": settings.gracePeriodInHours * 3600, "rows": json.dumps(rows, default=str)}
    connection.execute(_GRACE, values)
    move(connection, _ids(lost), Status.IN_GRACE, why="entitlement lost")


def _grace_later(
    connection: Connection, tenant: UUID, lost: list[Verdict], causes: Mapping[UUID, Mapping[str, Any]]
) -> None:
    """The user is looked at again when the remote action ends; here it only learns why."""
    if not lost:
        return
    rows = [{"id": v.cloud_pc_id, "cause": causes.get(v.user_id, {})} for v in lost]
    told = set(connection.execute(_LOST_MEANWHILE, {"rows": json.dumps(rows, default=str)}).scalars())
    for verdict in lost:
        if verdict.cloud_pc_id not in told:
            touch_users(connection, tenant, [verdict.user_id], causes.get(verdict.user_id, {}))


def _leave_grace(connection: Connection, back: list[Verdict]) -> None:
    """What was lost is back in time: as if nothing had happened (E8)."""
    if not back:
        return
    rows = connection.execute(
        text("SELECT id, grace ->> 'was' AS was FROM cloud_pcs WHERE id = ANY(:ids)"), {"ids": _ids(back)}
    )
    by_status: dict[str, list[UUID]] = defaultdict(list)
    for row in rows:
        by_status[row.was].append(row.id)
    for was, ids in by_status.items():
        move(connection, ids, Status(was), why="entitlement is back", grace=None, grace_ends_at=None)
