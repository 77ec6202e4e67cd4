"""What this provider remembers in the database: what was promised, which NIC has which address, what was told once.

libvirt itself has no place for it: a reservation is no object there, and an address stays taken after its machine.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from deskwright.domain.plans import Size
from deskwright.providers.contract import Call
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask, ask_one, statement

_NOW = statement("SELECT tenant_now(:tenant) AS at")

# One look and one write under a lock of the host's: who comes second sees what the first one took.
_RESERVE = statement(
    """
    WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('libvirt:' || :host, 0))),
    used AS (
      SELECT coalesce(sum(r.vcpu), 0) AS vcpu, coalesce(sum(r.ram_gb), 0) AS ram, coalesce(sum(r.storage_gb), 0) AS disk
        FROM held CROSS JOIN LATERAL libvirt.used(:host, :key) r
    ),
    made AS (
      INSERT INTO libvirt.reservations AS r
        (key, host, tenant_id, site_id, cloud_pc_id, run, attempt, vcpu, ram_gb, storage_gb)
      SELECT :key, :host, :tenant, :site, :cloud_pc, :run, :attempt, :vcpu, :ram, :storage FROM used
       WHERE used.vcpu + :vcpu <= :vcpus AND used.ram + :ram <= :rams AND used.disk + :storage <= :storages
      ON CONFLICT (key) DO UPDATE SET vcpu = excluded.vcpu, ram_gb = excluded.ram_gb, storage_gb = excluded.storage_gb
      RETURNING r.id
    )
    SELECT (SELECT id FROM made) AS id, used.vcpu, used.ram, used.disk FROM used
    """
)
_RESERVED = statement("SELECT * FROM libvirt.reservations WHERE tenant_id = :tenant AND key = :key")
_RESERVATION_OF = statement(
    "SELECT * FROM libvirt.reservations WHERE tenant_id = :tenant AND cloud_pc_id = :cloud_pc AND run = :run "
    "AND attempt = :attempt"
)
_USED = statement(
    "SELECT coalesce(sum(vcpu), 0) AS vcpu, coalesce(sum(ram_gb), 0) AS ram, coalesce(sum(storage_gb), 0) AS disk "
    "FROM libvirt.used(:host, '')"
)
_UNRESERVE = statement("DELETE FROM libvirt.reservations WHERE tenant_id = :tenant AND key = :key")
_RESERVATIONS = statement("SELECT key, id FROM libvirt.reservations WHERE tenant_id = :tenant AND site_id = :site")

_SUBNET = statement("SELECT subnet FROM libvirt.networks WHERE tenant_id = :tenant AND site_id = :site")
_TAKE_SUBNET = statement(
    "INSERT INTO libvirt.networks (site_id, tenant_id, host, subnet) "
    "VALUES (:site, :tenant, :host, CAST(:subnet AS cidr)) "
    "ON CONFLICT DO NOTHING"
)
_GIVE_SUBNET_BACK = statement("DELETE FROM libvirt.networks WHERE tenant_id = :tenant AND site_id = :site")
_SUBNETS = statement("SELECT subnet FROM libvirt.subnets(:host) AS subnet")

_NIC = statement(
    "SELECT *, extract(epoch FROM clock_timestamp() - made_at) AS age FROM libvirt.nics "
    "WHERE tenant_id = :tenant AND key = :key"
)
# A free address nobody had before, else the one that was given back first: a DHCP server keeps the lease of a machine
# that is gone until it ends. Whoever takes the same one meanwhile wins, and the next turn takes another.
_TAKE_NIC = statement(
    """
    INSERT INTO libvirt.nics (key, tenant_id, site_id, host, network, mac, address, machine)
    SELECT :key, :tenant, :site, :host, :network, :mac,
           CASE WHEN :chosen THEN (
             SELECT CAST(:first AS inet) + n FROM generate_series(0, (:count - 1) * :step, :step) n
               LEFT JOIN libvirt.freed_addresses f ON f.tenant_id = :tenant AND f.host = :host
                                                  AND f.network = :network AND f.address = CAST(:first AS inet) + n
              WHERE NOT EXISTS (SELECT FROM libvirt.nics o WHERE o.tenant_id = :tenant AND o.host = :host
                                   AND o.network = :network AND o.address = CAST(:first AS inet) + n)
              ORDER BY f.freed_at NULLS FIRST, n LIMIT 1) END,
           :machine
    ON CONFLICT DO NOTHING RETURNING *
    """
)
_LEARN = statement("UPDATE libvirt.nics SET address = CAST(:address AS inet) WHERE tenant_id = :tenant AND key = :key")
_DROP_NIC = statement(
    """
    WITH gone AS (DELETE FROM libvirt.nics WHERE tenant_id = :tenant AND key = :key RETURNING *)
    INSERT INTO libvirt.freed_addresses (tenant_id, host, network, address)
    SELECT tenant_id, host, network, address FROM gone WHERE address IS NOT NULL
    ON CONFLICT (host, network, address) DO UPDATE SET freed_at = clock_timestamp()
    """
)
_NICS = statement("SELECT * FROM libvirt.nics WHERE tenant_id = :tenant AND site_id = :site")
_ADDRESS_OF = statement(
    "SELECT address FROM libvirt.nics WHERE tenant_id = :tenant AND machine = :machine ORDER BY made_at DESC LIMIT 1"
)

# Begun by one; by another where the first has not ended it within its time, for then it has died.
_CLAIM = statement(
    """
    INSERT INTO libvirt.operations AS o (tenant_id, machine, operation, note)
    VALUES (:tenant, :machine, :operation, :note)
    ON CONFLICT (tenant_id, machine, operation) DO UPDATE SET claimed_at = clock_timestamp()
     WHERE NOT o.done AND o.claimed_at < clock_timestamp() - make_interval(secs => :seconds)
    RETURNING note
    """
)
_OPERATION = statement(
    "SELECT done, note, extract(epoch FROM clock_timestamp() - begun_at) AS seconds FROM libvirt.operations "
    "WHERE tenant_id = :tenant AND machine = :machine AND operation = :operation"
)
_END = statement(
    "UPDATE libvirt.operations SET done = true "
    "WHERE tenant_id = :tenant AND machine = :machine AND operation = :operation"
)
_MADE = statement(
    "INSERT INTO libvirt.operations (tenant_id, machine, operation, done) VALUES (:tenant, :machine, 'made', true) "
    "ON CONFLICT DO NOTHING"
)
_EVER_MADE = statement("SELECT machine FROM libvirt.operations WHERE tenant_id = :tenant AND operation = 'made'")
_LET_GO = statement(
    "UPDATE libvirt.operations SET claimed_at = '-infinity' "
    "WHERE tenant_id = :tenant AND machine = :machine AND operation = :operation AND NOT done"
)
_TRY_ALONE = text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))")
_NO_LONGER_ALONE = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")
_FORGET = statement(
    "DELETE FROM libvirt.operations WHERE tenant_id = :tenant AND (machine = :machine OR operation = :operation)"
)


@dataclass(frozen=True)
class Used:
    """What of a host is promised, over all its tenants."""

    vcpu: int
    ram_gb: int
    storage_gb: int


@dataclass(frozen=True)
class Addresses:
    """Those that a NIC may be given."""

    first: ipaddress.IPv4Address
    count: int
    step: int = 1


@dataclass(frozen=True)
class Nic:
    key: str
    network: str
    mac: str
    address: str | None
    machine: UUID
    age: float = 0.0
    """In seconds (real time), when it was looked up."""


@dataclass(frozen=True)
class Operation:
    """Something a machine is told once, under one call's name."""

    done: bool
    mine: bool
    """The caller is to do it: nobody else has, or who had has died."""
    note: str
    """What was noted when it was begun first."""
    seconds: float
    """Since then (real time)."""


class Records:
    """One site's rows. host: the libvirt address, which several sites may share."""

    def __init__(self, database: Database, tenant: UUID, site: UUID, host: str) -> None:
        self._engine = database.single
        self._own = {"tenant": tenant, "site": site, "host": host}

    def now(self) -> datetime:
        """The tenant's time."""
        (row,) = ask(self._engine, _NOW, {"tenant": self._own["tenant"]})
        at: datetime = row.at
        return at

    def reserve(self, call: Call, key: str, size: Size, most: Used) -> tuple[str | None, Used]:
        """(id of the reservation, what else is promised); no id where that leaves no room within `most`."""
        values = {
            **self._own,
            "key": key,
            "cloud_pc": call.cloud_pc_id,
            "run": call.run,
            "attempt": call.attempt,
            "vcpu": size.vcpu,
            "ram": size.ram_gb,
            "storage": size.storage_gb,
            "vcpus": most.vcpu,
            "rams": most.ram_gb,
            "storages": most.storage_gb,
        }
        (row,) = ask(self._engine, _RESERVE, values)
        return (str(row.id) if row.id else None), Used(int(row.vcpu), int(row.ram), int(row.disk))

    def reserved(self, key: str) -> Row | None:
        return ask_one(self._engine, _RESERVED, {**self._own, "key": key})

    def reservation_of(self, cloud_pc: str, run: str, attempt: str) -> Row | None:
        """That of a machine, by what its tags say."""
        values = {**self._own, "cloud_pc": UUID(cloud_pc), "run": int(run), "attempt": int(attempt)}
        return ask_one(self._engine, _RESERVATION_OF, values)

    def used(self) -> Used:
        (row,) = ask(self._engine, _USED, self._own)
        return Used(int(row.vcpu), int(row.ram), int(row.disk))

    def unreserve(self, key: str) -> None:
        ask(self._engine, _UNRESERVE, {**self._own, "key": key})

    def reservations(self) -> list[tuple[str, str]]:
        """(key, id) of each."""
        return [(row.key, str(row.id)) for row in ask(self._engine, _RESERVATIONS, self._own)]

    def subnet(
        self, hosted: ipaddress.IPv4Network, prefix: int, in_use: Sequence[ipaddress.IPv4Network]
    ) -> ipaddress.IPv4Network | None:
        """The site's part of the hosted networks, chosen once; None where all are taken."""
        while (kept := self.known_subnet()) is None:
            taken = [*in_use, *(ipaddress.IPv4Network(row.subnet) for row in ask(self._engine, _SUBNETS, self._own))]
            free = next((s for s in hosted.subnets(new_prefix=prefix) if not any(s.overlaps(t) for t in taken)), None)
            if free is None:
                return None
            ask(self._engine, _TAKE_SUBNET, {**self._own, "subnet": str(free)})
        return kept

    def known_subnet(self) -> ipaddress.IPv4Network | None:
        row = ask_one(self._engine, _SUBNET, self._own)
        return ipaddress.IPv4Network(row.subnet) if row else None

    def give_subnet_back(self) -> None:
        ask(self._engine, _GIVE_SUBNET_BACK, self._own)

    def nic(self, key: str) -> Nic | None:
        row = ask_one(self._engine, _NIC, {**self._own, "key": key})
        return replace(_nic(row), age=float(row.age)) if row else None

    def take_nic(
        self, key: str, network: str, mac: str, machine: UUID, addresses: Addresses | None = None
    ) -> Nic | None:
        """A NIC's row, with the lowest free address where some are given; None where this turn took nothing."""
        values = {
            **self._own,
            "key": key,
            "network": network,
            "mac": mac,
            "machine": machine,
            "chosen": addresses is not None,
            "first": str(addresses.first) if addresses else "0.0.0.0",  # noqa: S104
            "count": addresses.count if addresses else 0,
            "step": addresses.step if addresses else 1,
        }
        row = ask_one(self._engine, _TAKE_NIC, values)
        return _nic(row) if row else None

    def learn_address(self, key: str, address: str) -> None:
        ask(self._engine, _LEARN, {**self._own, "key": key, "address": address})

    def drop_nic(self, key: str) -> None:
        ask(self._engine, _DROP_NIC, {**self._own, "key": key})

    def nics(self) -> list[Nic]:
        return [_nic(row) for row in ask(self._engine, _NICS, self._own)]

    def address_of(self, machine: UUID) -> str | None:
        row = ask_one(self._engine, _ADDRESS_OF, {**self._own, "machine": machine})
        return str(row.address) if row and row.address else None

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Whether nobody else, of any tenant, does `what` on this host now. It ends with the process at the latest."""
        key = f"libvirt:{self._own['host']}:{what}"
        with self._engine.connect() as connection:
            mine = bool(connection.execute(_TRY_ALONE, {"key": key}).scalar_one())
            try:
                yield mine
            finally:
                if mine:
                    connection.execute(_NO_LONGER_ALONE, {"key": key})

    def claim(self, machine: UUID, name: str, *, note: str = "", seconds: float = 120.0) -> Operation:
        """Begin an operation, or find it as it was begun; whoever has it is taken for dead after `seconds`."""
        values = {**self._own, "machine": machine, "operation": name, "note": note, "seconds": seconds}
        mine = ask_one(self._engine, _CLAIM, values) is not None
        row = ask_one(self._engine, _OPERATION, values)
        if row is None:  # forgotten meanwhile
            return Operation(False, False, note, 0.0)
        return Operation(bool(row.done), mine and not row.done, str(row.note), float(row.seconds))

    def let_go(self, machine: UUID, name: str) -> None:
        """It is not done yet: the next who asks goes on with it."""
        ask(self._engine, _LET_GO, {**self._own, "machine": machine, "operation": name})

    def noted(self, machine: UUID, name: str) -> str | None:
        """What was noted at the beginning of an operation that is done."""
        row = ask_one(self._engine, _OPERATION, {**self._own, "machine": machine, "operation": name})
        return str(row.note) if row and row.done else None

    def end(self, machine: UUID, name: str) -> None:
        ask(self._engine, _END, {**self._own, "machine": machine, "operation": name})

    def made(self, machine: UUID) -> None:
        """The machine is there; should it not be any more, somebody else has taken it away."""
        ask(self._engine, _MADE, {**self._own, "machine": machine})

    def ever_made(self) -> set[UUID]:
        return {row.machine for row in ask(self._engine, _EVER_MADE, self._own)}

    def forget(self, machine: UUID | None = None, name: str | None = None) -> None:
        """All that a machine was told, or one operation."""
        ask(self._engine, _FORGET, {**self._own, "machine": machine, "operation": name})


def _nic(row: Row) -> Nic:
    return Nic(row.key, row.network, row.mac, str(row.address) if row.address else None, row.machine)
