"""Why somebody was not signed in, and what they are told."""

from collections.abc import Mapping
from enum import StrEnum

LOCKED_MINUTES = 5


class Failure(StrEnum):
    WRONG = "wrong"
    """Also: unknown, without a password, locked."""
    UNREACHABLE = "unreachable"
    """The directory that keeps the password did not answer; nothing was counted. Said of every name of the domain,
    known or not."""
    # The rest is said only to who knows the password.
    DISABLED = "disabled"
    PASSWORD_EXPIRED = "passwordExpired"  # noqa: S105 - a reason
    MUST_CHANGE = "mustChange"
    """At the next sign-in, as the directory wants; it cannot be done here."""
    ACCOUNT_EXPIRED = "accountExpired"
    NOT_NOW = "notNow"
    """Outside the account's hours, or not from here."""


_CHANGE = "Change it at a computer of your organisation, or ask your administrator. Then sign in here."
SENTENCES: Mapping[Failure, str] = {
    Failure.WRONG: "The user name or the password is not right. After several errors in a row the account is locked "
    f"for at least {LOCKED_MINUTES} minutes.",
    Failure.UNREACHABLE: "The directory cannot be reached at the moment, so the password could not be checked. "
    "Try again shortly; if it stays so, tell your administrator.",
    Failure.DISABLED: "This account is disabled. Ask your administrator.",
    Failure.PASSWORD_EXPIRED: f"Your password has expired. {_CHANGE}",
    Failure.MUST_CHANGE: f"Your password must be changed before you can sign in. {_CHANGE}",
    Failure.ACCOUNT_EXPIRED: "This account has expired. Ask your administrator.",
    Failure.NOT_NOW: "Your organisation's directory does not let this account sign in at this time, or from here. "
    "Ask your administrator.",
}
