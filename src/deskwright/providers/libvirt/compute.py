"""The compute contract on one libvirt host."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import libvirt

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.errors import CATALOGUE, codes_for
from deskwright.guest.actions import Action
from deskwright.guest.script import script_for, told
from deskwright.images import seed
from deskwright.providers.contract import (
    Call,
    Found,
    ImageOrder,
    ImageReady,
    MachineSpec,
    Made,
    Network,
    ProviderError,
    Screen,
)
from deskwright.providers.libvirt import (
    agent,
    machines,
    networks,
    nics,
    screens,
    sign_in,
    tags,
    telling,
    user_network,
    volumes,
)
from deskwright.providers.libvirt.capacity import Capacity
from deskwright.providers.libvirt.configuration import configuration
from deskwright.providers.libvirt.host import connect, said
from deskwright.providers.libvirt.images import Image, Images, own_name
from deskwright.providers.libvirt.inventory import inventory
from deskwright.providers.libvirt.machine_xml import MachineXml, text
from deskwright.providers.libvirt.place import Place, asking
from deskwright.providers.libvirt.records import Records
from deskwright.providers.site import Site
from deskwright.settings import Settings
from deskwright.store.database import Database

_NOTHING = Size(0, 0, 0)


class LibvirtCompute:
    """Configuration: see `deskwright.providers.libvirt.configuration`."""

    def __init__(self, database: Database, site: Site) -> None:
        self._site = site
        self._at = configuration(site.compute, site.name)
        self._records = Records(database, site.tenant_id, site.id, self._at.uri)

    # --- capacity ------------------------------------------------------------------------------------------

    def allocate(self, call: Call, size: Size) -> Made:
        with self._asking(call.step) as place:
            return Made(_reserved(place, call.key(Kind.CAPACITY), call, size, new=True))

    def has_room(self, size: Size, freed: Size | None = None) -> bool:
        try:
            with self._asking("") as place:
                disks = volumes.existing_site_pool(place.connection, self._site.id)
                capacity = Capacity(place.connection, self._at, disks)
                return capacity.missing(size, self._records.used(), freed or _NOTHING) is None
        except ProviderError:
            return False  # a host that does not answer takes nobody now

    # --- images and machines -------------------------------------------------------------------------------

    def prepare_image(self, order: ImageOrder) -> ImageReady:
        with self._asking("C2") as place:
            image = _images(place).own(order)
            return ImageReady(image.size_gb, image.seen, image.sha256)

    def remove_image(self, image: UUID) -> None:
        with self._asking("") as place:
            _images(place).remove(image)

    def create_vm(self, call: Call, spec: MachineSpec) -> dict[Kind, Made]:
        with self._asking(call.step) as place:
            key, disk_key = call.key(Kind.VM), call.key(Kind.DISK)
            uuid, pool = tags.uuid_of(key), place.pool()
            image = _image(place, spec)
            with self._records.alone(f"machine:{uuid}") as mine:
                if not mine:
                    raise place.later(0.3, f"{spec.computer_name} is being defined")
                try:
                    disk = volumes.overlay(pool, tags.volume_name(disk_key), image.disk, spec.size.storage_gb)
                except volumes.BeingMade:
                    raise place.later(0.3, f"the disk of {spec.computer_name} is being written") from None
                if machines.look_up(place.connection, str(uuid)) is None:
                    volumes.written(pool, tags.volume_name(key), seed.seed(str(uuid), spec.computer_name))
                machines.define(place.connection, text(_xml(place, call, spec, image, disk.path())), str(uuid))
                self._records.made(uuid)
            return {
                Kind.VM: Made(str(uuid), {"computerName": spec.computer_name, "virtType": image.virt_type}),
                Kind.DISK: Made(str(tags.uuid_of(disk_key)), {"sizeGB": spec.size.storage_gb}),
            }

    def configure_guest(self, call: Call, vm_id: str, actions: tuple[Action, ...]) -> str:
        with self._asking(call.step) as place:
            machine, carried = _running(place, call, vm_id)
            try:
                script = script_for(carried["os"], actions)
            except ValueError as unfit:
                raise _failed(call, carried, str(unfit)) from unfit
            try:
                ran = agent.run(machine, script)
            except agent.Silent as silent:
                raise place.later(1, f"the guest agent of {carried['computer']} does not answer: {silent}") from None
            except agent.StillRuns:
                raise place.later(1, f"{carried['computer']} is still at it") from None
            printed = told(ran.output, script.secrets)
            if ran.code != 0 or not printed:
                raise _failed(call, carried, printed or f"it said nothing and ended with exit code {ran.code}")
            return printed

    def power(self, call: Call, vm_id: str, on: bool) -> None:
        with self._asking(call.step) as place:
            machine, _ = _machine(place, call, vm_id)
            with telling.once(place, call, machine) as (first, seconds):
                if first is None:
                    return
                machine.setAutostart(int(on))
                if on:
                    machines.start(machine)
                else:
                    telling.off(place, machine, seconds)

    def restart(self, call: Call, vm_id: str) -> None:
        with self._asking(call.step) as place:
            machine, _ = _machine(place, call, vm_id)
            with telling.once(place, call, machine) as (first, seconds):
                telling.cycle(place, machine, first, seconds, lambda: None)

    def resize(self, call: Call, vm_id: str, size: Size, model: str) -> None:
        with self._asking(call.step) as place:
            machine, carried = _machine(place, call, vm_id)
            held = self._records.reservation_of(carried["cloudPc"], carried["run"], carried["attempt"])
            if held is not None:
                # It stays the reservation of the run that made the machine.
                origin = replace(call, run=int(carried["run"]), attempt=int(carried["attempt"]))
                _reserved(place, held.key, origin, size, new=False)
            disk = volumes.look_up(place.pool(), tags.volume_name(carried["disk"]))

            def change() -> None:
                if disk is not None:
                    machines.grow_disk(disk, size.storage_gb)
                machines.change_size(place.connection, machine, size, model)

            with telling.once(place, call, machine) as (first, seconds):
                telling.cycle(place, machine, first, seconds, change)

    def snapshot(self, call: Call, vm_id: str) -> Made:
        with self._asking(call.step) as place:
            machine, carried = _machine(place, call, vm_id)
            key = call.key(Kind.SNAPSHOT)
            made = Made(str(tags.uuid_of(key)))
            uuid, name = UUID(vm_id), f"snapshot:{made.external_id}"
            with self._records.alone(f"disk:{vm_id}") as mine:
                if not mine:
                    raise place.later(1, "the disk is being copied")
                whole = self._records.noted(uuid, name) is not None
                # One that is not whole was cut short by a crash; one that was released is taken anew.
                if not whole or volumes.look_up(place.pool(), tags.volume_name(key)) is None:
                    self._records.claim(uuid, name, note=key, seconds=0)
                    telling.copy_disk(place, machine, carried["disk"], tags.volume_name(key))
                    self._records.end(uuid, name)
            return made

    def restore(self, call: Call, vm_id: str, snapshot_id: str) -> None:
        with self._asking(call.step) as place:
            machine, carried = _machine(place, call, vm_id)
            key = self._records.noted(UUID(vm_id), f"snapshot:{snapshot_id}")
            taken = volumes.look_up(place.pool(), tags.volume_name(key)) if key else None
            if taken is None:
                reason = f"the machine has no snapshot {snapshot_id}"
                raise ProviderError("internalServerError", step=call.step, reason=reason)
            with telling.once(place, call, machine) as (first, seconds):
                telling.cycle(place, machine, first, seconds, lambda: telling.put_back(place, carried["disk"], taken))

    # --- networks ------------------------------------------------------------------------------------------

    def ensure_network(self, call: Call) -> dict[Kind, Made]:
        with self._asking(call.step) as place:
            if place.at.is_session:
                return user_network.ensure(place)
            network, group = nics.hosted(place)
            return {
                Kind.NETWORK: Made(network.UUIDString(), {"addressSpace": str(self._records.known_subnet())}),
                Kind.SECURITY_GROUP: Made(place.connection.nwfilterLookupByName(group).UUIDString()),
            }

    def attach_nic(self, call: Call, vm_id: str, network: Network) -> Made:
        with self._asking(call.step) as place:
            machine, carried = _running(place, call, vm_id)
            taken = nics.plugged(place, call, machine, network)
            missing = f"{carried['computer']} has not taken its address yet"
            address = place.patiently(lambda: nics.address(place, machine, taken), missing, waited=taken.age)
            if taken.address is None:
                self._records.learn_address(taken.key, address)
            details = {"ipAddress": address, "macAddress": taken.mac, "network": taken.network}
            return Made(str(tags.uuid_of(taken.key)), details)

    def free_addresses(self, network: Network) -> int:
        with self._asking("") as place:
            return nics.free(place, network)

    # --- the way in ----------------------------------------------------------------------------------------

    def try_sign_in_path(self, call: Call, vm_id: str) -> str:
        with self._asking(call.step) as place:
            machine, carried = _running(place, call, vm_id)
            address = self._records.address_of(UUID(vm_id))
            return sign_in.tried(place, machine, carried, address)

    def screen(self, call: Call, vm_id: str) -> Screen:
        with self._asking(call.step) as place:
            machine, _ = _running(place, call, vm_id)
            return screens.admit(place.connection, machine, self._at)

    def reach(self, screen: Screen) -> socket.socket:
        try:
            connection = connect(self._at.uri) if self._at.is_local else None
            return screens.reached(connection, self._at, screen)
        except libvirt.libvirtError as error:
            raise OSError(said(error)) from error

    def screenshot(self, call: Call, vm_id: str) -> bytes:
        with self._asking(call.step) as place:
            return screens.picture(place.connection, _running(place, call, vm_id)[0])

    # --- what there is, and what goes ----------------------------------------------------------------------

    def release(self, kind: Kind, key: str) -> None:
        with self._asking("") as place:
            match kind:
                case Kind.CAPACITY:
                    self._records.unreserve(key)
                case Kind.VM:
                    _release_machine(place, key)
                case Kind.DISK | Kind.SNAPSHOT:
                    pool = volumes.existing_site_pool(place.connection, self._site.id)
                    if pool is not None:
                        volumes.delete(pool, tags.volume_name(key))
                    self._records.forget(name=f"snapshot:{tags.uuid_of(key)}")
                case Kind.NIC:
                    nics.release(place, key)
                case Kind.NETWORK | Kind.SECURITY_GROUP if place.at.is_session:
                    self._records.give_subnet_back()
                case Kind.NETWORK:
                    networks.remove(place.connection, self._site.id)
                case Kind.SECURITY_GROUP:
                    networks.remove_security_group(place.connection, self._site.id)
                case _:
                    raise ValueError(f"{kind} is not a compute provider's")

    def inventory(self) -> Iterator[Found]:
        with self._asking("") as place:
            yield from inventory(place)

    def _asking(self, step: str) -> AbstractContextManager[Place]:
        return asking(self._site, self._at, self._records, step)


def _images(place: Place) -> Images:
    here = Settings()
    imports = here.imports_of(place.site.tenant_id)
    return Images(place.at, place.records, place.connection, here.image_dir, imports, place.later)


def _image(place: Place, spec: MachineSpec) -> Image:
    if spec.device_image is None:
        return _images(place).from_gallery(spec.image)
    image = _images(place).ready(own_name(spec.device_image))
    if image is None:
        raise ProviderError("imageNotSupportedFail", image=spec.image, reason="it is not on the host any more")
    return image


def _machine(place: Place, call: Call, vm_id: str) -> tuple[Any, dict[str, str]]:
    """A machine of this site, and its tags."""
    machine = machines.look_up(place.connection, vm_id)
    carried = machines.tags_of(machine) if machine is not None else {}
    if carried.get("site") != str(place.site.id):
        code = "endpointCheckFailed" if call.step in ("A0", "screen") else "internalServerError"
        raise ProviderError(code, step=call.step, reason=f"there is no machine {vm_id} on the host")
    return machine, carried


def _running(place: Place, call: Call, vm_id: str) -> tuple[Any, dict[str, str]]:
    machine, carried = _machine(place, call, vm_id)
    if not machine.isActive():
        code = "endpointCheckFailed" if call.step in ("A0", "screen") else _code(call.step)
        raise ProviderError(code, device=carried["computer"], step=call.step, reason="the machine is powered off")
    return machine, carried


def _reserved(place: Place, key: str, call: Call, size: Size, *, new: bool) -> str:
    """The id of the reservation. Raises capacityUnavailable; a `new` one is not kept then."""
    capacity = Capacity(place.connection, place.at, place.pool())
    made, used = place.records.reserve(call, key, size, capacity.most)
    missing = capacity.missing(size, used) if made is None else capacity.missing_now(size)
    if made is None or missing:
        if made is not None and new:
            place.records.unreserve(key)
        known = {"site": place.site.name, "region": place.site.name}
        raise ProviderError("capacityUnavailable", **known, reason=missing or "somebody else took the room")
    return made


def _xml(place: Place, call: Call, spec: MachineSpec, image: Image, disk: str) -> MachineXml:
    key = call.key(Kind.VM)
    uuid = tags.uuid_of(key)
    carried = {
        "key": key,
        "disk": call.key(Kind.DISK),
        "tenant": str(call.tenant_id),
        "site": str(place.site.id),
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
        name=place.at.machine_name(f"{spec.computer_name}-{uuid.hex[:8]}", uuid),
        title=f"{spec.computer_name} - {call.user}",
        size=spec.size,
        os_family=spec.os_family,
        virt_type=image.virt_type,
        boot=image.boot,
        disk=disk,
        seed=f"{place.at.directory}/{place.site.id}/{tags.volume_name(key)}",
        tags=carried,
        listen=place.at.console,
    )


def _release_machine(place: Place, key: str) -> None:
    uuid = tags.uuid_of(key)
    machine = machines.look_up(place.connection, str(uuid))
    if machine is not None:
        machines.delete(machine)
    pool = volumes.existing_site_pool(place.connection, place.site.id)
    if pool is not None:
        volumes.delete(pool, tags.volume_name(key))
    place.records.forget(machine=uuid)


def _failed(call: Call, carried: dict[str, str], reason: str) -> ProviderError:
    return ProviderError(_code(call.step), device=carried["computer"], step=call.step, reason=reason)


def _code(step: str) -> str:
    """With which code of the catalogue something inside the guest fails at this step."""
    return next((code for code in codes_for(step) if CATALOGUE[code].stage == "configure"), "internalServerError")
