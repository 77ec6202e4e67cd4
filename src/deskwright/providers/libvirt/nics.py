"""NICs: in the site's own network with an address that is known before the machine asks for it, or in a network that
is there already, where the address is learned."""

from typing import Any
from uuid import UUID

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Call, Network, ProviderError
from deskwright.providers.libvirt import agent, machines, networks, tags, user_network
from deskwright.providers.libvirt.configuration import SUBNET_PREFIX
from deskwright.providers.libvirt.host import found
from deskwright.providers.libvirt.machine_xml import nic
from deskwright.providers.libvirt.place import Place
from deskwright.providers.libvirt.records import Addresses, Nic

_TURNS = 20


def hosted(place: Place) -> tuple[Any, str]:
    """The site's own network and the name of its security group, made on first use."""
    connection, records, site = place.connection, place.records, place.site
    subnet = records.known_subnet()
    if subnet is None:
        subnet = records.subnet(place.at.hosted_networks, SUBNET_PREFIX, networks.subnets_in_use(connection))
    if subnet is None:
        reason = f"no /{SUBNET_PREFIX} of {place.at.hosted_networks} is free on the host"
        raise ProviderError("noEnoughIpAddress", network=networks.name_of(site.id), reason=reason)
    group = networks.ensure_security_group(connection, site.id, place.shared_key(Kind.SECURITY_GROUP))
    return networks.ensure(connection, site.id, subnet, place.shared_key(Kind.NETWORK)), group


def free(place: Place, network: Network) -> int:
    """How many addresses are left."""
    records = place.records
    if place.at.is_session:
        return user_network.free(place, network)
    if network.connection_id is None:
        subnet = records.known_subnet()
        total = (subnet.num_addresses if subnet else 2 ** (32 - SUBNET_PREFIX)) - 3
        return total - sum(n.network == networks.name_of(place.site.id) for n in records.nics())
    there = found(place.connection.networkLookupByName, network.network)
    left = networks.free_by_lease(there) if there is not None else None
    return left if left is not None else networks.free_in_subnet(network.subnet, records.nics())


def plugged(place: Place, call: Call, machine: Any, network: Network) -> Nic:
    """The call's NIC, in the machine."""
    if place.at.is_session:
        user_network.refuse(place, call, network)
        pool = user_network.addresses(user_network.subnet(place))
        taken = _taken(place, call, UUID(machine.UUIDString()), networks.name_of(place.site.id), pool)
        return _in(place, machine, taken, user_network.nic_xml(taken))
    name, group = network.network, ""
    if network.connection_id is None:
        own, group = hosted(place)
        name = own.name()
    known = place.records.known_subnet() if group else None
    taken = _taken(place, call, UUID(machine.UUIDString()), name, networks.addresses(known) if known else None)
    if taken.address and group:  # also for a row there was: who took it may have died before this
        networks.reserve(place.connection.networkLookupByName(name), taken.mac, taken.address)
    return _in(place, machine, taken, nic(taken.mac, taken.network, group))


def _in(place: Place, machine: Any, taken: Nic, xml: str) -> Nic:
    if not machines.has_nic(machine, taken.mac):
        with place.records.alone(f"nic:{taken.mac}") as mine:
            if mine and not machines.has_nic(machine, taken.mac):
                machines.plug(machine, xml)
    return taken


def address(place: Place, machine: Any, taken: Nic) -> str | None:
    """The machine's address, once it has it."""
    seen = None
    if not taken.network.startswith("bridge:") and not place.at.is_session:
        seen = networks.leased(place.connection.networkLookupByName(taken.network), taken.mac)
    if seen is None:
        try:
            seen = next(iter(agent.addresses(machine).get(taken.mac, [])), None)
        except agent.Silent:
            return None
    return seen if taken.address in (None, seen) else None


def release(place: Place, key: str) -> None:
    """Out of the machine, where that is still there; its address is free again."""
    connection, taken = place.connection, place.records.nic(key)
    if taken is None:
        return
    machine = machines.look_up(connection, str(taken.machine))
    session = place.at.is_session
    if machine is not None and machines.has_nic(machine, taken.mac):
        machines.unplug(machine, user_network.nic_xml(taken) if session else nic(taken.mac, taken.network))
    network = None if session else found(connection.networkLookupByName, taken.network)
    if network is not None and taken.address and taken.network == networks.name_of(place.site.id):
        networks.forget(network, taken.mac, taken.address)
    place.records.drop_nic(key)


def _taken(place: Place, call: Call, machine: UUID, network: str, addresses: Addresses | None) -> Nic:
    """The NIC's row: the one there is, or a new one with one of the `addresses` of the site's own network."""
    records, key = place.records, call.key(Kind.NIC)
    for turn in range(_TURNS):
        taken = records.nic(key)
        if taken is None:
            _must_have_address(place, call, network, own=addresses is not None)
            taken = records.take_nic(key, network, tags.mac_of(key, turn), machine, addresses)
        if taken is not None:
            return taken
    raise place.later(1, "many take an address now")


def _must_have_address(place: Place, call: Call, network: str, *, own: bool) -> None:
    """Refuse where it is known that the network has none left."""
    known = {"network": network, "site": place.site.name, "needed": 1}
    if own and free(place, Network()) <= 0:
        # No connection of anybody's: the network is the site's own.
        nobody = f"none (the own network of {place.site.name})"
        raise ProviderError("noEnoughIpAddress", **known, subnet=str(place.records.known_subnet()), connection=nobody)
    if own or network.startswith("bridge:"):
        return
    there = found(place.connection.networkLookupByName, network)
    if there is None or not there.isActive():
        raise ProviderError("internalServerError", step=call.step, reason=f"there is no network {network} here")
    if networks.free_by_lease(there) == 0:
        raise ProviderError("noEnoughIpAddress", **known, subnet=network)
