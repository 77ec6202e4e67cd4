"""Faults: what the simulator shall do wrong (R5). The catalogue says what can go wrong where."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select

from deskwright.checks.table import CHECKS
from deskwright.domain.rules import NotFound, Refused
from deskwright.errors import CATALOGUE, STEPS, codes_for
from deskwright.operations import named
from deskwright.operations.change import TenantRef, change
from deskwright.operations.named import Item
from deskwright.operations.policy_view import POLICY
from deskwright.operations.users import USER
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import faults

DELAY = "delay"
"""Not an error: the operation takes `delaySeconds` longer."""
EVERYWHERE = ("deploymentTimeout", "internalServerError", DELAY)
"""Codes that any step of provisioning may end with."""
# Graph's cloudPcDeviceImageErrorCode.
IMAGE_CODES = (
    "internalServerError",
    "sourceImageNotFound",
    "osVersionNotSupported",
    "sourceImageInvalid",
    "sourceImageNotGeneralized",
    "vmAlreadyAzureAdjoined",
    "paidSourceImageNotSupport",
    "sourceImageNotSupportCustomizeVMName",
    "sourceImageSizeExceedsLimitation",
)


def _present(row: "Row[Any]") -> Item:
    return {
        "id": row.id,
        "step": row.step,
        "code": row.code,
        "user": row.user_principal_name,
        "policy": row.policy_name,
        "attempts": row.attempts,
        "rate": row.rate,
        "delaySeconds": row.delay_seconds,
        "fromDocument": row.from_document,
    }


def add(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    step: str,
    code: str,
    user: str | None = None,
    policy: str | None = None,
    attempts: Sequence[int] = (),
    rate: float = 1.0,
    delay_seconds: float = 0.0,
    confirmed: bool = False,
) -> Item:
    """Let a step fail: for one user or policy, some attempts, a share of them; all of them where not said."""
    check(step, code, attempts=attempts, rate=rate, delay_seconds=delay_seconds)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        person = None if user is None else named.one(opened.connection, tenant, USER, user)
        by = None if policy is None else named.one(opened.connection, tenant, POLICY, policy)
        new = insert(faults).values(
            tenant_id=tenant.id,
            step=step,
            code=code,
            user_principal_name=person.user_principal_name if person else None,
            policy_name=by.display_name if by else None,
            attempts=sorted(set(attempts)) or None,
            rate=rate,
            delay_seconds=delay_seconds,
        )
        item = _present(opened.connection.execute(new.returning(*faults.c)).one())
        opened.audit("Add fault", "fault", [event(str(item["id"]), f"{step} {code}", None, item)])
        return item


def list_(database: Database, tenant: TenantRef, after: int = 0, limit: int = 100) -> list[Item]:
    c = faults.c
    query = select(faults).where(c.tenant_id == tenant.id, c.id > after).order_by(c.id).limit(named.check_limit(limit))
    with database.single.connect() as connection:
        return [_present(row) for row in connection.execute(query)]


def clear(
    database: Database, tenant: TenantRef, actor: str, fault: int | None = None, *, confirmed: bool = False
) -> list[Item]:
    """Take one fault away, or all of them; returns what they were."""
    c = faults.c
    query = delete(faults).where(c.tenant_id == tenant.id)
    if fault is not None:
        query = query.where(c.id == fault)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        items = sorted((_present(row) for row in opened.connection.execute(query.returning(*c))), key=lambda f: f["id"])
        if fault is not None and not items:
            raise NotFound("fault", fault, "deskwright fault list shows those there are")
        opened.audit("Clear fault", "fault", [event(str(i["id"]), f"{i['step']} {i['code']}", i, None) for i in items])
        return items


def check(step: str, code: str, *, attempts: Sequence[int] = (), rate: float = 1.0, delay_seconds: float = 0.0) -> None:
    """Refused where the step cannot fail that way, naming the ways in which it can."""
    codes = _codes(step)
    if code not in codes:
        raise Refused("faults.code", code, f"step {step} can fail with: {', '.join(codes)}")
    if any(attempt < 1 for attempt in attempts):
        raise Refused("faults.attempts", list(attempts), "attempts count from 1")
    if not 0 < rate <= 1:
        raise Refused("faults.rate", rate, "must be more than 0 and at most 1")
    if not 0 <= delay_seconds < float("inf"):
        raise Refused("faults.delaySeconds", delay_seconds, "must be 0 or more")
    if code == DELAY and not delay_seconds:
        raise Refused("faults.delaySeconds", delay_seconds, "a delay needs its length")


def _codes(step: str) -> tuple[str, ...]:
    if step in STEPS:
        return tuple(dict.fromkeys((*codes_for(step), *EVERYWHERE)))
    if step == "release":
        return (*CATALOGUE, DELAY)
    if step == "image":
        return IMAGE_CODES
    if step == "health":
        return (*dict.fromkeys(code for check in CHECKS.values() for code in check.error_codes), DELAY)
    found = CHECKS.get(step.removeprefix("health:"))
    if step.startswith("health:") and found:
        return (*found.error_codes, DELAY)
    checks = ", ".join(f"health:{name}" for name in CHECKS)
    raise Refused("faults.step", step, f"must be one of: {', '.join(STEPS)}, release, image, health, {checks}")
