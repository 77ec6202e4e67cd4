"""The actions of managed devices that are Cloud PCs; each is the Cloud PC's own action, or refused by name."""

from collections.abc import Callable, Mapping
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.graph.access import MANAGED_ACT, MANAGED_READ, MANAGED_WRITE
from deskwright.graph.call import Call
from deskwright.graph.errors import GraphError, bad, not_possible
from deskwright.graph.render import complex_value
from deskwright.graph.resources.managed_devices import SET, cloud_pc_of
from deskwright.graph.routes import serves
from deskwright.operations import cloud_pcs, remote_actions

_MOST = 100
_ONE = f"{SET}/{{id}}"
_RESULT = "cloudPcRemoteActionResult"
_BETA: Any = {"extra": True, "versions": ("beta",)}


def _current(call: Call) -> str:
    """The Cloud PC of the device in the path, for a change of it. Raises 409 for a leftover device."""
    found = cloud_pc_of(call, call.keys[0])
    if found is None:
        message = f"The managed device '{call.keys[0]}' is a leftover: its Cloud PC has another machine, or is gone."
        raise GraphError(409, "conflict", message, target="id")
    return str(found)


def _acting(call: Call) -> tuple[Any, Any, str, str]:
    return call.world, call.tenant, call.actor, _current(call)


@serves("POST", f"{_ONE}/rebootNow", MANAGED_ACT, extra=True)
def reboot(call: Call) -> None:
    """Restart a Cloud PC."""
    remote_actions.restart(*_acting(call))


@serves("POST", f"{_ONE}/reprovisionCloudPc", MANAGED_ACT, **_BETA)
def reprovision(call: Call) -> None:
    """Reprovision a Cloud PC."""
    account_type = call.fields.get("useraccounttype")
    cloud_pcs.reprovision(*_acting(call), user_account_type=None if account_type is None else str(account_type))


@serves("POST", f"{_ONE}/resizeCloudPc", MANAGED_ACT, **_BETA)
def resize(call: Call) -> None:
    """Resize a Cloud PC to another service plan."""
    remote_actions.resize(*_acting(call), service_plan=call.text("targetServicePlanId"))


@serves("POST", f"{_ONE}/restoreCloudPc", MANAGED_ACT, **_BETA)
def restore(call: Call) -> None:
    """Restore a Cloud PC to a snapshot."""
    remote_actions.restore(*_acting(call), snapshot_id=call.text("cloudPcSnapshotId"))


@serves("POST", f"{_ONE}/setCloudPcReviewStatus", MANAGED_ACT, **_BETA)
def set_review_status(call: Call) -> None:
    """Put a Cloud PC under review, or end its review."""
    remote_actions.set_review_status(*_acting(call), _review(call))


@serves("GET", f"{_ONE}/getCloudPcReviewStatus", MANAGED_READ, returns="cloudPcReviewStatus", **_BETA)
def get_review_status(call: Call) -> Any:
    """Whether a Cloud PC is under review."""
    known = remote_actions.review_status(call.world.database, call.tenant, _current(call))
    return complex_value(call, "cloudPcReviewStatus", known)


@serves("GET", f"{_ONE}/getCloudPcRemoteActionResults", MANAGED_READ, returns=f"Collection({_RESULT})", **_BETA)
def get_results(call: Call) -> Any:
    """The results of a Cloud PC's remote actions, newest first."""
    cloud_pc = cloud_pc_of(call, call.keys[0], current=False)
    assert cloud_pc is not None
    with call.reading() as connection:
        found = remote_actions.results(connection, call.tenant, [cloud_pc]).get(cloud_pc, [])
    context = f"{call.root}/$metadata#Collection(microsoft.graph.{_RESULT})"
    return {"@odata.context": context, "value": [complex_value(call, _RESULT, result) for result in found]}


# --- several at once ---------------------------------------------------------------------------------


def _bulk(call: Call, act: Callable[[str], Any]) -> dict[str, Any]:
    """Act on each device that the body names; who could not be acted on is told, with the rest done all the same."""
    ids = call.fields.get("manageddeviceids")
    if not isinstance(ids, list) or not ids or len(ids) > _MOST or not all(isinstance(i, str) for i in ids):
        raise bad(f"'managedDeviceIds' must be a list of 1 to {_MOST} ids.", "managedDeviceIds")
    done: dict[str, list[str]] = {
        name: [] for name in ("successfulDeviceIds", "failedDeviceIds", "notFoundDeviceIds", "notSupportedDeviceIds")
    }
    for device in dict.fromkeys(ids):
        done[_outcome(call, device, act)].append(device)
    return {"@odata.context": f"{call.root}/$metadata#microsoft.graph.cloudPcBulkRemoteActionResult", **done}


def _outcome(call: Call, device: str, act: Callable[[str], Any]) -> str:
    try:
        cloud_pc = cloud_pc_of(call, device)
    except GraphError:
        return "notFoundDeviceIds"
    if cloud_pc is None:
        return "notSupportedDeviceIds"
    try:
        act(str(cloud_pc))
    except Refused:
        return "failedDeviceIds"
    return "successfulDeviceIds"


@serves("POST", f"{SET}/bulkReprovisionCloudPc", MANAGED_ACT, **_BETA, status=200)
def bulk_reprovision(call: Call) -> Any:
    """Reprovision several Cloud PCs."""
    return _bulk(call, lambda pc: cloud_pcs.reprovision(call.world, call.tenant, call.actor, pc))


@serves("POST", f"{SET}/bulkSetCloudPcReviewStatus", MANAGED_ACT, **_BETA, status=200)
def bulk_review(call: Call) -> Any:
    """Put several Cloud PCs under review, or end their review."""
    review = _review(call)
    return _bulk(call, lambda pc: remote_actions.set_review_status(call.world, call.tenant, call.actor, pc, review))


def _review(call: Call) -> Mapping[str, Any]:
    review = call.fields.get("reviewstatus")
    if not isinstance(review, dict):
        raise bad("The parameter 'reviewStatus' must be an object.", "reviewStatus")
    return review


# --- what device management of Cloud PCs cannot do ----------------------------------------------------

_IMPOSSIBLE = {
    "syncDevice": "Device management here has no check-in that could be asked for.",
    "setDeviceName": "The device keeps its name; the Cloud PC's name is changed by rename.",
    "retire": "A Cloud PC is not retired; it goes when its licence or policy is taken away.",
    "wipe": "A Cloud PC is not wiped; reprovision it instead.",
    "cleanWindowsDevice": "A Cloud PC is not cleaned; reprovision it instead.",
    "remoteLock": "A Cloud PC has no lock screen of its own; disable the user instead.",
    "shutDown": "Use powerOff of the Cloud PC.",
    "locateDevice": "A Cloud PC has no place to be located.",
    "windowsDefenderScan": "Device management here does not scan.",
    "windowsDefenderUpdateSignatures": "Device management here does not update signatures.",
}


def _impossible(why: str) -> Callable[[Call], Any]:
    def refuse(call: Call) -> Any:
        """Refused: not possible on a Cloud PC here."""
        cloud_pc_of(call, call.keys[0], current=False)
        raise not_possible(f"{why} No change was made.")

    return refuse


for _name, _why in _IMPOSSIBLE.items():
    serves("POST", f"{_ONE}/{_name}", MANAGED_ACT, extra=True)(_impossible(_why))
_GOES_WITH = "A managed device goes with its Cloud PC, and leftovers by themselves."
serves("DELETE", _ONE, MANAGED_WRITE)(_impossible(_GOES_WITH))
serves("PATCH", _ONE, MANAGED_WRITE, body="managedDevice")(_impossible("A managed device follows from its Cloud PC."))
