"""How a run, or one attempt of it, ends: each in one transaction under the run's lease."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.domain.status import Status
from deskwright.provision import records, remote_ending
from deskwright.provision.context import Ground, RunFacts, World
from deskwright.provision.ledger import FILL_PRIORITY, FILL_SEATS, schedule_release
from deskwright.provision.records import Ending, SignIn
from deskwright.provision.sites import USABLE_HEALTH
from deskwright.store.database import Database
from deskwright.store.status import NOW, move
from deskwright.store.touched import touch_users


def succeed(
    world: World,
    run: RunFacts,
    ground: Ground,
    ended: Ending,
    made: Mapping[str, Any],
    warnings: Sequence[Mapping[str, Any]],
    secret: str | None,
) -> None:
    """The last step has ended well: the Cloud PC is the user's, or what was asked of it is done."""
    with world.database.begin() as connection:
        secret_kept = world.secrets.encrypt(secret) if secret else None
        name = made.get("localAccount") or run.user
        new = run.kind.makes_machine
        sign_in = SignIn(world.settings.portal_address, name, secret_kept) if new else None
        _end_run(connection, run, ended, "succeeded", None, sign_in)
        if not new:
            remote_ending.succeeded(connection, run, made, warnings)
            return
        move(
            connection,
            [run.cloud_pc_id],
            Status.WARNINGS if warnings else Status.PROVISIONED,
            why=f"run {run.number}",
            warnings=list(warnings),
            status_detail=None,
            waiting_for=None,
            device_name=made["computerName"],
            ip_address=made["ipAddress"],
            image_name=made["image"],
            device_image_id=made.get("deviceImageId"),
            site_id=ground.site_id,
            connection_id=ground.connection_id,
            user_account_type=None,
            power_state="running",
            provisioned_at=NOW,
        )


def fail_attempt(database: Database, run: RunFacts, ended: Ending, again_at: datetime) -> None:
    """The attempt has failed and another follows: its machine goes, its address is released later (V2, L2)."""
    with database.begin() as connection:
        records.end_step(connection, run, ended)
        _release(connection, run, ended.attempt)
        records.park(connection, run, again_at, f"attempt {ended.attempt + 1} of {run.settings.attempts}")


def fail_run(
    database: Database,
    run: RunFacts,
    ended: Ending | None,
    code: str,
    values: Mapping[str, Any],
    *,
    attempt: int,
) -> None:
    """The last attempt has failed: only retry or reprovision moves the Cloud PC now (V1)."""
    with database.begin() as connection:
        error = {"code": code, "values": dict(values)}
        _end_run(connection, run, ended, "failed", error)
        if not run.kind.makes_machine:
            remote_ending.failed(connection, run, code)
            return
        _release(connection, run, attempt)
        move(
            connection,
            [run.cloud_pc_id],
            Status.FAILED,
            why=code,
            status_detail=_plain(error),
            waiting_for=None,
        )


def stop_run(database: Database, run: RunFacts, ended: Ending, code: str, values: Mapping[str, Any]) -> None:
    """The ground is gone: what was made is cleaned up, and should it return, provisioning starts anew (V3)."""
    with database.begin() as connection:
        error = {"code": code, "values": dict(values)}
        _end_run(connection, run, ended, "stopped", error)
        move(connection, [run.cloud_pc_id], Status.DEPROVISIONING, why=code, status_detail=_plain(error))
        schedule_release(connection, [run.cloud_pc_id], delay_seconds=run.settings.cleanUpDelayInHours * 3600)


def wait_for_connection(database: Database, run: RunFacts, names: Sequence[str]) -> bool:
    """V3: before C1 the Cloud PC waits until a connection of its policy is healthy. False where one just became so."""
    with database.begin() as connection:
        # Held until this commits: a check that ends meanwhile sees the waiting Cloud PC afterwards.
        held = connection.execute(
            text("SELECT health_status FROM connections WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR SHARE"),
            {"ids": run.policy["connections"]},
        ).scalars()
        if any(health in USABLE_HEALTH for health in held):
            return False
        error = {"code": "canaryCheckUnpass", "values": {"connection": ", ".join(names), "user": run.user}}
        _end_run(connection, run, None, "stopped", error)
        move(
            connection,
            [run.cloud_pc_id],
            Status.PENDING,
            why="canaryCheckUnpass",
            waiting_for="connection",
            status_detail=_plain(error),
        )
        jobs.defer(connection, FILL_SEATS, [run.plan_id], priority=FILL_PRIORITY)
        # It waits like any other now: by the policy that reaches its user today, and not at all for a disabled one.
        cause = {"actor": "deskwright", "activity": "no connection of the policy is healthy"}
        touch_users(connection, run.tenant_id, [run.user_id], cause)
    return True


def _end_run(
    connection: Connection,
    run: RunFacts,
    ended: Ending | None,
    state: str,
    error: Mapping[str, Any] | None,
    sign_in: SignIn | None = None,
) -> None:
    if records.end_run(connection, run, ended, state, error, sign_in):
        # Something asked for this run while it was in its last step: look at the user again.
        touch_users(connection, run.tenant_id, [run.user_id], {"actor": "deskwright", "activity": "a run ended"})


def _release(connection: Connection, run: RunFacts, attempt: int) -> None:
    schedule_release(
        connection,
        [run.cloud_pc_id],
        delay_seconds=run.settings.cleanUpDelayInHours * 3600,
        run=run.number,
        attempt=attempt,
        keep_machine=run.settings.keepFailedMachines,
    )


def _plain(value: Any) -> Any:
    """As JSON would give it back: the columns hold JSON, and values may hold ids and times."""
    return json.loads(json.dumps(value, default=str))
