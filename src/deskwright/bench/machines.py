"""Real machines: how much longer one takes by Deskwright than by hand, in a libvirt of its own.

Goals: on the smallest image at most two seconds more for one, and at most 1.3 times as long for four at once; on the
image with systemd at most 1.05 times as long. The disk of a machine from an image of 20 GB is made in less than a
second and takes a few hundred kB.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from deskwright.bench import machine
from deskwright.bench.by_hand import SERVER, TINY, Guest, Machine
from deskwright.bench.ground import Server
from deskwright.bench.results import Part
from deskwright.guest import configuration
from deskwright.guest.actions import Action, AllowSignIn, CreateAccount, EnableAccount, SetComputerName, WriteRecord
from deskwright.guest.script import script_for
from deskwright.images import tools
from deskwright.images.build import Built, built, programs
from deskwright.provision.pipeline import PIPELINE
from deskwright.settings import Settings

if TYPE_CHECKING:
    from deskwright.bench.by_deskwright import Company
    from deskwright.providers.libvirt.sandbox import Sandbox

MORE_SECONDS, TIMES_BY_HAND, TIMES_ON_SYSTEMD, DISK_SECONDS, DISK_KB = 2.0, 1.3, 1.05, 1.0, 400.0
AT_ONCE = 4
_PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img", "unshare", "nsenter")
_IMAGE_GB, _DISK_GB, _DISKS, _MIB = 20, 64, 10, 1 << 20
_NAME, _ACCOUNT, _ONE_TIME = "CPC-perso-B3NCH", "person", "Xy12-Za34-Bc56"
_RECORD = '{"displayName": "CPC-perso-B3NCH", "enrollmentProfileName": "Desktops", "token": "a token of usual length"}'
Tell = Callable[[str], None]


def machines(
    server: Server, tell: Tell, *, rounds: int, rounds_at_once: int, rounds_on_systemd: int, warm_up: bool
) -> Part:
    """By hand and by Deskwright in turns, each first in every other round."""
    part = Part("machines", "Real machines, emulated: the smallest image, and the one with systemd")
    missing = _missing()
    if missing:
        part.notes = [f"Not measured: {missing}."]
        return part
    from deskwright.providers.libvirt.sandbox import sandbox

    with sandbox(server.directory / "host") as host:
        one, several = _rounds(server, host, TINY, (rounds, rounds_at_once), tell, warm_up=warm_up)
        systemd, _ = _rounds(server, host, SERVER, (rounds_on_systemd, 0), tell, warm_up=warm_up)
        tell(f"machines: disks from an image of {_IMAGE_GB} GB")
        seconds, kilobytes = _disks(host)

    more = statistics.median(r["ours"] - r["byHand"] for r in one)
    part.add("one: from the entitlement to provisioned", statistics.median(r["ours"] for r in one), "s")
    part.add("  by hand", statistics.median(r["byHand"] for r in one), "s")
    part.add("  more than by hand", more, "s", at_most=MORE_SECONDS)
    if several:
        _add_times(part, f"{AT_ONCE} at once: to the last", several, TIMES_BY_HAND)
    _add_steps(part, one)
    if systemd:
        _add_times(part, f"{SERVER.image}: one", systemd, TIMES_ON_SYSTEMD)
        _add_steps(part, systemd)
    part.add(f"a disk from an image of {_IMAGE_GB} GB: slowest of {_DISKS}", max(seconds), "s", at_most=DISK_SECONDS)
    part.add("  what it takes", max(kilobytes), "kB", at_most=DISK_KB)
    loads = [r["loadAverage"] for r in (*one, *several, *systemd)]
    part.details = {
        "one": one,
        "atOnce": several,
        "oneOnSystemd": systemd,
        "diskSeconds": seconds,
        "diskKilobytes": kilobytes,
    }
    part.notes = [
        f"{TINY.size.vcpu} vCPU, {TINY.size.ram_gb} GB ({SERVER.image}: {SERVER.size.ram_gb} GB). By hand: plain QEMU "
        "with the same devices, its card plugged in at once, into QEMU's user network; C2: disk, seed, QEMU's start; "
        "C3: until agent and address are there; then the same scripts, one after the other.",
        f"Medians of {rounds} rounds ({rounds_at_once} of {AT_ONCE} at once, {rounds_on_systemd} of {SERVER.image}), "
        f"by hand and ours in turns. Load average before them: {min(loads):.1f} to {max(loads):.1f}; the machines keep "
        f"{os.cpu_count()} cores busy themselves.",
    ]
    return part


Round = dict[str, Any]


def _rounds(
    server: Server, host: "Sandbox", guest: Guest, count: tuple[int, int], tell: Tell, *, warm_up: bool
) -> tuple[list[Round], list[Round]]:
    """So many of one machine, and of some at once."""
    one, at_once = count
    if not one:
        return [], []
    from deskwright.bench.by_deskwright import built_image, company

    tell(f"machines: {guest.image}, and its trial on the host")
    image = built_image(guest.image)
    with company(server, host, guest) as ours:
        measured = _Measured(ours, guest, image)
        if warm_up:
            tell("machines: one that does not count")
            measured.by_deskwright(1)
        what = f"machines: {guest.image}, round"
        return (
            [measured.round(n, 1, f"{what} {n + 1} of {one}", tell) for n in range(one)],
            [measured.round(n, AT_ONCE, f"{what} {n + 1} of {AT_ONCE} at once", tell) for n in range(at_once)],
        )


def _add_times(part: Part, name: str, rounds: Sequence[Round], at_most: float) -> None:
    part.add(name, statistics.median(r["ours"] for r in rounds), "s")
    part.add("  by hand", statistics.median(r["byHand"] for r in rounds), "s")
    times = statistics.median(r["ours"] / r["byHand"] for r in rounds)
    part.add("  times by hand", times, "x", at_most=at_most)


def _add_steps(part: Part, rounds: Sequence[Round]) -> None:
    """Where the time goes, medians."""

    def median(of: str, name: str) -> float | None:
        held = [r[of][0][name] for r in rounds if name in r[of][0]]
        return statistics.median(held) if held else None

    from deskwright.bench.by_deskwright import BEFORE

    for name, title in ((BEFORE, BEFORE), *((step.id, f"{step.id} {step.title}") for step in PIPELINE)):
        part.add(title, median("oursSteps", name), "s")
        by_hand = median("byHandSteps", name)
        if by_hand is not None:
            part.add("  by hand", by_hand, "s")


@dataclass
class _Measured:
    company: "Company"
    guest: Guest
    image: Built

    def round(self, number: int, at_once: int, called: str, tell: Tell) -> Round:
        load = machine.load()[0]

        def by_hand() -> list[dict[str, float]]:
            tell(f"{called}, by hand")
            with ThreadPoolExecutor(at_once) as pool:
                return list(pool.map(lambda _: self.one_by_hand(), range(at_once)))

        def ours() -> list[dict[str, float]]:
            tell(f"{called}, by Deskwright")
            return self.by_deskwright(at_once)

        if number % 2:
            made, made_by_hand = ours(), by_hand()
        else:
            made_by_hand, made = by_hand(), ours()
        return {
            "ours": max(sum(steps.values()) for steps in made),
            "byHand": max(sum(steps.values()) for steps in made_by_hand),
            "oursSteps": made,
            "byHandSteps": made_by_hand,
            "loadAverage": load,
        }

    def by_deskwright(self, at_once: int) -> list[dict[str, float]]:
        steps = self.company.provision(at_once)
        self.company.remove()
        return steps

    def one_by_hand(self) -> dict[str, float]:
        """Seconds by the name of the step they stand beside."""
        directory = Path(tempfile.mkdtemp(prefix="dwh"))
        steps: dict[str, float] = {}
        began = time.monotonic()

        def took(step: str) -> None:
            nonlocal began
            now = time.monotonic()
            steps[step], began = now - began, now

        made = Machine(self.image, self.guest.size, directory, _NAME)
        try:
            took("C2")
            made.wait_for_agent()
            made.wait_for_address()
            took("C3")
            for step, actions in _told_inside(self.guest.size.storage_gb).items():
                made.run(script_for("linux", actions))
                took(step)
        finally:
            made.end()
            shutil.rmtree(directory)
        return steps


def _told_inside(storage_gb: int) -> dict[str, Sequence[Action]]:
    """What Deskwright's steps do inside a machine."""
    return {
        "C4": (SetComputerName(_NAME), WriteRecord("device", _RECORD)),
        "C5": (WriteRecord("enrolment", _RECORD),),
        "C6": (CreateAccount(_ACCOUNT),),
        "P1": configuration.hide_power_icons("linux"),
        "P2": configuration.disable_reset("linux"),
        "P3": configuration.local_administrator(_ACCOUNT, wanted=True),
        "P5": configuration.time_zone_redirection("linux"),
        "P6": configuration.grow_partition(storage_gb),
        "P7": configuration.block_high_risk_ports(Settings().gateway_address),
        "A1": (EnableAccount(_ACCOUNT, _ONE_TIME), AllowSignIn(_ACCOUNT)),
    }


def _disks(host: "Sandbox") -> tuple[list[float], list[float]]:
    """(seconds, kB on the host's disk) of each."""
    from deskwright.providers.libvirt import volumes

    connection, site = host.connect(), UUID(int=_IMAGE_GB)
    base = _large_image(Path(volumes.folder(volumes.image_pool(connection, host.disks))))
    pool = volumes.site_pool(connection, host.disks, site)
    seconds, kilobytes = [], []
    for n in range(_DISKS):
        began = time.monotonic()
        disk = volumes.overlay(pool, f"disk{n}.qcow2", str(base), _DISK_GB)
        seconds.append(time.monotonic() - began)
        kilobytes.append(Path(disk.path()).stat().st_blocks * 512 / 1000)
    connection.close()
    return seconds, kilobytes


def _large_image(directory: Path) -> Path:
    """A qcow2 of that many GB with a megabyte of data in each."""
    raw, base = directory / "large.raw", directory / "large.qcow2"
    with raw.open("wb") as file:
        for n in range(_IMAGE_GB):
            file.seek(n << 30)
            file.write(os.urandom(_MIB))
        file.truncate(_IMAGE_GB << 30)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(base)], check=True)  # noqa: S603, S607
    raw.unlink()
    return base


def _missing() -> str:
    """Why it cannot be measured here; empty: it can."""
    if os.geteuid() != 0:
        return "a libvirt of its own needs root"
    try:
        import libvirt  # noqa: F401
    except ModuleNotFoundError:
        return "libvirt's Python binding is not installed; make libvirt installs it"
    absent = [name for name in _PROGRAMS if shutil.which(name, path=tools.path()) is None]
    if absent:
        return f"not installed: {', '.join(absent)}; make libvirt installs them"
    try:
        if any(built(Settings().image_dir / guest.image) is None for guest in (TINY, SERVER)):
            tools.require(*programs())
    except tools.MissingTools as cannot_be_built:
        return str(cannot_be_built)
    return ""
