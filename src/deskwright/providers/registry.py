"""The map of providers: every kind there is, and what makes it. A new provider is one line here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.providers.builtin.directory import BuiltinDirectory
from deskwright.providers.builtin.management import BuiltinManagement
from deskwright.providers.contract import Compute, Condition, Directory, HealthProbe, Management, Providers
from deskwright.providers.simulator.compute import SimulatedCompute
from deskwright.providers.simulator.directory import SimulatedDirectory
from deskwright.providers.simulator.health import SimulatedHealth
from deskwright.providers.simulator.management import SimulatedManagement
from deskwright.providers.site import Site
from deskwright.store.database import Database


def _libvirt(database: Database, site: Site) -> Compute:
    with _binding(site):
        from deskwright.providers.libvirt.compute import LibvirtCompute
    return LibvirtCompute(database, site)


def _libvirt_health(database: Database, site: Site) -> HealthProbe:
    with _binding(site):
        from deskwright.providers.libvirt.health import LibvirtHealth
    return LibvirtHealth(database, site)


def _libvirt_host(database: Database, site: Site) -> Iterator[Condition]:
    with _binding(site):
        from deskwright.providers.libvirt.examine import examine
    return examine(database, site)


@contextmanager
def _binding(site: Site) -> Iterator[None]:
    """libvirt's binding is built against the system's library, which not every installation has."""
    try:
        yield
    except ModuleNotFoundError as missing:
        if missing.name not in ("libvirt", "libvirt_qemu", "libvirtmod"):
            raise
        rule, mend = "needs libvirt and its Python binding, which are not installed here", "make libvirt installs them"
        raise Refused("compute.kind", "libvirt", rule, where=f"site {site.name}", remedy=mend) from missing


COMPUTE: dict[str, Callable[[Database, Site], Compute]] = {"simulator": SimulatedCompute, "libvirt": _libvirt}
# These two reach a machine's inside through the site's compute provider.
DIRECTORY: dict[str, Callable[[Database, Site, Compute], Directory]] = {
    "simulator": SimulatedDirectory,
    "builtin": BuiltinDirectory,
}
MANAGEMENT: dict[str, Callable[[Database, Site, Compute], Management]] = {
    "simulator": SimulatedManagement,
    "builtin": BuiltinManagement,
}
# By the kind of compute: whoever holds the network can look at it.
HEALTH: dict[str, Callable[[Database, Site], HealthProbe]] = {
    "simulator": SimulatedHealth,
    "libvirt": _libvirt_health,
}
# By the kind of compute: what can be said of the host behind a site. One that has none is not here.
HOSTS: dict[str, Callable[[Database, Site], Iterator[Condition]]] = {"libvirt": _libvirt_host}

KINDS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "compute": COMPUTE,
    "directory": DIRECTORY,
    "management": MANAGEMENT,
}
# A simulated directory knows simulated machines only.
_COMPANIONS = {"simulator": "simulator", "libvirt": "builtin"}


def with_companions(
    compute: Mapping[str, Any] | None, directory: Mapping[str, Any] | None, management: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """The three configurations of a site; what is not given is what goes with the kind of compute."""
    chosen = dict(compute or {"kind": "simulator"})
    companion = {"kind": _COMPANIONS.get(str(chosen.get("kind")), "builtin")}
    return {
        "compute": chosen,
        "directory": {**companion, **(directory or {})},
        "management": {**companion, **(management or {})},
    }


def providers_for(database: Database, site: Site) -> Providers:
    """The providers of a site. Refused, naming the known kinds, where a kind or its configuration is not known."""
    kind = _kind(site, "compute", site.compute, "simulator")
    compute = COMPUTE[kind](database, site)
    companion = _COMPANIONS.get(kind, "builtin")
    return Providers(
        compute=compute,
        directory=DIRECTORY[_kind(site, "directory", site.directory, companion)](database, site, compute),
        management=MANAGEMENT[_kind(site, "management", site.management, companion)](database, site, compute),
        health=HEALTH[kind](database, site),
    )


def examine_host(database: Database, site: Site) -> Iterator[Condition]:
    """What is well and what is not with the host behind a site; nothing where there is no host. Refused as above."""
    examine = HOSTS.get(_kind(site, "compute", site.compute, "simulator"))
    if examine is not None:
        yield from examine(database, site)


def _kind(site: Site, provider: str, configuration: Mapping[str, Any], default: str) -> str:
    kind = configuration.get("kind", default)
    if kind not in KINDS[provider]:
        known = ", ".join(sorted(KINDS[provider]))
        raise Refused(f"{provider}.kind", kind, f"must be one of: {known}", where=f"site {site.name}")
    machines = site.compute.get("kind", "simulator")
    if provider != "compute" and machines in _COMPANIONS and (kind == "simulator") != (machines == "simulator"):
        rule = f"must be {default} where compute.kind is {machines}"
        raise Refused(f"{provider}.kind", kind, rule, where=f"site {site.name}")
    return str(kind)


__all__ = [
    "COMPUTE",
    "DIRECTORY",
    "HEALTH",
    "HOSTS",
    "KINDS",
    "MANAGEMENT",
    "Site",
    "examine_host",
    "providers_for",
    "with_companions",
]
