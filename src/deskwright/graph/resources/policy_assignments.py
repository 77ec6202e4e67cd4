"""Which groups a provisioning policy is assigned to, and the users that each assignment really reaches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, and_, exists, func, or_, select

from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call, Options
from deskwright.graph.errors import not_found, not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known, entity
from deskwright.graph.resources import users as user_set
from deskwright.graph.routes import serves
from deskwright.graph.targets import GROUP_TARGET, group_of, groups_of
from deskwright.operations import assignments
from deskwright.operations.named import as_id
from deskwright.store.tables import license_groups, license_users, memberships, policies, users
from deskwright.store.tables import policy_assignments as table

PATH = "deviceManagement/virtualEndpoint/provisioningPolicies"
SET = f"/{PATH}/{{id}}/assignments"
TYPE = "cloudPcProvisioningPolicyAssignment"
_EXPANDED = 100
"""Users of one assignment that `$expand` tells; the rest is behind a link."""
_a, _u, _m = table.c, users.c, memberships.c


def _rows(call: Call) -> "Select[Any]":
    return select(table).where(_a.tenant_id == call.tenant.id, _a.policy_id == call.key("provisioning policy", 0))


def _known(row: "Row[Any]") -> Known:
    return {"id": row.id, "target": {"@odata.type": GROUP_TARGET, "groupId": row.group_id}}


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [_known(row) for row in rows]


def _expand_users(call: Call, connection: Connection, items: list[dict[str, Any]], rows: "Sequence[Row[Any]]") -> None:
    _put_users(call, connection, items, rows, _inner(call.options, "assignedUsers"))


ASSIGNMENTS = Source(
    TYPE,
    _rows,
    _a.number,
    Fields({"id": Field(_a.id, "id"), "target/groupId": Field(_a.group_id, "id")}, search=()),
    _present,
    {"assignedUsers": _expand_users},
)


def expand_assignments(
    call: Call, connection: Connection, items: list[dict[str, Any]], rows: "Sequence[Row[Any]]"
) -> None:
    """`$expand=assignments` of policies, nested `assignedUsers` too."""
    wanted = _inner(call.options, "assignments")
    query = select(table).where(_a.tenant_id == call.tenant.id, _a.policy_id.in_([row.id for row in rows]))
    found = connection.execute(query.order_by(_a.number)).all()
    told = [entity(call, TYPE, _known(row), wanted) for row in found]
    if "assignedusers" in wanted.expand or "*" in wanted.expand:
        _put_users(call, connection, told, found, _inner(wanted, "assignedUsers"))
    of: dict[UUID, list[dict[str, Any]]] = {row.id: [] for row in rows}
    for row, item in zip(found, told, strict=True):
        of[row.policy_id].append(item)
    for item, row in zip(items, rows, strict=True):
        item["assignments"] = of[row.id]


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_assignments(call: Call) -> Any:
    """List the assignments of a provisioning policy, the first assigned first."""
    _policy(call)
    return collection(call, ASSIGNMENTS, path=f"{PATH}('{call.keys[0]}')/assignments")


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_assignments(call: Call) -> Any:
    """Count the assignments of a provisioning policy."""
    _policy(call)
    return number(count(call, ASSIGNMENTS))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_assignment(call: Call) -> Any:
    """Get an assignment of a provisioning policy."""
    return one(call, ASSIGNMENTS, "assignment", call.keys[1], condition=_named(call))


@serves("POST", f"/{PATH}/{{id}}/assign", WRITE)
def assign(call: Call) -> None:
    """Replace all assignments of a provisioning policy; an empty list takes it from everyone."""
    policy = _policy(call)
    assignments.set_assignments(*call.change, str(policy), groups_of(call), confirmed=call.confirmed)


@serves("POST", SET, WRITE, body=TYPE, returns=TYPE)
def create_assignment(call: Call) -> Any:
    """Assign a provisioning policy to one more group."""
    policy = _policy(call)
    bodies.entity(call, TYPE)
    group = group_of(call.body, "")
    assignments.assign(*call.change, str(policy), [group], confirmed=call.confirmed)
    return Created(one(call, ASSIGNMENTS, "assignment", group, condition=_a.group_id == as_id(group)))


@serves("PATCH", f"{SET}/{{id}}", WRITE, body=TYPE, returns=TYPE)
def update_assignment(call: Call) -> Any:
    """Write an assignment again; its group stays."""
    row = _assignment(call)
    bodies.entity(call, TYPE)
    if call.fields.get("target") is not None and as_id(group_of(call.body, "")) != row.group_id:
        raise not_possible("The group of an assignment cannot be changed. Delete the assignment, and make another.")
    return one(call, ASSIGNMENTS, "assignment", call.keys[1], condition=_named(call))


@serves("DELETE", f"{SET}/{{id}}", WRITE)
def delete_assignment(call: Call) -> None:
    """Take a provisioning policy from a group."""
    row = _assignment(call)
    assignments.unassign(*call.change, str(row.policy_id), [str(row.group_id)], confirmed=call.confirmed)


def _policy(call: Call) -> UUID:
    """The policy of the path. Raises 404."""
    policy = call.key("provisioning policy", 0)
    query = select(policies.c.id).where(policies.c.tenant_id == call.tenant.id, policies.c.id == policy)
    with call.reading() as connection:
        if connection.execute(query).first() is None:
            raise not_found("provisioning policy", policy)
    return policy


def _named(call: Call) -> Any:
    """The assignment of the path: by its id, or as clients make one up, `policy_group`."""
    name = call.keys[1]
    policy, _, group = name.partition("_")
    if as_id(name) is not None:
        return _a.id == as_id(name)
    if as_id(policy) == as_id(call.keys[0]) and as_id(group) is not None:
        return _a.group_id == as_id(group)
    raise not_found("assignment", name)


def _assignment(call: Call) -> "Row[Any]":
    with call.reading() as connection:
        row = connection.execute(_rows(call).where(_named(call))).one_or_none()
    if row is None:
        raise not_found("assignment", call.keys[1])
    return row


# --- whom an assignment reaches -------------------------------------------------------------------------


def _reached() -> "Select[Any]":
    """(assignment, user): licensed members of the group whom no earlier assignment reaches (E1, E4)."""
    earlier, their = table.alias("earlier"), memberships.alias("their")
    won = exists().where(
        their.c.user_id == _m.user_id, earlier.c.group_id == their.c.group_id, earlier.c.number < _a.number
    )
    via = memberships.alias("via")
    licensed = or_(
        exists().where(license_users.c.user_id == _m.user_id),
        exists().where(via.c.user_id == _m.user_id, license_groups.c.group_id == via.c.group_id),
    )
    return (
        select(_a.id.label("assignment_id"), users)
        .select_from(table.join(memberships, _m.group_id == _a.group_id).join(users, _u.id == _m.user_id))
        .where(_u.deleted_at.is_(None), _u.account_enabled, licensed, ~won)
    )


def _user_rows(call: Call) -> "Select[Any]":
    mine = and_(_a.tenant_id == call.tenant.id, _a.policy_id == call.key("provisioning policy", 0), _named(call))
    return _reached().where(mine)


ASSIGNED_USERS = Source(
    "user",
    _user_rows,
    _u.id,
    Fields(
        {
            "id": Field(_u.id, "id"),
            "userPrincipalName": Field(_u.user_principal_name),
            "displayName": Field(_u.display_name),
            "accountEnabled": Field(_u.account_enabled, "bool"),
        },
        search=("displayName", "userPrincipalName"),
    ),
    user_set.present,
    defaults=user_set.DEFAULTS,
)


@serves("GET", f"{SET}/{{id}}/assignedUsers", READ, returns="Collection(user)")
def list_assigned_users(call: Call) -> Any:
    """List the users who get their Cloud PC by this assignment: licensed members whom no earlier one reaches.

    ``assignedUsers(userPrincipalName='…')`` is one of them.
    """
    _assignment(call)
    name = call.arguments.get("userprincipalname")
    if name is not None:
        same = func.lower(_u.user_principal_name) == name.lower()
        return one(call, ASSIGNED_USERS, "assigned user", name, condition=same)
    return collection(call, ASSIGNED_USERS, path="users")


@serves("GET", f"{SET}/{{id}}/assignedUsers/$count", READ, returns="Int32")
def count_assigned_users(call: Call) -> Any:
    """Count the users who get their Cloud PC by this assignment."""
    _assignment(call)
    return number(count(call, ASSIGNED_USERS))


@serves("GET", f"{SET}/{{id}}/assignedUsers/{{id}}", READ, returns="user")
def get_assigned_user(call: Call) -> Any:
    """Get a user who gets a Cloud PC by this assignment."""
    _assignment(call)
    return one(call, ASSIGNED_USERS, "assigned user", call.key("assigned user", 2))


def _put_users(
    call: Call, connection: Connection, items: list[dict[str, Any]], rows: "Sequence[Row[Any]]", wanted: Options
) -> None:
    of = _a.id.in_([row.id for row in rows])
    place = func.row_number().over(partition_by=_a.id, order_by=_u.id).label("place")
    numbered = _reached().where(of).add_columns(place).subquery()
    query = select(numbered).where(numbered.c.place <= _EXPANDED + 1).order_by(numbered.c.place)
    shown = wanted if wanted.select else Options(frozenset(d.lower() for d in user_set.DEFAULTS))
    found: dict[UUID, list[dict[str, Any]]] = {row.id: [] for row in rows}
    people = connection.execute(query).all()
    known = user_set.present(replace(call, options=shown), connection, people)
    for user, person in zip(people, known, strict=True):
        found[user.assignment_id].append(entity(call, "user", person, shown))
    for item, row in zip(items, rows, strict=True):
        item["assignedUsers"] = found[row.id][:_EXPANDED]
        if len(found[row.id]) > _EXPANDED:
            link = f"{call.root}/{PATH}/{row.policy_id}/assignments/{row.id}/assignedUsers"
            item["assignedUsers@odata.nextLink"] = link


def _inner(options: Options, name: str) -> Options:
    found: Mapping[str, Options] = options.expand
    return found.get(name.lower()) or found.get("*") or Options()
