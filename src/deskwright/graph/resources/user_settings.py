"""userSettings: what people may do on their Cloud PC, and which groups that holds for."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select

from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call, Options
from deskwright.graph.errors import bad, not_found, not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.kept import kept
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known, entity
from deskwright.graph.routes import serves
from deskwright.graph.targets import GROUP_TARGET, group_of, groups_of
from deskwright.operations import user_settings
from deskwright.operations.named import as_id
from deskwright.operations.user_settings import FREQUENCIES
from deskwright.store.tables import user_setting_assignments
from deskwright.store.tables import user_settings as table

PATH = "deviceManagement/virtualEndpoint/userSettings"
SET = f"/{PATH}"
TYPE = "cloudPcUserSetting"
ASSIGNMENT = "cloudPcUserSettingAssignment"
KEPT = ("crossRegionDisasterRecoverySetting", "notificationSetting", "provisioningSourceType", "selfServiceEnabled")
_DEFAULT_HOURS = 12
_HOURS = {word: hours for hours, word in FREQUENCIES.items()}
_s, _a = table.c, user_setting_assignments.c


def _rows(call: Call) -> "Select[Any]":
    return select(table).where(_s.tenant_id == call.tenant.id)


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [_known(row) for row in rows]


def _known(row: "Row[Any]") -> Known:
    had = row.kept_properties
    hours = row.restore_frequency_hours
    by_default = hours == _DEFAULT_HOURS and had.get("frequencyType", "default") == "default"
    return {
        **{name: had.get(name) for name in KEPT},
        "id": row.id,
        "displayName": row.display_name,
        "localAdminEnabled": row.local_admin_enabled,
        "resetEnabled": row.reset_enabled,
        "selfServiceEnabled": had.get("selfServiceEnabled", False),
        "provisioningSourceType": had.get("provisioningSourceType", "image"),
        "restorePointSetting": {
            "userRestoreEnabled": row.restore_enabled,
            "frequencyInHours": hours,
            "frequencyType": "default" if by_default else FREQUENCIES.get(hours, "default"),
        },
        "createdDateTime": row.created_at,
        "lastModifiedDateTime": row.modified_at,
    }


def _expand_assignments(
    call: Call, connection: Connection, items: list[dict[str, Any]], rows: "Sequence[Row[Any]]"
) -> None:
    wanted = call.options.expand.get("assignments") or Options()
    query = select(user_setting_assignments).where(
        _a.tenant_id == call.tenant.id, _a.setting_id.in_([row.id for row in rows])
    )
    of: dict[UUID, list[dict[str, Any]]] = {row.id: [] for row in rows}
    for row in connection.execute(query.order_by(_a.created_at, _a.id)):
        of[row.setting_id].append(entity(call, ASSIGNMENT, _assignment_known(row), wanted))
    for item, row in zip(items, rows, strict=True):
        item["assignments"] = of[row.id]


SETTINGS = Source(
    TYPE,
    _rows,
    _s.id,
    Fields(
        {
            "id": Field(_s.id, "id"),
            "displayName": Field(_s.display_name),
            "localAdminEnabled": Field(_s.local_admin_enabled, "bool"),
            "resetEnabled": Field(_s.reset_enabled, "bool"),
            "restorePointSetting/userRestoreEnabled": Field(_s.restore_enabled, "bool"),
            "restorePointSetting/frequencyInHours": Field(_s.restore_frequency_hours, "int"),
            "createdDateTime": Field(_s.created_at, "time"),
            "lastModifiedDateTime": Field(_s.modified_at, "time"),
        }
    ),
    _present,
    {"assignments": _expand_assignments},
)


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_settings(call: Call) -> Any:
    """List user settings."""
    return collection(call, SETTINGS, path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_settings(call: Call) -> Any:
    """Count user settings."""
    return number(count(call, SETTINGS))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_setting(call: Call) -> Any:
    """Get a user setting."""
    return one(call, SETTINGS, "user setting", call.key("user setting"))


@serves("POST", SET, WRITE, body=TYPE, returns=TYPE)
def create_setting(call: Call) -> Any:
    """Create a user setting; being the newest, it wins where several reach the same person."""
    given = bodies.newest(call, TYPE)
    if not given.get("displayName"):
        raise bad("The property 'displayName' is missing.", "displayName")
    item = user_settings.create(*call.change, confirmed=call.confirmed, **_values(given))
    return Created(one(call, SETTINGS, "user setting", UUID(item["id"])))


@serves("PATCH", f"{SET}/{{id}}", WRITE, body=TYPE, returns=TYPE)
def update_setting(call: Call) -> Any:
    """Update a user setting; people notice at their next sign-in or by repair."""
    setting = _setting(call)
    values = _values(bodies.newest(call, TYPE))
    user_settings.set_(*call.change, str(setting.id), confirmed=call.confirmed, **values)
    return one(call, SETTINGS, "user setting", setting.id)


@serves("DELETE", f"{SET}/{{id}}", WRITE)
def delete_setting(call: Call) -> None:
    """Delete a user setting; its assignments go with it."""
    user_settings.delete(*call.change, str(call.key("user setting")), confirmed=call.confirmed)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says, as `operations.user_settings` has it."""
    recovery = given.get("crossRegionDisasterRecoverySetting") or {}
    if recovery.get("crossRegionDisasterRecoveryEnabled"):
        raise not_possible("'crossRegionDisasterRecoverySetting': there is no disaster recovery to another region yet.")
    points = given.get("restorePointSetting") or {}
    extras = kept(TYPE, given, KEPT)
    word, hours = points.get("frequencyType"), points.get("frequencyInHours")
    if word == "default":
        hours = _DEFAULT_HOURS
    elif word is not None:
        hours = _HOURS.get(word, hours)
    if hours is not None:
        # Twelve hours and the default are the same, but clients want to read the word they wrote.
        extras["frequencyType"] = word or FREQUENCIES.get(hours)
    values = {
        "display_name": given.get("displayName"),
        "local_admin_enabled": given.get("localAdminEnabled"),
        "reset_enabled": given.get("resetEnabled"),
        "restore_enabled": points.get("userRestoreEnabled"),
        "restore_frequency_hours": hours,
        "kept": extras or None,
    }
    return {name: value for name, value in values.items() if value is not None}


# --- assignments ----------------------------------------------------------------------------------------


def _assignment_rows(call: Call) -> "Select[Any]":
    setting = call.key("user setting", 0)
    return select(user_setting_assignments).where(_a.tenant_id == call.tenant.id, _a.setting_id == setting)


def _assignment_known(row: "Row[Any]") -> Known:
    target = {"@odata.type": GROUP_TARGET, "groupId": row.group_id}
    return {"id": row.id, "createdDateTime": row.created_at, "target": target}


ASSIGNMENTS = Source(
    ASSIGNMENT,
    _assignment_rows,
    _a.id,
    Fields(
        {
            "id": Field(_a.id, "id"),
            "target/groupId": Field(_a.group_id, "id"),
            "createdDateTime": Field(_a.created_at, "time"),
        },
        search=(),
    ),
    lambda _call, _connection, rows: [_assignment_known(row) for row in rows],
)


@serves("POST", f"{SET}/{{id}}/assign", WRITE)
def assign(call: Call) -> None:
    """Replace all assignments of a user setting."""
    setting = _setting(call)
    user_settings.set_assignments(*call.change, str(setting.id), groups_of(call), confirmed=call.confirmed)


@serves("GET", f"{SET}/{{id}}/assignments", READ, returns=f"Collection({ASSIGNMENT})")
def list_assignments(call: Call) -> Any:
    """List the assignments of a user setting."""
    _setting(call)
    return collection(call, ASSIGNMENTS, path=f"{PATH}('{call.keys[0]}')/assignments")


@serves("GET", f"{SET}/{{id}}/assignments/$count", READ, returns="Int32")
def count_assignments(call: Call) -> Any:
    """Count the assignments of a user setting."""
    _setting(call)
    return number(count(call, ASSIGNMENTS))


@serves("GET", f"{SET}/{{id}}/assignments/{{id}}", READ, returns=ASSIGNMENT)
def get_assignment(call: Call) -> Any:
    """Get an assignment of a user setting."""
    return one(call, ASSIGNMENTS, "assignment", call.keys[1], condition=_named(call))


@serves("POST", f"{SET}/{{id}}/assignments", WRITE, body=ASSIGNMENT, returns=ASSIGNMENT)
def create_assignment(call: Call) -> Any:
    """Assign a user setting to one more group."""
    setting = _setting(call)
    bodies.entity(call, ASSIGNMENT)
    group = group_of(call.body, "")
    user_settings.assign(*call.change, str(setting.id), add=[group], confirmed=call.confirmed)
    return Created(one(call, ASSIGNMENTS, "assignment", group, condition=_a.group_id == as_id(group)))


@serves("PATCH", f"{SET}/{{id}}/assignments/{{id}}", WRITE, body=ASSIGNMENT, returns=ASSIGNMENT)
def update_assignment(call: Call) -> Any:
    """Write an assignment again; its group stays."""
    row = _assignment(call)
    bodies.entity(call, ASSIGNMENT)
    if call.fields.get("target") is not None and as_id(group_of(call.body, "")) != row.group_id:
        raise not_possible("The group of an assignment cannot be changed. Delete the assignment, and make another.")
    return one(call, ASSIGNMENTS, "assignment", call.keys[1], condition=_named(call))


@serves("DELETE", f"{SET}/{{id}}/assignments/{{id}}", WRITE)
def delete_assignment(call: Call) -> None:
    """Take a user setting from a group."""
    row = _assignment(call)
    user_settings.assign(*call.change, str(row.setting_id), drop=[str(row.group_id)], confirmed=call.confirmed)


def _setting(call: Call) -> "Row[Any]":
    setting = call.key("user setting", 0)
    with call.reading() as connection:
        row = connection.execute(_rows(call).where(_s.id == setting)).one_or_none()
    if row is None:
        raise not_found("user setting", setting)
    return row


def _named(call: Call) -> Any:
    name = call.keys[1]
    setting, _, group = name.partition("_")
    if as_id(name) is not None:
        return _a.id == as_id(name)
    if as_id(setting) == as_id(call.keys[0]) and as_id(group) is not None:
        return _a.group_id == as_id(group)
    raise not_found("assignment", name)


def _assignment(call: Call) -> "Row[Any]":
    with call.reading() as connection:
        row = connection.execute(_assignment_rows(call).where(_named(call))).one_or_none()
    if row is None:
        raise not_found("assignment", call.keys[1])
    return row
