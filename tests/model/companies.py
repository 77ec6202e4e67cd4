"""A company on a fresh database for each generated sequence."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from deskwright.settings import Settings
from deskwright.store.database import Database
from tests.company import Company, found
from tests.model.machine import Machine

_numbers = count(1)


@contextmanager
def companies(server: Database, directory: Path) -> Iterator[type[Machine]]:
    """The machine, with a company on a fresh database for each sequence."""
    open_ones = ExitStack()

    def close(database: Database, name: str) -> None:
        database.close()
        with server.single.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    def founding() -> Company:
        name = f"m{next(_numbers)}"
        with server.single.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template STRATEGY wal_log"))
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
        database = Database(url, pool_size=4)
        open_ones.callback(close, database, name)
        return found(database, Settings(data_dir=directory))

    class Fresh(Machine):
        """Its own counter of what the sequences met."""

    Fresh.met = Counter()
    Fresh.founding, Fresh.closing = founding, open_ones.close
    try:
        yield Fresh
    finally:
        open_ones.close()
