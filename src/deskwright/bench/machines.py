"""Real machines: how much longer one takes by Deskwright than by hand, on the smallest image, in a libvirt of its own.

Goals: at most two seconds more for one, and at most 1.3 times as long for four at once. The disk of a machine from an
image of 20 GB is made in less than a second and takes a few hundred kB.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from deskwright.bench import machine
from deskwright.bench.by_hand import IMAGE, SIZE, Machine
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

MORE_SECONDS, TIMES_BY_HAND, DISK_SECONDS, DISK_KB = 2.0, 1.3, 1.0, 400.0
AT_ONCE = 4
_PROGRAMS = ("libvirtd", "virtlogd", "qemu-system-x86_64", "qemu-img", "unshare", "nsenter")
_IMAGE_GB, _DISK_GB, _DISKS, _MIB = 20, 64, 10, 1 << 20
_NAME, _ACCOUNT, _ONE_TIME = "CPC-perso-B3NCH", "person", "Xy12-Za34-Bc56"
_RECORD = '{"displayName": "CPC-perso-B3NCH", "enrollmentProfileName": "Desktops", "token": "a token of usual length"}'
Tell = Callable[[str], None]


def machines(server: Server, tell: Tell, *, rounds: int, rounds_at_once: int, warm_up: bool) -> Part:
    """By hand and by Deskwright in turns, each first in every other round."""
    part = Part("machines", "Real machines, emulated: the smallest image")
    missing = _missing()
    if missing:
        part.notes = [f"Not measured: {missing}."]
        return part
    from deskwright.bench.by_deskwright import built_image, company
    from deskwright.providers.libvirt.sandbox import sandbox

    tell("machines: the image, and its trial on the host")
    image = built_image()
    with sandbox(server.directory / "host") as host:
        with company(server, host) as ours:
            if warm_up:
                tell("machines: one that does not count")
                _by_deskwright(ours, 1)
            one = [_round(ours, image, n, 1, f"machines: round {n + 1} of {rounds}", tell) for n in range(rounds)]
            what = f"machines: {AT_ONCE} at once, round"
            several = [_round(ours, image, n, AT_ONCE, f"{what} {n + 1}", tell) for n in range(rounds_at_once)]
        tell(f"machines: disks from an image of {_IMAGE_GB} GB")
        seconds, kilobytes = _disks(host)

    more = statistics.median(r["ours"] - r["byHand"] for r in one)
    part.add("one: from the entitlement to provisioned", statistics.median(r["ours"] for r in one), "s")
    part.add("  by hand", statistics.median(r["byHand"] for r in one), "s")
    part.add("  more than by hand", more, "s", at_most=MORE_SECONDS)
    if several:
        part.add(f"{AT_ONCE} at once: to the last", statistics.median(r["ours"] for r in several), "s")
        part.add("  by hand", statistics.median(r["byHand"] for r in several), "s")
        times = statistics.median(r["ours"] / r["byHand"] for r in several)
        part.add("  times by hand", times, "x", at_most=TIMES_BY_HAND)
    _add_steps(part, one)
    part.add(f"a disk from an image of {_IMAGE_GB} GB: slowest of {_DISKS}", max(seconds), "s", at_most=DISK_SECONDS)
    part.add("  what it takes", max(kilobytes), "kB", at_most=DISK_KB)
    loads = [r["loadAverage"] for r in (*one, *several)]
    part.details = {"one": one, "atOnce": several, "diskSeconds": seconds, "diskKilobytes": kilobytes}
    part.notes = [
        f"{SIZE.vcpu} vCPU, {SIZE.ram_gb} GB. By hand: plain QEMU with the same devices, its card plugged in at once, "
        "into QEMU's user network; C2: disk, seed, QEMU's start; C3: until agent and address are there; then the same "
        "scripts, one after the other.",
        f"Medians of {rounds} rounds ({rounds_at_once} of {AT_ONCE} at once), by hand and ours in turns. Load average "
        f"before them: {min(loads):.1f} to {max(loads):.1f}; the machines keep {os.cpu_count()} cores busy themselves.",
    ]
    return part


def _add_steps(part: Part, rounds: Sequence[dict[str, Any]]) -> None:
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


def _round(company: "Company", image: Built, number: int, at_once: int, called: str, tell: Tell) -> dict[str, Any]:
    load = machine.load()[0]

    def by_hand() -> list[dict[str, float]]:
        tell(f"{called}, by hand")
        return _by_hand(image, at_once)

    def ours() -> list[dict[str, float]]:
        tell(f"{called}, by Deskwright")
        return _by_deskwright(company, at_once)

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


def _by_deskwright(company: "Company", at_once: int) -> list[dict[str, float]]:
    steps = company.provision(at_once)
    company.remove()
    return steps


def _by_hand(image: Built, at_once: int) -> list[dict[str, float]]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda _: _one_by_hand(image), range(at_once)))


def _one_by_hand(image: Built) -> dict[str, float]:
    """Seconds by the name of the step they stand beside."""
    directory = Path(tempfile.mkdtemp(prefix="dwh"))
    steps: dict[str, float] = {}
    began = time.monotonic()

    def took(step: str) -> None:
        nonlocal began
        now = time.monotonic()
        steps[step], began = now - began, now

    made = Machine(image, SIZE, directory, _NAME)
    try:
        took("C2")
        made.wait_for_agent()
        made.wait_for_address()
        took("C3")
        for step, actions in _told_inside(SIZE.storage_gb).items():
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
        if built(Settings().image_dir / IMAGE) is None:
            tools.require(*programs())
    except tools.MissingTools as cannot_be_built:
        return str(cannot_be_built)
    return ""
