"""What an administrator can do with one Cloud PC: retry, repair, reprovision, end or keep grace, cancel.

Each refuses, naming the status, where it is not allowed, and answers at once; the work is a run or a clean-up.
"""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.decide.entitlement import decide
from deskwright.decide.verdict import Candidate
from deskwright.domain.images import gallery_image
from deskwright.domain.plans import Size
from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import IRREVOCABLE, RunKind
from deskwright.domain.status import TAKEN_AWAY, USABLE, Status
from deskwright.operations import acting, named
from deskwright.operations.change import TenantRef
from deskwright.providers.contract import Network
from deskwright.providers.registry import providers_for
from deskwright.provision import ending, records
from deskwright.provision.context import World
from deskwright.provision.ledger import schedule_release
from deskwright.provision.remote import ACTIONS, REPAIRABLE
from deskwright.provision.sites import load_site
from deskwright.provision.steps.configure import administrator_wanted
from deskwright.reconcile import facts, grace, seats
from deskwright.settings import TenantSettings
from deskwright.store import audit
from deskwright.store.status import move

# Somebody waits for what they asked for by hand.
_PRIORITY = 12

_ROW = text(
    """
    SELECT c.*, u.user_principal_name, u.account_enabled, u.deleted_at AS user_deleted_at, p.display_name AS plan_name,
           p.vcpu_count, p.ram_gb, p.storage_gb, t.settings, tenant_now(t.id) AS now
      FROM cloud_pcs c JOIN users u ON u.id = c.user_id JOIN service_plans p ON p.id = c.plan_id
      JOIN tenants t ON t.id = c.tenant_id
     WHERE c.id = :id AND c.tenant_id = :tenant FOR NO KEY UPDATE OF c
    """
)

_BY_ID = text("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND id = :id")
# Each name by its index: one condition over both would read all of them.
_BY_NAME = text(
    """
    SELECT c.id, c.device_name, p.display_name AS plan FROM (
      SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND lower(device_name) = lower(:name)
      UNION
      SELECT pc.id FROM users u JOIN cloud_pcs pc ON pc.user_id = u.id
       WHERE u.tenant_id = :tenant AND lower(u.user_principal_name) = lower(:name)) found
      JOIN cloud_pcs c ON c.id = found.id JOIN service_plans p ON p.id = c.plan_id
     WHERE c.tenant_id = :tenant AND c.status <> 'gone' ORDER BY c.created_at
    """
)


def find(connection: Connection, tenant: TenantRef, name: str) -> UUID:
    """The Cloud PC with this id, device name or, where unambiguous, of the user with this UPN."""
    by_id = named.as_id(name)
    if by_id is not None and (known := connection.execute(_BY_ID, {"tenant": tenant.id, "id": by_id}).scalar()):
        return UUID(str(known))
    rows = connection.execute(_BY_NAME, {"tenant": tenant.id, "name": name}).all()
    if not rows:
        raise NotFound("cloudPC", name, "deskwright status lists them; id, device name or user name will do")
    if len(rows) > 1:
        several = ", ".join(f"{row.device_name or row.id} ({row.plan})" for row in rows)
        raise Refused("cloudPC", name, "is ambiguous", remedy=f"Name one of: {several}")
    found: UUID = rows[0].id
    return found


def retry(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """V1: a failed one, the same pair, a new run of up to so many attempts."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "retry", {Status.FAILED})
        _must_be_enabled(row)
        return _start(connection, tenant, row, "provision", actor, "retry")


def reprovision(
    world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, user_account_type: str | None = None
) -> dict[str, Any]:
    """V5: delete machine and data, provision anew by the policy that reaches the user now. All is checked before."""
    if user_account_type not in (None, "standardUser", "administrator"):
        raise Refused("userAccountType", user_account_type, "must be standardUser or administrator")
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "reprovision", {Status.PROVISIONED, Status.WARNINGS, Status.FAILED})
        _must_be_enabled(row)
        policy = _policy_now(connection, tenant, row)
        _must_fit(world, connection, tenant, row, policy)
        connection.execute(
            text(
                "UPDATE cloud_pcs SET policy_id = :policy, policy_name = :name, user_account_type = :type "
                "WHERE id = :id"
            ),
            {"policy": policy.policy_id, "name": policy.policy_name, "type": user_account_type, "id": row.id},
        )
        grace.stop_repairs(connection, [row.id])
        return _start(connection, tenant, row, "reprovision", actor, "reprovision")


def reprovision_preview(world: World, tenant: TenantRef, cloud_pc: str) -> dict[str, Any]:
    """What a reprovision would use, without doing it: the policy that reaches the user now; and why it would be
    refused."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "reprovision", {Status.PROVISIONED, Status.WARNINGS, Status.FAILED})
        policy, refused = None, None
        try:
            policy = _policy_now(connection, tenant, row)
            _must_be_enabled(row)
            _must_fit(world, connection, tenant, row, policy)
        except Refused as rule:
            refused = rule
    return {
        "policyId": policy.policy_id if policy else None,
        "provisioningPolicyName": policy.policy_name if policy else None,
        "refused": refused,
    }


def repair(
    world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, steps: list[str] | None = None
) -> dict[str, Any]:
    """R12: run the configure steps again that left a warning, or `steps`; data stays, the user keeps working.

    Local administrator (P3) is added when the user setting wants something else than the machine has.
    """
    for step in steps or []:
        if step not in REPAIRABLE:
            raise Refused("step", step, f"repair runs configure steps: {', '.join(REPAIRABLE)}")
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "repair", {Status.PROVISIONED, Status.WARNINGS, Status.IN_GRACE})
        acting.must_run(row, cloud_pc)
        machine = acting.machine_of(connection, row.id)
        chosen = set(steps or [w["step"] for w in row.warnings])
        wanted, _ = administrator_wanted(connection, row.user_id, None, machine.policy)
        if steps is None and wanted != _administrator_now(connection, row.id):
            chosen.add("P3")
        if not chosen:
            raise Refused("cloudPC", cloud_pc, "there is nothing to repair: no warning, and its settings are as wanted")
        ordered = [s for s in REPAIRABLE if s in chosen]
        run = acting.start(connection, tenant, row, RunKind.REPAIR, actor, machine, {"steps": ordered})
        write_audit(connection, tenant, actor, "repair", row, {"steps": ordered})
        return {"id": str(row.id), "runId": str(run), "steps": ordered, "status": row.status}


def end_grace(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """End the grace period now: machine and disk go at once, the rest after the clean-up delay (E8)."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "end-grace", {Status.IN_GRACE})
        write_audit(connection, tenant, actor, "end grace period", row)
        grace.deprovision(
            connection,
            [row.id],
            TenantSettings(**row.settings),
            why="grace period ended by hand",
            actor=actor,
        )
        return {"id": str(row.id), "status": Status.DEPROVISIONING}


def keep(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, hours: float | None = None) -> dict[str, Any]:
    """R9: let the grace period last its full length, or `hours`, from now on; never shorter than it would anyway."""
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "keep", {Status.IN_GRACE})
        given = TenantSettings(**row.settings).gracePeriodInHours if hours is None else hours
        if given <= 0:
            raise Refused("hours", given, "must be more than zero", remedy="deskwright end-grace ends it now")
        ends = connection.execute(
            text(
                """
                UPDATE cloud_pcs
                   SET grace_ends_at = GREATEST(grace_ends_at, tenant_now(tenant_id) + make_interval(secs => :s))
                 WHERE id = :id RETURNING grace_ends_at
                """
            ),
            {"id": row.id, "s": given * 3600},
        ).scalar_one()
        write_audit(connection, tenant, actor, "keep", row, {"gracePeriodEndDateTime": ends})
        return {"id": str(row.id), "status": row.status, "gracePeriodEndDateTime": ends}


def cancel(world: World, tenant: TenantRef, actor: str, cloud_pc: str) -> dict[str, Any]:
    """R7: stop what is under way. A provisioning ends as failed, and can be retried; any other run just ends.

    What a machine has been told to do (restart, power, resize, restore) cannot be called back, and is refused.
    """
    with world.database.begin() as connection:
        allowed = {Status.PROVISIONING, *USABLE, *TAKEN_AWAY}
        row = load(connection, tenant, cloud_pc, "cancel", allowed)
        active = connection.execute(
            text("SELECT id, kind FROM runs WHERE cloud_pc_id = :id AND state = 'active'"), {"id": row.id}
        ).one_or_none()
        if active is None:
            raise Refused("cloudPC", cloud_pc, f"nothing is under way, its status is {row.status}")
        _must_be_revocable(world, cloud_pc, RunKind(active.kind), active.id)
        write_audit(connection, tenant, actor, "cancel", row)
    run = records.take(world.database, active.id)  # whoever carries it loses the lease here
    if run is None:
        raise Refused("cloudPC", cloud_pc, "what was under way has just ended")
    try:
        _must_be_revocable(world, cloud_pc, run.kind, active.id)
    except Refused:
        with world.database.begin() as connection:
            seats.defer_runs(connection, [active.id], priority=_PRIORITY)  # it began just now: let it go on
        raise
    code = "remoteActionCancelled" if run.kind in ACTIONS else "provisioningCancelled"
    running = [s for s in records.steps_of(world.database, active.id) if s.outcome is records.Outcome.RUNNING]
    ended = records.Ending(running[-1].attempt, running[-1].step, records.Outcome.STOPPED, code) if running else None
    attempt = running[-1].attempt if running else 1
    values = {
        "user": run.user,
        "policy": run.policy["display_name"],
        "cloudPc": run.cloud_pc_name,
        "step": f"the {run.kind.words}",
        "actor": actor,
    }
    ending.fail_run(world.database, run, ended, code, values, attempt=attempt)
    status = Status.FAILED if run.kind.makes_machine else run.options.get("was", row.status)
    return {"id": str(row.id), "status": status}


def _must_be_revocable(world: World, cloud_pc: str, kind: RunKind, run: UUID) -> None:
    if kind in IRREVOCABLE and records.steps_of(world.database, run):
        rule = f"the machine has been told already, a {kind.words} cannot be called back"
        raise Refused("cloudPC", cloud_pc, rule, code="conflict")


def load(connection: Connection, tenant: TenantRef, name: str, action: str, allowed: set[Status]) -> Row[Any]:
    row = connection.execute(_ROW, {"id": find(connection, tenant, name), "tenant": tenant.id}).one()
    if row.status not in allowed:
        needs = " or ".join(sorted(allowed))
        raise Refused("cloudPC", name, f"{action} needs status {needs}; it is {row.status}", code="conflict")
    return row


def _start(
    connection: Connection, tenant: TenantRef, row: Row[Any], kind: str, actor: str, activity: str
) -> dict[str, Any]:
    write_audit(connection, tenant, actor, activity, row)
    move(
        connection,
        [row.id],
        Status.PROVISIONING,
        actor=actor,
        why=activity,
        status_detail=None,
        warnings=[],
        waiting_for=None,
        grace=None,
        grace_ends_at=None,
        power_state=None,
    )
    # What a snapshot could restore goes with the machine it was taken of.
    connection.execute(text("DELETE FROM snapshots WHERE cloud_pc_id = :id"), {"id": row.id})
    runs = seats.start_runs(connection, [row.id], kind, actor=actor, priority=_PRIORITY)
    if not runs:
        raise Refused(
            "policy",
            row.policy_name,
            "the policy it was made by does not exist any more",
            remedy="Reprovision uses the one that reaches the user now",
        )
    number = connection.execute(text("SELECT number FROM runs WHERE id = :id"), {"id": runs[0]}).scalar_one()
    delay = TenantSettings(**row.settings).cleanUpDelayInHours * 3600
    schedule_release(connection, [row.id], delay_seconds=delay, before_run=number)
    return {"id": str(row.id), "runId": str(runs[0]), "status": Status.PROVISIONING}


def _must_be_enabled(row: Row[Any]) -> None:
    if row.user_deleted_at is None and not row.account_enabled:
        raise Refused(
            "userPrincipalName",
            row.user_principal_name,
            "the account is disabled, which starts nothing new (E1)",
        )


def _policy_now(connection: Connection, tenant: TenantRef, row: Row[Any]) -> Candidate:
    known = facts.load(connection, tenant.id, [row.user_id]).get(row.user_id)
    verdict = next((v for v in decide(known) if v.plan_id == row.plan_id), None) if known else None
    if known is None or verdict is None or row.plan_id not in known.licences:
        raise Refused("license", row.plan_name, f"{row.user_principal_name} does not hold this licence")
    if not known.exists:
        raise Refused("userPrincipalName", row.user_principal_name, "the user was deleted", code="userNotFound")
    if verdict.policy is None:
        raise Refused("policy", None, f"no policy reaches {row.user_principal_name}")
    return verdict.policy


def _must_fit(world: World, connection: Connection, tenant: TenantRef, row: Row[Any], policy: Candidate) -> None:
    """Image, connection, capacity and an address, checked before anything is deleted (V5)."""
    p = connection.execute(text("SELECT * FROM policies WHERE id = :id"), {"id": policy.policy_id}).one()
    healthy = connection.execute(
        text(
            "SELECT k.id, k.display_name, k.health_status, k.network, k.subnet, k.site_id FROM policy_connections pc "
            "JOIN connections k ON k.id = pc.connection_id WHERE pc.policy_id = :id ORDER BY pc.position"
        ),
        {"id": p.id},
    ).all()
    usable = [k for k in healthy if k.health_status in ("passed", "warning")]
    if healthy and not usable:
        raise Refused(
            "onPremisesConnection",
            healthy[0].display_name,
            "no connection of the policy is healthy",
            code="canaryCheckUnpass",
        )
    if usable:
        sites = [usable[0].site_id]
    else:
        query = text(
            "SELECT id FROM sites WHERE tenant_id = :t AND region_group = :g "
            "AND (CAST(:r AS text) IS NULL OR name = :r OR region = :r) ORDER BY created_at, name"
        )
        sites = list(connection.execute(query, {"t": tenant.id, "g": p.region_group, "r": p.region}).scalars())
    _image_must_be_there(connection, tenant, p, sites)
    size = Size(row.vcpu_count, row.ram_gb, row.storage_gb)
    for site_id in sites:
        compute = providers_for(world.database, load_site(world.database, site_id)).compute
        freed = size if site_id == row.site_id else None
        if not compute.has_room(size, freed):
            continue
        network = Network(usable[0].id, usable[0].network, usable[0].subnet) if usable else Network()
        if compute.free_addresses(network) < 1:
            raise Refused(
                "subnet",
                network.subnet or "hosted network",
                "has no free address",
                code="noEnoughIpAddress",
                remedy="Addresses of earlier attempts are released about three hours after them",
            )
        return
    raise Refused(
        "region",
        p.region or p.region_group or "",
        f"has no room for {row.plan_name}",
        code="capacityUnavailable",
    )


def _image_must_be_there(connection: Connection, tenant: TenantRef, policy: Row[Any], sites: list[UUID]) -> None:
    if policy.image_type == "gallery":
        image = gallery_image(policy.gallery_image)
        if image.status_on(date.today()) == "notSupported":
            raise Refused(
                "image",
                policy.gallery_image,
                "is not supported any more",
                remedy="Choose a newer image in the policy",
            )
        return
    ready = connection.execute(
        text(
            "SELECT 1 FROM device_images WHERE tenant_id = :t AND display_name = :n AND status = 'ready' "
            "AND site_id = ANY(:s)"
        ),
        {"t": tenant.id, "n": policy.device_image, "s": sites},
    ).first()
    if ready is None:
        raise Refused("image", policy.device_image, "is not ready at the policy's site")


def _administrator_now(connection: Connection, cloud_pc: UUID) -> bool:
    query = text(
        "SELECT s.made -> 'administrator' FROM steps s JOIN runs r ON r.id = s.run_id WHERE r.cloud_pc_id = :id "
        "AND s.made ? 'administrator' ORDER BY s.ended_at DESC LIMIT 1"
    )
    return bool(connection.execute(query, {"id": cloud_pc}).scalar_one_or_none())


def write_audit(
    connection: Connection,
    tenant: TenantRef,
    actor: str,
    activity: str,
    row: Row[Any],
    after: dict[str, Any] | None = None,
) -> None:
    changed = audit.event(row.id, row.display_name, {"status": row.status}, after)
    audit.write(connection, tenant.id, actor, f"Cloud PC: {activity}", "cloudPC", [changed])
