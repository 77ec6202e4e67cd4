"""How a remote action ends: what it changed becomes visible in the transaction that ends its run, or not at all."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.domain.runs import RunKind
from deskwright.domain.status import Status
from deskwright.provision.context import RunFacts
from deskwright.provision.ledger import FILL_PRIORITY, FILL_SEATS, schedule_release
from deskwright.store import audit
from deskwright.store.status import move
from deskwright.store.touched import touch_users

# A repair leaves the Cloud PC where it is; in grace, what it will return to is mended instead.
_MENDED = text(
    """
    UPDATE cloud_pcs SET warnings = CAST(:warnings AS jsonb),
           grace = CASE WHEN grace IS NULL THEN NULL ELSE grace || jsonb_build_object('was', CAST(:status AS text)) END
     WHERE id = :cloud_pc RETURNING status
    """
)
_WARNINGS = text("SELECT warnings FROM cloud_pcs WHERE id = :id FOR UPDATE")
_POWER = text("UPDATE cloud_pcs SET power_state = :power WHERE id = :id")
_SNAPSHOT = text(
    """
    INSERT INTO snapshots (tenant_id, cloud_pc_id, external_id, kind, created_at)
    VALUES (:tenant, :cloud_pc, :external_id, 'manual', tenant_now(:tenant)) RETURNING id
    """
)
_RESTORED = text("UPDATE snapshots SET last_restored_at = tenant_now(tenant_id) WHERE id = CAST(:id AS uuid)")
_REVISION = text("UPDATE tenants SET revision = revision + 1 WHERE id = :tenant")
# The licence follows the size, if it is still there to follow: one taken away meanwhile is not given back (E8).
_SWAP_LICENCE = text(
    """
    WITH taken AS (
      DELETE FROM license_users WHERE plan_id = :plan AND user_id = :user RETURNING user_id)
    INSERT INTO license_users (plan_id, user_id, tenant_id)
    SELECT :target, user_id, :tenant FROM taken ON CONFLICT DO NOTHING RETURNING user_id
    """
)
_CAUSE = text("SELECT requested_by, options -> 'lost' AS lost FROM runs WHERE id = :run")

_POWER_AFTER = {RunKind.RESTART: "running", RunKind.POWER_ON: "running", RunKind.POWER_OFF: "poweredOff"}


def succeeded(
    connection: Connection, run: RunFacts, made: Mapping[str, Any], warnings: Sequence[Mapping[str, Any]]
) -> None:
    """The action was done; `warnings` are those of the configure steps after it."""
    match run.kind:
        case RunKind.REPAIR:
            mend(connection, run, run.options["steps"], warnings)
        case RunKind.RESTART | RunKind.POWER_ON | RunKind.POWER_OFF:
            connection.execute(_POWER, {"id": run.cloud_pc_id, "power": _POWER_AFTER[run.kind]})
        case RunKind.SNAPSHOT:
            taken = {"tenant": run.tenant_id, "cloud_pc": run.cloud_pc_id, "external_id": made["snapshotExternalId"]}
            connection.execute(_SNAPSHOT, taken)
        case RunKind.CHANGE_USER_ACCOUNT_TYPE:
            mend(connection, run, ("P3",), ())
        case RunKind.RESTORE:
            connection.execute(_RESTORED, {"id": run.options["snapshot"]})
            _give_back(connection, run, ("P6",), warnings, power_state="running")
        case RunKind.RESIZE:
            _resized(connection, run, warnings)
        case _:
            pass


def failed(connection: Connection, run: RunFacts, code: str) -> None:
    """It was not done: the Cloud PC is what it was, and what the action made or reserved is given back."""
    if run.kind is RunKind.SNAPSHOT:
        schedule_release(connection, [run.cloud_pc_id], delay_seconds=0, run=run.number, attempt=1)
    if run.kind is RunKind.RESIZE:
        target = UUID(run.options["plan"]["id"])
        move(connection, [run.cloud_pc_id], Status(run.options["was"]), why=code, target_plan_id=None)
        jobs.defer(connection, FILL_SEATS, [target], priority=FILL_PRIORITY)
    if run.kind is RunKind.RESTORE:
        move(connection, [run.cloud_pc_id], Status(run.options["was"]), why=code)
    _look_again(connection, run)


def mend(connection: Connection, run: RunFacts, redone: Sequence[str], warnings: Sequence[Mapping[str, Any]]) -> None:
    """Steps were done again: their old warnings go, their new ones stay (R12)."""
    left = _warnings_left(connection, run, redone, warnings)
    status = Status.WARNINGS if left else Status.PROVISIONED
    values = {"cloud_pc": run.cloud_pc_id, "warnings": json.dumps(left), "status": status}
    now = connection.execute(_MENDED, values).scalar_one()
    if now in (Status.PROVISIONED, Status.WARNINGS) and now != status:
        move(connection, [run.cloud_pc_id], status, actor="deskwright", why=run.kind.words)


def _resized(connection: Connection, run: RunFacts, warnings: Sequence[Mapping[str, Any]]) -> None:
    """Plan, licence and seat change in this one transaction: nobody ever sees a Cloud PC without its licence."""
    plan = run.options["plan"]
    # First, as every administrative change does: two of them never wait for each other.
    connection.execute(_REVISION, {"tenant": run.tenant_id})
    target = UUID(plan["id"])
    swap = {"tenant": run.tenant_id, "user": run.user_id, "plan": run.plan_id, "target": target}
    connection.execute(_SWAP_LICENCE, swap)
    _give_back(
        connection,
        run,
        ("P6", "P8"),
        warnings,
        plan_id=target,
        target_plan_id=None,
        power_state="running",
    )
    asked = connection.execute(_CAUSE, {"run": run.run_id}).one()
    changed = audit.event(
        run.cloud_pc_id, run.cloud_pc_name, {"servicePlanName": run.plan_name}, {"servicePlanName": plan["name"]}
    )
    audit.write(connection, run.tenant_id, asked.requested_by, "Cloud PC: resized", "cloudPC", [changed])
    jobs.defer(connection, FILL_SEATS, [run.plan_id], priority=FILL_PRIORITY)


def _give_back(
    connection: Connection,
    run: RunFacts,
    redone: Sequence[str],
    warnings: Sequence[Mapping[str, Any]],
    **columns: Any,
) -> None:
    """The machine is the user's again."""
    left = _warnings_left(connection, run, redone, warnings)
    status = Status.WARNINGS if left else Status.PROVISIONED
    move(connection, [run.cloud_pc_id], status, why=f"{run.kind.words}, run {run.number}", warnings=left, **columns)
    _look_again(connection, run)


def _look_again(connection: Connection, run: RunFacts) -> None:
    """What was lost while the machine was taken away is acted on now: then it can enter its grace period (E8)."""
    if run.options.get("was") is None:
        return
    lost = connection.execute(_CAUSE, {"run": run.run_id}).one().lost
    cause = lost or {"actor": "deskwright", "activity": f"a {run.kind.words} ended"}
    touch_users(connection, run.tenant_id, [run.user_id], cause)


def _warnings_left(
    connection: Connection, run: RunFacts, redone: Sequence[str], warnings: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    before = connection.execute(_WARNINGS, {"id": run.cloud_pc_id}).scalar_one()
    return [w for w in before if w["step"] not in redone] + list(warnings)
