"""The shape that every noun shares: found by name or id inside one tenant, listed in pages, and every change of it
written down.

People write names, scripts ids; both mean the same everywhere. A name is compared without regard to case, and no
query here can leave the tenant: there is no way to ask without one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Row,
    Table,
    Text,
    TextClause,
    Uuid,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    update,
)

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations.change import Change, TenantRef
from deskwright.store.audit import event

Item = dict[str, Any]
"""An object as the API shows it: property names to values."""

LARGEST_PAGE = 1000


@dataclass(frozen=True)
class Noun:
    """A kind of object that belongs to a tenant."""

    kind: str
    """What the audit log calls it, such as ``provisioningPolicy``."""
    word: str
    """What people call it."""
    table: Table
    field: str
    """The property that holds its name."""
    column: str
    """The column that does."""
    present: Callable[["Row[Any]"], Item]
    """From a row to what everyone may see: secrets are left out here, and so never reach audit, API or terminal."""
    command: str
    """The CLI's sub-command, for remedies."""
    live: ColumnElement[bool] | None = None
    """What leaves out those that count as gone."""

    @property
    def name(self) -> "ColumnElement[Any]":
        return self.table.c[self.column]

    def missing(self, name: Any) -> NotFound:
        return NotFound(self.kind, str(name), f"deskwright {self.command} list shows those there are")

    def of(self, tenant: TenantRef) -> ColumnElement[bool]:
        """The condition that binds a query to the tenant."""
        return and_(self.table.c.tenant_id == tenant.id, self.live if self.live is not None else true())


def as_id(name: str | UUID) -> UUID | None:
    if isinstance(name, UUID):
        return name
    try:
        return UUID(name)
    except ValueError:
        return None


def find(connection: Connection, tenant: TenantRef, noun: Noun, name: str | UUID) -> "Row[Any] | None":
    """The object with that id or name, None where the tenant has none."""
    query = select(noun.table).where(noun.of(tenant))
    wanted = as_id(name)
    if wanted is not None:
        row = connection.execute(query.where(noun.table.c.id == wanted)).one_or_none()
        if row is not None:
            return row
    return connection.execute(query.where(func.lower(noun.name) == func.lower(str(name).strip()))).first()


def one(connection: Connection, tenant: TenantRef, noun: Noun, name: str | UUID) -> "Row[Any]":
    """The same, or NotFound with what it is called and where to look."""
    row = find(connection, tenant, noun, name)
    if row is None:
        raise noun.missing(name)
    return row


def several(connection: Connection, tenant: TenantRef, noun: Noun, names: Sequence[str | UUID]) -> "list[Row[Any]]":
    """Each of `names` once, in that order; NotFound names the first that does not exist. Two queries, however many."""
    found: dict[str, Row[Any]] = {}
    by_id = {str(name): key for name in names if (key := as_id(name)) is not None}
    if by_id:
        rows = connection.execute(select(noun.table).where(noun.of(tenant), noun.table.c.id.in_(by_id.values())))
        ids = {row.id: row for row in rows}
        found = {name: ids[key] for name, key in by_id.items() if key in ids}
    rest = [str(name).strip() for name in names if str(name) not in found]
    if rest:
        asked = func.unnest(cast(literal(rest, ARRAY(Text)), ARRAY(Text))).table_valued("given").render_derived()
        same = and_(noun.of(tenant), func.lower(noun.name) == func.lower(asked.c.given))
        # By LATERAL, so that each name is looked up by index: a join would read all of a tenant that is not large.
        one = select(noun.table).where(same).limit(1).lateral("one")
        query = select(asked.c.given, *one.c).select_from(asked.join(one, true()))
        found |= {row.given: row for row in connection.execute(query)}
    ordered: dict[UUID, Row[Any]] = {}
    for name in names:
        row = found.get(str(name)) or found.get(str(name).strip())
        if row is None:
            raise noun.missing(name)
        ordered.setdefault(row.id, row)
    return list(ordered.values())


def refuse_taken(connection: Connection, tenant: TenantRef, noun: Noun, name: str, besides: UUID | None = None) -> None:
    """Names are unique in a tenant, also where only the case differs: else a name would not say which is meant."""
    same = noun.of(tenant), func.lower(noun.name) == func.lower(name)
    other = connection.execute(select(noun.table.c.id).where(*same, noun.table.c.id.is_distinct_from(besides))).first()
    if other is not None:
        raise Refused(noun.field, name, f"this tenant already has a {noun.word} of that name", code="nameAlreadyExists")


def check_name(field: str, value: str, *, longest: int = 256) -> str:
    """The trimmed name, or Refused: not empty, not too long, no control characters."""
    trimmed = value.strip()
    if not trimmed:
        raise Refused(field, value, "must not be empty")
    if len(trimmed) > longest:
        raise Refused(field, f"{trimmed[:40]}…", f"at most {longest} characters, this has {len(trimmed)}")
    if not trimmed.isprintable():
        raise Refused(field, value, "must not contain control characters")
    return trimmed


def cursor(noun: Noun, item: Item) -> str:
    """Where a page ended: what `after` of the next one wants. It holds even if the object is gone by then."""
    return f"{item['id']}:{item[noun.field]}"


def matching(noun: Noun, wanted: str) -> "list[ColumnElement[bool]]":
    """Conditions for `page`: names, and people's display names, that contain `wanted`; none where it is empty."""
    if not wanted.strip():
        return []
    name = noun.table.c.get("search_name")
    in_lower_case = func.lower(noun.name) if name is None else name
    return [in_lower_case.contains(wanted.strip().lower(), autoescape=True)]


def page(
    connection: Connection,
    tenant: TenantRef,
    noun: Noun,
    after: str | None,
    limit: int,
    *conditions: "ColumnElement[bool] | TextClause",
) -> "list[Row[Any]]":
    """The next `limit` (at most LARGEST_PAGE) objects in the order of their names."""
    key = func.lower(noun.name), noun.table.c.id
    query = select(noun.table).where(noun.of(tenant), *conditions).order_by(*key).limit(check_limit(limit))
    if after is not None:
        last, _, name = after.partition(":")
        if as_id(last) is None:
            raise Refused("after", after, "is not where a page ended")
        query = query.where(tuple_(*key) > tuple_(func.lower(cast(name, Text)), cast(UUID(last), Uuid)))
    return list(connection.execute(query).all())


def check_limit(limit: int) -> int:
    if not 1 <= limit <= LARGEST_PAGE:
        raise Refused("limit", limit, f"must be 1 to {LARGEST_PAGE}")
    return limit


def create(opened: Change, noun: Noun, **values: Any) -> "Row[Any]":
    """Insert an object (columns by name), and write it down."""
    now = func.tenant_now(opened.tenant.id)
    times = {"created_at": now, "modified_at": now} if "modified_at" in noun.table.c else {"created_at": now}
    values = {"tenant_id": opened.tenant.id, **times, **values}
    row = opened.connection.execute(insert(noun.table).values(**values).returning(*noun.table.c)).one()
    item = noun.present(row)
    opened.audit(f"Create {noun.word}", noun.kind, [event(row.id, item[noun.field], None, item)])
    return row


def modify(opened: Change, noun: Noun, row: "Row[Any]", **values: Any) -> "Row[Any]":
    """Update the columns that differ; where none does, nothing is written. None means: leave it as it is."""
    different = {k: v for k, v in values.items() if v is not None and row._mapping[k] != v}
    if not different:
        return row
    # Texts that may be absent are cleared by an empty one.
    stored = {k: None if v == "" and noun.table.c[k].nullable else v for k, v in different.items()}
    if all(row._mapping[k] == v for k, v in stored.items()):
        return row
    t = noun.table
    if "modified_at" in t.c:
        stored["modified_at"] = func.tenant_now(opened.tenant.id)
    changed = update(t).where(t.c.tenant_id == opened.tenant.id, t.c.id == row.id).values(**stored)
    after = opened.connection.execute(changed.returning(*t.c)).one()
    write_difference(opened, noun, row.id, noun.present(row), noun.present(after))
    return after


def write_difference(opened: Change, noun: Noun, object_id: UUID, before: Item, after: Item) -> None:
    """Audit only what differs, so that a reader sees the change and not the object."""
    keys = [k for k in after if before.get(k) != after[k]]
    changed = event(object_id, after[noun.field], {k: before.get(k) for k in keys}, {k: after[k] for k in keys})
    opened.audit(f"Update {noun.word}", noun.kind, [changed])


def remove(opened: Change, noun: Noun, row: "Row[Any]", **also: Any) -> None:
    """Delete an object, and write down what it was."""
    t = noun.table
    opened.connection.execute(delete(t).where(t.c.tenant_id == opened.tenant.id, t.c.id == row.id))
    item = {**noun.present(row), **also}
    opened.audit(f"Delete {noun.word}", noun.kind, [event(row.id, item[noun.field], item, None)])
