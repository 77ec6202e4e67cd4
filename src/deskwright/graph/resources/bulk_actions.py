"""`bulkActions`: one action on many Cloud PCs, carried out one by one, and summed up from what became of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select, text

from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, list_of, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.graph.whose import Reach, serves_cloud_pcs
from deskwright.operations import bulk_actions as operations
from deskwright.operations import resize_checks
from deskwright.store.tables import bulk_actions

_SET = "/deviceManagement/virtualEndpoint/bulkActions"
_b = bulk_actions.c
_COUNTS = {
    "pending": "pendingCount",
    "inProgress": "inProgressCount",
    "successful": "successfulCount",
    "failed": "failedCount",
    "notSupported": "notSupportedCount",
}
_CLOUD_PCS = text(
    """
    SELECT bulk_action_id, array_agg(cloud_pc_id::text ORDER BY position) AS cloud_pcs FROM bulk_action_items
     WHERE bulk_action_id = ANY(:ids) GROUP BY bulk_action_id
    """
)
# What exists elsewhere only, by type: why it is refused.
_NOT_HERE = {
    "cloudPcBulkMove": "Cloud PCs cannot be moved to another region; reprovision makes them anew where the policy says",
    "cloudPcBulkModifyDiskEncryptionType": "disk encryption is the matter of each site's storage",
    "cloudPcBulkReinstallAgent": "there is no agent of a partner or of ours in a Cloud PC",
    "cloudPcBulkDisasterRecovery": "there is no cross-region disaster recovery",
    "cloudPcBulkDisasterRecoveryFailover": "there is no cross-region disaster recovery",
    "cloudPcBulkDisasterRecoveryFailback": "there is no cross-region disaster recovery",
}


def _rows(call: Call) -> "Select[Any]":
    return select(bulk_actions).where(_b.tenant_id == call.tenant.id, _b.kind.in_(operations.KINDS))


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    ids = [row.id for row in rows]
    sums, cloud_pcs = dict[UUID, dict[str, int]](), dict[UUID, list[str]]()
    if ids and (call.options.wants("actionSummary") or call.options.wants("status")):
        sums = operations.summaries(connection, ids)
    if ids and call.options.wants("cloudPcIds"):
        cloud_pcs = {row.bulk_action_id: row.cloud_pcs for row in connection.execute(_CLOUD_PCS, {"ids": ids})}
    return [_known(row, sums.get(row.id, {}), cloud_pcs.get(row.id, [])) for row in rows]


def _known(row: "Row[Any]", sums: dict[str, int], cloud_pcs: list[str]) -> Known:
    under_way = sums.get("pending", 0) + sums.get("inProgress", 0)
    failed = sums.get("failed", 0) + sums.get("notSupported", 0)
    point = row.options.get("restorePointDateTime")
    return {
        "@odata.type": f"#microsoft.graph.{row.kind}",
        "id": row.id,
        "displayName": row.display_name,
        "cloudPcIds": cloud_pcs,
        "createdDateTime": row.created_at,
        "initiatedByUserPrincipalName": row.requested_by_user,
        "scheduledDuringMaintenanceWindow": False,
        "status": "pending" if under_way else "failed" if failed else "succeeded",
        "actionSummary": {property_: sums.get(outcome, 0) for outcome, property_ in _COUNTS.items()},
        **row.options,
        "restorePointDateTime": datetime.fromisoformat(point) if point else None,
    }


BULK_ACTIONS = Source(
    "cloudPcBulkAction",
    _rows,
    _b.id,
    Fields(
        {
            "id": Field(_b.id, "id"),
            "displayName": Field(_b.display_name),
            "createdDateTime": Field(_b.created_at, "time"),
            "initiatedByUserPrincipalName": Field(_b.requested_by_user),
        }
    ),
    _present,
)


@serves("GET", _SET, READ, returns="Collection(cloudPcBulkAction)")
def list_bulk_actions(call: Call) -> Any:
    """List bulk actions."""
    return collection(call, BULK_ACTIONS, path=_SET.lstrip("/"))


@serves("GET", f"{_SET}/$count", READ, returns="Int32")
def count_bulk_actions(call: Call) -> Any:
    """Count bulk actions."""
    return number(count(call, BULK_ACTIONS))


@serves("GET", f"{_SET}/{{id}}", READ, returns="cloudPcBulkAction")
def get_bulk_action(call: Call) -> Any:
    """Get a bulk action, with what has become of it."""
    return one(call, BULK_ACTIONS, "bulk action", call.key("bulk action"))


@serves("POST", _SET, WRITE, body="cloudPcBulkAction", returns="cloudPcBulkAction")
def create_bulk_action(call: Call) -> Any:
    """Begin an action on many Cloud PCs. Its `@odata.type` says which."""
    given = bodies.entity(call, "cloudPcBulkAction")
    kind = _kind(call, given)
    for name in ("displayName", "cloudPcIds"):
        if not given.get(name):
            raise bad(f"The property '{name}' must be given.", name)
    if given.get("scheduledDuringMaintenanceWindow"):
        raise not_possible("There are no maintenance windows; leave scheduledDuringMaintenanceWindow out.")
    if given.get("storageAccountId"):
        raise not_possible("A snapshot cannot be copied to a storage account; leave storageAccountId out.")
    type_ = call.type(kind)
    own = set(type_.properties) - set(call.type("cloudPcBulkAction").properties)
    made = operations.create(
        *call.change,
        kind=kind,
        display_name=given["displayName"],
        cloud_pc_ids=given["cloudPcIds"],
        options={**{name: given[name] for name in own if given.get(name) is not None}, **_review(given)},
        user=call.caller.user_principal_name,
    )
    return Created(one(call, BULK_ACTIONS, "bulk action", made))


@serves("PATCH", f"{_SET}/{{id}}", WRITE, body="cloudPcBulkAction", returns="cloudPcBulkAction")
def update_bulk_action(call: Call) -> Any:
    """Rename a bulk action; what it does cannot be changed any more."""
    given, key = bodies.entity(call, "cloudPcBulkAction"), call.key("bulk action")
    changed = sorted(set(given) - {"displayName", "@odata.type", "id"})
    if changed:
        raise bad(f"Of a bulk action only displayName can be changed, not {', '.join(changed)}.", changed[0])
    if given.get("displayName") is not None:
        operations.rename(*call.change, key, display_name=given["displayName"])
    return one(call, BULK_ACTIONS, "bulk action", key)


@serves("DELETE", f"{_SET}/{{id}}", WRITE)
def delete_bulk_action(call: Call) -> None:
    """Delete a bulk action; what it has begun goes on."""
    operations.delete(*call.change, call.key("bulk action"))


@serves("POST", f"{_SET}/{{id}}/retry", WRITE)
def retry_bulk_action(call: Call) -> None:
    """Try a bulk action again on those Cloud PCs on which it failed."""
    ids = bodies.parameter(call, "cloudPcIds", "Collection(String)", required=False) or ()
    operations.retry(*call.change, call.key("bulk action"), cloud_pc_ids=ids)


@serves_cloud_pcs(
    "POST", "/validateBulkResize", owner=False, writes=False, returns="Collection(cloudPcResizeValidationResult)"
)
def validate_bulk_resize(call: Call, _reach: Reach) -> Any:
    """Check whether Cloud PCs could be resized to a service plan."""
    ids = bodies.parameter(call, "cloudPcIds", "Collection(String)")
    plan = bodies.parameter(call, "targetServicePlanId", "String")
    if len(ids) > operations.MOST:
        raise bad(f"At most {operations.MOST} Cloud PCs at a time.", "cloudPcIds")
    checked = resize_checks.validate(call.world.database, call.tenant, ids, service_plan=plan)
    told = [
        {"id": f"{n:06}", "cloudPcId": cloud_pc, "validationResult": code} for n, (cloud_pc, code) in enumerate(checked)
    ]
    return list_of(call, "cloudPcResizeValidationResult", told, {"cloudPcId": "text", "validationResult": "text"})


def _review(given: dict[str, Any]) -> dict[str, Any]:
    """The review status that is to be set, whole: refused now rather than item by item."""
    review = given.get("reviewStatus")
    if review is None:
        return {}
    if review.get("inReview") is None:
        raise bad("The property 'reviewStatus/inReview' must be given.", "reviewStatus/inReview")
    told = {name: value for name, value in review.items() if value is not None}
    return {"reviewStatus": {"userAccessLevel": "unrestricted", **told}}


def _kind(call: Call, given: dict[str, Any]) -> str:
    said = str(given.get("@odata.type", "")).lstrip("#").removeprefix("microsoft.graph.")
    known = {
        t.name.lower(): t.name
        for t in call.model.types.values()
        if t.base == "cloudPcBulkAction" or t.name in (*operations.KINDS, *_NOT_HERE)
    }
    kind = known.get(said.lower())
    if kind is None:
        told = f"'{said[:60]}' is not the type of a bulk action" if said else "The type of bulk action is missing"
        names = ", ".join(f"#microsoft.graph.{name}" for name in operations.KINDS)
        raise bad(f"{told}; '@odata.type' must be one of: {names}.", "@odata.type")
    if kind not in operations.KINDS:
        raise not_possible(f"{kind} is not possible: {_NOT_HERE.get(kind, 'nothing here does that')}.")
    return kind
