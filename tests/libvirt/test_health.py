"""What a connection's checks find on a real libvirt host: networks, addresses, permission, the host itself."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from deskwright.checks.table import checks_of
from deskwright.providers.contract import Endpoint, HealthProbe
from deskwright.providers.libvirt import health
from deskwright.providers.libvirt.host import connect
from deskwright.providers.libvirt.sandbox import Sandbox
from deskwright.providers.registry import providers_for
from deskwright.store.database import Database
from tests.conftest import Tenant
from tests.libvirt.conftest import configuration

NETWORK = """
<network><name>office</name><bridge name="dwoffice0"/><forward mode="nat"/>
<ip address="10.77.0.1" netmask="255.255.255.248"><dhcp><range start="10.77.0.2" end="10.77.0.6"/></dhcp></ip></network>
"""


@pytest.fixture
def office(host: Sandbox) -> Iterator[Any]:
    """A network of the host, running."""
    network = connect(host.uri).networkDefineXML(NETWORK)
    network.create()
    yield network
    again = connect(host.uri).networkLookupByName("office")  # libvirtd may be another one now
    if again.isActive():
        again.destroy()
    again.undefine()


@pytest.fixture
def probe(host: Sandbox, database: Database, tenant: Tenant) -> HealthProbe:
    builtin = {"kind": "builtin"}
    site = replace(tenant.site, compute=configuration(host), directory=builtin, management=builtin)
    return providers_for(database, site).health


def connection(network: str = "office", **more: Any) -> dict[str, Any]:
    return {"id": UUID(int=7), "network": network, "subnet": "10.77.0.0/29", **more}


def test_every_check_of_a_host_that_is_well(office: Any, probe: HealthProbe) -> None:
    found = {check: probe.probe(check, connection()) for check in checks_of("compute")}
    assert {status for status, _, _ in found.values()} == {"passed", "informational"}
    assert found["networkReadiness"][2] == "network office runs on bridge dwoffice0"
    assert found["ipAddresses"][2] == "5 free addresses in office"
    assert "a machine could be defined at" in found["resourceGroupPermission"][2]
    assert "libvirt" in found["environment"][2]
    for check in ("localeConnectivity", "udpConnectivity"):
        assert found[check][2].startswith("not needed here: ")
    assert not any("not looked at" in detail for _, _, detail in found.values())


def test_permission_is_tried_and_leaves_nothing(host: Sandbox, office: Any, probe: HealthProbe) -> None:
    before = {machine.name() for machine in connect(host.uri).listAllDomains()}
    assert probe.probe("resourceGroupPermission", connection())[0] == "passed"
    assert {machine.name() for machine in connect(host.uri).listAllDomains()} == before


def test_a_network_that_is_not_there_or_not_started(office: Any, probe: HealthProbe) -> None:
    status, code, detail = probe.probe("networkReadiness", connection("lab"))
    assert (status, code) == ("failed", "resourceAvailabilityCheckVNetInvalid")
    assert "the host has no network lab; there are: " in detail
    assert "office" in detail
    office.destroy()
    try:
        assert "is not started" in probe.probe("networkReadiness", connection())[2]
    finally:
        office.create()


def test_addresses_against_three_for_each(office: Any, probe: HealthProbe) -> None:
    assert probe.probe("ipAddresses", connection(demand=3))[0] == "passed"
    status, code, detail = probe.probe("ipAddresses", connection(demand=6))
    assert (status, code) == ("warning", "resourceAvailabilityCheckNoSubnetIP")
    assert detail == "5 free addresses in office, 6 may be needed"


def test_a_host_that_does_not_answer(host: Sandbox, office: Any, probe: HealthProbe) -> None:
    host.kill(signal.SIGKILL)
    try:
        found = {check: probe.probe(check, connection()) for check in ("tenantReadiness", "networkReadiness")}
        environment = probe.probe("environment", connection())
    finally:
        host.start()
    assert found["tenantReadiness"][:2] == ("failed", "resourceAvailabilityCheckUnknownError")
    assert found["networkReadiness"][0] == "failed"
    assert environment[:2] == ("failed", "internalServerUnknownError")


def test_endpoints_are_tried_from_the_networks_own_address(monkeypatch: pytest.MonkeyPatch, probe: HealthProbe) -> None:
    """Where this process is on the host: the other side sees the host's address in the machines' network."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        there = Endpoint("the portal", "127.0.0.1", listening.getsockname()[1], "c")
        monkeypatch.setattr(health.LibvirtHealth, "_own_address", lambda *_: "127.0.0.1")
        status, _, detail = probe.probe("endpointConnectivity", connection(endpoints=[there]))
        assert status == "passed"
        assert detail.startswith("reached from 127.0.0.1, the host's address in office: the portal")
    monkeypatch.undo()
    status, _, detail = probe.probe("endpointConnectivity", connection(endpoints=[there]))
    assert (status, "not reached from this service's machine" in detail) == ("failed", True)


def test_the_address_of_a_bridge() -> None:
    name = f"dwt{uuid4().hex[:8]}"
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        assert health._address_of(name) == ""
        subprocess.run(["ip", "addr", "add", "10.78.0.1/24", "dev", name], check=True)
        assert health._address_of(name) == "10.78.0.1"
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)
    assert health._address_of("nothing0") == ""
