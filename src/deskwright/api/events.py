"""Server-sent events: the tenant's Cloud PCs, and one Cloud PC's timeline, as they change.

An event's id is the tenant's time. A client that comes back with `Last-Event-ID` is told what it missed.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import anyio
import orjson
from fastapi import APIRouter, Header, Request
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from deskwright.api import watch
from deskwright.api.asked import Asked, CloudPcName, Reads
from deskwright.domain.status import Status
from deskwright.graph.errors import bad
from deskwright.operations import cloud_pcs, listing, view, watching

router = APIRouter(tags=["Cloud PCs"])

BEAT_SECONDS = 15
GRACE_SECONDS = 3
"""How long a stopping server waits for a stream to end: more than a look takes."""
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"description": "A stream that ends when the client leaves.", "content": {"text/event-stream": {}}}
}
_HEAD = ("status", "statusDetail", "warnings", "stage", "step", "attempt", "runKind", "wakeDateTime", "waitingReason")

LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", description="Tell what changed since that event.")]


def event_id(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


@router.get("/cloudPCs/events", responses=_ANSWER, response_class=EventSourceResponse)
async def all_events(request: Request, asked: Reads, last_event_id: LastEventId = None) -> EventSourceResponse:
    """Each Cloud PC of the tenant whenever it changes: an event `cloudPC`, or `gone` when it is no more."""
    since, watching_ = _since(last_event_id), watch.of(request.app.state)
    watching_.must_have_room(asked.tenant)  # once the stream has begun, nothing can be refused
    return _stream(_cloud_pcs(watching_, asked, since))


@router.get("/cloudPCs/{cloudPC}/timeline/events", responses=_ANSWER, response_class=EventSourceResponse)
async def timeline_events(
    request: Request,
    cloud_pc: CloudPcName,
    asked: Reads,
    last_event_id: LastEventId = None,
) -> EventSourceResponse:
    """One Cloud PC: its present state as an event `cloudPC`, each step as an event `step`, then what changes.

    Ends after an event `gone`.
    """
    since, watching_ = _since(last_event_id), watch.of(request.app.state)
    watching_.must_have_room(asked.tenant)

    def find() -> UUID:
        with asked.database.single.connect() as connection:
            return cloud_pcs.find(connection, asked.tenant, cloud_pc)

    found = await run_in_threadpool(find)
    return _stream(_timeline(watching_, asked, found, since))


async def _cloud_pcs(watching_: watch.Watch, asked: Asked, since: datetime | None) -> AsyncIterator[ServerSentEvent]:
    async with watching_.listen(asked.tenant) as listener:
        # The id to come back with, before anything has happened.
        yield ServerSentEvent(event="begin", data="{}", id=event_id(since or listener.began))
        if since is not None:
            for row in await run_in_threadpool(_missed, asked, since):
                yield _told(row, listener.began)
        async for seen in _changes(listener, asked):
            for row in seen.rows.values():
                yield _told(row, seen.at)


async def _timeline(
    watching_: watch.Watch, asked: Asked, cloud_pc: UUID, since: datetime | None
) -> AsyncIterator[ServerSentEvent]:
    known: dict[Any, Any] = {}

    def changed() -> tuple[list[tuple[str, Any]], bool]:
        with asked.database.single.connect() as connection:
            told = view.timeline(connection, asked.tenant, cloud_pc)
        return _differences(told, known), told["status"] == Status.GONE

    async with watching_.listen(asked.tenant) as listener:
        found, gone = await run_in_threadpool(changed)
        for name, data in found:
            if since is None or name != "step" or (data["endedDateTime"] or data["startedDateTime"]) > since:
                yield _event(name, data, listener.began)
        if gone:
            return
        async for seen in _changes(listener, asked):
            if cloud_pc in seen.rows:
                found, gone = await run_in_threadpool(changed)
                for name, data in found:
                    yield _event(name, data, seen.at)
                if gone:
                    return


async def _changes(listener: watch.Listener, asked: Asked) -> AsyncIterator[watch.Seen]:
    """Until the token counts no more, or the listener falls behind."""
    while await run_in_threadpool(asked.still_holds):
        try:
            seen = await listener.next(BEAT_SECONDS)
        except EOFError:
            return
        if seen is not None:
            yield seen


def _differences(told: dict[str, Any], known: dict[Any, Any]) -> list[tuple[str, Any]]:
    """What differs from `known`, which is brought up to date: the head of the timeline, and its steps."""
    found: list[tuple[str, Any]] = []
    head = {k: v for k, v in told.items() if k not in ("runs", "ledger")}
    if known.get("head") != [head[k] for k in _HEAD]:
        known["head"] = [head[k] for k in _HEAD]
        found.append(("gone" if told["status"] == Status.GONE else "cloudPC", head))
    for run in told["runs"]:
        for attempt in run["attempts"]:
            for step in attempt["steps"]:
                key, now = (run["number"], attempt["number"], step["step"]), (step["outcome"], step["endedDateTime"])
                if known.get(key) != now:
                    known[key] = now
                    where = {"run": run["number"], "runKind": run["kind"], "attempt": attempt["number"]}
                    found.append(("step", {**where, **step}))
    return found


def _missed(asked: Asked, since: datetime) -> list[dict[str, Any]]:
    with asked.database.single.connect() as connection:
        changed = watching.since(connection, asked.tenant, since)
        return listing.cloud_pcs(connection, asked.tenant, ids=changed) if changed else []


def _told(row: dict[str, Any], at: datetime) -> ServerSentEvent:
    return _event("gone" if row["status"] == Status.GONE else "cloudPC", row, at)


def _event(name: str, data: Any, at: datetime) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=orjson.dumps(data, option=orjson.OPT_UTC_Z).decode(), id=event_id(at))


def _stream(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    # No buffering by a proxy in between: what happens is told at once.
    return EventSourceResponse(
        events,
        ping=BEAT_SECONDS,
        headers={"X-Accel-Buffering": "no"},
        shutdown_event=anyio.Event(),
        shutdown_grace_period=GRACE_SECONDS,
    )


def _since(last_event_id: str | None) -> datetime | None:
    if not last_event_id:
        return None
    try:
        found = datetime.fromisoformat(last_event_id)
    except ValueError:
        raise bad(f"'{last_event_id[:60]}' is not the id of an event.", "Last-Event-ID") from None
    if found.tzinfo is None:
        raise bad(f"'{last_event_id[:60]}' is not the id of an event.", "Last-Event-ID")
    return found
