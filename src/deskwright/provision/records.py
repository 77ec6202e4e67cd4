"""The step rows: checkpoint, timeline and test oracle in one (V4), written only under the run's lease (V6).

`advance` is the hot path: one statement, which is one transaction and one round trip, ends a step, confirms what it
made, begins the next, writes down what that intends to make, and looks at the ground again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from deskwright.domain.plans import Size
from deskwright.domain.runs import RunKind
from deskwright.provision.context import RunFacts
from deskwright.settings import TenantSettings
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask, ask_one, statement

OUTPUT_LIMIT = 4000


class Outcome(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILED = "failed"
    STOPPED = "stopped"


class LeaseLost(Exception):
    """Another worker has taken the run over, or it has ended: nothing more may be written for it."""


@dataclass(frozen=True)
class StepRow:
    attempt: int
    step: str
    outcome: Outcome
    started_at: datetime
    made: Mapping[str, Any]
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Standing:
    """What a run stands on, as it is now (V3)."""

    user: bool
    licence: bool
    policy_exists: bool
    policy_reaches: bool
    connection_health: str | None


@dataclass(frozen=True)
class Watch:
    """What a look at the tenant tells before a step."""

    now: datetime
    standing: Standing | None
    """None before a step that does not ask (Step.guarded)."""


@dataclass(frozen=True)
class Ending:
    """How a step ended."""

    attempt: int
    step: str
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    output: str | None = None
    made: Mapping[str, Any] = field(default_factory=dict)
    confirmed: Sequence[Mapping[str, Any]] = ()
    """Ledger rows: key, state, external_id, details."""


@dataclass(frozen=True)
class SignIn:
    """What A1 leaves for the administrator to pass on."""

    portal: str
    user_name: str
    password: bytes | None
    """The one-time password, encrypted; None where the user has one of their own."""


@dataclass(frozen=True)
class Beginning:
    """How the next one starts."""

    attempt: int
    step: str
    stage: str
    site_id: UUID
    made: Mapping[str, Any] = field(default_factory=dict)
    intended: Sequence[Mapping[str, Any]] = ()
    """Ledger rows: kind, key, shared."""


_TAKE = statement(
    """
    WITH taken AS (
      UPDATE runs SET lease = lease + 1, wake_at = NULL, wake_reason = NULL
       WHERE id = :run AND ended_at IS NULL RETURNING *)
    SELECT r.id, r.lease, r.tenant_id, r.cloud_pc_id, c.display_name, r.number, r.kind, r.options, r.policy, c.user_id,
           u.user_principal_name, u.on_premises_user_principal_name, c.plan_id, p.display_name AS plan_name,
           p.vcpu_count, p.ram_gb, p.storage_gb, c.user_account_type, t.settings, t.speed
      FROM taken r JOIN cloud_pcs c ON c.id = r.cloud_pc_id JOIN users u ON u.id = c.user_id
      JOIN service_plans p ON p.id = c.plan_id JOIN tenants t ON t.id = r.tenant_id
    """
)

_STEPS = statement(
    "SELECT attempt, step, outcome, started_at, made, code, message FROM steps WHERE run_id = :run "
    "ORDER BY attempt, started_at"
)

_GROUND = """
    EXISTS (SELECT 1 FROM users u WHERE u.id = :user AND u.deleted_at IS NULL) AS "user",
    (EXISTS (SELECT 1 FROM license_users l WHERE l.plan_id = :plan AND l.user_id = :user) OR EXISTS (
       SELECT 1 FROM memberships m JOIN license_groups l ON l.group_id = m.group_id AND l.plan_id = :plan
        WHERE m.user_id = :user)) AS licence,
    EXISTS (SELECT 1 FROM policies p WHERE p.id = :policy) AS policy_exists,
    EXISTS (SELECT 1 FROM memberships m JOIN policy_assignments a ON a.group_id = m.group_id AND a.policy_id = :policy
             WHERE m.user_id = :user) AS policy_reaches,
    (SELECT health_status FROM connections k WHERE k.id = CAST(:connection AS uuid)) AS connection_health
"""

_LOOK = statement(f"SELECT tenant_now(:tenant) AS now, {_GROUND}")

# The conditions are written so that only the right index can serve them: the plan may be made while the tables
# are empty. So `ended_at IS NULL` and not `state = 'active'` (the index of active runs), and keys by ANY (not all of
# a tenant's).
_FENCE = """
    fence AS MATERIALIZED (
      SELECT id, tenant_now(tenant_id) AS now, wake_at FROM runs
       WHERE id = :run AND lease = :lease AND ended_at IS NULL FOR NO KEY UPDATE)"""
_ENDED = """
    ended AS (
      UPDATE steps s SET ended_at = f.now, outcome = e.outcome, code = e.code, message = e.message,
             output = e.output, made = s.made || e.made
        FROM fence f, jsonb_to_record(CAST(:ended AS jsonb)) AS e (attempt smallint, step text, outcome text, code text,
             message text, output text, made jsonb)
       WHERE s.run_id = f.id AND s.attempt = e.attempt AND s.step = e.step AND s.ended_at IS NULL)"""
_CONFIRMED = """
    confirmed AS (
      UPDATE ledger l SET state = m.state, external_id = m.external_id, details = COALESCE(m.details, '{}'),
             created_at = f.now, released_at = CASE WHEN m.state = 'released' THEN f.now END
        FROM fence f, jsonb_to_recordset(CAST(:confirmed AS jsonb)) AS m (key text, state text, external_id text,
             details jsonb)
       WHERE l.tenant_id = :tenant AND l.key = ANY(CAST(:keys AS text[])) AND l.key = m.key AND l.state = 'intended')"""
_BEGUN = """
    begun AS (
      INSERT INTO steps (run_id, tenant_id, attempt, step, stage, started_at, made)
      SELECT f.id, :tenant, b.attempt, b.step, b.stage, f.now, b.made
        FROM fence f, jsonb_to_record(CAST(:begun AS jsonb)) AS b (attempt smallint, step text, stage text, made jsonb)
      ON CONFLICT DO NOTHING)"""
_INTENDED = """
    intended AS (
      INSERT INTO ledger (tenant_id, cloud_pc_id, run_number, attempt, step, kind, key, site_id, intended_at)
      SELECT :tenant, CASE WHEN i.shared THEN NULL ELSE CAST(:cloud_pc AS uuid) END, :number, i.attempt, i.step, i.kind,
             i.key, CAST(:site AS uuid), f.now
        FROM fence f, jsonb_to_recordset(CAST(:intended AS jsonb)) AS i (attempt smallint, step text, kind text,
             key text, shared boolean)
      ON CONFLICT (tenant_id, key) DO NOTHING)"""
# The run itself, with the sign-in details where there are any.
_RUN_ENDED = """
    run_ended AS (
      UPDATE runs r SET state = :state, ended_at = f.now, error = CAST(:error AS jsonb) FROM fence f WHERE r.id = f.id),
    presented AS (
      INSERT INTO sign_in_details (cloud_pc_id, tenant_id, portal_address, user_name, one_time_password)
      SELECT :cloud_pc, :tenant, :portal, :sign_in_name, :password FROM fence WHERE CAST(:portal AS text) IS NOT NULL
      ON CONFLICT (cloud_pc_id) DO UPDATE SET portal_address = excluded.portal_address, user_name = excluded.user_name,
             one_time_password = excluded.one_time_password, presented_at = NULL)"""


@cache
def _advance(ending: bool, confirming: bool, intending: bool, looking: bool) -> str:
    """`advance`'s statement, with the parts it needs this time: what is left out costs nothing."""
    wanted = ((True, _FENCE), (ending, _ENDED), (confirming, _CONFIRMED), (True, _BEGUN), (intending, _INTENDED))
    parts = ",".join(part for want, part in wanted if want)
    return statement(f"WITH {parts} SELECT f.now{f', {_GROUND}' if looking else ''} FROM fence f")


_END_STEP = text(f"WITH {_FENCE}, {_ENDED}, {_CONFIRMED} SELECT now FROM fence")
_END_RUN = text(f"WITH {_FENCE}, {_ENDED}, {_CONFIRMED}, {_RUN_ENDED} SELECT wake_at FROM fence")

_PARK = text(
    "UPDATE runs SET wake_at = LEAST(:until, COALESCE(wake_at, :until)), wake_reason = :reason "
    "WHERE id = :run AND lease = :lease AND ended_at IS NULL"
)


def take(database: Database, run: UUID) -> RunFacts | None:
    """Take the run over: from now on only this lease may write for it. None when it has ended."""
    row = ask_one(database.single, _TAKE, {"run": run})
    if row is None:
        return None
    return RunFacts(
        run_id=row.id,
        lease=row.lease,
        tenant_id=row.tenant_id,
        cloud_pc_id=row.cloud_pc_id,
        cloud_pc_name=row.display_name,
        number=row.number,
        kind=RunKind(row.kind),
        options=row.options,
        policy=row.policy,
        user_id=row.user_id,
        user=row.user_principal_name,
        on_premises_user=row.on_premises_user_principal_name,
        plan_id=row.plan_id,
        plan_name=row.plan_name,
        size=Size(row.vcpu_count, row.ram_gb, row.storage_gb),
        user_account_type=row.user_account_type,
        settings=TenantSettings(**row.settings),
        speed=row.speed,
    )


def steps_of(database: Database, run: UUID) -> list[StepRow]:
    """The run's step rows, oldest first."""
    rows = ask(database.single, _STEPS, {"run": run})
    return [StepRow(r.attempt, r.step, Outcome(r.outcome), r.started_at, r.made, r.code, r.message) for r in rows]


def look(database: Database, run: RunFacts, connection_id: UUID | None) -> Watch:
    """The ground as it is now."""
    (row,) = ask(database.single, _LOOK, {**_subject(run, connection_id), "tenant": run.tenant_id})
    return _watch(row)


def advance(
    database: Database,
    run: RunFacts,
    connection_id: UUID | None,
    ended: Ending | None,
    begun: Beginning,
    *,
    looking: bool = True,
) -> Watch:
    """End one step and begin the next, in one commit, `looking` at the ground or not (it is a third of the cost).

    Raises LeaseLost, having written nothing.
    """
    confirming = ended is not None and bool(ended.confirmed)
    sql = _advance(ended is not None, confirming, bool(begun.intended), looking)
    row = ask_one(database.single, sql, _advance_values(run, connection_id, ended, begun))
    if row is None:
        raise LeaseLost(run.run_id)
    return _watch(row)


def _watch(row: Row) -> Watch:
    now, *standing = row
    return Watch(now, Standing(*standing) if standing else None)


def end_step(connection: Connection, run: RunFacts, ended: Ending) -> None:
    """End a step inside the transaction that ends its attempt. Raises LeaseLost."""
    if connection.execute(_END_STEP, _advance_values(run, None, ended, None)).one_or_none() is None:
        raise LeaseLost(run.run_id)


def end_run(
    connection: Connection,
    run: RunFacts,
    ended: Ending | None,
    state: str,
    error: Mapping[str, Any] | None = None,
    sign_in: SignIn | None = None,
) -> bool:
    """End the run, and its last step where one is running, in the caller's transaction. Raises LeaseLost.

    Returns whether something asked for this run meanwhile (its `wake_at`): the user is then to be looked at again.
    """
    values = {
        **_advance_values(run, None, ended, None),
        "state": state,
        "error": json.dumps(error, default=str) if error else None,
        "portal": sign_in.portal if sign_in else None,
        "sign_in_name": sign_in.user_name if sign_in else None,
        "password": sign_in.password if sign_in else None,
    }
    row = connection.execute(_END_RUN, values).one_or_none()
    if row is None:
        raise LeaseLost(run.run_id)
    return row.wake_at is not None


def park(connection: Connection, run: RunFacts, until: datetime, reason: str) -> None:
    """Let the run wait until then, holding no worker and no job; an earlier wake-up that came meanwhile stays."""
    values = {"run": run.run_id, "lease": run.lease, "until": until, "reason": reason}
    if connection.execute(_PARK, values).rowcount == 0:
        raise LeaseLost(run.run_id)


def durations(connection: Connection, tenant: UUID, steps: Iterable[str]) -> dict[str, timedelta]:
    """The median duration of each step's last fifty successes in this tenant; absent where there is none."""
    query = text(
        """
        SELECT s.step, percentile_cont(0.5) WITHIN GROUP (ORDER BY d.took) AS median
          FROM unnest(CAST(:steps AS text[])) AS s (step), LATERAL (
            SELECT extract(epoch FROM ended_at - started_at) AS took FROM steps
             WHERE tenant_id = :tenant AND steps.step = s.step AND outcome = 'succeeded'
             ORDER BY ended_at DESC LIMIT 50) d
         GROUP BY s.step
        """
    )
    rows = connection.execute(query, {"tenant": tenant, "steps": list(steps)})
    return {row.step: timedelta(seconds=float(row.median)) for row in rows}


def _subject(run: RunFacts, connection_id: UUID | None) -> dict[str, Any]:
    return {
        "user": run.user_id,
        "plan": run.plan_id,
        "policy": UUID(run.policy["id"]),
        "connection": connection_id,
    }


def _advance_values(
    run: RunFacts, connection_id: UUID | None, ended: Ending | None, begun: Beginning | None
) -> dict[str, Any]:
    end = (
        {}
        if ended is None
        else {
            "attempt": ended.attempt,
            "step": ended.step,
            "outcome": ended.outcome,
            "code": ended.code,
            "message": ended.message,
            "output": (ended.output or "")[:OUTPUT_LIMIT] or None,
            "made": ended.made,
        }
    )
    begin = (
        {}
        if begun is None
        else {"attempt": begun.attempt, "step": begun.step, "stage": begun.stage, "made": begun.made}
    )
    return {
        **_subject(run, connection_id),
        "run": run.run_id,
        "lease": run.lease,
        "tenant": run.tenant_id,
        "cloud_pc": run.cloud_pc_id,
        "number": run.number,
        "site": begun.site_id if begun else None,
        "ended": _json(end),
        "keys": [row["key"] for row in ended.confirmed] if ended else [],
        "confirmed": _json(list(ended.confirmed)) if ended and ended.confirmed else "[]",
        "begun": _json(begin),
        "intended": _json([{"attempt": begun.attempt, "step": begun.step, **i} for i in begun.intended])
        if begun and begun.intended
        else "[]",
    }


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
