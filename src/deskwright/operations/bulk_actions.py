"""Bulk actions: one remote action on up to 5,000 Cloud PCs, carried out one by one by a job.

What became of each Cloud PC is read from its run. A job that dies goes on where it was: before an item is begun, the
number of its newest run is written down, and a newer one of ours is taken for what was begun (V6).
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import errors, jobs
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import RunKind
from deskwright.operations import cloud_pcs, named, remote_actions
from deskwright.operations.change import TenantRef, change
from deskwright.operations.licenses import PLAN
from deskwright.providers.contract import ProviderError
from deskwright.provision.context import World
from deskwright.reconcile.deadlines import BULK_ACTION
from deskwright.store.audit import event
from deskwright.store.database import Database

MOST = 5000
"""Cloud PCs in one bulk action."""
_BATCH = 200
"""Items of one job; then it comes again, behind what else waits."""


@dataclass(frozen=True)
class Kind:
    """What a bulk action does to each Cloud PC. `run` is what tells how it went; without one, it is done at once."""

    does: Callable[[World, TenantRef, str, str, Mapping[str, Any]], Any]
    run: RunKind | None
    needs: tuple[str, ...] = ()
    """Options that must be given."""


def _restore(world: World, tenant: TenantRef, actor: str, cloud_pc: str, options: Mapping[str, Any]) -> Any:
    known = remote_actions.snapshots(world.database, tenant, cloud_pc)
    point = datetime.fromisoformat(options["restorePointDateTime"])
    chosen = _snapshot(known, point, options["timeRange"])
    if chosen is None:
        rule = f"has no snapshot {options['timeRange']} this time"
        raise Refused("restorePointDateTime", point.isoformat(), rule, code="itemNotFound")
    return remote_actions.restore(world, tenant, actor, cloud_pc, snapshot_id=chosen["id"])


def _snapshot(known: Sequence[Mapping[str, Any]], point: datetime, time_range: str) -> Mapping[str, Any] | None:
    """The nearest one to `point` on the side that `time_range` allows (restoreTimeRange of the API)."""

    def allowed(taken: datetime) -> bool:
        return time_range == "beforeOrAfter" or (taken <= point if time_range == "before" else taken >= point)

    near: list[tuple[timedelta, Mapping[str, Any]]] = [
        (abs(snapshot["createdDateTime"] - point), snapshot)
        for snapshot in known
        if allowed(snapshot["createdDateTime"])
    ]
    return min(near, key=lambda pair: pair[0])[1] if near else None


KINDS: dict[str, Kind] = {
    "cloudPcBulkReprovision": Kind(lambda w, t, a, c, _: cloud_pcs.reprovision(w, t, a, c), RunKind.REPROVISION),
    "cloudPcBulkRestart": Kind(lambda w, t, a, c, _: remote_actions.restart(w, t, a, c), RunKind.RESTART),
    "cloudPcBulkPowerOn": Kind(lambda w, t, a, c, _: remote_actions.power_on(w, t, a, c), RunKind.POWER_ON),
    "cloudPcBulkPowerOff": Kind(lambda w, t, a, c, _: remote_actions.power_off(w, t, a, c), RunKind.POWER_OFF),
    "cloudPcBulkTroubleshoot": Kind(
        lambda w, t, a, c, _: remote_actions.troubleshoot(w, t, a, c), RunKind.TROUBLESHOOT
    ),
    "cloudPcBulkCreateSnapshot": Kind(
        lambda w, t, a, c, _: remote_actions.create_snapshot(w, t, a, c), RunKind.SNAPSHOT
    ),
    "cloudPcBulkResize": Kind(
        lambda w, t, a, c, o: remote_actions.resize(w, t, a, c, service_plan=o["targetServicePlanId"]),
        RunKind.RESIZE,
        ("targetServicePlanId",),
    ),
    "cloudPcBulkRestore": Kind(_restore, RunKind.RESTORE, ("restorePointDateTime", "timeRange")),
    "cloudPcBulkSetReviewStatus": Kind(
        lambda w, t, a, c, o: remote_actions.set_review_status(w, t, a, c, o["reviewStatus"]), None, ("reviewStatus",)
    ),
}
"""By the API's type of bulk action. Those it has besides act on what does not exist here."""

OWN_KINDS: dict[str, Kind] = {
    "retry": Kind(lambda w, t, a, c, _: cloud_pcs.retry(w, t, a, c), RunKind.PROVISION),
    "repair": Kind(lambda w, t, a, c, _: cloud_pcs.repair(w, t, a, c), RunKind.REPAIR),
    "keep": Kind(lambda w, t, a, c, _: cloud_pcs.keep(w, t, a, c), None),
    "endGrace": Kind(lambda w, t, a, c, _: cloud_pcs.end_grace(w, t, a, c), None),
}
"""Those the API does not have: only pages begin them, and the API does not list them."""
EVERY_KIND = {**KINDS, **OWN_KINDS}

_CREATE = text(
    """
    INSERT INTO bulk_actions (tenant_id, kind, display_name, options, requested_by, requested_by_user, created_at)
    VALUES (:tenant, :kind, :name, CAST(:options AS jsonb), :actor, :user, tenant_now(:tenant)) RETURNING id
    """
)
_ITEMS = text(
    """
    INSERT INTO bulk_action_items (bulk_action_id, cloud_pc_id, position, changed_at)
    SELECT :id, w.cloud_pc, w.position, tenant_now(:tenant)
      FROM unnest(CAST(:cloud_pcs AS uuid[])) WITH ORDINALITY AS w (cloud_pc, position)
    """
)
_LIVE = text("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND id = ANY(:ids) AND status <> 'gone'")
_LOAD = text(
    "SELECT b.*, t.name AS tenant_name FROM bulk_actions b JOIN tenants t ON t.id = b.tenant_id WHERE b.id = :id"
)
# One that was begun before is ours to finish: nobody else carries this bulk action at the same time.
_NEXT = text(
    """
    WITH next AS (
      SELECT i.*, i.state = 'begun' AS again FROM bulk_action_items i
       WHERE i.bulk_action_id = :id AND i.state IN ('pending', 'begun') ORDER BY i.position LIMIT 1)
    UPDATE bulk_action_items i SET state = 'begun', changed_at = tenant_now(:tenant), run_before =
           CASE WHEN next.again THEN next.run_before
                ELSE COALESCE((SELECT max(number) FROM runs WHERE cloud_pc_id = next.cloud_pc_id), 0) END
      FROM next WHERE i.bulk_action_id = next.bulk_action_id AND i.cloud_pc_id = next.cloud_pc_id
    RETURNING i.cloud_pc_id, i.run_before, next.again
    """
)
_BEGUN_RUN = text(
    """
    SELECT id FROM runs WHERE cloud_pc_id = :cloud_pc AND number > :before AND kind = :kind AND requested_by = :actor
     ORDER BY number LIMIT 1
    """
)
_RESULT = text(
    """
    UPDATE bulk_action_items SET state = :state, run_id = CAST(:run AS uuid), error = CAST(:error AS jsonb),
           changed_at = tenant_now(:tenant)
     WHERE bulk_action_id = :id AND cloud_pc_id = :cloud_pc AND state = 'begun'
    """
)
OUTCOME = """
    CASE WHEN i.state IN ('pending', 'begun') THEN 'pending' WHEN i.state = 'refused' THEN 'failed'
         WHEN i.state = 'done' OR r.state = 'succeeded' THEN 'successful' WHEN r.state = 'active' THEN 'inProgress'
         WHEN i.state = 'accepted' THEN 'failed' ELSE i.state END
"""
"""An item's, in SQL, over ``bulk_action_items i LEFT JOIN runs r ON r.id = i.run_id``."""
_SUMMARIES = text(
    f"""
    SELECT i.bulk_action_id, {OUTCOME} AS outcome, count(*) AS n
      FROM bulk_action_items i LEFT JOIN runs r ON r.id = i.run_id
     WHERE i.bulk_action_id = ANY(:ids) GROUP BY 1, 2
    """
)
_AGAIN = text(
    f"""
    UPDATE bulk_action_items SET state = 'pending', run_id = NULL, error = NULL, run_before = NULL
     WHERE bulk_action_id = :id AND cloud_pc_id IN (
       SELECT i.cloud_pc_id FROM bulk_action_items i LEFT JOIN runs r ON r.id = i.run_id
        WHERE i.bulk_action_id = :id AND {OUTCOME} = 'failed'
          AND (CAST(:every AS boolean) OR i.cloud_pc_id = ANY(:cloud_pcs)))
    RETURNING cloud_pc_id
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    kind: str,
    display_name: str,
    cloud_pc_ids: Sequence[str],
    options: Mapping[str, Any],
    user: str | None = None,
) -> UUID:
    """Begin a bulk action of one of `EVERY_KIND`; returns its id. `user`: the UPN of the person who asked for it.

    Refused where a Cloud PC is not the tenant's; what an action refuses is told item by item.
    """
    name = named.check_name("displayName", display_name)
    for option in EVERY_KIND[kind].needs:
        if options.get(option) is None:
            raise Refused(option, None, f"must be given for {kind}")
    ids = list(dict.fromkeys(_cloud_pc_id(given) for given in cloud_pc_ids))
    if not 1 <= len(ids) <= MOST:
        raise Refused("cloudPcIds", len(ids), f"must be 1 to {MOST} Cloud PCs")
    with change(database, tenant, actor) as opened:
        connection = opened.connection
        live = set(connection.execute(_LIVE, {"tenant": tenant.id, "ids": ids}).scalars())
        for cloud_pc in ids:
            if cloud_pc not in live:
                raise NotFound("cloudPcIds", str(cloud_pc))
        if "targetServicePlanId" in options:
            named.one(connection, tenant, PLAN, str(options["targetServicePlanId"]))
        given = {
            "tenant": tenant.id,
            "kind": kind,
            "name": name,
            "options": json.dumps(dict(options), default=_plain),
            "actor": actor,
            "user": user,
        }
        made: UUID = connection.execute(_CREATE, given).scalar_one()
        connection.execute(_ITEMS, {"id": made, "tenant": tenant.id, "cloud_pcs": ids})
        about = {"displayName": name, "action": kind, "cloudPcCount": len(ids)}
        opened.audit("Create bulk action", "bulkAction", [event(made, name, None, about)])
        jobs.defer(connection, BULK_ACTION, [made])
    return made


def rename(database: Database, tenant: TenantRef, actor: str, bulk_action: UUID, *, display_name: str) -> None:
    """Give it another display name."""
    name = named.check_name("displayName", display_name)
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, bulk_action)
        opened.connection.execute(
            text("UPDATE bulk_actions SET display_name = :name WHERE id = :id"), {"id": row.id, "name": name}
        )
        names = {"displayName": row.display_name}, {"displayName": name}
        opened.audit("Update bulk action", "bulkAction", [event(row.id, name, *names)])


def delete(database: Database, tenant: TenantRef, actor: str, bulk_action: UUID) -> None:
    """Forget a bulk action. What was begun goes on, what was not is not begun any more."""
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, bulk_action)
        opened.connection.execute(text("DELETE FROM bulk_actions WHERE id = :id"), {"id": row.id})
        about = {"displayName": row.display_name, "action": row.kind}
        opened.audit("Delete bulk action", "bulkAction", [event(row.id, row.display_name, about, None)])


def retry(
    database: Database, tenant: TenantRef, actor: str, bulk_action: UUID, *, cloud_pc_ids: Sequence[str] = ()
) -> int:
    """Try those Cloud PCs again on which it failed, of `cloud_pc_ids` or of all; returns how many."""
    ids = [_cloud_pc_id(given) for given in cloud_pc_ids]
    with change(database, tenant, actor) as opened:
        row = _one(opened.connection, tenant, bulk_action)
        chosen = {"id": row.id, "every": not ids, "cloud_pcs": ids}
        again = list(opened.connection.execute(_AGAIN, chosen).scalars())
        if not again:
            raise Refused("cloudPcIds", None, "on none of them has this bulk action failed", code="conflict")
        about = {"cloudPcIds": [str(i) for i in again]}
        opened.audit("Retry bulk action", "bulkAction", [event(row.id, row.display_name, None, about)])
        jobs.defer(opened.connection, BULK_ACTION, [row.id])
    return len(again)


def summaries(connection: Connection, ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """For each bulk action how many items are pending, inProgress, successful, failed and notSupported."""
    found: dict[UUID, dict[str, int]] = {i: {} for i in ids}
    for row in connection.execute(_SUMMARIES, {"ids": list(ids)}):
        found[row.bulk_action_id][row.outcome] = row.n
    return found


def carry_out(world: World, bulk_action: UUID) -> None:
    """The job: begin the action on every Cloud PC that is still to come, a batch at a time."""
    with world.database.begin() as connection:
        row = connection.execute(_LOAD, {"id": bulk_action}).one_or_none()
    if row is None:
        return
    tenant = TenantRef(row.tenant_id, row.tenant_name)
    for _ in range(_BATCH):
        with world.database.begin() as connection:
            item = connection.execute(_NEXT, {"id": row.id, "tenant": row.tenant_id}).one_or_none()
        if item is None:
            return
        result = _begun(world, row, item) or _begin(world, tenant, row, item.cloud_pc_id)
        with world.database.begin() as connection:
            known = {"id": row.id, "tenant": row.tenant_id, "cloud_pc": item.cloud_pc_id}
            connection.execute(_RESULT, {"run": None, "error": None, **known, **result})
    with world.database.begin() as connection:
        jobs.defer(connection, BULK_ACTION, [row.id])


def _begun(world: World, row: Row[Any], item: Row[Any]) -> dict[str, Any] | None:
    """The run that an earlier job began before it died, if it came that far."""
    kind = EVERY_KIND[row.kind].run
    if not item.again or kind is None:
        return None
    asked = {"cloud_pc": item.cloud_pc_id, "before": item.run_before, "kind": str(kind), "actor": row.requested_by}
    with world.database.begin() as connection:
        run = connection.execute(_BEGUN_RUN, asked).scalar_one_or_none()
    return None if run is None else {"state": "accepted", "run": run}


def _begin(world: World, tenant: TenantRef, row: Row[Any], cloud_pc: UUID) -> dict[str, Any]:
    kind = EVERY_KIND[row.kind]
    try:
        answer = kind.does(world, tenant, row.requested_by, str(cloud_pc), row.options)
    except Refused as refused:
        error = json.dumps({"code": refused.code, "message": str(refused)})
        return {"state": "notSupported" if refused.code == "notSupported" else "refused", "error": error}
    except ProviderError as failed:  # one site that does not answer must not hold up the others
        said = errors.explain(failed.code, failed.values).message
        return {"state": "refused", "error": json.dumps({"code": failed.code, "message": said})}
    return {"state": "done"} if kind.run is None else {"state": "accepted", "run": answer["runId"]}


def _one(connection: Connection, tenant: TenantRef, bulk_action: UUID) -> Row[Any]:
    query = text("SELECT * FROM bulk_actions WHERE id = :id AND tenant_id = :tenant FOR UPDATE")
    row = connection.execute(query, {"id": bulk_action, "tenant": tenant.id}).one_or_none()
    if row is None:
        raise NotFound("bulkAction", str(bulk_action))
    return row


def _cloud_pc_id(given: str) -> UUID:
    found = named.as_id(given)
    if found is None:
        raise NotFound("cloudPcIds", given)
    return found


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
