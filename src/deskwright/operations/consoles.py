"""Working with a Cloud PC's screen: its console in the browser, a screenshot, and a file for remote desktop clients.

`own` is the user whom a caller without a role is limited to: another person's Cloud PC is not found then. Nothing of
a screen is given away before it is written down who asked for it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from uuid import UUID

from cryptography.fernet import InvalidToken
from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.status import USABLE
from deskwright.errors import explain
from deskwright.operations import acting
from deskwright.operations.acting import Machine
from deskwright.operations.change import TenantRef
from deskwright.operations.cloud_pcs import find, load, write_audit
from deskwright.providers.contract import Call, Compute, ProviderError, Screen
from deskwright.providers.registry import providers_for
from deskwright.provision.context import World
from deskwright.provision.sites import load_site

TICKET_SECONDS = 60.0
"""From the opening of a console to its connection, in real time."""

_MINE = text(
    """
    SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND user_id = :own AND status <> 'gone'
       AND (id::text = lower(:name) OR lower(device_name) = lower(:name))
    """
)
T = TypeVar("T")


@dataclass(frozen=True)
class Ticket:
    """One person's admission to one screen, for a minute."""

    cloud_pc_id: UUID
    display_name: str
    sealed: str
    """Where the screen is, readable for this installation only (`screen_of`); fit for an address."""
    password: str = field(repr=False)
    """What the viewer gives to the screen; empty where it asks for none. It stands in no address and no log."""


def open_console(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, own: UUID | None = None) -> Ticket:
    """Admit `actor` to the screen. Refused unless the Cloud PC can be used and runs."""
    row, machine = _running(world, tenant, cloud_pc, "console", own)
    screen = _ask(world, tenant, row, machine, lambda compute, call, vm: compute.screen(call, vm))
    _written(world, tenant, actor, "console opened", row)
    held = {
        "for": "console",
        "tenant": str(tenant.id),
        "actor": actor,
        "until": time.time() + TICKET_SECONDS,
        "host": screen.host,
        "port": screen.port,
        "machine": screen.machine,
        "site": str(machine.ground.site_id),
    }
    return Ticket(row.id, row.display_name, world.secrets.encrypt(json.dumps(held)).decode(), screen.password)


def screen_of(world: World, tenant: TenantRef, actor: str, sealed: str) -> Screen | None:
    """Where the screen of a `Ticket` is, without its password; None where it is too old, or was another's."""
    try:
        held = json.loads(world.secrets.decrypt(sealed.encode()))
    except (InvalidToken, ValueError):
        return None
    mine = (held.get("for"), held.get("tenant"), held.get("actor")) == ("console", str(tenant.id), actor)
    if not mine or held["until"] < time.time():
        return None
    screen = Screen(held["host"], held["port"], machine=held["machine"])
    if not screen.machine:
        return screen
    compute = providers_for(world.database, load_site(world.database, UUID(held["site"]))).compute
    return replace(screen, way=lambda: compute.reach(screen))


def screenshot(world: World, tenant: TenantRef, actor: str, cloud_pc: str, *, own: UUID | None = None) -> bytes:
    """What the Cloud PC shows now, as PNG. Refused unless it can be used and runs."""
    row, machine = _running(world, tenant, cloud_pc, "screenshot", own)
    picture = _ask(world, tenant, row, machine, lambda compute, call, vm: compute.screenshot(call, vm))
    _written(world, tenant, actor, "screenshot taken", row)
    return picture


def rdp_file(world: World, tenant: TenantRef, cloud_pc: str, *, own: UUID | None = None) -> str:
    """The text of an .rdp file that leads to the Cloud PC's address; to be saved as UTF-16 with a byte order mark.

    It holds no password. Refused where the Cloud PC cannot be used or has no address.
    """
    row, machine = _usable(world, tenant, cloud_pc, "remote desktop", own)
    address = _one_line(row.ip_address or "")
    if not address:
        remedy = "Use the console in the browser, or ask an administrator to look at its network"
        raise Refused("ipAddress", None, f"{row.display_name} has no address to connect to", remedy=remedy)
    lines = (
        f"full address:s:{address}",
        f"username:s:{_one_line(_sign_in_name(row, machine))}",
        "prompt for credentials:i:1",
    )
    return "".join(f"{line}\r\n" for line in lines)


def _usable(world: World, tenant: TenantRef, cloud_pc: str, what: str, own: UUID | None) -> tuple[Row[Any], Machine]:
    with world.database.begin() as connection:
        found = find(connection, tenant, cloud_pc) if own is None else _mine(connection, tenant, cloud_pc, own)
        row = load(connection, tenant, str(found), what, set(USABLE))
        return row, acting.machine_of(connection, row.id)


def _running(world: World, tenant: TenantRef, cloud_pc: str, what: str, own: UUID | None) -> tuple[Row[Any], Machine]:
    row, machine = _usable(world, tenant, cloud_pc, what, own)
    acting.must_run(row, row.device_name or str(row.id))
    return row, machine


def _mine(connection: Connection, tenant: TenantRef, name: str, own: UUID) -> UUID:
    """By id or device name, among the person's own only: what others have must not even show in a refusal."""
    found = connection.execute(_MINE, {"tenant": tenant.id, "own": own, "name": name}).scalar_one_or_none()
    if found is None:
        raise NotFound("cloudPC", name)
    return UUID(str(found))


def _ask(
    world: World,
    tenant: TenantRef,
    row: Row[Any],
    machine: Machine,
    asked: Callable[[Compute, Call, str], T],
) -> T:
    compute = providers_for(world.database, load_site(world.database, machine.ground.site_id)).compute
    # Nothing is made by it, so it belongs to no run.
    call = Call(
        tenant.id,
        machine.ground.site_id,
        row.id,
        run=0,
        attempt=0,
        step="screen",
        user=row.user_principal_name,
        policy=str(machine.policy["display_name"]),
    )
    try:
        return asked(compute, call, machine.so_far["vmId"])
    except ProviderError as failed:
        told = explain(failed.code, {"cloudPc": row.display_name, **machine.ground.values(), **failed.values})
        remedy = "Try again in a minute; if it stays so, restart it or let troubleshoot look at it"
        name = row.device_name or str(row.id)
        raise Refused("cloudPC", name, told.message.rstrip("."), code=failed.code, remedy=remedy) from failed


def _written(world: World, tenant: TenantRef, actor: str, activity: str, row: Row[Any]) -> None:
    with world.database.begin() as connection:
        write_audit(connection, tenant, actor, activity, row)


def _sign_in_name(row: Row[Any], machine: Machine) -> str:
    """As the machine knows the user: a local account, a domain's, or one of Microsoft Entra."""
    local = machine.so_far.get("localAccount")
    if local:
        return str(local)
    user = str(row.user_principal_name)
    return user if machine.policy["join_type"] == "hybridAzureADJoin" else f"AzureAD\\{user}"


def _one_line(value: str) -> str:
    """Without what could begin another line of the file."""
    return "".join(c for c in value if c.isprintable())
