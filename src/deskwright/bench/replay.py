"""The raw limit: the rows of a recording, written by nothing but psycopg.

The same tables with the same indexes and checks, but without foreign keys, triggers and NOTIFY; for each Cloud PC new
ids; one prepared single-row statement per row, in as many commits as recorded, over as many threads as the worker
has, each with one connection that commits synchronously and one that does not, as ours. The Cloud PCs' common rows
(reconcile) come first, in one commit, as ours. All values are made before the clock starts: nothing is decided,
nothing is read, and a commit of several rows goes to the server in one piece (pipeline mode).
"""

import json
import queue
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

from deskwright.bench import machine

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_STRIDE = 1_000_000
_WARM_UP = 2
Row = Mapping[str, Any]
"""A `capture.Written` as plain data."""


@dataclass(frozen=True)
class Statement:
    sql: bytes
    values: list[str | None]


@dataclass(frozen=True)
class Commit:
    statements: list[Statement]
    synchronous: bool


@dataclass
class Copyist:
    """Writes a recording's statements anew for each Cloud PC."""

    recording: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._fixed = set(self.recording["fixed"])

    def commit(self, rows: Iterable[Row], number: int, ids: dict[str, str]) -> Commit:
        listed = list(rows)
        synchronous = not all(row["table"].startswith("simulator.") for row in listed)
        return Commit([self.statement(row, number, ids) for row in listed], synchronous)

    def statement(self, row: Row, number: int, ids: dict[str, str]) -> Statement:
        old, new = (self._renewed(row["table"], row[side], number, ids) for side in ("old", "new"))
        table, keys = _table(row["table"]), self.recording["keys"][row["table"]]
        where = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(k)) for k in keys)
        if row["op"] == "INSERT":
            columns = [c for c, v in new.items() if v is not None]
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            places = sql.SQL(", ").join([sql.SQL("%s")] * len(columns))
            wanted = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(table, names, places)
            return Statement(wanted.as_bytes(), [new[c] for c in columns])
        of = [old[k] for k in keys]
        if row["op"] == "DELETE":
            return Statement(sql.SQL("DELETE FROM {} WHERE {}").format(table, where).as_bytes(), of)
        changed = [c for c in new if new[c] != old[c]] or keys[:1]
        sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(c)) for c in changed)
        wanted = sql.SQL("UPDATE {} SET {} WHERE {}").format(table, sets, where)
        return Statement(wanted.as_bytes(), [*(new[c] for c in changed), *of])

    def is_shared(self, row: Row) -> bool:
        """Whether the row is not the Cloud PC's alone: a counter of the site, of the plan."""
        of = row["new"] or row["old"]
        key = json.dumps([of[k] for k in self.recording["keys"][row["table"]]])
        numbered = self.recording["numbered"].get(row["table"], [])
        return not numbered and set(_UUID.findall(key)) <= self._fixed

    def _renewed(
        self, table: str, values: Mapping[str, Any] | None, number: int, ids: dict[str, str]
    ) -> dict[str, str | None]:
        counted = self.recording["numbered"].get(table, ())
        renewed = {c: _as_text(v, ids, self._fixed) for c, v in (values or {}).items()}
        for column in counted:
            if renewed.get(column):
                renewed[column] = str(int(renewed[column] or 0) + number * _STRIDE)
        return renewed


def replay(recording: Mapping[str, Any], url: str, cloud_pcs: int, threads: int, postmaster: int) -> dict[str, float]:
    """Write that many Cloud PCs; returns seconds, and the CPU seconds of this process and of PostgreSQL."""
    copyist = Copyist(recording)
    total = cloud_pcs + _WARM_UP * threads
    ids: list[dict[str, str]] = [{} for _ in range(total + 1)]
    alone = [row for row in recording["together"] if not copyist.is_shared(row)]
    together = [[copyist.statement(row, n, ids[n]) for row in alone] for n in range(1, total + 1)]
    own = [[copyist.commit(rows, n, ids[n]) for rows in recording["commits"]] for n in range(1, total + 1)]
    _make_tables(recording, copyist, url)

    warm, measured = own[: total - cloud_pcs], own[total - cloud_pcs :]
    with psycopg.connect(url) as connection:
        _write_together(connection, together[: len(warm)])
    writers = [_Writer(url) for _ in range(threads)]
    _work(writers, warm)
    cpu, server, began = time.process_time(), machine.cpu_seconds_of_family(postmaster), time.perf_counter()
    with psycopg.connect(url) as connection:
        _write_together(connection, together[len(warm) :])
    _work(writers, measured)
    found = {
        "seconds": time.perf_counter() - began,
        "pythonCpuSeconds": time.process_time() - cpu,
        "postgresqlCpuSeconds": machine.cpu_seconds_of_family(postmaster) - server,
    }
    for writer in writers:
        writer.close()
    return found


class _Writer:
    """A thread's two connections."""

    def __init__(self, url: str) -> None:
        self.synchronous = psycopg.connect(url, autocommit=True)
        self.asynchronous = psycopg.connect(url, autocommit=True, options="-c synchronous_commit=off")

    def write(self, commit: Commit) -> None:
        connection = self.synchronous if commit.synchronous else self.asynchronous
        if len(commit.statements) == 1:
            (only,) = commit.statements
            connection.execute(only.sql, only.values, prepare=True)
            return
        with connection.pipeline(), connection.transaction():
            for statement in commit.statements:
                connection.execute(statement.sql, statement.values, prepare=True)

    def close(self) -> None:
        self.synchronous.close()
        self.asynchronous.close()


def _work(writers: list[_Writer], cloud_pcs: list[list[Commit]]) -> None:
    todo: queue.SimpleQueue[list[Commit]] = queue.SimpleQueue()
    for commits in cloud_pcs:
        todo.put(commits)
    errors: list[Exception] = []

    def carry(writer: _Writer) -> None:
        try:
            for commits in _taken(todo):
                for commit in commits:
                    writer.write(commit)
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            errors.append(error)

    running = [threading.Thread(target=carry, args=(writer,)) for writer in writers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]


def _taken(todo: "queue.SimpleQueue[list[Commit]]") -> Iterator[list[Commit]]:
    while True:
        try:
            yield todo.get_nowait()
        except queue.Empty:
            return


def _write_together(connection: "psycopg.Connection[Any]", cloud_pcs: list[list[Statement]]) -> None:
    with connection.pipeline(), connection.transaction():
        for statements in cloud_pcs:
            for statement in statements:
                connection.execute(statement.sql, statement.values, prepare=True)


def _make_tables(recording: Mapping[str, Any], copyist: Copyist, url: str) -> None:
    """The tables, and in them what was there before: the counters that every Cloud PC moves on."""
    rows = [*recording["together"], *(row for commit in recording["commits"] for row in commit)]
    with psycopg.connect(url) as connection:
        for schema in ("public", "simulator"):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(f"raw_{schema}")))
        for name in dict.fromkeys(row["table"] for row in rows):
            schema, _, table = name.partition(".")
            like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING INDEXES INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
            connection.execute(like.format(_table(name), sql.Identifier(schema, table)))
        there = set()
        for row in rows:
            key = (row["table"], json.dumps([(row["new"] or row["old"])[k] for k in recording["keys"][row["table"]]]))
            if row["op"] == "UPDATE" and key not in there and copyist.is_shared(row):
                seed = copyist.statement({**row, "op": "INSERT", "new": row["old"]}, 0, {})
                connection.execute(seed.sql, seed.values)
            there.add(key)


def _table(name: str) -> sql.Identifier:
    schema, _, table = name.partition(".")
    return sql.Identifier(f"raw_{schema}", table)


def _as_text(value: Any, ids: dict[str, str], fixed: set[str]) -> str | None:
    """As PostgreSQL reads it, every id that is not `fixed` replaced by a new one, the same one for the same."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    plain = value if isinstance(value, str) else json.dumps(value)
    return _UUID.sub(lambda m: m[0] if m[0] in fixed else ids.setdefault(m[0], str(uuid4())), plain)
