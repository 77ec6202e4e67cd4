"""One Cloud PC and everything that happened to it (R1): runs, attempts and steps; errors with their remedies; what it
made and what is left of it; why it is in grace; how its user signs in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import errors
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import RunKind
from deskwright.operations.change import TenantRef
from deskwright.operations.cloud_pcs import find
from deskwright.operations.estimate import step_title
from deskwright.operations.listing import cloud_pcs, ledger
from deskwright.provision.context import World
from deskwright.provision.records import Outcome
from deskwright.store import audit

_MORE = text(
    """
    SELECT c.*, u.user_principal_name, p.display_name AS plan, k.display_name AS connection, d.portal_address,
           d.user_name, d.one_time_password IS NOT NULL AS password_waits, d.presented_at,
           tenant_now(c.tenant_id) AS now,
           (SELECT count(*) FROM cloud_pcs o WHERE o.user_id = c.user_id AND o.status <> 'gone') AS of_the_user
      FROM cloud_pcs c JOIN users u ON u.id = c.user_id JOIN service_plans p ON p.id = c.plan_id
      LEFT JOIN connections k ON k.id = c.connection_id
      LEFT JOIN sign_in_details d ON d.cloud_pc_id = c.id WHERE c.id = :id AND c.tenant_id = :tenant
    """
)
_RUNS = text("SELECT * FROM runs WHERE cloud_pc_id = :id ORDER BY number")
_STEPS = text(
    """
    SELECT s.*, k.display_name AS connection FROM runs r JOIN steps s ON s.run_id = r.id
      LEFT JOIN connections k ON k.id::text = s.made #>> '{ground,connection_id}'
     WHERE r.cloud_pc_id = :id ORDER BY r.number, s.attempt, s.started_at, s.ended_at NULLS LAST
    """
)
# A failure the simulator was told to produce: whoever looks for its cause should be told.
_FAULT = text(
    """
    SELECT f.id FROM faults f WHERE f.tenant_id = :tenant AND f.code = :code AND f.step = ANY(:steps)
       AND (f.user_principal_name IS NULL OR lower(f.user_principal_name) = lower(:user))
       AND (f.policy_name IS NULL OR lower(f.policy_name) = lower(:policy)) ORDER BY f.id LIMIT 1
    """
)
_DETAILS = text(
    """
    SELECT d.*, c.display_name, c.device_name, u.user_principal_name FROM sign_in_details d
      JOIN cloud_pcs c ON c.id = d.cloud_pc_id JOIN users u ON u.id = c.user_id
     WHERE d.cloud_pc_id = :id FOR UPDATE OF d
    """
)
_PRESENTED = text(
    "UPDATE sign_in_details SET one_time_password = NULL, presented_at = COALESCE(presented_at, tenant_now(tenant_id)) "
    "WHERE cloud_pc_id = :id"
)


def timeline(connection: Connection, tenant: TenantRef, cloud_pc_id: UUID) -> dict[str, Any]:
    """Everything about one Cloud PC, also about one that is gone. Durations are seconds of the tenant's time."""
    more = connection.execute(_MORE, {"id": cloud_pc_id, "tenant": tenant.id}).one_or_none()
    if more is None:
        raise NotFound("cloudPC", str(cloud_pc_id))
    base = cloud_pcs(connection, tenant, ids=[cloud_pc_id])[0]
    runs = connection.execute(_RUNS, {"id": cloud_pc_id}).all()
    steps = connection.execute(_STEPS, {"id": cloud_pc_id}).all()
    by_run = {run: list(rows) for run, rows in groupby(steps, key=lambda s: s.run_id)}
    told = [_run(run, by_run.get(run.id, []), more) for run in runs]
    name = reference(more)
    last = told[-1] if told else None
    return {
        **base,
        "reference": name,
        "imageDisplayName": more.image_name,
        "ipAddress": more.ip_address,
        "onPremisesConnectionName": more.connection
        or (last["attempts"][-1]["connectionName"] if last and last["attempts"] else None),
        "createdDateTime": more.created_at,
        "provisionedDateTime": more.provisioned_at,
        "goneDateTime": more.gone_at,
        "error": _error(connection, tenant, more, last, name),
        "warnings": [_warning(w, more, name) for w in more.warnings],
        "grace": _grace(more),
        "signIn": _sign_in(more, name),
        "runs": told,
        "ledger": ledger(connection, tenant, cloud_pc_id=cloud_pc_id),
    }


def reveal_sign_in(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Present the sign-in details. A one-time password is in them only the first time: showing it deletes it."""
    with world.database.begin() as connection:
        found = find(connection, tenant, cloud_pc)
        row = connection.execute(_DETAILS, {"id": found}).one_or_none()
        if row is None:
            raise Refused("cloudPC", cloud_pc, "has no sign-in details yet: they are there once it is provisioned")
        password = world.secrets.decrypt(row.one_time_password) if row.one_time_password else None
        connection.execute(_PRESENTED, {"id": found})
        if password:
            event = audit.event(found, row.display_name, None, {"userName": row.user_name})
            audit.write(connection, tenant.id, actor, "Cloud PC: one-time password presented", "cloudPC", [event])
        return {
            "id": str(found),
            "userPrincipalName": row.user_principal_name,
            "managedDeviceName": row.device_name,
            "portalAddress": row.portal_address,
            "userName": row.user_name,
            "oneTimePassword": password,
            "presentedDateTime": row.presented_at,
        }


def reference(row: Row[Any]) -> str:
    """By what this Cloud PC can be named in a command: device name, else the user's name, else the id."""
    if row.device_name:
        return str(row.device_name)
    return str(row.user_principal_name) if row.of_the_user == 1 else str(row.id)


def described(code: str, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An error of the catalogue in words; the Cloud PC's `name` is what its commands are given."""
    found = errors.explain(code, values)
    commands = errors.explain(code, {**values, "cloudPc": name}).actions
    return {
        "code": code,
        "title": found.title,
        "stage": found.stage,
        "message": found.message,
        "cause": found.cause,
        "remedies": list(found.remedies),
        "retryHelps": found.retry_helps,
        "actions": [{"id": a.id, "label": a.label, "command": a.command} for a in commands],
    }


def _run(run: Row[Any], steps: Sequence[Row[Any]], pc: Row[Any]) -> dict[str, Any]:
    ended = run.ended_at or pc.now
    total = max((ended - run.started_at).total_seconds(), 0.0)
    attempts = [_attempt(number, list(rows), total, pc.now) for number, rows in groupby(steps, key=lambda s: s.attempt)]
    return {
        "number": run.number,
        "kind": run.kind,
        "kindWords": RunKind(run.kind).words,
        "state": run.state,
        "provisioningPolicyName": run.policy.get("display_name"),
        "policy": {k: v for k, v in run.policy.items() if k not in ("id", "tenant_id")},
        "requestedBy": run.requested_by,
        "startedDateTime": run.started_at,
        "endedDateTime": run.ended_at,
        "durationSeconds": round(total, 3),
        "wakeDateTime": run.wake_at,
        "waitingReason": run.wake_reason if run.wake_at else None,
        "error": described(run.error["code"], run.error.get("values") or {}, reference(pc)) if run.error else None,
        "attempts": attempts,
    }


def _attempt(number: int, steps: Sequence[Row[Any]], total: float, now: datetime) -> dict[str, Any]:
    first, last = steps[0], steps[-1]
    kept: dict[str, Any] = {}
    for step in steps:
        kept.update(step.made)
    ended = {s.outcome for s in steps}
    outcome = next((o for o in (Outcome.FAILED, Outcome.STOPPED, Outcome.RUNNING) if o in ended), Outcome.SUCCEEDED)
    return {
        "number": number,
        "outcome": outcome.value,
        "siteName": (first.made.get("ground") or {}).get("site_name"),
        "connectionName": first.connection,
        "managedDeviceName": kept.get("computerName"),
        "ipAddress": kept.get("ipAddress"),
        "startedDateTime": first.started_at,
        "endedDateTime": last.ended_at,
        "durationSeconds": round(((last.ended_at or now) - first.started_at).total_seconds(), 3),
        "steps": [_step(step, total, now) for step in steps],
    }


def _step(step: Row[Any], total: float, now: datetime) -> dict[str, Any]:
    took = ((step.ended_at or now) - step.started_at).total_seconds()
    return {
        "step": step.step,
        "title": step_title(step.step),
        "stage": step.stage,
        "outcome": step.outcome,
        "startedDateTime": step.started_at,
        "endedDateTime": step.ended_at,
        "durationSeconds": round(took, 3),
        "share": round(took / total, 4) if total > 0 else 0.0,
        "code": step.code,
        "message": step.message,
        "output": step.output,
    }


def _error(
    connection: Connection, tenant: TenantRef, pc: Row[Any], last: Mapping[str, Any] | None, name: str
) -> dict[str, Any] | None:
    if not pc.status_detail:
        return None
    code, values = pc.status_detail["code"], dict(pc.status_detail.get("values") or {})
    attempt = last["attempts"][-1] if last and last["attempts"] else None
    if attempt and attempt["connectionName"]:
        values.setdefault("connection", attempt["connectionName"])
    failed = [s["step"] for s in attempt["steps"] if s["outcome"] == Outcome.FAILED] if attempt else []
    asked = {
        "tenant": tenant.id,
        "code": code,
        "steps": failed,
        "user": pc.user_principal_name,
        "policy": pc.policy_name,
    }
    fault = connection.execute(_FAULT, asked).scalar_one_or_none()
    told = described(code, values, name)
    if fault is not None:
        clear = f"deskwright fault clear {fault}"
        told["actions"].insert(0, {"id": "clearFault", "label": "Clear the simulator's fault", "command": clear})
    return {
        **told,
        "step": failed[-1] if failed else None,
        "stepTitle": step_title(failed[-1]) if failed else None,
        "faultId": fault,
    }


def _warning(warning: Mapping[str, Any], pc: Row[Any], name: str) -> dict[str, Any]:
    known = {
        "user": pc.user_principal_name,
        "plan": pc.plan,
        "policy": pc.policy_name,
        "cloudPc": pc.display_name,
        "device": pc.device_name,
        "step": step_title(warning["step"]),
    }
    found = described(warning["code"], known, name)
    return {
        **found,
        "step": warning["step"],
        "stepTitle": known["step"],
        "message": warning["message"] or found["message"],
    }


def _grace(pc: Row[Any]) -> dict[str, Any] | None:
    """R9: what was lost, who did it, and when it ends."""
    if not pc.grace or pc.grace_ends_at is None:
        return None
    cause = pc.grace.get("cause") or {}
    return {
        "since": pc.grace.get("since"),
        "lost": pc.grace.get("lost") or [],
        "actor": cause.get("actor"),
        "activity": cause.get("activity"),
        "object": cause.get("object"),
        "statusBefore": pc.grace.get("was"),
        "gracePeriodEndDateTime": pc.grace_ends_at,
        "endsInSeconds": round((pc.grace_ends_at - pc.now).total_seconds(), 1),
    }


def _sign_in(pc: Row[Any], name: str) -> dict[str, Any] | None:
    if pc.user_name is None:
        return None
    return {
        "userName": pc.user_name,
        "portalAddress": pc.portal_address,
        "oneTimePasswordWaits": pc.password_waits,
        "presentedDateTime": pc.presented_at,
        "command": f"deskwright credentials {name}" if pc.password_waits else None,
    }
