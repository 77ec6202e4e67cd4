"""Whether Cloud PCs could be resized to a plan, without doing it: `validateBulkResize` of the API."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.status import Status
from deskwright.operations import named
from deskwright.operations.change import TenantRef
from deskwright.operations.licenses import PLAN
from deskwright.reconcile import facts
from deskwright.store.database import Database

_ROWS = text(
    """
    SELECT c.id, c.user_id, c.plan_id, c.status, p.storage_gb,
           EXISTS (SELECT 1 FROM runs WHERE cloud_pc_id = c.id AND state = 'active') AS busy
      FROM cloud_pcs c JOIN service_plans p ON p.id = c.plan_id
     WHERE c.tenant_id = :tenant AND c.id = ANY(:ids) AND c.status <> 'gone'
    """
)

_PLANS = text(
    """
    SELECT p.*, c.user_id, c.plan_id = p.id AS has_it, h.storage_gb AS has_gb, h.display_name AS has_name,
           h.id AS has_id, u.user_principal_name
      FROM cloud_pcs c JOIN service_plans h ON h.id = c.plan_id JOIN users u ON u.id = c.user_id
      JOIN service_plans p ON p.tenant_id = c.tenant_id
     WHERE c.tenant_id = :tenant AND c.id = :id ORDER BY p.vcpu_count, p.ram_gb, p.storage_gb, lower(p.display_name)
    """
)


def targets(database: Database, tenant: TenantRef, cloud_pc: UUID) -> list[dict[str, Any]]:
    """Every plan with its free seats, and `why` the Cloud PC cannot be resized to it; None where it can.

    Room at its site is looked at when it is asked for.
    """
    with database.single.connect() as connection:
        rows = connection.execute(_PLANS, {"tenant": tenant.id, "id": cloud_pc}).all()
        licences = _licences(connection, tenant, {row.user_id for row in rows[:1]})
    return [
        {
            "id": str(row.id),
            "displayName": row.display_name,
            "seats": row.seats,
            "freeSeats": max(row.seats - row.seats_used, 0),
            "why": _why(row, licences.get(row.user_id, {})),
        }
        for row in rows
    ]


def validate(database: Database, tenant: TenantRef, ids: Sequence[str], *, service_plan: str) -> list[tuple[str, str]]:
    """For each id, in order, a member of the API's cloudPcResizeValidationCode. Refused for an unknown plan."""
    with database.single.connect() as connection:
        plan = named.one(connection, tenant, PLAN, service_plan)
        wanted = [found for given in ids if (found := named.as_id(given)) is not None]
        known = {row.id: row for row in connection.execute(_ROWS, {"tenant": tenant.id, "ids": wanted})}
        licences = _licences(connection, tenant, {row.user_id for row in known.values()})
    return [(given, _code(known.get(named.as_id(given) or UUID(int=0)), plan, licences)) for given in ids]


def _licences(connection: Connection, tenant: TenantRef, users: set[UUID]) -> dict[UUID, dict[UUID, list[str]]]:
    """user -> plan -> what gives it: ``directly``, or the names of groups."""
    loaded = facts.load(connection, tenant.id, list(users)) if users else {}
    return {user: {plan: list(by) for plan, by in known.licences.items()} for user, known in loaded.items()}


def _code(row: "Row[object] | None", plan: "Row[object]", licences: dict[UUID, dict[UUID, list[str]]]) -> str:
    if row is None:
        return "cloudPcNotFound"
    if row.busy or row.status not in (Status.PROVISIONED, Status.WARNINGS):
        return "operationConflict"
    held = licences.get(row.user_id, {})
    if plan.id in held and plan.id != row.plan_id:
        return "targetLicenseHasAssigned"
    directly = held.get(row.plan_id) == ["directly"]
    fits = plan.id != row.plan_id and plan.storage_gb >= row.storage_gb
    return "success" if directly and fits else "operationNotSupported"


def _why(plan: "Row[Any]", held: dict[UUID, list[str]]) -> str | None:
    """In the words of `remote_actions.resize`, whose rules these are."""
    if plan.has_it:
        return "it has this plan"
    groups = [by for by in held.get(plan.has_id, ()) if by != "directly"]
    if groups:
        return f"{plan.user_principal_name} holds {plan.has_name} through group {', '.join(groups)}"
    if plan.has_id not in held:
        return f"{plan.user_principal_name} does not hold {plan.has_name} any more"
    if plan.storage_gb < plan.has_gb:
        return f"its disk has {plan.storage_gb} GB, now it has {plan.has_gb} GB: a disk can grow, but not shrink"
    if plan.id in held:
        return f"{plan.user_principal_name} has this licence already, with a Cloud PC of its own"
    return "all seats are in use" if plan.seats_used >= plan.seats else None
