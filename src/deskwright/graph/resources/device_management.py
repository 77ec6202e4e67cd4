"""deviceManagement itself, and role scope tags: the built-in one."""

from typing import Any

from deskwright.graph.access import CONFIGURATION_READ, RBAC_READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.errors import not_found
from deskwright.graph.listing import list_of
from deskwright.graph.render import entity
from deskwright.graph.routes import serves

_NEVER = "0001-01-01T00:00:00Z"
_DEFAULT_TAG = {
    "id": "0",
    "displayName": "Default",
    "description": "Every object of the tenant.",
    "isBuiltIn": True,
}


@serves("GET", "/deviceManagement", CONFIGURATION_READ, returns="deviceManagement")
def get_device_management(call: Call) -> Any:
    """Get what is known of device management as a whole."""
    known = {
        "id": str(call.tenant.id),
        "intuneAccountId": str(call.tenant.id),
        "subscriptionState": "active",
        "subscriptions": ["none"],
        "accountMoveCompletionDateTime": _NEVER,
        "deviceComplianceReportSummarizationDateTime": _NEVER,
        "lastReportAggregationDateTime": _NEVER,
        "legacyPcManangementEnabled": False,
        "maximumDepTokens": 0,
        "unlicensedAdminstratorsEnabled": False,
    }
    return {"@odata.context": f"{call.root}/$metadata#deviceManagement", **entity(call, "deviceManagement", known)}


@serves("GET", "/deviceManagement/roleScopeTags", RBAC_READ, returns="Collection(roleScopeTag)")
def list_tags(call: Call) -> Any:
    """List role scope tags: the built-in one, which every object has."""
    return list_of(call, "roleScopeTag", [_DEFAULT_TAG], {"displayName": "text", "isBuiltIn": "bool"})


@serves("GET", "/deviceManagement/roleScopeTags/$count", RBAC_READ, returns="Int32", extra=True, versions=("beta",))
def count_tags(_call: Call) -> Any:
    """Count role scope tags."""
    return number(1)


@serves(
    "GET", "/deviceManagement/roleScopeTags/{id}", RBAC_READ, returns="roleScopeTag", extra=True, versions=("beta",)
)
def get_tag(call: Call) -> Any:
    """Get a role scope tag."""
    if call.keys[0] != _DEFAULT_TAG["id"]:
        raise not_found("role scope tag", call.keys[0])
    context = f"{call.root}/$metadata#deviceManagement/roleScopeTags/$entity"
    return {"@odata.context": context, **entity(call, "roleScopeTag", _DEFAULT_TAG)}
