"""The table of health checks, and what results together mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskwright.checks.table import CHECKS, checks_for, checks_of, overall

# cloudPcOnPremisesConnectionHealthCheckErrorType of v1.0 and beta, each code once.
GRAPH_ERROR_TYPES = [
    "dnsCheckFqdnNotFound",
    "dnsCheckNameWithInvalidCharacter",
    "dnsCheckUnknownError",
    "adJoinCheckFqdnNotFound",
    "adJoinCheckIncorrectCredentials",
    "adJoinCheckOrganizationalUnitNotFound",
    "adJoinCheckOrganizationalUnitIncorrectFormat",
    "adJoinCheckComputerObjectAlreadyExists",
    "adJoinCheckAccessDenied",
    "adJoinCheckCredentialsExpired",
    "adJoinCheckAccountLockedOrDisabled",
    "adJoinCheckAccountQuotaExceeded",
    "adJoinCheckServerNotOperational",
    "adJoinCheckUnknownError",
    "endpointConnectivityCheckCloudPcUrlNotAllowListed",
    "endpointConnectivityCheckWVDUrlNotAllowListed",
    "endpointConnectivityCheckIntuneUrlNotAllowListed",
    "endpointConnectivityCheckAzureADUrlNotAllowListed",
    "endpointConnectivityCheckLocaleUrlNotAllowListed",
    "endpointConnectivityCheckVMAgentEndPointCommunicationError",
    "endpointConnectivityCheckUnknownError",
    "azureAdDeviceSyncCheckDeviceNotFound",
    "azureAdDeviceSyncCheckLongSyncCircle",
    "azureAdDeviceSyncCheckConnectDisabled",
    "azureAdDeviceSyncCheckDurationExceeded",
    "azureAdDeviceSyncCheckScpNotConfigured",
    "azureAdDeviceSyncCheckTransientServiceError",
    "azureAdDeviceSyncCheckUnknownError",
    "resourceAvailabilityCheckNoSubnetIP",
    "resourceAvailabilityCheckSubscriptionDisabled",
    "resourceAvailabilityCheckAzurePolicyViolation",
    "resourceAvailabilityCheckSubscriptionNotFound",
    "resourceAvailabilityCheckSubscriptionTransferred",
    "resourceAvailabilityCheckGeneralSubscriptionError",
    "resourceAvailabilityCheckUnsupportedVNetRegion",
    "resourceAvailabilityCheckResourceGroupInvalid",
    "resourceAvailabilityCheckVNetInvalid",
    "resourceAvailabilityCheckSubnetInvalid",
    "resourceAvailabilityCheckResourceGroupBeingDeleted",
    "resourceAvailabilityCheckVNetBeingMoved",
    "resourceAvailabilityCheckSubnetDelegationFailed",
    "resourceAvailabilityCheckSubnetWithExternalResources",
    "resourceAvailabilityCheckResourceGroupLockedForReadonly",
    "resourceAvailabilityCheckResourceGroupLockedForDelete",
    "resourceAvailabilityCheckNoIntuneReaderRoleError",
    "resourceAvailabilityCheckIntuneDefaultWindowsRestrictionViolation",
    "resourceAvailabilityCheckIntuneCustomWindowsRestrictionViolation",
    "resourceAvailabilityCheckDeploymentQuotaLimitReached",
    "resourceAvailabilityCheckMissingRegistrationForLocation",
    "resourceAvailabilityCheckTransientServiceError",
    "resourceAvailabilityCheckUnknownError",
    "permissionCheckNoSubscriptionReaderRole",
    "permissionCheckNoResourceGroupOwnerRole",
    "permissionCheckNoVNetContributorRole",
    "permissionCheckNoResourceGroupNetworkContributorRole",
    "permissionCheckNoWindows365NetworkUserRole",
    "permissionCheckNoWindows365NetworkInterfaceContributorRole",
    "permissionCheckTransientServiceError",
    "permissionCheckUnknownError",
    "udpConnectivityCheckStunUrlNotAllowListed",
    "udpConnectivityCheckTurnUrlNotAllowListed",
    "udpConnectivityCheckUrlsNotAllowListed",
    "udpConnectivityCheckUnknownError",
    "internalServerErrorDeploymentCanceled",
    "internalServerErrorAllocateResourceFailed",
    "internalServerErrorVMDeploymentTimeout",
    "internalServerErrorUnableToRunDscScript",
    "ssoCheckKerberosConfigurationError",
    "internalServerUnknownError",
]

REQUIRED = sorted(c.id for c in CHECKS.values() if c.required)
OPTIONAL = sorted(c.id for c in CHECKS.values() if not c.required)
SETTLED = st.sampled_from(["passed", "warning", "failed", "informational"])
RESULTS = st.dictionaries(st.sampled_from(sorted(CHECKS)), SETTLED, min_size=1)


def test_every_error_type_of_the_api_belongs_to_a_check() -> None:
    codes = [code for check in CHECKS.values() for code in check.error_codes]
    assert set(codes) == set(GRAPH_ERROR_TYPES)
    # Checks of the domain share some: Graph has fewer of them.
    shared = {code for code in codes if codes.count(code) > 1}
    assert all(code.startswith(("adJoinCheck", "azureAdDeviceSyncCheck")) for code in shared)


def test_every_check_says_what_it_does_and_what_mends_it() -> None:
    for check in CHECKS.values():
        assert check.error_codes
        assert check.does.endswith(".")
        assert check.remedy.endswith(".")
        assert len(check.id) <= 48, "the column's width"


def test_checks_of_a_domain_are_left_out_for_entra_join() -> None:
    assert {c.id for c in checks_for("hybridAzureADJoin")} == set(CHECKS)
    left_out = set(CHECKS) - {c.id for c in checks_for("azureADJoin")}
    assert left_out == checks_of("directory")
    assert {"dns", "adDomainJoin", "deviceSync", "singleSignOn"} < left_out


def test_a_check_comes_after_those_it_needs() -> None:
    """They run in the table's order, and a failed one that others need is told once."""
    order = list(CHECKS)
    for check in CHECKS.values():
        for earlier in check.after:
            assert order.index(earlier) < order.index(check.id)
            assert CHECKS[earlier].hybrid_only <= check.hybrid_only


def test_each_check_has_one_provider_that_looks() -> None:
    parts = [checks_of("compute"), checks_of("directory"), checks_of("management")]
    assert sorted(check for part in parts for check in part) == sorted(CHECKS)


def test_device_synchronisation_is_a_warning_as_documented() -> None:
    assert overall({"dns": "passed", "deviceSync": "failed"}) == "warning"


@pytest.mark.parametrize("check_id", REQUIRED)
def test_a_failed_required_check_fails_the_connection(check_id: str) -> None:
    assert overall({**dict.fromkeys(CHECKS, "passed"), check_id: "failed"}) == "failed"


@pytest.mark.parametrize("check_id", OPTIONAL)
def test_any_other_failed_check_is_a_warning(check_id: str) -> None:
    assert overall({**dict.fromkeys(CHECKS, "passed"), check_id: "failed"}) == "warning"


def test_informational_is_as_good_as_passed() -> None:
    assert overall({"dns": "informational", "adDomainJoin": "passed"}) == "passed"


def test_a_check_that_is_no_longer_in_the_table_does_not_block() -> None:
    assert overall({"dns": "passed", "phaseOfTheMoon": "failed"}) == "warning"


@pytest.mark.parametrize("results", [{}, {"dns": "pending"}, {"dns": "passed", "udpConnectivity": "running"}])
def test_there_is_no_verdict_before_the_checks_have_settled(results: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no results|not settled"):
        overall(results)


@given(RESULTS)
def test_overall_is_the_worst_that_counts(results: dict[str, str]) -> None:
    failed = {i for i, status in results.items() if status == "failed"}
    verdict = overall(results)
    assert (verdict == "failed") == bool(failed & set(REQUIRED))
    assert (verdict == "passed") == (set(results.values()) <= {"passed", "informational"})
    assert overall(dict(reversed(results.items()))) == verdict
