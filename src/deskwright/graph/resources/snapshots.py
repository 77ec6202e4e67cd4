"""`snapshots`: the restore points of Cloud PCs."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, literal_column, select

from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.errors import not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, list_of, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.graph.whose import Reach, one_of, serves_cloud_pcs
from deskwright.store.tables import cloud_pcs, snapshots

_SET = "/deviceManagement/virtualEndpoint/snapshots"
_PATH = "deviceManagement/virtualEndpoint/snapshots"
_n = snapshots.c


def _rows(call: Call) -> "Select[Any]":
    joined = snapshots.join(cloud_pcs, cloud_pcs.c.id == _n.cloud_pc_id)
    live = cloud_pcs.c.status != literal_column("'gone'")
    return select(*snapshots.c).select_from(joined).where(_n.tenant_id == call.tenant.id, live)


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [
        {
            "id": row.id,
            "cloudPcId": row.cloud_pc_id,
            "status": row.status,
            "snapshotType": row.kind,
            "createdDateTime": row.created_at,
            "expirationDateTime": row.expires_at,
            "lastRestoredDateTime": row.last_restored_at,
            "healthCheckStatus": "unknown",
        }
        for row in rows
    ]


_FIELDS = Fields(
    {
        "id": Field(_n.id, "id"),
        "cloudPcId": Field(_n.cloud_pc_id, "id"),
        "status": Field(_n.status, "enum"),
        "snapshotType": Field(_n.kind, "enum"),
        "createdDateTime": Field(_n.created_at, "time"),
        "lastRestoredDateTime": Field(_n.last_restored_at, "time"),
        "expirationDateTime": Field(_n.expires_at, "time"),
    },
    search=("snapshotType",),
)
SNAPSHOTS = Source("cloudPcSnapshot", _rows, _n.id, _FIELDS, _present)


@serves("GET", _SET, READ, returns="Collection(cloudPcSnapshot)")
def list_snapshots(call: Call) -> Any:
    """List the snapshots of all Cloud PCs."""
    return collection(call, SNAPSHOTS, path=_PATH)


@serves("GET", f"{_SET}/$count", READ, returns="Int32")
def count_snapshots(call: Call) -> Any:
    """Count snapshots."""
    return number(count(call, SNAPSHOTS))


@serves("GET", f"{_SET}/{{id}}", READ, returns="cloudPcSnapshot")
def get_snapshot(call: Call) -> Any:
    """Get a snapshot."""
    return one(call, SNAPSHOTS, "snapshot", call.key("snapshot"))


@serves_cloud_pcs("GET", "/{id}/retrieveSnapshots", owner=True, returns="Collection(cloudPcSnapshot)")
def snapshots_of(call: Call, reach: Reach) -> Any:
    """List the snapshots of a Cloud PC."""
    row = one_of(call, reach)
    of_one = Source("cloudPcSnapshot", lambda c: _rows(c).where(_n.cloud_pc_id == row.id), _n.id, _FIELDS, _present)
    return collection(call, of_one, path=_PATH)


@serves("GET", f"{_SET}/getSubscriptions", READ, returns="Collection(cloudPcSubscription)")
def list_subscriptions(call: Call) -> Any:
    """List subscriptions that snapshots can be shared to: there are none."""
    return list_of(call, "cloudPcSubscription", [], {})


@serves("GET", f"{_SET}/getStorageAccounts", READ, returns="Collection(cloudPcForensicStorageAccount)")
def list_storage_accounts(call: Call) -> Any:
    """List storage accounts that snapshots can be shared to: there are none."""
    return list_of(call, "cloudPcForensicStorageAccount", [], {})


@serves("GET", f"{_SET}/retrieveSnapshotImportResults", READ, returns="Collection(cloudPcSnapshotImportActionResult)")
def list_import_results(call: Call) -> Any:
    """List what became of imported snapshots: none can be imported."""
    return list_of(call, "cloudPcSnapshotImportActionResult", [], {})


@serves("POST", f"{_SET}/importSnapshot", WRITE)
def import_snapshot(_call: Call) -> None:
    """Import a snapshot: not possible."""
    raise not_possible("Snapshots cannot be imported from a storage account. Nothing was changed.")


@serves("POST", f"{_SET}/purgeImportedSnapshot", WRITE)
def purge_imported_snapshot(_call: Call) -> None:
    """Purge an imported snapshot: there are none."""
    raise not_possible("Snapshots cannot be imported, so there is none to purge. Nothing was changed.")
