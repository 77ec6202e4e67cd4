"""Admission to a Cloud PC's screen: given to a page of the person who may see it, used by the WebSocket it begins.

An admission is a sealed text in the WebSocket's address. It counts for half a minute, for the browser session that
asked for it, for that one address (so for one Cloud PC and one door), and once in this process.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit
from uuid import UUID

from cryptography.fernet import InvalidToken
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from deskwright.domain.rules import NotFound, Refused
from deskwright.identity.passwords import digest
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.identity.sessions import Session
from deskwright.operations import consoles, own_cloud_pcs
from deskwright.operations.change import TenantRef
from deskwright.providers.contract import Screen
from deskwright.provision.context import World
from deskwright.web.cookies import cookie_name, person_of
from deskwright.web.view import File, View, told

SECONDS = 30.0
"""From the opening of a console to its WebSocket, in real time."""

Allowed = Callable[[WebSocket, Session], TenantRef | None]
"""In which tenant this person may see the Cloud PC of the WebSocket's address; None: they may not."""


def opened(view: View, tenant: TenantRef, cloud_pc: str, socket: str, *, own: UUID | None = None) -> File:
    """Open the console of a Cloud PC, and answer what `static/console.js` asks for: the screen's one-time password and
    the WebSocket's address, or why not.

    socket: its path, as one of `Doors` serves it; own: the user whom a caller without a role is limited to. Raises
    NotFound.
    """
    try:
        ticket = consoles.open_console(view.world, tenant, view.actor, cloud_pc, own=own)
    except NotFound:
        raise
    except Refused as refused:
        return _json({"message": told(refused)})
    held = {
        "for": "screen",
        "session": _session(view.request),
        "socket": unquote(socket),
        "until": time.time() + SECONDS,
        "ticket": ticket.sealed,
    }
    sealed = view.world.secrets.encrypt(json.dumps(held)).decode()
    return _json({"password": ticket.password, "socket": f"{socket}?{urlencode({'ticket': sealed})}"})


@dataclass
class Doors:
    """Who may connect to a screen: what `console.endpoint` asks, for owners and for administrators."""

    world: World
    _used: dict[str, float] = field(default_factory=dict)
    """Digests of the admissions that were used, and until when each would have counted."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def own(self, websocket: WebSocket) -> Screen | None:
        """At ``/portal/cloud-pcs/{cloud_pc}/…``."""
        return self._screen(websocket, self._owner)

    def still_own(self, websocket: WebSocket) -> bool:
        return self._still(websocket, self._owner)

    def administrators(self, websocket: WebSocket) -> Screen | None:
        """At ``/admin/{tenant}/cloud-pcs/{cloud_pc}/…``. A reader may not."""
        return self._screen(websocket, self._administrator)

    def still_administrators(self, websocket: WebSocket) -> bool:
        return self._still(websocket, self._administrator)

    def _owner(self, websocket: WebSocket, person: Session) -> TenantRef | None:
        home = TenantRef(person.tenant_id, person.tenant_name)
        pc = websocket.path_params["cloud_pc"]
        return home if own_cloud_pcs.is_usable(self.world.database, home, person.user_id, pc) else None

    def _administrator(self, websocket: WebSocket, person: Session) -> TenantRef | None:
        place = person.places.get(websocket.path_params["tenant"].lower())
        if place is None or place.role != ADMINISTRATOR:
            return None
        return TenantRef(place.tenant_id, place.tenant_name)

    def _screen(self, websocket: WebSocket, allowed: Allowed) -> Screen | None:
        if not _is_ours(websocket, self.world.settings.public_address):
            return None
        person = person_of(self.world, websocket)
        tenant = allowed(websocket, person) if person else None
        held = self._held(websocket.query_params.get("ticket", ""))
        if person is None or tenant is None or held is None:
            return None
        mine = _session(websocket), websocket.scope["path"]
        if (held.get("session"), held.get("socket")) != mine or not self._first_use(held):
            return None
        return consoles.screen_of(self.world, tenant, person.user_principal_name, held["ticket"])

    def _still(self, websocket: WebSocket, allowed: Allowed) -> bool:
        person = person_of(self.world, websocket)
        return person is not None and allowed(websocket, person) is not None

    def _held(self, sealed: str) -> dict[str, Any] | None:
        try:
            held: dict[str, Any] = json.loads(self.world.secrets.decrypt(sealed.encode()))
        except (InvalidToken, ValueError):
            return None
        return held if held.get("for") == "screen" and held["until"] >= time.time() else None

    def _first_use(self, held: dict[str, Any]) -> bool:
        mark, now = digest(held["ticket"]), time.time()
        with self._lock:
            for old in [m for m, until in self._used.items() if until < now]:
                del self._used[old]
            if mark in self._used:
                return False
            self._used[mark] = held["until"]
            return True


def _is_ours(websocket: WebSocket, public_address: str | None) -> bool:
    """Whether a page of ours begins it. Browsers let every page connect anywhere, cookies along, and say from where."""
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    ours = {f"{scheme}://{websocket.headers.get('host', '')}".lower()}
    if public_address:
        parts = urlsplit(public_address)
        ours.add(f"{parts.scheme}://{parts.netloc}".lower())
    return websocket.headers.get("origin", "").lower() in ours


def _session(request: HTTPConnection) -> str:
    """Which session a browser is in, without its token."""
    return digest(f"screen:{request.cookies.get(cookie_name(request), '')}")


def _json(said: dict[str, str]) -> File:
    return File(json.dumps(said).encode(), "application/json")
