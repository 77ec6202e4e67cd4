"""What a connection's checks find on a libvirt host; those of a domain or a cloud are not this provider's."""

from collections.abc import Mapping
from typing import Any

import libvirt

from deskwright.providers.contract import Network
from deskwright.providers.libvirt.compute import LibvirtCompute
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.host import connect, found, said
from deskwright.providers.site import Site
from deskwright.store.database import Database

_PERMISSIONS = ("subscriptionPermission", "resourceGroupPermission", "networkPermission", "tenantReadiness")
Answer = tuple[str, str | None, str]


class LibvirtHealth:
    def __init__(self, database: Database, site: Site) -> None:
        self._at = configuration(site.compute, site.name)
        self._compute = LibvirtCompute(database, site)

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        try:
            host = connect(self._at.uri)
            if check_id == "networkReadiness":
                return self._network(host, str(connection.get("network") or ""))
            if check_id == "ipAddresses":
                return self._addresses(connection)
            if check_id in _PERMISSIONS:
                return "passed", None, f"libvirt at {self._at.where} answers: {host.getHostname()}"
        except libvirt.libvirtError as error:
            return "failed", "permissionCheckUnknownError", f"libvirt at {self._at.where}: {said(error)}"
        return "informational", None, "not looked at by this provider"

    def _network(self, host: Any, name: str) -> Answer:
        if name.startswith("bridge:"):
            bridge = name.removeprefix("bridge:")
            there = found(host.interfaceLookupByName, bridge) if self._at.is_local else True
            if there is None:
                return "failed", "resourceAvailabilityCheckVNetInvalid", f"the host has no bridge {bridge}"
            return "passed", None, f"bridge {bridge}"
        network = found(host.networkLookupByName, name)
        if network is None:
            known = ", ".join(
                sorted(n.name() for n in host.listAllNetworks() if not n.name().startswith("deskwright-"))
            )
            detail = f"the host has no network {name}; there are: {known or 'none'}"
            return "failed", "resourceAvailabilityCheckVNetInvalid", detail
        if not network.isActive():
            return "failed", "resourceAvailabilityCheckVNetInvalid", f"network {name} is not started on the host"
        return "passed", None, f"network {name} runs on bridge {network.bridgeName()}"

    def _addresses(self, connection: Mapping[str, Any]) -> Answer:
        network = Network(connection.get("id"), connection.get("network") or "", connection.get("subnet") or "")
        free, demand = self._compute.free_addresses(network), int(connection.get("demand") or 0)
        detail = f"{free} free addresses in {network.network}"
        if free == 0:
            return "failed", "resourceAvailabilityCheckNoSubnetIP", detail
        if free < demand:
            return "warning", "resourceAvailabilityCheckNoSubnetIP", f"{detail}, {demand} may be needed"
        return "passed", None, detail
