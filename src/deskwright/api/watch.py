"""Watching a tenant's Cloud PCs for those who listen: two looks a second at the database, however many they are.

The looks of a tenant begin with its first listener and end with its last. Nobody holds a thread or a connection
between two looks.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sse_starlette.sse import AppStatus
from starlette.concurrency import run_in_threadpool

from deskwright.graph.errors import GraphError
from deskwright.operations import listing, watching
from deskwright.operations.change import TenantRef
from deskwright.provision.context import World

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
LISTENERS = 2000
"""Most of a tenant's at once."""
_BEHIND = 200
"""Looks that a listener may be behind before it is let go; it comes back with its last event's id."""


@dataclass(frozen=True)
class Seen:
    """What has changed since the look before."""

    at: datetime
    rows: dict[UUID, dict[str, Any]]
    """As `listing.cloud_pcs` tells them."""
    told: dict[Any, str] = field(default_factory=dict)
    """What was made of it for one listener and serves the others too."""


@dataclass(eq=False)
class Listener:
    """One who listens."""

    began: datetime
    _queue: "asyncio.Queue[Seen | None]" = field(default_factory=lambda: asyncio.Queue(_BEHIND))

    async def next(self, timeout: float) -> Seen | None:
        """What changed next; None after `timeout` seconds without a change. Raises EOFError when it is let go."""
        try:
            async with asyncio.timeout(timeout):
                seen = await self._queue.get()
        except TimeoutError:
            return None
        if seen is None:
            raise EOFError
        return seen

    def tell(self, seen: Seen | None) -> bool:
        try:
            self._queue.put_nowait(seen)
        except asyncio.QueueFull:
            return False
        return True


@dataclass
class _Tenant:
    listeners: set[Listener] = field(default_factory=set)
    last: watching.Look | None = None
    task: "asyncio.Task[None] | None" = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)


class Watch:
    """Of all tenants of this process; used inside its event loop only."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tenants: dict[UUID, _Tenant] = {}

    def must_have_room(self, tenant: TenantRef) -> None:
        """Raises 429 where too many listen."""
        watched = self._tenants.get(tenant.id)
        if len(watched.listeners if watched else ()) >= LISTENERS:
            headers = {"Retry-After": "30"}
            raise GraphError(429, "TooManyRequests", f"{LISTENERS} listen to this tenant already.", headers=headers)

    @asynccontextmanager
    async def listen(self, tenant: TenantRef) -> AsyncIterator[Listener]:
        """Hear of every change from now on. Raises 429 where too many listen."""
        self.must_have_room(tenant)
        watched = self._tenants.setdefault(tenant.id, _Tenant())
        if watched.task is None or watched.task.done():
            watched.last, watched.ready = None, asyncio.Event()
            watched.task = asyncio.create_task(self._look_on(tenant, watched))
        listener: Listener | None = None
        holding = Listener(datetime.min)  # counts already, so that the task does not end before we begin
        watched.listeners.add(holding)
        try:
            await watched.ready.wait()
            assert watched.last is not None
            listener = Listener(watched.last.at)
            watched.listeners.add(listener)
            watched.listeners.discard(holding)
            yield listener
        finally:
            watched.listeners.discard(holding)
            if listener is not None:
                watched.listeners.discard(listener)
            if not watched.listeners and watched.task is not None:
                watched.task.cancel()
                self._tenants.pop(tenant.id, None)

    def listening(self, tenant: TenantRef) -> int:
        """How many listen to a tenant."""
        watched = self._tenants.get(tenant.id)
        return len(watched.listeners) if watched else 0

    async def _look_on(self, tenant: TenantRef, watched: _Tenant) -> None:
        while watched.listeners or watched.last is None:
            try:
                seen, rows = await run_in_threadpool(self._look, tenant, watched.last)
            except Exception:  # the database was away: look again
                log.warning("watching %s", tenant.name, exc_info=True)
            else:
                watched.last = seen
                watched.ready.set()
                if rows:
                    self._tell(watched, Seen(seen.at, rows))
            if AppStatus.should_exit:  # the server stops: let everybody go in peace
                for listener in watched.listeners:
                    listener.tell(None)
            await asyncio.sleep(LOOK_SECONDS)

    def _look(
        self, tenant: TenantRef, before: watching.Look | None
    ) -> tuple[watching.Look, dict[UUID, dict[str, Any]]]:
        with self._world.database.single.connect() as connection:
            now, changed = watching.look(connection, tenant, before)
            rows = listing.cloud_pcs(connection, tenant, ids=changed) if changed else []
        return now, {UUID(row["id"]): row for row in rows}

    def _tell(self, watched: _Tenant, seen: Seen) -> None:
        for listener in list(watched.listeners):
            if not listener.tell(seen):
                watched.listeners.discard(listener)
                with suppress(asyncio.QueueEmpty):
                    listener._queue.get_nowait()
                listener.tell(None)


def of(state: Any) -> Watch:
    """The watch of an application's state."""
    found: Watch = state.watch
    return found
