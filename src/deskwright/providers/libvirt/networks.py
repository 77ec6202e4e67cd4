"""Networks on the host: the tenant's own of a site, made on first use, and those that are there already.

Our own gives each NIC a fixed address by its DHCP server, so that it is known before the machine asks for it. Its
security group is a libvirt network filter: a machine sends only under its own addresses, and does not answer DHCP.
"""

import ipaddress
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import libvirt

from deskwright.providers.libvirt import tags
from deskwright.providers.libvirt.host import found
from deskwright.providers.libvirt.records import Addresses, Nic

LEASE_MINUTES = 10
"""For so long at most a machine that is gone keeps its address from the next one."""
_BOTH = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_BRIDGES = 5
_HOSTS = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
# Who else is on the network must not see or answer another machine's traffic.
_RULES = ("no-mac-spoofing", "no-ip-spoofing", "no-arp-mac-spoofing", "no-arp-ip-spoofing")


def name_of(site: UUID) -> str:
    return f"deskwright-{site}"


def ensure(connection: Any, site: UUID, subnet: ipaddress.IPv4Network, key: str) -> Any:
    """The site's own network, running."""
    network = found(connection.networkLookupByName, name_of(site))
    if network is None:
        try:
            network = connection.networkDefineXML(_xml(site, subnet, key))
        except libvirt.libvirtError:
            network = connection.networkLookupByName(name_of(site))  # somebody made it meanwhile, or this raises
    if not network.autostart():
        network.setAutostart(1)
    return _started(connection, network)


def _started(connection: Any, network: Any) -> Any:
    for turn in range(1, _BRIDGES + 1):
        if network.isActive():
            break
        try:
            network.create()
        except libvirt.libvirtError as error:
            if network.isActive():  # somebody else was quicker
                break
            if "File exists" not in str(error) or turn == _BRIDGES:
                raise
            # libvirtd died while it made this bridge and does not know of it: it stays there until the host restarts.
            root = ET.fromstring(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
            for bridge in root.findall("bridge"):
                bridge.set("name", f"{bridge.get('name', '')[:12]}-{turn}")
            network = connection.networkDefineXML(ET.tostring(root, encoding="unicode"))
    return network


def ensure_security_group(connection: Any, site: UUID, key: str) -> str:
    """The name of the site's network filter."""
    name = name_of(site)
    if found(connection.nwfilterLookupByName, name) is None:
        root = ET.Element("filter", name=name)
        ET.SubElement(root, "uuid").text = str(tags.uuid_of(key))
        for rule in _RULES:
            ET.SubElement(root, "filterref", filter=rule)
        connection.nwfilterDefineXML(ET.tostring(root, encoding="unicode"))
    return name


def subnets_in_use(connection: Any) -> list[ipaddress.IPv4Network]:
    """Of every network that this libvirt knows."""
    used = []
    for network in connection.listAllNetworks():
        for ip in ET.fromstring(network.XMLDesc()).findall("ip"):
            address, mask = ip.get("address", ""), ip.get("netmask") or ip.get("prefix") or "32"
            if "." in address:
                used.append(ipaddress.IPv4Network(f"{address}/{mask}", strict=False))
    return used


def addresses(subnet: ipaddress.IPv4Network) -> Addresses:
    """Those for machines: after the subnet's own and its gateway's; the last is the broadcast one."""
    return Addresses(subnet.network_address + 2, subnet.num_addresses - 3)


def reserve(network: Any, mac: str, address: str) -> None:
    """Let the network's DHCP server give `address` to `mac`."""
    if (mac, address) in reservations(network):
        return
    try:
        network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, _HOSTS, -1, _host(mac, address), _BOTH)
    except libvirt.libvirtError:
        if (mac, address) not in reservations(network):
            raise


def forget(network: Any, mac: str, address: str) -> None:
    if (mac, address) not in reservations(network):
        return
    try:
        network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, _HOSTS, -1, _host(mac, address), _BOTH)
    except libvirt.libvirtError:
        if (mac, address) in reservations(network):
            raise


def leased(network: Any, mac: str) -> str | None:
    """The address that a machine with this NIC was given last."""
    leases = sorted(network.DHCPLeases(mac), key=lambda lease: lease["expirytime"])
    return str(leases[-1]["ipaddr"]) if leases else None


def free_by_lease(network: Any) -> int | None:
    """How many addresses the network's DHCP server has left; None where it has none of its own."""
    root = ET.fromstring(network.XMLDesc())
    ranges = root.findall("ip/dhcp/range")
    if not ranges:
        return None
    total = sum(
        int(ipaddress.ip_address(r.get("end", ""))) - int(ipaddress.ip_address(r.get("start", ""))) + 1 for r in ranges
    )
    return max(0, total - len({lease["ipaddr"] for lease in network.DHCPLeases()}))


def free_in_subnet(subnet: str, nics: Iterable[Nic]) -> int:
    """Where nobody can be asked who has an address: all but the subnet's own, its gateway's, the broadcast one and
    those that we know of."""
    try:
        whole = ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        return 0
    known = sum(n.address is not None and ipaddress.ip_address(n.address) in whole for n in nics)
    return max(0, min(whole.num_addresses, 2**31) - 3 - known)


def remove(connection: Any, site: UUID) -> None:
    network = found(connection.networkLookupByName, name_of(site))
    if network is not None:
        if network.isActive():
            network.destroy()
        network.undefine()


def remove_security_group(connection: Any, site: UUID) -> None:
    group = found(connection.nwfilterLookupByName, name_of(site))
    if group is not None:
        group.undefine()


def reservations(network: Any) -> set[tuple[str, str]]:
    """(MAC, address) of everything that was given an address for good."""
    hosts = ET.fromstring(network.XMLDesc()).iterfind("ip/dhcp/host")
    return {(host.get("mac", ""), host.get("ip", "")) for host in hosts}


def _host(mac: str, address: str) -> str:
    host = ET.Element("host", mac=mac, ip=address)
    ET.SubElement(host, "lease", expiry=str(LEASE_MINUTES), unit="minutes")
    return ET.tostring(host, encoding="unicode")


def _xml(site: UUID, subnet: ipaddress.IPv4Network, key: str) -> str:
    root = ET.Element("network")
    ET.SubElement(root, "name").text = name_of(site)
    ET.SubElement(root, "uuid").text = str(tags.uuid_of(key))
    ET.SubElement(root, "metadata").append(tags.element({"key": key, "site": str(site)}))
    ET.SubElement(root, "forward", mode="nat")
    # A Linux bridge's name has at most 15 characters.
    ET.SubElement(root, "bridge", name=f"dw{site.hex[:10]}", stp="off", delay="0")
    ip = ET.SubElement(root, "ip", address=str(subnet.network_address + 1), netmask=str(subnet.netmask))
    # Without a range the server answers only those it has an address for.
    ET.SubElement(ip, "dhcp")
    return ET.tostring(root, encoding="unicode")
