"""The pipeline: every step of provisioning a Cloud PC, in one table.

Start reading here. Stage *core* must succeed, or the attempt fails; in *configure* a failing step leaves a warning
and the next runs; *assign* must succeed. `do` may be run twice at any time, after a crash it is. `makes` is what
the step may make in the outside world: a ledger row for each is written before `do` is called. `undo` says how
what it made goes away again; it works from the ledger, so it also finds what a crash left half done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from deskwright.domain.resources import Kind
from deskwright.errors import codes_for
from deskwright.provision.context import Done, StepContext
from deskwright.provision.steps import assign, configure, core


class Stage(StrEnum):
    CORE = "core"
    CONFIGURE = "configure"
    ASSIGN = "assign"
    ACTION = "action"
    """A remote action on a machine that is there, see `provision.remote`."""


@dataclass(frozen=True)
class Step:
    id: str
    stage: Stage
    title: str
    do: Callable[[StepContext], Done]
    makes: Callable[[StepContext], tuple[Kind, ...]]
    undo: str
    deadline: timedelta
    """In the tenant's time, from the step's start; hybrid join has a setting of its own."""
    usual: timedelta
    """For the estimate of the time left, until there are past runs to learn from."""
    overdue: str
    """The error code when the deadline passes."""

    @property
    def errors(self) -> tuple[str, ...]:
        """Codes this step may end with: those the catalogue lists for it."""
        return codes_for(self.id)

    @property
    def warns(self) -> bool:
        """Whether a failure leaves a warning instead of failing the attempt."""
        return self.stage is Stage.CONFIGURE

    @property
    def guarded(self) -> bool:
        """Whether the ground is looked at before it (V3): core steps, and the handing over."""
        return self.stage is not Stage.CONFIGURE


def nothing(_: StepContext) -> tuple[Kind, ...]:
    return ()


def always(*kinds: Kind) -> Callable[[StepContext], tuple[Kind, ...]]:
    return lambda _: kinds


_CONFIGURED = "nothing to undo: the setting goes with the machine"
_MIN = timedelta(minutes=1)

PIPELINE: tuple[Step, ...] = (
    Step(
        "C1",
        Stage.CORE,
        "Allocate capacity",
        core.allocate_capacity,
        always(Kind.CAPACITY),
        undo="the reservation is given back",
        deadline=15 * _MIN,
        usual=_MIN / 3,
        overdue="deploymentTimeout",
    ),
    Step(
        "C2",
        Stage.CORE,
        "Create VM",
        core.create_vm,
        always(Kind.VM, Kind.DISK),
        undo="VM and disk are deleted",
        deadline=60 * _MIN,
        usual=6 * _MIN,
        overdue="deploymentTimeout",
    ),
    Step(
        "C3",
        Stage.CORE,
        "Attach network",
        core.attach_network,
        core.makes_of_network,
        undo="NIC and address are released after the clean-up delay; the site's network and security group stay (L3)",
        deadline=15 * _MIN,
        usual=_MIN / 4,
        overdue="deploymentTimeout",
    ),
    Step(
        "C4",
        Stage.CORE,
        "Join directory",
        core.join_directory,
        core.makes_of_join,
        undo="the device object is deleted; the computer account is disabled and listed, never deleted (L3)",
        deadline=30 * _MIN,
        usual=3 * _MIN,
        overdue="deploymentTimeout",
    ),
    Step(
        "C5",
        Stage.CORE,
        "Enrol device",
        core.enrol_device,
        always(Kind.MANAGED_DEVICE),
        undo="the managed device is deleted",
        deadline=60 * _MIN,
        usual=3 * _MIN,
        overdue="intuneEnrollFailed",
    ),
    Step(
        "C6",
        Stage.CORE,
        "Set primary user",
        core.set_primary_user,
        nothing,
        undo="nothing to undo: the assignment goes with the managed device, the local account with the machine",
        deadline=15 * _MIN,
        usual=_MIN / 3,
        overdue="deploymentTimeout",
    ),
    Step(
        "P1",
        Stage.CONFIGURE,
        "Hide power icons",
        configure.hide_power_icons,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="startMenuPowerIconsError",
    ),
    Step(
        "P2",
        Stage.CONFIGURE,
        "Disable OS reset",
        configure.disable_reset,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="windowsResetError",
    ),
    Step(
        "P3",
        Stage.CONFIGURE,
        "Local administrator",
        configure.local_administrator,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="localAdminError",
    ),
    Step(
        "P4",
        Stage.CONFIGURE,
        "Teams VDI mode",
        configure.teams_vdi_mode,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="teamsOptimizationError",
    ),
    Step(
        "P5",
        Stage.CONFIGURE,
        "Time-zone redirection",
        configure.time_zone_redirection,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="timeZoneRedirectionError",
    ),
    Step(
        "P6",
        Stage.CONFIGURE,
        "Grow OS partition",
        configure.grow_partition,
        nothing,
        undo=_CONFIGURED,
        deadline=20 * _MIN,
        usual=_MIN / 4,
        overdue="diskAllocationError",
    ),
    Step(
        "P7",
        Stage.CONFIGURE,
        "Block high-risk ports",
        configure.block_high_risk_ports,
        nothing,
        undo=_CONFIGURED,
        deadline=10 * _MIN,
        usual=_MIN / 6,
        overdue="highRiskPortsError",
    ),
    Step(
        "A0",
        Stage.ASSIGN,
        "Check the sign-in path",
        assign.try_sign_in_path,
        nothing,
        undo="nothing to undo: it only looks",
        deadline=20 * _MIN,
        usual=_MIN,
        overdue="endpointCheckFailed",
    ),
    Step(
        "A1",
        Stage.ASSIGN,
        "Assign to user",
        assign.assign_user,
        nothing,
        undo="nothing to undo: the account goes with the machine",
        deadline=15 * _MIN,
        usual=_MIN / 6,
        overdue="deploymentTimeout",
    ),
)

STEPS: dict[str, Step] = {step.id: step for step in PIPELINE}
CONFIGURE_STEPS: tuple[str, ...] = tuple(step.id for step in PIPELINE if step.warns)
