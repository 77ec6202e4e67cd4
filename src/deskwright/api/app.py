"""The application behind `/deskwright`: routes, refusals, and its OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from deskwright import __version__
from deskwright.api import access, cloud_pcs, domains, events, failures, tenant
from deskwright.api.models import ErrorAnswer
from deskwright.api.watch import Watch
from deskwright.provision.context import World

PREFIX = "/deskwright"
_DESCRIPTION = (
    "What Microsoft Graph has no word for: plan and apply, timelines, explanations, faults, the clock, the ledger. "
    "The tenant is the token's. A tenant's Cloud PCs, policies, connections and images themselves are under /v1.0 "
    "and /beta."
)
_STATUSES = {
    400: "The request is not as it must be; the error names the part.",
    401: "No valid access token.",
    403: "The token lacks a permission, or the person a role.",
    404: "No such object in this tenant.",
    409: "The object's state does not allow it, or it wants a confirmation.",
    413: "The body is too large.",
    415: "The body's media type is not read here.",
    429: "Too many at once; see Retry-After.",
    503: "The database does not answer; see Retry-After.",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": said} for status, said in _STATUSES.items()
}


def create(world: World | None, watching: Watch | None = None) -> FastAPI:
    """The ASGI application; without a world only its description is of use."""
    app = FastAPI(
        title="Deskwright",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses=_REFUSALS,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.world = world
    app.state.watch = watching
    app.include_router(events.router)  # before /cloudPCs/{cloudPC}
    app.include_router(cloud_pcs.router)
    app.include_router(tenant.router)
    app.include_router(access.router)
    app.include_router(domains.router)
    failures.install(app)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    app = create(None)
    found: dict[str, Any] = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        servers=[{"url": PREFIX}],
        tags=[{"name": "Cloud PCs"}, {"name": "Tenant"}],
    )
    for path in found["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # told as 400
            said, _, rest = operation.get("description", "").partition("\n")
            operation["summary"] = said or operation["summary"]  # the docstring's first line, not the function's name
            operation["description"] = rest.strip() or said
    for unused in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(unused, None)
    return found


def _operation_id(route: APIRoute) -> str:
    return route.name
