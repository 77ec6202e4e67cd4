"""What of the APIs is open without sign-in: their OpenAPI documents and the page about them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from deskwright.api import app, pages
from deskwright.api.watch import Watch
from deskwright.graph.app import GraphApp
from deskwright.graph.contract import VERSIONS
from deskwright.provision.context import World


def routes(world: World, watching: Watch | None = None) -> list[BaseRoute]:
    """`/v1.0`, `/beta` and `/deskwright`; `watching` is shared with the pages."""
    open_to_all = [
        *(Route(f"/{name}/openapi.json", _document) for name in pages.DOCUMENTS),
        Route("/deskwright/docs", _page),
        *(Route(f"/deskwright/docs/{version}", _page) for version in VERSIONS),
    ]
    graph = [Mount(f"/{version}", GraphApp(world, version)) for version in VERSIONS]
    return [*open_to_all, *graph, Mount(app.PREFIX, app.create(world, watching or Watch(world)))]


# Not coroutines: the first call of each makes it, for some tenths of a second.
def _document(request: Request) -> Response:
    name = request.url.path.split("/")[1]
    return Response(pages.openapi_json(name), media_type="application/json")


def _page(request: Request) -> Response:
    last = request.url.path.rpartition("/")[2]
    headers = {
        "Content-Security-Policy": pages.policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return Response(
        pages.page(last if last in pages.DOCUMENTS else "deskwright"), media_type="text/html", headers=headers
    )
