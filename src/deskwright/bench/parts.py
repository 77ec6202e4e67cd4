"""The parts there are, with their sizes; and running them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.bench import machine
from deskwright.bench.api import api
from deskwright.bench.directory import directory
from deskwright.bench.ground import Server, server
from deskwright.bench.machines import machines
from deskwright.bench.memory import memory
from deskwright.bench.pages import pages
from deskwright.bench.provisioning import provisioning
from deskwright.bench.reconcile import reconcile
from deskwright.bench.results import Part
from deskwright.bench.viewers import viewers
from deskwright.bench.waiting import waiting

Tell = Callable[[str], None]
FULL, QUICK, SMALLEST = "full", "quick", "smallest"
"""`smallest` is for the test that everything works: it measures nothing worth reading."""


@dataclass(frozen=True)
class Listed:
    about: str
    run: Callable[..., Part]
    sizes: Mapping[str, Mapping[str, Any]]


PARTS: dict[str, Listed] = {
    "provisioning": Listed(
        "Cloud PCs a second and CPU for each, beside the database's own limit",
        provisioning,
        {
            FULL: {"cloud_pcs": 400, "rounds": 5, "concurrency": 8},
            QUICK: {"cloud_pcs": 60, "rounds": 3, "concurrency": 8},
            SMALLEST: {"cloud_pcs": 3, "rounds": 1, "concurrency": 2},
        },
    ),
    "reconcile": Listed(
        "one membership change in tenants of growing size",
        reconcile,
        {
            FULL: {"sizes": (1_000, 10_000, 100_000, 1_000_000), "changes": 60, "starts": 30},
            QUICK: {"sizes": (1_000, 10_000, 100_000), "changes": 30, "starts": 15},
            SMALLEST: {"sizes": (20, 40), "changes": 2, "starts": 1},
        },
    ),
    "waiting": Listed(
        "what a worker pays for runs that only wait",
        waiting,
        {
            FULL: {"runs": 100_000, "settle_seconds": 15.0},
            QUICK: {"runs": 10_000, "settle_seconds": 5.0},
            SMALLEST: {"runs": 50, "settle_seconds": 0.2},
        },
    ),
    "memory": Listed(
        "resident memory of the service",
        memory,
        {FULL: {"cloud_pcs": 100}, QUICK: {"cloud_pcs": 100}, SMALLEST: {"cloud_pcs": 2}},
    ),
    "api": Listed(
        "how quickly the Graph API answers, beside the framework's empty answer",
        api,
        {
            FULL: {"cloud_pcs": 100_000, "page": 100, "rounds": 5, "seconds": 20.0, "requests": 300},
            QUICK: {"cloud_pcs": 10_000, "page": 100, "rounds": 3, "seconds": 5.0, "requests": 100},
            SMALLEST: {"cloud_pcs": 20, "page": 5, "rounds": 1, "seconds": 0.1, "requests": 4},
        },
    ),
    "pages": Listed(
        "how quickly the admin center's first page and its list of Cloud PCs come, and how large they are",
        pages,
        {
            FULL: {"cloud_pcs": 100_000, "requests": 100, "each": 15},
            QUICK: {"cloud_pcs": 10_000, "requests": 40, "each": 5},
            SMALLEST: {"cloud_pcs": 20, "requests": 2, "each": 1},
        },
    ),
    "viewers": Listed(
        "pages that are open and watch: memory, and when they show a change",
        viewers,
        {
            FULL: {"viewers": 1000, "changes": 40},
            QUICK: {"viewers": 300, "changes": 10},
            SMALLEST: {"viewers": 3, "changes": 1},
        },
    ),
    "directory": Listed(
        "synchronising people and groups from a real domain controller",
        directory,
        {
            FULL: {"people": 10_000, "groups": 500, "changes": 50},
            QUICK: {"people": 2_000, "groups": 100, "changes": 50},
            SMALLEST: {"people": 20, "groups": 4, "changes": 5},
        },
    ),
    "machines": Listed(
        "real machines by Deskwright, beside the same by hand",
        machines,
        {
            FULL: {"rounds": 5, "rounds_at_once": 3, "rounds_on_systemd": 3, "warm_up": True},
            QUICK: {"rounds": 2, "rounds_at_once": 1, "rounds_on_systemd": 0, "warm_up": True},
            SMALLEST: {"rounds": 1, "rounds_at_once": 0, "rounds_on_systemd": 0, "warm_up": False},
        },
    ),
}


def run_parts(names: Iterable[str], size: str, tell: Tell, done: Callable[[Part], None]) -> dict[str, Any]:
    """Run these parts in a database server of their own; `done` is told each when it has ended. Returns the report."""
    parts: dict[str, Any] = {}
    with server() as ground:
        about = machine.describe(ground.directory, ground.version())
        for name in names:
            parts[name] = _run(ground, name, size, tell, done).as_json()
        about["loadAverageAfter"] = machine.load()
        about["calibrationNsAfter"] = machine.calibrate()
    return {"size": size, "machine": about, "parts": parts}


def _run(ground: Server, name: str, size: str, tell: Tell, done: Callable[[Part], None]) -> Part:
    listed = PARTS[name]
    part = listed.run(ground, tell, **listed.sizes[size])
    done(part)
    return part
