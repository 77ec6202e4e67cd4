"""One Cloud PC as a page shows it: its timeline, and beside it what it leads to, how its policy has drifted, what its
steps usually take and what may be done with it now."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text

from deskwright.domain.runs import RunKind
from deskwright.operations import audit, policy_drift
from deskwright.operations.allowed_actions import allowed_actions
from deskwright.operations.change import TenantRef
from deskwright.operations.estimate import pace, step_title
from deskwright.operations.listing import waiting_text
from deskwright.operations.remote_actions import account_types, snapshots
from deskwright.operations.timeline import timeline
from deskwright.provision.context import World
from deskwright.provision.remote import EVERY_STEP, REPAIRABLE, steps_of

LAST_EVENTS = 20

_BESIDE = text(
    """
    SELECT u.id AS user_id, u.display_name AS user_display_name, u.deleted_at, u.account_enabled, p.id AS policy_id,
           i.id AS device_image_id, c.site_id, r.options, r.policy ->> 'join_type' = 'hybridAzureADJoin' AS hybrid,
           COALESCE(c.connection_id, (SELECT k.id FROM connections k
              WHERE k.tenant_id = :tenant AND lower(k.display_name) = lower(:connection))) AS connection_id
      FROM cloud_pcs c JOIN users u ON u.id = c.user_id LEFT JOIN policies p ON p.id = c.policy_id
      LEFT JOIN device_images i ON i.id = c.device_image_id
      LEFT JOIN LATERAL (SELECT options, policy FROM runs WHERE cloud_pc_id = c.id AND kind <> 'rename'
                          ORDER BY number DESC LIMIT 1) r ON true
     WHERE c.id = :id AND c.tenant_id = :tenant
    """
)


def whole(world: World, tenant: TenantRef, cloud_pc_id: UUID) -> dict[str, Any]:
    """Its timeline (newest run first), and more; also of one that is gone. A dozen queries, whatever its history."""
    with world.database.single.connect() as connection:
        pc = timeline(connection, tenant, cloud_pc_id)
        asked = {"id": cloud_pc_id, "tenant": tenant.id, "connection": pc["onPremisesConnectionName"]}
        beside = connection.execute(_BESIDE, asked).one()
        accounts = account_types(connection, [cloud_pc_id])
        usual = pace(connection, tenant.id)
        drift = policy_drift.drift(connection, tenant, cloud_pc_id)
        settings = policy_drift.described(connection, tenant, [run["policy"] for run in pc["runs"]])
    points = snapshots(world.database, tenant, str(cloud_pc_id))
    enabled = beside.account_enabled and beside.deleted_at is None
    image = pc["imageDisplayName"] or (settings[-1]["imageId"] if settings else "")
    return {
        **pc,
        "runs": [{**run, "settings": policy_drift.titled(of)} for run, of in zip(pc["runs"], settings, strict=True)][
            ::-1
        ],
        "grace": _grace(pc["grace"]),
        "waitingText": waiting_text(pc),
        "userId": str(beside.user_id),
        "userDisplayName": beside.user_display_name,
        "userDeleted": beside.deleted_at is not None,
        "userEnabled": beside.account_enabled,
        "policyId": _id(beside.policy_id),
        "connectionId": _id(beside.connection_id),
        "deviceImageId": _id(beside.device_image_id),
        "imageName": policy_drift.image_name(image),
        "siteId": _id(beside.site_id),
        "userAccountType": accounts[cloud_pc_id] if pc["provisionedDateTime"] else None,
        "runKindWords": RunKind(pc["runKind"]).words if pc["runKind"] else None,
        "usualSeconds": {step: usual.of(step, hybrid=bool(beside.hybrid)) for step in EVERY_STEP},
        "upcoming": _upcoming(pc, beside),
        "drift": drift,
        "snapshots": points[::-1],
        "events": audit.list_(world.database, tenant, resource=str(cloud_pc_id), limit=LAST_EVENTS),
        "allowed": allowed_actions(pc, enabled=enabled, snapshots=bool(points)),
    }


def repairable(warnings: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The steps that a repair may run again, and which of them left one of these warnings."""
    warned = {w["step"] for w in warnings}
    return [{"step": step, "title": step_title(step), "warned": step in warned} for step in REPAIRABLE]


def _upcoming(pc: Mapping[str, Any], beside: Row[Any]) -> list[dict[str, Any]]:
    """The steps that the run under way has still before it, in the attempt that runs or comes next."""
    if pc["runKind"] is None:
        return []
    return [
        {"step": step.id, "title": step.title, "stage": step.stage.value}
        for step in steps_of(RunKind(pc["runKind"]), beside.options or {})
        if step.id not in pc["steps"]
    ]


def _grace(grace: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """With the moment it began as one; it is kept as text."""
    if grace is None:
        return None
    since = grace["since"]
    return {**grace, "since": datetime.fromisoformat(since) if isinstance(since, str) else since}


def _id(found: UUID | None) -> str | None:
    return None if found is None else str(found)
