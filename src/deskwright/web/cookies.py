"""Who a browser is signed in as, and which addresses it may be sent to."""

import re
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from deskwright.identity import sessions
from deskwright.provision.context import World

_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x1f]*")


def cookie_name(request: HTTPConnection) -> str:
    """Browsers take a ``__Host-`` cookie from this very host and over https only."""
    return "__Host-deskwright-session" if request.url.scheme in ("https", "wss") else "deskwright-session"


def person_of(world: World, request: HTTPConnection, *, counts: bool = True) -> sessions.Session | None:
    """Who is signed in; for WebSockets too. `counts`: see `sessions.find`."""
    token = request.cookies.get(cookie_name(request), "")
    return sessions.find(world.database, token, counts=counts) if token else None


def is_local(url: str) -> bool:
    """Whether it is an address of ours to go to: nothing that leads elsewhere."""
    return bool(_LOCAL.fullmatch(url)) and not urlsplit(url).netloc
