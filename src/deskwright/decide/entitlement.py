"""Who is due a Cloud PC: rules E1-E8 as one pure function, from the facts about a user to a verdict for each pair."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from deskwright.decide.verdict import Action, Candidate, Verdict, Waiting
from deskwright.domain.status import Status


@dataclass(frozen=True)
class LiveCloudPc:
    """A Cloud PC that is not gone, as far as entitlement is concerned."""

    id: UUID
    plan_id: UUID
    status: Status
    policy_id: UUID | None
    policy_name: str | None = None
    waiting_for: Waiting | None = None
    target_plan_id: UUID | None = None
    """While it is resized: the pair with this plan is its own already (E2)."""


@dataclass(frozen=True)
class UserFacts:
    """Everything that decides about one user's Cloud PCs."""

    user_id: UUID
    exists: bool
    enabled: bool
    candidates: tuple[Candidate, ...] = ()
    """Every (policy, group) by which a policy reaches the user, in any order."""
    licences: Mapping[UUID, tuple[str, ...]] = field(default_factory=dict)
    """Plan -> where the licence comes from: ``directly``, or names of licensed groups. Both together are one (E1)."""
    cloud_pcs: tuple[LiveCloudPc, ...] = ()


def decide(user: UserFacts) -> list[Verdict]:
    """A verdict for each pair the user has a licence or a Cloud PC for, ordered by plan."""
    first, *others = _in_order(user.candidates) or (None,)
    existing = {pc.plan_id: pc for pc in user.cloud_pcs}
    becoming = {pc.target_plan_id for pc in user.cloud_pcs} - existing.keys()
    return [
        _decide_pair(user, plan, existing.get(plan), first, tuple(o for o in others if o is not None))
        for plan in sorted((user.licences.keys() | existing.keys()) - becoming)
    ]


def _in_order(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """E4: one candidate for each policy, by its earliest assignment, earliest first."""
    earliest: dict[UUID, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: c.number):
        earliest.setdefault(candidate.policy_id, candidate)
    return tuple(earliest.values())


def _decide_pair(
    user: UserFacts,
    plan: UUID,
    pc: LiveCloudPc | None,
    winner: Candidate | None,
    ignored: tuple[Candidate, ...],
) -> Verdict:
    entitled = user.exists and plan in user.licences
    reasons = _ground(user, plan, winner, ignored)
    lost = _lost(user, plan, pc)
    action, waiting = Action.NOTHING, None

    match pc.status if pc else None:
        case None:
            if entitled:
                waiting = _cannot_start(user, winner)
                action = Action.LIST if waiting else Action.CREATE
        case Status.NOT_PROVISIONED | Status.PENDING as status:
            assert pc is not None
            waiting = _cannot_start(user, winner)
            if not entitled:
                action, waiting = Action.REMOVE, None
            elif status is Status.NOT_PROVISIONED:
                action = Action.QUEUE if waiting is None else Action.NOTHING
            elif waiting:
                action = Action.UNQUEUE
            elif winner and (winner.policy_id, winner.policy_name) != (pc.policy_id, pc.policy_name):
                action = Action.AIM
        case Status.PROVISIONING:
            action = Action.STOP if lost else Action.NOTHING
        case Status.FAILED:
            action = Action.REMOVE if lost else Action.NOTHING
        case Status.PROVISIONED | Status.WARNINGS:
            action = Action.ENTER_GRACE if lost else Action.NOTHING
        case Status.RESIZING | Status.RESTORING:
            action = Action.GRACE_LATER if lost else Action.NOTHING
        case Status.IN_GRACE:
            action = Action.NOTHING if lost else Action.LEAVE_GRACE
        case _:
            pass

    return Verdict(
        user_id=user.user_id,
        plan_id=plan,
        action=action,
        status=pc.status if pc else None,
        cloud_pc_id=pc.id if pc else None,
        policy=winner,
        ignored=ignored,
        waiting_for=waiting,
        lost=lost,
        reasons=(*reasons, *_held_by(pc, lost, winner)),
    )


def _cannot_start(user: UserFacts, winner: Candidate | None) -> Waiting | None:
    if winner is None:
        return Waiting.NO_POLICY
    return None if user.enabled else Waiting.ACCOUNT_DISABLED


def _lost(user: UserFacts, plan: UUID, pc: LiveCloudPc | None) -> tuple[str, ...]:
    """E8: what a Cloud PC hangs on and no longer has. Another policy that reaches the user does not help."""
    if pc is None or pc.status in {Status.NOT_PROVISIONED, Status.PENDING, Status.DEPROVISIONING}:
        return ()
    return tuple(
        what
        for what, gone in (
            ("user", not user.exists),
            ("licence", plan not in user.licences),
            ("policy", pc.policy_id not in {c.policy_id for c in user.candidates}),
        )
        if gone
    )


def _ground(user: UserFacts, plan: UUID, winner: Candidate | None, ignored: tuple[Candidate, ...]) -> tuple[str, ...]:
    lines = []
    if not user.exists:
        lines.append("The user has been deleted.")
    elif not user.enabled:
        lines.append("The user's account is disabled: nothing new is started, nothing is taken away.")
    sources = user.licences.get(plan)
    if sources:
        lines.append("The licence is assigned " + " and ".join(_source(s) for s in sources) + ".")
    else:
        lines.append("The user does not hold this licence.")
    if winner is None:
        lines.append("No provisioning policy is assigned to a group the user is a direct member of.")
    else:
        lines.append(
            f"Policy '{winner.policy_name}' reaches the user by group '{winner.group_name}' "
            f"(assignment number {winner.number})."
        )
    lines.extend(
        f"Policy '{o.policy_name}' by group '{o.group_name}' is ignored: it was assigned later (number {o.number})."
        for o in ignored
    )
    return tuple(lines)


def _source(source: str) -> str:
    return "directly" if source == "directly" else f"through group '{source}'"


def _held_by(pc: LiveCloudPc | None, lost: tuple[str, ...], winner: Candidate | None) -> tuple[str, ...]:
    if pc is None or pc.policy_id is None or pc.status in {Status.NOT_PROVISIONED, Status.PENDING}:
        return ()
    if "policy" in lost:
        also = f" That policy '{winner.policy_name}' reaches the user now does not keep it." if winner else ""
        return (f"The Cloud PC was made by policy '{pc.policy_name}', which no longer reaches the user.{also}",)
    if winner and winner.policy_id != pc.policy_id:
        return (
            f"The Cloud PC was made by policy '{pc.policy_name}' and stays as it is; "
            f"a reprovision would use '{winner.policy_name}'.",
        )
    return ()
