"""What a directory or a joining machine said, as a code of the error catalogue with the values of its message."""

import re
from typing import Any

from deskwright.active_directory.problems import DirectoryProblem, Reason
from deskwright.providers.contract import ProviderError

DEFAULT_UNIT = "the container where the domain puts computers"

_CODES = {
    Reason.DOMAIN_NOT_FOUND: "domainJoin_DomainNotExistOrCouldNotBeContacted",
    Reason.SERVER_NOT_OPERATIONAL: "domainJoin_NetworkConnectivityIssue",
    Reason.CERTIFICATE_NOT_TRUSTED: "domainJoin_CertificateNotTrusted",
    Reason.UNKNOWN_ACCOUNT: "domainJoin_AccountNameOrPasswordIncorrect",
    Reason.INCORRECT_CREDENTIALS: "domainJoin_AccountNameOrPasswordIncorrect",
    Reason.PASSWORD_EXPIRED: "domainJoin_AccountPasswordExpired",
    Reason.PASSWORD_MUST_CHANGE: "domainJoin_AccountPasswordExpired",
    Reason.ACCOUNT_DISABLED: "domainJoin_AccountDisabled",
    Reason.ACCOUNT_LOCKED: "domainJoin_AccountLockedOut",
    Reason.ACCESS_DENIED: "domainJoin_AccessDenied",
    Reason.UNIT_NOT_FOUND: "domainJoin_OrganizationalUnitNotFound",
    Reason.UNIT_MALFORMED: "domainJoin_OrganizationalUnitIncorrectFormat",
    Reason.NAME_TAKEN: "domainJoin_ComputerObjectAlreadyExists",
    Reason.QUOTA_EXCEEDED: "domainJoin_AccountQuotaExceeded",
    Reason.CLOCK_SKEW: "domainJoin_ClockSkew",
}
# What the tools of a joining machine print; the machine's own account and password are not the connection's.
_SAID = (
    (re.compile(r"clock skew|KRB5KRB_AP_ERR_SKEW", re.IGNORECASE), Reason.CLOCK_SKEW),
    (
        re.compile(
            r"couldn't (resolve|connect to)[^:]*:(?!.*authenticate)|cannot contact any kdc|can't contact ldap server"
            r"|couldn't find usable domain controller|cannot resolve|could not be contacted|timed out",
            re.IGNORECASE,
        ),
        Reason.SERVER_NOT_OPERATIONAL,
    ),
)


def reason_of(said: str) -> Reason:
    """Why a machine could not join, by what its tools said."""
    return next((reason for pattern, reason in _SAID if pattern.search(said)), Reason.UNKNOWN)


def join_failed(problem: DirectoryProblem, values: dict[str, Any]) -> ProviderError:
    """`values`: device, domain, organizationalUnit, account, network."""
    code = _CODES.get(problem.reason, "joinDomainFailed")
    unit = values.get("organizationalUnit") or DEFAULT_UNIT
    return ProviderError(code, **{**values, "organizationalUnit": unit}, reason=problem.detail)


def not_reached(problem: DirectoryProblem, site: str, what: str) -> ProviderError:
    """Something outside a run that has to be tried again."""
    return ProviderError("internalServerError", site=site, reason=f"{what}: {problem.detail}")
