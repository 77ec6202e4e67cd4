"""How the simulated world's statements are sent: straight to psycopg, over the connections of `Database.world`.

Some fifteen of them make one Cloud PC, and building SQLAlchemy's result around a single row would cost as much as all
the rest of a provider call.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import OperationalError
from psycopg.rows import namedtuple_row
from sqlalchemy import exc, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from deskwright.store.database import Database

Row = Any
"""A named tuple of a statement's columns."""

LONGEST = 4096
"""Characters up to which psycopg remembers how it parsed a statement."""

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def statement(sql: str) -> str:
    """`sql`, with parameters written ``:name``, as psycopg wants it; on one line, to stay below `LONGEST`."""
    return str(text(" ".join(sql.split())).compile(dialect=_DIALECT))


def ask(database: Database, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Send one statement, a transaction by itself; returns its rows. Raises psycopg's errors, but SQLAlchemy's
    OperationalError where the connection is lost, like everything else that talks to the database."""
    pooled = database.world.raw_connection()
    connection: Any = pooled.driver_connection
    try:
        return list(connection.cursor(row_factory=namedtuple_row).execute(sql, parameters).fetchall())
    except OperationalError as error:
        if not connection.closed:
            raise
        pooled.invalidate()
        database.world.dispose()  # after a restart of the server the other idle connections are lost too
        raise exc.OperationalError(sql, dict(parameters), error, connection_invalidated=True) from error
    finally:
        pooled.close()
