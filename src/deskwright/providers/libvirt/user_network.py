"""Networks in one user's session (`qemu:///session`), where libvirt may make none.

Each NIC has a network of its own inside QEMU: a /27 with a DHCP server that gives the one machine in it the address
.15, and a way out through the host, as the user. Nobody reaches in. So that addresses tell machines apart, each NIC has
another part of the site's subnet.
"""

import ipaddress
from collections.abc import Iterator

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, Found, Made, Network, ProviderError
from deskwright.providers.libvirt import machine_xml, networks, tags
from deskwright.providers.libvirt.place import Place
from deskwright.providers.libvirt.records import Addresses, Nic, Records
from deskwright.providers.site import Site

PREFIX = 27
_MACHINE = 15
"""QEMU's DHCP server begins there."""
WHY = "the libvirt of one user's session makes no networks and reaches none of the host's"


def ensure(place: Place) -> dict[Kind, Made]:
    """The site's subnet, chosen on first use: nothing is made on the host."""
    return {
        kind: Made(str(tags.uuid_of(place.shared_key(kind))), {"addressSpace": str(subnet(place))})
        for kind in (Kind.NETWORK, Kind.SECURITY_GROUP)
    }


def subnet(place: Place) -> ipaddress.IPv4Network:
    chosen = place.records.subnet(place.at.hosted_networks, place.at.subnet_prefix, ())
    if chosen is None:
        reason = f"no /{place.at.subnet_prefix} of {place.at.hosted_networks} is free"
        raise ProviderError("noEnoughIpAddress", network=networks.name_of(place.site.id), reason=reason)
    return chosen


def addresses(subnet: ipaddress.IPv4Network) -> Addresses:
    step = 2 ** (32 - PREFIX)
    return Addresses(subnet.network_address + _MACHINE, subnet.num_addresses // step, step)


def nic_xml(taken: Nic) -> str:
    return machine_xml.user_nic(taken.mac, ipaddress.IPv4Network(f"{taken.address}/{PREFIX}", strict=False))


def refuse(place: Place, call: Call, network: Network) -> None:
    """Networks of the host are for a libvirt of the whole machine."""
    if network.connection_id is not None:
        reason = f"{WHY}: for {network.network} the site's compute.uri must be that of the whole host, qemu:///system"
        raise ProviderError("internalServerError", site=place.site.name, step=call.step, reason=reason)


def inventory(site: Site, records: Records) -> Iterator[Found]:
    """What stands for the site's network and security group: its subnet."""
    chosen = records.known_subnet()
    if chosen is not None:
        for kind in (Kind.NETWORK, Kind.SECURITY_GROUP):
            key = Call(site.tenant_id, site.id, site.id, 0, 0, "network").site_key(kind)
            yield Found(kind, key, str(tags.uuid_of(key)), str(chosen))


def free(place: Place, network: Network) -> int:
    if network.connection_id is not None:
        return 0
    return addresses(subnet(place)).count - len(place.records.nics())
