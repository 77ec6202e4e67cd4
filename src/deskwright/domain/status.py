"""The life of a Cloud PC: its statuses and every legal transition between them, in one table.

The values are those of the Graph API's ``cloudPcStatus``. ``GONE`` is not one of them: a Cloud PC that
is gone is no longer listed, its row stays for the timeline and for what is still to be cleaned up.
"""

from enum import StrEnum


class Status(StrEnum):
    NOT_PROVISIONED = "notProvisioned"
    PENDING = "pendingProvision"
    PROVISIONING = "provisioning"
    PROVISIONED = "provisioned"
    WARNINGS = "provisionedWithWarnings"
    FAILED = "failed"
    RESIZING = "resizing"
    RESTORING = "restoring"
    IN_GRACE = "inGracePeriod"
    DEPROVISIONING = "deprovisioning"
    GONE = "gone"


# A person can work on these (E8: also during grace).
USABLE = frozenset({Status.PROVISIONED, Status.WARNINGS, Status.IN_GRACE})
# A remote action takes the machine away from its user for a while; what it was before comes back with the run's end.
TAKEN_AWAY = frozenset({Status.RESIZING, Status.RESTORING})
# These hold no seat of their service plan (E6).
WITHOUT_SEAT = frozenset({Status.NOT_PROVISIONED, Status.PENDING, Status.GONE})
# Nothing changes from here by itself within minutes: what `make demo` and `wait` count as settled.
SETTLED = frozenset(
    {
        Status.PROVISIONED,
        Status.WARNINGS,
        Status.FAILED,
        Status.NOT_PROVISIONED,
        Status.PENDING,
        Status.IN_GRACE,
    }
)

S = Status
TRANSITIONS: dict[Status, frozenset[Status]] = {
    # a licence without a policy, or a person who may not start one now
    S.NOT_PROVISIONED: frozenset({S.PENDING, S.GONE}),
    # due, waiting for a seat, a healthy connection, or simply for its turn
    S.PENDING: frozenset({S.PROVISIONING, S.NOT_PROVISIONED, S.GONE}),
    # back to pending when its connection turned unhealthy before C1 (V3); deprovisioning when the ground is gone
    S.PROVISIONING: frozenset({S.PROVISIONED, S.WARNINGS, S.FAILED, S.PENDING, S.DEPROVISIONING}),
    # the two provisioned ones turn into each other by repair (R12)
    S.PROVISIONED: frozenset({S.WARNINGS, S.PROVISIONING, S.RESIZING, S.RESTORING, S.IN_GRACE}),
    S.WARNINGS: frozenset({S.PROVISIONED, S.PROVISIONING, S.RESIZING, S.RESTORING, S.IN_GRACE}),
    # back when the run ends, however it ends; what was lost meanwhile leads to grace from there (E8)
    S.RESIZING: frozenset({S.PROVISIONED, S.WARNINGS}),
    S.RESTORING: frozenset({S.PROVISIONED, S.WARNINGS}),
    # retry and reprovision lead to provisioning, lost entitlement to deprovisioning: no grace (E8)
    S.FAILED: frozenset({S.PROVISIONING, S.DEPROVISIONING}),
    S.IN_GRACE: frozenset({S.PROVISIONED, S.WARNINGS, S.DEPROVISIONING}),
    S.DEPROVISIONING: frozenset({S.GONE}),
    S.GONE: frozenset(),
}
del S


def sources_of(then: Status) -> list[Status]:
    """Every status from which a Cloud PC may move to `then`."""
    return [now for now, targets in TRANSITIONS.items() if then in targets]
