"""The endpoint of `/v1.0` and `/beta`: one ASGI application for every call.

It finds the route, checks who asks, reads options and body, lets the handler work on a thread, and writes the answer
or the error envelope. Handlers raise; nothing else here knows about a particular object.
"""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import orjson
from sqlalchemy import exc
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deskwright.domain.rules import Refused
from deskwright.graph import resources
from deskwright.graph.answers import Accepted, Bytes, Created
from deskwright.graph.bodies import LARGEST, must_be_texts
from deskwright.graph.call import Call, options
from deskwright.graph.contract import VERSIONS, model
from deskwright.graph.errors import CONFIRM_HEADER, GraphError, bad, refused
from deskwright.graph.routes import Found, Router, router
from deskwright.identity.caller import Caller
from deskwright.identity.permissions import satisfies
from deskwright.identity.tokens import Unauthenticated, authenticate
from deskwright.provision.context import World
from deskwright.telemetry import correlation
from deskwright.telemetry.requests import TEMPLATE

log = logging.getLogger(__name__)

_JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
_ODD = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Escapes that a text may hold which cannot be kept: U+0000, half of a surrogate pair."""
_CLIENT_ID = re.compile(r"^[\x21-\x7e]{1,100}$")
_BODY_SECONDS = 30


class GraphApp:
    """`/v1.0` or `/beta`."""

    def __init__(self, world: World, version: str) -> None:
        self._world, self._version = world, version
        self._under_way: Counter[str] = Counter()
        """Requests being served, by their Authorization header."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        request_id = correlation.request_id()
        given = request.headers.get("client-request-id", "")
        client_request_id = given if _CLIENT_ID.match(given) else request_id
        try:
            response = await self._answer(request)
        except GraphError as error:
            response = _json(error.body(request_id, client_request_id), error.status)
            response.headers.update(error.headers)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("%s %s (request-id %s)", request.method, request.url.path, request_id)
            ours = GraphError(500, "generalException", "An error occurred in the service. Its log has the request-id.")
            response = _json(ours.body(request_id, client_request_id), 500)
        response.headers["request-id"] = request_id
        response.headers["client-request-id"] = client_request_id
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        raw = request.scope.get("raw_path")
        if raw:  # not decoded: a key may hold a slash
            prefix = request.scope.get("root_path", "").encode()
            path = raw.split(b"?")[0].removeprefix(prefix).decode("ascii", "replace")
        body = await _body(request)
        with self._one_more(request.headers.get("authorization", "")):
            return await run_in_threadpool(self._serve, request, path, body)

    @contextmanager
    def _one_more(self, who: str) -> Iterator[None]:
        """Hold one client to its share of the threads: beyond it 429, and the SDKs come again by themselves."""
        if self._under_way[who] >= self._world.settings.requests_at_once:
            many = (
                f"More than {self._world.settings.requests_at_once} requests at once with one token. Try again shortly."
            )
            raise GraphError(429, "TooManyRequests", many, headers={"Retry-After": "1"})
        self._under_way[who] += 1
        try:
            yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]

    def _serve(self, request: Request, path: str, body: bytes) -> Response:
        try:
            authorization = request.headers.get("authorization")
            world = self._world
            caller = authenticate(world.database, world.secrets, authorization, base=world.settings.public_address)
        except Unauthenticated as none:
            headers = {"WWW-Authenticate": f'Bearer realm="", error="{none.reason}"'}
            raise GraphError(401, "InvalidAuthenticationToken", none.description, headers=headers) from None
        correlation.note(tenant=caller.tenant_id)
        found = _router(self._version).find(request.method, path)
        request.scope[TEMPLATE] = found.route.path
        _permit(caller, found)
        call = Call(
            world=self._world,
            model=model(self._version),
            caller=caller,
            keys=found.keys,
            arguments=found.arguments,
            options=options(_query(request.url.query)),
            body=_parsed(body, request.headers.get("content-type", "")),
            url=str(request.url),
            root=f"{request.url.scheme}://{request.url.netloc}/{self._version}",
            confirmed=request.headers.get(CONFIRM_HEADER, "").lower() == "true",
            unknown_members="include-unknown-enum-members" in request.headers.get("prefer", "").lower(),
            address=request.client.host if request.client else "",
        )
        try:
            answer = found.route.serve(call)
        except Refused as cause:
            raise refused(cause) from None
        except (exc.OperationalError, exc.TimeoutError):
            log.warning("the database did not answer", exc_info=True)
            busy = "The service is busy, or its database is starting. Try again shortly."
            raise GraphError(503, "serviceNotAvailable", busy, headers={"Retry-After": "2"}) from None
        match answer:
            case None:
                return Response(status_code=204)
            case Created():
                return _json(answer.entity, 201)
            case Accepted():
                return _json(answer.entity, 202)
            case Bytes():
                return Response(answer.content, media_type=answer.media_type)
        return _json(answer, 200)


def _permit(caller: Caller, found: Found) -> None:
    access = found.route.access
    if access.delegated_only and not caller.delegated:
        raise GraphError(
            403, "Forbidden", "This call is for signed-in people only; applications by themselves cannot make it."
        )
    if satisfies(caller, access.scopes, writes=found.route.writes, own=access.own):
        return
    needed = " or ".join(access.scopes)
    role = " and a role that allows it (Cloud PC Administrator, or Cloud PC Reader to read)" if caller.delegated else ""
    raise GraphError(403, "Forbidden", f"This call needs the permission {needed}{role}.")


def _query(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100))
    except (ValueError, UnicodeDecodeError):
        raise bad("The query string cannot be read.") from None


async def _body(request: Request) -> bytes:
    """The body, refused with 413 as soon as it is longer than `LARGEST`."""
    too_large = GraphError(413, "RequestEntityTooLarge", f"The request's body is larger than {LARGEST} bytes.")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > LARGEST:
        raise too_large
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            content = await _read(request)
    except TimeoutError:
        said = f"The request's body did not come within {_BODY_SECONDS} seconds."
        raise GraphError(408, "RequestTimeout", said) from None
    if content is None:
        raise too_large
    return content


async def _read(request: Request) -> bytes | None:
    """All of the body; None as soon as it is longer than `LARGEST`."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            return None
    return bytes(content)


def _parsed(body: bytes, content_type: str) -> Any:
    if not body.strip():
        return None
    media = content_type.partition(";")[0].strip().lower()
    if media and media != "application/json" and not media.endswith("+json"):
        raise GraphError(415, "UnsupportedMediaType", f"The request's body must be application/json, not {media[:60]}.")
    try:
        parsed = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise bad("The request's body is nested too deeply.", "body") from None
    except ValueError as unreadable:
        raise bad(f"The request's body is not JSON: {unreadable}.", "body") from None
    if _ODD.search(body):
        must_be_texts(parsed)
    return parsed


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json(content: Mapping[str, Any], status: int) -> Response:
    return Response(orjson.dumps(content), status, media_type=_JSON)


@cache
def _router(version: str) -> Router:
    resources.load()
    return router(version)


def load() -> None:
    """Read contracts and routes, which else the first calls would wait for."""
    for version in VERSIONS:
        _router(version)
