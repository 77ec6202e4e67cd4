"""How far a run is and how long it still takes, from past runs where there are any (R1). Pure, but for `pace`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.provision import records
from deskwright.provision.remote import EVERY_STEP

# Until there is history: half of the synchronisation's period on top of the join itself.
_HYBRID_JOIN_SECONDS = 18 * 60.0


@dataclass(frozen=True)
class Pace:
    """What each step usually takes in this tenant, in seconds of its time."""

    seconds: Mapping[str, float]
    hybrid_join: float

    def of(self, step: str, *, hybrid: bool) -> float:
        if step == "C4" and hybrid:
            return max(self.hybrid_join, self.seconds[step])
        return self.seconds[step]


@dataclass(frozen=True)
class Position:
    """Where a run is: the step of its last attempt, and what it waits for."""

    steps: Sequence[str]
    """The run's steps, in order."""
    step: str | None
    """The one that runs or ended last; None before the first."""
    step_ended: bool
    step_started_at: datetime | None
    attempt_failed: bool
    """The last attempt has failed, and the next has not begun."""
    wake_at: datetime | None
    hybrid: bool
    now: datetime


def pace(connection: Connection, tenant: UUID) -> Pace:
    """One query: the medians of the last successes, and for steps without any the tables' own figures."""
    speed = float(connection.execute(text("SELECT speed FROM tenants WHERE id = :t"), {"t": tenant}).scalar_one())
    known = records.durations(connection, tenant, EVERY_STEP)
    seconds = {
        step.id: known[step.id].total_seconds() if step.id in known else step.usual.total_seconds() / speed
        for step in EVERY_STEP.values()
    }
    return Pace(seconds, _HYBRID_JOIN_SECONDS / speed)


def eta_seconds(where: Position, usual: Pace) -> float:
    """Seconds until the run has ended well, should no attempt fail from here on."""
    waits = max(0.0, (where.wake_at - where.now).total_seconds()) if where.wake_at else 0.0
    if where.attempt_failed or where.step is None:
        return waits + sum(usual.of(s, hybrid=where.hybrid) for s in where.steps)
    at = where.steps.index(where.step) if where.step in where.steps else 0
    left = sum(usual.of(s, hybrid=where.hybrid) for s in where.steps[at + 1 :])
    if where.step_ended:
        return waits + left
    return left + max(waits, usual.of(where.step, hybrid=where.hybrid) - _elapsed(where))


def progress(where: Position, usual: Pace) -> float:
    """How much of an attempt is done, from 0 to 1, by the steps' usual durations. 1 is for the end alone."""
    if where.attempt_failed or where.step is None or where.step not in where.steps:
        return 0.0
    # Without durations (an infinitely fast simulation) every step counts the same.
    weights = [usual.of(s, hybrid=where.hybrid) or 1e-6 for s in where.steps]
    at = where.steps.index(where.step)
    share = 1.0 if where.step_ended else min(0.95, _elapsed(where) / weights[at])
    return min(0.99, (sum(weights[:at]) + weights[at] * share) / sum(weights))


def step_title(step: str | None) -> str | None:
    return EVERY_STEP[step].title if step in EVERY_STEP else None


def _elapsed(where: Position) -> float:
    return max(0.0, (where.now - where.step_started_at).total_seconds()) if where.step_started_at else 0.0
