"""Beginning a run that acts on a Cloud PC's machine: repair and the remote actions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import Refused
from deskwright.domain.runs import MAKING, RunKind
from deskwright.operations.change import TenantRef
from deskwright.provision.context import Ground
from deskwright.reconcile import seats

# Somebody waits for what they asked for by hand.
_PRIORITY = 12

_LAST_MADE = text(
    """
    SELECT s.made, r.policy FROM runs r JOIN steps s ON s.run_id = r.id
     WHERE r.id = (SELECT id FROM runs WHERE cloud_pc_id = :id AND state = 'succeeded' AND kind = ANY(:making)
                    ORDER BY number DESC LIMIT 1)
       AND s.attempt = (SELECT max(attempt) FROM steps WHERE run_id = r.id) ORDER BY s.started_at
    """
)
_ACTIVE = text("SELECT kind FROM runs WHERE cloud_pc_id = :id AND state = 'active'")
_START = text(
    """
    INSERT INTO runs (tenant_id, cloud_pc_id, number, kind, policy, options, requested_by, started_at)
    SELECT :tenant, :id, (SELECT max(number) + 1 FROM runs WHERE cloud_pc_id = :id), :kind, CAST(:policy AS jsonb),
           CAST(:options AS jsonb), :actor, tenant_now(:tenant) RETURNING id
    """
)


@dataclass(frozen=True)
class Machine:
    """What the last provisioning run left: where the machine is, under which names, and by which policy."""

    policy: Mapping[str, Any]
    ground: Ground
    so_far: Mapping[str, Any]


def machine_of(connection: Connection, cloud_pc: UUID) -> Machine:
    """The machine of a Cloud PC that was provisioned, from the step rows of the run that made it."""
    steps = connection.execute(_LAST_MADE, {"id": cloud_pc, "making": [str(kind) for kind in MAKING]}).all()
    so_far = {key: value for step in steps for key, value in step.made.items() if key != "ground"}
    return Machine(steps[0].policy, Ground.from_json(steps[0].made["ground"]), so_far)


def must_run(row: Row[Any], cloud_pc: str) -> None:
    """Refused where the machine is powered off: nothing can be done inside it."""
    if row.power_state == "poweredOff":
        remedy = f"deskwright power-on {cloud_pc}"
        raise Refused("cloudPC", cloud_pc, "it is powered off", code="conflict", remedy=remedy)


def must_be_free(connection: Connection, row: Row[Any], cloud_pc: str) -> None:
    """Refused while another run of the Cloud PC is under way."""
    active = connection.execute(_ACTIVE, {"id": row.id}).scalar_one_or_none()
    if active is not None:
        raise Refused("cloudPC", cloud_pc, f"a {RunKind(active).words} is already under way", code="conflict")


def start(
    connection: Connection,
    tenant: TenantRef,
    row: Row[Any],
    kind: RunKind,
    actor: str,
    machine: Machine,
    options: Mapping[str, Any],
) -> UUID:
    """The run and its job; returns the run's id. Refused while another one of the Cloud PC is under way."""
    must_be_free(connection, row, str(row.display_name))
    kept = {**options, "ground": machine.ground.as_json(), "so_far": dict(machine.so_far)}
    values = {
        "tenant": tenant.id,
        "id": row.id,
        "kind": str(kind),
        "actor": actor,
        "policy": json.dumps(machine.policy),
        "options": json.dumps(kept, default=str),
    }
    run: UUID = connection.execute(_START, values).scalar_one()
    seats.defer_runs(connection, [run], priority=_PRIORITY)
    return run
