"""Stage 1, core: what every Cloud PC needs before anyone can sign in. Each of these must succeed."""

import hashlib
import random
from uuid import UUID

from deskwright.domain.images import GALLERY
from deskwright.domain.naming import device_name
from deskwright.domain.resources import Kind
from deskwright.guest.actions import CreateAccount
from deskwright.providers.contract import DomainJoin, MachineSpec, Network, NotYet
from deskwright.provision.context import Done, StepContext, StepFailed
from deskwright.store.statements import ask, ask_one, statement

_NETWORK = statement("SELECT network, subnet FROM connections WHERE id = :id")
_DOMAIN = statement(
    "SELECT ad_domain_name, organizational_unit, ad_domain_username, ad_domain_password FROM connections WHERE id = :id"
)
_DEVICE_IMAGE = statement(
    """
    SELECT id, display_name, version, os_family, disk_gb, status,
           GREATEST(next_step_at, tenant_now(tenant_id)) + interval '1 s' AS again_at FROM device_images
     WHERE tenant_id = :tenant AND display_name = :name AND site_id = :site
     ORDER BY (status = 'ready') DESC, created_at DESC LIMIT 1
    """
)
_NAME_TAKEN = statement(
    "SELECT 1 FROM cloud_pcs WHERE tenant_id = :tenant AND lower(device_name) = lower(:name) LIMIT 1"
)


def allocate_capacity(ctx: StepContext) -> Done:
    """C1: reserve CPU, memory and disk for the plan at the site this attempt was sent to."""
    made = ctx.providers.compute.allocate(ctx.call, ctx.run.size)
    return Done({Kind.CAPACITY: made}, output=f"{ctx.run.plan_name} at {ctx.ground.site_name}")


def create_vm(ctx: StepContext) -> Done:
    """C2: the machine, from the policy's image, sized by the plan, under a new name."""
    image, family, disk_gb, device_image = _image(ctx)
    if disk_gb > ctx.run.size.storage_gb:
        raise StepFailed(
            "imageDiskSizeOverMatch",
            image=image,
            imageGB=disk_gb,
            planGB=ctx.run.size.storage_gb,
            plan=ctx.run.plan_name,
        )
    name = _new_name(ctx)
    own = UUID(device_image) if device_image else None
    spec = MachineSpec(name, ctx.run.size, image, family, ctx.run.plan_name, own)
    made = ctx.providers.compute.create_vm(ctx.call, spec)
    keep = {"computerName": name, "vmId": made[Kind.VM].external_id, "osFamily": family, "image": image}
    if device_image:
        keep["deviceImageId"] = device_image
    return Done(made, keep, f"{name} from {image}")


def makes_of_network(ctx: StepContext) -> tuple[Kind, ...]:
    return (Kind.NIC,) if ctx.ground.connection_id else (Kind.NETWORK, Kind.SECURITY_GROUP, Kind.NIC)


def attach_network(ctx: StepContext) -> Done:
    """C3: a NIC in the customer's network, or in the tenant's own one, which the first Cloud PC makes."""
    shared = {} if ctx.ground.connection_id else ctx.providers.compute.ensure_network(ctx.call)
    nic = ctx.providers.compute.attach_nic(ctx.call, ctx.so_far["vmId"], network_of(ctx))
    return Done(
        {**shared, Kind.NIC: nic},
        {"ipAddress": nic.details["ipAddress"]},
        f"address {nic.details['ipAddress']}",
    )


def makes_of_join(ctx: StepContext) -> tuple[Kind, ...]:
    return (Kind.COMPUTER_ACCOUNT, Kind.DEVICE) if ctx.hybrid else (Kind.DEVICE,)


def join_directory(ctx: StepContext) -> Done:
    """C4: Entra join, or domain join and then the wait until the computer object has been synchronised."""
    directory, name, vm = ctx.providers.directory, ctx.so_far["computerName"], ctx.so_far["vmId"]
    attributes = {"model": ctx.run.plan_name, "enrollmentProfileName": str(ctx.run.policy["display_name"])}
    if not ctx.hybrid:
        device = directory.join_entra(ctx.call, name, vm, attributes)
        how = "device record with a local account" if ctx.local_identity else "Microsoft Entra joined"
        return Done({Kind.DEVICE: device}, {"deviceId": device.external_id}, how)
    join = _domain_join(ctx)
    account = directory.join_domain(ctx.call, name, vm, join)
    device = directory.find_device(ctx.call, name, attributes)
    return Done(
        {Kind.COMPUTER_ACCOUNT: account, Kind.DEVICE: device},
        {"deviceId": device.external_id, "computerAccount": account.external_id},
        f"joined {join.domain}, {join.organizational_unit}; the device object is synchronised",
    )


def enrol_device(ctx: StepContext) -> Done:
    """C5: device enrolment in management, with a one-time token and no user's credentials."""
    attributes = {"model": ctx.run.plan_name, "enrollmentProfileName": str(ctx.run.policy["display_name"])}
    name, vm = ctx.so_far["computerName"], ctx.so_far["vmId"]
    made = ctx.providers.management.enrol(ctx.call, ctx.so_far["deviceId"], name, vm, attributes)
    return Done({Kind.MANAGED_DEVICE: made}, {"managedDeviceId": made.external_id}, "enrolled as a device")


def set_primary_user(ctx: StepContext) -> Done:
    """C6: the licence's user becomes the managed device's primary user; a local account is made, still disabled."""
    ctx.providers.management.set_primary_user(ctx.call, ctx.so_far["managedDeviceId"], ctx.run.user)
    if not ctx.local_identity:
        return Done(output=ctx.run.user)
    ctx.providers.compute.configure_guest(ctx.call, ctx.so_far["vmId"], (CreateAccount(ctx.account_name),))
    return Done(
        keep={"localAccount": ctx.account_name},
        output=f"{ctx.run.user}, local account {ctx.account_name} (disabled)",
    )


def network_of(ctx: StepContext) -> Network:
    if ctx.ground.connection_id is None:
        return Network()
    (row,) = ask(ctx.world.database.single, _NETWORK, {"id": ctx.ground.connection_id})
    return Network(ctx.ground.connection_id, row.network, row.subnet)


def _domain_join(ctx: StepContext) -> DomainJoin:
    connection = ctx.ground.connection_id
    assert connection is not None  # a policy's hybrid join has one
    (row,) = ask(ctx.world.database.single, _DOMAIN, {"id": connection})
    password = ctx.world.secrets.decrypt(row.ad_domain_password) if row.ad_domain_password else ""
    return DomainJoin(connection, row.ad_domain_name, row.organizational_unit or "", row.ad_domain_username, password)


def _image(ctx: StepContext) -> tuple[str, str, int, str | None]:
    """(image, OS family, disk in GB, the device image's id) of the policy's image at the attempt's site."""
    policy = ctx.run.policy
    if policy["image_type"] == "gallery":
        found = GALLERY.get(policy["gallery_image"])
        if found is None:
            reason = "it is no longer in the gallery"
            raise StepFailed("imageNotSupportedFail", image=policy["gallery_image"], reason=reason)
        return found.id, found.os_family, found.disk_gb, None
    named = {"tenant": ctx.run.tenant_id, "name": policy["device_image"], "site": ctx.ground.site_id}
    row = ask_one(ctx.world.database.single, _DEVICE_IMAGE, named)
    if row is not None and row.status == "pending":
        raise NotYet(row.again_at, f"image {row.display_name} {row.version} is still being made")
    if row is None or row.status != "ready":
        reason = f"it is not present at site {ctx.ground.site_name}" if row is None else f"its status is {row.status}"
        raise StepFailed("imageNotSupportedFail", image=policy["device_image"], reason=reason)
    return f"{row.display_name} {row.version}", row.os_family, row.disk_gb, str(row.id)


def _new_name(ctx: StepContext) -> str:
    """A name nobody has: the same again when this attempt's step is run again, another one in the next attempt."""
    for turn in range(100):
        seed = hashlib.sha256(f"{ctx.call.key(Kind.VM)}:{turn}".encode()).digest()
        name = device_name(ctx.run.policy["naming_template"], ctx.run.user, random.Random(seed).choice)  # noqa: S311
        if not ask(ctx.world.database.single, _NAME_TAKEN, {"tenant": ctx.run.tenant_id, "name": name}):
            return name
    raise StepFailed("internalServerError", reason=f"no free name left under {ctx.run.policy['naming_template']}")
