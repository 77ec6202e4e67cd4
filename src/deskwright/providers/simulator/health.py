"""What a simulated connection's health checks find: nothing wrong, but for faults and the subnet's addresses."""

from collections.abc import Mapping
from typing import Any

from deskwright.checks.table import Looker, checks_of
from deskwright.providers.contract import Answer, Endpoint, Network
from deskwright.providers.health import ENDPOINTS, reached
from deskwright.providers.simulator import faults
from deskwright.providers.simulator.compute import SimulatedCompute
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import ask, statement

# These codes tell of something slow or optional, and leave the connection usable.
_ONLY_WARNINGS = (
    "azureAdDeviceSyncCheckLongSyncCircle",
    "azureAdDeviceSyncCheckScpNotConfigured",
    "endpointConnectivityCheckLocaleUrlNotAllowListed",
    "ssoCheckKerberosConfigurationError",
    "udpConnectivityCheck",
)

_FAULT = statement(f"{faults.prelude(steps=''' 'health', 'health:' || :check ''')} SELECT code, code_delay FROM fault")


class SimulatedHealth:
    """One provider's part. A fault with step ``health:<check id>``, or ``health`` for every check, makes it fail with
    the fault's code."""

    def __init__(self, database: Database, site: Site, looker: Looker) -> None:
        self.checks = checks_of(looker)
        self._database, self._site = database, site

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        subject = f"health:{connection.get('id')}:{check_id}"
        asked = {
            "user": "",
            "policy": "",
            "attempt": 1,
            "subject": subject,
            "hybrid": False,
            "check": check_id,
        }
        [row] = ask(self._database.world, _FAULT, {**asked, "tenant": self._site.tenant_id})
        if row.code:
            if row.code_delay:
                faults.delayed(self._database, self._site.tenant_id, subject, row.code, row.code_delay)
            status = "warning" if row.code.startswith(_ONLY_WARNINGS) else "failed"
            return status, row.code, "a simulated fault"
        if check_id == "ipAddresses":
            return self._addresses(connection)
        if check_id == ENDPOINTS and connection.get("endpoints"):
            # Beside a real directory: its controllers are real, too.
            return reached(connection["endpoints"], "this service's machine (simulated machines have no network)")
        return "passed", None, ""

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        return []

    def _addresses(self, connection: Mapping[str, Any]) -> Answer:
        network = Network(connection.get("id"), connection.get("network") or "", connection.get("subnet") or "")
        free = SimulatedCompute(self._database, self._site).free_addresses(network)
        demand = int(connection.get("demand") or 0)
        detail = f"{free} free addresses in {network.subnet}"
        if free == 0:
            return "failed", "resourceAvailabilityCheckNoSubnetIP", detail
        if free < demand:
            return "warning", "resourceAvailabilityCheckNoSubnetIP", f"{detail}, {demand} may be needed"
        return "passed", None, detail
