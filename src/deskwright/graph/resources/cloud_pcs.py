"""`cloudPCs`: lists, one, counts, and the functions that tell about one. Actions are in `cloud_pc_actions`."""

from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, func, literal_column, select, text

from deskwright.domain.status import USABLE, Status
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.cloud_pc import (
    CLOUD_PCS,
    WITH_MACHINE,
    action_result,
    of_user,
    source_where,
)
from deskwright.graph.errors import bad, not_found, not_possible
from deskwright.graph.listing import Source, collection, count, list_of, one
from deskwright.graph.render import complex_value
from deskwright.graph.whose import Reach, one_of, serves_cloud_pcs
from deskwright.operations import remote_actions
from deskwright.operations.listing import image_title
from deskwright.operations.named import as_id
from deskwright.store.tables import cloud_pcs, memberships

_PATH = "deviceManagement/virtualEndpoint/cloudPCs"
_c = cloud_pcs.c

# What the sign-in path answered, whenever it was walked: at the end of a provisioning, or for troubleshooting.
_WALKS = text(
    """
    SELECT r.id, r.kind, s.attempt, s.outcome, s.started_at, COALESCE(s.message, s.output) AS message
      FROM runs r JOIN steps s ON s.run_id = r.id
     WHERE r.cloud_pc_id = :id AND r.tenant_id = :tenant AND s.step = 'A0' AND s.ended_at IS NOT NULL
     ORDER BY s.started_at DESC LIMIT 500
    """
)
# The actions of cloudPcRemoteActionName, and the statuses in which each can be begun.
_SETTLED = frozenset({Status.PROVISIONED, Status.WARNINGS})
_CAN = {
    "restart": USABLE,
    "rename": USABLE,
    "resize": _SETTLED,
    "restore": _SETTLED,
    "reprovision": _SETTLED | {Status.FAILED},
    "changeUserAccountType": _SETTLED,
    "troubleshoot": USABLE,
    "placeUnderReview": USABLE,
    "createSnapshot": USABLE,
    "powerOn": USABLE,
    "powerOff": USABLE,
    "moveRegion": frozenset[Status](),
}
_WANTS_RUNNING = ("restart", "powerOff", "changeUserAccountType")
_RESULT_KINDS = {"actionName": "text", "actionState": "text", "startDateTime": "time", "lastUpdatedDateTime": "time"}


@serves_cloud_pcs("GET", "", owner=True, returns="Collection(cloudPC)")
def list_cloud_pcs(call: Call, reach: Reach) -> Any:
    """List Cloud PCs."""
    return collection(call, _source(reach), path=_PATH)


@serves_cloud_pcs("GET", "/$count", owner=True, returns="Int32")
def count_cloud_pcs(call: Call, reach: Reach) -> Any:
    """Count Cloud PCs."""
    return number(count(call, _source(reach)))


@serves_cloud_pcs("GET", "/{id}", owner=True, returns="cloudPC")
def get_cloud_pc(call: Call, reach: Reach) -> Any:
    """Get a Cloud PC."""
    return one(call, _source(reach), "Cloud PC", call.key("Cloud PC"))


@serves_cloud_pcs("GET", "/getProvisionedCloudPCs", owner=False, returns="Collection(cloudPC)")
def get_provisioned_cloud_pcs(call: Call, reach: Reach) -> Any:
    """List the Cloud PCs of a service plan that were provisioned for members of a group."""
    group, plan = _argument(call, "groupId"), _argument(call, "servicePlanId")
    members = select(memberships.c.user_id).where(
        memberships.c.group_id == group, memberships.c.tenant_id == call.tenant.id
    )
    provisioned = _c.status.in_([status.value for status in WITH_MACHINE])
    return collection(call, _source(reach, _c.user_id.in_(members), _c.plan_id == plan, provisioned), path=_PATH)


@serves_cloud_pcs("GET", "/retrieveCloudPcCountByStatus", owner=True, returns="Collection(cloudPcStatusSummary)")
def count_by_status(call: Call, reach: Reach) -> Any:
    """Count Cloud PCs by status."""
    live = _c.status != literal_column("'gone'")
    query = select(_c.status, func.count().label("n")).where(_c.tenant_id == call.tenant.id, live).group_by(_c.status)
    if reach.user_id is not None:
        query = query.where(of_user(reach.user_id))
    with call.reading() as connection:
        found = {row.status: row.n for row in connection.execute(query)}
    summary = [{"id": f"{n:02}", "status": s.value, "count": found[s]} for n, s in enumerate(Status) if s in found]
    return list_of(call, "cloudPcStatusSummary", summary, {"status": "text", "count": "int"})


@serves_cloud_pcs(
    "GET", "/{id}/retrieveCloudPCRemoteActionResults", owner=True, returns="Collection(cloudPcRemoteActionResult)"
)
def remote_action_results(call: Call, reach: Reach) -> Any:
    """List what became of the remote actions on a Cloud PC, newest first."""
    row = one_of(call, reach)
    with call.reading() as connection:
        results = remote_actions.results(connection, call.tenant, [row.id]).get(row.id, [])
    told = [{**action_result(result), "id": f"{n:06}"} for n, result in enumerate(results)]
    return list_of(call, "cloudPcRemoteActionResult", told, _RESULT_KINDS)


@serves_cloud_pcs(
    "GET",
    "/{id}/getSupportedCloudPcRemoteActions",
    owner=True,
    returns="Collection(cloudPcRemoteActionCapability)",
)
def supported_remote_actions(call: Call, reach: Reach) -> Any:
    """List which remote actions can be begun on a Cloud PC as it is now."""
    row = one_of(call, reach)
    off = row.power_state == "poweredOff"

    def enabled(action: str) -> bool:
        if action == "powerOn":
            return off and row.status in _CAN[action]
        return row.status in _CAN[action] and not (off and action in _WANTS_RUNNING)

    told = [
        {"id": f"{n:02}", "actionName": action, "actionCapability": "enabled" if enabled(action) else "disabled"}
        for n, action in enumerate(_CAN)
    ]
    return list_of(call, "cloudPcRemoteActionCapability", told, {"actionName": "text", "actionCapability": "text"})


@serves_cloud_pcs(
    "GET", "/{id}/getCloudPcConnectivityHistory", owner=True, returns="Collection(cloudPcConnectivityEvent)"
)
def connectivity_history(call: Call, reach: Reach) -> Any:
    """List what walking the sign-in path found, newest first. Sessions of users are not recorded."""
    row = one_of(call, reach)
    with call.reading() as connection:
        walks = connection.execute(_WALKS, {"id": row.id, "tenant": call.tenant.id}).all()
    events = [
        {
            "id": f"{n:06}",
            "activityId": uuid5(walk.id, str(walk.attempt)),
            "eventDateTime": walk.started_at,
            "eventName": "Sign-in path",
            "eventResult": "success" if walk.outcome == "succeeded" else "failure",
            "eventType": "userTroubleshooting" if walk.kind == "troubleshoot" else "deviceHealthCheck",
            "message": walk.message,
        }
        for n, walk in enumerate(walks)
    ]
    kinds = {"eventDateTime": "time", "eventName": "text", "eventResult": "text", "eventType": "text"}
    return list_of(call, "cloudPcConnectivityEvent", events, kinds)


@serves_cloud_pcs(
    "GET", "/{id}/retrieveCloudPcLaunchDetail", owner=True, returns="cloudPcLaunchDetail", delegated_only=True
)
def launch_detail(call: Call, reach: Reach) -> Any:
    """Get the address at which a Cloud PC is used; 404 until it is provisioned."""
    row = _launchable(call, reach)
    windows = "windows" in str(image_title(row.image_name)).lower()
    known = {
        "cloudPcId": row.id,
        "cloudPcLaunchUrl": _launch_url(call, row.id),
        "windows365SwitchCompatible": False,
        "windows365SwitchCompatibilityFailureReasonType": "hardwareNotSupported"
        if windows
        else "osVersionNotSupported",
    }
    return complex_value(call, "cloudPcLaunchDetail", known)


@serves_cloud_pcs("GET", "/{id}/getCloudPcLaunchInfo", owner=True, returns="cloudPcLaunchInfo", delegated_only=True)
def launch_info(call: Call, reach: Reach) -> Any:
    """Get the address at which a Cloud PC is used (the older form)."""
    row = _launchable(call, reach)
    known = {
        "cloudPcId": row.id,
        "cloudPcLaunchUrl": _launch_url(call, row.id),
        "windows365SwitchCompatible": False,
        "windows365SwitchNotCompatibleReason": "Switching to a Cloud PC from Windows needs Microsoft's own hosts.",
    }
    return complex_value(call, "cloudPcLaunchInfo", known)


@serves_cloud_pcs("GET", "/{id}/getFrontlineCloudPcAccessState", owner=False, returns="frontlineCloudPcAccessState")
def frontline_access_state(call: Call, reach: Reach) -> Any:
    """Get the access state of a Frontline Cloud PC: there are none yet."""
    one_of(call, reach)
    raise not_possible("A dedicated Cloud PC has no Frontline access state.")


@serves_cloud_pcs("GET", "/{id}/retrieveFrontlineCloudPcDetail", owner=False, returns="frontlineCloudPcDetail")
def frontline_detail(call: Call, reach: Reach) -> Any:
    """Get what concerns Frontline of a Cloud PC: for a dedicated one, that it does not apply."""
    one_of(call, reach)
    return complex_value(call, "frontlineCloudPcDetail", {"frontlineCloudPcAvailability": "notApplicable"})


def _source(reach: Reach, *conditions: "ColumnElement[bool]") -> Source:
    whose = () if reach.user_id is None else (of_user(reach.user_id),)
    return source_where(*whose, *conditions) if whose or conditions else CLOUD_PCS


def _argument(call: Call, name: str) -> UUID:
    given = call.arguments.get(name.lower(), "")
    found = as_id(given)
    if found is None:
        raise bad(f"The function's argument '{name}' must be an id; it is '{given[:60]}'.", name)
    return found


def _launchable(call: Call, reach: Reach) -> Any:
    row = one_of(call, reach)
    if row.status not in USABLE:
        raise not_found("Cloud PC that can be signed in to", row.id)
    return row


def _launch_url(call: Call, cloud_pc: UUID) -> str:
    return f"{call.world.settings.portal_address.rstrip('/')}/cloud-pcs/{cloud_pc}"
