"""Reports: tables made from what is truly known, as the API's ``{"TotalRowCount", "Schema", "Values"}``.

Sessions of users are not recorded by Deskwright: reports about them list each Cloud PC with no use at all, or nothing.
Reports about what does not exist here (Frontline, disaster recovery, performance counters) are empty tables.
"""

import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, func, select

from deskwright.graph import bodies, filters
from deskwright.graph.answers import Bytes
from deskwright.graph.call import Call
from deskwright.graph.errors import bad
from deskwright.graph.filters import Field, Fields
from deskwright.graph.render import plain

MOST = 10_000
"""Rows of one answer; exports have all."""
USUAL = 1000
_KINDS = {"String": "text", "Int64": "int", "Double": "number", "DateTime": "time", "Boolean": "bool"}
# The older way to write a time in a filter.
_TIME = re.compile(r"datetime(?:offset)?'([^']*)'", re.IGNORECASE)


@dataclass(frozen=True)
class Report:
    """A table: its columns with their types, in order, and the tenant's rows under those names.

    Without `rows` it is about what does not exist here: no rows, whatever is asked.
    """

    columns: Mapping[str, str]
    rows: "Callable[[UUID], Select[Any]] | None" = None


@dataclass(frozen=True)
class Asked:
    """What a client wants of a report."""

    select: Sequence[str] = ()
    filter: str | None = None
    order_by: Sequence[str] = ()
    group_by: Sequence[str] = ()
    search: str | None = None
    top: int | None = None
    skip: int = 0


def asked(call: Call) -> Asked:
    """From the body of a report's call. Raises 400 naming what is wrong."""

    def texts(name: str) -> list[str]:
        return list(bodies.parameter(call, name, "Collection(String)", required=False) or ())

    def whole(name: str) -> int | None:
        value: int | None = bodies.parameter(call, name, "Int32", required=False)
        if value is not None and value < 0:
            raise bad(f"'{name}' must not be negative; it is {value}.", name)
        return value

    return Asked(
        texts("select"),
        bodies.parameter(call, "filter", "String", required=False) or None,
        texts("orderBy"),
        texts("groupBy"),
        bodies.parameter(call, "search", "String", required=False) or None,
        whole("top") or None,
        whole("skip") or 0,
    )


def answer(call: Call, report: Report, wanted: Asked) -> Bytes:
    """The report as clients read it: JSON, sent as an octet stream."""
    size = min(wanted.top or USUAL, MOST)
    if report.rows is None:
        names = _spelled(report, wanted.group_by or wanted.select, strict=False) or list(report.columns)
        return _table([(name, report.columns.get(name, "String")) for name in names], 0, ())
    query, shown = _query(report, call.tenant.id, wanted)
    with call.reading() as connection:
        total = int(connection.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one())
        rows = connection.execute(query.limit(size).offset(wanted.skip)).all() if total > wanted.skip else []
    return _table(shown, total, rows)


def exported(connection: Connection, tenant: UUID, report: Report, wanted: Asked, format_: str) -> bytes:
    """All rows as ``csv`` or ``json``, compressed by zlib. `connection` is in a transaction: rows come in portions."""
    if report.rows is None:
        shown = [(name, report.columns.get(name, "String")) for name in wanted.select or report.columns]
        rows: Iterator[Row[Any]] = iter(())
    else:
        query, shown = _query(report, tenant, wanted)
        rows = iter(connection.execution_options(yield_per=2000).execute(query))
    packed = zlib.compressobj()
    parts = [packed.compress(part.encode()) for part in _written([name for name, _ in shown], rows, format_)]
    return b"".join([*parts, packed.flush()])


def _query(report: Report, tenant: UUID, wanted: Asked) -> tuple["Select[Any]", list[tuple[str, str]]]:
    """The statement, and (column, type) of what it gives."""
    assert report.rows is not None
    table = report.rows(tenant).subquery("report")
    fields = Fields(
        {name: Field(table.c[name], _KINDS[type_]) for name, type_ in report.columns.items()},
        search=tuple(name for name, type_ in report.columns.items() if type_ == "String"),
    )
    shown, columns, groups = _columns(report, table, wanted)
    query = select(*columns)
    if wanted.filter:
        query = query.where(filters.condition(fields, _TIME.sub(r"\1", wanted.filter)))
    if wanted.search:
        query = query.where(filters.search(fields, wanted.search))
    if groups:
        query = query.group_by(*groups)
    return query.order_by(*_order(fields, wanted, shown, columns, grouped=bool(groups))), shown


def _columns(
    report: Report, table: Subquery, wanted: Asked
) -> "tuple[list[tuple[str, str]], list[ColumnElement[Any]], list[ColumnElement[Any]]]":
    """What is shown, and by what it is grouped: then numbers are summed, and of times the latest is told."""
    if not wanted.group_by:
        names = _spelled(report, wanted.select) or list(report.columns)
        return [(n, report.columns[n]) for n in names], [table.c[n].label(n) for n in names], []
    by = _spelled(report, wanted.group_by)
    numbers = [n for n, type_ in report.columns.items() if type_ in ("Int64", "Double")]
    names = _spelled(report, wanted.select) or [*by, *(n for n in numbers if n not in by)]
    made: list[ColumnElement[Any]] = []
    for name in names:
        column, type_ = table.c[name], report.columns[name]
        if name in by:
            made.append(column.label(name))
        elif type_ in ("Int64", "Double"):
            made.append(func.sum(column).label(name))
        elif type_ == "DateTime":
            made.append(func.max(column).label(name))
        else:
            raise bad(
                f"'{name}' is selected, so it must be in groupBy too: it is neither a number nor a time.", "select"
            )
    return [(n, report.columns[n]) for n in names], made, [table.c[n] for n in by]


def _order(
    fields: Fields,
    wanted: Asked,
    shown: Sequence[tuple[str, str]],
    columns: "Sequence[ColumnElement[Any]]",
    *,
    grouped: bool,
) -> "list[ColumnElement[Any]]":
    by_name = {name.lower(): column for (name, _), column in zip(shown, columns, strict=True)}
    order: list[ColumnElement[Any]] = []
    for part in wanted.order_by:
        name, _, direction = part.strip().partition(" ")
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise bad(f"'{part[:60]}' in orderBy must end with asc or desc.", "orderBy")
        if grouped and name.lower() not in by_name:
            raise bad(f"'{name[:60]}' in orderBy is not among the columns of the grouped report.", "orderBy")
        expression = by_name[name.lower()] if grouped else fields.find(name, "orderBy").expression
        order.append(expression.desc().nulls_last() if direction.strip().lower() == "desc" else expression.asc())
    return [*order, *columns]  # so that pages stay apart


def _spelled(report: Report, names: Sequence[str], *, strict: bool = True) -> list[str]:
    known = {name.lower(): name for name in report.columns}
    for name in names:
        if strict and name.lower() not in known:
            raise bad(f"The report has no column '{name[:60]}'; it has: {', '.join(report.columns)}.", "select")
    return list(dict.fromkeys(known.get(name.lower(), name) for name in names))


def _table(shown: Sequence[tuple[str, str]], total: int, rows: "Sequence[Row[Any]]") -> Bytes:
    told = {
        "TotalRowCount": total,
        "Schema": [{"Column": name, "PropertyType": type_} for name, type_ in shown],
        "Values": [[_value(value) for value in row] for row in rows],
    }
    return Bytes(json.dumps(told).encode(), "application/octet-stream")


def _value(value: Any) -> Any:
    number = getattr(value, "as_integer_ratio", None)  # sums come as decimals
    if number is None or isinstance(value, bool | int | float):
        return plain(value)
    return int(value) if value == int(value) else float(value)


def _written(names: Sequence[str], rows: "Iterator[Row[Any]]", format_: str) -> Iterator[str]:
    if format_ == "json":
        yield "["
        for n, row in enumerate(rows):
            yield ("," if n else "") + json.dumps(dict(zip(names, map(_value, row), strict=True)))
        yield "]"
        return
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_harmless(_value(value)) for value in row])
        if line.tell() > 65_536:
            yield line.getvalue()
            line.seek(0)
            line.truncate()
    yield line.getvalue()


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is told to be a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
