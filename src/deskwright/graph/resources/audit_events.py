"""auditEvents: who changed what, when, from what to what."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, case, func, literal, select

from deskwright.graph.access import READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.errors import not_found
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known, plain
from deskwright.graph.routes import serves
from deskwright.store.tables import app_registrations, audit_events, users

_SET = "/deviceManagement/virtualEndpoint/auditEvents"
_a = audit_events.c
_NOBODY = str(UUID(int=0))
_LOOKED_AT = 20_000
"""Events among which the kinds of activities are gathered, the newest ones."""
_OPERATION = case((_a.activity.like("Create %"), "create"), (_a.activity.like("Delete %"), "delete"), else_="patch")


def _rows(call: Call) -> "Select[Any]":
    return select(audit_events, _OPERATION.label("operation")).where(_a.tenant_id == call.tenant.id)


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    actors = _actors(call, connection, {row.actor for row in rows}) if call.options.wants("actor") else {}
    return [_event(row, actors.get(row.actor, {})) for row in rows]


def _actors(call: Call, connection: Connection, names: set[str]) -> dict[str, Known]:
    """Who is behind the names in the log: people by their user principal name, applications by theirs."""
    u, a = users.c, app_registrations.c
    lower = [n.lower() for n in names]
    people = select(u.id, u.user_principal_name).where(
        u.tenant_id == call.tenant.id, u.deleted_at.is_(None), func.lower(u.user_principal_name).in_(lower)
    )
    apps = select(a.id, a.display_name).where(a.tenant_id == call.tenant.id, a.display_name.in_(names))
    user_ids = {row.user_principal_name.lower(): row.id for row in connection.execute(people)}
    app_ids = {row.display_name: row.id for row in connection.execute(apps)}
    return {name: _actor(name, user_ids.get(name.lower()), app_ids.get(name)) for name in names}


def _actor(name: str, user: UUID | None, application: UUID | None) -> Known:
    if user is not None or "@" in name:
        told = {"type": "itPro", "userId": plain(user), "userPrincipalName": name}
    else:
        told = {"type": "application", "applicationId": plain(application), "applicationDisplayName": name}
    return {**told, "userPermissions": [], "userRoleScopeTags": []}


def _event(row: "Row[Any]", actor: Known) -> Known:
    return {
        "id": str(row.id),
        "activity": row.activity,
        "activityDateTime": row.at,
        "activityOperationType": row.operation,
        "activityResult": "success",
        "activityType": row.activity,
        "actor": actor,
        "category": "cloudPC",
        "componentName": row.object_type,
        "correlationId": row.correlation_id or _NOBODY,
        "displayName": f"{row.activity} '{row.object_name}'" if row.object_name else row.activity,
        "resources": [
            {
                "displayName": row.object_name,
                "resourceId": row.object_id,
                "resourceType": row.object_type,
                "modifiedProperties": _changes(row.before or {}, row.after or {}),
            }
        ],
    }


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Known]:
    """Every property that was changed, as texts; what was not a text is told as JSON."""
    return [
        {
            "displayName": name,
            "oldValue": _text(before[name]) if before.get(name) is not None else None,
            "newValue": _text(after[name]) if after.get(name) is not None else "",
        }
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


EVENTS = Source(
    "cloudPcAuditEvent",
    _rows,
    _a.id,
    Fields(
        {
            "id": Field(_a.id, "int"),
            "activityDateTime": Field(_a.at, "time"),
            "activity": Field(_a.activity),
            "activityType": Field(_a.activity),
            "activityOperationType": Field(_OPERATION, "enum"),
            "activityResult": Field(literal("success"), "enum"),
            "category": Field(literal("cloudPC"), "enum"),
            "componentName": Field(_a.object_type),
            "correlationId": Field(func.coalesce(_a.correlation_id, _NOBODY)),
            "displayName": Field(_a.object_name),
            "actor/userPrincipalName": Field(_a.actor),
            "actor/applicationDisplayName": Field(_a.actor),
        },
        search=("displayName", "activity"),
    ),
    _present,
    newest_first=True,
)


def _by_id(call: Call) -> Call:
    """Events are numbered as they happen: to sort by time is to sort by number, for which there is an index."""
    if len(call.options.orderby) != 1 or call.options.orderby[0][0].lower() != "activitydatetime":
        return call
    return replace(call, options=replace(call.options, orderby=(("id", call.options.orderby[0][1]),)))


@serves("GET", _SET, READ, returns="Collection(cloudPcAuditEvent)")
def list_events(call: Call) -> Any:
    """List audit events, newest first."""
    return collection(_by_id(call), EVENTS, path="deviceManagement/virtualEndpoint/auditEvents")


@serves("GET", f"{_SET}/$count", READ, returns="Int32")
def count_events(call: Call) -> Any:
    """Count audit events."""
    return number(count(call, EVENTS))


@serves("GET", f"{_SET}/{{id}}", READ, returns="cloudPcAuditEvent")
def get_event(call: Call) -> Any:
    """Get an audit event."""
    key = call.keys[0]
    if not key.isascii() or not key.isdigit() or len(key) > 18:
        raise not_found("audit event", key)
    return one(call, EVENTS, "audit event", key, condition=_a.id == int(key))


@serves("GET", f"{_SET}/getAuditActivityTypes()", READ, returns="Collection(String)")
def get_activity_types(call: Call) -> Any:
    """The kinds of activities there were lately."""
    newest = select(_a.activity).where(_a.tenant_id == call.tenant.id).order_by(_a.id.desc()).limit(_LOOKED_AT)
    with call.reading() as connection:
        found = connection.execute(select(newest.subquery().c.activity).distinct()).scalars().all()
    return {"@odata.context": f"{call.root}/$metadata#Collection(Edm.String)", "value": sorted(found)}
