"""Who is in a group, which groups a person is in, and putting people in and out by reference."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from sqlalchemy import Connection, Row, Select, exists, func, literal, select

from deskwright.graph.access import ME, MEMBERS_READ, MEMBERS_WRITE
from deskwright.graph.answers import number
from deskwright.graph.call import Call, Options
from deskwright.graph.errors import GraphError, bad, not_found
from deskwright.graph.giving_roles import must_be_able_to_give_those_of_group
from deskwright.graph.listing import Source, always, collection, count, one
from deskwright.graph.references import must_be_people, referred
from deskwright.graph.render import Known, entity
from deskwright.graph.resources import groups as group_set
from deskwright.graph.resources import users as user_set
from deskwright.graph.routes import Access, serves
from deskwright.operations import groups as operations
from deskwright.store.tables import groups, memberships, users

_m = memberships.c
_EXPANDED = 20
"""Members of one group that `$expand` tells, as on Graph; the rest by `/members`."""
_OBJECTS = "directoryObjects"


def _in_group(group: UUID) -> "Callable[[Call], Select[Any]]":
    def rows(call: Call) -> "Select[Any]":
        member = exists(select(literal(1)).where(_m.group_id == group, _m.user_id == users.c.id))
        return user_set.USERS.rows(call).where(member)

    return rows


def _of_person(person: UUID) -> "Callable[[Call], Select[Any]]":
    def rows(call: Call) -> "Select[Any]":
        member = exists(select(literal(1)).where(_m.user_id == person, _m.group_id == groups.c.id))
        return group_set.GROUPS.rows(call).where(member)

    return rows


def _typed(present: "Callable[..., Sequence[Known]]", type_name: str) -> "Callable[..., list[Known]]":
    """The same, each saying what it is: the collection is one of directory objects."""

    def told(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
        return [{"@odata.type": f"#microsoft.graph.{type_name}", **known} for known in present(call, connection, rows)]

    return told


def members_of(call: Call, *, typed: bool = True) -> Source:
    """The people of the group in the path. Raises 404 where there is no such group."""
    group = call.key("group", 0)
    with call.reading() as connection:
        of = groups.c.tenant_id == call.tenant.id, groups.c.id == group
        if connection.execute(select(groups.c.id).where(*of)).one_or_none() is None:
            raise not_found("group", group)
    present = _typed(user_set.present, "user") if typed else user_set.present
    return replace(user_set.USERS, rows=_in_group(group), present=present)


def _groups_of(call: Call, person: UUID, *, typed: bool = True) -> Source:
    present = _typed(group_set.present, "group") if typed else group_set.present
    return replace(group_set.GROUPS, rows=_of_person(person), present=present)


# --- reading: nested groups do not count, so that transitive is the same ------------------------------


def _list_members(call: Call) -> Any:
    """List the members of a group."""
    return collection(call, members_of(call), path=_OBJECTS)


def _count_members(call: Call) -> Any:
    """Count the members of a group."""
    return number(count(call, members_of(call)))


def _list_people(call: Call) -> Any:
    """List the members of a group that are users: all are."""
    return collection(call, members_of(call, typed=False), path="users")


def _list_others(call: Call) -> Any:
    """List the members of a group that are groups or devices: none, for they would not count."""
    members_of(call)
    return {"@odata.context": f"{call.root}/$metadata#{_OBJECTS}", "value": []}


def _list_groups(call: Call) -> Any:
    """List the groups a user is in."""
    return collection(call, _groups_of(call, user_set.person_id(call)), path=_OBJECTS)


def _count_groups(call: Call) -> Any:
    """Count the groups a user is in."""
    return number(count(call, _groups_of(call, user_set.person_id(call))))


def _list_only_groups(call: Call) -> Any:
    """List the groups a user is in, as groups."""
    return collection(call, _groups_of(call, user_set.person_id(call), typed=False), path="groups")


def _list_my_groups(call: Call) -> Any:
    """List the groups the signed-in person is in."""
    assert call.caller.user_id is not None
    return collection(call, _groups_of(call, call.caller.user_id), path=_OBJECTS)


def _list_none(call: Call) -> Any:
    """List the groups a group is in: none, for groups are not nested."""
    members_of(call)
    return {"@odata.context": f"{call.root}/$metadata#{_OBJECTS}", "value": []}


_USERS_GROUPS = Access(("User.Read.All", "GroupMember.Read.All"))
for _name in ("members", "transitiveMembers"):
    _set = f"/groups/{{id}}/{_name}"
    serves("GET", _set, MEMBERS_READ, returns="Collection(directoryObject)")(_list_members)
    serves("GET", f"{_set}/$count", MEMBERS_READ, returns="Int32", extra=True)(_count_members)
    serves("GET", f"{_set}/microsoft.graph.user", MEMBERS_READ, returns="Collection(user)", extra=True)(_list_people)
    serves("GET", f"{_set}/microsoft.graph.user/$count", MEMBERS_READ, returns="Int32", extra=True)(_count_members)
    for _other in ("group", "device", "servicePrincipal"):
        serves("GET", f"{_set}/microsoft.graph.{_other}", MEMBERS_READ, extra=True)(_list_others)
for _name in ("memberOf", "transitiveMemberOf"):
    _set = f"/users/{{id}}/{_name}"
    _many = "Collection(directoryObject)"
    serves("GET", _set, _USERS_GROUPS, returns=_many)(_list_groups)
    serves("GET", f"{_set}/$count", _USERS_GROUPS, returns="Int32", extra=True)(_count_groups)
    serves("GET", f"{_set}/microsoft.graph.group", _USERS_GROUPS, returns="Collection(group)", extra=True)(
        _list_only_groups
    )
    serves("GET", f"/me/{_name}", ME, returns=_many, extra=True)(_list_my_groups)
    serves("GET", f"/groups/{{id}}/{_name}", MEMBERS_READ, returns=_many, extra=True)(_list_none)
serves("GET", "/groups/{id}/owners", MEMBERS_READ, returns="Collection(directoryObject)", extra=True)(_list_none)


@serves("GET", "/groups/{id}/members/{id}", MEMBERS_READ, returns="directoryObject", extra=True)
def get_member(call: Call) -> Any:
    """Get a member of a group."""
    return one(call, members_of(call), "member", call.key("member"))


@serves("GET", "/groups/{id}/members/$ref", MEMBERS_READ, returns="Collection(String)")
def list_references(call: Call) -> Any:
    """List references to the members of a group."""
    only_ids = replace(call.options, select=frozenset({"id"}))
    found = collection(replace(call, options=only_ids), members_of(call, typed=False), path="Collection($ref)")
    found["value"] = [{"@odata.id": f"{call.root}/{_OBJECTS}/{item['id']}"} for item in found["value"]]
    return found


# --- changing ------------------------------------------------------------------------------------------


@serves("POST", "/groups/{id}/members/$ref", MEMBERS_WRITE, body="ReferenceCreate")
def add_member(call: Call) -> None:
    """Add a member to a group."""
    group = call.key("group", 0)
    members_of(call)
    must_be_able_to_give_those_of_group(call, group)
    person = must_be_people(call, [referred(call.fields.get("@odata.id"), "@odata.id")], "@odata.id")
    if not operations.add_members(*call.change, str(group), person, confirmed=call.confirmed)["added"]:
        already = "One or more added object references already exist for the following modified properties: 'members'."
        raise bad(already, "@odata.id")


@serves("DELETE", "/groups/{id}/members/{id}/$ref", MEMBERS_WRITE)
def remove_member(call: Call) -> None:
    """Remove a member from a group."""
    _remove(call, call.key("member"))


@serves("DELETE", "/groups/{id}/members/$ref", MEMBERS_WRITE)
def remove_member_by_address(call: Call) -> None:
    """Remove the member that `@id` names from a group."""
    query = dict(parse_qsl(urlsplit(call.url).query))
    _remove(call, referred(query.get("@id") or query.get("$id"), "@id"))


def _remove(call: Call, person: UUID) -> None:
    group = call.key("group", 0)
    must_be_able_to_give_those_of_group(call, group)
    removed = operations.remove_members(*call.change, str(group), [str(person)], confirmed=call.confirmed)["removed"]
    if not removed:
        raise GraphError(404, "ResourceNotFound", f"'{person}' is not a member of this group.", target="members")


# --- $expand -------------------------------------------------------------------------------------------


def _expander(
    name: str, type_name: str, mine: Any, theirs: Any, source: Source
) -> "Callable[[Call, Connection, list[dict[str, Any]], Sequence[Row[Any]]], None]":
    """`$expand` of a navigation property that is a list of the other side of memberships, by one query a page."""

    def expand(call: Call, connection: Connection, items: list[dict[str, Any]], rows: "Sequence[Row[Any]]") -> None:
        ids = [row.id for row in rows]
        inner = call.options.expand.get(name.lower()) or Options()
        place = func.row_number().over(partition_by=mine, order_by=theirs)
        pairs = select(mine.label("mine"), theirs.label("theirs"), place.label("place")).where(mine.in_(ids)).subquery()
        query = source.rows(call).add_columns(pairs.c.mine.label("of")).join(pairs, pairs.c.theirs == source.key)
        found = connection.execute(query.where(pairs.c.place <= _EXPANDED).order_by(pairs.c.place)).all()
        within = replace(call, options=inner)
        told = _typed(source.present, type_name)(within, connection, found)
        listed: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        shown = inner
        if source.defaults and inner.select is None:
            shown = replace(inner, select=frozenset(d.lower() for d in source.defaults))
        for row, known in zip(found, told, strict=True):
            listed[row.of].append(entity(within, type_name, known, shown))
        for item, key in zip(items, ids, strict=True):
            item[name] = listed[key]

    return expand


def _complete(source: Source, **expand: Any) -> None:
    assert isinstance(source.expand, dict)
    source.expand.update(expand)


_of_users = (_m.user_id, _m.group_id, group_set.GROUPS)
_of_groups = (_m.group_id, _m.user_id, user_set.USERS)
_complete(
    user_set.USERS,
    memberOf=_expander("memberOf", "group", *_of_users),
    transitiveMemberOf=_expander("transitiveMemberOf", "group", *_of_users),
    manager=always("manager", None),
    ownedDevices=always("ownedDevices", []),
    registeredDevices=always("registeredDevices", []),
)
_complete(
    group_set.GROUPS,
    members=_expander("members", "user", *_of_groups),
    transitiveMembers=_expander("transitiveMembers", "user", *_of_groups),
    memberOf=always("memberOf", []),
    transitiveMemberOf=always("transitiveMemberOf", []),
    owners=always("owners", []),
)
