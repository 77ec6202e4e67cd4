"""What a connection's checks find in its domain: the directory provider's part of them.

Each check signs in for itself, so that one that hangs or fails says nothing of another. What is the same for several is
not tried again: see `HealthCheck.after`.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from deskwright.active_directory import looking
from deskwright.active_directory.accounts import unit_of
from deskwright.active_directory.client import Account, Opened, port_of, signed_in
from deskwright.active_directory.discovery import Controller, Domain, asked, controllers
from deskwright.active_directory.problems import DirectoryProblem, Reason
from deskwright.checks.table import checks_of
from deskwright.providers.activedirectory import health_synchronisation, health_trial
from deskwright.providers.activedirectory.configuration import configuration
from deskwright.providers.contract import Answer, Endpoint, JoinAccount
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.domains import where_is

log = logging.getLogger(__name__)

CODES: dict[Reason, str] = {
    Reason.DOMAIN_NOT_FOUND: "adJoinCheckFqdnNotFound",
    Reason.SERVER_NOT_OPERATIONAL: "adJoinCheckServerNotOperational",
    Reason.CERTIFICATE_NOT_TRUSTED: "adJoinCheckServerNotOperational",
    Reason.UNKNOWN_ACCOUNT: "adJoinCheckIncorrectCredentials",
    Reason.INCORRECT_CREDENTIALS: "adJoinCheckIncorrectCredentials",
    Reason.PASSWORD_EXPIRED: "adJoinCheckCredentialsExpired",
    Reason.PASSWORD_MUST_CHANGE: "adJoinCheckCredentialsExpired",
    Reason.ACCOUNT_DISABLED: "adJoinCheckAccountLockedOrDisabled",
    Reason.ACCOUNT_LOCKED: "adJoinCheckAccountLockedOrDisabled",
    Reason.ACCOUNT_EXPIRED: "adJoinCheckAccountLockedOrDisabled",
    Reason.NOT_NOW: "adJoinCheckAccountLockedOrDisabled",
    Reason.NOT_FROM_HERE: "adJoinCheckAccountLockedOrDisabled",
    Reason.ACCESS_DENIED: "adJoinCheckAccessDenied",
    Reason.UNIT_NOT_FOUND: "adJoinCheckOrganizationalUnitNotFound",
    Reason.UNIT_MALFORMED: "adJoinCheckOrganizationalUnitIncorrectFormat",
    Reason.NAME_TAKEN: "adJoinCheckComputerObjectAlreadyExists",
    Reason.QUOTA_EXCEEDED: "adJoinCheckAccountQuotaExceeded",
}
"""What a check of the domain fails with; anything else is ``adJoinCheckUnknownError``."""
# What a wrong entry is refused for. Everything else may be different in a minute, and the checks will tell.
_WRONG_ENTRY = frozenset(
    reason for reason, code in CODES.items() if code.endswith(("IncorrectCredentials", "Expired", "LockedOrDisabled"))
)
ENTRY_SECONDS = 5.0
DAYS_LEFT = 30
SKEW_WARNS_SECONDS, SKEW_FAILS_SECONDS = 60.0, 300.0
_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_SERVICES = {"DNS": 53, "Kerberos": 88, "Kerberos passwords": 464}
_UNREACHED = "endpointConnectivityCheckAzureADUrlNotAllowListed"


class ActiveDirectoryHealth:
    checks = checks_of("directory")

    def __init__(self, database: Database, site: Site) -> None:
        self._database, self._site = database, site
        self._looks: Mapping[str, Callable[[Mapping[str, Any], Domain], Answer]] = {
            "dns": _dns,
            "directoryReach": _reach,
            "directoryCertificate": _certificate,
            "clockSkew": _clock,
            "joinAccount": self._sign_in,
            "organizationalUnitRights": self._rights,
            "machineAccountQuota": self._quota,
            "adDomainJoin": self._trial,
            "serviceConnectionPoint": self._connection_point,
            "deviceSync": self._synchronisation,
            "singleSignOn": self._single_sign_on,
        }

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        domain = self._domain(connection)
        try:
            return self._looks[check_id](connection, domain)
        except DirectoryProblem as problem:
            return "failed", _code(check_id, problem.reason), problem.detail

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        """What a machine asks a controller for while it joins and when its user signs in."""
        domain = self._domain(connection)
        try:
            found = controllers(domain)[: looking.MOST_CONTROLLERS]
        except DirectoryProblem:
            return []  # said by the check of DNS
        # One controller that answers is enough for a machine; any but the first is worth a warning.
        return [
            Endpoint(f"{controller.host}: {what}", controller.address, port, _UNREACHED, required=place == 0)
            for place, controller in enumerate(found)
            for what, port in {**_SERVICES, "LDAP": port_of(domain, controller)}.items()
        ]

    def _domain(self, connection: Mapping[str, Any]) -> Domain:
        return where_is(self._database.engine, self._site.tenant_id, str(connection.get("ad_domain_name") or ""))

    def _account(self, connection: Mapping[str, Any]) -> Account:
        kept, secrets = connection.get("ad_domain_password"), self._database.secrets
        password = secrets.decrypt(bytes(kept)) if kept and secrets else ""
        return Account(str(connection.get("ad_domain_username") or ""), password)

    def _sign_in(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        with signed_in(domain, self._account(connection)) as opened:
            return "passed", None, f"{opened.ldap.user} signed in at {opened.controller.host}"

    def _rights(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        with signed_in(domain, self._account(connection)) as opened:
            unit, who = unit_of(opened, str(connection.get("organizational_unit") or "")), opened.ldap.user
            may = looking.may_create_computers(opened, unit)
            if may:
                return "passed", None, f"{who} may create computer objects in {unit}"
            if may is None:
                return "informational", None, f"{opened.controller.host} does not tell the rights in {unit}"
            quota, detail = looking.quota(opened), f"{who} may not create computer objects in {unit}"
            if quota.most:
                return "warning", "adJoinCheckAccessDenied", f"{detail}; only the domain's quota may let it"
            return "failed", "adJoinCheckAccessDenied", f"{detail}, and the domain's quota is 0"

    def _quota(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        with signed_in(domain, self._account(connection)) as opened:
            unit = unit_of(opened, str(connection.get("organizational_unit") or ""))
            quota = looking.quota(opened)
            told = f"ms-DS-MachineAccountQuota of {domain.name} is {quota.most}"
            if looking.may_create_computers(opened, unit):
                return "passed", None, f"{told}, which does not count: the account has the right in {unit}"
            told = f"{told}, {quota.made} made by {opened.ldap.user}"
            if quota.left == 0:
                return "failed", "adJoinCheckAccountQuotaExceeded", told
            return "passed", None, told

    def _trial(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        return health_trial.look(self._database, self._site, connection, domain, self._account(connection))

    def _connection_point(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        with signed_in(domain, self._account(connection)) as opened:
            return _connection_point(opened, required=configuration(self._site).needs_connection_point)

    def _synchronisation(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        return health_synchronisation.look(self._database, self._site.tenant_id, connection)

    def _single_sign_on(self, connection: Mapping[str, Any], domain: Domain) -> Answer:
        if not connection.get("single_sign_on"):
            return "passed", None, "no policy that uses the connection wants single sign-on"
        with signed_in(domain, self._account(connection)) as opened:
            if looking.has_kerberos_server(opened):
                return "passed", None, f"{domain.name} has the Kerberos server object AzureADKerberos"
            detail = f"{domain.name} has no Kerberos server object (AzureADKerberos): people sign in by their password"
            return "informational", None, detail


def join_account_refused(database: Database, site: Site, account: JoinAccount) -> str:
    """Why a controller says that this is not the account's password, in its words; empty where it is, or where nobody
    could be asked within `ENTRY_SECONDS`."""
    domain = where_is(database.engine, site.tenant_id, account.domain)
    said: list[str] = []

    def ask() -> None:
        try:
            with signed_in(domain, Account(account.name, account.password)):
                pass
        except DirectoryProblem as problem:
            if problem.reason in _WRONG_ENTRY:
                said.append(problem.detail)
        except Exception:  # the checks will meet it again, and tell it
            log.exception("the join account of %s could not be tried", account.domain)

    # On a thread of its own: with several controllers that do not answer it would last many times as long.
    asking = threading.Thread(target=ask, name="join account", daemon=True)
    asking.start()
    asking.join(ENTRY_SECONDS)
    return said[0] if said else ""


def _code(check_id: str, reason: Reason) -> str:
    if check_id == "dns":
        return "dnsCheckFqdnNotFound" if reason is Reason.DOMAIN_NOT_FOUND else "dnsCheckUnknownError"
    if check_id in ("serviceConnectionPoint", "deviceSync"):
        return "azureAdDeviceSyncCheckUnknownError"
    if check_id == "singleSignOn":
        return "ssoCheckKerberosConfigurationError"
    return CODES.get(reason, "adJoinCheckUnknownError")


def _dns(_: Mapping[str, Any], domain: Domain) -> Answer:
    if not _NAME.fullmatch(domain.name):
        return "failed", "dnsCheckNameWithInvalidCharacter", f"{domain.name} is not a full DNS name"
    found = ", ".join(f"{controller.host} {controller.address}" for controller in controllers(domain))
    how = f"asked: {asked(domain)}"
    if domain.controllers:
        how = "named where the domain is described" + ("" if "=" in " ".join(domain.controllers) else f", {how}")
    return "passed", None, f"controllers of {domain.name}: {found} ({how})"


def _reach(_: Mapping[str, Any], domain: Domain) -> Answer:
    seen = looking.of_each(controllers(domain), lambda controller: looking.answers(domain, controller))
    return _together(seen, lambda answered: (0, f"{answered} answers"), "adJoinCheckServerNotOperational")


def _certificate(_: Mapping[str, Any], domain: Domain) -> Answer:
    def told(seen: looking.Certificate) -> tuple[int, str]:
        days = (seen.ends_at - datetime.now(UTC)).days
        detail = f"{', '.join(seen.names)}, signed by {seen.issuer}, until {seen.ends_at:%Y-%m-%d} ({days} days)"
        return int(days < DAYS_LEFT), detail

    seen = looking.of_each(controllers(domain), lambda controller: looking.certificate(domain, controller))
    return _together(seen, told, "adJoinCheckServerNotOperational", (Reason.SERVER_NOT_OPERATIONAL,))


def _clock(_: Mapping[str, Any], domain: Domain) -> Answer:
    def told(seen: looking.Times) -> tuple[int, str]:
        apart = abs(seen.apart_seconds)
        there, here = (f"{time:%Y-%m-%d %H:%M:%S} UTC" for time in (seen.there, seen.here))
        ahead = "ahead of" if seen.apart_seconds > 0 else "behind"
        detail = f"{there}, here it is {here}"
        if apart > SKEW_WARNS_SECONDS:
            detail = f"{there}, {apart:.0f} s {ahead} this machine's {here}"
        return 2 if apart > SKEW_FAILS_SECONDS else int(apart > SKEW_WARNS_SECONDS), detail

    seen = looking.of_each(controllers(domain), lambda controller: looking.times(domain, controller))
    others = (Reason.SERVER_NOT_OPERATIONAL, Reason.CERTIFICATE_NOT_TRUSTED)
    return _together(seen, told, "adJoinCheckUnknownError", others)


def _together(
    seen: Mapping[Controller, Any | DirectoryProblem],
    told: Callable[[Any], tuple[int, str]],
    code: str,
    said: tuple[Reason, ...] = (),
) -> Answer:
    """One answer of what was seen at each controller: it fails where none is well, and warns where one is not.

    told: how bad (0 well, 1 a warning, 2 failed), and the detail. `said`: what other checks tell of a controller.
    """
    tell = {c: what for c, what in seen.items() if not isinstance(what, DirectoryProblem) or what.reason not in said}
    marks, details = [], []
    for controller, what in (tell or seen).items():
        bad, detail = (2, what.detail) if isinstance(what, DirectoryProblem) else told(what)
        marks.append(bad)
        details.append(detail if controller.host in detail else f"{controller.host}: {detail}")
    status = "failed" if min(marks) == 2 else "warning" if max(marks) else "passed"
    details = [detail for _, detail in sorted(zip(marks, details, strict=True), key=lambda pair: -pair[0])]
    return status, None if status == "passed" else code, "; ".join(details)


def _connection_point(opened: Opened, *, required: bool) -> Answer:
    keywords = looking.service_connection_point(opened)
    named = {word.partition(":")[0].lower(): word.partition(":")[2] for word in keywords or ()}
    missing = [name for name in ("azureADName", "azureADId") if not named.get(name.lower())]
    if keywords is not None and not missing:
        return "passed", None, f"names {named['azureadname']} ({named['azureadid']})"
    detail = f"the forest of {opened.domain.name} has no service connection point"
    if keywords is not None:
        detail = f"the service connection point has no {' and no '.join(missing)}: {', '.join(keywords) or '-'}"
    return ("failed" if required else "warning"), "azureAdDeviceSyncCheckScpNotConfigured", detail
