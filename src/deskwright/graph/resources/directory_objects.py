"""directoryObjects: a person, group, device or the organization, by id alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from deskwright.graph.access import DEVICES_READ, GROUPS_READ, MEMBERS_READ, ORGANIZATION_READ, USERS_READ
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_found
from deskwright.graph.listing import Source
from deskwright.graph.render import entity
from deskwright.graph.resources import devices as device_set
from deskwright.graph.resources import groups as group_set
from deskwright.graph.resources import organization as organization_set
from deskwright.graph.resources import users as user_set
from deskwright.graph.routes import Access, serves
from deskwright.identity.permissions import satisfies
from deskwright.operations.named import as_id

MOST = 1000
"""Ids in one request, as on Graph."""
_READ = Access(("Directory.Read.All", "User.Read.All", "Group.Read.All", "GroupMember.Read.All", "Device.Read.All"))
_SOURCES = {"user": user_set.USERS, "group": group_set.GROUPS, "device": device_set.DEVICES}
_NEEDED = {
    "user": USERS_READ.scopes,
    "group": (*GROUPS_READ.scopes, *MEMBERS_READ.scopes),
    "device": DEVICES_READ.scopes,
    "organization": ORGANIZATION_READ.scopes,
}
"""What opens objects of a type: a permission for one is none for another."""


@serves("GET", "/directoryObjects/{id}", _READ, returns="directoryObject", extra=True)
def get_object(call: Call) -> Any:
    """Get a directory object."""
    key = call.key("directory object")
    found = _found(call, [key], (*_SOURCES, "organization"))
    if not found:
        raise not_found("directory object", key)
    return {"@odata.context": f"{call.root}/$metadata#directoryObjects/$entity", **found[0]}


@serves("POST", "/directoryObjects/getByIds", _READ, returns="Collection(directoryObject)", writes=False, extra=True)
def get_by_ids(call: Call) -> Any:
    """Get directory objects by their ids; those that do not exist are left out."""
    ids = call.fields.get("ids")
    if not isinstance(ids, list) or not ids or len(ids) > MOST:
        raise bad(f"'ids' must be a list of 1 to {MOST} ids.", "ids")
    keys = [as_id(i) if isinstance(i, str) else None for i in ids]
    if None in keys:
        raise bad(f"The value {ids[keys.index(None)]!r:.60} in 'ids' is not a GUID.", "ids")
    types = call.fields.get("types") or (*_SOURCES, "organization")
    if not isinstance(types, list | tuple):
        raise bad("'types' must be a list of the names of directory object types.", "types")
    wanted = tuple(str(t).lower().removeprefix("microsoft.graph.") for t in types)
    if "directoryobject" in wanted:
        wanted = (*_SOURCES, "organization")
    found = _found(call, [k for k in keys if k is not None], wanted)
    return {"@odata.context": f"{call.root}/$metadata#directoryObjects", "value": found}


def _found(call: Call, ids: Sequence[UUID], types: Sequence[str]) -> list[dict[str, Any]]:
    """Those of the ids that exist and the caller may read, each with its type: one or two queries per type."""
    out: list[dict[str, Any]] = []
    types = [name for name in _NEEDED if name in types and satisfies(call.caller, _NEEDED[name], writes=False)]
    with call.reading() as connection:
        for name, source in _SOURCES.items():
            if name in types:
                keys = [str(i) for i in ids] if name == "device" else ids
                out += _of_source(call, connection, name, source, keys)
    if "organization" in types and call.tenant.id in ids:
        out.append(_whole(call, "organization", organization_set.organization(call)))
    order = {str(i): n for n, i in enumerate(ids)}
    return sorted(out, key=lambda item: order[str(item["id"]).lower()])


def _of_source(
    call: Call, connection: Connection, name: str, source: Source, keys: Sequence[Any]
) -> list[dict[str, Any]]:
    rows = connection.execute(source.rows(call).where(source.key.in_(keys))).all()
    return [_whole(call, name, known, source.defaults) for known in source.present(call, connection, rows)]


def _whole(call: Call, name: str, known: Any, defaults: Sequence[str] = ()) -> dict[str, Any]:
    select = frozenset(d.lower() for d in defaults) or None
    options = replace(call.options, select=call.options.select or select, expand={})
    return entity(call, name, {"@odata.type": f"#microsoft.graph.{name}", **known}, options)
