"""roleManagement/cloudPC: the built-in roles of Cloud PC administration, and who holds them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, case, exists, func, literal, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by

from deskwright.graph import bodies
from deskwright.graph.access import ROLES_READ, ROLES_WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call, Options
from deskwright.graph.errors import GraphError, bad, not_found, not_possible
from deskwright.graph.filters import Condition, Field, Fields
from deskwright.graph.listing import Source, collection, count, list_of, one, values_source
from deskwright.graph.references import must_be_people
from deskwright.graph.render import Known
from deskwright.graph.resources import groups as group_set
from deskwright.graph.resources import users as user_set
from deskwright.graph.resources.virtual_endpoint import CHANGES, SETS
from deskwright.graph.routes import serves
from deskwright.identity.permissions import ADMINISTRATOR, READER, ROLES
from deskwright.operations import role_assignments as operations
from deskwright.operations.named import as_id
from deskwright.store.tables import groups, role_assignments, role_groups, users

_ROOT = "/roleManagement/cloudPC"
_ID = "cloudPC"
_DEFINITIONS = f"{_ROOT}/roleDefinitions"
_ASSIGNMENTS = f"{_ROOT}/roleAssignments"
_NAMESPACES = f"{_ROOT}/resourceNamespaces"
_NAMESPACE = "Microsoft.CloudPC"
_CONTEXT = "roleManagement/cloudPC"

_READS = tuple(f"{_NAMESPACE}/{name}/Read" for name in SETS)
_ALL = (*_READS, *(f"{_NAMESPACE}/{name}/{verb}" for name, verbs in CHANGES.items() for verb in verbs))
_MEANING = {
    ADMINISTRATOR: ("Reads and changes everything about Cloud PCs.", _ALL),
    READER: ("Reads everything about Cloud PCs, and changes nothing.", _READS),
}
_NO_CUSTOM = "Custom roles are not served yet: only the built-in roles restrict what people may do. No change was made."


# --- roles -------------------------------------------------------------------------------------------


def _role(name: str) -> Known:
    description, actions = _MEANING[name]
    return {
        "id": str(ROLES[name]),
        "templateId": str(ROLES[name]),
        "displayName": name,
        "description": description,
        "isBuiltIn": True,
        "isEnabled": True,
        "isPrivileged": name == ADMINISTRATOR,
        "allowedPrincipalTypes": ["user", "group"],
        "resourceScopes": ["/"],
        "rolePermissions": [
            {"allowedResourceActions": sorted(actions), "excludedResourceActions": [], "condition": None}
        ],
    }


_KINDS = {"displayName": "text", "isBuiltIn": "bool", "isEnabled": "bool", "templateId": "text"}
_ROLES = [_role(name) for name in ROLES]
ROLE_SOURCE = values_source("unifiedRoleDefinition", _ROLES, _KINDS)


@serves("GET", _ROOT, ROLES_READ, returns="rbacApplicationMultiple")
def get_application(call: Call) -> Any:
    """Get the role management of Cloud PCs; roles and assignments have sets of their own."""
    return {"@odata.context": f"{call.root}/$metadata#{_CONTEXT}/$entity", "id": _ID}


@serves("GET", _DEFINITIONS, ROLES_READ, returns="Collection(unifiedRoleDefinition)")
def list_roles(call: Call) -> Any:
    """List roles: the built-in ones."""
    return collection(call, ROLE_SOURCE, path=f"{_CONTEXT}/roleDefinitions")


@serves("GET", f"{_DEFINITIONS}/$count", ROLES_READ, returns="Int32")
def count_roles(call: Call) -> Any:
    """Count roles."""
    return number(count(call, ROLE_SOURCE))


@serves("GET", f"{_DEFINITIONS}/{{id}}", ROLES_READ, returns="unifiedRoleDefinition")
def get_role(call: Call) -> Any:
    """Get a role."""
    return one(call, ROLE_SOURCE, "role", call.keys[0].lower())


@serves(
    "GET", f"{_DEFINITIONS}/{{id}}/inheritsPermissionsFrom", ROLES_READ, returns="Collection(unifiedRoleDefinition)"
)
def list_inherited(call: Call) -> Any:
    """List the roles a role inherits from: none does."""
    get_role(call)
    return list_of(call, "unifiedRoleDefinition", [], _KINDS)


@serves("POST", _DEFINITIONS, ROLES_WRITE, body="unifiedRoleDefinition")
def create_role(_call: Call) -> Any:
    """Refused: there are no custom roles."""
    raise not_possible(_NO_CUSTOM)


def _built_in(call: Call) -> Any:
    """Refused: built-in roles stay as they are."""
    get_role(call)
    raise GraphError(409, "notAllowed", "A built-in role cannot be changed or deleted.", target="id")


serves("PATCH", f"{_DEFINITIONS}/{{id}}", ROLES_WRITE, body="unifiedRoleDefinition")(_built_in)
serves("DELETE", f"{_DEFINITIONS}/{{id}}", ROLES_WRITE)(_built_in)


# --- who holds them ----------------------------------------------------------------------------------


def _of(table: Table, principal: "ColumnElement[Any]") -> "Select[Any]":
    c = table.c
    return select(c.tenant_id, c.assignment_id, c.role, c.display_name, c.description, principal.label("principal"))


_r, _g = role_assignments.c, role_groups.c
_people = _of(role_assignments, _r.user_id).join(users, users.c.id == _r.user_id).where(users.c.deleted_at.is_(None))
_GIVEN = union_all(_people, _of(role_groups, _g.group_id)).subquery("given")
_p = _GIVEN.c
_HELD = (
    select(
        _p.tenant_id,
        _p.assignment_id,
        _p.role,
        func.max(_p.display_name).label("display_name"),
        func.max(_p.description).label("description"),
        func.array_agg(aggregate_order_by(_p.principal, _p.principal)).label("principals"),
    )
    .group_by(_p.tenant_id, _p.assignment_id, _p.role)
    .subquery("held")
)
_h = _HELD.c
_ROLE_ID = case({name: str(key) for name, key in ROLES.items()}, value=_h.role)


def _rows(call: Call) -> "Select[Any]":
    return select(_HELD).where(_h.tenant_id == call.tenant.id)


def _present(_call: Call, _connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    return [
        {
            "id": row.assignment_id,
            "displayName": row.display_name or None,
            "description": row.description or None,
            "roleDefinitionId": ROLES[row.role],
            "principalIds": [str(p) for p in row.principals],
            "directoryScopeIds": ["/"],
            "appScopeIds": [],
        }
        for row in rows
    ]


def _names(condition: Condition) -> Condition:
    return exists(select(literal(1)).select_from(_PRINCIPAL).where(condition))


_PRINCIPAL = func.unnest(_h.principals).table_valued("id", name="principal").render_derived()
HOLDERS = Source(
    "unifiedRoleAssignmentMultiple",
    _rows,
    _h.assignment_id,
    Fields(
        {
            "id": Field(_h.assignment_id, "id"),
            "roleDefinitionId": Field(_ROLE_ID),
            "displayName": Field(_h.display_name),
        },
        {"principalIds": (Fields({"": Field(_PRINCIPAL.c.id, "id")}), _names)},
    ),
    _present,
)


@serves("GET", _ASSIGNMENTS, ROLES_READ, returns="Collection(unifiedRoleAssignmentMultiple)")
def list_assignments(call: Call) -> Any:
    """List who holds which role."""
    return collection(call, HOLDERS, path=f"{_CONTEXT}/roleAssignments")


@serves("GET", f"{_ASSIGNMENTS}/$count", ROLES_READ, returns="Int32")
def count_assignments(call: Call) -> Any:
    """Count role assignments."""
    return number(count(call, HOLDERS))


@serves("GET", f"{_ASSIGNMENTS}/{{id}}", ROLES_READ, returns="unifiedRoleAssignmentMultiple")
def get_assignment(call: Call) -> Any:
    """Get a role assignment."""
    return one(call, HOLDERS, "role assignment", call.key("role assignment", 0))


@serves("GET", f"{_ASSIGNMENTS}/{{id}}/roleDefinition", ROLES_READ, returns="unifiedRoleDefinition")
def get_assigned_role(call: Call) -> Any:
    """Get the role of an assignment."""
    return one(call, ROLE_SOURCE, "role", str(ROLES[_row(call).role]))


@serves("GET", f"{_ASSIGNMENTS}/{{id}}/principals", ROLES_READ, returns="Collection(directoryObject)")
def list_principals(call: Call) -> Any:
    """List the people and groups of a role assignment."""
    return collection(call, _principals(call), path="directoryObjects")


@serves("GET", f"{_ASSIGNMENTS}/{{id}}/principals/$count", ROLES_READ, returns="Int32")
def count_principals(call: Call) -> Any:
    """Count the people and groups of a role assignment."""
    return number(count(call, _principals(call)))


@serves("GET", f"{_ASSIGNMENTS}/{{id}}/principals/{{id}}", ROLES_READ, returns="directoryObject")
def get_principal(call: Call) -> Any:
    """Get one of the people and groups of a role assignment."""
    return one(call, _principals(call), "principal", call.key("principal"))


def _principals(call: Call) -> Source:
    """The people and groups of the assignment in the path; only people can be filtered by what people have."""
    ids = _row(call).principals
    c = groups.c
    of_groups = select(c.id, literal("group").label("kind"), c.display_name.label("name")).where(
        c.tenant_id == call.tenant.id, c.id.in_(ids)
    )
    with call.reading() as connection:
        if connection.execute(of_groups.limit(1)).first() is None:
            return _principal_people(ids)
    of_people = select(users.c.id, literal("user").label("kind"), users.c.display_name.label("name")).where(
        users.c.tenant_id == call.tenant.id, users.c.deleted_at.is_(None), users.c.id.in_(ids)
    )
    both = union_all(of_people, of_groups).subquery("principals")
    known = {"id": Field(both.c.id, "id"), "displayName": Field(both.c.name)}
    return Source("directoryObject", lambda _: select(both), both.c.id, Fields(known), _present_both)


def _present_both(call: Call, connection: Connection, found: "Sequence[Row[Any]]") -> list[Known]:
    told: dict[Any, Known] = {}
    for kind, source in (("user", user_set.USERS), ("group", group_set.GROUPS)):
        wanted = [row.id for row in found if row.kind == kind]
        rows = connection.execute(source.rows(call).where(source.key.in_(wanted))).all() if wanted else []
        for known in source.present(call, connection, rows):
            told[known["id"]] = {"@odata.type": f"#microsoft.graph.{kind}", **known}
    return [told[row.id] for row in found if row.id in told]


def _principal_people(ids: "Sequence[UUID]") -> Source:
    def rows(inner: Call) -> "Select[Any]":
        return user_set.USERS.rows(inner).where(users.c.id.in_(ids))

    def present(inner: Call, connection: Connection, found: "Sequence[Row[Any]]") -> list[Known]:
        return [
            {"@odata.type": "#microsoft.graph.user", **known} for known in user_set.present(inner, connection, found)
        ]

    return replace(user_set.USERS, rows=rows, present=present)


def _row(call: Call) -> "Row[Any]":
    key = call.key("role assignment", 0)
    with call.reading() as connection:
        row = connection.execute(_rows(call).where(_h.assignment_id == key)).one_or_none()
    if row is None:
        raise not_found("role assignment", key)
    return row


@serves(
    "POST", _ASSIGNMENTS, ROLES_WRITE, body="unifiedRoleAssignmentMultiple", returns="unifiedRoleAssignmentMultiple"
)
def create_assignment(call: Call) -> Any:
    """Give people a role, by themselves or all that are in a group."""
    given = bodies.entity(call, "unifiedRoleAssignmentMultiple")
    _whole_tenant(given)
    role = given.get("roleDefinitionId")
    if as_id(role or "") not in ROLES.values():
        raise bad(f"The value {role!r:.60} of 'roleDefinitionId' is not the id of a role.", "roleDefinitionId")
    made = operations.create(
        *call.change,
        role=str(role),
        principals=_principals_of(call, given.get("principalIds") or []),
        display_name=given.get("displayName") or "",
        description=given.get("description") or "",
    )
    return Created(one(call, HOLDERS, "role assignment", made))


@serves(
    "PATCH",
    f"{_ASSIGNMENTS}/{{id}}",
    ROLES_WRITE,
    body="unifiedRoleAssignmentMultiple",
    returns="unifiedRoleAssignmentMultiple",
)
def update_assignment(call: Call) -> Any:
    """Change who has a role by an assignment: people and groups."""
    given = bodies.entity(call, "unifiedRoleAssignmentMultiple")
    row = _row(call)
    _whole_tenant(given)
    role = given.get("roleDefinitionId")
    if role is not None and as_id(role) != ROLES[row.role]:
        raise bad("The role of an assignment cannot be changed; make another assignment.", "roleDefinitionId")
    principals = given.get("principalIds")
    operations.set_(
        *call.change,
        row.assignment_id,
        principals=None if principals is None else _principals_of(call, principals),
        display_name=given.get("displayName"),
        description=given.get("description"),
    )
    return get_assignment(call)


@serves("DELETE", f"{_ASSIGNMENTS}/{{id}}", ROLES_WRITE)
def delete_assignment(call: Call) -> None:
    """Take a role from everyone who has it by an assignment."""
    operations.delete(*call.change, call.key("role assignment", 0))


def _whole_tenant(given: dict[str, Any]) -> None:
    if given.get("directoryScopeIds") not in (None, [], ["/"]):
        raise not_possible("A role counts in the whole tenant: 'directoryScopeIds' must be [\"/\"].")
    if given.get("appScopeIds") not in (None, [], ["/"]):
        raise not_possible("A role counts in the whole tenant: 'appScopeIds' must be empty.")


def _principals_of(call: Call, principals: list[str]) -> list[str]:
    """Ids of people and groups of this tenant. Raises 400 for anything else."""
    ids = [as_id(p) for p in principals]
    if not ids or None in ids:
        wrong = principals[ids.index(None)] if None in ids else principals
        raise bad(f"The value {wrong!r:.60} of 'principalIds' is not the id of a user or group.", "principalIds")
    wanted = [i for i in ids if i is not None]
    with call.reading() as connection:
        of = groups.c.tenant_id == call.tenant.id, groups.c.id.in_(wanted)
        given = set(connection.execute(select(groups.c.id).where(*of)).scalars())
    people = must_be_people(call, [i for i in wanted if i not in given], "principalIds")
    return [*people, *(str(i) for i in wanted if i in given)]


# --- what there is to permit -------------------------------------------------------------------------


def _action(name: str) -> Known:
    verb = name.rpartition("/")[2]
    return {
        "id": name.removeprefix(f"{_NAMESPACE}/").replace("/", "-").lower(),
        "name": name,
        "actionVerb": "GET" if verb == "Read" else "POST",
        "isPrivileged": False,
        "isAuthenticationContextSettable": False,
    }


_ACTIONS = values_source("unifiedRbacResourceAction", [_action(name) for name in sorted(_ALL)], {"name": "text"})
_SPACES = values_source("unifiedRbacResourceNamespace", [{"id": _NAMESPACE, "name": _NAMESPACE}], {"name": "text"})


@serves("GET", _NAMESPACES, ROLES_READ, returns="Collection(unifiedRbacResourceNamespace)")
def list_namespaces(call: Call) -> Any:
    """List the namespaces of resource actions: one."""
    return collection(call, _SPACES, path=f"{_CONTEXT}/resourceNamespaces")


@serves("GET", f"{_NAMESPACES}/$count", ROLES_READ, returns="Int32")
def count_namespaces(call: Call) -> Any:
    """Count the namespaces of resource actions."""
    return number(count(call, _SPACES))


@serves("GET", f"{_NAMESPACES}/{{id}}", ROLES_READ, returns="unifiedRbacResourceNamespace")
def get_namespace(call: Call) -> Any:
    """Get the namespace of resource actions."""
    known = call.keys[0].lower() == _NAMESPACE.lower()
    return one(call, _SPACES, "resource namespace", _NAMESPACE if known else call.keys[0])


@serves("GET", f"{_NAMESPACES}/{{id}}/resourceActions", ROLES_READ, returns="Collection(unifiedRbacResourceAction)")
def list_actions(call: Call) -> Any:
    """List what roles permit."""
    get_namespace(replace(call, options=Options()))
    return collection(call, _ACTIONS, path=f"{_CONTEXT}/resourceNamespaces/resourceActions")


@serves("GET", f"{_NAMESPACES}/{{id}}/resourceActions/$count", ROLES_READ, returns="Int32")
def count_actions(call: Call) -> Any:
    """Count what roles permit."""
    get_namespace(replace(call, options=Options()))
    return number(count(call, _ACTIONS))


@serves("GET", f"{_NAMESPACES}/{{id}}/resourceActions/{{id}}", ROLES_READ, returns="unifiedRbacResourceAction")
def get_action(call: Call) -> Any:
    """Get a resource action."""
    return one(call, _ACTIONS, "resource action", call.keys[1].lower())
