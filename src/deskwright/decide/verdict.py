"""The verdict: what should become of one pair (user, Cloud PC licence), and why.

Reconcile acts on it, `explain` and `plan` print it, the pages show it. Nothing else decides.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from deskwright.domain.status import Status


class Action(StrEnum):
    """What reconcile does. The value is what `plan` prints."""

    NOTHING = "leave alone"
    CREATE = "create"
    """A Cloud PC is due: make its row, pending, to be started when a seat is free."""
    LIST = "list as not provisioned"
    """A licence is there, but nothing can be started: a visible row with the reason (E5)."""
    QUEUE = "queue"
    """A listed one has become due: notProvisioned -> pendingProvision."""
    UNQUEUE = "take from the queue"
    """A pending one is not due now: pendingProvision -> notProvisioned."""
    AIM = "aim at another policy"
    """A pending one will be made by another policy than it was."""
    REMOVE = "remove"
    """Never provisioned and no longer entitled: the row goes, a failed one's remains are cleaned up (E8)."""
    STOP = "stop"
    """Its run is under way and the ground is gone: the run stops at its next step (V3)."""
    ENTER_GRACE = "enter grace"
    GRACE_LATER = "enter grace when its remote action ends"
    """Lost while it is resized or restored: what it was comes back first, then it enters grace (E8)."""
    LEAVE_GRACE = "leave grace"


class Waiting(StrEnum):
    """Why there is no Cloud PC yet."""

    NO_POLICY = "noPolicy"
    """No policy reaches the user."""
    ACCOUNT_DISABLED = "accountDisabled"
    SEAT = "seat"
    """All seats of the plan are taken."""
    CONNECTION = "connection"
    """No connection of the policy is healthy (V3)."""
    START = "start"
    """Nothing: it starts as soon as a worker gets to it."""


@dataclass(frozen=True)
class Candidate:
    """A policy that reaches the user, by the group and the number of its first assignment that does."""

    policy_id: UUID
    policy_name: str
    number: int
    group_name: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on one pair. `reasons` are whole sentences in the order a person would give them."""

    user_id: UUID
    plan_id: UUID
    action: Action
    status: Status | None = None
    """What the pair's Cloud PC is now; None without one."""
    cloud_pc_id: UUID | None = None
    policy: Candidate | None = None
    """The policy that reaches the pair and wins, if any does."""
    ignored: tuple[Candidate, ...] = ()
    """The others, in order (E4)."""
    waiting_for: Waiting | None = None
    lost: tuple[str, ...] = ()
    """For grace: what was lost, of `user`, `licence`, `policy`."""
    reasons: tuple[str, ...] = field(default=())

    @property
    def loses(self) -> bool:
        """Whether somebody would lose a Cloud PC they can use, or one that is being made for them."""
        return self.action in {Action.ENTER_GRACE, Action.GRACE_LATER, Action.STOP} or (
            self.action is Action.REMOVE and self.status is Status.FAILED
        )
