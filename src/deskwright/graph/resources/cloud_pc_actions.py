"""Actions on one Cloud PC. Each is accepted with 204 and carried out by a run, or refused; see `operations`."""

from collections.abc import Callable
from typing import Any

from deskwright.graph import bodies
from deskwright.graph.call import Call
from deskwright.graph.errors import GraphError, not_possible
from deskwright.graph.render import complex_value
from deskwright.graph.whose import Reach, one_of, serves_cloud_pcs
from deskwright.operations import cloud_pcs, remote_actions
from deskwright.operations.user_grants import grants_of


@serves_cloud_pcs("POST", "/{id}/reprovision", owner=True)
def reprovision(call: Call, reach: Reach) -> None:
    """Reprovision a Cloud PC: its machine and all data are deleted, and made anew by the policy as it is now.

    The policy's image decides about the operating system; `osVersion` is only checked.
    """
    account_type = bodies.parameter(call, "userAccountType", "cloudPcUserAccountType", required=False)
    bodies.parameter(call, "osVersion", "cloudPcOperatingSystem", required=False)
    row = one_of(call, reach)
    _must_be_granted(call, reach, row, "resetEnabled", "reset")
    if reach.as_owner and account_type is not None:
        raise GraphError(403, "Forbidden", "Without a Cloud PC role, a person cannot choose their account type.")
    cloud_pcs.reprovision(call.world, call.tenant, call.actor, str(row.id), user_account_type=account_type)


@serves_cloud_pcs("POST", "/{id}/retry", owner=False, extra=True)
def retry(call: Call, reach: Reach) -> None:
    """Provision a failed Cloud PC again."""
    _act(cloud_pcs.retry, call, reach)


@serves_cloud_pcs("POST", "/{id}/endGracePeriod", owner=False)
def end_grace_period(call: Call, reach: Reach) -> None:
    """End a Cloud PC's grace period now."""
    _act(cloud_pcs.end_grace, call, reach)


@serves_cloud_pcs("POST", "/{id}/rename", owner=True)
def rename(call: Call, reach: Reach) -> None:
    """Rename a Cloud PC as people see it."""
    name = bodies.parameter(call, "displayName", "String")
    _act(remote_actions.rename, call, reach, display_name=name)


@serves_cloud_pcs("POST", "/{id}/reboot", owner=True)
def reboot(call: Call, reach: Reach) -> None:
    """Restart a Cloud PC."""
    _act(remote_actions.restart, call, reach)


@serves_cloud_pcs("POST", "/{id}/powerOn", owner=True)
def power_on(call: Call, reach: Reach) -> None:
    """Power a Cloud PC on."""
    _act(remote_actions.power_on, call, reach)


@serves_cloud_pcs("POST", "/{id}/powerOff", owner=True)
def power_off(call: Call, reach: Reach) -> None:
    """Power a Cloud PC off."""
    _act(remote_actions.power_off, call, reach)


@serves_cloud_pcs("POST", "/{id}/start", owner=True)
def start(call: Call, reach: Reach) -> None:
    """Start a Cloud PC."""
    _act(remote_actions.power_on, call, reach)


@serves_cloud_pcs("POST", "/{id}/stop", owner=True)
def stop(call: Call, reach: Reach) -> None:
    """Stop a Cloud PC."""
    _act(remote_actions.power_off, call, reach)


@serves_cloud_pcs("POST", "/{id}/resize", owner=False)
def resize(call: Call, reach: Reach) -> None:
    """Move a Cloud PC to another service plan."""
    plan = bodies.parameter(call, "targetServicePlanId", "String")
    _act(remote_actions.resize, call, reach, service_plan=plan)


@serves_cloud_pcs("POST", "/{id}/restore", owner=True)
def restore(call: Call, reach: Reach) -> None:
    """Restore a Cloud PC to one of its snapshots."""
    snapshot = bodies.parameter(call, "cloudPcSnapshotId", "String")
    row = one_of(call, reach)
    _must_be_granted(call, reach, row, "userRestoreEnabled", "restore")
    remote_actions.restore(call.world, call.tenant, call.actor, str(row.id), snapshot_id=snapshot)


@serves_cloud_pcs("POST", "/{id}/createSnapshot", owner=False)
def create_snapshot(call: Call, reach: Reach) -> None:
    """Take a snapshot of a Cloud PC."""
    if bodies.parameter(call, "storageAccountId", "String", required=False):
        raise not_possible("A snapshot cannot be copied to a storage account; leave storageAccountId out.")
    bodies.parameter(call, "accessTier", "cloudPcBlobAccessTier", required=False)
    _act(remote_actions.create_snapshot, call, reach)


@serves_cloud_pcs("POST", "/{id}/troubleshoot", owner=True)
def troubleshoot(call: Call, reach: Reach) -> None:
    """Look whether a Cloud PC answers on the way its user takes."""
    _act(remote_actions.troubleshoot, call, reach)


@serves_cloud_pcs("POST", "/{id}/changeUserAccountType", owner=False)
def change_user_account_type(call: Call, reach: Reach) -> None:
    """Make the user of a Cloud PC a local administrator, or a standard user."""
    account_type = bodies.parameter(call, "userAccountType", "cloudPcUserAccountType")
    _act(remote_actions.change_user_account_type, call, reach, user_account_type=account_type)


@serves_cloud_pcs("POST", "/{id}/setReviewStatus", owner=False)
def set_review_status(call: Call, reach: Reach) -> None:
    """Put a Cloud PC under review, or end its review."""
    review = bodies.parameter(call, "reviewStatus", "cloudPcReviewStatus")
    row = one_of(call, reach)
    remote_actions.set_review_status(call.world, call.tenant, call.actor, str(row.id), review)


@serves_cloud_pcs("GET", "/{id}/retrieveReviewStatus", owner=False, returns="cloudPcReviewStatus")
def retrieve_review_status(call: Call, reach: Reach) -> Any:
    """Get whether a Cloud PC is under review."""
    row = one_of(call, reach)
    known = remote_actions.review_status(call.world.database, call.tenant, str(row.id))
    return complex_value(call, "cloudPcReviewStatus", known)


@serves_cloud_pcs("POST", "/{id}/retryPartnerAgentInstallation", owner=False)
def retry_partner_agent_installation(call: Call, reach: Reach) -> None:
    """Install a partner's agent again: there are no partner agents."""
    one_of(call, reach)
    raise not_possible("No partner agents are installed by Deskwright, so there is none to retry.")


def _act(does: Callable[..., dict[str, Any]], call: Call, reach: Reach, **values: Any) -> None:
    does(call.world, call.tenant, call.actor, str(one_of(call, reach).id), **values)


def _must_be_granted(call: Call, reach: Reach, row: Any, grant: str, word: str) -> None:
    """What a user setting has to allow a person to do to their own Cloud PC (windows-365-facts, user settings)."""
    if not reach.as_owner:
        return
    with call.reading() as connection:
        granted = grants_of(connection, call.tenant, row.user_id)
    if not granted[grant]:
        raise GraphError(403, "Forbidden", f"No user setting allows you to {word} your Cloud PC ({grant}).")
