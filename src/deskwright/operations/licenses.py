"""Service plans (what a licence stands for, and how many seats it has) and who holds a licence."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.domain.plans import size_of
from deskwright.domain.rules import Refused
from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.groups import GROUP, touch_members
from deskwright.operations.named import Item, Noun
from deskwright.operations.users import USER
from deskwright.reconcile import seats as queue
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import service_plans


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "vCpuCount": row.vcpu_count,
        "ramInGB": row.ram_gb,
        "storageInGB": row.storage_gb,
        "seats": row.seats,
    }


def _with_use(row: "Row[Any]") -> Item:
    return {**_present(row), "seatsInUse": row.seats_used}


PLAN = Noun("servicePlan", "service plan", service_plans, "displayName", "display_name", _present, "service-plan")

# Everyone who holds the licence: directly and through a group is one (E1), and the deleted hold none. Whose Cloud PC is
# being resized to the plan is about to.
_HOLDERS = """
    SELECT u.id FROM users u WHERE u.deleted_at IS NULL AND u.id IN (
      SELECT user_id FROM license_users WHERE plan_id = :plan
      UNION
      SELECT m.user_id FROM license_groups l JOIN memberships m ON m.group_id = l.group_id WHERE l.plan_id = :plan
      UNION
      SELECT user_id FROM cloud_pcs WHERE target_plan_id = :plan)
"""
_ALL_CONSUMED = text(
    """
    SELECT held.plan_id, count(*) AS held FROM (
      SELECT plan_id, user_id FROM license_users WHERE tenant_id = :tenant
      UNION
      SELECT l.plan_id, m.user_id FROM license_groups l JOIN memberships m ON m.group_id = l.group_id
       WHERE l.tenant_id = :tenant) held
      JOIN users u ON u.id = held.user_id AND u.deleted_at IS NULL GROUP BY held.plan_id
    """
)
_CONSUMED = text(f"SELECT count(*) FROM ({_HOLDERS}) holders")
_NEWCOMERS = text(f"SELECT count(*) FROM unnest(CAST(:users AS uuid[])) wanted WHERE wanted NOT IN ({_HOLDERS})")
_ASSIGN = {
    "user": text(
        """
        INSERT INTO license_users (plan_id, user_id, tenant_id)
        SELECT :plan, wanted, :tenant FROM unnest(CAST(:ids AS uuid[])) AS wanted
        ON CONFLICT DO NOTHING RETURNING user_id
        """
    ),
    "group": text(
        """
        INSERT INTO license_groups (plan_id, group_id, tenant_id)
        SELECT :plan, wanted, :tenant FROM unnest(CAST(:ids AS uuid[])) AS wanted
        ON CONFLICT DO NOTHING RETURNING group_id
        """
    ),
}
_REMOVE = {
    "user": text(
        "DELETE FROM license_users WHERE tenant_id = :tenant AND plan_id = :plan AND user_id = ANY(:ids) "
        "RETURNING user_id"
    ),
    "group": text(
        "DELETE FROM license_groups WHERE tenant_id = :tenant AND plan_id = :plan AND group_id = ANY(:ids) "
        "RETURNING group_id"
    ),
}
_USES = text(
    """
    SELECT (SELECT count(*) FROM license_users WHERE plan_id = :plan) AS users,
           (SELECT count(*) FROM license_groups WHERE plan_id = :plan) AS groups,
           EXISTS (SELECT 1 FROM cloud_pcs WHERE plan_id = :plan AND status <> 'gone') AS live,
           EXISTS (SELECT 1 FROM cloud_pcs WHERE plan_id = :plan OR target_plan_id = :plan) AS history
    """
)
_GROUP_NAMES = text(
    """
    SELECT g.display_name FROM license_groups l JOIN groups g ON g.id = l.group_id
     WHERE l.tenant_id = :tenant AND l.plan_id = :plan ORDER BY lower(g.display_name)
    """
)
_DIRECTLY = text("EXISTS (SELECT 1 FROM license_users l WHERE l.plan_id = :holds AND l.user_id = users.id)")


# --- service plans ---------------------------------------------------------------------------------


def create_plan(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    seats: int,
    vcpu_count: int | None = None,
    ram_gb: int | None = None,
    storage_gb: int | None = None,
    confirmed: bool = False,
) -> Item:
    """Add a plan; its size is read from the name where it is not given."""
    name = named.check_name("displayName", display_name)
    size = size_of(name, vcpu_count, ram_gb, storage_gb)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, PLAN, name)
        row = named.create(
            opened,
            PLAN,
            display_name=name,
            seats=_check_seats(seats),
            vcpu_count=size.vcpu,
            ram_gb=size.ram_gb,
            storage_gb=size.storage_gb,
        )
        return _with_use(row)


def set_plan(
    database: Database, tenant: TenantRef, actor: str, plan: str, *, seats: int, confirmed: bool = False
) -> Item:
    """Change the number of seats. New ones go to those who wait longest (E6); fewer take nothing from anyone."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, PLAN, plan)
        after = named.modify(opened, PLAN, row, seats=_check_seats(seats))
        if after.seats > row.seats:
            # The queue may be long: it is served from its front, instead of touching everyone in it (E10).
            queue.start_waiting(opened.connection, tenant.id, [row.id])
            after = named.one(opened.connection, tenant, PLAN, row.id)
        return _with_use(after)


def delete_plan(database: Database, tenant: TenantRef, actor: str, plan: str, *, confirmed: bool = False) -> Item:
    """Delete a plan that nobody holds and of which no Cloud PC was ever made."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, PLAN, plan)
        uses = opened.connection.execute(_USES, {"plan": row.id}).one()
        if uses.users or uses.groups:
            rule = f"can be deleted only while nobody holds it: assigned to {uses.users} users and {uses.groups} groups"
            raise Refused("servicePlan", row.display_name, rule, code="notAllowed")
        if uses.history:
            what = "Cloud PCs of it exist" if uses.live else "the timelines of former Cloud PCs refer to it"
            remedy = "Set its seats to 0 instead"
            raise Refused(
                "servicePlan", row.display_name, f"cannot be deleted: {what}", code="notAllowed", remedy=remedy
            )
        named.remove(opened, PLAN, row)
        return _present(row)


def list_plans(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return [_with_use(row) for row in named.page(connection, tenant, PLAN, after, limit)]


def show_plan(database: Database, tenant: TenantRef, plan: str) -> Item:
    with database.single.connect() as connection:
        row = named.one(connection, tenant, PLAN, plan)
        return {**_with_use(row), **_consumption(connection, tenant, row)}


# --- licences --------------------------------------------------------------------------------------


def assign(
    database: Database,
    tenant: TenantRef,
    actor: str,
    plan: str,
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    confirmed: bool = False,
) -> Item:
    """Give the licence. Directly beyond the seats is refused; through a group people queue (E6)."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, PLAN, plan)
        people = named.several(opened.connection, tenant, USER, users)
        through = named.several(opened.connection, tenant, GROUP, groups)
        refuse_beyond_seats(opened.connection, row, [p.id for p in people])
        given = _apply(opened, row, _ASSIGN, people, through, "Assign licence", "Licence assigned")
        return {**_present(row), **given}


def remove(
    database: Database,
    tenant: TenantRef,
    actor: str,
    plan: str,
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    confirmed: bool = False,
) -> Item:
    """Take the licence from people and groups; who did not have it is no error."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, PLAN, plan)
        people = named.several(opened.connection, tenant, USER, users)
        through = named.several(opened.connection, tenant, GROUP, groups)
        taken = _apply(opened, row, _REMOVE, people, through, "Remove licence", "Licence removed")
        return {**_present(row), **taken}


def exchange(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    user: str | None = None,
    group: str | None = None,
    confirmed: bool = False,
) -> None:
    """Take some licences from one person or group and give others, all or nothing. Raises Refused for one to be
    removed that is not held, or only through a group."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        connection = opened.connection
        people = [named.one(connection, tenant, USER, user)] if user is not None else []
        through = [named.one(connection, tenant, GROUP, group)] if group is not None else []
        old = named.several(connection, tenant, PLAN, remove)
        new = named.several(connection, tenant, PLAN, add)
        if both := {p.id for p in old} & {p.id for p in new}:
            raise Refused("addLicenses", str(both.pop()), "cannot be added and removed in the same request")
        for row in old:
            taken = _apply(opened, row, _REMOVE, people, through, "Remove licence", "Licence removed")
            if not taken["users"] and not taken["groups"]:
                _refuse_not_held(connection, row, people)
        for row in new:
            refuse_beyond_seats(connection, row, [p.id for p in people])
            _apply(opened, row, _ASSIGN, people, through, "Assign licence", "Licence assigned")


def consumption(connection: Connection, tenant: TenantRef) -> dict[UUID, int]:
    """How many people hold each plan of the tenant, directly or through a group; plans that nobody holds are left
    out."""
    return {row.plan_id: row.held for row in connection.execute(_ALL_CONSUMED, {"tenant": tenant.id})}


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    """For each plan: seats, how many hold the licence, how many work with it, and the licensed groups."""
    with database.single.connect() as connection:
        return [
            {
                "servicePlanId": str(row.id),
                "servicePlanName": row.display_name,
                "id": str(row.id),
                "displayName": row.display_name,
                "seats": row.seats,
                "seatsInUse": row.seats_used,
                **_consumption(connection, tenant, row),
            }
            for row in named.page(connection, tenant, PLAN, after, limit)
        ]


def holders(database: Database, tenant: TenantRef, plan: str, after: str | None = None, limit: int = 100) -> list[Item]:
    """The people who hold the licence directly."""
    with database.single.connect() as connection:
        row = named.one(connection, tenant, PLAN, plan)
        rows = named.page(connection, tenant, USER, after, limit, _DIRECTLY.bindparams(holds=row.id))
        return [USER.present(person) for person in rows]


def consumed(connection: Connection, plan: UUID) -> int:
    """How many people hold the licence, directly or through a group."""
    return int(connection.execute(_CONSUMED, {"plan": plan}).scalar_one())


def newcomers(connection: Connection, plan: UUID, users: Sequence[UUID]) -> int:
    """How many of these users do not hold the licence in any way yet: so many more seats they would take."""
    return int(connection.execute(_NEWCOMERS, {"plan": plan, "users": list(users)}).scalar_one()) if users else 0


def give(opened: Change, plan: "Row[Any]", people: "list[Row[Any]]") -> list[str]:
    """Give people a licence directly, in an open change; the names of those who did not have it so. Raises Refused
    beyond the seats (E6)."""
    refuse_beyond_seats(opened.connection, plan, [p.id for p in people])
    return _apply(opened, plan, _ASSIGN, people, [], "Assign licence", "Licence assigned")["users"]


def _consumption(connection: Connection, tenant: TenantRef, row: "Row[Any]") -> Item:
    of = {"tenant": tenant.id, "plan": row.id}
    return {
        "consumedUnits": consumed(connection, row.id),
        "groups": list(connection.execute(_GROUP_NAMES, of).scalars()),
    }


def _refuse_not_held(connection: Connection, plan: "Row[Any]", people: "list[Row[Any]]") -> None:
    of = {"plan": plan.id, "users": [p.id for p in people]}
    if people and not connection.execute(_NEWCOMERS, of).scalar_one():
        rule = "is held through a group; take the group's licence, or the person out of the group"
        raise Refused("removeLicenses", plan.display_name, rule)
    raise Refused("removeLicenses", plan.display_name, "is not assigned")


def refuse_beyond_seats(connection: Connection, plan: "Row[Any]", users: list[UUID]) -> None:
    """Refused where giving these users the licence directly would take more seats than there are (E6)."""
    wanted = newcomers(connection, plan.id, users)
    if not wanted:
        return
    held = consumed(connection, plan.id)
    if held + wanted > plan.seats:
        raise Refused(
            "servicePlan",
            plan.display_name,
            f"has {plan.seats} seats, {held} consumed, {wanted} more asked for",
            code="quotaLimitReached",
            remedy="Add seats, take the licence from someone, or assign it through a group, where people queue",
        )


def _apply(
    opened: Change,
    plan: "Row[Any]",
    statements: "dict[str, Any]",
    people: "list[Row[Any]]",
    through: "list[Row[Any]]",
    activity: str,
    happened: str,
) -> dict[str, list[str]]:
    """Assign or remove; touches those whose licence really changed. Returns their names."""

    def run(what: str, rows: "list[Row[Any]]") -> "list[Row[Any]]":
        of = {"tenant": opened.tenant.id, "plan": plan.id, "ids": [r.id for r in rows]}
        changed = set(opened.connection.execute(statements[what], of).scalars()) if rows else set()
        return [r for r in rows if r.id in changed]

    users, groups = run("user", people), run("group", through)
    names = {"users": [u.user_principal_name for u in users], "groups": [g.display_name for g in groups]}
    if users or groups:
        before, after = (None, names) if statements is _ASSIGN else (names, None)
        opened.audit(activity, "servicePlan", [event(plan.id, plan.display_name, before, after)])
    if users:
        ids = [u.id for u in users]
        opened.touch("SELECT unnest(CAST(:users AS uuid[]))", happened, plan.display_name, users=ids)
    if groups:
        touch_members(opened, [g.id for g in groups], f"{happened} (group)", plan.display_name)
    return names


def _check_seats(seats: int) -> int:
    if seats < 0:
        raise Refused("seats", seats, "must be 0 or more")
    return seats
