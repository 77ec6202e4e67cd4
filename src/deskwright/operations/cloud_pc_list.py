"""The list of all Cloud PCs: filtered, sorted, in pages; quick with a hundred thousand of them.

A page is found by its ids alone, and only its rows are told. A page ends at a row's sort key, so the next one costs
what the first one costs. Where a filter leaves few, those few are collected before they are sorted; where it leaves
many, the order is walked until the page is full. So no choice of filter and order has to sort everybody by name.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.decide.verdict import Waiting
from deskwright.domain.images import GALLERY
from deskwright.domain.rules import Refused
from deskwright.domain.status import Status
from deskwright.operations import listing, named
from deskwright.operations.attention import GRACE_SOON
from deskwright.operations.change import TenantRef
from deskwright.operations.connections import CONNECTION
from deskwright.operations.licenses import PLAN
from deskwright.operations.named import Item, Noun
from deskwright.operations.policy_view import POLICY
from deskwright.operations.sites import SITE
from deskwright.store.database import Database

STATUSES = tuple(status.value for status in Status if status is not Status.GONE)
_FEW = 2000
_CHUNK = 1000
_LONGEST = 200
_CHOICES = 300


@dataclass(frozen=True)
class Filter:
    """Which Cloud PCs; what is empty does not narrow. Objects are named by id or name."""

    statuses: tuple[str, ...] = ()
    policy: str = ""
    plan: str = ""
    connection: str = ""
    image: str = ""
    """Its id, or the display name of a device image."""
    site: str = ""
    user: str = ""
    text: str = ""
    """A part of the user's name or display name, or of the device's name."""
    code: str = ""
    """The error of a failed one, or one of the warnings of others."""
    waiting: str = ""
    """A `decide.verdict.Waiting`."""
    grace_soon: bool = False
    """In grace, ending within `attention.GRACE_SOON`."""

    def check(self) -> None:
        """Raises Refused for what no Cloud PC could have."""
        for status in self.statuses:
            if status not in STATUSES:
                raise Refused("status", status[:60], f"must be one of {', '.join(STATUSES)}")
        if self.waiting and self.waiting not in set(Waiting):
            raise Refused("waiting", self.waiting[:60], f"must be one of {', '.join(Waiting)}")
        for name in ("text", "code", "policy", "plan", "connection", "image", "site", "user"):
            if len(getattr(self, name)) > _LONGEST:
                raise Refused(name, f"{getattr(self, name)[:40]}…", f"at most {_LONGEST} characters")

    @property
    def only_statuses(self) -> bool:
        """Nothing narrows it but the status."""
        return self == Filter(self.statuses)


@dataclass(frozen=True)
class Order:
    """By which column: one of `KEYS`. What has no value comes last, either way."""

    by: str = "user"
    descending: bool = False

    def check(self) -> None:
        if self.by not in KEYS:
            raise Refused("sort", self.by[:60], f"must be one of {', '.join(KEYS)}")


@dataclass(frozen=True)
class _Key:
    sql: str
    nullable: bool = False
    join: str = ""
    time: bool = False


KEYS: Mapping[str, _Key] = {
    "user": _Key("lower(u.user_principal_name)", join="JOIN users u ON u.id = c.user_id AND u.tenant_id = c.tenant_id"),
    "device": _Key("lower(c.device_name)", nullable=True),
    "status": _Key("c.status"),
    "plan": _Key("p.display_name", join="JOIN service_plans p ON p.id = c.plan_id"),
    "policy": _Key("c.policy_name", nullable=True),
    "since": _Key("c.status_since", time=True),
}


@dataclass(frozen=True)
class Page:
    rows: Sequence[Item]
    """As `listing.cloud_pcs` tells them."""
    following: str | None
    """What `after` of the next page wants; None: this is the last one."""


def page(
    database: Database,
    tenant: TenantRef,
    wanted: Filter = Filter(),
    order: Order = Order(),
    *,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """The next `limit` (at most 1,000) of the tenant's Cloud PCs that are not gone. Raises Refused."""
    wanted.check()
    order.check()
    named.check_limit(limit)
    last = _read(after, KEYS[order.by]) if after else None
    with database.engine.connect() as connection:
        found = _ids(connection, tenant, wanted, order, last, limit + 1)
    ids = [row[0] for row in found[:limit]]
    with database.single.connect() as connection:
        told = {row["id"]: row for row in listing.cloud_pcs(connection, tenant, ids=ids)} if ids else {}
    following = _cursor(*found[limit - 1]) if len(found) > limit else None
    return Page([told[str(i)] for i in ids if str(i) in told], following)


def every(database: Database, tenant: TenantRef, wanted: Filter, order: Order) -> Iterator[Item]:
    """All of them, read a thousand at a time as they are taken. Raises Refused at once."""
    first = page(database, tenant, wanted, order, limit=_CHUNK)

    def rows() -> Iterator[Item]:
        here = first
        yield from here.rows
        while here.following:
            here = page(database, tenant, wanted, order, after=here.following, limit=_CHUNK)
            yield from here.rows

    return rows()


def ids(database: Database, tenant: TenantRef, wanted: Filter, *, most: int) -> list[str]:
    """The ids of all that match, in the order of their users. Refused where they are more than `most`."""
    wanted.check()
    with database.engine.connect() as connection:
        found = _ids(connection, tenant, wanted, Order(), None, most + 1)
    if len(found) > most:
        raise Refused("scope", f"more than {most:,}", f"at most {most:,} at once", remedy="Narrow the filter")
    return [str(row[0]) for row in found]


def choices(database: Database, tenant: TenantRef) -> dict[str, list[tuple[str, str]]]:
    """What one may filter by: policy, plan, connection, image, site -> (id, name), the first 300 of each by name."""
    parts = [
        f"(SELECT '{kind}' AS kind, {key} AS id, {name} AS name FROM {table} WHERE tenant_id = :tenant "
        f"GROUP BY 2, 3 ORDER BY lower({name}) LIMIT {_CHOICES})"
        for kind, table, key, name in (
            ("policy", "policies", "id::text", "display_name"),
            ("plan", "service_plans", "id::text", "display_name"),
            ("connection", "connections", "id::text", "display_name"),
            ("image", "device_images", "display_name", "display_name"),
            ("site", "sites", "id::text", "name"),
        )
    ]
    found: dict[str, list[tuple[str, str]]] = {"policy": [], "plan": [], "connection": [], "image": [], "site": []}
    used = text("SELECT DISTINCT gallery_image FROM policies WHERE tenant_id = :tenant AND gallery_image IS NOT NULL")
    with database.single.connect() as connection:
        for row in connection.execute(text(" UNION ALL ".join(parts)), {"tenant": tenant.id}):
            found[row.kind].append((row.id, row.name))
        for image in connection.execute(used, {"tenant": tenant.id}).scalars():
            found["image"].append((image, listing.image_title(image) or image))
    return found


_LITERAL = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})
_USERS = text(
    "SELECT id FROM users WHERE tenant_id = :tenant AND (id = :user_id OR lower(user_principal_name) = lower(:user))"
)
# Deleted ones too: their Cloud PCs may be in grace.
_MATCHES = "{0}search_name LIKE :like"
_PEOPLE = text(f"SELECT id FROM users WHERE tenant_id = :tenant AND {_MATCHES.format('')} LIMIT {_FEW + 1}")
_PERSON = f"c.user_id IN (SELECT id FROM users WHERE tenant_id = :tenant AND {_MATCHES.format('')})"
_PERSON_JOINED = _MATCHES.format("u.")


# --- finding ids -------------------------------------------------------------------------------------


def _ids(
    connection: Connection, tenant: TenantRef, wanted: Filter, order: Order, last: tuple[Any, UUID] | None, limit: int
) -> list[tuple[UUID, Any]]:
    """(id, sort key) of the next `limit`."""
    # The plan follows what is asked for: a generic one would walk a hundred thousand for a filter that leaves three.
    connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
    key = KEYS[order.by]
    values: dict[str, Any] = {"tenant": tenant.id}
    conditions = _conditions(connection, tenant, wanted, values)
    many = False
    if wanted.text.strip():
        values["like"] = f"%{wanted.text.strip().lower().translate(_LITERAL)}%"
        people = list(connection.execute(_PEOPLE, values).scalars())
        many = len(people) > _FEW
        if not many:
            values["people"] = people
        person = (_PERSON_JOINED if order.by == "user" else _PERSON) if many else "c.user_id = ANY(:people)"
        conditions.append(f"({person} OR lower(c.device_name) LIKE :like)")
    if not many and not wanted.only_statuses:
        few = _few(connection, conditions, values)
        if few is not None:
            conditions, values = ["c.id = ANY(:few)"], {"tenant": tenant.id, "few": few}
    if not key.nullable:
        if last is not None:
            conditions.append(_behind(key, order, values, last))
        return _walk(connection, key, order, conditions, values, limit)
    if wanted != Filter():
        # What a filter leaves may be all of those without a value: no index is walked past everybody else.
        key = replace(key, sql=f"({key.sql} || '')")
    found: list[tuple[UUID, Any]] = []
    if last is None or last[0] is not None:
        behind = [_behind(key, order, values, last)] if last is not None else []
        found = _walk(connection, key, order, [*conditions, f"{key.sql} IS NOT NULL", *behind], values, limit)
    if len(found) < limit:
        behind = []
        if last is not None and last[0] is None:
            values["last_id"] = last[1]
            behind = [f"c.id {'<' if order.descending else '>'} :last_id"]
        found += _walk(connection, key, order, [*conditions, f"{key.sql} IS NULL", *behind], values, limit - len(found))
    return found


def _walk(
    connection: Connection,
    key: _Key,
    order: Order,
    conditions: Sequence[str],
    values: Mapping[str, Any],
    limit: int,
) -> list[tuple[UUID, Any]]:
    where = "".join(f" AND {condition}" for condition in conditions)
    direction = "DESC" if order.descending else "ASC"
    # The limit is written out, so that the planner sees how few it is.
    query = f"""
        SELECT c.id, {key.sql} AS key FROM cloud_pcs c {key.join}
         WHERE c.tenant_id = :tenant AND c.status <> 'gone'{where}
         ORDER BY {key.sql} {direction}, c.id {direction} LIMIT {limit}
    """
    given = {name: value for name, value in values.items() if f":{name}" in query}
    return [(row.id, row.key) for row in connection.execute(text(query), given)]


def _few(connection: Connection, conditions: Sequence[str], values: Mapping[str, Any]) -> list[UUID] | None:
    """All that match, unless they are many: then the look ends early."""
    where = "".join(f" AND {condition}" for condition in conditions)
    query = f"SELECT id FROM cloud_pcs c WHERE c.tenant_id = :tenant AND c.status <> 'gone'{where} LIMIT {_FEW + 1}"
    found = list(connection.execute(text(query), values).scalars())
    return found if len(found) <= _FEW else None


def _conditions(connection: Connection, tenant: TenantRef, wanted: Filter, values: dict[str, Any]) -> list[str]:
    """SQL over ``cloud_pcs c``, but for the text; what it needs is added to `values`."""
    found = []
    if wanted.statuses:
        # Written out for the planner, which knows how many there are of each; `Filter.check` has seen them.
        found.append(f"c.status IN ({', '.join(repr(str(Status(s))) for s in wanted.statuses)})")
    for column, noun, name in (
        ("plan_id", PLAN, wanted.plan),
        ("connection_id", CONNECTION, wanted.connection),
        ("site_id", SITE, wanted.site),
    ):
        if name:
            values[column] = _id(connection, tenant, noun, name)
            found.append(f"c.{column} = :{column}")
    if wanted.policy:
        # By its name too: the policy of one that is in grace may be deleted.
        values["policy_id"] = _id(connection, tenant, POLICY, wanted.policy)
        values["policy"] = wanted.policy
        found.append("(c.policy_id = :policy_id OR (CAST(:policy_id AS uuid) IS NULL AND c.policy_name = :policy))")
    if wanted.image:
        titles = {image.display_name: image.id for image in GALLERY.values()}
        values["image"] = titles.get(wanted.image, wanted.image)
        found.append("(c.image_name = :image OR c.device_image_id::text = lower(:image))")
    if wanted.user:
        values["user"], values["user_id"] = wanted.user, named.as_id(wanted.user)
        values["users"] = list(connection.execute(_USERS, values).scalars())
        found.append("c.user_id = ANY(:users)")
    if wanted.code:
        values["code"], values["warning"] = wanted.code, json.dumps([{"code": wanted.code}])
        failed = "c.status = 'failed' AND c.status_detail ->> 'code' = :code"
        found.append("c.status IN ('failed', 'provisionedWithWarnings', 'inGracePeriod')")
        found.append(f"(({failed}) OR (c.status <> 'failed' AND c.warnings @> CAST(:warning AS jsonb)))")
    if wanted.waiting:
        values["waiting"] = wanted.waiting
        found.append("c.status IN ('notProvisioned', 'pendingProvision') AND c.waiting_for = :waiting")
    if wanted.grace_soon:
        values["soon"] = GRACE_SOON
        found.append("c.status = 'inGracePeriod' AND c.grace_ends_at < tenant_now(:tenant) + CAST(:soon AS interval)")
    return found


def _id(connection: Connection, tenant: TenantRef, noun: Noun, name: str) -> UUID | None:
    row = named.find(connection, tenant, noun, name)
    return row.id if row is not None else named.as_id(name)


# --- where a page ends -------------------------------------------------------------------------------


def _behind(key: _Key, order: Order, values: dict[str, Any], last: tuple[Any, UUID]) -> str:
    """The rows that follow `last`, which has a value."""
    values["last"], values["last_id"] = last
    sign = "<" if order.descending else ">"
    # Says the same twice, so that an index on the key can begin there.
    return f"{key.sql} {sign}= :last AND ({key.sql}, c.id) {sign} (:last, CAST(:last_id AS uuid))"


def _cursor(cloud_pc: UUID, value: Any) -> str:
    told = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([str(cloud_pc), told]).encode()).decode().rstrip("=")


def _read(after: str, key: _Key) -> tuple[Any, UUID]:
    try:
        cloud_pc, value = json.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
        if value is None and not key.nullable:
            raise ValueError(after)
        if value is not None and not isinstance(value, str):
            raise TypeError(after)
        if value is not None and key.time:
            return datetime.fromisoformat(value), UUID(cloud_pc)
        return value, UUID(cloud_pc)
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Refused("after", after[:60], "is not where a page of this list ended") from None
