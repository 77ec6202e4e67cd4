"""onPremisesConnections: the customer's networks that Cloud PCs are put into.

Clients name networks by Azure's resource ids. The last segment is the network's, the subnet's or the resource group's
name here; the whole is kept and told again while that name stays the same. Ids that are no path are names themselves.
`virtualNetworkLocation` names a site or its region; without it `operations.sites.of_network` finds the site.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, case, func, literal, select

from deskwright.checks.table import CHECKS
from deskwright.domain.rules import Refused
from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad
from deskwright.graph.filters import Field, Fields
from deskwright.graph.kept import kept
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.routes import Access, serves
from deskwright.operations import connections
from deskwright.store.tables import connection_checks, sites
from deskwright.store.tables import connections as table

PATH = "deviceManagement/virtualEndpoint/onPremisesConnections"
SET = f"/{PATH}"
TYPE = "cloudPcOnPremisesConnection"
KEPT = ("managedBy", "scopeIds", "subscriptionName")
_IDS = {"virtualNetworkId": "network", "subnetId": "subnet", "resourceGroupId": "resource_group"}
"""Properties that hold resource ids -> columns that hold the names in them."""
_NOT_YET = datetime(1, 1, 1, tzinfo=UTC)
"""How Graph tells a time that has not come where none must be null."""
# An error code of the documents' whose spelling in Graph differs.
_ERROR_TYPES = {"internalServerErrorUnknownError": "internalServerUnknownError"}
_k, _c = table.c, connection_checks.c

# A check that is due or under way makes the last result an old one: clients wait for it to settle.
_STATUS = case(
    (_k.checking, "running"),
    (_k.next_check_at <= func.tenant_now(_k.tenant_id), "pending"),
    else_=_k.health_status,
)


def _rows(call: Call) -> "Select[Any]":
    joined = table.join(sites, sites.c.id == _k.site_id)
    query = select(table, _STATUS.label("status"), sites.c.region).select_from(joined)
    return query.where(_k.tenant_id == call.tenant.id)


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    ids = [row.id for row in rows]
    uses = connections.uses(connection, call.tenant, ids)
    asked = call.options.select or frozenset()
    details: Mapping[UUID, Known] = {}
    if "healthcheckstatusdetail" in asked or "healthcheckstatusdetails" in asked:
        details = _details(connection, call, rows)
    found: list[Known] = []
    for row in rows:
        known = {**_known(row), "inUse": uses[row.id].anyhow, "inUseByCloudPc": uses[row.id].by_cloud_pc}
        known["healthCheckStatusDetail"] = known["healthCheckStatusDetails"] = details.get(row.id)
        if "subnetprivateipdetail" in asked:
            known["subnetPrivateIpDetail"] = {
                "subnetAvailableIpCount": connections.free_addresses(call.world.database, call.tenant, str(row.id)),
                "subnetAvailableIpCountLastSyncDateTime": connection.execute(
                    select(func.tenant_now(call.tenant.id))
                ).scalar_one(),
            }
        found.append(known)
    return found


def _known(row: "Row[Any]") -> dict[str, Any]:
    had = row.kept_properties
    return {
        "id": row.id,
        "displayName": row.display_name,
        "connectionType": row.connection_type,
        "type": row.connection_type,
        "subscriptionId": row.subscription or "",
        "subscriptionName": had.get("subscriptionName") or row.subscription,
        **{name: _whole(had.get(name), row._mapping[column]) for name, column in _IDS.items()},
        "virtualNetworkLocation": row.region,
        "adDomainName": row.ad_domain_name,
        "organizationalUnit": row.organizational_unit,
        "adDomainUsername": row.ad_domain_username,
        "adDomainPassword": None,
        "healthCheckStatus": row.status,
        "healthCheckPaused": False,
        "managedBy": had.get("managedBy") or ["windows365"],
        "scopeIds": had.get("scopeIds") or ["0"],
    }


def _details(connection: Connection, call: Call, rows: "Sequence[Row[Any]]") -> Mapping[UUID, Known]:
    ids = [row.id for row in rows]
    query = select(connection_checks).where(_c.tenant_id == call.tenant.id, _c.connection_id.in_(ids))
    of: dict[UUID, list[Row[Any]]] = {}
    for row in connection.execute(query):
        of.setdefault(row.connection_id, []).append(row)
    order = {name: place for place, name in enumerate(CHECKS)}
    found = {}
    for key, results in of.items():
        results.sort(key=lambda r: order.get(r.check_id, len(order)))
        begun = [r.started_at for r in results if r.started_at]
        ended = [r.ended_at for r in results]
        found[key] = {
            "startDateTime": min(begun, default=_NOT_YET),
            "endDateTime": _NOT_YET if None in ended else max(ended, default=_NOT_YET),
            "healthChecks": [_check(call, row) for row in results],
        }
    return found


def _check(call: Call, row: "Row[Any]") -> Known:
    check = CHECKS.get(row.check_id)
    error = _ERROR_TYPES.get(row.error_code or "", row.error_code)
    return {
        "displayName": check.title if check else row.check_id,
        "status": row.status,
        "startDateTime": row.started_at or _NOT_YET,
        "endDateTime": row.ended_at or _NOT_YET,
        "errorType": error,
        "recommendedAction": check.remedy if check and row.status not in ("passed", "informational") else None,
        "additionalDetail": row.detail,
        "additionalDetails": row.detail,
        "correlationId": f"{row.connection_id}_{row.check_id}",
    }


CONNECTIONS = Source(
    TYPE,
    _rows,
    _k.id,
    Fields(
        {
            "id": Field(_k.id, "id"),
            "displayName": Field(_k.display_name),
            "connectionType": Field(_k.connection_type, "enum"),
            "type": Field(_k.connection_type, "enum"),
            "healthCheckStatus": Field(_STATUS, "enum"),
            "healthCheckPaused": Field(literal(False), "bool"),
            "subscriptionId": Field(_k.subscription),
            "virtualNetworkId": Field(func.coalesce(_k.kept_properties["virtualNetworkId"].astext, _k.network)),
            "subnetId": Field(func.coalesce(_k.kept_properties["subnetId"].astext, _k.subnet)),
            "virtualNetworkLocation": Field(sites.c.region),
            "adDomainName": Field(_k.ad_domain_name),
            "adDomainUsername": Field(_k.ad_domain_username),
            "organizationalUnit": Field(_k.organizational_unit),
            "managedBy": Field(func.coalesce(_k.kept_properties["managedBy"][0].astext, "windows365"), "enum"),
        }
    ),
    _present,
)


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_connections(call: Call) -> Any:
    """List network connections."""
    return collection(call, CONNECTIONS, path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_connections(call: Call) -> Any:
    """Count network connections."""
    return number(count(call, CONNECTIONS))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_connection(call: Call) -> Any:
    """Get a network connection."""
    return one(call, CONNECTIONS, "network connection", call.key("network connection"))


@serves("POST", SET, WRITE, body=TYPE, returns=TYPE)
def create_connection(call: Call) -> Any:
    """Create a network connection; its health is pending until the first check has ended."""
    given = bodies.newest(call, TYPE)
    for name in ("displayName", "virtualNetworkId", "subnetId"):
        if not given.get(name):
            raise bad(f"The property '{name}' is missing.", name)
    values = {"connection_type": "hybridAzureADJoin", **_values(given)}
    if given.get("adDomainPassword"):
        values["ad_domain_password"] = given["adDomainPassword"]
    item = connections.create(*call.change, secrets=call.world.secrets, confirmed=call.confirmed, **values)
    return Created(one(call, CONNECTIONS, "network connection", UUID(item["id"])))


@serves("PATCH", f"{SET}/{{id}}", WRITE, body=TYPE, returns=TYPE)
def update_connection(call: Call) -> Any:
    """Update a network connection; it is checked anew."""
    connection = call.key("network connection")
    given = bodies.newest(call, TYPE)
    values = _values(given)
    kind = values.pop("connection_type", None)
    before = one(call, CONNECTIONS, "network connection", connection)
    if kind is not None and kind != (before.get("connectionType") or kind):
        raise Refused("connectionType", kind, "cannot be changed; make another connection", code="notAllowed")
    if given.get("adDomainPassword"):
        values |= {"ad_domain_password": given["adDomainPassword"], "secrets": call.world.secrets}
    connections.set_(*call.change, str(connection), confirmed=call.confirmed, **values)
    return one(call, CONNECTIONS, "network connection", connection)


@serves("DELETE", f"{SET}/{{id}}", WRITE)
def delete_connection(call: Call) -> None:
    """Delete a network connection, while no policy and no Cloud PC uses it."""
    connections.delete(*call.change, str(call.key("network connection")), confirmed=call.confirmed)


@serves("POST", f"{SET}/{{id}}/runHealthChecks", Access(WRITE.scopes, delegated_only=True))
def run_health_checks(call: Call) -> None:
    """Run the health checks now; as on Graph, for signed-in people only."""
    connections.request_check(*call.change, str(call.key("network connection")), confirmed=call.confirmed)


@serves("POST", f"{SET}/{{id}}/updateAdDomainPassword", WRITE)
def update_password(call: Call) -> None:
    """Replace the join account's password; it is checked anew, and never told."""
    connection = str(call.key("network connection"))
    password = call.text("adDomainPassword")
    connections.set_password(*call.change, connection, password, secrets=call.world.secrets, confirmed=call.confirmed)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says, as `operations.connections` has it; what it leaves out or says null of is not there."""
    extras = kept(TYPE, given, KEPT)
    values: dict[str, Any] = {
        "display_name": given.get("displayName"),
        "connection_type": given.get("connectionType") or given.get("type"),
        "region": given.get("virtualNetworkLocation") or None,
        "subscription": given.get("subscriptionId"),
        "ad_domain_name": given.get("adDomainName"),
        "organizational_unit": given.get("organizationalUnit"),
        "ad_domain_username": given.get("adDomainUsername"),
    }
    for name, column in _IDS.items():
        if given.get(name):
            values[column] = _last(given[name])
            extras[name] = given[name] if given[name] != values[column] else None
    values["kept"] = extras or None
    return {name: value for name, value in values.items() if value is not None}


def _last(name: str) -> str:
    """The last segment of a resource id; anything that does not begin with a slash is a name, ``10.0.0.0/24`` too."""
    return name.rstrip("/").rpartition("/")[2] if name.startswith("/") else name


def _whole(resource_id: str | None, name: str | None) -> str:
    return resource_id if resource_id and _last(resource_id) == name else name or ""
