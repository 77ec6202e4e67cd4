"""What one may say about a domain, and the rules of each field."""

import ipaddress
import re
import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from ldap3.core.exceptions import LDAPInvalidDnError
from ldap3.utils.dn import parse_dn

from deskwright.active_directory.discovery import Domain
from deskwright.active_directory.reading import Base, tidy
from deskwright.domain.rules import Refused

SIGN_IN = ("none", "ldap")
# Column -> property.
PROPERTIES = {
    "name": "domainName",
    "controllers": "controllers",
    "name_servers": "nameServers",
    "ca_certificate": "caCertificate",
    "start_tls": "startTls",
    "account_name": "userName",
    "search_bases": "searchBases",
    "sign_in": "signIn",
    "sync_enabled": "syncEnabled",
    "sync_interval_minutes": "syncIntervalInMinutes",
}
COLUMNS = tuple(PROPERTIES)
READ = frozenset({"account_name", "search_bases"})
"""What changes which objects are seen."""
REACH = READ | {"controllers", "name_servers", "ca_certificate", "start_tls"}
"""What changes whether they are."""
SHORTEST, LONGEST = 1, 24 * 60
_MOST = 50
_DNS_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_UPN = re.compile(r"[^\s@\\]+@[^\s@\\]+")


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values (by column) as they are kept. Raises Refused with the first that breaks a rule."""
    made = _tidied(values)
    for refused in broken_rules(made):
        raise refused
    return made


def broken_rules(values: Mapping[str, Any]) -> Iterator[Refused]:
    """Each field that breaks a rule, for forms that tell all of them."""
    made = _tidied(values)
    if not _DNS_NAME.fullmatch(made["name"]):
        yield Refused("domainName", made["name"], "must be the domain's full DNS name, such as corp.contoso.com")
    if not _UPN.fullmatch(made["account_name"]):
        rule = "must be the reading account's UPN, such as reader@corp.contoso.com"
        yield Refused("userName", made["account_name"], rule)
    yield from _addresses(made)
    if made["ca_certificate"]:
        yield from _certificate(made["ca_certificate"])
    yield from _bases(made["name"], made["search_bases"])
    if made["sign_in"] not in SIGN_IN:
        yield Refused("signIn", made["sign_in"], f"must be one of: {', '.join(SIGN_IN)}")
    minutes = made["sync_interval_minutes"]
    if not SHORTEST <= minutes <= LONGEST:
        yield Refused("syncIntervalInMinutes", minutes, f"must be {SHORTEST} to {LONGEST}")


def reached(values: Mapping[str, Any]) -> Domain:
    """How the domain is reached."""
    return Domain(
        values["name"],
        tuple(values["controllers"]),
        tuple(values["name_servers"]),
        values["ca_certificate"] or "",
        values["start_tls"],
    )


def _tidied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "name": values["name"].strip().lower(),
        "account_name": values["account_name"].strip(),
        "controllers": _listed(values["controllers"]),
        "name_servers": _listed(values["name_servers"]),
        "search_bases": [tidy(base) for base in _listed(values["search_bases"])],
        "ca_certificate": (values["ca_certificate"] or "").strip(),
    }


def _listed(given: Any) -> list[str]:
    return [value.strip() for value in given if value.strip()]


def _addresses(values: Mapping[str, Any]) -> Iterator[Refused]:
    for field in ("controllers", "name_servers"):
        if len(values[field]) > _MOST:
            yield Refused(PROPERTIES[field], f"{len(values[field])} of them", f"at most {_MOST}")
    for controller in values["controllers"]:
        host, equals, address = controller.partition("=")
        if not _DNS_NAME.fullmatch(host) or (equals and not _is_address(address)):
            rule = "must be a controller's full DNS name, or NAME=ADDRESS where DNS does not know it"
            yield Refused("controllers", controller, rule)
    for server in values["name_servers"]:
        if not _is_address(server):
            yield Refused("nameServers", server, "must be an IP address")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _certificate(pem: str) -> Iterator[Refused]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)  # as it is used
    except (ssl.SSLError, ValueError):
        rule = "is no certificate in PEM (-----BEGIN CERTIFICATE----- ...); give that of who signed the controllers'"
        yield Refused("caCertificate", f"{pem[:40]}…", rule)
        return
    if "PRIVATE KEY" in pem:
        yield Refused("caCertificate", None, "has a private key in it; give the certificate alone")


def _bases(domain: str, bases: list[str]) -> Iterator[Refused]:
    top = Base(Domain(domain).distinguished_name)
    if len(bases) > _MOST:
        yield Refused("searchBases", f"{len(bases)} of them", f"at most {_MOST}")
    for base in bases:
        try:
            parse_dn(base)
        except LDAPInvalidDnError as wrong:
            yield Refused(
                "searchBases", base, f"must be a distinguished name, such as OU=Staff,DC=corp,DC=com: {wrong}"
            )
            continue
        if not top.holds(base):
            yield Refused("searchBases", base, f"is not in the domain: it must end in {top.distinguished_name}")
        others = [other for other in bases if other is not base and Base(other).holds(base)]
        if others:
            yield Refused("searchBases", base, f"lies in {others[0]}, which is read anyway")
