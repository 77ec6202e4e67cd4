"""The permissions that applications and tokens carry, the roles that people hold, and what suffices for a call.

An application by itself needs a permission. A person needs it too (as a scope of the token), and besides a role:
Cloud PC Administrator to change, Cloud PC Reader or Administrator to read. Without a role a person reaches only what
is their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from deskwright.identity.caller import Caller

ADMINISTRATOR = "Cloud PC Administrator"
READER = "Cloud PC Reader"

ROLES: dict[str, UUID] = {
    ADMINISTRATOR: UUID("b5c08161-a7af-481c-ace2-a20a69a48fb1"),
    READER: UUID("ea8e2fb8-e909-44e6-bae7-56757cf6f347"),
}
"""Built-in roles and the ids that Microsoft's cloud gives them, the same in every tenant."""


@dataclass(frozen=True)
class Permission:
    name: str
    meaning: str
    includes: tuple[str, ...] = ()
    """Others that it implies, directly."""
    writes: bool = False
    application: bool = True
    """Whether an application may hold it by itself, too."""


_CLOUD_PC_READ = ("CloudPC.Read.All",)
_DEVICES_READ = ("DeviceManagementManagedDevices.Read.All",)
_DIRECTORY_READ = (
    "User.Read.All",
    "Group.Read.All",
    "Device.Read.All",
    "Organization.Read.All",
    "LicenseAssignment.Read.All",
)

PERMISSIONS: dict[str, Permission] = {
    p.name: p
    for p in (
        Permission("CloudPC.Read.All", "Read Cloud PCs, policies, connections and images"),
        Permission("CloudPC.ReadWrite.All", "Read and change all of that", _CLOUD_PC_READ, writes=True),
        Permission("User.Read", "Sign in and read the own profile", application=False),
        Permission("User.Read.All", "Read every user's profile", ("User.Read",)),
        Permission("User.ReadWrite.All", "Read and change users", ("User.Read.All",), writes=True),
        Permission("GroupMember.Read.All", "Read who is in a group"),
        Permission(
            "GroupMember.ReadWrite.All", "Put users into groups and out", ("GroupMember.Read.All",), writes=True
        ),
        Permission("Group.Read.All", "Read groups and their members", ("GroupMember.Read.All",)),
        Permission(
            "Group.ReadWrite.All",
            "Read and change groups and their members",
            ("Group.Read.All", "GroupMember.ReadWrite.All"),
            writes=True,
        ),
        Permission("Device.Read.All", "Read device objects"),
        Permission("Device.ReadWrite.All", "Read and change device objects", ("Device.Read.All",), writes=True),
        Permission("Organization.Read.All", "Read the tenant and its licences"),
        Permission("Organization.ReadWrite.All", "Read and change the tenant", ("Organization.Read.All",), writes=True),
        Permission("LicenseAssignment.Read.All", "Read who has which licence"),
        Permission(
            "LicenseAssignment.ReadWrite.All",
            "Give licences to users and groups, and take them away",
            ("LicenseAssignment.Read.All",),
            writes=True,
        ),
        Permission("Directory.Read.All", "Read users, groups, devices, licences and the tenant", _DIRECTORY_READ),
        Permission(
            "Directory.ReadWrite.All",
            "Read and change users, groups, devices and licences",
            (
                "Directory.Read.All",
                "User.ReadWrite.All",
                "Group.ReadWrite.All",
                "Device.ReadWrite.All",
                "LicenseAssignment.ReadWrite.All",
                "Organization.ReadWrite.All",
            ),
            writes=True,
        ),
        Permission("DeviceManagementManagedDevices.Read.All", "Read managed devices"),
        Permission(
            "DeviceManagementManagedDevices.ReadWrite.All",
            "Read and change managed devices",
            _DEVICES_READ,
            writes=True,
        ),
        Permission(
            "DeviceManagementManagedDevices.PrivilegedOperations.All",
            "Carry out remote actions on managed devices",
            _DEVICES_READ,
            writes=True,
        ),
        Permission("DeviceManagementConfiguration.Read.All", "Read device configuration, alert rules among it"),
        Permission(
            "DeviceManagementConfiguration.ReadWrite.All",
            "Read and change device configuration",
            ("DeviceManagementConfiguration.Read.All",),
            writes=True,
        ),
        Permission("DeviceManagementRBAC.Read.All", "Read roles and scope tags of device management"),
        Permission(
            "DeviceManagementRBAC.ReadWrite.All",
            "Read and change roles and scope tags of device management",
            ("DeviceManagementRBAC.Read.All",),
            writes=True,
        ),
        Permission("RoleManagement.Read.CloudPC", "Read who holds which Cloud PC role"),
        Permission(
            "RoleManagement.ReadWrite.CloudPC",
            "Give Cloud PC roles, and take them away",
            ("RoleManagement.Read.CloudPC",),
            writes=True,
        ),
        Permission("RoleManagement.Read.All", "Read who holds which role", ("RoleManagement.Read.CloudPC",)),
        Permission(
            "RoleManagement.ReadWrite.Directory",
            "Give roles, and take them away",
            ("RoleManagement.Read.All", "RoleManagement.ReadWrite.CloudPC"),
            writes=True,
        ),
    )
}

_BY_LOWER_CASE = {name.lower(): name for name in PERMISSIONS}


def known(name: str) -> str | None:
    """The permission's name as we spell it, None where there is no such one. Case does not matter."""
    return _BY_LOWER_CASE.get(name.lower())


@cache
def including(name: str) -> frozenset[str]:
    """Every permission that is or includes `name`. Raises KeyError for one that is not known."""
    PERMISSIONS[name]
    return frozenset(p for p in PERMISSIONS if name in included_in(p))


@cache
def included_in(name: str) -> frozenset[str]:
    """`name` and everything it includes, directly or not."""
    return frozenset({name}.union(*(included_in(inner) for inner in PERMISSIONS[name].includes)))


def satisfies(caller: Caller, anyof: Iterable[str], *, writes: bool, own: bool = False) -> bool:
    """Whether `caller` may do what any one of the permissions `anyof` is needed for.

    `writes`: the call changes something; then those of `anyof` that only read do not count. `own`: the endpoint
    limits the call to what is the person's own, so that no role is needed. Raises KeyError for a permission that
    is not in the table: a mistake of the endpoint's.
    """
    wanted = frozenset[str]().union(*(including(name) for name in anyof if PERMISSIONS[name].writes or not writes))
    if not caller.permissions & wanted:
        return False
    if not caller.delegated or own:
        return True
    return ADMINISTRATOR in caller.roles or (READER in caller.roles and not writes)
