"""Single statements, sent straight to psycopg over the connections of a SQLAlchemy pool.

The pipeline and the simulated world send some forty small statements for each Cloud PC. Building SQLAlchemy's result
around a single row costs four times what psycopg itself takes (measured), so these few go without it.
"""

from collections.abc import Mapping
from typing import Any

from psycopg import OperationalError
from psycopg.rows import namedtuple_row
from sqlalchemy import Engine, exc, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

Row = Any
"""A named tuple of a statement's columns."""

LONGEST = 4096
"""Characters up to which psycopg remembers how it parsed a statement."""

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def statement(sql: str) -> str:
    """`sql`, with parameters written ``:name``, as psycopg wants it; on one line, to stay below `LONGEST`."""
    return str(text(" ".join(sql.split())).compile(dialect=_DIALECT))


def ask(engine: Engine, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Send one statement, a transaction by itself; returns its rows, none for a statement that gives none.

    Raises psycopg's errors, but SQLAlchemy's OperationalError where the connection is lost, like everything else
    that talks to the database.
    """
    pooled = engine.raw_connection()
    connection: Any = pooled.driver_connection
    try:
        cursor = connection.cursor(row_factory=namedtuple_row).execute(sql, parameters, prepare=True)
        return list(cursor.fetchall()) if cursor.rownumber is not None else []
    except OperationalError as error:
        if not connection.closed:
            raise
        pooled.invalidate()
        engine.dispose()  # after a restart of the server the other idle connections are lost too
        raise exc.OperationalError(sql, dict(parameters), error, connection_invalidated=True) from error
    finally:
        pooled.close()


def ask_one(engine: Engine, sql: str, parameters: Mapping[str, Any]) -> Row | None:
    """The statement's one row, or None."""
    rows = ask(engine, sql, parameters)
    return rows[0] if rows else None
