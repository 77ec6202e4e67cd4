"""Refusals of `/deskwright`, in Graph's envelope, with the ids of the request; and bodies that are too large."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import exc
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deskwright.document.problems import DocumentProblems
from deskwright.domain.rules import Refused
from deskwright.graph.errors import GraphError, bad, refused
from deskwright.telemetry import correlation

log = logging.getLogger(__name__)

LARGEST = 1_000_000
"""Bytes of a request's body."""
LARGEST_DOCUMENT = 64_000_000
"""Bytes of a tenant document: some 500,000 users."""
_DOCUMENTS = ("/plan", "/apply")
_CODES = {404: "ResourceNotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge", 415: "UnsupportedMediaType"}
_CLIENT_ID = re.compile(r"^[\x21-\x7e]{1,100}$")


def install(app: FastAPI) -> None:
    """Let `app` answer every refusal as Graph does."""
    app.add_middleware(_Envelope)

    @app.exception_handler(GraphError)
    def _graph(request: Request, error: GraphError) -> Response:
        return answer(request, error)

    @app.exception_handler(DocumentProblems)
    def _problems(request: Request, found: DocumentProblems) -> Response:
        details = [
            {"code": "invalidDocument", "message": str(p), "target": p.field, **p.as_json()} for p in found.problems
        ]
        many = "1 problem" if found.count == 1 else f"{found.count} problems"
        message = f"The document has {many}; nothing was changed. The first: {found.problems[0]}"
        return answer(request, GraphError(400, "invalidDocument", message, target=found.field, details=details))

    @app.exception_handler(Refused)
    def _refused(request: Request, cause: Refused) -> Response:
        return answer(request, refused(cause))

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, invalid: RequestValidationError) -> Response:
        return answer(request, _validation(invalid.errors()))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        said = "No such resource." if error.status_code == 404 else f"{error.detail}."
        code = _CODES.get(error.status_code, "BadRequest")
        return answer(request, GraphError(error.status_code, code, said, headers=error.headers))

    async def busy(request: Request, _: Exception) -> Response:
        log.warning("the database did not answer", exc_info=True)
        said = "The service is busy, or its database is starting. Try again shortly."
        return answer(request, GraphError(503, "serviceNotAvailable", said, headers={"Retry-After": "2"}))

    app.add_exception_handler(exc.OperationalError, busy)
    app.add_exception_handler(exc.TimeoutError, busy)


def answer(request: Request, error: GraphError) -> Response:
    ids: tuple[str, str] = request.scope["request_ids"]
    return JSONResponse(error.body(*ids), error.status, headers=error.headers)


def _validation(errors: Sequence[Mapping[str, Any]]) -> GraphError:
    first = errors[0]
    where = [str(part) for part in first["loc"][1:]]
    name = ".".join(where) or "body"
    if first["type"] == "json_invalid":
        return bad("The request's body is not JSON.", "body")
    shown = "" if first["type"] == "missing" else f" {first['input']!r:.80}"
    return bad(f"{name}{shown}: {first['msg']}.", name)


class _Envelope:
    """The request's ids, the limit of bodies, and 500 for what nobody foresaw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = correlation.request_id()
        headers = Headers(scope=scope)
        given = headers.get("client-request-id", "")
        client_request_id = given if _CLIENT_ID.match(given) else request_id
        scope["request_ids"] = (request_id, client_request_id)
        largest = LARGEST_DOCUMENT if scope["path"].endswith(_DOCUMENTS) else LARGEST
        size, begun = 0, False

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > largest:
                raise _too_large(largest)
            return message

        async def named(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                sent = MutableHeaders(scope=message)
                sent["request-id"], sent["client-request-id"] = request_id, client_request_id
            await send(message)

        told = headers.get("content-length", "")
        request = Request(scope)
        try:
            if told.isdigit() and int(told) > largest:
                raise _too_large(largest)
            await self._app(scope, limited, named)
        except HTTPException as error:
            response = answer(request, GraphError(error.status_code, _CODES[error.status_code], error.detail))
            await response(scope, receive, named)
        except Exception:
            log.exception("%s %s (request-id %s)", scope["method"], scope["path"], request_id)
            if begun:
                raise
            ours = GraphError(500, "generalException", "An error occurred in the service. Its log has the request-id.")
            await answer(request, ours)(scope, receive, named)


def _too_large(largest: int) -> HTTPException:
    return HTTPException(413, f"The request's body is larger than {largest} bytes")
