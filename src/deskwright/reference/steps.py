"""The page about statuses, steps, resources and deadlines."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from deskwright.domain.resources import RESOURCES, Kind
from deskwright.domain.status import SETTLED, TRANSITIONS, USABLE, WITHOUT_SEAT, Status
from deskwright.provision.pipeline import PIPELINE, Stage, Step
from deskwright.provision.remote import ACTION_STEPS, ACTIONS
from deskwright.reconcile.deadlines import DEADLINES
from deskwright.reference.markdown import code, minutes_of, page, table, yes


def state_diagram() -> str:
    """The legal transitions as a Mermaid state diagram."""
    beginnings = (Status.NOT_PROVISIONED, Status.PENDING)  # what reconcile makes rows in
    lines = ["stateDiagram-v2", *(f"    [*] --> {first}" for first in beginnings)]
    for now in Status:
        lines.extend(f"    {now} --> {then}" for then in Status if then in TRANSITIONS[now])
    return "\n".join(("```mermaid", *lines, f"    {Status.GONE} --> [*]", "```"))


def makes(step: Step) -> tuple[Kind, ...]:
    """Every kind a step may make, over a hosted network and over a connection with hybrid join."""
    places: tuple[Any, ...] = tuple(
        SimpleNamespace(ground=SimpleNamespace(connection_id=connection), hybrid=connection is not None)
        for connection in (None, "some")
    )
    found = {kind for place in places for kind in step.makes(place)}
    return tuple(kind for kind in RESOURCES if kind in found)


PIPELINE_STAGES = tuple(dict.fromkeys(step.stage for step in PIPELINE))


def stage_codes(stage: Stage) -> tuple[str, ...]:
    """The codes that every step of the stage may end with."""
    first, *others = (step.errors for step in PIPELINE if step.stage is stage)
    return tuple(code for code in first if all(code in other for other in others))


def own_codes(step: Step) -> tuple[str, ...]:
    """The codes of a step, without those of its stage."""
    return tuple(code for code in step.errors if code not in stage_codes(step.stage))


def _codes(codes: Iterable[str]) -> str:
    return ", ".join(f"[{code}](errors.md#{code.lower()})" for code in codes) or "none of its own"


def status_and_steps_page() -> str:
    return page(
        "Statuses, steps, resources and deadlines",
        "## Statuses of a Cloud PC",
        "The diagram and the table say the same: which status may follow which. `gone` is the end; a Cloud PC that is"
        " gone is no longer listed.",
        state_diagram(),
        table(
            ("status", "may become", "usable", "holds a seat", "settled"),
            (
                (
                    code(now),
                    ", ".join(code(then) for then in Status if then in TRANSITIONS[now]) or "nothing",
                    yes(now in USABLE),
                    yes(now not in WITHOUT_SEAT),
                    yes(now in SETTLED),
                )
                for now in Status
            ),
        ),
        "Usable: the user can work on it. Settled: nothing changes by itself within minutes; what `apply --wait` and"
        " the demo wait for.",
        "## Steps of the pipeline",
        "In the order in which they run. Deadline and usual time are in the tenant's time. The deadline counts from the"
        " step's start; for C4 with hybrid join it is the setting `hybridJoinWaitInMinutes`. A step that warns leaves"
        " a warning when it fails, any other fails the attempt.",
        table(
            ("step", "stage", "title", "makes", "deadline", "usual", "when overdue", "warns"),
            (
                (
                    s.id,
                    s.stage,
                    s.title,
                    ", ".join(makes(s)) or "nothing",
                    minutes_of(s.deadline),
                    minutes_of(s.usual),
                    code(s.overdue),
                    yes(s.warns),
                )
                for s in PIPELINE
            ),
        ),
        "How each is undone, and with which codes it may fail:",
        table(("step", "undo", "error codes"), ((s.id, s.undo, _codes(own_codes(s))) for s in PIPELINE)),
        "Codes that every step of a stage may end with besides:",
        table(("stage", "error codes"), ((stage, _codes(stage_codes(stage))) for stage in PIPELINE_STAGES)),
        "## Remote actions",
        "What can be asked of a Cloud PC that is there. Each is a run of its own, with one attempt: a failure leaves"
        " the Cloud PC as it was. The steps with an R are theirs alone; P3, P6 and A0 are those of the pipeline.",
        table(
            ("action", "in the API's results", "steps"),
            (
                (kind.words, code(kind.action_name), ", ".join(f"{s.id} {s.title}" for s in steps) or "none: at once")
                for kind, steps in ACTIONS.items()
            ),
        ),
        table(
            ("step", "title", "makes", "deadline", "usual", "when overdue", "undo", "error codes"),
            (
                (
                    s.id,
                    s.title,
                    ", ".join(makes(s)) or "nothing",
                    minutes_of(s.deadline),
                    minutes_of(s.usual),
                    code(s.overdue),
                    s.undo,
                    _codes(s.errors),
                )
                for s in ACTION_STEPS
            ),
        ),
        "## Resources",
        "What Deskwright makes in the outside world. Each has a row in the ledger before it is asked for.",
        table(
            ("kind", "held by", "released", "shared by a site", "on release", "why"),
            (
                (
                    code(r.kind),
                    r.provider,
                    r.release,
                    yes(r.shared),
                    "kept" if r.shared else "disabled and listed" if r.disabled_only else "deleted",
                    r.why,
                )
                for r in RESOURCES.values()
            ),
        ),
        "## Deadlines",
        "Everything that waits for a time: a column, and the job that is due when that time has passed.",
        table(
            ("what", "column", "job", "for"),
            ((d.what, code(f"{d.table}.{d.column}"), code(d.job), code(f"{d.table}.{d.job_id}")) for d in DEADLINES),
        ),
    )
