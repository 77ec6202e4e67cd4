"""How objects come into being, and how they go: each in one statement.

The unique key (tenant, idempotency key) decides. Whoever inserts an object first has made it; who asks at the same
time, or again, finds it. What an object takes (capacity, an address) is taken by the statement that inserts it, and
given back by the one that deletes it: so exactly once each, whatever dies in between.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import errors

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, Made, NotYet, ProviderError
from deskwright.providers.simulator import faults
from deskwright.providers.simulator.durations import SYNCHRONISATION_PERIOD, Duration
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask, statement

TURNS = 50


class Full(Exception):
    """There is no room for what was asked."""


@dataclass(frozen=True)
class Wanted:
    """An object to be made."""

    kind: Kind
    key: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    held: Mapping[str, Any] | None = None
    synchronised: bool = False
    """It appears at the directory's next synchronisation after the operation is finished."""


# The next synchronisation after `done.at`: every period, counted from the tenant's beginning with the seed's phase.
_NEXT_SYNCHRONISATION = f"""
    CASE WHEN tenant.speed = 'Infinity' THEN done.at ELSE tenant.created_at + make_interval(secs =>
      (ceil(extract(epoch FROM done.at - tenant.created_at)::float8 * tenant.speed / {SYNCHRONISATION_PERIOD}
            - tenant.phase) + tenant.phase) * {SYNCHRONISATION_PERIOD} / tenant.speed) END"""

RESULT = """
    SELECT fault.code, fault.code_delay, ground.*, o.kind, o.external_id, o.data,
           o.synchronised, o.disabled, o.ready_at, o.ready_at <= tenant.at AS ready
      FROM tenant CROSS JOIN fault CROSS JOIN ground LEFT JOIN (
        SELECT kind, external_id, data, synchronised, disabled, ready_at FROM existing
        UNION ALL SELECT kind, external_id, data, synchronised, disabled, ready_at FROM made) o ON true"""


def ground(room: str = "true") -> str:
    """SQL: the CTE that says whether the object with external id `:needs` is there, and room (a condition) is."""
    return f"""
    ground AS MATERIALIZED (
      SELECT :needs = '' OR EXISTS (
        SELECT FROM simulator.objects o WHERE o.external_id = :needs AND {faults.OURS}) AS needed, {room} AS room
    )"""


def making(*, room: str = "true", also: str = "") -> str:
    """The statement that makes `:objects`, where there is `room`; `also`: CTEs that read ``made``."""
    return statement(
        f"""
        {faults.prelude()},
        {ground(room)},
        given AS MATERIALIZED (
          SELECT * FROM jsonb_to_recordset(CAST(:objects AS jsonb)) AS g (
            kind text, key text, name text, data jsonb, held jsonb, synchronised boolean)
        ),
        existing AS MATERIALIZED (
          SELECT o.* FROM simulator.objects o
           WHERE o.tenant_id = :tenant AND o.key = ANY(:keys)
        ),
        made AS (
          INSERT INTO simulator.objects
            (external_id, tenant_id, site_id, key, kind, name, data, held, synchronised, ready_at)
          SELECT gen_random_uuid()::text, :tenant, :site, g.key, g.kind, g.name, g.data, g.held, g.synchronised,
                 CASE WHEN NOT g.synchronised THEN done.at
                      WHEN fault.unseen THEN done.at + interval '10 years' ELSE {_NEXT_SYNCHRONISATION} END
            FROM given g CROSS JOIN tenant CROSS JOIN fault CROSS JOIN ground
           CROSS JOIN LATERAL (SELECT {faults.ready_at("CAST(:seconds AS float8)")} AS at) done
           WHERE fault.code IS NULL AND ground.needed AND ground.room
             AND NOT EXISTS (SELECT FROM existing e WHERE e.key = g.key)
          ON CONFLICT (tenant_id, key) DO NOTHING
          RETURNING *
        ){also}
        {RESULT}
        """
    )


_MAKE = making()


def make(
    database: Database,
    call: Call,
    objects: Sequence[Wanted],
    duration: Duration,
    *,
    needs: str = "",
    known: Mapping[str, Any] | None = None,
    hybrid: bool = False,
    using: str = _MAKE,
    more: Mapping[str, Any] | None = None,
) -> dict[Kind, Row]:
    """The objects, made or found. Raises NotYet until each that is not `synchronised` is ready, what a matching fault
    asks for, Full where `using` found no room, internalServerError where the object `needs` is not there."""
    parameters = {
        **faults.asking(call, hybrid=hybrid),
        "site": call.site_id,
        "objects": json.dumps([{**vars(o), "data": dict(o.data)} for o in objects]),
        "keys": [o.key for o in objects],
        "seconds": duration.seconds,
        "needs": needs,
        **(more or {}),
    }
    for _ in range(TURNS):
        rows = run(database, using, parameters)
        if rows is None:
            continue
        found = settle(database, call, rows, duration, known or {})
        if len(found) == len(objects):
            return found
        # Somebody else inserted the same key after this statement's snapshot: the next one sees it.
    raise too_busy(call)


def too_busy(call: Call) -> ProviderError:
    return ProviderError("internalServerError", step=call.step, reason="the simulated world is too busy")


def run(database: Database, using: str, parameters: Mapping[str, Any]) -> list[Row] | None:
    """The statement's rows; None where another one got in between and it should be asked again; raises Full."""
    try:
        return ask(database.world, using, parameters)
    except errors.CheckViolation:
        raise Full from None
    except (errors.UniqueViolation, errors.DeadlockDetected):
        return None


def settle(
    database: Database,
    call: Call,
    rows: Sequence[Row],
    duration: Duration,
    known: Mapping[str, Any],
) -> dict[Kind, Row]:
    """What the rows of a making statement mean: raises (also Full), or returns the objects by kind."""
    if not rows:
        raise ProviderError("internalServerError", step=call.step, reason=f"there is no tenant {call.tenant_id}")
    faults.raise_matching(database, call, rows[0], known)
    found = {Kind(row.kind): row for row in rows if row.kind is not None}
    if not found and not rows[0].needed:
        raise ProviderError("internalServerError", step=call.step, reason="what it belongs to is not there")
    if not found and not rows[0].room:
        raise Full
    pending = [r.ready_at for r in found.values() if not (r.ready or r.synchronised)]
    if pending:
        raise NotYet(max(pending), duration.doing)
    return found


def as_made(row: Row) -> Made:
    return Made(row.external_id, row.data)


_DESCRIBE = statement(
    f"""
    {faults.prelude()},
    described AS MATERIALIZED (
      SELECT o.external_id FROM simulator.objects o
       WHERE o.external_id = :id AND {faults.OURS} AND o.kind = :kind
    ),
    existing AS MATERIALIZED (
      SELECT o.ready_at FROM simulator.operations o
       WHERE o.tenant_id = :tenant AND o.subject = :id AND o.operation = :operation
    ),
    made AS (
      INSERT INTO simulator.operations (tenant_id, subject, operation, ready_at)
      SELECT :tenant, :id, :operation, {faults.ready_at("CAST(:seconds AS float8)")}
        FROM tenant CROSS JOIN fault CROSS JOIN described
       WHERE fault.code IS NULL AND NOT EXISTS (SELECT FROM existing)
      ON CONFLICT DO NOTHING RETURNING ready_at
    ),
    changed AS (
      UPDATE simulator.objects o SET data = o.data || CAST(:attributes AS jsonb)
        FROM tenant, described d, (SELECT ready_at FROM existing UNION ALL SELECT ready_at FROM made) begun
       WHERE o.external_id = d.external_id AND begun.ready_at <= tenant.at AND NOT o.data @> CAST(:attributes AS jsonb)
    )
    SELECT fault.code, fault.code_delay, EXISTS (SELECT FROM described) AS known, b.ready_at,
           b.ready_at <= tenant.at AS ready
      FROM tenant CROSS JOIN fault
      LEFT JOIN (SELECT ready_at FROM existing UNION ALL SELECT ready_at FROM made) b ON true
    """
)


def describe(
    database: Database, call: Call, kind: Kind, external_id: str, attributes: Mapping[str, str], duration: Duration
) -> None:
    """Set attributes of an object. Raises NotYet until they are, what a matching fault asks for, and
    internalServerError where there is no such object."""
    parameters = {
        **faults.asking(call),
        "id": external_id,
        "kind": str(kind),
        "operation": f"{call.run}:{call.attempt}:{call.step}",
        "attributes": json.dumps(dict(attributes)),
        "seconds": duration.seconds,
    }
    for _ in range(TURNS):
        rows = run(database, _DESCRIBE, parameters)
        if not rows:
            continue
        row = rows[0]
        faults.raise_matching(database, call, row, {})
        if not row.known:
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no {kind} {external_id}")
        if row.ready_at is None:
            continue
        if not row.ready:
            raise NotYet(row.ready_at, duration.doing)
        return
    raise too_busy(call)


_RELEASE = statement(
    f"""
    {faults.prelude("'release'")},
    gone AS (
      DELETE FROM simulator.objects USING fault
       WHERE tenant_id = :tenant AND key = :key AND kind = :kind AND fault.code IS NULL
      RETURNING kind, external_id, site_id, held
    ),
    inside AS (
      DELETE FROM simulator.operations o USING gone
       WHERE gone.kind IN ('vm', 'device', 'managedDevice') AND o.tenant_id = :tenant
         AND o.subject = gone.external_id
    ),
    room AS (
      UPDATE simulator.capacity c
         SET vcpu_used = c.vcpu_used - (gone.held->>'vcpu')::bigint,
             ram_used = c.ram_used - (gone.held->>'ram')::bigint,
             storage_used = c.storage_used - (gone.held->>'storage')::bigint
        FROM gone WHERE gone.kind = 'capacity' AND c.tenant_id = :tenant AND c.site_id = gone.site_id
    ),
    freed AS (
      INSERT INTO simulator.freed_addresses (tenant_id, pool, number)
      SELECT :tenant, gone.held->>'pool', (gone.held->>'number')::integer FROM gone WHERE gone.kind = 'nic'
    ),
    pool AS (
      UPDATE simulator.pools p SET used = p.used - 1
        FROM gone WHERE gone.kind = 'nic' AND p.tenant_id = :tenant AND p.pool = gone.held->>'pool'
    )
    SELECT fault.code FROM fault
    """
)
_SWITCH = statement(
    f"""
    {faults.prelude("'release'")},
    switched AS (
      UPDATE simulator.objects o SET disabled = :disabled FROM fault
       WHERE o.tenant_id = :tenant AND o.key = :key AND o.kind = :kind AND o.disabled <> :disabled
         AND (fault.code IS NULL OR NOT :disabled)
    )
    SELECT CASE WHEN :disabled THEN fault.code END AS code FROM fault
    """
)


def release(database: Database, tenant_id: UUID, kind: Kind, key: str) -> None:
    """Delete the object with this key and give back what it held."""
    _clean_up(database, _RELEASE, tenant_id, kind, key)


def disable(database: Database, tenant_id: UUID, kind: Kind, key: str) -> None:
    _clean_up(database, _SWITCH, tenant_id, kind, key, disabled=True)


def enable(database: Database, tenant_id: UUID, kind: Kind, key: str) -> None:
    _clean_up(database, _SWITCH, tenant_id, kind, key, disabled=False)


def _of(tenant_id: UUID, key: str) -> dict[str, Any]:
    """`prelude`'s parameters where nobody's call is behind it: only faults for everybody match."""
    return {"tenant": tenant_id, "user": "", "policy": "", "attempt": 0, "subject": key, "hybrid": False}


def _clean_up(database: Database, using: str, tenant_id: UUID, kind: Kind, key: str, **more: Any) -> None:
    parameters = {**_of(tenant_id, key), "kind": str(kind), "key": key, **more}
    for _ in range(TURNS):
        rows = run(database, using, parameters)
        if rows is None:
            continue
        if rows and rows[0].code:
            raise ProviderError(rows[0].code, step="release", reason="a simulated fault of the clean-up")
        return
    raise ProviderError("internalServerError", step="release", reason="the simulated world is too busy")
