"""A site's health checks, put together: each provider of the site looks at its own part of a connection."""

import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from deskwright.checks.table import CHECKS
from deskwright.providers.contract import Answer, Endpoint, HealthProbe

ENDPOINTS = "endpointConnectivity"
_REACH_SECONDS = 5.0
_AT_ONCE = 16


class SiteHealth:
    """Asks, for each check, the provider that the table names."""

    def __init__(self, compute: HealthProbe, directory: HealthProbe, management: HealthProbe) -> None:
        self._parts = {"compute": compute, "directory": directory, "management": management}
        self.checks = frozenset[str]().union(*(part.checks for part in self._parts.values()))

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        """Raises KeyError for a check that is not in the table."""
        if check_id == ENDPOINTS:
            connection = {**connection, "endpoints": self.endpoints(connection)}
        return self._parts[CHECKS[check_id].looker].probe(check_id, connection)

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        known = list(connection.get("endpoints") or ())
        return known + [endpoint for part in self._parts.values() for endpoint in part.endpoints(connection)]


def reached(endpoints: Sequence[Endpoint], place: str, source: str = "") -> Answer:
    """Try each by TCP. `place`: from where, for people; `source`: the address of this machine that they see."""
    if not endpoints:
        return "passed", None, "a Cloud PC of this connection needs none"
    with ThreadPoolExecutor(min(_AT_ONCE, len(endpoints))) as threads:
        said = list(threads.map(lambda endpoint: _refusal(endpoint, source), endpoints))
    missing = [(endpoint, why) for endpoint, why in zip(endpoints, said, strict=True) if why]
    if not missing:
        named = ", ".join(f"{e.what} ({e.host}:{e.port})" for e in endpoints)
        return "passed", None, f"reached from {place}: {named}"
    missing.sort(key=lambda pair: not pair[0].required)
    worst = missing[0][0]
    told = "; ".join(f"{e.what} ({e.host}:{e.port}): {why}" for e, why in missing)
    status = "failed" if worst.required else "warning"
    return status, worst.code, f"not reached from {place}: {told}"


def _refusal(endpoint: Endpoint, source: str) -> str:
    try:
        bound = (source, 0) if source else None
        socket.create_connection((endpoint.host, endpoint.port), _REACH_SECONDS, source_address=bound).close()
    except TimeoutError:
        return f"no answer within {_REACH_SECONDS:.0f} s"
    except OSError as error:
        return str(error)
    return ""
