"""The health checks of a network connection, in one table. How to look is the provider's (`HealthProbe`).

What is checked and by which error codes: Graph's ``cloudPcOnPremisesConnectionHealthCheckErrorType``
(`reference/graph-api.md`) and `reference/windows-365-facts.md` section 3. Where that names no
severity, a check is required when provisioning could not succeed without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Overall = Literal["passed", "warning", "failed"]


@dataclass(frozen=True)
class HealthCheck:
    id: str
    title: str
    required: bool
    """Failing, it makes the connection failed; otherwise only a warning, with which it stays usable (V3)."""
    hybrid_only: bool
    error_codes: tuple[str, ...]
    """What it may fail with, of Graph's enum."""
    does: str
    remedy: str


def _codes(prefix: str, *endings: str) -> tuple[str, ...]:
    return tuple(prefix + ending for ending in endings)


CHECKS: dict[str, HealthCheck] = {
    check.id: check
    for check in (
        HealthCheck(
            id="dns",
            title="DNS can resolve the Active Directory domain",
            required=True,
            hybrid_only=True,
            error_codes=_codes("dnsCheck", "FqdnNotFound", "NameWithInvalidCharacter", "UnknownError"),
            does="Resolves the domain's name and its domain controllers from inside the network.",
            remedy="Let the network use DNS servers that know the domain, and write its full DNS name in"
            " the connection.",
        ),
        HealthCheck(
            id="adDomainJoin",
            title="Active Directory domain join",
            required=True,
            hybrid_only=True,
            error_codes=_codes(
                "adJoinCheck",
                "FqdnNotFound",
                "IncorrectCredentials",
                "OrganizationalUnitNotFound",
                "OrganizationalUnitIncorrectFormat",
                "ComputerObjectAlreadyExists",
                "AccessDenied",
                "CredentialsExpired",
                "AccountLockedOrDisabled",
                "AccountQuotaExceeded",
                "ServerNotOperational",
                "UnknownError",
            ),
            does="Joins a trial computer (named CPC-Hth...) with the connection's account, domain and"
            " organizational unit.",
            remedy="Correct the domain, organizational unit, user name or password; give the account the"
            " right to create"
            " computer accounts there; open the way to a domain controller.",
        ),
        HealthCheck(
            id="endpointConnectivity",
            title="Required endpoints can be reached",
            required=True,
            hybrid_only=False,
            error_codes=_codes(
                "endpointConnectivityCheck",
                "CloudPcUrlNotAllowListed",
                "WVDUrlNotAllowListed",
                "IntuneUrlNotAllowListed",
                "AzureADUrlNotAllowListed",
                "VMAgentEndPointCommunicationError",
                "UnknownError",
            ),
            does="Tries every address a Cloud PC needs while it is provisioned and used.",
            remedy="Allow the addresses listed in the result on the network and on every firewall, proxy"
            " or gateway behind it.",
        ),
        HealthCheck(
            id="localeConnectivity",
            title="Language packages can be reached",
            required=False,
            hybrid_only=False,
            error_codes=_codes("endpointConnectivityCheck", "LocaleUrlNotAllowListed"),
            does="Tries the addresses language packages come from.",
            remedy="Allow them, or leave the policies' locale at the image's own language.",
        ),
        HealthCheck(
            id="deviceSync",
            title="Computer accounts reach the directory",
            required=False,
            hybrid_only=True,
            error_codes=_codes(
                "azureAdDeviceSyncCheck",
                "DeviceNotFound",
                "LongSyncCircle",
                "ConnectDisabled",
                "DurationExceeded",
                "ScpNotConfigured",
                "TransientServiceError",
                "UnknownError",
            ),
            does="Looks whether device synchronisation is on, how often it runs, whether the service"
            " connection point"
            " exists and whether the trial computer appears within 90 minutes.",
            remedy="Switch device synchronisation on for the organizational unit, let it run every 30"
            " minutes, and set up"
            " the service connection point of each forest.",
        ),
        HealthCheck(
            id="ipAddresses",
            title="Free addresses in the subnet",
            required=True,
            hybrid_only=False,
            error_codes=_codes("resourceAvailabilityCheck", "NoSubnetIP"),
            does="Counts the subnet's free addresses.",
            remedy="Use a larger subnet or free addresses in it; count three per Cloud PC while it is being made.",
        ),
        HealthCheck(
            id="tenantReadiness",
            title="Subscription and its policies allow provisioning",
            required=True,
            hybrid_only=False,
            error_codes=_codes(
                "resourceAvailabilityCheck",
                "SubscriptionDisabled",
                "AzurePolicyViolation",
                "SubscriptionNotFound",
                "SubscriptionTransferred",
                "GeneralSubscriptionError",
                "ResourceGroupInvalid",
                "ResourceGroupBeingDeleted",
                "ResourceGroupLockedForReadonly",
                "ResourceGroupLockedForDelete",
                "DeploymentQuotaLimitReached",
                "MissingRegistrationForLocation",
                "TransientServiceError",
                "UnknownError",
            ),
            does="Looks whether the subscription and resource group exist, are active and unlocked, and"
            " no rule forbids"
            " making what a Cloud PC needs.",
            remedy="Reactivate or unlock what the result names, raise its quota, or exempt Deskwright from the rule.",
        ),
        HealthCheck(
            id="networkReadiness",
            title="Network and subnet can be used",
            required=True,
            hybrid_only=False,
            error_codes=_codes(
                "resourceAvailabilityCheck",
                "UnsupportedVNetRegion",
                "VNetInvalid",
                "SubnetInvalid",
                "VNetBeingMoved",
                "SubnetDelegationFailed",
                "SubnetWithExternalResources",
            ),
            does="Looks whether the network and subnet exist, are in a region that is served, and are"
            " not reserved for others.",
            remedy="Name an existing network and subnet of a served region that nothing else is delegated to.",
        ),
        HealthCheck(
            id="subscriptionPermission",
            title="Permission on the subscription",
            required=True,
            hybrid_only=False,
            error_codes=_codes("permissionCheck", "NoSubscriptionReaderRole", "TransientServiceError", "UnknownError"),
            does="Looks whether Deskwright's identity may read the subscription.",
            remedy="Give that identity the Reader role on the subscription.",
        ),
        HealthCheck(
            id="resourceGroupPermission",
            title="Permission on the resource group",
            required=True,
            hybrid_only=False,
            error_codes=_codes(
                "permissionCheck",
                "NoResourceGroupOwnerRole",
                "NoResourceGroupNetworkContributorRole",
                "NoWindows365NetworkInterfaceContributorRole",
            ),
            does="Looks whether Deskwright's identity may make network interfaces in the resource group.",
            remedy="Give that identity the network interface contributor role on the resource group.",
        ),
        HealthCheck(
            id="networkPermission",
            title="Permission on the network",
            required=True,
            hybrid_only=False,
            error_codes=_codes("permissionCheck", "NoVNetContributorRole", "NoWindows365NetworkUserRole"),
            does="Looks whether Deskwright's identity may attach network interfaces to the network.",
            remedy="Give that identity the network user role on the network.",
        ),
        HealthCheck(
            id="environment",
            title="Environment and configuration ready",
            required=True,
            hybrid_only=False,
            error_codes=(
                *_codes(
                    "internalServerError",
                    "DeploymentCanceled",
                    "AllocateResourceFailed",
                    "VMDeploymentTimeout",
                    "UnableToRunDscScript",
                ),
                "internalServerUnknownError",
            ),
            does="Makes what the other checks need, and so proves that the site itself works.",
            remedy="Run the check again; should it keep failing, see what `deskwright doctor` says about the site.",
        ),
        HealthCheck(
            id="enrolmentRestrictions",
            title="Device enrolment is allowed",
            required=True,
            hybrid_only=False,
            error_codes=_codes(
                "resourceAvailabilityCheck",
                "NoIntuneReaderRoleError",
                "IntuneDefaultWindowsRestrictionViolation",
                "IntuneCustomWindowsRestrictionViolation",
            ),
            does="Reads the enrolment restrictions of device management.",
            remedy="Allow corporate Windows devices in the default restriction and in each custom one.",
        ),
        HealthCheck(
            id="udpConnectivity",
            title="UDP for the remote session",
            required=False,
            hybrid_only=False,
            error_codes=_codes(
                "udpConnectivityCheck",
                "StunUrlNotAllowListed",
                "TurnUrlNotAllowListed",
                "UrlsNotAllowListed",
                "UnknownError",
            ),
            does="Tries the STUN and TURN servers by UDP. Without them sessions work, but over TCP and less smoothly.",
            remedy="Allow outbound UDP to the STUN and TURN servers.",
        ),
        HealthCheck(
            id="singleSignOn",
            title="Single sign-on is configured",
            required=False,
            hybrid_only=True,
            error_codes=_codes("ssoCheck", "KerberosConfigurationError"),
            does="Looks whether the domain has a Kerberos server object for Microsoft Entra.",
            remedy="Create the Kerberos server object, or leave single sign-on off in the policies.",
        ),
    )
}


def checks_for(connection_type: str) -> tuple[HealthCheck, ...]:
    """The checks of a connection of that type (hybridAzureADJoin | azureADJoin), in the table's order."""
    hybrid = connection_type == "hybridAzureADJoin"
    return tuple(check for check in CHECKS.values() if hybrid or not check.hybrid_only)


def overall(results: Mapping[str, str]) -> Overall:
    """What settled results (check id -> passed, warning, failed, informational) say about the connection.

    A result of a check that the table does not know (any more) counts, but never blocks provisioning. Raises
    ValueError while a check is pending or running, or without results: then the last settled one stands (V3).
    """
    if not results:
        raise ValueError("no results yet")
    verdict: Overall = "passed"
    for check_id, status in results.items():
        if status not in {"passed", "warning", "failed", "informational"}:
            raise ValueError(f"{check_id} has not settled: {status}")
        check = CHECKS.get(check_id)
        if status == "failed" and check is not None and check.required:
            return "failed"
        if status in {"failed", "warning"}:
            verdict = "warning"
    return verdict
