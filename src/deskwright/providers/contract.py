"""What a provider must do: three contracts, and the words they share.

| rule | mandatory |
|---|---|
| Every making call has a key (`Call.key(kind)`). Asking again with it returns the same object, never a second | yes |
| `release` of an object that is gone, was never made, or is released twice succeeds | yes |
| `inventory` lists every object of the site with its key, also those whose making is not finished | yes |
| What takes long raises `NotYet` with the time to ask again; the caller then asks the same again | yes |
| What changes a machine (power, restart, resize, restore) happens once per call's run, attempt and step | yes |
| What fails raises `ProviderError` with a code of the error catalogue and the values its message needs | yes |
| A call returns within seconds; nothing waits inside a provider | yes |
| `screen` gives a fresh password per call that opens that one machine's screen, where the engine can | no |
| Objects carry a person's name or a device name for humans to read; nothing is decided by it | no |

Callers rely on nothing that is not written here. `tests/providers/conformance.py` holds the same rules as tests,
and every implementation passes them.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind, idempotency_key, shared_key
from deskwright.guest.actions import Action

_CONNECT_SECONDS = 10.0

Mark = Literal["ok", "warn", "fail"]


class ProviderError(Exception):
    """The provider could not do it. `code` stands in the error catalogue, `values` fill its message."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code, values)
        self.code, self.values = code, values


class NotYet(Exception):
    """Under way. Ask the same again at `until` (tenant's time); `reason` is shown to the administrator.

    share: how far it is, from 0 to 1, where that is known.
    """

    def __init__(self, until: datetime, reason: str, share: float | None = None) -> None:
        super().__init__(reason)
        self.until, self.reason, self.share = until, reason, share


@dataclass(frozen=True)
class Call:
    """Who asks for what: the idempotency key's parts, and what a fault rule may look at."""

    tenant_id: UUID
    site_id: UUID
    cloud_pc_id: UUID
    run: int
    attempt: int
    step: str
    user: str = ""
    """userPrincipalName"""
    policy: str = ""
    """display name"""

    def key(self, kind: Kind) -> str:
        return idempotency_key(str(self.cloud_pc_id), self.run, self.attempt, self.step, kind)

    def site_key(self, kind: Kind) -> str:
        return shared_key(str(self.tenant_id), str(self.site_id), kind)


@dataclass(frozen=True)
class Made:
    """An object of the outside world."""

    external_id: str
    """The provider's own identifier."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What people want to see of it, such as ``ipAddress``; JSON."""


@dataclass(frozen=True)
class Found:
    """An entry of an inventory. `key` is empty for what Deskwright did not make."""

    kind: str
    key: str
    external_id: str
    name: str = ""
    disabled: bool = False


@dataclass(frozen=True)
class Condition:
    """Something about a site's host, well or not, for whoever runs the installation."""

    about: str
    mark: Mark
    detail: str
    """With the values that were seen."""
    mend: str = ""
    """What to type, or to do."""


@dataclass(frozen=True)
class MachineSpec:
    computer_name: str
    size: Size
    image: str
    """Gallery image id, or name and version of one's own."""
    os_family: str
    """windows | linux"""
    model: str
    """Shown as the machine's model: ``Cloud PC Enterprise 2vCPU/8GB/128GB`` (C2)."""
    device_image: UUID | None = None
    """Of one's own image, its copy at this site."""


@dataclass(frozen=True)
class ImageOrder:
    """A device image's copy at a site, as it is asked for."""

    id: UUID
    name: str
    """With its version, for people."""
    source: Mapping[str, str]
    """``gallery``: the id of a gallery image to build it from; ``uri``: where its file is."""
    os_family: str
    began: datetime
    """When it was asked for (tenant's time)."""


@dataclass(frozen=True)
class ImageReady:
    """A device image that was brought to its site and seen to work there."""

    size_gb: int | None = None
    """Of its disk; None: as it was said to be."""
    seen: str = ""
    """What was seen when it was tried."""
    checksum: str = ""
    """SHA-256 of its disk, as hexadecimal digits."""


@dataclass(frozen=True)
class Network:
    """Where a NIC goes: the tenant's own network of the site (`connection` None), or a customer's."""

    connection_id: UUID | None = None
    network: str = ""
    subnet: str = ""


@dataclass(frozen=True)
class Screen:
    """Where a machine's screen can be seen and its keyboard used: an RFB (VNC) server, RFC 6143."""

    host: str
    """As the process that asked reaches it; people never do."""
    port: int
    password: str = field(default="", repr=False)
    """For VNC authentication, at most 8 characters; empty where the server asks for none."""
    machine: str = ""
    """Whose it is, for a provider whose way there is not host and port; see `Compute.reach`."""
    way: Callable[[], socket.socket] | None = field(default=None, repr=False, compare=False)

    def connect(self) -> socket.socket:
        """A connection to it. Raises OSError."""
        return self.way() if self.way else socket.create_connection((self.host, self.port), _CONNECT_SECONDS)


@dataclass(frozen=True)
class DomainJoin:
    connection_id: UUID
    """The network connection whose account joins."""
    domain: str
    organizational_unit: str
    username: str
    password: str = field(repr=False)


class Compute(Protocol):
    """Machines, disks and networks of one site."""

    def allocate(self, call: Call, size: Size) -> Made:
        """Reserve room. Raises capacityUnavailable, requestDisallowedByPolicy."""
        ...

    def create_vm(self, call: Call, spec: MachineSpec) -> dict[Kind, Made]:
        """The VM and its disk, started. Raises NotYet, imageNotSupportedFail and its siblings."""
        ...

    def prepare_image(self, order: ImageOrder) -> ImageReady:
        """Bring a device image to the site and try it. Raises NotYet, sourceImageInvalid and its siblings."""
        ...

    def remove_image(self, image: UUID) -> None:
        """Take a device image from the site. One that is gone, or never came, is no error."""
        ...

    def ensure_network(self, call: Call) -> dict[Kind, Made]:
        """The tenant's own network and its security group at this site, made on first use."""
        ...

    def attach_nic(self, call: Call, vm_id: str, network: Network) -> Made:
        """A new NIC with a new address (``details["ipAddress"]``). Raises noEnoughIpAddress."""
        ...

    def configure_guest(self, call: Call, vm_id: str, actions: tuple[Action, ...]) -> str:
        """Do `actions` inside the guest, in order; returns what it printed. Doing them again is harmless."""
        ...

    def try_sign_in_path(self, call: Call, vm_id: str) -> str:
        """Walk the path the user will take until it answers; returns what answered.

        Raises NotYet, endpointCheckFailed.
        """
        ...

    def power(self, call: Call, vm_id: str, on: bool) -> None:
        """Turn the machine on, or off as its power button would. Raises NotYet until it is."""
        ...

    def restart(self, call: Call, vm_id: str) -> None:
        """Restart the machine. Raises NotYet until it runs again."""
        ...

    def resize(self, call: Call, vm_id: str, size: Size, model: str) -> None:
        """Give the machine, with what it reserved, another size and the model of that size; then it runs.

        The disk only grows. Raises NotYet, capacityUnavailable, requestDisallowedByPolicy.
        """
        ...

    def snapshot(self, call: Call, vm_id: str) -> Made:
        """A copy of the machine's disk as it is now; the machine goes on. Raises NotYet."""
        ...

    def restore(self, call: Call, vm_id: str, snapshot_id: str) -> None:
        """Make the disk what it was when that snapshot was taken; then the machine runs. Raises NotYet."""
        ...

    def screen(self, call: Call, vm_id: str) -> Screen:
        """Where the machine's screen answers now. Raises endpointCheckFailed where the machine is off or gone."""
        ...

    def reach(self, screen: Screen) -> socket.socket:
        """A connection to a screen that `screen` told of, from any process while its password lives. Raises OSError."""
        ...

    def screenshot(self, call: Call, vm_id: str) -> bytes:
        """What the machine shows now, as PNG. Raises endpointCheckFailed where the machine is off or gone."""
        ...

    def release(self, kind: Kind, key: str) -> None:
        """Delete the object with this key and free what it held."""
        ...

    def inventory(self) -> Iterator[Found]: ...

    def has_room(self, size: Size, freed: Size | None = None) -> bool:
        """Whether `size` would fit now, were `freed` given back first."""
        ...

    def free_addresses(self, network: Network) -> int: ...


class Directory(Protocol):
    """Devices and computer accounts, and where people's identity comes from."""

    identity: str
    """``entra`` or ``local``: how an Entra-joined Cloud PC's user signs in."""

    def join_entra(self, call: Call, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        """A device object with `attributes` (model, enrollmentProfileName)."""
        ...

    def join_domain(self, call: Call, computer_name: str, vm_id: str, domain: DomainJoin) -> Made:
        """A computer account in the OU, and the machine joined by it. Raises joinDomainFailed, scpMisconfigured."""
        ...

    def find_device(self, call: Call, computer_name: str, attributes: Mapping[str, str]) -> Made:
        """The device object a joined computer gets by synchronisation. Raises NotYet until it is there."""
        ...

    def describe(self, call: Call, device_id: str, attributes: Mapping[str, str]) -> None:
        """Set `attributes` of a device object, and leave its others. Raises where there is none."""
        ...

    def release(self, kind: Kind, key: str) -> None:
        """Delete a device object; disable a computer account."""
        ...

    def inventory(self) -> Iterator[Found]: ...


class Management(Protocol):
    """Mobile device management."""

    def enrol(self, call: Call, device_id: str, computer_name: str, vm_id: str, attributes: Mapping[str, str]) -> Made:
        """A managed device, enrolled as a device by a one-time token. Raises intuneEnrollFailed and its siblings."""
        ...

    def set_primary_user(self, call: Call, managed_device_id: str, user_principal_name: str) -> None:
        """Raises userNotFound where the service does not know the user."""
        ...

    def describe(self, call: Call, managed_device_id: str, attributes: Mapping[str, str]) -> None:
        """Set `attributes` of a managed device, and leave its others. Raises where there is none."""
        ...

    def release(self, kind: Kind, key: str) -> None: ...

    def inventory(self) -> Iterator[Found]: ...


@dataclass(frozen=True)
class JoinAccount:
    """Who joins the computers of a connection, as somebody entered it."""

    domain: str
    name: str
    """User principal name."""
    password: str = field(repr=False)


Answer = tuple[str, str | None, str]
"""What a health check found: status (passed, warning, failed, informational), error code or None, detail."""


@dataclass(frozen=True)
class Endpoint:
    """What a Cloud PC must reach by TCP."""

    what: str
    """For people: ``dc1.corp.contoso.com: Kerberos``."""
    host: str
    port: int
    code: str
    """That the check of the endpoints fails with when it cannot be reached."""
    required: bool = True
    """Else it is only a warning."""


class HealthProbe(Protocol):
    """A provider's part of looking at a network connection: see `checks.table` for what each check means.

    `connection` is a row of ``connections``, with ``now`` (the tenant's time), ``demand`` (addresses needed),
    ``single_sign_on`` (whether a policy wants it) and ``endpoints`` (a list of Endpoint, for the check of them).
    """

    checks: frozenset[str]
    """The ids of those that it looks at."""

    def probe(self, check_id: str, connection: Mapping[str, Any]) -> Answer:
        """Look. Raises NotYet while it is under way, ProviderError with one of the check's codes."""
        ...

    def endpoints(self, connection: Mapping[str, Any]) -> list[Endpoint]:
        """What a Cloud PC of this connection must reach for this provider's sake."""
        ...


@dataclass(frozen=True)
class Providers:
    """The providers that serve one site of one tenant."""

    compute: Compute
    directory: Directory
    management: Management
    health: HealthProbe

    def of(self, provider: str) -> "Compute | Directory | Management":
        chosen: Compute | Directory | Management = getattr(self, provider)
        return chosen
