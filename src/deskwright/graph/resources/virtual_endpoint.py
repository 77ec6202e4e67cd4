"""virtualEndpoint itself, what the caller may do in it, and sets of it that are always empty here."""

from collections.abc import Callable
from typing import Any

from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.errors import not_found, not_possible
from deskwright.graph.listing import list_of
from deskwright.graph.render import complex_value, entity
from deskwright.graph.routes import serves
from deskwright.identity.permissions import satisfies

PATH = "deviceManagement/virtualEndpoint"
ROOT = f"/{PATH}"
SETS = (
    "AuditData",
    "CloudPCs",
    "DeviceImages",
    "ExternalPartnerSettings",
    "OnPremisesConnections",
    "OrganizationSettings",
    "ProvisioningPolicies",
    "Reports",
    "Roles",
    "ServicePlans",
    "SharedUseLicenseUsageReports",
    "SharedUseServicePlans",
    "Snapshot",
    "SupportedRegion",
    "UserSettings",
)
CHANGES = {
    "CloudPCs": ("Update", "Reprovision", "Resize", "EndGracePeriod", "Restore", "Reboot", "Rename", "Troubleshoot"),
    "DeviceImages": ("Create", "Delete"),
    "OnPremisesConnections": ("Create", "Delete", "Update", "RunHealthChecks", "UpdateAdDomainPassword"),
    "OrganizationSettings": ("Update",),
    "ProvisioningPolicies": ("Assign", "Create", "Delete", "Update"),
    "Roles": ("Create", "Update", "Delete"),
    "UserSettings": ("Assign", "Create", "Delete", "Update"),
}
"""Windows 365's resource actions, as far as they are possible here."""


@serves("GET", ROOT, READ, returns="virtualEndpoint")
def get_endpoint(call: Call) -> Any:
    """Get the virtual endpoint; what is in it has sets of its own."""
    if call.options.expand:
        raise not_possible("The virtual endpoint's sets cannot be expanded; ask for each by its path.")
    context = f"{call.root}/$metadata#deviceManagement/virtualEndpoint/$entity"
    return {"@odata.context": context, **entity(call, "virtualEndpoint", {"id": call.tenant.id})}


def _permitted(call: Call) -> list[str]:
    found = [f"Microsoft.CloudPC/{name}/Read" for name in SETS]
    if satisfies(call.caller, WRITE.scopes, writes=True):
        found += [f"Microsoft.CloudPC/{name}/{verb}" for name, verbs in CHANGES.items() for verb in verbs]
    return sorted(found)


@serves("GET", f"{ROOT}/getEffectivePermissions()", READ, returns="Collection(String)")
def effective_permissions(call: Call) -> Any:
    """List what the caller may do, as Windows 365 names it."""
    return {"@odata.context": f"{call.root}/$metadata#Collection(Edm.String)", "value": _permitted(call)}


@serves("GET", f"{ROOT}/retrieveScopedPermissions()", READ, returns="Collection(cloudPcScopedPermission)")
def scoped_permissions(call: Call) -> Any:
    """The same with their scope tags: everything is in the default one."""
    told = [
        complex_value(call, "cloudPcScopedPermission", {"permission": p, "scopeIds": ["0"]}) for p in _permitted(call)
    ]
    context = f"{call.root}/$metadata#Collection(microsoft.graph.cloudPcScopedPermission)"
    return {"@odata.context": context, "value": told}


@serves("GET", f"{ROOT}/retrieveTenantEncryptionSetting()", READ, returns="cloudPcTenantEncryptionSetting")
def encryption_setting(call: Call) -> Any:
    """How disks are encrypted: that is the site's business, and not known here."""
    context = f"{call.root}/$metadata#microsoft.graph.cloudPcTenantEncryptionSetting"
    return {"@odata.context": context, **complex_value(call, "cloudPcTenantEncryptionSetting", {})}


@serves(
    "GET",
    f"{ROOT}/crossCloudGovernmentOrganizationMapping",
    READ,
    returns="cloudPcCrossCloudGovernmentOrganizationMapping",
)
def government_mapping(call: Call) -> Any:
    """The tenant's counterparts in a government cloud: it has none."""
    type_ = "cloudPcCrossCloudGovernmentOrganizationMapping"
    context = f"{call.root}/$metadata#{PATH}/crossCloudGovernmentOrganizationMapping/$entity"
    return {"@odata.context": context, **entity(call, type_, {"id": call.tenant.id, "organizationIdsInUSGovCloud": []})}


# --- sets in which there is nothing -----------------------------------------------------------------------


def _serve_empty(name: str, type_name: str, what: str, *, extra: bool = False) -> None:
    """List, count and get of a set without any objects: all there is to say of it until Deskwright has such objects."""
    answers: dict[str, tuple[str | None, Callable[[Call], Any]]] = {
        f"{ROOT}/{name}": (
            f"Collection({type_name})",
            lambda call: list_of(call, type_name, [], {"displayName": "text"}),
        ),
        f"{ROOT}/{name}/$count": ("Int32", lambda _call: number(0)),
        f"{ROOT}/{name}/{{id}}": (type_name, _nothing(what)),
    }
    for path, (returns, answer) in answers.items():
        answer.__doc__ = f"There are no {what}s."
        serves("GET", path, READ, returns=returns, extra=extra)(answer)


def _nothing(what: str) -> Callable[[Call], Any]:
    def answer(call: Call) -> Any:
        raise not_found(what, call.keys[0])

    return answer


def _serve_unknown(name: str, what: str) -> None:
    """A set that no contract describes, though scripts use it: it can be read, and nothing can be put into it."""

    def listed(call: Call) -> Any:
        return {"@odata.context": f"{call.root}/$metadata#{PATH}/{name}", "value": []}

    def refused(call: Call) -> Any:
        raise not_possible(f"There are no {what}s in Deskwright. Nothing was changed.")

    listed.__doc__ = f"There are no {what}s."
    refused.__doc__ = f"There can be no {what}s."
    serves("GET", f"{ROOT}/{name}", READ, extra=True)(listed)
    serves("GET", f"{ROOT}/{name}/{{id}}", READ, extra=True)(_nothing(what))
    serves("POST", f"{ROOT}/{name}", WRITE, extra=True)(refused)
    serves("POST", f"{ROOT}/{name}/{{id}}/assign", WRITE, extra=True)(refused)
    serves("PATCH", f"{ROOT}/{name}/{{id}}", WRITE, extra=True)(refused)
    serves("DELETE", f"{ROOT}/{name}/{{id}}", WRITE, extra=True)(refused)


_serve_empty("frontLineServicePlans", "cloudPcFrontLineServicePlan", "Frontline service plan")
_serve_empty("externalPartnerSettings", "cloudPcExternalPartnerSetting", "external partner setting")
_serve_empty("externalPartners", "cloudPcExternalPartner", "external partner")
_serve_unknown("sharedUseServicePlans", "Frontline service plan")
_serve_unknown("settingProfiles", "setting profile")
_serve_unknown("maintenanceWindows", "maintenance window")
