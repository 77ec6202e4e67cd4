"""What a site says about its libvirt host.

``{kind: libvirt, uri: "qemu:///system", directory: /var/lib/libvirt/images/deskwright, hostedNetworks: 10.90.0.0/16,
acceleration: auto | kvm | qemu, console: 127.0.0.1, overcommit: {vCpuCount: 4, ramInGB: 1, storageInGB: 1}}``
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import platformdirs

from deskwright.domain.rules import Refused

URI = "qemu:///system"
DIRECTORY = "/var/lib/libvirt/images/deskwright"
SESSION_DIRECTORY = "libvirt/images/deskwright"
"""In the user's folder for data, where the libvirt is that of one user's session."""
HOSTED_NETWORKS = "10.90.0.0/16"
ACCELERATIONS = ("auto", "kvm", "qemu")
SUBNET_PREFIX = 24
"""Each tenant's site has so large a part of the hosted networks on a host."""
SESSION_SUBNET_PREFIX = 20
"""The same in one user's session, where each machine has a network of its own."""

LOOPBACK = "127.0.0.1"

_KEYS = ("kind", "uri", "directory", "hostedNetworks", "acceleration", "console", "overcommit")
_OVERCOMMIT = {"vCpuCount": 4.0, "ramInGB": 1.0, "storageInGB": 1.0}


@dataclass(frozen=True)
class Overcommit:
    """How many times what the host has may be promised."""

    vcpu: float
    ram: float
    storage: float


@dataclass(frozen=True)
class Configuration:
    uri: str
    directory: str
    """On the host: images, and a folder of disks for each site."""
    hosted_networks: ipaddress.IPv4Network
    acceleration: str
    console: str
    """The host's address at which its screens listen. On another machine than this one it must be one that this one
    reaches; each screen asks for a password of its own."""
    overcommit: Overcommit

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine: reached by a socket, which can pass the screen's connection on."""
        parts = urlsplit(self.uri)
        return not parts.hostname and parts.scheme in ("qemu", "qemu+unix")

    @property
    def is_over_ssh(self) -> bool:
        """Whether the host is another one that is reached by ssh: then its loopback is, too."""
        return bool(urlsplit(self.uri).hostname) and urlsplit(self.uri).scheme == "qemu+ssh"

    @property
    def is_session(self) -> bool:
        """Whether it is the libvirt of one user's session, which may make no networks."""
        return urlsplit(self.uri).path == "/session"

    @property
    def subnet_prefix(self) -> int:
        return SESSION_SUBNET_PREFIX if self.is_session else SUBNET_PREFIX

    def machine_name(self, readable: str, uuid: UUID) -> str:
        """What libvirt calls a machine. In a session it stands in the path of a socket, below the user's home, that
        may have 107 characters with it; people find the machine by its title."""
        return f"dw-{uuid.hex[:8]}" if self.is_session else readable

    @property
    def where(self) -> str:
        """For messages: the address without its parameters, unless those are all that tells hosts apart."""
        parts = urlsplit(self.uri)
        socket = parse_qs(parts.query).get("socket")
        return f"{parts.scheme}://{parts.netloc}{parts.path}" + (f" ({socket[0]})" if socket else "")


def configuration(given: Mapping[str, Any], site: str) -> Configuration:
    """The configuration of a site's compute provider. Refused, naming field, value and rule."""
    where = f"site {site}"
    for key in given:
        if key not in _KEYS:
            raise Refused(f"compute.{key}", given[key], f"is not known; there are: {', '.join(_KEYS)}", where=where)
    uri = str(given.get("uri", URI))
    if urlsplit(uri).scheme.partition("+")[0] != "qemu":
        raise Refused("compute.uri", uri, f"must be a libvirt address of QEMU, such as {URI}", where=where)
    directory = str(given.get("directory", _default_directory(uri)))
    if not directory.startswith("/") or "\0" in directory or ".." in directory.split("/"):
        raise Refused("compute.directory", directory, "must be the full path of a folder on the host", where=where)
    acceleration = str(given.get("acceleration", "auto"))
    if acceleration not in ACCELERATIONS:
        rule = f"must be one of: {', '.join(ACCELERATIONS)}"
        raise Refused("compute.acceleration", acceleration, rule, where=where)
    console = str(given.get("console", LOOPBACK))
    try:
        ipaddress.ip_address(console)
    except ValueError:
        raise Refused("compute.console", console, "must be an address of the host, not a name", where=where) from None
    hosted = ipaddress.IPv4Network(HOSTED_NETWORKS)
    found = Configuration(uri, directory.rstrip("/"), hosted, acceleration, console, _overcommit(given, where))
    asked = str(given.get("hostedNetworks", HOSTED_NETWORKS))
    return replace(found, hosted_networks=_networks(asked, found.subnet_prefix, where))


def _default_directory(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.path != "/session":
        return DIRECTORY
    # The folder of another host's user is not known here, and an empty one is refused.
    return "" if parts.hostname else str(platformdirs.user_data_path() / SESSION_DIRECTORY)


def _networks(text: str, prefix: int, where: str) -> ipaddress.IPv4Network:
    try:
        found = ipaddress.IPv4Network(text)
    except ValueError:
        found = None
    if found is None or found.prefixlen > prefix or not found.is_private:
        rule = f"must be a private IPv4 range of at least a /{prefix}, such as {HOSTED_NETWORKS}"
        raise Refused("compute.hostedNetworks", text, rule, where=where)
    return found


def _overcommit(given: Mapping[str, Any], where: str) -> Overcommit:
    asked = given.get("overcommit", {})
    if not isinstance(asked, Mapping):
        raise Refused("compute.overcommit", asked, f"must name some of: {', '.join(_OVERCOMMIT)}", where=where)
    for name, value in asked.items():
        if name not in _OVERCOMMIT or isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            rule = f"must be a positive number for one of: {', '.join(_OVERCOMMIT)}"
            raise Refused(f"compute.overcommit.{name}", value, rule, where=where)
    factors = {**_OVERCOMMIT, **{name: float(value) for name, value in asked.items()}}
    return Overcommit(factors["vCpuCount"], factors["ramInGB"], factors["storageInGB"])
