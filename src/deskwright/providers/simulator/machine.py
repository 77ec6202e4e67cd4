"""What is done to a whole simulated machine: power, restart, size, and going back to a snapshot; and its face.

Each is an operation of the machine, begun once and counting from when it is finished: then it is written among what
was done inside (see `guest.state`), and the machine's own data change. A resize takes, or gives back, the difference
in capacity when it begins.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from deskwright.domain.plans import Size
from deskwright.providers.contract import Call, NotYet, ProviderError
from deskwright.providers.simulator import faults, making
from deskwright.providers.simulator.durations import Duration
from deskwright.store.database import Database
from deskwright.store.statements import ask_one, statement

POWERED_OFF = "poweredOff"

# Capacity and disk are found by the keys that the machine's own attempt gave them.
_RESIZING = """,
    before AS MATERIALIZED (
      SELECT o.site_id, o.held FROM simulator.objects o, machine
       WHERE o.tenant_id = :tenant AND o.key = machine.attempt || 'C1:capacity'
    ),
    sized AS (
      UPDATE simulator.objects o SET held = coalesce(n.held, o.held), data = o.data || n.data
        FROM machine, begun, jsonb_to_recordset(CAST(:sizes AS jsonb)) AS n (part text, held jsonb, data jsonb)
       WHERE o.tenant_id = :tenant AND o.key = machine.attempt || n.part
    ),
    room AS (
      UPDATE simulator.capacity c
         SET vcpu_used = c.vcpu_used + :vcpu - (b.held->>'vcpu')::bigint,
             ram_used = c.ram_used + :ram - (b.held->>'ram')::bigint,
             storage_used = c.storage_used + :storage - (b.held->>'storage')::bigint,
             vcpu_total = :vcpus, ram_total = :rams, storage_total = :storages
        FROM before b, begun WHERE c.tenant_id = :tenant AND c.site_id = b.site_id
    )"""


_FACE = statement(
    f"""
    SELECT o.data, make_interval(secs => t.clock_offset) AS ahead,
           (SELECT n.data->>'ipAddress' FROM simulator.objects n
             WHERE n.attached_to = :vm AND n.kind = 'nic' LIMIT 1) AS address
      FROM tenants t JOIN simulator.objects o ON o.external_id = :vm AND {faults.OURS} AND o.kind = 'vm'
     WHERE t.id = :tenant
    """
)
_SNAPSHOT_IS_THERE = """
    (:snapshot = '' OR EXISTS (SELECT FROM simulator.objects s
      WHERE s.external_id = :snapshot AND s.tenant_id = o.tenant_id AND s.data->>'machine' = :vm))"""


@dataclass(frozen=True)
class Facts:
    """What a machine's screen says of it."""

    device: str
    user: str
    plan: str
    address: str
    ahead: timedelta
    """The tenant's clock minus the real one."""


def _operating(*, needs: str = "true", also: str = "") -> str:
    """The statement that begins or finds `:operation`, where the condition `needs` holds; `also`: CTEs that read
    ``machine`` and ``begun``."""
    return statement(
        f"""
        {faults.prelude()},
        machine AS MATERIALIZED (
          SELECT regexp_replace(o.key, '[^:]+:[^:]+$', '') AS attempt, o.data, {needs} AS needed
            FROM simulator.objects o
           WHERE o.external_id = :vm AND {faults.OURS} AND o.kind = 'vm'
        ),
        existing AS MATERIALIZED (
          SELECT o.ready_at FROM simulator.operations o
           WHERE o.tenant_id = :tenant AND o.subject = :vm AND o.operation = :operation
        ),
        begun AS (
          INSERT INTO simulator.operations (tenant_id, subject, operation, actions, ready_at)
          SELECT :tenant, :vm, :operation,
                 CASE WHEN w.ready_at <= tenant.at THEN CAST(:actions AS jsonb) ELSE '[]' END, w.ready_at
            FROM tenant CROSS JOIN fault CROSS JOIN machine
           CROSS JOIN LATERAL (SELECT {faults.ready_at("CAST(:seconds AS float8)")} AS ready_at) w
           WHERE fault.code IS NULL AND machine.needed AND NOT EXISTS (SELECT FROM existing)
          ON CONFLICT DO NOTHING RETURNING ready_at
        ),
        finished AS (
          UPDATE simulator.operations o SET actions = CAST(:actions AS jsonb) FROM tenant, fault
           WHERE o.tenant_id = :tenant AND o.subject = :vm AND o.operation = :operation AND o.actions = '[]'
             AND o.ready_at <= tenant.at AND fault.code IS NULL
          RETURNING o.ready_at
        ),
        changed AS (
          UPDATE simulator.objects o SET data = o.data || CAST(:data AS jsonb)
            FROM tenant, (SELECT ready_at FROM begun UNION ALL SELECT ready_at FROM finished) d
           WHERE o.external_id = :vm AND {faults.OURS} AND d.ready_at <= tenant.at
        ){also}
        SELECT fault.code, fault.code_delay, machine.data AS machine, machine.needed, o.ready_at,
               o.ready_at <= tenant.at AS ready
          FROM tenant CROSS JOIN fault LEFT JOIN machine ON true
          LEFT JOIN (SELECT ready_at FROM existing UNION ALL SELECT ready_at FROM begun) o ON true
        """
    )


_OPERATE = _operating(needs=_SNAPSHOT_IS_THERE)
_RESIZE = _operating(also=_RESIZING)


def operate(
    database: Database,
    call: Call,
    vm_id: str,
    actions: Sequence[Mapping[str, Any]],
    duration: Duration,
    *,
    name: str = "",
    data: Mapping[str, Any] | None = None,
    snapshot: str = "",
    known: Mapping[str, Any] | None = None,
    using: str = _OPERATE,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Do `actions` to the machine, once for the call's run, attempt and step (and `name`), and set its `data`.

    Raises NotYet until it is done, what a matching fault asks for, Full where a resize found no room, and
    internalServerError where the machine, or this `snapshot` of it, is not there.
    """
    parameters = {
        **faults.asking(call),
        "vm": vm_id,
        "operation": f"{call.run}:{call.attempt}:{call.step}{name}",
        "actions": json.dumps(list(actions)),
        "data": json.dumps(dict(data or {})),
        "seconds": duration.seconds,
        "snapshot": snapshot,
        **(more or {}),
    }
    for _ in range(making.TURNS):
        rows = making.run(database, using, parameters)
        if not rows:
            continue
        row = rows[0]
        device = {"device": row.machine["computerName"]} if row.machine else {}
        faults.raise_matching(database, call, row, {**device, **(known or {})})
        if row.machine is None or not row.needed:
            missing = f"there is no machine {vm_id}" if row.machine is None else f"it has no snapshot {snapshot}"
            raise ProviderError("internalServerError", step=call.step, reason=missing)
        if row.ready_at is None:
            continue
        if not row.ready:
            raise NotYet(row.ready_at, duration.doing)
        return
    raise making.too_busy(call)


def resize(
    database: Database,
    call: Call,
    vm_id: str,
    size: Size,
    model: str,
    duration: Duration,
    *,
    capacity: Size,
    known: Mapping[str, Any],
) -> None:
    """Another size, within the site's `capacity`. Raises Full where that has no room for it."""
    named = {"vCpuCount": size.vcpu, "ramInGB": size.ram_gb, "storageInGB": size.storage_gb}
    held = {"vcpu": size.vcpu, "ram": size.ram_gb, "storage": size.storage_gb}
    totals = {"vcpus": capacity.vcpu, "rams": capacity.ram_gb, "storages": capacity.storage_gb}
    sizes = [
        {"part": "C1:capacity", "held": held, "data": named},
        {"part": "C2:disk", "data": {"sizeGB": size.storage_gb}},
    ]
    more = {**held, **totals, "sizes": json.dumps(sizes)}
    data = {**named, "model": model, "powerState": "running"}
    resized = [{"do": "Resize", **named}]
    operate(database, call, vm_id, resized, duration, data=data, known=known, using=_RESIZE, more=more)


def face(database: Database, call: Call, vm_id: str) -> Facts:
    """What the machine's screen tells of it. Raises endpointCheckFailed where the machine is off or gone."""
    row = ask_one(database.world, _FACE, {"tenant": call.tenant_id, "vm": vm_id})
    if row is None:
        raise ProviderError("endpointCheckFailed", step=call.step, reason=f"there is no machine {vm_id}")
    device = str(row.data.get("computerName", ""))
    if row.data.get("powerState") == POWERED_OFF:
        raise ProviderError("endpointCheckFailed", device=device, step=call.step, reason="the machine is powered off")
    return Facts(device, call.user, str(row.data.get("model", "")), row.address or "", row.ahead)
