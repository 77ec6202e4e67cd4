"""What a machine is told once: off, on, off and on again with a change between, and copies of its disk."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from deskwright.providers.contract import Call
from deskwright.providers.libvirt import machines, tags, volumes
from deskwright.providers.libvirt.place import Place


@contextlib.contextmanager
def once(place: Place, call: Call, machine: Any) -> Iterator[tuple[str | None, float]]:
    """(which start of the machine it was told in, seconds since then), until the block ends without NotYet;
    (None, 0) where that has been before."""
    uuid, name = UUID(machine.UUIDString()), f"{call.run}:{call.attempt}:{call.step}"
    asked = place.records.claim(uuid, name, note=machines.running(machine))
    if asked.done:
        yield None, 0.0
        return
    if not asked.mine:
        raise place.later(0.5, "the machine is being told")
    try:
        yield asked.note, asked.seconds
    except BaseException:
        place.records.let_go(uuid, name)
        raise
    place.records.end(uuid, name)


def off(place: Place, machine: Any, seconds: float) -> None:
    """Off now, or NotYet. seconds: since it was told first."""
    if not machines.shut_down(machine, seconds):
        place.patiently(lambda: None if machine.isActive() else "off", "the machine shuts down", 0.5)


def cycle(place: Place, machine: Any, first: str | None, seconds: float, change: Callable[[], None]) -> None:
    """Off, `change`, on. first: which start of the machine it began in; None: it was done before."""
    if first is None or (machine.isActive() and machines.running(machine) != first):
        return
    off(place, machine, seconds)
    change()
    machines.start(machine)


def copy_disk(place: Place, machine: Any, disk_key: str, name: str) -> None:
    """A copy of the machine's disk as it is now, under that name; the machine goes on."""
    pool = place.pool()
    disk = volumes.look_up(pool, tags.volume_name(disk_key))
    base, size_gb = volumes.base_of(disk), size_of(disk)
    volumes.delete(pool, name)  # one that was cut short

    def copied() -> None:
        volumes.copy(pool, name, disk, base, size_gb)

    if not machine.isActive():
        copied()
        return
    over = f"{disk.path()}.frozen"
    machines.freeze(machine, over, copied)
    volumes.delete(pool, over.rpartition("/")[2])


def put_back(place: Place, disk_key: str, taken: Any) -> None:
    """Make the disk of a machine that is off a copy of `taken`."""
    pool, name = place.pool(), tags.volume_name(disk_key)
    volumes.delete(pool, name)
    volumes.copy(pool, name, taken, volumes.base_of(taken), size_of(taken))


def size_of(volume: Any) -> int:
    """In GB, rounded up."""
    return max(1, -(-int(volume.info()[1]) // volumes.GB))
