"""A simulated cloud: capacity and addresses that really run out, machines that take minutes."""

import hashlib
import ipaddress
import json
import socket
import zlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.domain.rules import Refused
from deskwright.guest.actions import Action
from deskwright.providers.contract import (
    Call,
    Found,
    ImageOrder,
    ImageReady,
    MachineSpec,
    Made,
    Network,
    NotYet,
    ProviderError,
    Screen,
)
from deskwright.providers.simulator import durations, faults, guest, machine, making, world
from deskwright.providers.simulator.durations import Duration
from deskwright.providers.simulator.making import Full, Wanted
from deskwright.providers.site import Site
from deskwright.store.database import Database
from deskwright.store.statements import Row, ask, ask_one, statement

_DEFAULT_CAPACITY = {"vCpuCount": 100_000, "ramInGB": 400_000, "storageInGB": 20_000_000}
_DEFAULT_HOSTED_NETWORK = "10.0.0.0/16"
_KINDS = (Kind.CAPACITY, Kind.VM, Kind.DISK, Kind.SNAPSHOT, Kind.NIC, Kind.NETWORK, Kind.SECURITY_GROUP)

_ALLOCATE = making.making(
    room="""NOT EXISTS (SELECT FROM simulator.capacity c WHERE c.tenant_id = :tenant AND c.site_id = :site AND
      (c.vcpu_used + :vcpu > :vcpus OR c.ram_used + :ram > :rams OR c.storage_used + :storage > :storages))""",
    # The row's check undoes all of it where somebody else took the room after the look above.
    also=""",
    taken AS (
      INSERT INTO simulator.capacity AS c
        (tenant_id, site_id, vcpu_used, ram_used, storage_used, vcpu_total, ram_total, storage_total)
      SELECT :tenant, :site, :vcpu, :ram, :storage, :vcpus, :rams, :storages FROM made
      ON CONFLICT (tenant_id, site_id) DO UPDATE
        SET vcpu_used = c.vcpu_used + excluded.vcpu_used, ram_used = c.ram_used + excluded.ram_used,
            storage_used = c.storage_used + excluded.storage_used, vcpu_total = excluded.vcpu_total,
            ram_total = excluded.ram_total, storage_total = excluded.storage_total
    )""",
)
_USED = statement(
    "SELECT vcpu_used, ram_used, storage_used FROM simulator.capacity WHERE tenant_id = :tenant AND site_id = :site"
)

_ADDRESSES_LEFT = """NOT EXISTS (
  SELECT FROM simulator.pools full_one
   WHERE full_one.tenant_id = :tenant AND full_one.pool = :pool AND full_one.used >= full_one.size)"""
# An address that came back is used before a new one. Here the insert has no ON CONFLICT: if somebody made the same NIC
# meanwhile, the violation undoes the address that was taken as well, and the next turn finds theirs.
_ATTACH = statement(
    f"""
    {faults.prelude()},
    {making.ground(_ADDRESSES_LEFT)},
    existing AS MATERIALIZED (SELECT o.* FROM simulator.objects o WHERE o.tenant_id = :tenant AND o.key = :key),
    wanted AS MATERIALIZED (
      SELECT FROM fault CROSS JOIN ground
       WHERE fault.code IS NULL AND ground.needed AND ground.room AND NOT EXISTS (SELECT FROM existing)
    ),
    chosen AS MATERIALIZED (
      SELECT f.number FROM simulator.freed_addresses f
       WHERE f.tenant_id = :tenant AND f.pool = :pool AND EXISTS (SELECT FROM wanted)
       ORDER BY f.number LIMIT 1 FOR UPDATE SKIP LOCKED
    ),
    again AS (
      DELETE FROM simulator.freed_addresses f USING chosen
       WHERE f.tenant_id = :tenant AND f.pool = :pool AND f.number = chosen.number RETURNING f.number
    ),
    taken AS (
      INSERT INTO simulator.pools AS p (tenant_id, pool, size, next, used)
      SELECT :tenant, :pool, :size, CASE WHEN EXISTS (SELECT FROM again) THEN 0 ELSE 1 END, 1 FROM wanted
      ON CONFLICT (tenant_id, pool) DO UPDATE SET next = p.next + excluded.next, used = p.used + 1
      RETURNING coalesce((SELECT number FROM again), p.next - 1) AS number
    ),
    made AS (
      INSERT INTO simulator.objects
        (external_id, tenant_id, site_id, key, kind, name, data, held, attached_to, ready_at)
      SELECT gen_random_uuid()::text, :tenant, :site, :key, 'nic', :name,
             CAST(:data AS jsonb) || jsonb_build_object('ipAddress', host(CAST(:first AS inet) + taken.number)),
             jsonb_build_object('pool', CAST(:pool AS text), 'number', taken.number), :needs,
             {faults.ready_at("CAST(:seconds AS float8)")}
        FROM taken CROSS JOIN tenant CROSS JOIN fault
      RETURNING *
    )
    {making.RESULT}
    """
)
_POOL = statement("SELECT size - used AS free FROM simulator.pools WHERE tenant_id = :tenant AND pool = :pool")

# A machine's operation is begun once; its actions are those last asked for (a one-time password is a new one each
# time), and count from when it is finished.
_INSIDE = statement(
    f"""
    {faults.prelude()},
    machine AS MATERIALIZED (
      SELECT o.data FROM simulator.objects o
       WHERE o.external_id = :vm AND {faults.OURS} AND o.kind = 'vm'
    ),
    existing AS MATERIALIZED (
      SELECT o.ready_at FROM simulator.operations o
       WHERE o.tenant_id = :tenant AND o.subject = :vm AND o.operation = :operation
    ),
    made AS (
      INSERT INTO simulator.operations (tenant_id, subject, operation, actions, ready_at)
      SELECT :tenant, :vm, :operation, CAST(:actions AS jsonb), {faults.ready_at("CAST(:seconds AS float8)")}
        FROM tenant CROSS JOIN fault CROSS JOIN machine
       WHERE fault.code IS NULL AND NOT EXISTS (SELECT FROM existing)
         AND machine.data->>'powerState' IS DISTINCT FROM 'poweredOff'
      ON CONFLICT DO NOTHING RETURNING ready_at
    ),
    renewed AS (
      UPDATE simulator.operations o SET actions = CAST(:actions AS jsonb) FROM tenant, fault
       WHERE fault.code IS NULL AND o.tenant_id = :tenant AND o.subject = :vm AND o.operation = :operation
         AND o.ready_at <= tenant.at AND o.actions <> CAST(:actions AS jsonb)
    )
    SELECT fault.code, fault.code_delay, (SELECT data FROM machine) AS machine, o.ready_at,
           o.ready_at <= tenant.at AS ready,
           CASE WHEN :with_address THEN (SELECT n.data->>'ipAddress' FROM simulator.objects n
             WHERE n.attached_to = :vm AND n.kind = 'nic' AND n.ready_at <= tenant.at LIMIT 1) END AS address
      FROM tenant CROSS JOIN fault
      LEFT JOIN (SELECT ready_at FROM existing UNION ALL SELECT ready_at FROM made) o ON true
    """
)


# A fault of step ``image`` strikes every build.
_IMAGE = statement(
    """
    SELECT tenant_now(t.id) AS now, t.speed,
           (SELECT f.code FROM faults f WHERE f.tenant_id = t.id AND f.step = 'image' ORDER BY f.id LIMIT 1) AS fault
      FROM tenants t WHERE t.id = :tenant
    """
)


def subnet_of(subnet: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The address range of a connection's subnet. One that is named by a resource id has a /24 of its own."""
    try:
        return ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        number = zlib.crc32(subnet.encode()) & 0xFFFF
        return ipaddress.ip_network(f"10.{number >> 8}.{number & 0xFF}.0/24")


class SimulatedCompute:
    """Configuration: ``{kind: simulator, capacity: {vCpuCount, ramInGB, storageInGB}, hostedNetwork: 10.0.0.0/16}``."""

    def __init__(self, database: Database, site: Site) -> None:
        self._database, self._site = database, site
        where = f"site {site.name}"
        capacity = {**_DEFAULT_CAPACITY, **site.compute.get("capacity", {})}
        for name, value in capacity.items():
            if name not in _DEFAULT_CAPACITY or isinstance(value, bool) or not isinstance(value, int) or value < 0:
                rule = f"whole numbers of {', '.join(_DEFAULT_CAPACITY)}"
                raise Refused(f"compute.capacity.{name}", value, rule, where=where)
        self._capacity = Size(capacity["vCpuCount"], capacity["ramInGB"], capacity["storageInGB"])
        self._hosted = str(site.compute.get("hostedNetwork", _DEFAULT_HOSTED_NETWORK))
        try:
            ipaddress.ip_network(self._hosted)
        except ValueError as error:
            raise Refused(
                "compute.hostedNetwork", self._hosted, "an address range such as 10.0.0.0/16", where=where
            ) from error

    def allocate(self, call: Call, size: Size) -> Made:
        held = {"vcpu": size.vcpu, "ram": size.ram_gb, "storage": size.storage_gb}
        data = {"vCpuCount": size.vcpu, "ramInGB": size.ram_gb, "storageInGB": size.storage_gb}
        wanted = Wanted(Kind.CAPACITY, call.key(Kind.CAPACITY), f"for {call.user}", data, held)
        total = self._capacity
        totals = {"vcpus": total.vcpu, "rams": total.ram_gb, "storages": total.storage_gb}
        known = {"site": self._site.name, "region": self._site.name}
        try:
            made = making.make(
                self._database,
                call,
                [wanted],
                durations.ALLOCATE,
                known=known,
                using=_ALLOCATE,
                more=held | totals,
            )
        except Full:
            raise self._no_room(size, known) from None
        return making.as_made(made[Kind.CAPACITY])

    def create_vm(self, call: Call, spec: MachineSpec) -> dict[Kind, Made]:
        data = {
            "computerName": spec.computer_name,
            "image": spec.image,
            "osFamily": spec.os_family,
            "model": spec.model,
            **_named(spec.size),
        }
        wanted = [
            Wanted(Kind.VM, call.key(Kind.VM), spec.computer_name, data),
            Wanted(Kind.DISK, call.key(Kind.DISK), f"{spec.computer_name}-os", {"sizeGB": spec.size.storage_gb}),
        ]
        known = {
            "device": spec.computer_name,
            "image": spec.image,
            "planGB": spec.size.storage_gb,
            "plan": spec.model,
            "site": self._site.name,
            "region": self._site.name,
        }
        made = making.make(self._database, call, wanted, durations.CREATE_VM, known=known)
        return {kind: making.as_made(row) for kind, row in made.items()}

    def prepare_image(self, order: ImageOrder) -> ImageReady:
        row = ask_one(self._database.world, _IMAGE, {"tenant": self._site.tenant_id})
        if row is None:
            raise ProviderError("internalServerError", reason=f"there is no tenant {self._site.tenant_id}")
        ends = order.began + timedelta(seconds=durations.BUILD_IMAGE.seconds / row.speed)
        if row.now < ends:
            raise NotYet(ends, durations.BUILD_IMAGE.doing)
        if row.fault is not None:
            raise ProviderError(row.fault)
        return ImageReady()

    def remove_image(self, image: UUID) -> None:
        """Nothing was kept of it."""

    def ensure_network(self, call: Call) -> dict[Kind, Made]:
        # The site's, not this attempt's: a fault of C3 strikes the NIC, and nobody else's network.
        shared = Call(call.tenant_id, call.site_id, call.site_id, 0, 0, "network")
        network, group = call.site_key(Kind.NETWORK), call.site_key(Kind.SECURITY_GROUP)
        wanted = [
            Wanted(Kind.NETWORK, network, f"deskwright-{self._site.name}", {"addressSpace": self._hosted}),
            Wanted(Kind.SECURITY_GROUP, group, f"deskwright-{self._site.name}-rules"),
        ]
        made = making.make(self._database, shared, wanted, durations.CREATE_NETWORK)
        return {kind: making.as_made(row) for kind, row in made.items()}

    def attach_nic(self, call: Call, vm_id: str, network: Network) -> Made:
        pool, subnet = self._pool(network)
        size = _size(subnet)
        known = {
            "network": network.network or f"deskwright-{self._site.name}",
            "subnet": str(subnet),
            "site": self._site.name,
        }
        parameters = {
            **faults.asking(call),
            "site": call.site_id,
            "key": call.key(Kind.NIC),
            "name": f"nic for {call.user}",
            "data": json.dumps({"network": known["network"], "subnet": known["subnet"]}),
            "pool": pool,
            "size": size,
            # After the subnet's own address and its gateway.
            "first": str(subnet.network_address + 2),
            "needs": vm_id,
            "seconds": durations.ATTACH_NIC.seconds,
        }
        for _ in range(making.TURNS):
            try:
                rows = making.run(self._database, _ATTACH, parameters)
                found = making.settle(self._database, call, rows, durations.ATTACH_NIC, known) if rows else {}
            except Full:
                free = self.free_addresses(network)
                if free <= 0:
                    raise ProviderError("noEnoughIpAddress", **known, total=size, free=0, needed=1) from None
                continue  # somebody holds the last free one, and has not taken it yet
            if found:
                return making.as_made(found[Kind.NIC])
        raise making.too_busy(call)

    def configure_guest(self, call: Call, vm_id: str, actions: tuple[Action, ...]) -> str:
        recorded = [guest.record(action, vm_id) for action in actions]
        what = json.dumps([{k: v for k, v in r.items() if k != "password"} for r in recorded])
        operation = f"{call.run}:{call.attempt}:{call.step}:{hashlib.sha256(what.encode()).hexdigest()[:16]}"
        self._inside(call, vm_id, operation, durations.configure(call.step), recorded)
        return "\n".join(guest.printed(action) for action in actions)

    def try_sign_in_path(self, call: Call, vm_id: str) -> str:
        known = {"site": self._site.name}
        row = self._inside(call, vm_id, f"{call.run}:{call.attempt}:{call.step}", durations.SIGN_IN_PATH, [])
        if row.address is None:
            raise ProviderError("endpointCheckFailed", **known, reason="the machine has no address")
        return f"RDP answered on {row.address}:3389 in {20 + zlib.crc32(vm_id.encode()) % 60} ms"

    def power(self, call: Call, vm_id: str, on: bool) -> None:
        duration = durations.POWER_ON if on else durations.POWER_OFF
        data = {"powerState": "running" if on else machine.POWERED_OFF}
        machine.operate(self._database, call, vm_id, [{"do": "Power", "on": on}], duration, data=data)

    def restart(self, call: Call, vm_id: str) -> None:
        data = {"powerState": "running"}
        machine.operate(self._database, call, vm_id, [{"do": "Restart"}], durations.RESTART, data=data)

    def resize(self, call: Call, vm_id: str, size: Size, model: str) -> None:
        known = {"site": self._site.name, "region": self._site.name, "plan": model}
        try:
            machine.resize(
                self._database, call, vm_id, size, model, durations.RESIZE, capacity=self._capacity, known=known
            )
        except Full:
            raise self._no_room(size, known) from None

    def snapshot(self, call: Call, vm_id: str) -> Made:
        wanted = Wanted(Kind.SNAPSHOT, call.key(Kind.SNAPSHOT), f"snapshot for {call.user}", {"machine": vm_id})
        made = making.make(self._database, call, [wanted], durations.SNAPSHOT, needs=vm_id)[Kind.SNAPSHOT]
        taken = [{"do": "TakeSnapshot", "snapshot": made.external_id}]
        # The object is the copy; what it is a copy of stands among what was done to the machine.
        name, at_once = f":{made.external_id}", durations.Duration(0, durations.SNAPSHOT.doing)
        machine.operate(self._database, call, vm_id, taken, at_once, name=name)
        return making.as_made(made)

    def restore(self, call: Call, vm_id: str, snapshot_id: str) -> None:
        restored = [{"do": "Restore", "snapshot": snapshot_id}]
        data = {"powerState": "running"}
        machine.operate(self._database, call, vm_id, restored, durations.RESTORE, data=data, snapshot=snapshot_id)

    def screen(self, call: Call, vm_id: str) -> Screen:
        # What draws is loaded only where somebody looks: no worker needs it.
        from deskwright.providers.simulator import screen

        def look() -> machine.Facts | None:
            try:
                return machine.face(self._database, call, vm_id)
            except ProviderError:
                return None

        machine.face(self._database, call, vm_id)
        return screen.opened(vm_id, look)

    def reach(self, screen: Screen) -> socket.socket:
        return screen.connect()

    def screenshot(self, call: Call, vm_id: str) -> bytes:
        from deskwright.providers.simulator import screen

        return screen.picture(vm_id, machine.face(self._database, call, vm_id))

    def release(self, kind: Kind, key: str) -> None:
        making.release(self._database, self._site.tenant_id, kind, key)

    def inventory(self) -> Iterator[Found]:
        return world.inventory(self._database, self._site.tenant_id, self._site.id, _KINDS)

    def has_room(self, size: Size, freed: Size | None = None) -> bool:
        free, back = self._free(), freed or Size(0, 0, 0)
        return (
            size.vcpu <= free.vcpu + back.vcpu
            and size.ram_gb <= free.ram_gb + back.ram_gb
            and size.storage_gb <= free.storage_gb + back.storage_gb
        )

    def free_addresses(self, network: Network) -> int:
        pool, subnet = self._pool(network)
        rows = ask(self._database.world, _POOL, {"tenant": self._site.tenant_id, "pool": pool})
        return int(rows[0].free) if rows else _size(subnet)

    def _free(self) -> Size:
        asked = {"tenant": self._site.tenant_id, "site": self._site.id}
        rows, total = ask(self._database.world, _USED, asked), self._capacity
        if not rows:
            return total
        used = rows[0]
        return Size(total.vcpu - used.vcpu_used, total.ram_gb - used.ram_used, total.storage_gb - used.storage_used)

    def _no_room(self, size: Size, known: Mapping[str, Any]) -> ProviderError:
        free = self._free()
        reason = (
            f"{size.vcpu} vCPU, {size.ram_gb} GB of memory and {size.storage_gb} GB of disk are needed,"
            f" free are {free.vcpu}, {free.ram_gb} and {free.storage_gb}"
        )
        return ProviderError("capacityUnavailable", **known, needed=_named(size), free=_named(free), reason=reason)

    def _pool(self, network: Network) -> tuple[str, ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """A subnet's addresses are the same ones whichever connection leads to it."""
        if network.connection_id is None:
            return f"{self._site.id}:hosted:{self._hosted}", ipaddress.ip_network(self._hosted)
        return f"{self._site.id}:{network.network}:{network.subnet}", subnet_of(network.subnet)

    def _inside(self, call: Call, vm_id: str, operation: str, duration: Duration, actions: list[dict[str, Any]]) -> Row:
        parameters = {
            **faults.asking(call),
            "vm": vm_id,
            "operation": operation,
            "actions": json.dumps(actions),
            "seconds": duration.seconds,
            "with_address": not actions,
        }
        for _ in range(making.TURNS):
            rows = making.run(self._database, _INSIDE, parameters)
            if not rows:
                continue
            row = rows[0]
            known: Mapping[str, Any] = {"device": row.machine["computerName"]} if row.machine else {}
            faults.raise_matching(self._database, call, row, _concerning(known, actions))
            if row.machine is None:
                code = "internalServerError" if actions else "endpointCheckFailed"
                raise ProviderError(code, step=call.step, reason=f"there is no machine {vm_id}")
            if row.machine.get("powerState") == machine.POWERED_OFF:
                code = "internalServerError" if actions else "endpointCheckFailed"
                raise ProviderError(code, **known, step=call.step, reason="the machine is powered off")
            if row.ready_at is None:
                continue
            if not row.ready:
                raise NotYet(row.ready_at, duration.doing)
            return row
        raise making.too_busy(call)


def _size(subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> int:
    """Addresses for machines: all but the subnet's own, its gateway's and the broadcast one."""
    return min(max(0, subnet.num_addresses - 3), 2**31 - 1)


def _named(size: Size) -> dict[str, int]:
    return {"vCpuCount": size.vcpu, "ramInGB": size.ram_gb, "storageInGB": size.storage_gb}


def _concerning(known: Mapping[str, Any], actions: list[dict[str, Any]]) -> dict[str, Any]:
    """What of the actions an error's message names."""
    concerned = dict(known)
    for action in actions:
        if "member" in action:
            concerned["member"] = action["member"]
        if "to_gb" in action:
            concerned["planGB"] = action["to_gb"]
    return concerned
