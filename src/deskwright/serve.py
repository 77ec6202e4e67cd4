"""The service: one process with an HTTP server and, unless told otherwise, a worker in a thread beside it."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from deskwright import __version__, authority, jobs
from deskwright.api import routes as api
from deskwright.api.watch import Watch
from deskwright.graph import app as graph
from deskwright.identity import certificates
from deskwright.operations.measures import Measuring
from deskwright.provision.context import World
from deskwright.store import migrations
from deskwright.telemetry import exposition, metrics, traces
from deskwright.telemetry.requests import Watched
from deskwright.web import app as web

log = logging.getLogger(__name__)

DEFAULT_PORT = 8765
DEFAULT_HTTPS_PORT = 8766
SERVICE_FILE = "service.json"
_RESTART_PAUSE_SECONDS = 1.0
UVICORN: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,  # telemetry.requests writes it, with the ids
    "log_config": None,  # as telemetry.logs says
    "timeout_graceful_shutdown": 10,
    "lifespan": "off",
    "ws": "websockets-sansio",
    "ws_max_size": 65_536,  # what a screen's viewer sends is small
}
"""How the HTTP server is configured."""
_LINKS = {
    "adminCenter": "/admin",
    "portal": "/portal",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
    "graph": ["/v1.0", "/beta"],
    "deskwright": "/deskwright",
    "documentation": "/deskwright/docs",
    "openapi": ["/v1.0/openapi.json", "/beta/openapi.json", "/deskwright/openapi.json"],
}


@dataclass(frozen=True)
class Readiness:
    """What stands between this service and its work, check by check; an empty detail is a pass."""

    checks: dict[str, str]

    @property
    def ready(self) -> bool:
        return not any(self.checks.values())


def readiness(world: World, worker_alive: Callable[[], bool] | None = None) -> Readiness:
    """Database reachable, schema current, a worker alive (this process's by `worker_alive`, else any)."""
    checks = {"database": "", "schema": "", "worker": ""}
    try:
        with world.database.single.connect() as connection:
            connection.execute(text("SELECT 1"))
            workers = jobs.workers_alive(connection, world.settings.stalled_seconds)
        found, needed = migrations.current(world.database), migrations.newest()
        if found != needed:
            checks["schema"] = f"revision {found}, this program needs {needed}: deskwright db upgrade"
    except Exception as failure:  # noqa: BLE001 - whatever it is, the answer is "not ready"
        return Readiness({**checks, "database": f"not reachable: {str(failure).splitlines()[0]}"})
    if not (worker_alive() if worker_alive else workers):
        checks["worker"] = "no worker gives a sign of life: deskwright worker"
    return Readiness(checks)


def application(world: World, worker_alive: Callable[[], bool] | None = None) -> Starlette:
    """The ASGI application."""

    def about(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):  # a person with a browser
            return RedirectResponse("/admin", 303)
        return JSONResponse({"name": "Deskwright", "version": __version__, "links": _LINKS})

    def alive(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    def ready(_: Request) -> JSONResponse:
        found = readiness(world, worker_alive)
        checks = {name: {"status": "failed" if bad else "passed", "detail": bad} for name, bad in found.checks.items()}
        status = "ready" if found.ready else "notReady"
        return JSONResponse({"status": status, "checks": checks}, status_code=200 if found.ready else 503)

    measuring = Measuring(world)

    def measured(request: Request) -> Response:
        peer = request.client.host if request.client else None
        if not exposition.may_read(world.settings, peer, request.headers):
            token = world.settings.metrics_token is not None
            return Response(status_code=401 if token else 403, headers={"WWW-Authenticate": "Bearer"} if token else {})
        return Response(exposition.text(measuring.samples()), media_type=exposition.CONTENT_TYPE)

    metrics.begin(__version__)
    watching = Watch(world)
    # Functions that are not coroutines run on Starlette's threads: a slow database blocks nobody else.
    routes = [
        Route("/", about),
        Route("/healthz", alive),
        Route("/readyz", ready),
        Route("/metrics", measured),
        *api.routes(world, watching),
        *web.routes(world, watching),
        *authority.routes(world),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Watched)])


def prepare() -> None:
    """Load what the first calls would wait for. What is loaded stays, so the garbage collector leaves it alone.

    It would look at all of it every few hundred calls, and every call under way would wait for 0.1 s and more.
    """
    graph.load()
    gc.collect()
    gc.freeze()


def listen(host: str, port: int | None, default: int = DEFAULT_PORT) -> socket.socket:
    """A listening socket: on `port`, or without one on the default or, where that is taken, on any free port.

    Raises OSError where a port that was asked for is taken.
    """
    for number in (default, 0) if port is None else (port,):
        # Named as TCP, or asyncio would not turn Nagle's algorithm off: every answer would come 40 ms later.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(2048)  # from here on the port is ours, and who connects before uvicorn accepts waits
        except OSError:
            listening.close()
            if port is not None:
                raise
        else:
            return listening
    raise OSError(f"no free port on {host}")


def address(listening: socket.socket, scheme: str = "http") -> str:
    host, port = listening.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{shown}:{port}"


@dataclass
class WorkerThread:
    """The worker beside the server. Should it end by an error (the database was away), it is started again."""

    world: World
    _worker: Any = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether it does its work, and not merely begins again and again."""
        return (
            self._thread is not None and self._thread.is_alive() and self._worker is not None and self._worker.works()
        )

    def stop(self) -> None:
        """Let it finish the step it is in, and wait for that."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()
        if self._thread is not None:
            self._thread.join(30)

    def _run(self) -> None:
        from deskwright.worker import Worker

        while not self._stopping.is_set():
            self._worker = Worker(self.world)
            try:
                self._worker.run()
            except Exception:
                log.exception("the worker ended and is started again")
            self._stopping.wait(_RESTART_PAUSE_SECONDS)


@contextlib.contextmanager
def announced(data_dir: Path, url: str, https_url: str | None = None) -> Iterator[None]:
    """While this holds, `service.json` in the data directory says where the service is."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / SERVICE_FILE
    about = {"url": url, "pid": os.getpid(), "version": __version__, "startedDateTime": datetime.now(UTC).isoformat()}
    about |= {"httpsUrl": https_url} if https_url else {}
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
                path.unlink()


def running(data_dir: Path) -> dict[str, Any] | None:
    """What `service.json` says, if that process is still there."""
    try:
        about: dict[str, Any] = json.loads((data_dir / SERVICE_FILE).read_text(encoding="utf-8"))
        os.kill(int(about["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return about if not _is_zombie(int(about["pid"])) else None


class _Server(uvicorn.Server):
    """uvicorn's, with another one that stops when it does: one process, http and https."""

    beside: "_Beside | None" = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        if self.beside is not None:
            self.beside.should_exit, self.beside.force_exit = self.should_exit, self.force_exit

    async def serve_both(self, listening: socket.socket, https: socket.socket | None) -> None:
        if self.beside is None or https is None:
            await self.serve([listening])
            return
        other = asyncio.create_task(self.beside.serve([https]))
        try:
            await self.serve([listening])
        finally:
            self.beside.should_exit = True
            await other


class _Beside(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the first one's."""
        yield


def _server(world: World, app: Starlette, https: bool) -> _Server:
    server = _Server(uvicorn.Config(app, **UVICORN))
    if https:
        tls = certificates.of(world.settings.data_dir)
        server.beside = _Beside(
            uvicorn.Config(app, ssl_certfile=str(tls.server), ssl_keyfile=str(tls.server_key), **UVICORN)
        )
    return server


def serve(
    world: World,
    listening: socket.socket,
    *,
    https: socket.socket | None = None,
    with_worker: bool = True,
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. `started` is told the address.

    `https`: a second listening socket, served with the certificate of the data directory.
    """
    url = address(listening)
    if "portal_address" not in world.settings.model_fields_set:
        # Sign-in details name the place where people really find the portal.
        world = World(
            world.database, world.secrets, world.settings.model_copy(update={"portal_address": f"{url}/portal"})
        )
    worker = WorkerThread(world) if with_worker else None
    app = application(world, worker.alive if worker else None)
    server = _server(world, app, https is not None)
    prepare()
    with announced(world.settings.data_dir, url, address(https, "https") if https else None):
        if worker:
            worker.start()
        started(url)
        try:
            # uvicorn raises the signal that stopped it once more when it has ended.
            loop = server.config.get_loop_factory()
            with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=loop) as runner:
                runner.run(server.serve_both(listening, https))
        finally:
            if worker:
                worker.stop()
            traces.flush()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
