"""Events for pages that are open: the rows they show as they change, and that something has changed at all.

A row is rendered once for everybody who looks at it. That the list itself may be another one is told at a pace that
slows with the number of those who listen, because each of them then asks for it.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from deskwright.api.watch import LISTENERS, Listener, Seen, Watch
from deskwright.domain.status import Status
from deskwright.identity import sessions
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World
from deskwright.web import templating
from deskwright.web.cookies import cookie_name
from deskwright.web.view import admin

BEAT_SECONDS = 15.0
RECHECK_SECONDS = 20.0
"""So much later at most, who lost a role sees no more."""
MOST_ROWS = 200
OWN_AT_ONCE = 20
"""Pages of one person's own Cloud PCs: nobody without a role takes the places of a whole tenant."""
_PACE_SECONDS, _PACE_EACH_SECONDS = 1.0, 0.02


def routes(world: World, watching: Watch) -> list[BaseRoute]:
    here = _Live(world, watching)
    return [Route("/admin/{tenant}/live", here.admin), Route("/portal/live", here.portal)]


@dataclass
class _Live:
    world: World
    watching: Watch
    own: Counter[UUID] = field(default_factory=Counter)
    """How many pages of their own Cloud PCs each person has open."""

    async def admin(self, request: Request) -> Response:
        """Of a tenant: `row` for each row named by `rows` in the query, `changed` for all else."""
        token = _token(request)
        allowed = await run_in_threadpool(self._in_tenant, token, request.path_params["tenant"])
        if allowed is None:
            return Response(status_code=403)
        named = request.query_params.get("rows", "").split(",")[:MOST_ROWS]
        rows = frozenset(found for found in map(_id, named) if found)

        def still() -> bool:
            return self._in_tenant(token, request.path_params["tenant"]) is not None

        return self._stream(allowed, self._events(allowed, rows, still, None))

    async def portal(self, request: Request) -> Response:
        """Of a person: `changed` whenever one of their Cloud PCs does."""
        token = _token(request)
        person = await run_in_threadpool(self._person, token)
        if person is None:
            return Response(status_code=403)

        def still() -> bool:
            return self._person(token) is not None

        if self.own[person.user_id] >= OWN_AT_ONCE:
            return _full()
        tenant = TenantRef(person.tenant_id, person.tenant_name)
        events = self._events(tenant, frozenset(), still, person.user_principal_name.lower())
        return self._stream(tenant, self._counted(person.user_id, events))

    def _person(self, token: str) -> sessions.Session | None:
        """Who watches; that does not keep a session from ending."""
        return sessions.find(self.world.database, token, counts=False) if token else None

    def _in_tenant(self, token: str, name: str) -> TenantRef | None:
        person = self._person(token)
        place = person.places.get(name.lower()) if person else None
        return TenantRef(place.tenant_id, place.tenant_name) if place else None

    def _stream(self, tenant: TenantRef, events: AsyncIterator[ServerSentEvent]) -> Response:
        if self.watching.listening(tenant) >= LISTENERS:
            return _full()
        return EventSourceResponse(
            events,
            ping=int(BEAT_SECONDS),
            headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
            shutdown_event=anyio.Event(),
            shutdown_grace_period=3,
        )

    async def _counted(
        self, user: UUID, events: AsyncGenerator[ServerSentEvent, None]
    ) -> AsyncGenerator[ServerSentEvent, None]:
        self.own[user] += 1
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
        finally:
            self.own[user] -= 1
            self.own += Counter()  # forgets who has none

    async def _events(
        self, tenant: TenantRef, rows: frozenset[UUID], still: Callable[[], bool], only: str | None
    ) -> AsyncGenerator[ServerSentEvent, None]:
        async with self.watching.listen(tenant) as listener:
            yield ServerSentEvent(event="begin", data="")
            checked, told_at, waits = time.monotonic(), 0.0, False
            while True:
                if time.monotonic() - checked > RECHECK_SECONDS:
                    if not await run_in_threadpool(still):
                        yield ServerSentEvent(event="ended", data="")
                        return
                    checked = time.monotonic()
                pace = max(_PACE_SECONDS, _PACE_EACH_SECONDS * self.watching.listening(tenant))
                seen = await _next(listener, max(told_at + pace - time.monotonic(), 0.05) if waits else BEAT_SECONDS)
                if isinstance(seen, EOFError):
                    return
                if seen is not None:
                    if only is None or any(r["userPrincipalName"].lower() == only for r in seen.rows.values()):
                        waits = True
                    for cloud_pc in rows & seen.rows.keys():
                        yield ServerSentEvent(event="row", data=await _row(seen, cloud_pc, tenant))
                if waits and time.monotonic() - told_at >= pace:
                    told_at, waits = time.monotonic(), False
                    yield ServerSentEvent(event="changed", data="")


async def _next(listener: Listener, seconds: float) -> "Seen | EOFError | None":
    try:
        return await listener.next(seconds)
    except EOFError as let_go:
        return let_go


async def _row(seen: Seen, cloud_pc: UUID, tenant: TenantRef) -> str:
    """The row as it is put into the page; rendered by the first who wants it."""
    found = seen.told.get(cloud_pc)
    if found is None:
        row = seen.rows[cloud_pc]
        html = ""
        if row["status"] != Status.GONE:
            html = templating.part("admin/cloud_pcs.html", "row", pc=row, tenant=tenant.name, admin=admin)
        found = seen.told[cloud_pc] = json.dumps({"id": str(cloud_pc), "html": html})
        await asyncio.sleep(0)  # rendering many does not hold up the others
    return found


def _full() -> Response:
    return Response("Too many watch already.", 503, headers={"Retry-After": "30"})


def _token(request: Request) -> str:
    return request.cookies.get(cookie_name(request), "")


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
