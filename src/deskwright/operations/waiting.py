"""Waiting: until what a change led to has settled (`apply --wait`), until a Cloud PC has a status (`wait`)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from deskwright.domain.status import SETTLED, TAKEN_AWAY, USABLE, Status
from deskwright.store.database import Database

# Pending for a seat or a healthy connection is settled: only an administrator can move it on. Pending for its turn, or
# for a connection whose first check has not ended, is not.
_UNSETTLED = text(
    """
    SELECT (SELECT count(DISTINCT user_id) FROM touched_users WHERE tenant_id = :tenant) AS undecided,
           count(*) AS cloud_pcs, count(*) FILTER (WHERE done) AS settled FROM (
      SELECT c.status = ANY(:settled) AND NOT (c.status = 'pendingProvision' AND (c.waiting_for = 'start'
               OR (c.waiting_for = 'connection' AND EXISTS (
                 SELECT 1 FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
                  WHERE pc.policy_id = c.policy_id AND (k.checking OR k.health_status = 'pending'))))) AS done
        FROM cloud_pcs c WHERE c.tenant_id = :tenant AND c.status <> 'gone') pcs
    """
)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


@dataclass(frozen=True)
class Settling:
    """How far a tenant is."""

    undecided: int
    """People whom a change touched and whom reconcile has not looked at yet."""
    cloud_pcs: int
    settled: int

    @property
    def done(self) -> bool:
        return not self.undecided and self.settled == self.cloud_pcs


def settling(database: Database, tenant_id: UUID) -> Settling:
    with database.single.connect() as connection:
        values = {"tenant": tenant_id, "settled": [str(s) for s in SETTLED]}
        row = connection.execute(_UNSETTLED, values).one()
    return Settling(row.undecided, row.cloud_pcs, row.settled)


def wait_until_settled(
    database: Database, tenant_id: UUID, timeout: float | None, told: Callable[[Settling], None] | None = None
) -> bool:
    """Look until every Cloud PC of the tenant is where it stays by itself; False where `timeout` seconds passed before.

    `told` hears each look.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        now = settling(database, tenant_id)
        if told:
            told(now)
        if now.done:
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


SETTLED_WORD = "settled"
"""Beside the statuses, what one may wait for: that nothing moves by itself any more."""


def reached(rows: Sequence[Mapping[str, Any]], wanted: str, busy: bool) -> bool | None:
    """Whether all `rows` of `listing.cloud_pcs` have the status `wanted`, or have settled.

    None while that is open, False when it cannot come by itself. `busy`: a change of theirs has not been looked at
    yet. provisioned includes provisionedWithWarnings.
    """
    if busy:
        return None
    if not rows:
        return True if wanted == Status.GONE else None
    if wanted == SETTLED_WORD:
        return True if all(_calm(row) for row in rows) else None
    accepted = {wanted, Status.WARNINGS} if wanted == Status.PROVISIONED else {wanted}
    if all(row["status"] in accepted for row in rows):
        return True
    stuck = wanted in USABLE and any(row["status"] == Status.FAILED for row in rows) and all(_calm(row) for row in rows)
    return False if stuck else None


def _calm(row: Mapping[str, Any]) -> bool:
    moving = row["status"] in (Status.PROVISIONING, Status.DEPROVISIONING, *TAKEN_AWAY) or row["waitingFor"] == "start"
    return not moving and row["runKind"] is None
