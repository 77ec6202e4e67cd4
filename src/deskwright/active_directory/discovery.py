"""Where a domain's controllers are: as they are named, or as DNS says (RFC 2782, ``_ldap._tcp.dc._msdcs.DOMAIN``)."""

import ipaddress
from dataclasses import dataclass

import dns.exception
import dns.resolver

from deskwright.active_directory.problems import DirectoryProblem, Reason

_LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True)
class Domain:
    name: str
    """Full DNS name, such as corp.contoso.com."""
    controllers: tuple[str, ...] = ()
    """Host names of those to use, in order, ``host=address`` where DNS does not know it; none: those DNS tells."""
    name_servers: tuple[str, ...] = ()
    """Addresses of name servers that know the domain; none: this machine's."""
    ca_certificate: str = ""
    """PEM of who signed the controllers' certificates; empty: whom this machine trusts."""
    start_tls: bool = False
    """By StartTLS on port 389 instead of LDAPS on 636."""

    @property
    def distinguished_name(self) -> str:
        return ",".join(f"DC={part}" for part in self.name.split("."))

    @property
    def realm(self) -> str:
        """As Kerberos calls it."""
        return self.name.upper()


@dataclass(frozen=True)
class Controller:
    host: str
    """Its full name, which its certificate must carry."""
    address: str
    port: int = 0
    """Of LDAP; 0: the usual one."""


def controllers(domain: Domain) -> list[Controller]:
    """At least one, in the order to try. Raises DirectoryProblem with domainNotFound."""
    named = domain.controllers or tuple(_service_records(domain))
    found, missing = [], []
    for name in named:
        host, _, address = name.partition("=")
        addresses = [address] if address else _addresses(domain, host)
        found += [Controller(host, one) for one in addresses]
        if not addresses:
            missing.append(host)
    if not found:
        detail = f"DNS has no address of {', '.join(missing)} (asked: {asked(domain)})"
        raise DirectoryProblem(Reason.DOMAIN_NOT_FOUND, detail)
    return found


def asked(domain: Domain) -> str:
    """Which name servers are asked about it, for messages."""
    return ", ".join(domain.name_servers) or "this machine's name servers"


def _service_records(domain: Domain) -> list[str]:
    """Names of the controllers by priority and weight."""
    wanted = f"_ldap._tcp.dc._msdcs.{domain.name}"
    try:
        records = list(resolver(domain).resolve(wanted, "SRV"))
    except (dns.exception.DNSException, OSError) as silent:
        detail = f"DNS has no service records {wanted} (asked: {asked(domain)}): {silent}"
        raise DirectoryProblem(Reason.DOMAIN_NOT_FOUND, detail) from silent
    return [str(r.target).rstrip(".") for r in sorted(records, key=lambda r: (r.priority, -r.weight))]


def _addresses(domain: Domain, host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        answers = resolver(domain).resolve_name(host)
    except (dns.exception.DNSException, OSError):
        return []
    return list(answers.addresses())


def resolver(domain: Domain) -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=not domain.name_servers)
    if domain.name_servers:
        made.nameservers = list(domain.name_servers)
    made.lifetime = _LOOK_UP_SECONDS
    return made
