"""The map of providers: every kind there is, and what makes it. A new provider is one line here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.providers.activedirectory.directory import ActiveDirectory
from deskwright.providers.activedirectory.health import ActiveDirectoryHealth, join_account_refused
from deskwright.providers.builtin.directory import BuiltinDirectory
from deskwright.providers.builtin.health import BuiltinDirectoryHealth, BuiltinManagementHealth
from deskwright.providers.builtin.management import BuiltinManagement
from deskwright.providers.contract import Compute, Condition, Directory, HealthProbe, JoinAccount, Management, Providers
from deskwright.providers.health import SiteHealth
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
    "activedirectory": ActiveDirectory,
}
MANAGEMENT: dict[str, Callable[[Database, Site, Compute], Management]] = {
    "simulator": SimulatedManagement,
    "builtin": BuiltinManagement,
}
# Of each provider of a site, by its kind: its part of the health checks.
HEALTH: dict[str, dict[str, Callable[[Database, Site], HealthProbe]]] = {
    "compute": {"simulator": lambda d, s: SimulatedHealth(d, s, "compute"), "libvirt": _libvirt_health},
    "directory": {
        "simulator": lambda d, s: SimulatedHealth(d, s, "directory"),
        "builtin": lambda d, s: BuiltinDirectoryHealth(),
        "activedirectory": ActiveDirectoryHealth,
    },
    "management": {
        "simulator": lambda d, s: SimulatedHealth(d, s, "management"),
        "builtin": lambda d, s: BuiltinManagementHealth(),
    },
}
# By the kind of directory: whether a join account can sign in. One that is not here takes any.
JOIN_ACCOUNTS: dict[str, Callable[[Database, Site, JoinAccount], str]] = {"activedirectory": join_account_refused}
# By the kind of compute: what can be said of the host behind a site. One that has none is not here.
HOSTS: dict[str, Callable[[Database, Site], Iterator[Condition]]] = {"libvirt": _libvirt_host}

KINDS: dict[str, Mapping[str, Callable[..., Any]]] = {
    "compute": COMPUTE,
    "directory": DIRECTORY,
    "management": MANAGEMENT,
}
# Which directory goes with a kind of compute, where the site does not say. A simulated directory knows simulated
# machines only, and the built-in one real ones; either kind joins domains.
_COMPANIONS = {"simulator": "simulator", "libvirt": "builtin"}
_WITH_ANY_MACHINES = ("activedirectory",)


def with_companions(
    compute: Mapping[str, Any] | None, directory: Mapping[str, Any] | None, management: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """The three configurations of a site; what is not given is what goes with the kind of compute."""
    chosen = dict(compute or {"kind": "simulator"})
    joined = {"kind": _COMPANIONS.get(str(chosen.get("kind")), "builtin"), **(directory or {})}
    return {
        "compute": chosen,
        "directory": joined,
        "management": {"kind": _management_with(str(joined["kind"])), **(management or {})},
    }


def providers_for(database: Database, site: Site) -> Providers:
    """The providers of a site. Refused, naming the known kinds, where a kind or its configuration is not known."""
    kinds = _kinds(site)
    compute = COMPUTE[kinds["compute"]](database, site)
    return Providers(
        compute=compute,
        directory=DIRECTORY[kinds["directory"]](database, site, compute),
        management=MANAGEMENT[kinds["management"]](database, site, compute),
        health=SiteHealth(*(HEALTH[provider][kind](database, site) for provider, kind in kinds.items())),
    )


def refuse_join_account(database: Database, site: Site, account: JoinAccount) -> None:
    """Refused with the controller's words where a domain says that this password is not the account's.

    It takes five seconds at most. What cannot be asked now is taken: the connection's checks will tell.
    """
    refuses = JOIN_ACCOUNTS.get(_kinds(site)["directory"])
    said = refuses(database, site, account) if refuses else ""
    if said:
        rule = f"is not taken by the domain: {said}"
        mend = "Enter the password with which the account signs in now, or unlock or renew the account in the domain"
        raise Refused("adDomainPassword", None, rule, remedy=mend)


def examine_host(database: Database, site: Site) -> Iterator[Condition]:
    """What is well and what is not with the host behind a site; nothing where there is no host. Refused as above."""
    examine = HOSTS.get(_kind(site, "compute", site.compute, "simulator"))
    if examine is not None:
        yield from examine(database, site)


def _kinds(site: Site) -> dict[str, str]:
    """Of compute, directory and management, in this order. Refused as above."""
    compute = _kind(site, "compute", site.compute, "simulator")
    companion = _COMPANIONS.get(compute, "builtin")
    directory = _kind(site, "directory", site.directory, companion)
    strange = compute in _COMPANIONS and (directory == "simulator") != (compute == "simulator")
    if strange and directory not in _WITH_ANY_MACHINES:
        rule = f"must be {' or '.join((companion, *_WITH_ANY_MACHINES))} where compute.kind is {compute}"
        raise Refused("directory.kind", directory, rule, where=f"site {site.name}")
    companion = _management_with(directory)
    management = _kind(site, "management", site.management, companion)
    if (management == "simulator") != (directory == "simulator"):  # it looks for its devices in the directory
        rule = f"must be {companion} where directory.kind is {directory}"
        raise Refused("management.kind", management, rule, where=f"site {site.name}")
    return {"compute": compute, "directory": directory, "management": management}


def _management_with(directory: str) -> str:
    return "simulator" if directory == "simulator" else "builtin"


def _kind(site: Site, provider: str, configuration: Mapping[str, Any], default: str) -> str:
    kind = configuration.get("kind", default)
    if kind not in KINDS[provider]:
        known = ", ".join(sorted(KINDS[provider]))
        raise Refused(f"{provider}.kind", kind, f"must be one of: {known}", where=f"site {site.name}")
    return str(kind)


__all__ = [
    "COMPUTE",
    "DIRECTORY",
    "HEALTH",
    "HOSTS",
    "JOIN_ACCOUNTS",
    "KINDS",
    "MANAGEMENT",
    "Site",
    "examine_host",
    "providers_for",
    "refuse_join_account",
    "with_companions",
]
