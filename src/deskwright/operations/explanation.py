"""Explaining a user (R2): the very verdicts reconcile acts on, with what happens next and when."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.decide.entitlement import decide
from deskwright.decide.verdict import Action, Candidate, Verdict, Waiting
from deskwright.domain.rules import NotFound
from deskwright.domain.status import Status
from deskwright.operations.change import TenantRef
from deskwright.operations.listing import cloud_pcs
from deskwright.reconcile import facts

_USER = text(
    """
    SELECT id, user_principal_name, display_name, account_enabled, deleted_at FROM users
     WHERE tenant_id = :tenant AND (lower(user_principal_name) = lower(:name) OR id::text = lower(:name))
     ORDER BY deleted_at DESC NULLS FIRST LIMIT 1
    """
)
_GROUPS = text(
    "SELECT g.display_name FROM memberships m JOIN groups g ON g.id = m.group_id "
    "WHERE m.user_id = :user ORDER BY lower(g.display_name)"
)
_PLANS = text("SELECT id, display_name, seats, seats_used FROM service_plans WHERE tenant_id = :tenant")
_CONNECTIONS = text(
    """
    SELECT k.display_name, k.health_status, k.checking, k.next_check_at FROM policy_connections pc
      JOIN connections k ON k.id = pc.connection_id WHERE pc.policy_id = :policy ORDER BY pc.position
    """
)
_TOUCHED = text("SELECT EXISTS (SELECT 1 FROM touched_users WHERE tenant_id = :tenant AND user_id = :user)")

_LOST = {"user": "the user", "licence": "the licence", "policy": "the policy"}


def explain_user(connection: Connection, tenant: TenantRef, upn: str) -> dict[str, Any]:
    """The user, and for each licence or Cloud PC the verdict, its reasons, and what happens next."""
    user = connection.execute(_USER, {"tenant": tenant.id, "name": upn}).one_or_none()
    if user is None:
        raise NotFound("userPrincipalName", upn, "deskwright user list shows those there are")
    known = facts.load(connection, tenant.id, [user.id])[user.id]
    plans = {row.id: row for row in connection.execute(_PLANS, {"tenant": tenant.id})}
    rows = {row["id"]: row for row in cloud_pcs(connection, tenant, ids=[pc.id for pc in known.cloud_pcs])}
    verdicts = decide(known)
    return {
        "userPrincipalName": user.user_principal_name,
        "displayName": user.display_name,
        "accountEnabled": user.account_enabled,
        "deletedDateTime": user.deleted_at,
        "groups": list(connection.execute(_GROUPS, {"user": user.id}).scalars()),
        "changesWaiting": bool(connection.execute(_TOUCHED, {"tenant": tenant.id, "user": user.id}).scalar_one()),
        "verdicts": [
            _verdict(connection, verdict, plans[verdict.plan_id], rows.get(str(verdict.cloud_pc_id)))
            for verdict in verdicts
        ],
    }


def changes_waiting(connection: Connection, tenant: TenantRef, upn: str) -> bool:
    """Whether a change of the user has not been looked at yet."""
    user = connection.execute(_USER, {"tenant": tenant.id, "name": upn}).one_or_none()
    return user is not None and bool(connection.execute(_TOUCHED, {"tenant": tenant.id, "user": user.id}).scalar_one())


def _verdict(connection: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any] | None) -> dict[str, Any]:
    what, at = _next(connection, v, plan, row)
    return {
        "servicePlanName": plan.display_name,
        "action": v.action.value,
        "status": v.status.value if v.status else None,
        "cloudPcId": str(v.cloud_pc_id) if v.cloud_pc_id else None,
        "managedDeviceName": row["managedDeviceName"] if row else None,
        "provisioningPolicyName": row["provisioningPolicyName"] if row else None,
        "policy": _candidate(v.policy) if v.policy else None,
        "ignoredPolicies": [_candidate(o) for o in v.ignored],
        "waitingFor": (row["waitingFor"] if row else None) or v.waiting_for,
        "queuePosition": row["queuePosition"] if row else None,
        "lost": list(v.lost),
        "reasons": list(v.reasons),
        "next": {"text": what, "dateTime": at},
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "displayName": candidate.policy_name,
        "groupName": candidate.group_name,
        "assignmentNumber": candidate.number,
    }


_PENDING_ACTIONS: dict[Action, str] = {
    Action.CREATE: "The next reconcile queues a Cloud PC for this licence.",
    Action.LIST: "The next reconcile lists it as notProvisioned.",
    Action.QUEUE: "The next reconcile queues it: it has become due.",
    Action.UNQUEUE: "The next reconcile takes it from the queue: it is not due any more.",
    Action.AIM: "The next reconcile aims it at the policy that reaches the user now.",
    Action.REMOVE: "The next reconcile removes it: it was never provisioned and is no longer due.",
    Action.STOP: "Its run stops before its next step, and what was made is cleaned up.",
    Action.GRACE_LATER: "It enters grace as soon as the remote action on it has ended.",
    Action.LEAVE_GRACE: "The next reconcile takes it out of grace, untouched.",
}


def _next(connection: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any] | None) -> tuple[str, Any]:
    """What happens next, in a sentence, and when, where that is known."""
    if v.action is Action.ENTER_GRACE:
        return f"The next reconcile puts it into grace: {_lost(v)} is gone.", None
    if v.action in _PENDING_ACTIONS:
        return _PENDING_ACTIONS[v.action], None
    if row is None:
        return "Nothing.", None
    return _BY_STATUS[v.status or Status.GONE](connection, v, plan, row)


def _not_provisioned(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    if v.waiting_for is Waiting.ACCOUNT_DISABLED:
        return "Starts by itself when the account is enabled.", None
    return "Starts by itself when a policy is assigned to a group the user is a direct member of.", None


def _pending(connection: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    if row["waitingFor"] == Waiting.SEAT:
        taken = f"{plan.seats_used} of {plan.seats} seats are in use, place {row['queuePosition']} in the queue"
        return f"Starts by itself when a seat of {plan.display_name} is free ({taken}).", None
    if row["waitingFor"] == Waiting.CONNECTION:
        policy: UUID | None = v.policy.policy_id if v.policy else None
        found = connection.execute(_CONNECTIONS, {"policy": policy}).all()
        health = "; ".join(f"{k.display_name}: {'being checked' if k.checking else k.health_status}" for k in found)
        at = min((k.next_check_at for k in found if k.next_check_at), default=None)
        return f"Starts by itself when a connection of the policy is healthy ({health}). They are checked again.", at
    return "Starts as soon as a worker gets to it.", None


def _provisioning(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    attempt = f"Attempt {row['attempt']} of {row['attempts']}"
    left = f" About {row['etaSeconds']:.0f} s are left." if row["etaSeconds"] is not None else ""
    if row["wakeDateTime"] and not row["steps"]:
        return f"{attempt} begins after a pause.{left}", row["wakeDateTime"]
    waits = f" ({row['waitingReason']})" if row["waitingReason"] else ""
    return f"{attempt} is at {row['step']}, {row['stepTitle']}{waits}.{left}", row["wakeDateTime"]


def _usable(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    if v.status is Status.WARNINGS:
        return "It stays as long as licence and policy do. Repair runs the steps again that left a warning.", None
    return "It stays as long as licence and policy do.", None


def _taken_away(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    left = f" About {row['etaSeconds']:.0f} s are left." if row["etaSeconds"] is not None else ""
    return (
        f"It is being {'resized' if v.status is Status.RESIZING else 'restored'}, then it is usable again.{left}",
        None,
    )


def _failed(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    return "Nothing by itself. Once the cause is gone: retry or reprovision.", None


def _in_grace(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    return f"It goes when the grace period ends, unless {_lost(v)} comes back before.", row["gracePeriodEndDateTime"]


def _deprovisioning(_: Connection, v: Verdict, plan: Row[Any], row: Mapping[str, Any]) -> tuple[str, Any]:
    again = f" Then a new one is made by policy '{v.policy.policy_name}'." if v.policy and not v.lost else ""
    return f"It is being removed.{again}", None


def _lost(v: Verdict) -> str:
    return " and ".join(_LOST[what] for what in v.lost)


_BY_STATUS: dict[Status, Callable[[Connection, Verdict, Row[Any], Mapping[str, Any]], tuple[str, Any]]] = {
    Status.NOT_PROVISIONED: _not_provisioned,
    Status.PENDING: _pending,
    Status.PROVISIONING: _provisioning,
    Status.PROVISIONED: _usable,
    Status.WARNINGS: _usable,
    Status.FAILED: _failed,
    Status.RESIZING: _taken_away,
    Status.RESTORING: _taken_away,
    Status.IN_GRACE: _in_grace,
    Status.DEPROVISIONING: _deprovisioning,
}
