"""Lists of Cloud PCs, and of what exists outside by our doing: cheap for hundreds of rows, whoever asks."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import errors
from deskwright.decide.verdict import Waiting
from deskwright.domain.images import GALLERY
from deskwright.domain.runs import RunKind
from deskwright.domain.status import USABLE, Status
from deskwright.operations.change import TenantRef
from deskwright.operations.estimate import Pace, Position, eta_seconds, pace, progress, step_title
from deskwright.provision.records import Outcome
from deskwright.provision.remote import EVERY_STEP, steps_of
from deskwright.settings import TenantSettings

_QUEUE = """
    WITH queue AS (
      SELECT c.id, row_number() OVER (PARTITION BY c.plan_id ORDER BY c.entitled_number, c.id) AS position
        FROM cloud_pcs c {asked}
       WHERE c.tenant_id = :tenant AND c.status = 'pendingProvision' AND c.waiting_for = 'seat')
"""
# Of few, only the queues they stand in, and only as far as the last of them.
_ASKED = """
    JOIN (SELECT plan_id, max(entitled_number) AS last FROM cloud_pcs
           WHERE id = ANY(:ids) AND status = 'pendingProvision' AND waiting_for = 'seat' GROUP BY plan_id) asked
      ON asked.plan_id = c.plan_id AND c.entitled_number <= asked.last
"""
# One pass: the last run of each, and the steps of that run's last attempt rolled up. A rename is done at once, beside
# what is under way.
_ROWS = """
    SELECT c.id, u.user_principal_name, c.display_name, COALESCE(s.device, c.device_name) AS device, c.device_name,
           p.display_name AS plan, c.policy_name, c.status, c.status_since, c.power_state, c.status_detail, c.warnings,
           c.waiting_for, c.grace_ends_at, q.position, site.name AS site, tenant_now(c.tenant_id) AS now,
           c.user_id, u.display_name AS user_name, c.plan_id, c.policy_id, c.connection_id, k.display_name AS network,
           c.image_name,
           r.number AS run, r.kind, r.state AS run_state, r.wake_at, r.wake_reason, r.options,
           COALESCE((t.settings ->> 'attempts')::int, :attempts) AS attempts,
           r.policy ->> 'join_type' = 'hybridAzureADJoin' AS hybrid,
           s.attempt, s.outcomes, s.step, s.stage, s.started_at, s.ended_at, s.outcome, s.site_name
      FROM cloud_pcs c JOIN users u ON u.id = c.user_id JOIN service_plans p ON p.id = c.plan_id
      JOIN tenants t ON t.id = c.tenant_id
      LEFT JOIN queue q ON q.id = c.id LEFT JOIN sites site ON site.id = c.site_id
      LEFT JOIN connections k ON k.id = c.connection_id
      LEFT JOIN LATERAL (SELECT * FROM runs WHERE cloud_pc_id = c.id AND kind <> 'rename' ORDER BY number DESC LIMIT 1
      ) r ON true
      LEFT JOIN LATERAL (
        SELECT attempt, jsonb_object_agg(step, outcome) AS outcomes, max(made ->> 'computerName') AS device,
               max(made #>> '{ground,site_name}') AS site_name,
               (array_agg(step ORDER BY started_at DESC, ended_at DESC NULLS FIRST))[1] AS step,
               (array_agg(stage ORDER BY started_at DESC, ended_at DESC NULLS FIRST))[1] AS stage,
               (array_agg(outcome ORDER BY started_at DESC, ended_at DESC NULLS FIRST))[1] AS outcome,
               (array_agg(ended_at ORDER BY started_at DESC, ended_at DESC NULLS FIRST))[1] AS ended_at,
               max(started_at) AS started_at
          FROM steps WHERE run_id = r.id GROUP BY attempt ORDER BY attempt DESC LIMIT 1) s ON true
     WHERE c.tenant_id = :tenant
"""
_AFTER = """
       AND (lower(u.user_principal_name), p.display_name, c.created_at, c.id) > (
         SELECT lower(au.user_principal_name), ap.display_name, ac.created_at, ac.id FROM cloud_pcs ac
           JOIN users au ON au.id = ac.user_id JOIN service_plans ap ON ap.id = ac.plan_id
          WHERE ac.id = :after AND ac.tenant_id = :tenant)
"""
_COUNTS = text(
    "SELECT status, count(*) AS n FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' GROUP BY status"
)
_UNSETTLED = text(
    """
    SELECT (SELECT count(*) FROM touched_users WHERE tenant_id = :tenant)
         + (SELECT count(*) FROM runs WHERE tenant_id = :tenant AND state = 'active')
         + (SELECT count(*) FROM cloud_pcs c WHERE tenant_id = :tenant AND (status IN ('provisioning', 'deprovisioning',
               'resizing', 'restoring')
             OR (status = 'pendingProvision' AND (waiting_for = 'start' OR (waiting_for = 'connection' AND EXISTS (
                 SELECT 1 FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
                  WHERE pc.policy_id = c.policy_id AND (k.checking OR k.health_status = 'pending')))))))
    """
)
_PASSWORDS = text(
    """
    SELECT u.user_principal_name, c.device_name, d.user_name FROM sign_in_details d
      JOIN cloud_pcs c ON c.id = d.cloud_pc_id JOIN users u ON u.id = c.user_id
     WHERE d.tenant_id = :tenant AND d.one_time_password IS NOT NULL ORDER BY lower(u.user_principal_name)
    """
)
_LEDGER = text(
    """
    SELECT * FROM (
      SELECT l.*, s.name AS site, u.user_principal_name, c.display_name AS cloud_pc, c.status,
             tenant_now(l.tenant_id) AS now,
             l.state = 'disabled' OR l.release_at IS NOT NULL OR c.status = 'gone' OR (c.id IS NOT NULL AND
               l.kind <> 'snapshot' AND rank() OVER (PARTITION BY l.cloud_pc_id, l.kind = 'snapshot'
                                                     ORDER BY l.run_number DESC, l.attempt DESC) > 1) AS is_left
        FROM ledger l JOIN sites s ON s.id = l.site_id LEFT JOIN cloud_pcs c ON c.id = l.cloud_pc_id
        LEFT JOIN users u ON u.id = c.user_id
       WHERE l.tenant_id = :tenant AND l.state <> 'released'
         AND (CAST(:cloud_pc AS uuid) IS NULL OR l.cloud_pc_id = :cloud_pc)) rows
     WHERE is_left OR NOT :only_left ORDER BY id
    """
)

WAITING_TEXTS: dict[str, str] = {
    Waiting.NO_POLICY: "no policy reaches the user",
    Waiting.ACCOUNT_DISABLED: "the account is disabled",
    Waiting.SEAT: "all seats of the plan are taken",
    Waiting.CONNECTION: "waits for a healthy connection",
    Waiting.START: "starts in a moment",
}


def cloud_pcs(
    connection: Connection,
    tenant: TenantRef,
    *,
    statuses: Collection[str] | None = None,
    user: str | None = None,
    ids: Collection[UUID] | None = None,
    limit: int | None = None,
    after: UUID | None = None,
) -> list[dict[str, Any]]:
    """The tenant's Cloud PCs that are not gone (with `ids`: those, gone or not), ordered by user and plan.

    `after`: those that follow the Cloud PC with this id in that order; none where there is no such one.

    Two queries, however many there are. `etaSeconds` and all times are in the tenant's time.
    """
    values: dict[str, Any] = {"tenant": tenant.id, "attempts": TenantSettings.model_validate({}).attempts}
    if ids is not None:
        query, values["ids"] = _QUEUE.format(asked=_ASKED) + _ROWS + " AND c.id = ANY(:ids)", list(ids)
    else:
        query = _QUEUE.format(asked="") + _ROWS + " AND c.status <> 'gone'"
    if statuses is not None:
        query, values["statuses"] = query + " AND c.status = ANY(:statuses)", list(statuses)
    if user is not None:
        query, values["user"] = query + " AND lower(u.user_principal_name) = lower(:user)", user
    if after is not None:
        query, values["after"] = query + _AFTER, after
    query += " ORDER BY lower(u.user_principal_name), p.display_name, c.created_at, c.id"
    if limit is not None:
        query, values["limit"] = query + " LIMIT :limit", limit
    rows = connection.execute(text(query), values).all()
    usual = pace(connection, tenant.id)
    return [_cloud_pc(row, usual) for row in rows]


def counts(connection: Connection, tenant: TenantRef) -> dict[str, int]:
    """How many Cloud PCs there are in each status, in the order of a Cloud PC's life; those at zero are left out."""
    found = {row.status: row.n for row in connection.execute(_COUNTS, {"tenant": tenant.id})}
    return {status.value: found[status] for status in Status if status in found}


def unsettled(connection: Connection, tenant: TenantRef) -> int:
    """How much is still under way by itself: touched users, runs, Cloud PCs about to start. Zero: all have settled."""
    return int(connection.execute(_UNSETTLED, {"tenant": tenant.id}).scalar_one())


def one_time_passwords(connection: Connection, tenant: TenantRef) -> list[dict[str, Any]]:
    """The Cloud PCs whose one-time password has not been presented yet."""
    return [
        {"userPrincipalName": row.user_principal_name, "reference": row.device_name, "userName": row.user_name}
        for row in connection.execute(_PASSWORDS, {"tenant": tenant.id})
    ]


def ledger(
    connection: Connection, tenant: TenantRef, only_left: bool = False, *, cloud_pc_id: UUID | None = None
) -> list[dict[str, Any]]:
    """What exists in the outside world by our doing; `only_left`: what past attempts left there (R8).

    `releaseDateTime` is when it goes; None for what is in use, is kept, or an administrator has to remove (L3).
    """
    values = {"tenant": tenant.id, "cloud_pc": cloud_pc_id, "only_left": only_left}
    return [
        {
            "kind": row.kind,
            "state": row.state,
            "left": bool(row.is_left),
            "externalId": row.external_id,
            "details": row.details,
            "key": row.key,
            "userPrincipalName": row.user_principal_name,
            "cloudPc": row.cloud_pc,
            "cloudPcId": str(row.cloud_pc_id) if row.cloud_pc_id else None,
            "siteName": row.site,
            "run": row.run_number,
            "attempt": row.attempt,
            "step": row.step,
            "intendedDateTime": row.intended_at,
            "ageSeconds": round((row.now - row.intended_at).total_seconds(), 1),
            "releaseDateTime": row.release_at,
            "releaseInSeconds": _until(row.release_at, row.now),
            "releasedDateTime": row.released_at,
            "releaseAttempts": row.release_attempts,
            "lastError": row.last_error,
        }
        for row in connection.execute(_LEDGER, values)
    ]


def waiting_text(row: Mapping[str, Any]) -> str:
    """Why a row of `cloud_pcs` waits, in a few words; empty where it does not."""
    return _waiting_text(row["status"], row["waitingFor"], row["queuePosition"])


def _waiting_text(status: str, waiting_for: str | None, position: int | None) -> str:
    if status not in (Status.NOT_PROVISIONED, Status.PENDING):
        return ""
    return f"waits for a seat, place {position}" if position else WAITING_TEXTS.get(waiting_for or "", "")


def image_title(image: str | None) -> str | None:
    """The display name of the gallery image with that id; that of a device image is kept as it is."""
    known = GALLERY.get(image) if image else None
    return known.display_name if known else image


def _cloud_pc(row: Row[Any], usual: Pace) -> dict[str, Any]:
    active = row.run_state == "active"
    kind = RunKind(row.kind or RunKind.PROVISION)
    shows_steps = active or row.status == Status.FAILED
    where = Position(
        steps=[step.id for step in steps_of(kind, row.options or {})],
        step=row.step,
        step_ended=row.ended_at is not None,
        step_started_at=row.started_at,
        attempt_failed=row.outcome == Outcome.FAILED,
        wake_at=row.wake_at,
        hybrid=bool(row.hybrid),
        now=row.now,
    )
    between = active and where.attempt_failed
    step = where.steps[0] if where.steps and (between or (active and row.step is None)) else row.step
    number = (row.attempt or 0) + 1 if between or row.attempt is None else row.attempt
    return {
        "id": str(row.id),
        "userPrincipalName": row.user_principal_name,
        "userId": str(row.user_id),
        "userDisplayName": row.user_name,
        "displayName": row.display_name,
        "managedDeviceName": row.device,
        "servicePlanId": str(row.plan_id),
        "servicePlanName": row.plan,
        "provisioningPolicyId": str(row.policy_id) if row.policy_id else None,
        "provisioningPolicyName": row.policy_name,
        "onPremisesConnectionId": str(row.connection_id) if row.connection_id else None,
        "onPremisesConnectionName": row.network,
        "imageDisplayName": image_title(row.image_name),
        "siteName": row.site or row.site_name,
        "status": row.status,
        "statusDetail": _status_detail(row.status_detail),
        "warnings": row.warnings,
        "run": row.run,
        "runKind": row.kind if active else None,
        "stage": _stage(row.stage, step) if shows_steps else None,
        "step": step if shows_steps else None,
        "stepTitle": step_title(step) if shows_steps else None,
        "steps": {} if between else row.outcomes or {},
        "attempt": number if shows_steps and kind.makes_machine else None,
        "attempts": row.attempts,
        "powerState": row.power_state,
        "since": row.status_since,
        "waitingFor": row.waiting_for,
        "waitingText": _waiting_text(row.status, row.waiting_for, row.position),
        "waitingReason": row.wake_reason if active and row.wake_at else None,
        "wakeDateTime": row.wake_at if active else None,
        "queuePosition": row.position,
        "gracePeriodEndDateTime": row.grace_ends_at,
        "etaSeconds": round(eta_seconds(where, usual), 1) if active else None,
        "progress": round(_progress(row.status, active, where, usual), 3),
        "now": row.now,
    }


def _stage(begun: str | None, step: str | None) -> str | None:
    return EVERY_STEP[step].stage.value if begun is None and step in EVERY_STEP else begun


def _progress(status: str, active: bool, where: Position, usual: Pace) -> float:
    if active:
        return progress(where, usual)
    return 1.0 if status in USABLE else 0.0


def _status_detail(kept: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not kept:
        return None
    found = errors.explain(kept["code"], kept.get("values") or {})
    return {"code": kept["code"], "message": found.message}


def _until(then: datetime | None, now: datetime) -> float | None:
    return None if then is None else round((then - now).total_seconds(), 1)
