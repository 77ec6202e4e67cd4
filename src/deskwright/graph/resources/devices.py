"""devices: the device objects that Cloud PCs have in the directory, leftovers of past attempts among them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, literal

from deskwright.graph import bodies
from deskwright.graph.access import DEVICES_READ, DEVICES_WRITE
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.device_rows import MODEL, SYSTEM, about, of_kind
from deskwright.graph.errors import bad, not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, always, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.operations import devices as operations
from deskwright.store.tables import ledger

_l = ledger.c


def _rows(call: Call) -> "Select[Any]":
    return of_kind(call, "device")


def _present(_call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    known = about(connection, rows)
    return [_device(row, known[row.id]) for row in rows]


def _device(row: "Row[Any]", of: "Row[Any]") -> Known:
    details = row.details
    attributes = details.get("extensionAttributes")
    return {
        "id": row.external_id,
        "deviceId": row.external_id,
        "displayName": details.get("displayName"),
        "accountEnabled": True,
        "trustType": details.get("trustType"),
        "domainName": details.get("domain"),
        "model": of.model,
        "manufacturer": "Deskwright",
        "enrollmentProfileName": details.get("enrollmentProfileName"),
        "operatingSystem": of.system,
        "isManaged": row.release_at is None,
        "managementType": "MDM",
        "deviceOwnership": "Company",
        "profileType": "RegisteredDevice",
        "registrationDateTime": row.created_at,
        "onPremisesSyncEnabled": True if details.get("trustType") == "ServerAd" else None,
        "extensionAttributes": {name: (attributes or {}).get(name) for name in _ATTRIBUTES},
    }


_ATTRIBUTES = tuple(f"extensionAttribute{n}" for n in range(1, 16))

DEVICES = Source(
    "device",
    _rows,
    _l.external_id,
    Fields(
        {
            "id": Field(_l.external_id),
            "deviceId": Field(_l.external_id),
            "displayName": Field(_l.details["displayName"].astext),
            "trustType": Field(_l.details["trustType"].astext),
            "enrollmentProfileName": Field(_l.details["enrollmentProfileName"].astext),
            "model": Field(MODEL),
            "operatingSystem": Field(SYSTEM),
            "manufacturer": Field(literal("Deskwright")),
            "accountEnabled": Field(literal(True), "bool"),
            "isManaged": Field(_l.release_at.is_(None), "bool"),
            "registrationDateTime": Field(_l.created_at, "time"),
        }
    ),
    _present,
    {name: always(name, []) for name in ("memberOf", "transitiveMemberOf", "registeredOwners", "registeredUsers")},
)


@serves("GET", "/devices", DEVICES_READ, returns="Collection(device)")
def list_devices(call: Call) -> Any:
    """List the device objects of Cloud PCs."""
    return collection(call, DEVICES, path="devices")


@serves("GET", "/devices/$count", DEVICES_READ, returns="Int32", extra=True)
def count_devices(call: Call) -> Any:
    """Count the device objects of Cloud PCs."""
    return number(count(call, DEVICES))


@serves("GET", "/devices/{id}", DEVICES_READ, returns="device")
def get_device(call: Call) -> Any:
    """Get a device object."""
    return one(call, DEVICES, "device", call.keys[0].lower())


@serves("PATCH", "/devices/{id}", DEVICES_WRITE, body="device")
def update_device(call: Call) -> None:
    """Set the extension attributes of a device object; everything else follows from its Cloud PC."""
    given = bodies.entity(call, "device", also={"extensionAttributes": "onPremisesExtensionAttributes"})
    one(call, DEVICES, "device", call.keys[0].lower())
    attributes = given.pop("extensionAttributes", None)
    fixed = sorted(name for name in given if not name.startswith("@"))
    if fixed:
        raise not_possible(f"'{fixed[0]}' of a Cloud PC's device object follows from its Cloud PC and cannot be set.")
    if not isinstance(attributes, dict) or not attributes:
        raise bad(
            "The request's body names no property that can be set; extensionAttributes can.", "extensionAttributes"
        )
    operations.set_extension_attributes(*call.change, call.keys[0].lower(), attributes)


@serves("DELETE", "/devices/{id}", DEVICES_WRITE)
def delete_device(call: Call) -> None:
    """Delete a leftover device object now; one of a Cloud PC in use is refused."""
    one(call, DEVICES, "device", call.keys[0].lower())
    operations.delete(*call.change, call.keys[0].lower())
