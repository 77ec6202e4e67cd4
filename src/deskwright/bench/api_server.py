"""The service that `api` measures: what `deskwright serve --no-worker` serves, and the framework's empty JSON answer
beside it, so that both are measured in one process. Run by ``python -m deskwright.bench.api_server``."""

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deskwright.provision.context import World
from deskwright.serve import UVICORN, address, announced, application, listen, prepare
from deskwright.settings import Settings
from deskwright.store.database import open_database
from deskwright.store.secrets import open_secrets

EMPTY = "/bench/empty"


async def _empty(_: Request) -> JSONResponse:
    return JSONResponse({})


def main() -> None:
    settings = Settings()
    database = open_database(settings, settings.concurrency)
    app = application(World(database, open_secrets(settings), settings))
    app.router.routes.insert(0, Route(EMPTY, _empty))
    prepare()
    listening = listen("127.0.0.1", 0)
    with announced(settings.data_dir, address(listening)):
        uvicorn.Server(uvicorn.Config(app, **UVICORN)).run(sockets=[listening])


if __name__ == "__main__":
    main()
