"""Events that no webhook took: what they say, why they failed, sending them again, or letting them go (R6).

An event becomes a dead letter after its last try, or at once where the receiver says that it is not wanted (410).
It keeps its id and its place in the order, so a receiver that did get it drops it.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright.domain.notices import EVENT_TYPES, Channel, Kind
from deskwright.domain.rules import NotFound
from deskwright.operations import notifications
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import LARGEST_PAGE, Item
from deskwright.store.audit import event as audited
from deskwright.store.database import Database

_DEAD = f"n.tenant_id = :tenant AND n.channel = '{Channel.WEBHOOK}' AND n.state = 'failed' AND n.last_error IS NOT NULL"
_READ = f"""
    SELECT n.id, n.tenant_id, n.kind, n.about, n.attempts, n.next_at, n.number, n.data, n.last_error, t.name AS tenant,
           c.id AS cloud_pc_id, c.display_name, c.device_name, c.status, c.policy_name, c.grace_ends_at,
           p.display_name AS plan, u.user_principal_name
      FROM notifications n JOIN tenants t ON t.id = n.tenant_id JOIN cloud_pcs c ON c.id = n.cloud_pc_id
      JOIN users u ON u.id = c.user_id JOIN service_plans p ON p.id = c.plan_id WHERE {_DEAD}"""
_LIST = text(f"{_READ} AND n.number > :after ORDER BY n.number LIMIT :limit")
_SHOW = text(f"{_READ} AND n.id = :id")
_COUNT = text(f"SELECT count(*) FROM notifications n WHERE {_DEAD}")
_CHOSEN = f"{_DEAD} AND (CAST(:ids AS uuid[]) IS NULL OR n.id = ANY(CAST(:ids AS uuid[])))"
_NAMED = "FROM cloud_pcs c WHERE c.id = n.cloud_pc_id AND"
_RETRY = text(
    f"UPDATE notifications n SET state = 'pending', attempts = 0, next_at = now() {_NAMED} {_CHOSEN} "
    "RETURNING n.id, c.display_name"
)
# Whoever asks for it expects that the webhook is back.
_NOW = text("UPDATE tenants SET webhook_failures = 0, webhook_retry_at = NULL WHERE id = :tenant")
_DISCARD = text(f"UPDATE notifications n SET state = 'discarded' {_NAMED} {_CHOSEN} RETURNING n.id, c.display_name")


def list_(database: Database, tenant: TenantRef, *, after: int = 0, limit: int = LARGEST_PAGE) -> list[Item]:
    """Dead letters in the order in which they were written; `after`: the number of the last one that is known."""
    with database.single.connect() as connection:
        values = {"tenant": tenant.id, "after": after, "limit": min(limit, LARGEST_PAGE)}
        return [_shown(row) for row in connection.execute(_LIST, values)]


def count(database: Database, tenant: TenantRef) -> int:
    """How many there are."""
    with database.single.connect() as connection:
        return int(connection.execute(_COUNT, {"tenant": tenant.id}).scalar_one())


def show(database: Database, tenant: TenantRef, letter: UUID) -> Item:
    """One of them with the event as it is sent. Raises NotFound."""
    with database.single.connect() as connection:
        row = connection.execute(_SHOW, {"tenant": tenant.id, "id": letter}).one_or_none()
    if row is None:
        raise NotFound("dead letter", str(letter), "deskwright webhook list shows those there are")
    return {**_shown(row), "event": notifications.event(row)}


def retry(database: Database, tenant: TenantRef, actor: str, letters: Sequence[UUID] | None = None) -> int:
    """Send them again, with all tries before them; None: all there are. Returns how many. Raises NotFound."""
    return _change(database, tenant, actor, "Send event again", _RETRY, letters)


def discard(database: Database, tenant: TenantRef, actor: str, letters: Sequence[UUID] | None = None) -> int:
    """Let them go; None: all there are. Returns how many. Raises NotFound."""
    return _change(database, tenant, actor, "Discard event", _DISCARD, letters)


def _change(
    database: Database, tenant: TenantRef, actor: str, activity: str, query: Any, letters: Sequence[UUID] | None
) -> int:
    wanted = None if letters is None else list(dict.fromkeys(letters))
    with change(database, tenant, actor) as opened:
        found = opened.connection.execute(query, {"tenant": tenant.id, "ids": wanted}).all()
        missing = set(wanted or ()) - {row.id for row in found}
        if missing:
            raise NotFound("dead letter", str(min(missing)), "deskwright webhook list shows those there are")
        if query is _RETRY:
            opened.connection.execute(_NOW, {"tenant": tenant.id})
        opened.audit(activity, "webhookEvent", [audited(row.id, row.display_name) for row in found])
    return len(found)


def _shown(row: "Row[Any]") -> Item:
    data = row.data or {}
    return {
        "id": row.id,
        "number": row.number,
        "type": EVENT_TYPES[Kind(row.kind)],
        "cloudPc": row.display_name,
        "cloudPcId": row.cloud_pc_id,
        "status": data.get("status", row.status),
        "time": row.about,
        "tries": row.attempts,
        "givenUpDateTime": row.next_at,
        "error": row.last_error,
    }
