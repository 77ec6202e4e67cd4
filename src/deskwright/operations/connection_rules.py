"""What a network connection may be, before anything is asked of its network or its domain."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from deskwright.domain.rules import Refused

HYBRID = "hybridAzureADJoin"
TYPES = (HYBRID, "azureADJoin")
_DNS_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_DISTINGUISHED_NAME = re.compile(r"(OU|CN)=.+", re.IGNORECASE)
_UPN = re.compile(r"[^\s@\\]+@[^\s@\\]+")
# What only a hybrid join needs: column -> property.
_AD = {
    "ad_domain_name": "adDomainName",
    "organizational_unit": "organizationalUnit",
    "ad_domain_username": "adDomainUsername",
}


def check_properties(values: Mapping[str, Any], *, has_password: bool) -> None:
    """Refused names the property; `values` are columns."""
    for refused in broken_rules(values, has_password=has_password):
        raise refused


def broken_rules(values: Mapping[str, Any], *, has_password: bool) -> Iterator[Refused]:
    """Each property that breaks a rule, for forms that tell all of them; `values` are columns."""
    kind = values["connection_type"]
    if kind not in TYPES:
        yield Refused("connectionType", kind, f"must be one of: {', '.join(TYPES)}")
        return
    yield from _broken_subnet(values["subnet"])
    if kind != HYBRID:
        for column, field in _AD.items():
            if values[column]:
                yield Refused(field, values[column], f"belongs to connections of type {HYBRID} only")
        if has_password:
            yield Refused("adDomainPassword", None, f"belongs to connections of type {HYBRID} only")
        return
    domain, unit, account = (values[column] or "" for column in _AD)
    if not _DNS_NAME.fullmatch(domain):
        yield Refused("adDomainName", domain, "must be the domain's full DNS name, such as corp.contoso.com")
    if unit and not _DISTINGUISHED_NAME.fullmatch(unit):
        yield Refused(
            "organizationalUnit", unit, "must be a distinguished name, such as OU=CloudPCs,DC=corp,DC=contoso,DC=com"
        )
    if not _UPN.fullmatch(account):
        yield Refused("adDomainUsername", account, "must be the join account's UPN, such as joiner@corp.contoso.com")
    if not has_password:
        yield Refused("adDomainPassword", None, "is needed to join computers to the domain")


def _broken_subnet(subnet: str) -> Iterator[Refused]:
    """A subnet may be a cloud's resource name; where it is written in numbers they must be a network."""
    if re.fullmatch(r"[0-9a-fA-F.:]+/\d+", subnet):
        try:
            ipaddress.ip_network(subnet)
        except ValueError as wrong:
            yield Refused("subnet", subnet, f"is not a subnet: {wrong}")
