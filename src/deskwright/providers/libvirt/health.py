"""What a connection's checks find on a libvirt host: the compute provider's part of them."""

import fcntl
import socket
import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import libvirt

from deskwright.checks.table import checks_of
from deskwright.providers.contract import Answer, Endpoint, Network
from deskwright.providers.health import reached
from deskwright.providers.libvirt import user_network
from deskwright.providers.libvirt.compute import LibvirtCompute
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.examine import examine
from deskwright.providers.libvirt.host import connect, found, said
from deskwright.providers.site import Site
from deskwright.store.database import Database

_UNABLE = "resourceAvailabilityCheckVNetInvalid"
# What the doctor says of a host that no machine could be made without.
_ENVIRONMENT = ("libvirt", "acceleration", "disk", "memory", "network")
_ADDRESS_OF_INTERFACE = 0x8915  # SIOCGIFADDR
_TRIAL = """\
<domain type="qemu"><name>{name}</name><uuid>{name}</uuid><memory unit="KiB">1024</memory>
<os><type>hvm</type></os></domain>
"""


class LibvirtHealth:
    checks = checks_of("compute")

    def __init__(self, database: Database, site: Site) -> None:
        self._at = configuration(site.compute, site.name)
        self._database, self._site = database, site
        self._looks: Mapping[str, Callable[[Any, Mapping[str, Any]], Answer]] = {
            "endpointConnectivity": self._endpoints,
            "localeConnectivity": _languages,
            "ipAddresses": self._addresses,
            "tenantReadiness": self._answers,
            "networkReadiness": self._network,
            "subscriptionPermission": self._answers,
            "resourceGroupPermission": self._may_make_machines,
            "networkPermission": self._may_use_networks,
            "environment": self._environment,
            "udpConnectivity": _only_tcp,
        }

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        try:
            return self._looks[check_id](connect(self._at.uri), connection)
        except libvirt.libvirtError as error:
            code = "internalServerUnknownError" if check_id == "environment" else _code_of_silence(check_id)
            return "failed", code, f"libvirt at {self._at.where}: {said(error)}"

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        return []  # a machine is spoken to through its host

    def _answers(self, host: Any, _: Mapping[str, Any]) -> Answer:
        return "passed", None, f"libvirt at {self._at.where} answers: {host.getHostname()}"

    def _may_make_machines(self, host: Any, _: Mapping[str, Any]) -> Answer:
        """By doing it: a machine without anything in it, which is never started."""
        name = str(uuid4())
        try:
            host.defineXML(_TRIAL.format(name=name)).undefine()
        except libvirt.libvirtError as error:
            code = "permissionCheckNoWindows365NetworkInterfaceContributorRole"
            return "failed", code, f"libvirt at {self._at.where} let no machine be defined: {said(error)}"
        return "passed", None, f"a machine could be defined at {self._at.where}"

    def _may_use_networks(self, host: Any, connection: Mapping[str, Any]) -> Answer:
        if self._at.is_session:
            return "failed", "permissionCheckNoWindows365NetworkUserRole", user_network.WHY
        host.listAllNetworks()
        return "passed", None, f"{self._at.where} tells its networks; whoever may define machines may put them there"

    def _network(self, host: Any, connection: Mapping[str, Any]) -> Answer:
        name = str(connection.get("network") or "")
        if self._at.is_session:
            detail = f"{user_network.WHY}: compute.uri of the site must be that of the whole host for it"
            return "failed", _UNABLE, detail
        if name.startswith("bridge:"):
            bridge = name.removeprefix("bridge:")
            there = found(host.interfaceLookupByName, bridge) if self._at.is_local else True
            if there is None:
                return "failed", _UNABLE, f"the host has no bridge {bridge}"
            return "passed", None, f"bridge {bridge}"
        network = found(host.networkLookupByName, name)
        if network is None:
            known = ", ".join(
                sorted(n.name() for n in host.listAllNetworks() if not n.name().startswith("deskwright-"))
            )
            return "failed", _UNABLE, f"the host has no network {name}; there are: {known or 'none'}"
        if not network.isActive():
            return "failed", _UNABLE, f"network {name} is not started on the host"
        return "passed", None, f"network {name} runs on bridge {network.bridgeName()}"

    def _addresses(self, _: Any, connection: Mapping[str, Any]) -> Answer:
        network = Network(connection.get("id"), connection.get("network") or "", connection.get("subnet") or "")
        free = LibvirtCompute(self._database, self._site).free_addresses(network)
        demand = int(connection.get("demand") or 0)
        detail = f"{free} free addresses in {network.network}"
        if free == 0:
            return "failed", "resourceAvailabilityCheckNoSubnetIP", detail
        if free < demand:
            return "warning", "resourceAvailabilityCheckNoSubnetIP", f"{detail}, {demand} may be needed"
        return "passed", None, detail

    def _endpoints(self, host: Any, connection: Mapping[str, Any]) -> Answer:
        """From the host's address in the machines' network, where this process is on that host."""
        name = str(connection.get("network") or "")
        source = self._own_address(host, name)
        place = f"{source}, the host's address in {name}" if source else "this service's machine"
        return reached(connection.get("endpoints") or (), place, source)

    def _own_address(self, host: Any, name: str) -> str:
        """Empty where there is none, or where the host's network is not this process's."""
        parts = urlsplit(self._at.uri)
        if not self._at.is_local or self._at.is_session or "socket" in parse_qs(parts.query):
            return ""
        if name.startswith("bridge:"):
            return _address_of(name.removeprefix("bridge:"))
        network = found(host.networkLookupByName, name)
        ips = ET.fromstring(network.XMLDesc()).findall("ip") if network is not None and network.isActive() else []
        return next((ip.get("address", "") for ip in ips if "." in ip.get("address", "")), "")

    def _environment(self, host: Any, _: Mapping[str, Any]) -> Answer:
        seen = [c for c in examine(self._database, self._site) if c.about in _ENVIRONMENT]
        for condition in seen:
            if condition.mark == "fail":
                mend = f" ({condition.mend})" if condition.mend else ""
                detail = f"{condition.about}: {condition.detail}{mend}"
                return "failed", "internalServerErrorAllocateResourceFailed", detail
        return "passed", None, "; ".join(c.detail for c in seen if c.about == "libvirt")


def _languages(_: Any, connection: Mapping[str, Any]) -> Answer:
    return "informational", None, "not needed here: a machine's languages come with its image, nothing is fetched"


def _only_tcp(_: Any, connection: Mapping[str, Any]) -> Answer:
    return "informational", None, "not needed here: sessions go over TCP, there is no STUN or TURN server"


def _code_of_silence(check_id: str) -> str:
    """What a check says of a host that does not answer, of its own codes."""
    return {
        "endpointConnectivity": "endpointConnectivityCheckUnknownError",
        "localeConnectivity": "endpointConnectivityCheckLocaleUrlNotAllowListed",
        "udpConnectivity": "udpConnectivityCheckUnknownError",
        "networkReadiness": _UNABLE,
        "ipAddresses": "resourceAvailabilityCheckUnknownError",
        "tenantReadiness": "resourceAvailabilityCheckUnknownError",
    }.get(check_id, "permissionCheckUnknownError")


def _address_of(interface: str) -> str:
    """An interface's IPv4 address; empty where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            told = fcntl.ioctl(asked, _ADDRESS_OF_INTERFACE, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(told[20:24])
