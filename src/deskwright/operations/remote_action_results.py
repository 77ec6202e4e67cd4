"""What became of remote actions: the runs of Cloud PCs as the Graph API's remote action results, and reviews."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright import errors
from deskwright.domain.rules import Refused
from deskwright.domain.runs import RunKind
from deskwright.domain.status import USABLE
from deskwright.operations.change import TenantRef
from deskwright.operations.cloud_pcs import find, load, write_audit
from deskwright.provision.context import World
from deskwright.store.database import Database

# A first provisioning is nobody's action, and a repair none that the API knows.
ACTIONS = tuple(kind for kind in RunKind if kind not in (RunKind.PROVISION, RunKind.REPAIR))
_CANCELLED = ("provisioningCancelled", "remoteActionCancelled")

_RESULTS = text(
    """
    SELECT r.cloud_pc_id, r.id, r.kind, r.state, r.started_at, r.ended_at, r.error, r.lease,
           GREATEST(r.ended_at, r.started_at, s.last_at) AS updated_at, m.managed_device
      FROM runs r
      LEFT JOIN LATERAL (SELECT max(COALESCE(ended_at, started_at)) AS last_at FROM steps WHERE run_id = r.id) s ON true
      LEFT JOIN LATERAL (SELECT e.made ->> 'managedDeviceId' AS managed_device FROM runs p JOIN steps e
                             ON e.run_id = p.id AND e.step = 'C5' WHERE p.cloud_pc_id = r.cloud_pc_id
                            AND p.number <= r.number AND e.outcome = 'succeeded'
                          ORDER BY p.number DESC, e.attempt DESC LIMIT 1) m ON true
     WHERE r.tenant_id = :tenant AND r.cloud_pc_id = ANY(:ids) AND r.kind = ANY(:kinds)
     ORDER BY r.cloud_pc_id, r.number DESC
    """
)

# Graph's cloudPcReviewStatus: property -> the values it may have, None for any text.
_REVIEW: dict[str, tuple[str, ...] | None] = {
    "userAccessLevel": ("unrestricted", "restricted"),
    "accessTier": ("hot", "cool", "cold", "archive"),
    "azureStorageAccountId": None,
    "azureStorageAccountName": None,
    "azureStorageContainerName": None,
    "restorePointDateTime": None,
    "reviewStartDateTime": None,
    "subscriptionId": None,
    "subscriptionName": None,
}
_TIMES = ("restorePointDateTime", "reviewStartDateTime")
_SET_REVIEW = text("UPDATE cloud_pcs SET review_status = CAST(:review AS jsonb) WHERE id = :id")


def results(
    connection: Connection, tenant: TenantRef, cloud_pc_ids: Collection[UUID]
) -> dict[UUID, list[dict[str, Any]]]:
    """For each Cloud PC that has any: its results, newest first. One query, however many."""
    asked = {"tenant": tenant.id, "ids": list(cloud_pc_ids), "kinds": [str(kind) for kind in ACTIONS]}
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in connection.execute(_RESULTS, asked):
        found[row.cloud_pc_id].append(_result(row))
    return dict(found)


def set_review_status(
    world: World, tenant: TenantRef, actor: str, cloud_pc: str, review_status: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a Cloud PC under review, or end its review. Stored and audited; returns what is stored."""
    review = _checked(review_status)
    with world.database.begin() as connection:
        row = load(connection, tenant, cloud_pc, "set review status", set(USABLE))
        before = row.review_status or {"inReview": False, "userAccessLevel": "unrestricted"}
        if review["inReview"] and not review.get("reviewStartDateTime"):
            review["reviewStartDateTime"] = before.get("reviewStartDateTime") or row.now.isoformat()
        connection.execute(_SET_REVIEW, {"id": row.id, "review": json.dumps(review)})
        write_audit(connection, tenant, actor, "set review status", row, {"reviewStatus": review})
        return review


def review_status(database: Database, tenant: TenantRef, cloud_pc: str) -> dict[str, Any]:
    """Whether it is under review; one that never was is not, with unrestricted access."""
    with database.single.connect() as connection:
        found = find(connection, tenant, cloud_pc)
        stored = connection.execute(
            text("SELECT review_status FROM cloud_pcs WHERE id = :id AND tenant_id = :tenant"),
            {"id": found, "tenant": tenant.id},
        ).scalar_one()
    return dict(stored or {"inReview": False, "userAccessLevel": "unrestricted"})


def _result(row: Row[Any]) -> dict[str, Any]:
    return {
        "cloudPcId": str(row.cloud_pc_id),
        "actionName": RunKind(row.kind).action_name,
        "actionState": _state(row),
        "startDateTime": row.started_at,
        "lastUpdatedDateTime": row.updated_at,
        "managedDeviceId": row.managed_device,
        "statusDetail": _detail(row),
    }


def _state(row: Row[Any]) -> str:
    if row.state == "active":
        return "active" if row.lease else "pending"
    if row.state == "succeeded":
        return "done"
    cancelled = row.state == "stopped" or (row.error or {}).get("code") in _CANCELLED
    return "canceled" if cancelled else "failed"


def _detail(row: Row[Any]) -> dict[str, Any] | None:
    if not row.error:
        return None
    said = errors.explain(row.error["code"], row.error.get("values") or {})
    more = [{"name": "cause", "value": said.cause}, {"name": "remedy", "value": " ".join(said.remedies)}]
    return {"code": row.error["code"], "message": said.message, "additionalInformation": more}


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The review's properties, each of its kind; Refused names the one that is not."""
    if not isinstance(given.get("inReview"), bool):
        raise Refused("reviewStatus.inReview", given.get("inReview"), "must be true or false")
    review: dict[str, Any] = {"inReview": given["inReview"], "userAccessLevel": "unrestricted"}
    for name, value in given.items():
        if name == "inReview" or name.startswith("@odata."):
            continue
        if name not in _REVIEW:
            raise Refused(f"reviewStatus.{name}", value, f"must be one of: inReview, {', '.join(_REVIEW)}")
        if value is None:
            continue
        allowed = _REVIEW[name]
        if allowed is not None and value not in allowed:
            raise Refused(f"reviewStatus.{name}", value, f"must be one of: {', '.join(allowed)}")
        review[name] = _time(name, value) if name in _TIMES else str(value)
    return review


def _time(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError as error:
        raise Refused(f"reviewStatus.{name}", value, "must be a time such as 2026-01-31T12:00:00Z") from error
