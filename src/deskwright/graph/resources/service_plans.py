"""servicePlans: sizes of Cloud PCs, one per licence."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from deskwright.graph.access import READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.store.tables import service_plans

_SET = "/deviceManagement/virtualEndpoint/servicePlans"
_p = service_plans.c


def _rows(call: Call) -> "Select[Any]":
    return select(service_plans).where(_p.tenant_id == call.tenant.id)


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [
        {
            "id": row.id,
            "displayName": row.display_name,
            "vCpuCount": row.vcpu_count,
            "ramInGB": row.ram_gb,
            "storageInGB": row.storage_gb,
            "userProfileInGB": 0,
            "type": "enterprise",
            "supportedSolution": ["windows365"],
            "provisioningType": "dedicated",
        }
        for row in rows
    ]


PLANS = Source(
    "cloudPcServicePlan",
    _rows,
    _p.id,
    Fields(
        {
            "id": Field(_p.id, "id"),
            "displayName": Field(_p.display_name),
            "vCpuCount": Field(_p.vcpu_count, "int"),
            "ramInGB": Field(_p.ram_gb, "int"),
            "storageInGB": Field(_p.storage_gb, "int"),
        }
    ),
    _present,
)


@serves("GET", _SET, READ, returns="Collection(cloudPcServicePlan)")
def list_plans(call: Call) -> Any:
    """List service plans."""
    return collection(call, PLANS, path="deviceManagement/virtualEndpoint/servicePlans")


@serves("GET", f"{_SET}/$count", READ, returns="Int32")
def count_plans(call: Call) -> Any:
    """Count service plans."""
    return number(count(call, PLANS))


@serves("GET", f"{_SET}/{{id}}", READ, returns="cloudPcServicePlan")
def get_plan(call: Call) -> Any:
    """Get a service plan."""
    return one(call, PLANS, "service plan", call.key("service plan"))
