"""Everything of a site that is on its host: by our tags, by the names of its disks, and what is there besides."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

from deskwright.domain.resources import Kind
from deskwright.providers.contract import Found
from deskwright.providers.libvirt import machines, networks, tags, user_network, volumes
from deskwright.providers.libvirt.host import found
from deskwright.providers.libvirt.place import Place
from deskwright.providers.libvirt.records import Records
from deskwright.providers.site import Site


def inventory(place: Place) -> Iterator[Found]:
    connection, site, records = place.connection, place.site, place.records
    for key, identifier in records.reservations():
        yield Found(Kind.CAPACITY, key, identifier)
    keys = set()
    for machine, carried in machines.of_site(connection, site.id):
        keys.add(carried["key"])
        yield Found(Kind.VM, carried["key"], machine.UUIDString(), carried.get("computer", ""))
    yield from _volumes(connection, site, keys, records)
    for nic in records.nics():
        yield Found(Kind.NIC, nic.key, str(tags.uuid_of(nic.key)), nic.mac)
    yield from user_network.inventory(site, records) if place.at.is_session else _network(connection, site, records)


def _volumes(connection: Any, site: Site, machine_keys: set[str], records: Records) -> Iterator[Found]:
    pool = volumes.existing_site_pool(connection, site.id)
    if pool is None:
        return
    made = records.ever_made()
    for name, path in volumes.each(pool):
        key = tags.key_of(name)
        kind = key.rpartition(":")[2]
        if kind == Kind.VM:
            # A seed whose machine was not made yet. Beside one that was taken away it must not stand for the machine.
            if key not in machine_keys and tags.uuid_of(key) not in made:
                yield Found(Kind.VM, key, str(tags.uuid_of(key)), name)
        elif kind in (Kind.DISK, Kind.SNAPSHOT):
            yield Found(kind, key, str(tags.uuid_of(key)), name)
        elif not name.endswith(".frozen"):
            yield Found(Kind.DISK, "", path, name)


def _network(connection: Any, site: Site, records: Records) -> Iterator[Found]:
    name = networks.name_of(site.id)
    network = found(connection.networkLookupByName, name)
    if network is not None:
        yield Found(Kind.NETWORK, tags.of(network.XMLDesc()).get("key", ""), network.UUIDString(), name)
        known = {nic.mac for nic in records.nics()}
        for mac, address in sorted(networks.reservations(network)):
            if mac not in known:
                yield Found(Kind.NIC, "", f"{name}/{mac}", f"{address} is kept for {mac}")
    group = found(connection.nwfilterLookupByName, name)
    if group is not None:
        key = f"deskwright:{site.tenant_id}:{site.id}:{Kind.SECURITY_GROUP}"
        same = ET.fromstring(group.XMLDesc()).findtext("uuid") == str(tags.uuid_of(key))
        yield Found(Kind.SECURITY_GROUP, key if same else "", group.UUIDString(), name)
