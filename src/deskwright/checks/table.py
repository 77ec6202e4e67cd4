"""The health checks of a network connection, in one table. How to look is the providers' (`HealthProbe`).

They run in the table's order. What is checked and by which error codes: Graph's
``cloudPcOnPremisesConnectionHealthCheckErrorType`` (`reference/graph-api.md`) and `reference/windows-365-facts.md`
section 3. Where that names no severity, a check is required when provisioning could not succeed without it. Graph looks
at a domain by four checks, this table by eleven: a certificate, a clock and a right are mended in different places.
Some share a code of Graph's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Overall = Literal["passed", "warning", "failed"]
Looker = Literal["compute", "directory", "management"]


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
    looker: Looker = "compute"
    """Which of a site's providers looks."""
    after: tuple[str, ...] = ()
    """Checks without which this one can only say the same again: where one of them failed, it is not tried."""


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
            does="Resolves the service records of the domain's controllers (SRV) and their addresses (A, AAAA).",
            remedy="Let the network use DNS servers that know the domain, and write its full DNS name in"
            " the connection. Where its name servers are not this machine's, name them in the domain.",
            looker="directory",
        ),
        HealthCheck(
            id="directoryReach",
            title="A domain controller can be reached",
            required=True,
            hybrid_only=True,
            error_codes=_codes("adJoinCheck", "FqdnNotFound", "ServerNotOperational", "UnknownError"),
            does="Opens a connection to LDAP over TLS (port 636, or StartTLS on 389) of each controller.",
            remedy="Start the controllers, and open TCP port 636 to them on every firewall between.",
            looker="directory",
            after=("dns",),
        ),
        HealthCheck(
            id="directoryCertificate",
            title="The controllers' certificate is trusted",
            required=True,
            hybrid_only=True,
            error_codes=_codes("adJoinCheck", "ServerNotOperational", "UnknownError"),
            does="Verifies who signed the certificate, its name and its time. It warns when under 30 days are left.",
            remedy="Give the domain the certificate of the authority that signed the controllers' ones, or renew"
            " what has ended. The certificate must carry the controller's full name.",
            looker="directory",
            after=("directoryReach",),
        ),
        HealthCheck(
            id="clockSkew",
            title="The clocks agree",
            required=True,
            hybrid_only=True,
            error_codes=_codes("adJoinCheck", "UnknownError"),
            does="Compares the controller's time with this machine's: Kerberos refuses more than five minutes. It warns"
            " above one minute.",
            remedy="Let the controllers and the hosts take the time from the same source (NTP).",
            looker="directory",
            after=("directoryReach", "directoryCertificate"),
        ),
        HealthCheck(
            id="joinAccount",
            title="The join account can sign in",
            required=True,
            hybrid_only=True,
            error_codes=_codes(
                "adJoinCheck",
                "IncorrectCredentials",
                "CredentialsExpired",
                "AccountLockedOrDisabled",
                "ServerNotOperational",
                "UnknownError",
            ),
            does="Signs in with the connection's account at a controller.",
            remedy="Enter the account's present user name and password, or unlock, enable or renew it in the domain.",
            looker="directory",
            after=("directoryReach", "directoryCertificate"),
        ),
        HealthCheck(
            id="organizationalUnitRights",
            title="Rights in the organizational unit",
            required=True,
            hybrid_only=True,
            error_codes=_codes(
                "adJoinCheck",
                "OrganizationalUnitNotFound",
                "OrganizationalUnitIncorrectFormat",
                "AccessDenied",
                "UnknownError",
            ),
            does="Looks whether the organizational unit exists, and whether the join account may create computer"
            " objects in it, as the controller works it out.",
            remedy="Write the organizational unit as it is in the domain, and delegate to the join account there:"
            " create and delete computer objects, and full control of them.",
            looker="directory",
            after=("joinAccount",),
        ),
        HealthCheck(
            id="machineAccountQuota",
            title="Machine accounts left to the join account",
            required=True,
            hybrid_only=True,
            error_codes=_codes("adJoinCheck", "AccountQuotaExceeded", "UnknownError"),
            does="Where the account has no right in the organizational unit, counts what the domain lets every user"
            " join (ms-DS-MachineAccountQuota) against what the account has made.",
            remedy="Delegate the right to create computer objects to the join account: then the quota does not count.",
            looker="directory",
            after=("joinAccount", "organizationalUnitRights"),
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
            " organizational unit: makes its account, signs in as it and changes its password. Then the account is"
            " deleted, or disabled where the join account may not delete.",
            remedy="Correct the domain, organizational unit, user name or password; give the account the"
            " right to create and delete computer accounts there; open the way to a domain controller.",
            looker="directory",
            after=("joinAccount", "clockSkew", "organizationalUnitRights", "machineAccountQuota"),
        ),
        HealthCheck(
            id="serviceConnectionPoint",
            title="Service connection point",
            required=True,
            hybrid_only=True,
            error_codes=_codes("azureAdDeviceSyncCheck", "ScpNotConfigured", "UnknownError"),
            does="Looks whether the forest has a service connection point that names the tenant (azureADName,"
            " azureADId). Without one it warns, or fails where the site's directory says that it is required.",
            remedy="Set up the service connection point of the forest; where nothing in your domain asks for it, leave"
            " it.",
            looker="directory",
            after=("joinAccount",),
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
                "TransientServiceError",
                "UnknownError",
            ),
            does="Looks whether the domain's synchronisation is on and when it last succeeded: it warns after three"
            " intervals without success.",
            remedy="Describe the domain, switch its synchronisation on, let it include the organizational unit, and see"
            " why it failed last.",
            looker="directory",
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
            looker="management",
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
            looker="directory",
            after=("joinAccount",),
        ),
    )
}


def checks_for(connection_type: str) -> tuple[HealthCheck, ...]:
    """The checks of a connection of that type (hybridAzureADJoin | azureADJoin), in the table's order."""
    hybrid = connection_type == "hybridAzureADJoin"
    return tuple(check for check in CHECKS.values() if hybrid or not check.hybrid_only)


def checks_of(looker: Looker) -> frozenset[str]:
    """The ids of those that this provider of a site looks at."""
    return frozenset(check.id for check in CHECKS.values() if check.looker == looker)


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
