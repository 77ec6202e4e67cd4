"""Writing the tenant itself: that it exists, its settings, and its simulation with the faults asked for."""

import json
from typing import Any

from sqlalchemy import Connection, text

from deskwright.document.model_policies import Simulation
from deskwright.document.stage import Staged
from deskwright.document.write import Counts
from deskwright.domain.simulation import check_speed, shown_speed
from deskwright.operations.change import Change, TenantRef
from deskwright.settings import TenantSettings
from deskwright.store.audit import event

# As in operations.tenants: two that create the same name at once, and a name that differs in case is the same.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('deskwright tenant ' || lower(:name)))")
_TAKEN = text("SELECT 1 FROM tenants WHERE lower(name) = lower(:name)")
_CREATE = text("INSERT INTO tenants (id, name) VALUES (:id, :name)")
_READ = text("SELECT settings, speed, seed FROM tenants WHERE id = :id")
_WRITE = text("UPDATE tenants SET settings = CAST(:settings AS jsonb), speed = :speed, seed = :seed WHERE id = :id")
# The first inventory is due after one interval; each sets the time of the next.
_INVENTORY = text(
    """
    UPDATE tenants SET next_inventory_at = tenant_now(id)
           + make_interval(secs => COALESCE(CAST(settings->>'inventoryIntervalInHours' AS float8), :hours) * 3600)
     WHERE id = :id AND next_inventory_at IS NULL
    """
)
FAULTS = text(
    """
    SELECT step, code, user_principal_name, policy_name, attempts, rate, delay_seconds FROM faults
     WHERE tenant_id = :id AND from_document ORDER BY id
    """
)
_FORGET_FAULTS = text("DELETE FROM faults WHERE tenant_id = :id AND from_document")
_ADD_FAULT = text(
    """
    INSERT INTO faults (tenant_id, step, code, user_principal_name, policy_name, attempts, rate, delay_seconds,
      from_document)
    VALUES (:id, :step, :code, :user, :policy, CAST(:attempts AS jsonb), :rate, :delay, true)
    """
)


def create_tenant(connection: Connection, tenant: TenantRef) -> bool:
    """Make the tenant; False where somebody else has just made one of that name."""
    connection.execute(_LOCK, {"name": tenant.name})
    if connection.execute(_TAKEN, {"name": tenant.name}).first():
        return False
    connection.execute(_CREATE, {"id": tenant.id, "name": tenant.name})
    return True


def write_tenant(change: Change, staged: Staged, created: bool, counts: Counts) -> None:
    connection, of = change.connection, {"id": change.tenant.id}
    row = connection.execute(_READ, of).one()
    before = {"settings": row.settings, "simulation": {"speed": shown_speed(row.speed), "seed": row.seed}}
    simulation = staged.simulation or Simulation()
    after: dict[str, Any] = {
        "settings": {**row.settings, **(staged.settings or {})},
        "simulation": {
            "speed": before["simulation"]["speed"] if simulation.speed is None else simulation.speed,
            "seed": row.seed if simulation.seed is None else simulation.seed,
        },
    }
    if simulation.faults is not None:
        before["simulation"]["faults"] = faults_of(connection, change.tenant)
        after["simulation"]["faults"] = [fault.given() for fault in simulation.faults]
    if created or before != after:
        speed = after["simulation"]["speed"]
        values = {
            "settings": json.dumps(after["settings"]),
            "speed": check_speed(speed),
            "seed": after["simulation"]["seed"],
        }
        connection.execute(_WRITE, {**of, **values})
        name = change.tenant.name
        if created:
            change.audit("Create tenant", "tenant", [event(change.tenant.id, name, None, {"name": name, **after})])
            counts.add("tenant", "create", 1)
        else:
            changed = [key for key in after if before[key] != after[key]]
            old, new = {k: before[k] for k in changed}, {k: after[k] for k in changed}
            change.audit("Update tenant", "tenant", [event(change.tenant.id, name, old, new)])
            counts.add("tenant", "update", 1)
    if simulation.faults is not None and before["simulation"]["faults"] != after["simulation"]["faults"]:
        _write_faults(connection, change.tenant, after["simulation"]["faults"])
    connection.execute(_INVENTORY, {**of, "hours": TenantSettings.model_fields["inventoryIntervalInHours"].default})


def _write_faults(connection: Connection, tenant: TenantRef, faults: list[dict[str, Any]]) -> None:
    """Faults that were set by hand stay."""
    connection.execute(_FORGET_FAULTS, {"id": tenant.id})
    for fault in faults:
        values = {
            "user": fault.get("user"),
            "policy": fault.get("policy"),
            "attempts": json.dumps(fault["attempts"]) if "attempts" in fault else None,
            "rate": fault.get("rate", 1.0),
            "delay": fault.get("delay", 0.0),
        }
        connection.execute(_ADD_FAULT, {"id": tenant.id, "step": fault["step"], "code": fault["code"], **values})


def faults_of(connection: Connection, tenant: TenantRef) -> list[dict[str, Any]]:
    """The faults a document asked for, as a document writes them."""
    found = []
    for row in connection.execute(FAULTS, {"id": tenant.id}):
        fault: dict[str, Any] = {"step": row.step, "code": row.code}
        optional = {"user": row.user_principal_name, "policy": row.policy_name, "attempts": row.attempts}
        fault |= {k: v for k, v in optional.items() if v is not None}
        fault |= {"rate": row.rate} if row.rate != 1 else {}
        fault |= {"delay": row.delay_seconds} if row.delay_seconds else {}
        found.append(fault)
    return found
