"""The remote actions: the steps of every run that acts on a machine which is there, in one table.

They are steps like those of the pipeline (V4, V6): done again after a crash, written down under the run's lease. But
there is one attempt, the ground is not looked at, and a failure leaves the Cloud PC as it was: each action changes
the machine in its first step, and what follows only warns. How a run of each kind ends is in `provision.remote_ending`.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from deskwright.domain.resources import Kind
from deskwright.domain.runs import RunKind
from deskwright.provision.pipeline import PIPELINE, STEPS, Stage, Step, always, nothing
from deskwright.provision.steps import remote

_MIN = timedelta(minutes=1)
_AGAIN = "nothing to undo: the opposite action does it"

RESTART = Step(
    "R1",
    Stage.ACTION,
    "Restart",
    remote.restart,
    nothing,
    undo="nothing to undo: the machine runs as before",
    deadline=20 * _MIN,
    usual=_MIN,
    overdue="deploymentTimeout",
)
POWER_ON = Step(
    "R2",
    Stage.ACTION,
    "Power on",
    remote.power_on,
    nothing,
    undo=_AGAIN,
    deadline=20 * _MIN,
    usual=_MIN,
    overdue="deploymentTimeout",
)
POWER_OFF = Step(
    "R3",
    Stage.ACTION,
    "Power off",
    remote.power_off,
    nothing,
    undo=_AGAIN,
    deadline=20 * _MIN,
    usual=_MIN / 2,
    overdue="deploymentTimeout",
)
RESIZE = Step(
    "R4",
    Stage.ACTION,
    "Resize machine",
    remote.resize,
    nothing,
    undo="nothing to undo: another resize, as far as disks allow",
    deadline=60 * _MIN,
    usual=5 * _MIN,
    overdue="deploymentTimeout",
)
CREATE_SNAPSHOT = Step(
    "R5",
    Stage.ACTION,
    "Create snapshot",
    remote.create_snapshot,
    always(Kind.SNAPSHOT),
    undo="the snapshot is deleted",
    deadline=60 * _MIN,
    usual=2 * _MIN,
    overdue="deploymentTimeout",
)
RESTORE = Step(
    "R6",
    Stage.ACTION,
    "Restore snapshot",
    remote.restore,
    nothing,
    undo="nothing to undo: what was there before is lost",
    deadline=60 * _MIN,
    usual=5 * _MIN,
    overdue="deploymentTimeout",
)
DESCRIBE_DEVICE = Step(
    "P8",
    Stage.CONFIGURE,
    "Update device details",
    remote.describe_device,
    nothing,
    undo="nothing to undo: the details go with the device objects",
    deadline=10 * _MIN,
    usual=_MIN / 12,
    overdue="deviceDetailsError",
)
_GROW_PARTITION = replace(STEPS["P6"], do=remote.grow_partition)
# Asked for by name, it either succeeds or fails: a warning would be a false success.
_CHANGE_ADMINISTRATOR = replace(STEPS["P3"], stage=Stage.ACTION, title="Change account type")

ACTIONS: dict[RunKind, tuple[Step, ...]] = {
    RunKind.RESTART: (RESTART,),
    RunKind.POWER_ON: (POWER_ON,),
    RunKind.POWER_OFF: (POWER_OFF,),
    RunKind.RENAME: (),  # a name of ours alone: done where it is asked for
    RunKind.RESIZE: (RESIZE, _GROW_PARTITION, DESCRIBE_DEVICE),
    RunKind.SNAPSHOT: (CREATE_SNAPSHOT,),
    RunKind.RESTORE: (RESTORE, _GROW_PARTITION),
    RunKind.CHANGE_USER_ACCOUNT_TYPE: (_CHANGE_ADMINISTRATOR,),
    RunKind.TROUBLESHOOT: (STEPS["A0"],),
}

ACTION_STEPS: tuple[Step, ...] = (RESTART, POWER_ON, POWER_OFF, RESIZE, CREATE_SNAPSHOT, RESTORE, DESCRIBE_DEVICE)
"""The steps that only remote actions have."""
EVERY_STEP: dict[str, Step] = {step.id: step for step in (*PIPELINE, *ACTION_STEPS)}
REPAIRABLE: tuple[str, ...] = tuple(step.id for step in EVERY_STEP.values() if step.warns)
"""The configure steps, in order: those that a repair may run again (R12)."""


def steps_of(kind: RunKind, options: Mapping[str, Any]) -> tuple[Step, ...]:
    """A run's steps, in order."""
    if kind is RunKind.REPAIR:
        return tuple(EVERY_STEP[step] for step in options["steps"])
    return ACTIONS.get(kind, PIPELINE)
