"""Looking at a domain without changing it: its controllers, their certificates and clocks, and what an account may do.

What cannot be looked at raises DirectoryProblem, with the actual values in its text.
"""

import ssl
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import ldap3
from cryptography import x509
from ldap3.core.exceptions import LDAPException, LDAPNoSuchObjectResult
from ldap3.utils.conv import escape_filter_chars

from deskwright.active_directory.client import Opened, connected, port_of, reachable, where
from deskwright.active_directory.discovery import Controller, Domain
from deskwright.active_directory.problems import DirectoryProblem, Reason, operation_problem

MOST_CONTROLLERS = 8
"""So many of a domain's controllers are looked at, in the order in which they are tried."""
_REACH_SECONDS = 5.0
# [MS-DVRJ] / Connect: where every forest keeps it.
_CONNECTION_POINT = "CN=62a0ff2e-97b9-4513-943f-0d221bd30080,CN=Device Registration Configuration,CN=Services"
_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Certificate:
    names: tuple[str, ...]
    issuer: str
    ends_at: datetime


@dataclass(frozen=True)
class Times:
    """A controller's clock, and this machine's at the same moment."""

    there: datetime
    here: datetime

    @property
    def apart_seconds(self) -> float:
        """Positive where the controller is ahead."""
        return (self.there - self.here).total_seconds()


@dataclass(frozen=True)
class Quota:
    """How many computers the domain lets every user make, and how many the account has made so."""

    most: int
    made: int

    @property
    def left(self) -> int:
        return max(0, self.most - self.made)


def of_each(
    found: Sequence[Controller], look: Callable[[Controller], _Seen]
) -> dict[Controller, _Seen | DirectoryProblem]:
    """What `look` sees at each controller, at the same time; in their order."""
    looked = found[:MOST_CONTROLLERS]
    with ThreadPoolExecutor(len(looked)) as threads:
        return dict(zip(looked, threads.map(lambda controller: _seen(look, controller), looked), strict=True))


def answers(domain: Domain, controller: Controller) -> str:
    """Where it answers."""
    if not reachable(controller.address, port_of(domain, controller), _REACH_SECONDS):
        detail = f"{where(domain, controller)} does not answer within {_REACH_SECONDS:.0f} s"
        raise DirectoryProblem(Reason.SERVER_NOT_OPERATIONAL, detail)
    return where(domain, controller)


def certificate(domain: Domain, controller: Controller) -> Certificate:
    """Its certificate, verified: who signed it, that it carries the controller's name, and its time."""
    try:
        connection = connected(domain, controller)
    except DirectoryProblem as problem:
        if problem.reason is Reason.CERTIFICATE_NOT_TRUSTED and not domain.start_tls:
            raise DirectoryProblem(problem.reason, f"{problem.detail}{_shown(domain, controller)}") from problem
        raise
    try:
        told = connection.socket.getpeercert()
    finally:
        connection.unbind()
    subject = {name: value for part in told["subject"] for name, value in part}
    issuer = {name: value for part in told["issuer"] for name, value in part}
    names = [name for kind, name in told.get("subjectAltName", ()) if kind == "DNS"] or [subject.get("commonName", "")]
    ends = datetime.strptime(told["notAfter"], "%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC)
    return Certificate(tuple(names), issuer.get("commonName") or issuer.get("organizationName", ""), ends)


def times(domain: Domain, controller: Controller) -> Times:
    connection = connected(domain, controller)
    try:
        before = datetime.now(UTC)
        (entry,) = _read(connection, "", ["currentTime"], f"the time of {where(domain, controller)}")
        here = before + (datetime.now(UTC) - before) / 2
    finally:
        connection.unbind()
    said = entry["raw_attributes"]["currentTime"][0].decode()
    # It tells whole seconds: in the middle, it is wrong by half a second at most.
    there = datetime.strptime(said, "%Y%m%d%H%M%S.%fZ").replace(tzinfo=UTC)
    return Times(there, here)


def may_create_computers(opened: Opened, unit: str) -> bool | None:
    """Whether the account may make computer objects in `unit` by a right; None where the controller does not tell."""
    for entry in _read(opened.ldap, unit, ["allowedChildClassesEffective"], f"rights in {unit}"):
        told = entry["raw_attributes"].get("allowedChildClassesEffective")
        return None if told is None else b"computer" in [name.lower() for name in told]
    return None


def quota(opened: Opened) -> Quota:
    """The domain's quota of machine accounts, and how much of it the signed-in account has used."""
    base = opened.domain.distinguished_name
    (domain,) = _read(opened.ldap, base, ["ms-DS-MachineAccountQuota"], f"the machine-account quota of {base}")
    most = domain["raw_attributes"].get("ms-DS-MachineAccountQuota") or [b"0"]
    name = escape_filter_chars(str(opened.ldap.user))
    account = escape_filter_chars(str(opened.ldap.user).partition("@")[0])
    who = f"(|(userPrincipalName={name})(sAMAccountName={account}))"
    made = 0
    for entry in _find(opened.ldap, base, who, ["objectSid"]):
        sid = "".join(f"\\{byte:02x}" for byte in entry["raw_attributes"]["objectSid"][0])
        made = len(_find(opened.ldap, base, f"(&(objectCategory=computer)(mS-DS-CreatorSID={sid}))", []))
    return Quota(int(most[0]), made)


def service_connection_point(opened: Opened) -> tuple[str, ...] | None:
    """The keywords of the forest's (``azureADName:…``, ``azureADId:…``); None where there is none."""
    (root,) = _read(opened.ldap, "", ["configurationNamingContext"], "the forest's configuration")
    base = f"{_CONNECTION_POINT},{root['raw_attributes']['configurationNamingContext'][0].decode()}"
    for entry in _read(opened.ldap, base, ["keywords"], "the service connection point"):
        return tuple(word.decode(errors="replace") for word in entry["raw_attributes"].get("keywords", ()))
    return None


def has_kerberos_server(opened: Opened) -> bool:
    """Whether the domain has the Kerberos server object of Microsoft Entra, by which single sign-on gets tickets."""
    wanted = "(&(objectCategory=computer)(sAMAccountName=AzureADKerberos$))"
    return bool(_find(opened.ldap, opened.domain.distinguished_name, wanted, []))


def _shown(domain: Domain, controller: Controller) -> str:
    """What stands in a certificate that is not trusted, for people; empty where it cannot be read."""
    try:
        pem = ssl.get_server_certificate((controller.address, port_of(domain, controller)), timeout=_REACH_SECONDS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whatever is odd about it, it is not trusted anyway
            told = x509.load_pem_x509_certificate(pem.encode())
    except (OSError, ValueError):
        return ""
    ends = f"{told.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return f". It is for {told.subject.rfc4514_string()}, of {told.issuer.rfc4514_string()}, until {ends}"


def _seen(look: Callable[[Controller], _Seen], controller: Controller) -> _Seen | DirectoryProblem:
    try:
        return look(controller)
    except DirectoryProblem as problem:
        return problem


def _read(ldap: Any, name: str, attributes: list[str], what: str) -> list[dict[str, Any]]:
    """The one object of that name, if it is there."""
    return _asked(ldap, what, name, "(objectClass=*)", ldap3.BASE, attributes)


def _find(ldap: Any, base: str, wanted: str, attributes: list[str]) -> list[dict[str, Any]]:
    return _asked(ldap, f"looking in {base}", base, wanted, ldap3.SUBTREE, attributes)


def _asked(ldap: Any, what: str, base: str, wanted: str, scope: Any, attributes: list[str]) -> list[dict[str, Any]]:
    try:
        ldap.search(base, wanted, scope, attributes=attributes or ["1.1"])
    except LDAPNoSuchObjectResult:
        return []
    except LDAPException as error:
        raise operation_problem(error, what, str(ldap.server.host)) from error
    return [entry for entry in ldap.response or () if entry["type"] == "searchResEntry"]
