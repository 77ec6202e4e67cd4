"""Trying a domain: what a synchronisation needs, piece by piece, with what was seen."""

import time
from collections.abc import Callable, Sequence

from deskwright.active_directory import changes, reading
from deskwright.active_directory.client import Account, Opened, signed_in
from deskwright.active_directory.discovery import Domain, controllers
from deskwright.active_directory.problems import DirectoryProblem, Reason
from deskwright.domain.rules import Refused
from deskwright.operations.named import Item

_TITLES = {
    "controllers": "Domain controllers are found",
    "signIn": "Sign-in with a trusted certificate",
    "searchBases": "Search bases can be read",
    "deletions": "Deleted objects are visible",
}
_FIELDS = {
    Reason.DOMAIN_NOT_FOUND: "domainName",
    Reason.SERVER_NOT_OPERATIONAL: "controllers",
    Reason.CERTIFICATE_NOT_TRUSTED: "caCertificate",
    Reason.UNKNOWN_ACCOUNT: "userName",
    Reason.INCORRECT_CREDENTIALS: "password",
    Reason.UNIT_NOT_FOUND: "searchBases",
    Reason.UNIT_MALFORMED: "searchBases",
    Reason.ACCESS_DENIED: "searchBases",
}
_REMEDIES = {
    Reason.DOMAIN_NOT_FOUND: "Name the domain's own DNS servers in nameServers, or its controllers in controllers",
    Reason.SERVER_NOT_OPERATIONAL: "Open the way to LDAPS (port 636, with startTls 389), or name other controllers",
    Reason.CERTIFICATE_NOT_TRUSTED: "Give the certificate of who signed the controllers' in caCertificate",
    Reason.UNKNOWN_ACCOUNT: "Check the user principal name",
    Reason.INCORRECT_CREDENTIALS: "Check the password and the user principal name",
    Reason.PASSWORD_EXPIRED: "Give the account a new password, best one that does not expire",
    Reason.PASSWORD_MUST_CHANGE: "Change the password once where the account can sign in",
    Reason.ACCOUNT_DISABLED: "Enable the account in the domain",
    Reason.ACCOUNT_LOCKED: "Unlock the account in the domain, or wait until it is",
    Reason.ACCOUNT_EXPIRED: "Extend the account in the domain",
    Reason.UNIT_NOT_FOUND: "Check the distinguished name, and that the account may read there",
    Reason.UNIT_MALFORMED: "Check how the distinguished name is written",
}
_NO_DELETIONS = (
    "none was seen: either nothing was ever deleted, or the account may not read CN=Deleted Objects. Runs find what is "
    "gone by listing names instead, which reads more"
)


def verify(domain: Domain, account: Account, search_bases: Sequence[str]) -> None:
    """Sign in and look at the search bases. Raises Refused with the field that is wrong."""
    try:
        with signed_in(domain, account) as opened:
            reading.bases(opened, search_bases)
    except DirectoryProblem as problem:
        raise refused(problem) from problem


def refused(problem: DirectoryProblem) -> Refused:
    field = _FIELDS.get(problem.reason, "userName")
    remedy = remedy_of(problem.reason)
    unverified = "Where it cannot be reached yet, keep it untried (--no-verify)"
    return Refused(
        field, None, f"{problem.detail} ({problem.reason})", remedy=". ".join(filter(None, (remedy, unverified)))
    )


def remedy_of(reason: Reason | str) -> str:
    """What to do about it; empty where there is nothing to say."""
    try:
        return _REMEDIES.get(Reason(reason), "")
    except ValueError:
        return ""


def probe(domain: Domain, account: Account, search_bases: Sequence[str]) -> Item:
    """Everything a run needs: `checks` up to the first that failed, `passed`, and `counts` of what is there."""
    checks: list[Item] = []
    counts: dict[str, int] = {}
    try:
        with _Check(checks, "controllers") as seen:
            found = controllers(domain)
            seen(", ".join(f"{c.host} ({c.address})" for c in found))
        began = time.monotonic()
        with signed_in(domain, account) as opened:
            said = f"{account.name} at {opened.controller.host}, {'StartTLS' if domain.start_tls else 'LDAPS'}"
            checks.append(_result("signIn", "passed", said, time.monotonic() - began))
            _look(opened, search_bases, checks, counts)
    except DirectoryProblem as problem:
        if not checks or checks[-1]["status"] != "failed":
            checks.append(_failed("signIn", problem, 0.0))
    return {"passed": all(c["status"] != "failed" for c in checks), "checks": checks, "counts": counts}


def _look(opened: Opened, search_bases: Sequence[str], checks: list[Item], counts: dict[str, int]) -> None:
    with _Check(checks, "searchBases") as seen:
        within = reading.bases(opened, search_bases)
        counts |= reading.count(opened, within)
        said = ", ".join(f"{n:,} {kind}" for kind, n in counts.items())
        seen(f"{said} in {'; '.join(base.distinguished_name for base in within)}")
    began = time.monotonic()
    visible = changes.sees_any_deleted(opened)
    status, said = ("passed", "yes") if visible else ("warning", _NO_DELETIONS)
    checks.append(_result("deletions", status, said, time.monotonic() - began))


class _Check:
    """Times a check, and writes down how it ended; a DirectoryProblem goes on."""

    def __init__(self, checks: list[Item], name: str) -> None:
        self._checks, self._name, self._detail = checks, name, ""

    def __enter__(self) -> Callable[[str], None]:
        self._began = time.monotonic()
        return self._seen

    def _seen(self, detail: str) -> None:
        self._detail = detail

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        seconds = time.monotonic() - self._began
        if isinstance(error, DirectoryProblem):
            self._checks.append(_failed(self._name, error, seconds))
        elif error is None:
            self._checks.append(_result(self._name, "passed", self._detail, seconds))


def _result(name: str, status: str, detail: str, seconds: float) -> Item:
    return {
        "id": name,
        "displayName": _TITLES[name],
        "status": status,
        "errorType": None,
        "additionalDetail": detail,
        "recommendedAction": None,
        "seconds": round(seconds, 3),
    }


def _failed(name: str, problem: DirectoryProblem, seconds: float) -> Item:
    told = {"errorType": problem.reason.value, "recommendedAction": remedy_of(problem.reason) or None}
    return {**_result(name, "failed", problem.detail, seconds), **told}
