"""User settings: what people may do on their Cloud PC. On conflict the most recently created wins, unlike policies.

A change takes effect at the next sign-in or by repair, so nobody is touched by one.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select, text

from deskwright.domain.rules import Refused
from deskwright.operations import named
from deskwright.operations.change import Change, TenantRef, change
from deskwright.operations.groups import GROUP
from deskwright.operations.named import Item, Noun
from deskwright.store.audit import event
from deskwright.store.database import Database
from deskwright.store.tables import user_settings

# Graph's cloudPcRestorePointFrequencyType without `default`.
FREQUENCIES = {4: "fourHours", 6: "sixHours", 12: "twelveHours", 16: "sixteenHours", 24: "twentyFourHours"}


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "localAdminEnabled": row.local_admin_enabled,
        "resetEnabled": row.reset_enabled,
        "restorePointSetting": {
            "userRestoreEnabled": row.restore_enabled,
            "frequencyInHours": row.restore_frequency_hours,
            "frequencyType": FREQUENCIES.get(row.restore_frequency_hours, "default"),
        },
        **({"keptProperties": row.kept_properties} if row.kept_properties else {}),
        "createdDateTime": row.created_at,
        "lastModifiedDateTime": row.modified_at,
    }


USER_SETTING = Noun(
    "userSetting", "user setting", user_settings, "displayName", "display_name", _present, "user-setting"
)

_ASSIGNED = text(
    """
    SELECT a.setting_id, g.id, g.display_name FROM user_setting_assignments a JOIN groups g ON g.id = a.group_id
     WHERE a.tenant_id = :tenant AND a.setting_id = ANY(:settings) ORDER BY lower(g.display_name)
    """
)
_ADD = text(
    """
    INSERT INTO user_setting_assignments (setting_id, group_id, tenant_id, created_at)
    SELECT :setting, wanted, :tenant, tenant_now(:tenant) FROM unnest(CAST(:groups AS uuid[])) AS wanted
    ON CONFLICT DO NOTHING
    """
)
_REMOVE = text(
    """
    DELETE FROM user_setting_assignments
     WHERE tenant_id = :tenant AND setting_id = :setting AND group_id = ANY(:groups)
    """
)
_CONFLICTS = text(
    """
    SELECT s.id, s.display_name, s.number > :number AS wins, count(*) AS people FROM (
      SELECT DISTINCT other.setting_id, mine.user_id FROM user_setting_assignments own
        JOIN memberships mine ON mine.group_id = own.group_id
        JOIN memberships theirs ON theirs.user_id = mine.user_id
        JOIN user_setting_assignments other ON other.group_id = theirs.group_id AND other.setting_id <> own.setting_id
       WHERE own.setting_id = :setting AND own.tenant_id = :tenant) pairs
      JOIN user_settings s ON s.id = pairs.setting_id JOIN users u ON u.id = pairs.user_id AND u.deleted_at IS NULL
     GROUP BY s.id, s.display_name, s.number ORDER BY s.number DESC
    """
)


def create(
    database: Database,
    tenant: TenantRef,
    actor: str,
    *,
    display_name: str,
    local_admin_enabled: bool = False,
    reset_enabled: bool = False,
    restore_enabled: bool = False,
    restore_frequency_hours: int = 12,
    kept: Mapping[str, Any] | None = None,
    groups: Sequence[str] = (),
    confirmed: bool = False,
) -> Item:
    """Add a user setting; being the newest, it wins over the others that reach the same person.

    `kept` properties are told again, and mean nothing.
    """
    name = named.check_name("displayName", display_name)
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        named.refuse_taken(opened.connection, tenant, USER_SETTING, name)
        row = named.create(
            opened,
            USER_SETTING,
            display_name=name,
            local_admin_enabled=local_admin_enabled,
            reset_enabled=reset_enabled,
            restore_enabled=restore_enabled,
            restore_frequency_hours=_check_frequency(restore_frequency_hours),
            kept_properties=dict(kept or {}),
        )
        if groups:
            _replace(opened, row, groups)
        return _with_groups(opened.connection, tenant, [row])[0]


def set_(
    database: Database,
    tenant: TenantRef,
    actor: str,
    setting: str,
    *,
    display_name: str | None = None,
    local_admin_enabled: bool | None = None,
    reset_enabled: bool | None = None,
    restore_enabled: bool | None = None,
    restore_frequency_hours: int | None = None,
    kept: Mapping[str, Any] | None = None,
    confirmed: bool = False,
) -> Item:
    """Change what is given; `kept` properties are put beside those it had, None takes one away."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER_SETTING, setting)
        if display_name is not None:
            display_name = named.check_name("displayName", display_name)
            named.refuse_taken(opened.connection, tenant, USER_SETTING, display_name, besides=row.id)
        merged = {name: value for name, value in {**row.kept_properties, **(kept or {})}.items() if value is not None}
        after = named.modify(
            opened,
            USER_SETTING,
            row,
            kept_properties=merged,
            display_name=display_name,
            local_admin_enabled=local_admin_enabled,
            reset_enabled=reset_enabled,
            restore_enabled=restore_enabled,
            restore_frequency_hours=None
            if restore_frequency_hours is None
            else _check_frequency(restore_frequency_hours),
        )
        return _with_groups(opened.connection, tenant, [after])[0]


def set_assignments(
    database: Database, tenant: TenantRef, actor: str, setting: str, groups: Sequence[str], *, confirmed: bool = False
) -> Item:
    """Replace the whole list of groups."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER_SETTING, setting)
        _replace(opened, row, groups)
        return _with_groups(opened.connection, tenant, [row])[0]


def assign(
    database: Database,
    tenant: TenantRef,
    actor: str,
    setting: str,
    *,
    add: Sequence[str] = (),
    drop: Sequence[str] = (),
    confirmed: bool = False,
) -> Item:
    """Assign it to more groups, or take it from some; the others keep it."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER_SETTING, setting)
        gone = {g.id for g in named.several(opened.connection, tenant, GROUP, drop)}
        has = [a["groupId"] for a in _with_groups(opened.connection, tenant, [row])[0]["assignments"]]
        _replace(opened, row, [*(g for g in has if UUID(g) not in gone), *add])
        return _with_groups(opened.connection, tenant, [row])[0]


def delete(database: Database, tenant: TenantRef, actor: str, setting: str, *, confirmed: bool = False) -> Item:
    """Delete a user setting; its assignments go with it."""
    with change(database, tenant, actor, confirmed=confirmed) as opened:
        row = named.one(opened.connection, tenant, USER_SETTING, setting)
        item = _with_groups(opened.connection, tenant, [row])[0]
        named.remove(opened, USER_SETTING, row, assignments=item["assignments"])
        return item


def list_(database: Database, tenant: TenantRef, after: str | None = None, limit: int = 100) -> list[Item]:
    with database.single.connect() as connection:
        return _with_groups(connection, tenant, named.page(connection, tenant, USER_SETTING, after, limit))


def in_order(connection: Connection, tenant: TenantRef) -> list[Item]:
    """The user settings in the order in which they win: the most recently created first. At most LARGEST_PAGE."""
    t = user_settings
    query = select(t).where(USER_SETTING.of(tenant)).order_by(t.c.number.desc()).limit(named.LARGEST_PAGE)
    return _with_groups(connection, tenant, list(connection.execute(query)))


def conflicts(connection: Connection, tenant: TenantRef, setting: str) -> list[Item]:
    """Other user settings that reach some of the same people: `people` (their number), and whether it `wins` there;
    those that win first."""
    row = named.one(connection, tenant, USER_SETTING, setting)
    found = connection.execute(_CONFLICTS, {"tenant": tenant.id, "setting": row.id, "number": row.number})
    return [{"id": str(o.id), "displayName": o.display_name, "people": o.people, "wins": o.wins} for o in found]


def show(database: Database, tenant: TenantRef, setting: str) -> Item:
    with database.single.connect() as connection:
        row = named.one(connection, tenant, USER_SETTING, setting)
        return _with_groups(connection, tenant, [row])[0]


def _with_groups(connection: Connection, tenant: TenantRef, rows: "list[Row[Any]]") -> list[Item]:
    assigned: dict[Any, list[Item]] = {row.id: [] for row in rows}
    for a in connection.execute(_ASSIGNED, {"tenant": tenant.id, "settings": list(assigned)}):
        assigned[a.setting_id].append({"groupId": str(a.id), "groupDisplayName": a.display_name})
    return [{**_present(row), "assignments": assigned[row.id]} for row in rows]


def _replace(opened: Change, row: "Row[Any]", groups: Sequence[str]) -> None:
    wanted = named.several(opened.connection, opened.tenant, GROUP, groups)
    before = _with_groups(opened.connection, opened.tenant, [row])[0]["assignments"]
    had, want = {UUID(a["groupId"]) for a in before}, {g.id for g in wanted}
    if had == want:
        return
    of = {"tenant": opened.tenant.id, "setting": row.id}
    opened.connection.execute(_REMOVE, {**of, "groups": list(had - want)})
    opened.connection.execute(_ADD, {**of, "groups": list(want - had)})
    after = _with_groups(opened.connection, opened.tenant, [row])[0]["assignments"]
    written = event(row.id, row.display_name, {"assignments": before}, {"assignments": after})
    opened.audit("Assign user setting", USER_SETTING.kind, [written])


def _check_frequency(hours: int) -> int:
    if hours not in FREQUENCIES:
        raise Refused(
            "restorePointSetting.frequencyInHours", hours, f"must be one of: {', '.join(map(str, FREQUENCIES))}"
        )
    return hours
