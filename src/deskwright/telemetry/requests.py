"""Every HTTP request: its ids, its line in the log, its counters, its span."""

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deskwright.telemetry import correlation, traces
from deskwright.telemetry.metrics import REQUEST_SECONDS, REQUESTS

log = logging.getLogger("deskwright.access")

TEMPLATE = "deskwright.template"
"""In the ASGI scope: the template of a route that Starlette does not know, below where it is mounted."""
_CLIENT_ID = re.compile(r"^[\x21-\x7e]{1,100}$")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SURFACES = {"v1.0": "graph", "beta": "graph", "deskwright": "api", "admin": "admin", "portal": "portal"}
_OFTEN = frozenset({"/healthz", "/readyz", "/metrics"})


class Watched:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        headers = Headers(scope=scope)
        given = headers.get("client-request-id", "")
        ids = {"request_id": request_id}
        if _CLIENT_ID.match(given):
            ids["client_request_id"] = given
        with correlation.bound(**ids):
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
                return
            await self._serve(scope, receive, send, headers, request_id, given if len(ids) > 1 else request_id)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, request_id: str, client_request_id: str
    ) -> None:
        began, status, streams = time.perf_counter(), 500, False
        span = traces.begin_request(headers) if traces.enabled() else None

        async def named(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = MutableHeaders(scope=message)
                streams = sent.get("content-type", "").startswith("text/event-stream")
                sent.setdefault("request-id", request_id)
                sent.setdefault("client-request-id", client_request_id)
            await send(message)

        try:
            await self._app(scope, receive, named)
        finally:
            seconds = time.perf_counter() - began
            route = self._route(scope)
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            REQUESTS.count(method, route, str(status))
            if not streams:
                REQUEST_SECONDS.observe(seconds, surface(route))
            if span is not None:
                traces.end_request(span, method, route, status)
            level = logging.DEBUG if route in _OFTEN else logging.INFO
            if log.isEnabledFor(level):
                # The template and not the path, nor the query: links and codes to sign in by are in those.
                told = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
                log.log(level, "%s %s %s", method, route, status, extra=told)

    def _route(self, scope: Scope) -> str:
        """The template of the route that served it; whatever nobody serves is one."""
        root = str(scope.get("root_path", ""))
        found = scope.get(TEMPLATE) or getattr(scope.get("route"), "path", None)
        if found is None:
            return "unmatched"
        return f"{root}/*" if found == root else f"{root}{found}"  # the former: only where something is mounted


def surface(route: str) -> str:
    """Which part of the service a route belongs to."""
    first = route.lstrip("/").partition("/")[0]
    if "oauth2" in route or "openid" in route:
        return "authority"
    return _SURFACES.get(first, "other")
