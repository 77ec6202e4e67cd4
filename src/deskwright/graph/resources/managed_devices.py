"""deviceManagement/managedDevices: what device management knows of Cloud PCs' machines."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, literal

from deskwright.graph.access import MANAGED_READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.device_rows import MODEL, SYSTEM, about, of_kind
from deskwright.graph.errors import not_found
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, always, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.routes import serves
from deskwright.operations import remote_actions
from deskwright.store.tables import cloud_pcs, ledger, users

SET = "/deviceManagement/managedDevices"
_l = ledger.c
_NEVER = "0001-01-01T00:00:00Z"
_GIB = 1024**3

# What the contract calls not nullable and nobody here knows, or is the same of every Cloud PC.
_FIXED: Known = {
    "managedDeviceOwnerType": "company",
    "ownerType": "company",
    "managementState": "managed",
    "managementAgent": "mdm",
    "deviceRegistrationState": "registered",
    "complianceState": "unknown",
    "jailBroken": "Unknown",
    "deviceEnrollmentType": "unknown",
    "deviceType": "cloudPC",
    "chassisType": "unknown",
    "processorArchitecture": "x64",
    "manufacturer": "Deskwright",
    "azureADRegistered": True,
    "aadRegistered": True,
    "exchangeAccessState": "none",
    "exchangeAccessStateReason": "none",
    "partnerReportedThreatState": "unknown",
    "lostModeState": "disabled",
    "managementFeatures": "none",
    "easActivated": False,
    "easActivationDateTime": _NEVER,
    "exchangeLastSuccessfulSyncDateTime": _NEVER,
    "complianceGracePeriodExpirationDateTime": "9999-12-31T23:59:59Z",
    "managementCertificateExpirationDate": _NEVER,
    "preferMdmOverGroupPolicyAppliedDateTime": _NEVER,
    "retireAfterDateTime": _NEVER,
    "isEncrypted": False,
    "isSupervised": False,
    "autopilotEnrolled": False,
    "bootstrapTokenEscrowed": False,
    "deviceFirmwareConfigurationInterfaceManaged": False,
    "requireUserEnrollmentApproval": None,
    "freeStorageSpaceInBytes": 0,
    "skuNumber": 0,
    "windowsActiveMalwareCount": 0,
    "windowsRemediatedMalwareCount": 0,
    "roleScopeTagIds": ["0"],
}


def _rows(call: Call) -> "Select[Any]":
    # Joined, so that a filter by user begins at the user.
    query = of_kind(call, "managedDevice").join(cloud_pcs, cloud_pcs.c.id == _l.cloud_pc_id)
    return query.join(users, (users.c.id == cloud_pcs.c.user_id) & (users.c.tenant_id == call.tenant.id))


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    known = about(connection, rows)
    asked = call.options.select or frozenset()
    results: dict[UUID, list[dict[str, Any]]] = {}
    if {"*", "cloudpcremoteactionresults"} & asked:  # dear: only where it is asked for
        results = remote_actions.results(connection, call.tenant, [k.cloud_pc_id for k in known.values()])
    return [_managed(row, known[row.id], results) for row in rows]


def _managed(row: "Row[Any]", of: "Row[Any]", results: dict[UUID, list[dict[str, Any]]]) -> Known:
    details = row.details
    name = details.get("deviceName")
    mine = [r for r in results.get(of.cloud_pc_id, ()) if r["managedDeviceId"] == row.external_id]
    return {
        **_FIXED,
        "id": row.external_id,
        "deviceName": name,
        "managedDeviceName": f"{of.user_principal_name.split('@')[0]}_{of.system or 'Device'}_{name}",
        "userId": str(of.user_id),
        "userPrincipalName": of.user_principal_name,
        "userDisplayName": of.user_display_name,
        "emailAddress": of.user_principal_name,
        "enrolledByUserPrincipalName": of.user_principal_name,
        "azureADDeviceId": details.get("azureADDeviceId"),
        "azureActiveDirectoryDeviceId": details.get("azureADDeviceId"),
        "enrolledDateTime": row.created_at,
        "lastSyncDateTime": row.created_at,  # the only contact there was
        "enrollmentProfileName": details.get("enrollmentProfileName"),
        "model": of.model,
        "operatingSystem": of.system,
        "physicalMemoryInBytes": of.ram_gb * _GIB,
        "totalStorageSpaceInBytes": of.storage_gb * _GIB,
        "joinType": "hybridAzureADJoined" if of.join_type == "hybridAzureADJoin" else "azureADJoined",
        "cloudPcRemoteActionResults": mine,
    }


DEVICES = Source(
    "managedDevice",
    _rows,
    _l.external_id,
    Fields(
        {
            "id": Field(_l.external_id),
            "deviceName": Field(_l.details["deviceName"].astext),
            "userPrincipalName": Field(users.c.user_principal_name),
            "emailAddress": Field(users.c.user_principal_name),
            "azureADDeviceId": Field(_l.details["azureADDeviceId"].astext),
            "azureActiveDirectoryDeviceId": Field(_l.details["azureADDeviceId"].astext),
            "enrollmentProfileName": Field(_l.details["enrollmentProfileName"].astext),
            "enrolledDateTime": Field(_l.created_at, "time"),
            "operatingSystem": Field(SYSTEM),
            "model": Field(MODEL),
            **{
                name: Field(literal(_FIXED[name]), "enum")
                for name in (
                    "manufacturer",
                    "complianceState",
                    "managementAgent",
                    "managedDeviceOwnerType",
                    "deviceType",
                )
            },
        },
        search=("deviceName", "userPrincipalName"),
    ),
    _present,
    {"users": always("users", [])},
)


@serves("GET", SET, MANAGED_READ, returns="Collection(managedDevice)")
def list_managed(call: Call) -> Any:
    """List managed devices."""
    return collection(call, DEVICES, path="deviceManagement/managedDevices")


@serves("GET", f"{SET}/$count", MANAGED_READ, returns="Int32", extra=True)
def count_managed(call: Call) -> Any:
    """Count managed devices."""
    return number(count(call, DEVICES))


@serves("GET", f"{SET}/{{id}}", MANAGED_READ, returns="managedDevice")
def get_managed(call: Call) -> Any:
    """Get a managed device."""
    return one(call, DEVICES, "managed device", call.keys[0].lower())


def cloud_pc_of(call: Call, device: str, *, current: bool = True) -> UUID | None:
    """The Cloud PC whose machine the managed device is; of a leftover only where `current` is False.

    Raises 404 where there is no such device.
    """
    with call.reading() as connection:
        row = connection.execute(_rows(call).where(_l.external_id == device.lower())).first()
    if row is None:
        raise not_found("managed device", device)
    return None if current and row.release_at is not None else UUID(str(row.cloud_pc_id))
