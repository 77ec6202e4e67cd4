"""Single statements, sent straight to psycopg over the connections of a SQLAlchemy pool.

The pipeline and the simulated world send some forty small statements for each Cloud PC. Building SQLAlchemy's result
around a single row costs four times what psycopg itself takes (measured), so these few go without it.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg import OperationalError
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, PoolProxiedConnection, Select, exc, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

Row = Any
"""A named tuple of a statement's columns."""

LONGEST = 4096
"""Characters up to which psycopg remembers how it parsed a statement."""

_DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]


def statement(sql: str) -> str:
    """`sql`, with parameters written ``:name``, as psycopg wants it; on one line, to stay below `LONGEST`."""
    return str(text(" ".join(sql.split())).compile(dialect=_DIALECT))


def compiled(query: "Select[Any]") -> tuple[str, dict[str, Any]]:
    """A SELECT as psycopg wants it, and the values that stand in it already; `bindparam`s are the caller's."""
    made = query.compile(dialect=_DIALECT)
    return " ".join(str(made).split()), {name: value for name, value in made.params.items() if value is not None}


def first(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> Row | None:
    """The first row of a statement, sent over an open connection."""
    driver: Any = connection.connection.driver_connection
    found: Row | None = driver.cursor(row_factory=namedtuple_row).execute(sql, parameters, prepare=True).fetchone()
    return found


class _Held(threading.local):
    """The connections that this thread keeps for now: engine -> checked-out connection; None: none are kept."""

    by_engine: dict[Engine, PoolProxiedConnection] | None = None


_HELD = _Held()


@contextmanager
def same_connections() -> Iterator[None]:
    """Within this block, a thread's statements use the connection they used before: a run sends some forty.

    Fetching one from the pool and giving it back costs as much as preparing the statement's parameters (measured).
    """
    if _HELD.by_engine is not None:
        yield
        return
    held = _HELD.by_engine = {}
    try:
        yield
    finally:
        _HELD.by_engine = None
        for pooled in held.values():
            pooled.close()


def ask(engine: Engine, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    """Send one statement, a transaction by itself; returns its rows, none for a statement that gives none.

    Raises psycopg's errors, but SQLAlchemy's OperationalError where the connection is lost, like everything else
    that talks to the database.
    """
    held = _HELD.by_engine
    pooled = held.get(engine) if held is not None else None
    if pooled is None:
        pooled = engine.raw_connection()
        if held is not None:
            held[engine] = pooled
    connection: Any = pooled.driver_connection
    try:
        cursor = connection.cursor(row_factory=namedtuple_row).execute(sql, parameters, prepare=True)
        return list(cursor.fetchall()) if cursor.rownumber is not None else []
    except OperationalError as error:
        if not connection.closed:
            raise
        pooled.invalidate()
        if held is not None:
            held.pop(engine, None)
        engine.dispose()  # after a restart of the server the other idle connections are lost too
        raise exc.OperationalError(sql, dict(parameters), error, connection_invalidated=True) from error
    finally:
        if held is None:
            pooled.close()


def ask_one(engine: Engine, sql: str, parameters: Mapping[str, Any]) -> Row | None:
    """The statement's one row, or None."""
    rows = ask(engine, sql, parameters)
    return rows[0] if rows else None
