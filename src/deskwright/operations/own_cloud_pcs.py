"""What people see of their own Cloud PCs, and do with them without a role: as much as Windows 365 lets its users do.

Everything is found by the user's id, in their own tenant: what others have does not exist here. Restoring and
resetting need a user setting that allows it, as on the Graph API.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.rules import NotFound, Refused
from deskwright.domain.runs import RunKind
from deskwright.domain.status import USABLE
from deskwright.identity.permissions import ADMINISTRATOR
from deskwright.operations import cloud_pcs, remote_actions, timeline
from deskwright.operations.allowed_actions import allowed_actions
from deskwright.operations.change import TenantRef
from deskwright.operations.listing import cloud_pcs as listed
from deskwright.operations.named import Item, as_id
from deskwright.operations.user_grants import grants_of
from deskwright.provision.context import World
from deskwright.store.database import Database

ACTIONS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "power-on": remote_actions.power_on,
    "restart": remote_actions.restart,
    "rename": remote_actions.rename,
    "troubleshoot": remote_actions.troubleshoot,
    "restore": remote_actions.restore,
    "reprovision": cloud_pcs.reprovision,
}
"""What an owner does, by the names of `allowed_actions`, and the operation that does it for administrators, too."""
GRANTS: Mapping[str, str] = {"restore": "userRestoreEnabled", "reprovision": "resetEnabled"}
"""Those that a user setting must allow, and its property."""
MOST_CONTACTS = 3

_MINE = text(
    """
    SELECT c.id, c.grace, c.ip_address, c.provisioned_at, p.vcpu_count, p.ram_gb, p.storage_gb, d.user_name,
           d.one_time_password IS NOT NULL AS password_waits,
           EXISTS (SELECT 1 FROM snapshots s WHERE s.cloud_pc_id = c.id) AS has_snapshots
      FROM cloud_pcs c JOIN service_plans p ON p.id = c.plan_id LEFT JOIN sign_in_details d ON d.cloud_pc_id = c.id
     WHERE c.tenant_id = :tenant AND c.user_id = :user AND c.status <> 'gone'
       AND (CAST(:id AS uuid) IS NULL OR c.id = :id) ORDER BY c.created_at, c.id
    """
)
_STATUS = text("SELECT status, power_state FROM cloud_pcs WHERE tenant_id = :tenant AND user_id = :user AND id = :id")
_CONTACTS = text(
    """
    SELECT u.display_name, COALESCE(u.mail, u.user_principal_name) AS mail FROM held_roles r
      JOIN users u ON u.id = r.user_id
     WHERE r.tenant_id = :tenant AND r.role = :role AND NOT r.guest AND u.account_enabled AND u.deleted_at IS NULL
       AND u.id <> :user
     GROUP BY u.id ORDER BY min(r.created_at), u.id LIMIT :most
    """
)
_WORDS = {
    "power-on": "be powered on",
    "restart": "be restarted",
    "rename": "be renamed",
    "troubleshoot": "be checked",
    "restore": "be restored",
    "reprovision": "be reset",
}


def list_(database: Database, tenant: TenantRef, user: UUID) -> list[Item]:
    """The person's Cloud PCs that are not gone, oldest first: rows of `listing.cloud_pcs`, and more (`_own`)."""
    with database.single.connect() as connection:
        return _list(connection, tenant, user, None)


def show(database: Database, tenant: TenantRef, user: UUID, cloud_pc: str) -> Item:
    """One of them, by its id, with `snapshots` (newest first), `check` (the last troubleshoot) and `lastAction`: the
    results as `remote_actions.results` has them, or None. Raises NotFound."""
    with database.single.connect() as connection:
        found = _one(connection, tenant, user, cloud_pc)
        done = remote_actions.results(connection, tenant, [UUID(found["id"])]).get(UUID(found["id"]), [])
    points = remote_actions.snapshots(database, tenant, found["id"]) if found["hasSnapshots"] else []
    check = RunKind.TROUBLESHOOT.action_name
    return {
        **found,
        "snapshots": points[::-1],
        "check": next((r for r in done if r["actionName"] == check), None),
        "lastAction": done[0] if done else None,
    }


def act(
    world: World, tenant: TenantRef, actor: str, user: UUID, cloud_pc: str, action: str, **values: Any
) -> dict[str, Any]:
    """Begin one of `ACTIONS` with an own Cloud PC. `actor` is the person's UPN, `values` are the operation's own.

    Raises NotFound for what is not theirs; Refused where no user setting allows it, or the Cloud PC as it is.
    """
    with world.database.single.connect() as connection:
        found = _one(connection, tenant, user, cloud_pc)
    name = found["displayName"]
    if action in GRANTS and not found["grants"][GRANTS[action]]:
        rule = f"may not {_WORDS[action]} by its user: no user setting allows you to ({GRANTS[action]})"
        raise Refused("cloudPC", name, rule, code="forbidden", remedy="Ask your administrator")
    if action not in found["allowed"]:
        raise _not_now(found, action)
    try:
        return ACTIONS[action](world, tenant, actor, found["id"], **values)
    except Refused as refused:
        if refused.value == found["id"]:
            refused.value = name  # as its owner knows it
        raise


def reveal_sign_in(world: World, tenant: TenantRef, actor: str, user: UUID, cloud_pc: str) -> dict[str, Any]:
    """`timeline.reveal_sign_in` for an own Cloud PC: a one-time password is in it only the first time."""
    with world.database.single.connect() as connection:
        found = _one(connection, tenant, user, cloud_pc)
    if found["signIn"] is None:
        raise Refused("cloudPC", found["displayName"], "has no sign-in details yet: they are there once it is ready")
    return timeline.reveal_sign_in(world, tenant, actor, found["id"])


def is_usable(database: Database, tenant: TenantRef, user: UUID, cloud_pc: str) -> bool:
    """Whether it is this person's, can be worked with, and runs. One query, for those who ask again and again."""
    of = {"tenant": tenant.id, "user": user, "id": as_id(cloud_pc)}
    with database.single.connect() as connection:
        row = connection.execute(_STATUS, of).one_or_none()
    return row is not None and row.status in USABLE and row.power_state != "poweredOff"


def contacts(database: Database, tenant: TenantRef, user: UUID) -> list[Item]:
    """Whom a person may ask: the tenant's first administrators but themselves, `displayName` and `mail` each."""
    of = {"tenant": tenant.id, "role": ADMINISTRATOR, "user": user, "most": MOST_CONTACTS}
    with database.single.connect() as connection:
        return [{"displayName": r.display_name, "mail": r.mail} for r in connection.execute(_CONTACTS, of)]


def _one(connection: Connection, tenant: TenantRef, user: UUID, cloud_pc: str) -> Item:
    wanted = as_id(cloud_pc)
    found = _list(connection, tenant, user, wanted) if wanted is not None else []
    if not found:
        raise NotFound("cloudPC", cloud_pc)
    return found[0]


def _list(connection: Connection, tenant: TenantRef, user: UUID, only: UUID | None) -> list[Item]:
    mine = connection.execute(_MINE, {"tenant": tenant.id, "user": user, "id": only}).all()
    if not mine:
        return []
    grants = grants_of(connection, tenant, user)
    rows = {row["id"]: row for row in listed(connection, tenant, ids=[m.id for m in mine])}
    # One that has gone in between is not there any more.
    return [_own(rows[str(m.id)], m, grants) for m in mine if str(m.id) in rows]


def _own(row: Item, mine: Row[Any], grants: Mapping[str, bool]) -> Item:
    """Sizes in GB; `lost`: of `user`, `licence`, `policy`; `allowed`: names of `ACTIONS`; `signIn`: None before it is
    made."""
    possible = allowed_actions(row, enabled=True, snapshots=mine.has_snapshots)
    sign_in = {"userName": mine.user_name, "oneTimePasswordWaits": mine.password_waits}
    return {
        **row,
        "vCpuCount": mine.vcpu_count,
        "ramInGB": mine.ram_gb,
        "storageInGB": mine.storage_gb,
        "ipAddress": mine.ip_address,
        "provisionedDateTime": mine.provisioned_at,
        "lost": list((mine.grace or {}).get("lost") or []),
        "hasSnapshots": mine.has_snapshots,
        "signIn": sign_in if mine.user_name is not None else None,
        "grants": dict(grants),
        "connects": row["status"] in USABLE and row["powerState"] != "poweredOff",
        "allowed": [name for name in possible if name in ACTIONS and grants.get(GRANTS.get(name, ""), True)],
    }


def _not_now(pc: Item, action: str) -> Refused:
    if pc["runKind"]:
        why, remedy = f"a {RunKind(pc['runKind']).words} is under way", "Wait until it has ended"
    elif action == "power-on" and pc["status"] in USABLE:
        why, remedy = "it runs already", ""
    elif pc["powerState"] == "poweredOff" and pc["status"] in USABLE:
        why, remedy = "it is powered off", "Power it on first"
    elif action == "restore" and not pc["hasSnapshots"]:
        why, remedy = "there is no snapshot of it", ""
    else:
        why, remedy = f"its status is {pc['status']}", ""
    return Refused("cloudPC", pc["displayName"], f"cannot {_WORDS[action]} now: {why}", code="conflict", remedy=remedy)
