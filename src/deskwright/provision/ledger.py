"""The ledger: what we made in the outside world, and when it goes (L1-L4)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright import jobs
from deskwright.domain.resources import RESOURCES, Kind, Release
from deskwright.provision.context import Done, StepContext

CLEAN_UP = "clean_up"
FILL_SEATS = "fill_seats"
"""Job, for a service plan: a seat has become free, the next in the queue may have it (E6)."""
FILL_PRIORITY = 20
# Freeing what is scarce goes before starting something new.
_PRIORITY = 10

AT_ONCE = [k for k, r in RESOURCES.items() if r.release is Release.AT_ONCE]
LATER = [k for k, r in RESOURCES.items() if r.release is Release.LATER]

_SCHEDULE = text(
    """
    UPDATE ledger SET release_at = tenant_now(tenant_id)
           + make_interval(secs => CASE WHEN kind = ANY(:at_once) THEN 0 ELSE :delay END)
     WHERE cloud_pc_id = ANY(:cloud_pcs) AND state IN ('intended', 'created') AND kind = ANY(:kinds)
       AND (CAST(:attempt AS integer) IS NULL OR (run_number = :run AND attempt = :attempt))
       AND (CAST(:before AS integer) IS NULL OR run_number < :before)
       AND (release_at IS NULL OR release_at > tenant_now(tenant_id) + make_interval(secs => :delay))
    """
)


def intended(ctx: StepContext, kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """The rows to write before a step asks for these kinds."""
    return [{"kind": k, "key": _key(ctx, k), "shared": RESOURCES[k].shared} for k in kinds]


def confirmed(ctx: StepContext, kinds: Sequence[Kind], done: Done) -> list[Mapping[str, Any]]:
    """What became of them: created, or closed because the step did not make it after all."""
    rows: list[Mapping[str, Any]] = []
    for kind in kinds:
        made = done.made.get(kind)
        if made is not None:
            rows.append(
                {
                    "key": _key(ctx, kind),
                    "state": "created",
                    "external_id": made.external_id,
                    "details": made.details,
                }
            )
        elif not RESOURCES[kind].shared:
            rows.append({"key": _key(ctx, kind), "state": "released"})
    return rows


def schedule_release(
    connection: Connection,
    cloud_pcs: Sequence[UUID],
    *,
    delay_seconds: float,
    run: int | None = None,
    attempt: int | None = None,
    before_run: int | None = None,
    keep_machine: bool = False,
) -> None:
    """Let go of what these Cloud PCs (or one attempt of a run, or all runs before one) hold (L2).

    Capacity, VM and disk go at once, or stay for diagnosis where `keep_machine` says so; the rest after the delay.
    """
    connection.execute(
        _SCHEDULE,
        {
            "cloud_pcs": list(cloud_pcs),
            "at_once": AT_ONCE,
            "kinds": LATER if keep_machine else AT_ONCE + LATER,
            "delay": delay_seconds,
            "run": run,
            "attempt": attempt,
            "before": before_run,
        },
    )
    jobs.defer(connection, CLEAN_UP, cloud_pcs, priority=_PRIORITY)


def _key(ctx: StepContext, kind: Kind) -> str:
    return ctx.call.site_key(kind) if RESOURCES[kind].shared else ctx.call.key(kind)
