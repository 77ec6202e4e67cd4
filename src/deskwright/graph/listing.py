"""Answering lists: filtered, sorted, counted, and in pages that stay where they are while rows come and go.

A page ends at a row, not at a number of rows: the next one begins after that row's sort keys, by index where there is
one. So page 1,000 costs what page 1 costs, and nothing is missed or told twice when something is added or removed.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Double,
    Integer,
    Row,
    Select,
    and_,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from deskwright.graph import filters
from deskwright.graph.call import LARGEST_PAGE, PAGE, Call
from deskwright.graph.errors import bad, not_found
from deskwright.graph.filters import Field, Fields
from deskwright.graph.render import Known, check, entities, plain
from deskwright.store.statements import first

Present = Callable[[Call, Connection, "Sequence[Row[Any]]"], Sequence[Known]]
Expander = Callable[[Call, Connection, list[dict[str, Any]], "Sequence[Row[Any]]"], None]


@dataclass(frozen=True)
class Source:
    """An entity set: where its rows come from, and how they are told.

    `rows` gives every row the caller may see, of the call's tenant only; `key` is the expression of its unique id.
    `present` turns a page of rows into what is known of them; it may look at `call.options.wants` to leave out what is
    dear and not asked for. `expand` adds navigation properties to the finished entities of a page.
    """

    type: str
    rows: Callable[[Call], "Select[Any]"]
    key: "ColumnElement[Any]"
    fields: Fields
    present: Present
    expand: Mapping[str, Expander] | None = None
    defaults: tuple[str, ...] = ()
    """What is answered without `$select`; empty: every property."""
    newest_first: bool = False
    """Ids count up: the highest comes first where no `$orderby` says otherwise."""
    row: Callable[[Call], tuple[str, dict[str, Any]]] | None = None
    """How `one` reads a row, where that is asked often: a statement put together once, with parameters ``tenant`` and
    ``key``, and its other values. It gives what `rows` gives, and what `present` would look up besides."""


@dataclass(frozen=True)
class _Key:
    """A sort key: its name in the row, its expression, its kind, its direction."""

    label: str
    field: Field
    descending: bool


def collection(call: Call, source: Source, *, path: str | None = None) -> dict[str, Any]:
    """The set's answer, with `@odata.nextLink` while there is more. `path`: what `@odata.context` says of it."""
    with call.reading() as connection:
        return _collection(call, connection, source, path)


def count(call: Call, source: Source) -> int:
    """How many there are, by `$filter` and `$search`: the answer of ``/$count``."""
    with call.reading() as connection:
        return _count(connection, _chosen(call, source))


def one(call: Call, source: Source, what: str, key: UUID | str, *, condition: Any = None) -> dict[str, Any]:
    """The entity with this id, in the call's words. Raises 404."""
    with call.reading() as connection:
        if source.row is not None and condition is None:
            sql, values = source.row(call)
            row = first(connection, sql, {**values, "tenant": call.tenant.id, "key": key})
        else:
            found = source.rows(call).where(source.key == key if condition is None else condition)
            row = connection.execute(found).first()
        if row is None:
            raise not_found(what, key)
        (item,) = _told(call, connection, source, [row])
        context = f"{call.root}/$metadata#microsoft.graph.{source.type}"
        return {"@odata.context": context, **item}


def always(name: str, value: Any) -> Expander:
    """`$expand` of a navigation property that has the same value everywhere here, such as none."""

    def expand(_call: Call, _connection: Connection, items: list[dict[str, Any]], _rows: "Sequence[Row[Any]]") -> None:
        for item in items:
            item[name] = value

    return expand


def of_values(
    values: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]
) -> tuple[Callable[..., "Select[Any]"], Fields]:
    """`rows` and `fields` of a set that no table holds: the values go to the database as one parameter, so that
    filters mean the same everywhere. A row has one column, `item`. `kinds`: filterable property -> its kind."""
    given = func.jsonb_array_elements(literal([{k: plain(v) for k, v in item.items()} for item in values], JSONB))
    table = given.table_valued("item", name="given").render_derived()
    item = table.c.item
    plain_fields = {name: Field(_cast(item, name, kind), kind) for name, kind in kinds.items()}
    query = select(item.label("item"), _cast(item, "id", "text").label("id"))
    return (lambda _call: query), Fields(plain_fields)


def list_of(
    call: Call, type_name: str, values: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]
) -> dict[str, Any]:
    """A collection of values that no table holds; each has an ``id``."""
    return collection(call, values_source(type_name, values, kinds))


def values_source(type_name: str, values: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> Source:
    """The same as a source, for `one` and `count` too."""
    rows, fields = of_values(values, {"id": "text", **kinds})
    key = fields.plain["id"].expression
    by_id = {str(v["id"]): v for v in values}
    return Source(type_name, rows, key, fields, lambda _call, _connection, found: [by_id[r.item["id"]] for r in found])


def _cast(item: Any, name: str, kind: str) -> "ColumnElement[Any]":
    text = func.jsonb_extract_path_text(item, *name.split("/"))
    types: dict[str, Any] = {
        "int": BigInteger,
        "number": Double,
        "bool": Boolean,
        "time": DateTime(timezone=True),
        "date": Date,
    }
    return cast(text, types[kind]) if kind in types else text


def _collection(call: Call, connection: Connection, source: Source, path: str | None) -> dict[str, Any]:
    wanted = call.options
    size = min(wanted.top or PAGE, LARGEST_PAGE)
    chosen = _chosen(call, source)
    keys = _keys(source, wanted.orderby)
    # Where nulls go is not said of the id, which is never null: so its index gives the order.
    labelled = [key.field.expression.label(key.label) for key in keys]
    query = chosen.add_columns(*labelled).order_by(
        *(_ordered(key, label) for key, label in zip(keys, labelled, strict=True))
    )
    if wanted.skiptoken:
        query = query.where(_after(keys, _read_token(wanted.skiptoken, keys)))
    elif wanted.skip:
        query = query.offset(wanted.skip)
    # Written out, not bound: the planner must know that it is few, or it would fetch them all to sort or in parallel.
    rows = connection.execute(query.limit(literal_column(str(size + 1), Integer))).all()
    page = rows[:size]
    answer: dict[str, Any] = {"@odata.context": f"{call.root}/$metadata#{path or source.type}"}
    if wanted.count:
        answer["@odata.count"] = _count(connection, chosen)
    if len(rows) > size:
        answer["@odata.nextLink"] = _next(call.url, _token(keys, page[-1]))
    answer["value"] = _told(call, connection, source, page)
    return answer


def _chosen(call: Call, source: Source) -> "Select[Any]":
    query = source.rows(call)
    if call.options.filter:
        query = query.where(filters.condition(source.fields, call.options.filter))
    if call.options.search:
        query = query.where(filters.search(source.fields, call.options.search))
    return query


def _count(connection: Connection, chosen: "Select[Any]") -> int:
    counted = select(func.count()).select_from(chosen.order_by(None).subquery())
    return int(connection.execute(counted).scalar_one())


def _told(call: Call, connection: Connection, source: Source, rows: "Sequence[Row[Any]]") -> list[dict[str, Any]]:
    options = call.options
    if source.defaults and options.select is None:
        options = replace(options, select=frozenset(d.lower() for d in source.defaults))
    items = entities(call, source.type, source.present(call, connection, rows), options)
    if not items:
        check(call.type(source.type), options)
    for name, expander in (source.expand or {}).items():
        if name.lower() in options.expand or "*" in options.expand:
            expander(call, connection, items, rows)
    return items


def _keys(source: Source, orderby: Sequence[tuple[str, bool]]) -> list[_Key]:
    keys = [
        _Key(f"_sort{n}", source.fields.find(name, "$orderby"), descending)
        for n, (name, descending) in enumerate(orderby[:5])
    ]
    descending = keys[-1].descending if keys else source.newest_first
    return [*keys, _Key("_key", Field(source.key, "raw"), descending)]


def _never_null(key: _Key) -> bool:
    expression = key.field.expression
    return key.label == "_key" or (isinstance(expression, Column) and not expression.nullable)


def _ordered(key: _Key, label: "ColumnElement[Any]") -> "ColumnElement[Any]":
    if _never_null(key):  # as an index has them
        return label.desc() if key.descending else label.asc()
    return label.desc().nulls_last() if key.descending else label.asc().nulls_first()


def _after(keys: Sequence[_Key], last: Sequence[Any]) -> "ColumnElement[bool]":
    """Rows behind `last`: the first key that differs decides. Nulls come first, and last where it descends."""
    found: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for key, value in zip(keys, last, strict=True):
        expression = key.field.expression
        behind: ColumnElement[bool]
        if value is None:
            behind = false() if key.descending else expression.is_not(None)
        elif _never_null(key):
            behind = expression < value if key.descending else expression > value
        else:
            behind = or_(expression < value, expression.is_(None)) if key.descending else expression > value
        found.append(and_(*same, behind))
        same.append(expression.is_(None) if value is None else expression == value)
    if len(found) == 1:
        return found[0]
    first, value = keys[0], last[0]
    if value is None or not _never_null(first):
        return or_(*found)
    # Says nothing new, but an index on the first key can begin there.
    expression = first.field.expression
    return and_(expression <= value if first.descending else expression >= value, or_(*found))


def _token(keys: Sequence[_Key], row: "Row[Any]") -> str:
    values = [plain(row._mapping[key.label]) for key in keys]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def _read_token(token: str, keys: Sequence[_Key]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if not isinstance(values, list) or len(values) != len(keys):
            raise ValueError(token)
        return [_restored(key, value) for key, value in zip(keys, values, strict=True)]
    except (ValueError, TypeError, RecursionError):
        raise bad("$skiptoken is not one that this service gave for this query.", "$skiptoken") from None


def _restored(key: _Key, value: Any) -> Any:
    if value is None:
        return None
    kind = key.field.kind
    if kind == "raw":
        kind = {"UUID": "id", "Uuid": "id", "BIGINT": "int", "BigInteger": "int", "Integer": "int"}.get(
            type(key.field.expression.type).__name__, "text"
        )
    match kind:
        case "time":
            return datetime.fromisoformat(str(value))
        case "date":
            return date.fromisoformat(str(value))
        case "id":
            return UUID(str(value))
        case "int" if isinstance(value, int) and abs(value) < 2**63:
            return value
        case "number" if isinstance(value, int | float):
            return float(value)
        case "bool" if isinstance(value, bool):
            return value
        case "text" | "enum" | "key" if isinstance(value, str) and filters.storable(value):
            return value
    raise ValueError(value)


def _next(url: str, token: str) -> str:
    parts = urlsplit(url)
    kept = [
        (k, v)
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
        if k.lower() not in ("$skiptoken", "$skip", "skiptoken", "skip")
    ]
    query = urlencode([*kept, ("$skiptoken", token)], safe="$(),*'/:", quote_via=quote)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
