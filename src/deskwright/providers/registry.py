"""The map of providers: every kind there is, and what makes it. A new provider is one line here."""

from collections.abc import Callable, Mapping
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.providers.contract import Compute, Directory, HealthProbe, Management, Providers
from deskwright.providers.simulator.compute import SimulatedCompute
from deskwright.providers.simulator.directory import SimulatedDirectory
from deskwright.providers.simulator.health import SimulatedHealth
from deskwright.providers.simulator.management import SimulatedManagement
from deskwright.providers.site import Site
from deskwright.store.database import Database

COMPUTE: dict[str, Callable[[Database, Site], Compute]] = {"simulator": SimulatedCompute}
DIRECTORY: dict[str, Callable[[Database, Site], Directory]] = {"simulator": SimulatedDirectory}
MANAGEMENT: dict[str, Callable[[Database, Site], Management]] = {"simulator": SimulatedManagement}
# By the kind of compute: whoever holds the network can look at it.
HEALTH: dict[str, Callable[[Database, Site], HealthProbe]] = {"simulator": SimulatedHealth}

KINDS: dict[str, Mapping[str, Callable[[Database, Site], Any]]] = {
    "compute": COMPUTE,
    "directory": DIRECTORY,
    "management": MANAGEMENT,
}


def providers_for(database: Database, site: Site) -> Providers:
    """The providers of a site. Refused, naming the known kinds, where a kind or its configuration is not known."""
    return Providers(
        compute=COMPUTE[_kind(site, "compute", site.compute)](database, site),
        directory=DIRECTORY[_kind(site, "directory", site.directory)](database, site),
        management=MANAGEMENT[_kind(site, "management", site.management)](database, site),
        health=HEALTH[_kind(site, "compute", site.compute)](database, site),
    )


def _kind(site: Site, provider: str, configuration: Mapping[str, Any]) -> str:
    kind = configuration.get("kind", "simulator")
    if kind not in KINDS[provider]:
        known = ", ".join(sorted(KINDS[provider]))
        raise Refused(f"{provider}.kind", kind, f"must be one of: {known}", where=f"site {site.name}")
    return str(kind)


__all__ = ["COMPUTE", "DIRECTORY", "HEALTH", "KINDS", "MANAGEMENT", "Site", "providers_for"]
