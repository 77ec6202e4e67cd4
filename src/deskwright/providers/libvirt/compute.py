"""The compute contract on one libvirt host."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import libvirt

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.errors import CATALOGUE, codes_for
from deskwright.guest.actions import Action
from deskwright.guest.script import script_for, told
from deskwright.images import seed
from deskwright.providers import rfb
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
from deskwright.providers.libvirt import agent, machines, networks, screens, tags, volumes
from deskwright.providers.libvirt.capacity import Capacity
from deskwright.providers.libvirt.configuration import SUBNET_PREFIX, configuration
from deskwright.providers.libvirt.host import connect, found, is_full, is_lost, said
from deskwright.providers.libvirt.images import Image, Images, own_name
from deskwright.providers.libvirt.inventory import inventory
from deskwright.providers.libvirt.machine_xml import MachineXml, nic, text
from deskwright.providers.libvirt.records import Nic, Records
from deskwright.providers.site import Site
from deskwright.settings import Settings
from deskwright.store.database import Database

PATIENCE_SECONDS = 3.0
"""So long a call watches for what is about to happen, before it says NotYet."""
_GLANCE_SECONDS = 0.1
_NOBODY_WAITS = {"screen": "endpointCheckFailed", "": "internalServerError"}
"""Of what is asked outside a run: the step it goes by, and the code when the host does not answer."""
_TURNS = 20


class LibvirtCompute:
    """Configuration: see `deskwright.providers.libvirt.configuration`."""

    def __init__(self, database: Database, site: Site) -> None:
        self._site = site
        self._at = configuration(site.compute, site.name)
        self._records = Records(database, site.tenant_id, site.id, self._at.uri)

    # --- capacity ------------------------------------------------------------------------------------------

    def allocate(self, call: Call, size: Size) -> Made:
        with self._asking(call.step) as connection:
            return Made(self._reserve(connection, call.key(Kind.CAPACITY), call, size))

    def has_room(self, size: Size, freed: Size | None = None) -> bool:
        try:
            with self._asking("") as connection:
                return (
                    Capacity(connection, self._at).missing(size, self._records.used(), freed or Size(0, 0, 0)) is None
                )
        except ProviderError:
            return False  # a host that does not answer takes nobody now

    # --- the machine ---------------------------------------------------------------------------------------

    def create_vm(self, call: Call, spec: MachineSpec) -> dict[Kind, Made]:
        with self._asking(call.step) as connection:
            key, disk_key = call.key(Kind.VM), call.key(Kind.DISK)
            uuid = tags.uuid_of(key)
            image = self._image(connection, spec)
            pool = volumes.site_pool(connection, self._at.directory, self._site.id)
            disk = volumes.overlay(pool, tags.volume_name(disk_key), image.disk, spec.size.storage_gb)
            made = self._machine_xml(call, spec, image, disk.path(), f"{self._at.directory}/{self._site.id}")
            with self._records.alone(f"machine:{uuid}") as mine:
                if not mine:
                    raise self._later(0.3, f"{spec.computer_name} is being defined")
                if machines.look_up(connection, str(uuid)) is None:
                    volumes.written(pool, tags.volume_name(key), seed.seed(str(uuid), spec.computer_name))
                machines.define(connection, text(made), str(uuid))
                self._records.made(uuid)
            return {
                Kind.VM: Made(str(uuid), {"computerName": spec.computer_name, "virtType": image.virt_type}),
                Kind.DISK: Made(str(tags.uuid_of(disk_key)), {"sizeGB": spec.size.storage_gb}),
            }

    def prepare_image(self, order: ImageOrder) -> ImageReady:
        with self._asking("C2") as connection:
            image = self._images(connection).own(order)
            return ImageReady(image.size_gb, image.seen, image.sha256)

    def remove_image(self, image: UUID) -> None:
        with self._asking("C2") as connection:
            self._images(connection).remove(image)

    def configure_guest(self, call: Call, vm_id: str, actions: tuple[Action, ...]) -> str:
        with self._asking(call.step) as connection:
            machine, carried = self._running(connection, call, vm_id)
            try:
                script = script_for(carried["os"], actions)
            except ValueError as unfit:
                raise self._failed(call, carried, str(unfit)) from unfit
            try:
                ran = agent.run(machine, script)
            except agent.Silent as silent:
                raise self._later(1, f"the guest agent of {carried['computer']} does not answer: {silent}") from None
            except agent.StillRuns:
                raise self._later(1, f"{carried['computer']} is still at it") from None
            printed = told(ran.output, script.secrets)
            if ran.code != 0 or not printed:
                raise self._failed(call, carried, printed or f"it said nothing and ended with exit code {ran.code}")
            return printed

    def power(self, call: Call, vm_id: str, on: bool) -> None:
        with self._asking(call.step) as connection:
            machine, _ = self._machine(connection, call, vm_id)
            with self._once(call, machine) as (first, seconds):
                if first is None:
                    return
                if on:
                    machines.start(machine)
                else:
                    self._off(machine, seconds)

    def restart(self, call: Call, vm_id: str) -> None:
        with self._asking(call.step) as connection:
            machine, _ = self._machine(connection, call, vm_id)
            with self._once(call, machine) as (first, seconds):
                self._cycle(machine, first, seconds, lambda: None)

    def resize(self, call: Call, vm_id: str, size: Size, model: str) -> None:
        with self._asking(call.step) as connection:
            machine, carried = self._machine(connection, call, vm_id)
            held = self._records.reservation_of(carried["cloudPc"], carried["run"], carried["attempt"])
            if held is not None:
                self._reserve(connection, held.key, call, size, Call(**{**_parts(call), **_origin(carried)}))
            disk = self._disk(connection, carried)

            def change() -> None:
                if disk is not None:
                    machines.grow_disk(disk, size.storage_gb)
                machines.change_size(connection, machine, size, model)

            with self._once(call, machine) as (first, seconds):
                self._cycle(machine, first, seconds, change)

    def snapshot(self, call: Call, vm_id: str) -> Made:
        with self._asking(call.step) as connection:
            machine, carried = self._machine(connection, call, vm_id)
            key = call.key(Kind.SNAPSHOT)
            made = Made(str(tags.uuid_of(key)))
            pool = volumes.site_pool(connection, self._at.directory, self._site.id)
            uuid, name = UUID(vm_id), f"snapshot:{made.external_id}"
            if volumes.look_up(pool, tags.volume_name(key)) is None:
                self._records.forget(name=name)  # it was released, or the first try died before it began
            asked = self._records.claim(uuid, name, note=key, seconds=900)
            if asked.done:
                return made
            if not asked.mine:
                raise self._later(1, "the disk is being copied")
            self._copy_disk(pool, machine, carried, tags.volume_name(key))
            self._records.end(uuid, name)
            return made

    def restore(self, call: Call, vm_id: str, snapshot_id: str) -> None:
        with self._asking(call.step) as connection:
            machine, carried = self._machine(connection, call, vm_id)
            note = self._records.noted(UUID(vm_id), f"snapshot:{snapshot_id}")
            pool = volumes.site_pool(connection, self._at.directory, self._site.id)
            taken = volumes.look_up(pool, tags.volume_name(note)) if note else None
            if taken is None:
                reason = f"the machine has no snapshot {snapshot_id}"
                raise ProviderError("internalServerError", step=call.step, reason=reason)

            def change() -> None:
                name = tags.volume_name(carried["disk"])
                size_gb = max(1, -(-taken.info()[1] // volumes.GB))
                volumes.delete(pool, name)
                volumes.copy(pool, name, taken, volumes.base_of(taken), size_gb)

            with self._once(call, machine) as (first, seconds):
                self._cycle(machine, first, seconds, change)

    # --- networks ------------------------------------------------------------------------------------------

    def ensure_network(self, call: Call) -> dict[Kind, Made]:
        with self._asking(call.step) as connection:
            network, group = self._hosted(connection)
            return {
                Kind.NETWORK: Made(network.UUIDString(), {"addressSpace": str(self._records.known_subnet())}),
                Kind.SECURITY_GROUP: Made(connection.nwfilterLookupByName(group).UUIDString()),
            }

    def attach_nic(self, call: Call, vm_id: str, network: Network) -> Made:
        with self._asking(call.step) as connection:
            machine, carried = self._running(connection, call, vm_id)
            name, group = network.network, ""
            if network.connection_id is None:
                hosted, group = self._hosted(connection)
                name = hosted.name()
            taken = self._nic(connection, call, UUID(vm_id), name, hosted=bool(group))
            made = nic(taken.mac, taken.network, group)
            if not machines.has_nic(machine, taken.mac):
                with self._records.alone(f"nic:{taken.mac}") as mine:
                    if mine and not machines.has_nic(machine, taken.mac):
                        machines.plug(machine, made)
            address = self._patiently(
                lambda: self._address(connection, machine, taken),
                f"{carried['computer']} has not taken its address yet",
            )
            if taken.address is None:
                self._records.learn_address(taken.key, address)
            details = {"ipAddress": address, "macAddress": taken.mac, "network": taken.network}
            return Made(str(tags.uuid_of(taken.key)), details)

    def free_addresses(self, network: Network) -> int:
        with self._asking("") as connection:
            if network.connection_id is None:
                return self._free_of_own()
            there = found(connection.networkLookupByName, network.network)
            free = networks.free_by_lease(there) if there is not None else None
            return free if free is not None else networks.free_in_subnet(network.subnet, self._records.nics())

    # --- the way in ----------------------------------------------------------------------------------------

    def try_sign_in_path(self, call: Call, vm_id: str) -> str:
        with self._asking(call.step) as connection:
            machine, carried = self._running(connection, call, vm_id)
            if not agent.answers(machine):
                raise self._later(1, f"{carried['computer']} does not answer yet")
            try:
                greeting = screens.try_out(connection, machine, self._at)
            except rfb.NotAnswered as nothing:
                raise self._later(2, f"the console of {carried['computer']} does not answer: {nothing}") from None
            address = self._records.address_of(UUID(vm_id))
            return f"console answered, {greeting.width} by {greeting.height}; address {address or 'unknown'}"

    def screen(self, call: Call, vm_id: str) -> Screen:
        with self._asking(call.step) as connection:
            machine, _ = self._running(connection, call, vm_id)
            return screens.admit(connection, machine, self._at)

    def reach(self, screen: Screen) -> socket.socket:
        if not self._at.is_local:
            return screen.connect()
        try:
            return screens.handed_over(connect(self._at.uri), screen.machine)
        except libvirt.libvirtError as error:
            raise OSError(said(error)) from error

    def screenshot(self, call: Call, vm_id: str) -> bytes:
        with self._asking(call.step) as connection:
            return screens.picture(connection, self._running(connection, call, vm_id)[0])

    # --- what there is, and what goes ----------------------------------------------------------------------

    def release(self, kind: Kind, key: str) -> None:
        with self._asking("") as connection:
            match kind:
                case Kind.CAPACITY:
                    self._records.unreserve(key)
                case Kind.VM:
                    self._release_machine(connection, key)
                case Kind.DISK | Kind.SNAPSHOT:
                    pool = volumes.existing_site_pool(connection, self._site.id)
                    if pool is not None:
                        volumes.delete(pool, tags.volume_name(key))
                    self._records.forget(name=f"snapshot:{tags.uuid_of(key)}")
                case Kind.NIC:
                    self._release_nic(connection, key)
                case Kind.NETWORK:
                    networks.remove(connection, self._site.id)
                case Kind.SECURITY_GROUP:
                    networks.remove_security_group(connection, self._site.id)
                case _:
                    raise ValueError(f"{kind} is not a compute provider's")

    def inventory(self) -> Iterator[Found]:
        with self._asking("") as connection:
            yield from inventory(connection, self._site, self._records)

    # --- inside --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _asking(self, step: str) -> Iterator[Any]:
        """The host's connection. What libvirt refuses is told in the contract's terms."""
        try:
            yield connect(self._at.uri)
        except libvirt.libvirtError as error:
            if is_lost(error):
                reason = f"libvirt at {self._at.where} does not answer: {said(error)}"
                if step in _NOBODY_WAITS:
                    raise ProviderError(_NOBODY_WAITS[step], site=self._site.name, step=step, reason=reason) from error
                raise self._later(5, reason) from error
            raise ProviderError(
                _code_of(error), site=self._site.name, step=step, reason=f"libvirt at {self._at.where}: {said(error)}"
            ) from error

    def _later(self, seconds: float, reason: str, share: float | None = None) -> NotYet:
        return NotYet(self._records.now() + timedelta(seconds=seconds), reason, share)

    def _patiently(self, look: Callable[[], str | None], reason: str) -> str:
        """What `look` finds, waiting a little for it. Raises NotYet."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while (seen := look()) is None:
            if time.monotonic() >= ends:
                raise self._later(0.2, reason)
            time.sleep(_GLANCE_SECONDS)
        return seen

    def _images(self, connection: Any) -> Images:
        here = Settings()
        return Images(self._at, self._records, connection, here.image_dir, here.imports, self._later)

    def _image(self, connection: Any, spec: MachineSpec) -> Image:
        if spec.device_image is None:
            return self._images(connection).from_gallery(spec.image)
        image = self._images(connection).ready(own_name(spec.device_image))
        if image is None:
            raise ProviderError("imageNotSupportedFail", image=spec.image, reason="it is not on the host any more")
        return image

    def _failed(self, call: Call, carried: dict[str, str], reason: str) -> ProviderError:
        return ProviderError(_code(call.step), device=carried["computer"], step=call.step, reason=reason)

    def _machine(self, connection: Any, call: Call, vm_id: str) -> tuple[Any, dict[str, str]]:
        """A machine of this site, and its tags."""
        machine = machines.look_up(connection, vm_id)
        carried = machines.tags_of(machine) if machine is not None else {}
        if carried.get("site") != str(self._site.id):
            code = "endpointCheckFailed" if call.step in ("A0", "screen") else "internalServerError"
            raise ProviderError(code, step=call.step, reason=f"there is no machine {vm_id} on the host")
        return machine, carried

    def _running(self, connection: Any, call: Call, vm_id: str) -> tuple[Any, dict[str, str]]:
        machine, carried = self._machine(connection, call, vm_id)
        if not machine.isActive():
            code = "endpointCheckFailed" if call.step in ("A0", "screen") else _code(call.step)
            raise ProviderError(code, device=carried["computer"], step=call.step, reason="the machine is powered off")
        return machine, carried

    def _reserve(self, connection: Any, key: str, call: Call, size: Size, origin: Call | None = None) -> str:
        capacity = Capacity(connection, self._at)
        made, used = self._records.reserve(origin or call, key, size, capacity.most)
        missing = capacity.missing(size, used) if made is None else capacity.missing_now(size)
        if made is None or missing:
            if made is not None and origin is None:
                self._records.unreserve(key)
            known = {"site": self._site.name, "region": self._site.name}
            raise ProviderError("capacityUnavailable", **known, reason=missing or "somebody else took the room")
        return made

    def _machine_xml(self, call: Call, spec: MachineSpec, image: Image, disk: str, folder: str) -> MachineXml:
        key = call.key(Kind.VM)
        uuid = tags.uuid_of(key)
        carried = {
            "key": key,
            "disk": call.key(Kind.DISK),
            "tenant": str(call.tenant_id),
            "site": str(self._site.id),
            "cloudPc": str(call.cloud_pc_id),
            "run": str(call.run),
            "attempt": str(call.attempt),
            "os": spec.os_family,
            "computer": spec.computer_name,
            "image": spec.image,
            "model": spec.model,
        }
        return MachineXml(
            uuid=uuid,
            # Computer names may be the same in two tenants, libvirt's names may not.
            name=f"{spec.computer_name}-{uuid.hex[:8]}",
            title=f"{spec.computer_name} - {call.user}",
            size=spec.size,
            os_family=spec.os_family,
            virt_type=image.virt_type,
            boot=image.boot,
            disk=disk,
            seed=f"{folder}/{tags.volume_name(key)}",
            tags=carried,
            listen=self._at.console,
        )

    @contextlib.contextmanager
    def _once(self, call: Call, machine: Any) -> Iterator[tuple[str | None, float]]:
        """(which start of the machine it was told in, seconds since then), until the block ends without NotYet;
        (None, 0) where that has been before."""
        uuid, name = UUID(machine.UUIDString()), f"{call.run}:{call.attempt}:{call.step}"
        asked = self._records.claim(uuid, name, note=machines.running(machine))
        if asked.done:
            yield None, 0.0
            return
        if not asked.mine:
            raise self._later(0.5, "the machine is being told")
        try:
            yield asked.note, asked.seconds
        except BaseException:
            self._records.let_go(uuid, name)
            raise
        self._records.end(uuid, name)

    def _off(self, machine: Any, seconds: float) -> None:
        """Off now, or NotYet."""
        if machines.shut_down(machine, seconds):
            return
        ends = time.monotonic() + PATIENCE_SECONDS
        while machine.isActive():
            if time.monotonic() >= ends:
                raise self._later(0.5, "the machine shuts down")
            time.sleep(_GLANCE_SECONDS)

    def _cycle(self, machine: Any, first: str | None, seconds: float, change: Callable[[], None]) -> None:
        """Off, `change`, on. first: which start of the machine it began in; None: it was done before."""
        if first is None or (machine.isActive() and machines.running(machine) != first):
            return
        self._off(machine, seconds)
        change()
        machines.start(machine)

    def _disk(self, connection: Any, carried: dict[str, str]) -> Any:
        pool = volumes.site_pool(connection, self._at.directory, self._site.id)
        return volumes.look_up(pool, tags.volume_name(carried["disk"]))

    def _copy_disk(self, pool: Any, machine: Any, carried: dict[str, str], name: str) -> None:
        disk = volumes.look_up(pool, tags.volume_name(carried["disk"]))
        base, size_gb = volumes.base_of(disk), max(1, -(-disk.info()[1] // volumes.GB))
        volumes.delete(pool, name)  # one that was cut short

        def copied() -> None:
            volumes.copy(pool, name, disk, base, size_gb)

        if not machine.isActive():
            copied()
            return
        over = f"{disk.path()}.frozen"
        machines.freeze(machine, over, copied)
        volumes.delete(pool, over.rpartition("/")[2])

    def _hosted(self, connection: Any) -> tuple[Any, str]:
        """The site's own network and the name of its security group."""
        shared = Call(self._site.tenant_id, self._site.id, self._site.id, 0, 0, "network")
        subnet = self._records.known_subnet()
        if subnet is None:
            in_use = networks.subnets_in_use(connection)
            subnet = self._records.subnet(self._at.hosted_networks, SUBNET_PREFIX, in_use)
        if subnet is None:
            reason = f"no /{SUBNET_PREFIX} of {self._at.hosted_networks} is free on the host"
            raise ProviderError("noEnoughIpAddress", network=networks.name_of(self._site.id), reason=reason)
        group = networks.ensure_security_group(connection, self._site.id, shared.site_key(Kind.SECURITY_GROUP))
        return networks.ensure(connection, self._site.id, subnet, shared.site_key(Kind.NETWORK)), group

    def _nic(self, connection: Any, call: Call, machine: UUID, network: str, *, hosted: bool) -> Nic:
        """The NIC's row: the one there is, or a new one with an address of its own."""
        key, pool = call.key(Kind.NIC), self._records.known_subnet() if hosted else None
        for turn in range(_TURNS):
            taken = self._records.nic(key)
            if taken is None:
                self._must_have_address(connection, call, network, hosted=hosted)
                taken = self._records.take_nic(key, network, tags.mac_of(key, turn), machine, pool)
            if taken is not None:
                if hosted and taken.address:  # also for a row there was: who took it may have died before this
                    networks.reserve(connection.networkLookupByName(network), taken.mac, taken.address)
                return taken
        raise self._later(1, "many take an address now")

    def _free_of_own(self) -> int:
        """Addresses left in the site's own network; where there is none yet, those it will have."""
        subnet = self._records.known_subnet()
        total = (subnet.num_addresses if subnet else 2 ** (32 - SUBNET_PREFIX)) - 3
        return total - sum(n.network == networks.name_of(self._site.id) for n in self._records.nics())

    def _must_have_address(self, connection: Any, call: Call, network: str, *, hosted: bool) -> None:
        """Refuse where it is known that the network has none left."""
        known = {"network": network, "site": self._site.name, "needed": 1}
        if hosted and self._free_of_own() <= 0:
            # No connection of anybody's: the network is the site's own.
            own = f"none (the own network of {self._site.name})"
            raise ProviderError("noEnoughIpAddress", **known, subnet=str(self._records.known_subnet()), connection=own)
        if hosted or network.startswith("bridge:"):
            return
        there = found(connection.networkLookupByName, network)
        if there is None or not there.isActive():
            raise ProviderError("internalServerError", step=call.step, reason=f"there is no network {network} here")
        if networks.free_by_lease(there) == 0:
            raise ProviderError("noEnoughIpAddress", **known, subnet=network)

    def _address(self, connection: Any, machine: Any, taken: Nic) -> str | None:
        """The machine's address, once it has it."""
        seen = None
        if not taken.network.startswith("bridge:"):
            seen = networks.leased(connection.networkLookupByName(taken.network), taken.mac)
        if seen is None:
            try:
                seen = next(iter(agent.addresses(machine).get(taken.mac, [])), None)
            except agent.Silent:
                return None
        return seen if taken.address in (None, seen) else None

    def _release_machine(self, connection: Any, key: str) -> None:
        uuid = tags.uuid_of(key)
        machine = machines.look_up(connection, str(uuid))
        if machine is not None:
            machines.delete(machine)
        pool = volumes.existing_site_pool(connection, self._site.id)
        if pool is not None:
            volumes.delete(pool, tags.volume_name(key))
        self._records.forget(machine=uuid)

    def _release_nic(self, connection: Any, key: str) -> None:
        taken = self._records.nic(key)
        if taken is None:
            return
        machine = machines.look_up(connection, str(taken.machine))
        if machine is not None and machines.has_nic(machine, taken.mac):
            machines.unplug(machine, nic(taken.mac, taken.network))
        network = found(connection.networkLookupByName, taken.network)
        if network is not None and taken.address and taken.network == networks.name_of(self._site.id):
            networks.forget(network, taken.mac, taken.address)
        self._records.drop_nic(key)


def _code(step: str) -> str:
    """With which code of the catalogue something inside the guest fails at this step."""
    return next((code for code in codes_for(step) if CATALOGUE[code].stage == "configure"), "internalServerError")


def _code_of(error: libvirt.libvirtError) -> str:
    return "capacityUnavailable" if is_full(error) else "internalServerError"


def _parts(call: Call) -> dict[str, Any]:
    return dict(call.__dict__)


def _origin(carried: dict[str, str]) -> dict[str, Any]:
    return {
        "cloud_pc_id": UUID(carried["cloudPc"]),
        "run": int(carried["run"]),
        "attempt": int(carried["attempt"]),
    }
