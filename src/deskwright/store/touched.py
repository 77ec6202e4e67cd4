"""Users that a change touched: what reconcile looks at next (E10: the cost follows the change)."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright import jobs

RECONCILE = "reconcile"
# A change must not queue behind a hundred thousand runs that wait for their turn.
_PRIORITY = 20


def touch(connection: Connection, tenant: UUID, selection: str, cause: Mapping[str, Any], **values: Any) -> int:
    """Mark the users that `selection`, a query for user ids, gives; reconcile follows when this commits.

    `cause` (actor, activity, object) becomes the reason of what it leads to. Returns how many were marked.
    """
    marked = connection.execute(
        text(
            "INSERT INTO touched_users (tenant_id, user_id, cause) "
            f"SELECT :tenant, found.user_id, CAST(:cause AS jsonb) FROM ({selection}) AS found (user_id)"
        ),
        {**values, "tenant": tenant, "cause": json.dumps(dict(cause), default=str)},
    ).rowcount
    if marked:
        jobs.defer(connection, RECONCILE, [tenant], priority=_PRIORITY)
    return marked


def touch_users(connection: Connection, tenant: UUID, users: list[UUID], cause: Mapping[str, Any]) -> int:
    return touch(connection, tenant, "SELECT unnest(CAST(:users AS uuid[]))", cause, users=users)
