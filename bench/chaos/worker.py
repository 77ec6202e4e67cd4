"""`deskwright worker`, standing still at chosen instants: there its killer finds it.

`DESKWRIGHT_CHAOS` is a JSON object: `marks`, a directory, and `points`, subject -> [point, moment]. Whoever comes to
its point leaves a file named like the subject and stands until there is a file ``go``. Each point is met once: the
successor of a killed process passes it by.

Moments: *before* the outside world is asked; *inside*, it has done it and nobody has heard of it; *after*, it has been
written down and nothing has followed.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from deskwright import worker
from deskwright.cli import main
from deskwright.providers.registry import providers_for
from deskwright.provision import clean_up, ending, records
from deskwright.provision import run as engine
from deskwright.provision.context import RunFacts
from deskwright.provision.pipeline import Step
from deskwright.reconcile import grace, images
from deskwright.store.statements import ask

END_OF_GRACE, RELEASE, IMAGE = "end of grace", "release", "image"


@cache
def _orders() -> tuple[Path, dict[str, list[str]]]:
    given = json.loads(os.environ["DESKWRIGHT_CHAOS"])
    return Path(given["marks"]), given["points"]


def stand(subject: str, point: str, moment: str) -> None:
    """Stand still if this is the subject's point, and it is met for the first time."""
    marks, points = _orders()
    if points.get(subject) != [point, moment]:
        return
    try:
        (marks / subject).open("x").close()
    except FileExistsError:
        return
    while not (marks / "go").exists():
        time.sleep(0.02)
    (marks / f"{subject}.gone-on").touch()


def around(subject: str, point: str, does: Callable[[], Any]) -> Any:
    """What is done outside, with a stop before it and one before anybody hears of it."""
    stand(subject, point, "before")
    answer = does()
    stand(subject, point, "inside")
    return answer


def _stops_in_steps() -> None:
    planned, advance, succeed = engine.planned_steps, records.advance, ending.succeed

    def watched(run: RunFacts, step: Step) -> Step:
        return replace(step, do=lambda ctx: around(_name(run), step.id, lambda: step.do(ctx)))

    def planned_steps(run: RunFacts) -> tuple[Step, ...]:
        return tuple(watched(run, step) for step in planned(run))

    def advancing(database: Any, run: RunFacts, connection: Any, ended: Any, *rest: Any, **named: Any) -> Any:
        watch = advance(database, run, connection, ended, *rest, **named)
        if ended is not None:
            stand(_name(run), ended.step, "after")
        return watch

    def succeeding(world: Any, run: RunFacts, ground: Any, ended: Any, *rest: Any) -> None:
        succeed(world, run, ground, ended, *rest)
        stand(_name(run), ended.step, "after")

    vars(engine)["planned_steps"] = planned_steps
    vars(records)["advance"] = advancing
    vars(ending)["succeed"] = succeeding


def _name(run: RunFacts) -> str:
    return run.user.split("@")[0]


def _stops_in_clean_up() -> None:
    key_of: dict[Any, str] = {}

    class Provider:
        def __init__(self, real: Any) -> None:
            self.real = real

        def release(self, kind: Any, key: str) -> None:
            around(key.split(":")[1], f"{RELEASE} {kind}", lambda: self.real.release(kind, key))

    class Known:
        def __init__(self, *of: Any) -> None:
            self.real = providers_for(*of)

        def of(self, name: str) -> Provider:
            return Provider(self.real.of(name))

    def asking(engine: Any, statement: str, values: Any) -> Any:
        rows = ask(engine, statement, values)
        if statement == clean_up._DUE:
            key_of.update({row.id: row.key for row in rows})
        elif statement == clean_up._RELEASED:
            _, cloud_pc, *_, kind = key_of[values["id"]].split(":")
            stand(cloud_pc, f"{RELEASE} {kind}", "after")
        return rows

    vars(clean_up)["providers_for"] = Known
    vars(clean_up)["ask"] = asking


def _stops_at_end_of_grace() -> None:
    ends, deprovision = grace.end_if_expired, grace.deprovision

    def ending_grace(database: Any, cloud_pc: UUID) -> None:
        stand(str(cloud_pc), END_OF_GRACE, "before")
        ends(database, cloud_pc)
        stand(str(cloud_pc), END_OF_GRACE, "after")

    def deprovisioning(connection: Any, cloud_pcs: Any, *rest: Any, **named: Any) -> Any:
        moved = deprovision(connection, cloud_pcs, *rest, **named)
        for cloud_pc in cloud_pcs:
            stand(str(cloud_pc), END_OF_GRACE, "inside")  # the transaction is open
        return moved

    vars(worker)["end_if_expired"] = ending_grace
    vars(grace)["deprovision"] = deprovisioning


def _stops_at_images() -> None:
    builds, prepare = images.build_image, images._prepare

    def building(database: Any, image: UUID) -> None:
        builds(database, image)
        stand(str(image), IMAGE, "after")

    def preparing(database: Any, site: Any, order: Any) -> Any:
        return around(str(order.id), IMAGE, lambda: prepare(database, site, order))

    vars(worker)["build_image"] = building
    vars(images)["_prepare"] = preparing


# The synchronisation of a domain (`operations.domain_sync`) gets its stops here, and its people in `life`.

if __name__ == "__main__":
    for put in (_stops_in_steps, _stops_in_clean_up, _stops_at_end_of_grace, _stops_at_images):
        put()
    main()
