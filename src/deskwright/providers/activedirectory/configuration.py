"""What may stand in ``site.directory`` of a site whose machines join Active Directory domains."""

from dataclasses import dataclass
from typing import Literal

from deskwright.domain.rules import Refused
from deskwright.providers.site import Site

_CHOICES = {"join": ("guest", "host"), "serviceConnectionPoint": ("ignored", "required")}


@dataclass(frozen=True)
class Configuration:
    join: Literal["guest", "host"]
    """Who joins: the machine itself, or for simulated ones this machine in its place."""
    needs_connection_point: bool


def configuration(site: Site) -> Configuration:
    """Refused names the key."""
    where = f"site {site.name}"
    simulated = site.compute.get("kind", "simulator") == "simulator"
    for key, value in site.directory.items():
        if key == "kind":
            continue
        if key not in _CHOICES:
            raise Refused(f"directory.{key}", value, f"is not known; known are: {', '.join(_CHOICES)}", where=where)
        if value not in _CHOICES[key]:
            raise Refused(f"directory.{key}", value, f"must be one of: {', '.join(_CHOICES[key])}", where=where)
    join: Literal["guest", "host"] = site.directory.get("join", "host" if simulated else "guest")
    if join == "host" and not simulated:
        rule = "is for simulated machines: a real one would not be joined by it"
        raise Refused("directory.join", join, rule, where=where)
    return Configuration(join, site.directory.get("serviceConnectionPoint") == "required")
