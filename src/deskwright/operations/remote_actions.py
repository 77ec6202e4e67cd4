"""Remote actions on a running Cloud PC: each is accepted at once, or refused, and carried out by a run of its own.

Each returns ``{"id", "runId", "status"}``. What it changed is read where it always is: the Cloud PC's status, plan,
power state and name, its snapshots, and the results (`results`).
"""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.plans import Size
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import RunKind
from deskwright.domain.status import USABLE, Status
from deskwright.operations import acting, named
from deskwright.operations.acting import Machine
from deskwright.operations.change import TenantRef
from deskwright.operations.cloud_pcs import find, load, write_audit
from deskwright.operations.licenses import PLAN, refuse_beyond_seats
from deskwright.operations.remote_action_results import results, review_status, set_review_status
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site
from deskwright.reconcile import facts
from deskwright.store.database import Database
from deskwright.store.status import move

__all__ = [
    "ADMINISTRATOR",
    "account_type",
    "account_types",
    "change_user_account_type",
    "create_snapshot",
    "power_off",
    "power_on",
    "rename",
    "resize",
    "restart",
    "restore",
    "results",
    "review_status",
    "set_review_status",
    "snapshots",
    "troubleshoot",
]

LONGEST_NAME = 64
ADMINISTRATOR = """(SELECT s.made -> 'administrator' FROM runs r JOIN steps s ON s.run_id = r.id
                     WHERE r.cloud_pc_id = cloud_pcs.id AND s.made ? 'administrator' AND s.ended_at IS NOT NULL
                     ORDER BY s.ended_at DESC LIMIT 1)"""
"""SQL: whether the user of a row of `cloud_pcs` was last made its administrator; null where nothing was told."""
_SETTLED = frozenset({Status.PROVISIONED, Status.WARNINGS})

_LOCK_USER = text(
    "SELECT u.id FROM users u JOIN cloud_pcs c ON c.user_id = u.id WHERE c.id = :id FOR NO KEY UPDATE OF u"
)
_TARGET = text("SELECT * FROM service_plans WHERE id = :id FOR UPDATE")
_RENAME = text("UPDATE cloud_pcs SET display_name = :name WHERE id = :id")
_RENAMED = text(
    """
    INSERT INTO runs (tenant_id, cloud_pc_id, number, kind, state, policy, options, requested_by, started_at, ended_at)
    SELECT :tenant, c.id, (SELECT max(number) + 1 FROM runs WHERE cloud_pc_id = c.id), 'rename', 'succeeded',
           (SELECT policy FROM runs WHERE cloud_pc_id = c.id ORDER BY number DESC LIMIT 1),
           jsonb_build_object('displayName', CAST(:name AS text)), :actor, tenant_now(:tenant), tenant_now(:tenant)
      FROM cloud_pcs c WHERE c.id = :id RETURNING id
    """
)
_SNAPSHOTS = text(
    """
    SELECT s.*, c.display_name FROM snapshots s JOIN cloud_pcs c ON c.id = s.cloud_pc_id
     WHERE s.tenant_id = :tenant AND (CAST(:cloud_pc AS uuid) IS NULL OR s.cloud_pc_id = :cloud_pc)
     ORDER BY s.created_at, s.id
    """
)


def restart(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Restart the machine."""
    return _act(world, tenant, actor, cloud_pc, RunKind.RESTART, check=acting.must_run)


def power_on(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Start a machine that is powered off."""

    def must_be_off(row: Row[Any], name: str) -> None:
        if row.power_state != "poweredOff":
            raise Refused("cloudPC", name, "it runs already", code="conflict")

    return _act(world, tenant, actor, cloud_pc, RunKind.POWER_ON, check=must_be_off)


def power_off(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Shut the machine down; nobody can sign in until it is powered on again."""

    def must_be_on(row: Row[Any], name: str) -> None:
        if row.power_state == "poweredOff":
            raise Refused("cloudPC", name, "it is powered off already", code="conflict")

    return _act(world, tenant, actor, cloud_pc, RunKind.POWER_OFF, check=must_be_on)


def troubleshoot(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Look whether the machine answers on the way its user takes; fails with endpointCheckFailed where not."""
    return _act(world, tenant, actor, cloud_pc, RunKind.TROUBLESHOOT)


def create_snapshot(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """Take a restore point of the Cloud PC as it is now."""
    return _act(world, tenant, actor, cloud_pc, RunKind.SNAPSHOT)


def change_user_account_type(
    world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, user_account_type: str
) -> dict[str, Any]:
    """Make the user a local administrator of the machine, or a standard user."""
    if user_account_type not in ("standardUser", "administrator"):
        raise Refused("userAccountType", user_account_type, "must be standardUser or administrator")
    kind, options = RunKind.CHANGE_USER_ACCOUNT_TYPE, {"userAccountType": user_account_type}
    return _act(world, tenant, actor, cloud_pc, kind, options, allowed=_SETTLED, check=acting.must_run)


def rename(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, display_name: str) -> dict[str, Any]:
    """Rename the Cloud PC as people see it. The device keeps its name; so it is done at once."""
    name = named.check_name("displayName", display_name, longest=LONGEST_NAME)
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, RunKind.RENAME.words, set(USABLE))
        connection.execute(_RENAME, {"id": row.id, "name": name})
        values = {"tenant": tenant.id, "id": row.id, "name": name, "actor": actor}
        run = connection.execute(_RENAMED, values).scalar_one()
        write_audit(connection, tenant, actor, RunKind.RENAME.words, row, {"displayName": name})
        return {"id": str(row.id), "runId": str(run), "status": row.status, "displayName": name}


def resize(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, service_plan: str) -> dict[str, Any]:
    """Move the Cloud PC to another service plan, and its user's directly assigned licence with it when it is done.

    Processors and memory go either way, the disk only grows. A seat of the target plan is held from now on (E6).
    """
    with world.database.begin() as connection:
        connection.execute(_LOCK_USER, {"id": find(connection, tenant, cloud_pc)})  # reconcile looks before or after
        row = load(connection, tenant, cloud_pc, RunKind.RESIZE.words, set(_SETTLED))
        acting.must_be_free(connection, row, cloud_pc)
        plan = named.one(connection, tenant, PLAN, service_plan)
        _must_be_resizable(connection, tenant, row, plan)
        machine = acting.machine_of(connection, row.id)
        _must_have_room(world, row, plan, machine)
        refuse_beyond_seats(connection, plan, [row.user_id])
        target = connection.execute(_TARGET, {"id": plan.id}).one()
        if target.seats_used >= target.seats:
            rule = f"has {target.seats} seats, all in use"
            remedy = "Add seats, or end a Cloud PC of this plan"
            raise Refused("targetServicePlanId", plan.display_name, rule, code="quotaLimitReached", remedy=remedy)
        options = {
            "was": row.status,
            "plan": {
                "id": str(plan.id),
                "name": plan.display_name,
                "vCpuCount": plan.vcpu_count,
                "ramInGB": plan.ram_gb,
                "storageInGB": plan.storage_gb,
            },
        }
        run = acting.start(connection, tenant, row, RunKind.RESIZE, actor, machine, options)
        write_audit(connection, tenant, actor, "resize", row, {"servicePlanName": plan.display_name})
        move(connection, [row.id], Status.RESIZING, actor=actor, why="resize", target_plan_id=plan.id)
        return {"id": str(row.id), "runId": str(run), "status": Status.RESIZING}


def restore(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, snapshot_id: str) -> dict[str, Any]:
    """Make the Cloud PC's disk what it was when the snapshot was taken; what came since is lost."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, RunKind.RESTORE.words, set(_SETTLED))
        known = connection.execute(_SNAPSHOTS, {"tenant": tenant.id, "cloud_pc": row.id}).all()
        wanted = next((s for s in known if str(s.id) == snapshot_id.strip().lower()), None)
        if wanted is None:
            remedy = f"deskwright snapshot list {cloud_pc} shows those there are"
            raise NotFound("cloudPcSnapshotId", snapshot_id, remedy)
        options = {"was": row.status, "snapshot": str(wanted.id)}
        machine = acting.machine_of(connection, row.id)
        run = acting.start(connection, tenant, row, RunKind.RESTORE, actor, machine, options)
        write_audit(connection, tenant, actor, "restore", row, {"snapshotId": str(wanted.id)})
        move(connection, [row.id], Status.RESTORING, actor=actor, why="restore")
        return {"id": str(row.id), "runId": str(run), "status": Status.RESTORING}


def snapshots(database: Database, tenant: TenantRef, cloud_pc: str | None = None) -> list[dict[str, Any]]:
    """The restore points of the tenant, or of one Cloud PC, oldest first."""
    with database.single.connect() as connection:
        only = None if cloud_pc is None else find(connection, tenant, cloud_pc)
        return [
            {
                "id": str(row.id),
                "cloudPcId": str(row.cloud_pc_id),
                "cloudPcDisplayName": row.display_name,
                "snapshotType": row.kind,
                "status": row.status,
                "createdDateTime": row.created_at,
                "expirationDateTime": row.expires_at,
                "lastRestoredDateTime": row.last_restored_at,
            }
            for row in connection.execute(_SNAPSHOTS, {"tenant": tenant.id, "cloud_pc": only})
        ]


def account_types(connection: Connection, cloud_pcs: Collection[UUID]) -> dict[UUID, str]:
    """``administrator`` or ``standardUser``: what each machine was last told (P3, a change, a restore)."""
    query = text(f"SELECT id, {ADMINISTRATOR} AS administrator FROM cloud_pcs WHERE id = ANY(:ids)")
    rows = connection.execute(query, {"ids": list(cloud_pcs)})
    return {row.id: account_type(row.administrator) for row in rows}


def account_type(administrator: bool | None) -> str:
    """Graph's word for it; a machine that was told nothing has a standard user."""
    return "administrator" if administrator else "standardUser"


def _act(
    world: World,
    tenant: TenantRef,
    actor: str,
    cloud_pc: str,
    kind: RunKind,
    options: dict[str, Any] | None = None,
    *,
    allowed: Collection[Status] = USABLE,
    check: Callable[[Row[Any], str], None] = lambda *_: None,
) -> dict[str, Any]:
    """An action that leaves the status as it is."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, kind.words, set(allowed))
        acting.must_be_free(connection, row, cloud_pc)
        check(row, cloud_pc)
        machine = acting.machine_of(connection, row.id)
        run = acting.start(connection, tenant, row, kind, actor, machine, options or {})
        write_audit(connection, tenant, actor, kind.words, row, options)
        return {"id": str(row.id), "runId": str(run), "status": row.status}


def _must_be_resizable(connection: Connection, tenant: TenantRef, row: Row[Any], plan: Row[Any]) -> None:
    """The plan's size, and the user's licences (E1, E2)."""

    def refuse(rule: str, remedy: str = "") -> Refused:
        return Refused("targetServicePlanId", plan.display_name, rule, code="conflict", remedy=remedy)

    if plan.id == row.plan_id:
        raise refuse("is the plan it has")
    if plan.storage_gb < row.storage_gb:
        raise refuse(
            f"its disk has {plan.storage_gb} GB, that of {row.plan_name} has {row.storage_gb} GB: "
            "a disk can grow, but not shrink"
        )
    known = facts.load(connection, tenant.id, [row.user_id])[row.user_id]
    groups = [source for source in known.licences.get(row.plan_id, ()) if source != "directly"]
    if groups:
        raise refuse(
            f"{row.user_principal_name} holds {row.plan_name} through group {', '.join(groups)}",
            "Change the licence of the group",
        )
    if row.plan_id not in known.licences:
        raise refuse(f"{row.user_principal_name} does not hold {row.plan_name} any more")
    if plan.id in known.licences or any(pc.plan_id == plan.id for pc in known.cloud_pcs):
        raise refuse(f"{row.user_principal_name} has this licence already, with a Cloud PC of its own (E2)")


def _must_have_room(world: World, row: Row[Any], plan: Row[Any], machine: Machine) -> None:
    compute = providers_for(world.database, load_site(world.database, machine.ground.site_id)).compute
    size = Size(plan.vcpu_count, plan.ram_gb, plan.storage_gb)
    if not compute.has_room(size, Size(row.vcpu_count, row.ram_gb, row.storage_gb)):
        rule = f"has no room for {plan.display_name}"
        raise Refused("site", machine.ground.site_name, rule, code="capacityUnavailable")
