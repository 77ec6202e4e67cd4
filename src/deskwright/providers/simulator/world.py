"""The tables of the simulated outside world, and looking into it.

No foreign key leads from here to Deskwright's tables: it is another world, which knows a tenant only as the owner of
what it holds. It is written over `Database.world`, whose commits are asynchronous. That is safe: PostgreSQL's
write-ahead log is one sequence, so the synchronous commit by which the ledger confirms an object flushes the object's
own record before its own. An object that a crash of the server loses was never confirmed; it was simply never made,
and is asked for again under the same key.
"""

from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Found
from deskwright.providers.simulator import guest
from deskwright.store.database import Database

metadata = MetaData(schema="simulator")

objects = Table(
    "objects",
    metadata,
    Column("external_id", Text, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("site_id", Uuid, nullable=False),
    Column("key", Text),  # null for what Deskwright did not make
    Column("kind", String(24), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),  # what people may see of it
    Column("held", JSONB),  # what its release gives back: capacity, or an address
    Column("attached_to", Text),  # a NIC's machine
    Column("ready_at", DateTime(timezone=True), nullable=False),  # the tenant's time
    # A device that comes by synchronisation is nowhere to be seen before `ready_at`.
    Column("synchronised", Boolean, nullable=False, server_default=text("false")),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("tenant_id", "key", name="objects_key"),
    Index("objects_attached_to", "attached_to", postgresql_where=text("attached_to IS NOT NULL")),
)

# What was begun and takes its time without making an object: what is done inside a machine (subject: its id), and
# failures that come late. A machine's state is what its finished operations did, in their order.
operations = Table(
    "operations",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("operation", Text, primary_key=True),
    Column("number", BigInteger, Identity(), nullable=False),
    Column("ready_at", DateTime(timezone=True), nullable=False),
    Column("actions", JSONB, nullable=False, server_default=text("'[]'")),
)

# One counter per site. The check makes the whole statement that would overdraw it undone.
capacity = Table(
    "capacity",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("site_id", Uuid, primary_key=True),
    Column("vcpu_used", BigInteger, nullable=False),
    Column("ram_used", BigInteger, nullable=False),
    Column("storage_used", BigInteger, nullable=False),
    Column("vcpu_total", BigInteger, nullable=False),
    Column("ram_total", BigInteger, nullable=False),
    Column("storage_total", BigInteger, nullable=False),
    CheckConstraint(
        "vcpu_used <= vcpu_total AND ram_used <= ram_total AND storage_used <= storage_total",
        name="capacity_room",
    ),
)

# The addresses of one subnet: those below `next` were given out at some time, those in `freed_addresses` came back.
pools = Table(
    "pools",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    CheckConstraint("next <= size", name="pools_room"),
)

freed_addresses = Table(
    "freed_addresses",
    metadata,
    Column("tenant_id", Uuid, primary_key=True),
    Column("pool", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
)

_PAGE = 2000
_INVENTORY = text(
    """
    SELECT kind, key, external_id, name, disabled FROM simulator.objects
     WHERE tenant_id = :tenant AND site_id = :site AND kind = ANY(:kinds) AND key > :after
       AND NOT (synchronised AND ready_at > tenant_now(:tenant))
     ORDER BY key LIMIT :page
    """
)
_STRANGERS = text(
    """
    SELECT kind, external_id, name, disabled FROM simulator.objects
     WHERE tenant_id = :tenant AND site_id = :site AND kind = ANY(:kinds) AND key IS NULL
    """
)
_ADD_STRANGER = text(
    """
    INSERT INTO simulator.objects (external_id, tenant_id, site_id, kind, name, ready_at)
    VALUES (gen_random_uuid()::text, :tenant, :site, :kind, :name, now()) RETURNING external_id
    """
)
_MACHINE = text("SELECT data FROM simulator.objects WHERE external_id = :vm AND tenant_id = :tenant AND kind = 'vm'")
_DONE = text(
    """
    SELECT actions FROM simulator.operations
     WHERE tenant_id = :tenant AND subject = :vm AND ready_at <= tenant_now(:tenant) ORDER BY number
    """
)


def inventory(database: Database, tenant_id: UUID, site_id: UUID, kinds: Iterable[Kind]) -> Iterator[Found]:
    """Every object of these kinds at the site, a page per statement: a large site never stands in memory."""
    asked = {"tenant": tenant_id, "site": site_id, "kinds": [str(k) for k in kinds]}
    with database.world.connect() as connection:
        strangers = connection.execute(_STRANGERS, asked).all()
    yield from (Found(r.kind, "", r.external_id, r.name, r.disabled) for r in strangers)
    after = ""
    while True:
        with database.world.connect() as connection:
            page = connection.execute(_INVENTORY, {**asked, "after": after, "page": _PAGE}).all()
        yield from (Found(r.kind, r.key, r.external_id, r.name, r.disabled) for r in page)
        if len(page) < _PAGE:
            return
        after = page[-1].key


def add_stranger(connection: Connection, tenant_id: UUID, site_id: UUID, kind: Kind, name: str) -> str:
    """Put an object into the world that Deskwright did not make; returns its external id."""
    given = {"tenant": tenant_id, "site": site_id, "kind": str(kind), "name": name}
    return str(connection.execute(_ADD_STRANGER, given).scalar_one())


def guest_state(connection: Connection, tenant_id: UUID, vm_id: str) -> dict[str, Any] | None:
    """What a machine looks like inside (see `guest.state`); None where there is no such machine."""
    asked = {"tenant": tenant_id, "vm": vm_id}
    machine = connection.execute(_MACHINE, asked).scalar_one_or_none()
    if machine is None:
        return None
    return guest.state(machine, connection.execute(_DONE, asked).scalars())
