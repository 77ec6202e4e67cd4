"""Whether Cloud PCs could be resized to a plan, without doing it: `validateBulkResize` of the API."""

from collections.abc import Sequence
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
