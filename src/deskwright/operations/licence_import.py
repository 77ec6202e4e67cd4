"""Licences from a CSV file: read, looked at line by line without changing anything, then given in one change.

A line is ``userPrincipalName,servicePlanName`` and, where wanted, groups that the person is put into. Nothing of a
file is done unless all of it can be, or the lines that cannot are left out on purpose.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Table, select, text

from deskwright.domain.rules import Refused
from deskwright.operations import groups, licenses, named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.groups import GROUP
from deskwright.operations.licenses import PLAN
from deskwright.operations.named import Item, Noun
from deskwright.operations.users import USER
from deskwright.store.database import Database
from deskwright.store.tables import license_users, memberships

MOST_LINES = 50_000
LARGEST = 4 * 1024 * 1024
"""Bytes of a file."""
_LONGEST_FIELD = 300
_COLUMNS = {
    "userprincipalname": "userPrincipalName",
    "user principal name": "userPrincipalName",
    "upn": "userPrincipalName",
    "user": "userPrincipalName",
    "serviceplanname": "servicePlanName",
    "service plan name": "servicePlanName",
    "service plan": "servicePlanName",
    "plan": "servicePlanName",
    "groups": "groups",
    "group": "groups",
}
_FOUND = """
    SELECT given.name AS given, one.id FROM unnest(CAST(:names AS text[])) AS given(name)
      CROSS JOIN LATERAL (SELECT id FROM {table} o WHERE o.tenant_id = :tenant AND {live}
         AND lower(o.{column}) = lower(given.name) LIMIT 1) one
"""


@dataclass(frozen=True)
class Line:
    number: int
    """Of the file, the header counted."""
    user: str
    plan: str
    groups: tuple[str, ...] = ()


@dataclass
class Seen:
    """What a file would do: whom each plan and group is for, and what is wrong."""

    lines: int = 0
    repeated: int = 0
    """Lines that say what an earlier one said."""
    problems: list[Item] = field(default_factory=list)
    """Each with `line`, `field`, `value` and `rule`."""
    plans: "dict[UUID, tuple[Row[Any], list[UUID]]]" = field(default_factory=dict)
    """People once each, in the order of the file."""
    groups: "dict[UUID, tuple[Row[Any], list[UUID]]]" = field(default_factory=dict)


def read(content: bytes) -> str:
    """The text of a file. Raises Refused where it is too large, or not text."""
    if len(content) > LARGEST:
        raise Refused("file", f"{len(content) / 1024 / 1024:.1f} MB", f"must be at most {LARGEST // 1024 // 1024} MB")
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        found = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("file", None, "is not UTF-8 text", remedy="Save it as “CSV UTF-8”") from None
    if "\0" in found:
        raise Refused("file", None, "is not text", remedy="Save it as “CSV UTF-8”")
    return found


def parse(content: str) -> list[Line]:
    """The lines of a file. Commas, semicolons or tabs separate, quotes may enclose; a header may name the columns.

    Further columns, and what semicolons separate in the third, are groups. Raises Refused where it cannot be read.
    """
    lines = list(_lines(content))
    if not lines:
        raise Refused("file", None, "has no lines", remedy="Write one line for each person: name@domain,service plan")
    return lines


def preview(connection: Connection, tenant: TenantRef, lines: Sequence[Line]) -> Item:
    """What an import would do; changes nothing.

    `problems` in the order of the lines; `plans`, each with `assign` (how many get the licence), `had` (hold it
    directly already), `newSeats`, `seatsLeft` and `beyondSeats` (E6); `groups`, each with `add` and `had`.
    """
    seen = _look(connection, tenant, lines)
    plans = [_plan(connection, plan, people) for plan, people in seen.plans.values()]
    joined = []
    for group, people in seen.groups.values():
        had = _having(connection, memberships, memberships.c.group_id == group.id, people)
        item = {"id": str(group.id), "displayName": group.display_name, "add": len(people) - had, "had": had}
        joined.append(item)
    return {
        "lines": seen.lines,
        "repeated": seen.repeated,
        "wrongLines": len({p["line"] for p in seen.problems}),
        "problems": seen.problems,
        "plans": sorted(plans, key=lambda p: p["displayName"]),
        "groups": sorted(joined, key=lambda g: g["displayName"].lower()),
    }


def apply(
    database: Database,
    tenant: TenantRef,
    actor: str,
    lines: Sequence[Line],
    *,
    leave_out_wrong: bool = False,
    confirmed: bool = False,
) -> Item:
    """Give the licences and put the people into the groups, all in one change. Answers how many: `assigned`, `added`.

    Raises Refused by the first wrong line, unless those are to be left out, and beyond the seats of a plan (E6).
    """
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        seen = _look(opened.connection, tenant, lines)
        if seen.problems and not leave_out_wrong:
            first = seen.problems[0]
            raise Refused(first["field"], first["value"], f"{first['rule']} (line {first['line']})")
        people = _rows(opened.connection, {u for _, us in (*seen.plans.values(), *seen.groups.values()) for u in us})
        assigned = added = 0
        for plan, users in seen.plans.values():
            assigned += len(licenses.give(opened, plan, [people[u] for u in users]))
        for group, users in seen.groups.values():
            added += len(groups.put(opened, group, [people[u] for u in users]))
        return {"assigned": assigned, "added": added, "leftOut": len({p["line"] for p in seen.problems})}


def _lines(content: str) -> Iterator[Line]:
    content = content.removeprefix("\ufeff")
    head = content.lstrip().partition("\n")[0]
    separator = next((s for s in (",", ";", "\t") if s in head), ",")
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    columns: list[str] | None = None
    count = last = 0
    try:
        for row in rows:
            number, last = last + 1, rows.line_num
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if count == 0 and columns is None and cells[0].lower() in _COLUMNS:
                columns = _header(cells)
                continue
            count += 1
            if count > MOST_LINES:
                rule = f"must have at most {MOST_LINES:,} lines"
                raise Refused("file", None, rule, remedy="Split it, and import one part after the other")
            yield _line(number, cells, columns)
    except csv.Error as bad:
        rule = f"cannot be read at line {rows.line_num}: {bad}"
        raise Refused("file", None, rule, remedy="Look for a quote that is not closed") from None


def _header(cells: Sequence[str]) -> list[str]:
    columns = [_COLUMNS.get(cell.lower(), "") for cell in cells]
    for needed in ("userPrincipalName", "servicePlanName"):
        if columns.count(needed) != 1:
            rule = f"must name the column {needed} once"
            raise Refused("file", ", ".join(cells)[:100], rule, remedy="Or leave the header out")
    return columns


def _line(number: int, cells: Sequence[str], columns: Sequence[str] | None) -> Line:
    if columns is None:
        user, plan, *rest = [*cells, "", ""] if len(cells) < 2 else cells
    else:
        by = [(name, cell) for name, cell in zip(columns, cells, strict=False)]
        user = next((cell for name, cell in by if name == "userPrincipalName"), "")
        plan = next((cell for name, cell in by if name == "servicePlanName"), "")
        rest = [cell for name, cell in by if name == "groups"]
    wanted = dict.fromkeys(part.strip() for cell in rest for part in cell.split(";"))
    return Line(number, user[:_LONGEST_FIELD], plan[:_LONGEST_FIELD], tuple(g[:_LONGEST_FIELD] for g in wanted if g))


def _look(connection: Connection, tenant: TenantRef, lines: Sequence[Line]) -> Seen:
    users = _ids(connection, tenant, USER, (line.user for line in lines))
    plans = _named(connection, tenant, PLAN, (line.plan for line in lines))
    through = _named(connection, tenant, GROUP, (name for line in lines for name in line.groups))
    seen = Seen(len(lines))
    people: dict[UUID, dict[UUID, None]] = {}
    for line in lines:
        wrong = [
            _problem(line, noun.field if noun is USER else what, name, noun.word)
            for noun, what, name, known in (
                (USER, "userPrincipalName", line.user, line.user in users),
                (PLAN, "servicePlanName", line.plan, line.plan in plans),
                *((GROUP, "groups", name, name in through) for name in line.groups),
            )
            if not known
        ]
        if wrong:
            seen.problems += wrong
            continue
        seen.repeated += users[line.user] in people.get(plans[line.plan].id, {})
        for row in (plans[line.plan], *(through[name] for name in line.groups)):
            people.setdefault(row.id, {})[users[line.user]] = None
    seen.plans = {row.id: (row, list(people[row.id])) for row in plans.values() if row.id in people}
    seen.groups = {row.id: (row, list(people[row.id])) for row in through.values() if row.id in people}
    return seen


def _problem(line: Line, what: str, name: str, word: str) -> Item:
    rule = f"there is no {word} of that name in this tenant" if name else f"the {word} is missing"
    return {"line": line.number, "field": what, "value": name, "rule": rule}


def _plan(connection: Connection, plan: "Row[Any]", people: Sequence[UUID]) -> Item:
    had = _having(connection, license_users, license_users.c.plan_id == plan.id, people)
    left = plan.seats - licenses.consumed(connection, plan.id)
    new = licenses.newcomers(connection, plan.id, people)
    return {
        "id": str(plan.id),
        "displayName": plan.display_name,
        "seats": plan.seats,
        "assign": len(people) - had,
        "had": had,
        "newSeats": new,
        "seatsLeft": max(left, 0),
        "beyondSeats": max(new - max(left, 0), 0),
    }


def _having(connection: Connection, table: Table, of: Any, people: Sequence[UUID]) -> int:
    """How many of these people are in the table already."""
    there = set(connection.execute(select(table.c.user_id).where(of)).scalars())
    return sum(user in there for user in people)


def _ids(connection: Connection, tenant: TenantRef, noun: Noun, names: Iterable[str]) -> dict[str, UUID]:
    """By the name as it was given; those that do not exist are left out. One query, however many."""
    live = "o.deleted_at IS NULL" if noun is USER else "true"
    query = text(_FOUND.format(table=noun.table.name, column=noun.column, live=live))
    asked = list(dict.fromkeys(name for name in names if name))
    return {row.given: row.id for row in connection.execute(query, {"tenant": tenant.id, "names": asked})}


def _named(connection: Connection, tenant: TenantRef, noun: Noun, names: Iterable[str]) -> "dict[str, Row[Any]]":
    ids = _ids(connection, tenant, noun, names)
    rows = {row.id: row for row in named.several(connection, tenant, noun, list(dict.fromkeys(ids.values())))}
    return {name: rows[key] for name, key in ids.items()}


def _rows(connection: Connection, ids: set[UUID]) -> "dict[UUID, Row[Any]]":
    wanted = USER.table.c.id == text("ANY(:ids)")
    rows = connection.execute(select(USER.table).where(wanted), {"ids": list(ids)})
    return {row.id: row for row in rows}
