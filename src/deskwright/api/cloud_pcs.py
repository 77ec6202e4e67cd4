"""Cloud PCs: the list with step, ETA and place in the queue; timelines; waiting for a status; the actions."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request
from starlette.concurrency import run_in_threadpool

from deskwright.api import watch
from deskwright.api.asked import CLOUD_PC, Asked, Changes, CloudPcName, Reads
from deskwright.api.events import event_id
from deskwright.api.models import (
    Acted,
    CloudPC,
    CloudPCPage,
    Everything,
    Explanation,
    KeepOptions,
    LedgerEntry,
    RepairOptions,
    ReprovisionOptions,
    Text,
    Timeline,
)
from deskwright.domain.rules import NotFound
from deskwright.domain.status import Status
from deskwright.graph.errors import bad
from deskwright.graph.filters import storable
from deskwright.operations import cloud_pcs, listing, view
from deskwright.operations.tenants import show_clock
from deskwright.operations.waiting import SETTLED_WORD, reached

router = APIRouter(tags=["Cloud PCs"])

LONGEST_WAIT = 300.0
LARGEST_PAGE = 1000
_WAIT = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s|m)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}

Wait = Annotated[str | None, Query(description="Hold the answer at most so long, such as 30s; at most 5m.")]
For = Annotated[str, Query(alias="for", description="What to wait for: a status, or `settled`.")]


@router.get("/cloudPCs", response_model_exclude_none=False)
async def list_cloud_pcs(
    request: Request,
    asked: Reads,
    status: Annotated[list[Status] | None, Query(description="Only these; may be repeated.")] = None,
    user: Annotated[Text | None, Query(description="Only this user's (UPN).", max_length=1000)] = None,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 100,
    after: Annotated[UUID | None, Query(description="Those that follow the Cloud PC with this id.")] = None,
    wait: Wait = None,
    wanted: For = Status.PROVISIONED.value,
) -> CloudPCPage:
    """List Cloud PCs that are not gone, ordered by user and plan.

    With `user` and `wait` the answer comes when all of that user's have the status, when that cannot come by itself,
    or when the time is over.
    """
    if wait is not None:
        if user is None:
            raise bad("'wait' needs 'user': whose Cloud PCs to wait for.", "user")
        await _until(request, asked, wait, wanted, lambda: _of_user(asked, user))
    return await run_in_threadpool(_page, asked, status, user, limit, after)


def _page(asked: Asked, status: list[Status] | None, user: str | None, limit: int, after: UUID | None) -> CloudPCPage:
    began = show_clock(asked.database, asked.tenant)["now"]
    statuses = None if status is None else [s.value for s in status]
    with asked.database.single.connect() as connection:
        rows = listing.cloud_pcs(connection, asked.tenant, statuses=statuses, user=user, limit=limit + 1, after=after)
    link = f"/deskwright/cloudPCs?limit={limit}&after={rows[limit - 1]['id']}" if len(rows) > limit else None
    if link:
        link += "".join(f"&status={s}" for s in statuses or ())
    return CloudPCPage.model_validate({"value": rows[:limit], "nextLink": link, "lastEventId": event_id(began)})


@router.get("/cloudPCs/{cloudPC}")
async def get_cloud_pc(
    request: Request, cloud_pc: CloudPcName, asked: Reads, wait: Wait = None, wanted: For = Status.PROVISIONED.value
) -> CloudPC:
    """One Cloud PC. With `wait`: when it has the status, when that cannot come by itself, or when the time is over."""
    found = await run_in_threadpool(_find, asked, cloud_pc)
    if wait is not None:
        await _until(request, asked, wait, wanted, lambda: (_rows(asked, found), False))
    rows = await run_in_threadpool(_rows, asked, found)
    if not rows:
        raise NotFound("cloudPC", cloud_pc)
    return CloudPC.model_validate(rows[0])


@router.get("/cloudPCs/{cloudPC}/timeline")
def get_timeline(cloud_pc: CloudPcName, asked: Reads) -> Timeline:
    """Every run, attempt and step of a Cloud PC, with times, outcome, cause and remedy."""
    with asked.database.single.connect() as connection:
        found = cloud_pcs.find(connection, asked.tenant, _named(cloud_pc))
        return Timeline.model_validate(view.timeline(connection, asked.tenant, found))


@router.post("/cloudPCs/{cloudPC}/retry", status_code=202)
def retry(cloud_pc: CloudPcName, asked: Changes) -> Acted:
    """Provision a failed Cloud PC again: a new run of up to three attempts."""
    return _act(asked, cloud_pc, cloud_pcs.retry)


@router.post("/cloudPCs/{cloudPC}/repair", status_code=202)
def repair(cloud_pc: CloudPcName, asked: Changes, options: Annotated[RepairOptions | None, Body()] = None) -> Acted:
    """Run the configure steps again that left a warning; data stays, the user keeps working."""
    return _act(asked, cloud_pc, cloud_pcs.repair, steps=options.steps if options else None)


@router.post("/cloudPCs/{cloudPC}/reprovision", status_code=202)
def reprovision(
    cloud_pc: CloudPcName, asked: Changes, options: Annotated[ReprovisionOptions | None, Body()] = None
) -> Acted:
    """Delete the machine with all its data, and make it anew by the policy that reaches the user now."""
    kind = options.userAccountType if options else None
    return _act(asked, cloud_pc, cloud_pcs.reprovision, user_account_type=kind)


@router.post("/cloudPCs/{cloudPC}/endGracePeriod", status_code=202)
def end_grace_period(cloud_pc: CloudPcName, asked: Changes) -> Acted:
    """End a grace period now: the machine and its data go."""
    return _act(asked, cloud_pc, cloud_pcs.end_grace)


@router.post("/cloudPCs/{cloudPC}/keep")
def keep(cloud_pc: CloudPcName, asked: Changes, options: Annotated[KeepOptions | None, Body()] = None) -> Acted:
    """Extend a grace period."""
    return _act(asked, cloud_pc, cloud_pcs.keep, hours=options.hours if options else None)


@router.post("/cloudPCs/{cloudPC}/cancel", status_code=202)
def cancel(cloud_pc: CloudPcName, asked: Changes) -> Acted:
    """Stop what is under way. A provisioning ends as failed and can be retried; a repair just ends."""
    return _act(asked, cloud_pc, cloud_pcs.cancel)


@router.get("/explain/{user}", tags=["Tenant"])
def explain(user: str, asked: Reads) -> Explanation:
    """For each licence of a user: which policy won and why, what was ignored, what is missing, what happens next."""
    with asked.database.single.connect() as connection:
        told = view.explain_user(connection, asked.tenant, _named(user, "userPrincipalName"))
        return Explanation.model_validate(told)


@router.get("/ledger", tags=["Tenant"])
def ledger(
    asked: Reads,
    left: Annotated[bool, Query(description="Only what past attempts left.")] = False,
    cloud_pc: Annotated[str | None, Query(alias="cloudPC", description=CLOUD_PC)] = None,
) -> Everything[LedgerEntry]:
    """What exists in the outside world by our doing, whose it is, how old, and when it goes."""
    with asked.database.single.connect() as connection:
        of = cloud_pcs.find(connection, asked.tenant, _named(cloud_pc)) if cloud_pc is not None else None
        found = listing.ledger(connection, asked.tenant, left, cloud_pc_id=of)
        return Everything[LedgerEntry].model_validate({"value": found})


def _act(asked: Asked, cloud_pc: str, act: Callable[..., Mapping[str, Any]], **options: Any) -> Acted:
    return Acted.model_validate(act(asked.world, asked.tenant, asked.actor, _named(cloud_pc), **options))


async def _until(
    request: Request,
    asked: Asked,
    wait: str,
    wanted: str,
    look: Callable[[], tuple[list[dict[str, Any]], bool]],
) -> None:
    """Return when it is reached or cannot be, when the time is over, or when the client has left."""
    if wanted != SETTLED_WORD and wanted not in set(Status):
        raise bad(f"'{wanted[:60]}' is no status; there are: {SETTLED_WORD}, {', '.join(Status)}.", "for")
    end = time.monotonic() + _seconds(wait)

    def look_if_allowed() -> tuple[list[dict[str, Any]], bool]:
        asked.must_still_hold()
        return look()

    async with watch.of(request.app.state).listen(asked.tenant) as listener:
        while True:
            rows, busy = await run_in_threadpool(look_if_allowed)
            left = end - time.monotonic()
            if reached(rows, wanted, busy) is not None or left <= 0 or await request.is_disconnected():
                return
            try:
                # Not all that counts is a change of a Cloud PC, such as a user who has been looked at: look again.
                await listener.next(min(left, 2.0))
            except EOFError:
                await asyncio.sleep(min(left, 1.0))


def _seconds(wait: str) -> float:
    found = _WAIT.fullmatch(wait.strip().lower())
    if found is None:
        raise bad(f"'{wait[:40]}' is not a duration such as 30s.", "wait")
    return min(float(found[1]) * _UNITS[found[2]], LONGEST_WAIT)


def _of_user(asked: Asked, user: str) -> tuple[list[dict[str, Any]], bool]:
    name = _named(user, "userPrincipalName")
    with asked.database.single.connect() as connection:
        rows = listing.cloud_pcs(connection, asked.tenant, user=name)
        busy = view.changes_waiting(connection, asked.tenant, name)
        if not rows and not busy:
            view.explain_user(connection, asked.tenant, name)  # refuses who does not exist
        return rows, busy


def _find(asked: Asked, name: str) -> UUID:
    with asked.database.single.connect() as connection:
        return cloud_pcs.find(connection, asked.tenant, _named(name))


def _rows(asked: Asked, cloud_pc: UUID) -> list[dict[str, Any]]:
    with asked.database.single.connect() as connection:
        return listing.cloud_pcs(connection, asked.tenant, ids=[cloud_pc])


def _named(name: str, field: str = "cloudPC") -> str:
    """A name of the path. What no text can hold names nothing."""
    if not storable(name) or len(name) > 1000:
        raise NotFound(field, name[:80].encode("ascii", "replace").decode().replace("\0", "?"))
    return name
