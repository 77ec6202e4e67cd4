"""What can go wrong with a domain, in one list: what a controller answered, as one of these and in its own words."""

import re
from enum import StrEnum

from ldap3.core.exceptions import (
    LDAPCommunicationError,
    LDAPConstraintViolationResult,
    LDAPEntryAlreadyExistsResult,
    LDAPException,
    LDAPInsufficientAccessRightsResult,
    LDAPOperationResult,
    LDAPResponseTimeoutError,
    LDAPUnavailableResult,
    LDAPUnwillingToPerformResult,
)

# Active Directory says why a bind failed by a Windows error number in the text of the answer, Samba by a status.
_BIND = {
    "525": "unknownAccount",
    "52e": "incorrectCredentials",
    "530": "notNow",
    "531": "notFromHere",
    "532": "passwordExpired",
    "533": "accountDisabled",
    "701": "accountExpired",
    "773": "passwordMustChange",
    "775": "accountLocked",
    "NT_STATUS_LOGON_FAILURE": "incorrectCredentials",
    "NT_STATUS_WRONG_PASSWORD": "incorrectCredentials",
    "NT_STATUS_NO_SUCH_USER": "unknownAccount",
    "NT_STATUS_ACCOUNT_LOCKED_OUT": "accountLocked",
    "NT_STATUS_ACCOUNT_DISABLED": "accountDisabled",
    "NT_STATUS_ACCOUNT_EXPIRED": "accountExpired",
    "NT_STATUS_PASSWORD_EXPIRED": "passwordExpired",
    "NT_STATUS_PASSWORD_MUST_CHANGE": "passwordMustChange",
    "NT_STATUS_INVALID_LOGON_HOURS": "notNow",
    "NT_STATUS_INVALID_WORKSTATION": "notFromHere",
}
# ERROR_DS_MACHINE_ACCOUNT_QUOTA_EXCEEDED (8557), as Active Directory begins the text of its refusal.
_QUOTA = "0000216D"
# A service principal name that another account has: ERROR_DS_SPN_VALUE_NOT_UNIQUE_IN_FOREST (8647), and Samba's words.
_NAME_IN_USE = re.compile(r"^000021C7|\bspn\[.*would cause a conflict", re.DOTALL)
_DATA = re.compile(r"\bdata ([0-9a-f]{3})\b|\b(NT_STATUS_[A-Z_]+)")


class Reason(StrEnum):
    DOMAIN_NOT_FOUND = "domainNotFound"
    """DNS knows no domain controllers of it."""
    SERVER_NOT_OPERATIONAL = "serverNotOperational"
    """No controller answered, or none by TLS."""
    CERTIFICATE_NOT_TRUSTED = "certificateNotTrusted"
    UNKNOWN_ACCOUNT = "unknownAccount"
    INCORRECT_CREDENTIALS = "incorrectCredentials"
    PASSWORD_EXPIRED = "passwordExpired"  # noqa: S105 - a reason
    PASSWORD_MUST_CHANGE = "passwordMustChange"  # noqa: S105 - a reason
    ACCOUNT_DISABLED = "accountDisabled"
    ACCOUNT_LOCKED = "accountLocked"
    ACCOUNT_EXPIRED = "accountExpired"
    NOT_NOW = "notNow"
    NOT_FROM_HERE = "notFromHere"
    ACCESS_DENIED = "accessDenied"
    UNIT_NOT_FOUND = "organizationalUnitNotFound"
    UNIT_MALFORMED = "organizationalUnitIncorrectFormat"
    NAME_TAKEN = "computerObjectAlreadyExists"
    QUOTA_EXCEEDED = "quotaExceeded"
    CLOCK_SKEW = "clockSkew"
    UNKNOWN = "unknown"


class DirectoryProblem(Exception):
    """The directory could not, or would not. `detail` has the actual values and its own words, never a password."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


def bind_problem(error: LDAPException, account: str, controller: str) -> DirectoryProblem:
    """Why `account` could not sign in at `controller`."""
    said = words(error)
    found = _DATA.search(said)
    reason = Reason(_BIND.get(next(filter(None, found.groups())), "incorrectCredentials") if found else "unknown")
    if reason is Reason.UNKNOWN and isinstance(error, LDAPOperationResult) and error.result == 49:
        reason = Reason.INCORRECT_CREDENTIALS
    return DirectoryProblem(reason, f"{account} at {controller}: {said}")


def operation_problem(error: LDAPException, what: str, controller: str) -> DirectoryProblem:
    """Why `what` (a sentence's beginning, with the actual values) was refused, or never answered, by `controller`."""
    said = words(error)
    message = str(error.message or "") if isinstance(error, LDAPOperationResult) else ""
    match error:
        case LDAPInsufficientAccessRightsResult():
            reason = Reason.ACCESS_DENIED
        case LDAPEntryAlreadyExistsResult():
            reason = Reason.NAME_TAKEN
        case LDAPConstraintViolationResult() if _NAME_IN_USE.search(message):
            reason = Reason.NAME_TAKEN
        case LDAPUnwillingToPerformResult() if message.upper().startswith(_QUOTA):
            reason = Reason.QUOTA_EXCEEDED
        case LDAPCommunicationError() | LDAPResponseTimeoutError() | LDAPUnavailableResult():
            reason = Reason.SERVER_NOT_OPERATIONAL
        case _:
            reason = Reason.UNKNOWN
    return DirectoryProblem(reason, f"{what} at {controller}: {said}")


def words(error: Exception) -> str:
    """What the directory said, in one line."""
    if isinstance(error, LDAPOperationResult):
        parts = (str(error.description or ""), str(error.message or "").rstrip("\0"))
        text = ": ".join(part for part in parts if part)
    else:
        text = str(error)
    return " ".join((text or repr(error)).split())[:300]
