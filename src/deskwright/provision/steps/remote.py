"""Remote actions: what is done to a machine that is there. The last provisioning run left where it stands."""

from uuid import UUID

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.guest import configuration
from deskwright.provision.context import Done, StepContext, StepFailed
from deskwright.store.statements import ask_one, statement

_SNAPSHOT = statement(
    "SELECT external_id, created_at FROM snapshots WHERE id = :id AND cloud_pc_id = :cloud_pc AND status = 'ready'"
)
# Whether the user was administrator when the snapshot was taken: the restored machine knows no better.
_ADMINISTRATOR_THEN = statement(
    """
    SELECT s.made -> 'administrator' AS administrator FROM runs r JOIN steps s ON s.run_id = r.id
     WHERE r.cloud_pc_id = :cloud_pc AND s.made ? 'administrator' AND s.ended_at <= :at
     ORDER BY s.ended_at DESC LIMIT 1
    """
)


def restart(ctx: StepContext) -> Done:
    """R1"""
    ctx.providers.compute.restart(ctx.call, ctx.so_far["vmId"])
    return Done(output="the machine was restarted")


def power_on(ctx: StepContext) -> Done:
    """R2"""
    ctx.providers.compute.power(ctx.call, ctx.so_far["vmId"], True)
    return Done(output="the machine runs")


def power_off(ctx: StepContext) -> Done:
    """R3"""
    ctx.providers.compute.power(ctx.call, ctx.so_far["vmId"], False)
    return Done(output="the machine is powered off")


def resize(ctx: StepContext) -> Done:
    """R4: the target plan's processors, memory and disk, and what the site reserved for them."""
    name, size = _target(ctx)
    ctx.providers.compute.resize(ctx.call, ctx.so_far["vmId"], size, name)
    return Done(output=f"from {ctx.run.plan_name} to {name}")


def create_snapshot(ctx: StepContext) -> Done:
    """R5"""
    made = ctx.providers.compute.snapshot(ctx.call, ctx.so_far["vmId"])
    return Done({Kind.SNAPSHOT: made}, {"snapshotExternalId": made.external_id}, "the snapshot is ready")


def restore(ctx: StepContext) -> Done:
    """R6: the machine's disk as it was then; everything since is lost."""
    asked = {"id": UUID(ctx.run.options["snapshot"]), "cloud_pc": ctx.run.cloud_pc_id}
    database = ctx.world.database.single
    row = ask_one(database, _SNAPSHOT, asked)
    if row is None:
        raise StepFailed("internalServerError", reason=f"the Cloud PC has no snapshot {asked['id']} any more")
    ctx.providers.compute.restore(ctx.call, ctx.so_far["vmId"], row.external_id)
    then = ask_one(database, _ADMINISTRATOR_THEN, {"cloud_pc": ctx.run.cloud_pc_id, "at": row.created_at})
    keep = {"administrator": then.administrator} if then else {}
    return Done(keep=keep, output=f"as it was on {row.created_at:%Y-%m-%d %H:%M:%S} UTC")


def grow_partition(ctx: StepContext) -> Done:
    """P6 after a resize or a restore: the disk may be larger than what stands on it."""
    actions = configuration.grow_partition(_target(ctx)[1].storage_gb)
    return Done(output=ctx.providers.compute.configure_guest(ctx.call, ctx.so_far["vmId"], actions))


def describe_device(ctx: StepContext) -> Done:
    """P8: device object and managed device show the plan as the model, by which dynamic groups find it (C2)."""
    attributes = {"model": _target(ctx)[0]}
    ctx.providers.directory.describe(ctx.call, ctx.so_far["deviceId"], attributes)
    ctx.providers.management.describe(ctx.call, ctx.so_far["managedDeviceId"], attributes)
    return Done(output=f"model {attributes['model']}")


def _target(ctx: StepContext) -> tuple[str, Size]:
    """Name and size of the plan it is resized to, else of the one it has."""
    plan = ctx.run.options.get("plan")
    if plan is None:
        return ctx.run.plan_name, ctx.run.size
    return plan["name"], Size(plan["vCpuCount"], plan["ramInGB"], plan["storageInGB"])
