"""users: people of the tenant's directory, and `/me`, the one who calls."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, exists, func, literal, null, select, union_all

from deskwright.graph import bodies
from deskwright.graph.access import ME, USERS_READ, USERS_WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import GraphError, bad
from deskwright.graph.filters import Condition, Field, Fields
from deskwright.graph.giving_roles import must_be_able_to_give_those_of_person
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.on_premises import origins
from deskwright.graph.render import Known, plain
from deskwright.graph.routes import serves
from deskwright.operations import users as operations
from deskwright.operations.named import as_id
from deskwright.store.tables import groups, license_groups, license_users, memberships, users

_u = users.c
_NEVER = "0001-01-01T00:00:00Z"
_SIGN_IN = ("passwordProfile", "userPrincipalName", "accountEnabled")
"""What would let others sign in as a person, or keep the person from it."""

DEFAULTS = (
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
)
"""What Graph answers of a person without `$select`."""

# Told as they were given; nothing here acts on them. The first ones can be filtered and sorted by.
_TEXTS = (
    "givenName",
    "surname",
    "jobTitle",
    "department",
    "companyName",
    "officeLocation",
    "city",
    "state",
    "country",
    "usageLocation",
    "employeeId",
    "employeeType",
    "userType",
    "mailNickname",
    "mobilePhone",
)
_KEPT = (
    *_TEXTS,
    "aboutMe",
    "ageGroup",
    "businessPhones",
    "consentProvidedForMinor",
    "employeeHireDate",
    "employeeOrgData",
    "faxNumber",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "otherMails",
    "passwordPolicies",
    "postalCode",
    "preferredDataLocation",
    "preferredLanguage",
    "showInAddressList",
    "streetAddress",
)

# Every licence a person holds: plan, and the group it comes through, null where it is theirs directly.
HELD = union_all(
    select(license_users.c.user_id, license_users.c.plan_id, null().cast(groups.c.id.type).label("via")),
    select(memberships.c.user_id, license_groups.c.plan_id, license_groups.c.group_id).join(
        license_groups, license_groups.c.group_id == memberships.c.group_id
    ),
).subquery("held")


def _holds(condition: Condition) -> Condition:
    return exists(select(literal(1)).select_from(HELD).where(HELD.c.user_id == _u.id, condition).correlate(users))


def _rows(call: Call) -> "Select[Any]":
    return select(users).where(_u.tenant_id == call.tenant.id, _u.deleted_at.is_(None))


FIELDS = Fields(
    {
        "id": Field(_u.id, "id"),
        "userPrincipalName": Field(_u.user_principal_name),
        "displayName": Field(_u.display_name),
        "mail": Field(_u.mail),
        "accountEnabled": Field(_u.account_enabled, "bool"),
        "onPremisesUserPrincipalName": Field(_u.on_premises_user_principal_name),
        "createdDateTime": Field(_u.created_at, "time"),
        **{name: Field(_u.profile[name].astext) for name in _TEXTS},
    },
    {"assignedLicenses": (Fields({"skuId": Field(HELD.c.plan_id, "id")}), _holds)},
    search=("displayName", "userPrincipalName"),
)


def present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    """People as the API knows them; licences only where `$select` names them."""
    asked = call.options.select or frozenset()
    dear = {"*", "assignedlicenses", "licenseassignmentstates"} & asked
    held = _licences(connection, [row.id for row in rows]) if dear else {}
    synchronised = origins(connection, rows)
    return [{**_person(row, held.get(row.id, ())), **synchronised.get(row.id, {})} for row in rows]


def _person(row: "Row[Any]", held: "Sequence[Row[Any]]") -> Known:
    return {
        "userType": "Member",
        **row.profile,
        "id": row.id,
        "userPrincipalName": row.user_principal_name,
        "displayName": row.display_name,
        "mail": row.mail,
        "accountEnabled": row.account_enabled,
        "createdDateTime": row.created_at,
        "deletedDateTime": row.deleted_at,
        "onPremisesUserPrincipalName": row.on_premises_user_principal_name,
        "onPremisesSyncEnabled": True if row.on_premises_user_principal_name else None,
        "identities": [
            {
                "signInType": "userPrincipalName",
                "issuer": row.user_principal_name.rpartition("@")[2],
                "issuerAssignedId": row.user_principal_name,
            }
        ],
        # Not nullable in the contract; Graph answers this where nothing is known.
        "birthday": _NEVER,
        "hireDate": _NEVER,
        "deviceEnrollmentLimit": 0,
        "assignedLicenses": [{"skuId": plan, "disabledPlans": []} for plan in dict.fromkeys(h.plan_id for h in held)],
        "licenseAssignmentStates": [
            {
                "skuId": h.plan_id,
                "assignedByGroup": plain(h.via),
                "disabledPlans": [],
                "error": "None",
                "state": "Active",
            }
            for h in held
        ],
    }


def _licences(connection: Connection, ids: Sequence[UUID]) -> "Mapping[UUID, Sequence[Row[Any]]]":
    held: dict[UUID, list[Row[Any]]] = defaultdict(list)
    query = select(HELD).where(HELD.c.user_id.in_(ids)).order_by(HELD.c.plan_id, HELD.c.via)
    for row in connection.execute(query):
        held[row.user_id].append(row)
    return held


USERS = Source("user", _rows, _u.id, FIELDS, present, {}, DEFAULTS)


def same(key: str) -> Any:
    """The condition for a person named by id or user principal name."""
    wanted = as_id(key)
    return _u.id == wanted if wanted is not None else func.lower(_u.user_principal_name) == key.lower()


def person_id(call: Call, position: int = 0) -> UUID:
    """Whom the path names, by id or user principal name. Raises 404."""
    key = call.keys[position]
    with call.reading() as connection:
        found = connection.execute(_rows(call).with_only_columns(_u.id).where(same(key))).scalar_one_or_none()
    if found is None:
        raise GraphError(404, "ResourceNotFound", f"No user '{key}' exists in this tenant.", target="id")
    return UUID(str(found))


@serves("GET", "/users", USERS_READ, returns="Collection(user)")
def list_users(call: Call) -> Any:
    """List users."""
    return collection(call, USERS, path="users")


@serves("GET", "/users/$count", USERS_READ, returns="Int32", extra=True)
def count_users(call: Call) -> Any:
    """Count users."""
    return number(count(call, USERS))


@serves("GET", "/users/{id}", USERS_READ, returns="user")
def get_user(call: Call) -> Any:
    """Get a user, by id or user principal name."""
    return one(call, USERS, "user", call.keys[0], condition=same(call.keys[0]))


@serves("GET", "/me", ME, returns="user", extra=True)
def get_me(call: Call) -> Any:
    """Get the signed-in person."""
    return one(call, USERS, "user", str(call.caller.user_id), condition=_u.id == call.caller.user_id)


@serves("POST", "/users", USERS_WRITE, body="user", returns="user")
def create_user(call: Call) -> Any:
    """Create a user."""
    given = bodies.entity(call, "user")
    for name in ("userPrincipalName", "displayName"):
        if not given.get(name):
            raise bad(f"A value is required for property '{name}' of resource 'User'.", name)
    made = operations.create(
        *call.change,
        user_principal_name=given["userPrincipalName"],
        display_name=given["displayName"],
        account_enabled=given.get("accountEnabled") is not False,
        on_premises_user_principal_name=given.get("onPremisesUserPrincipalName"),
        mail=given.get("mail"),
        profile=_profile(given),
        **_password(given),
    )
    return Created(one(call, USERS, "user", made["id"]))


@serves("PATCH", "/users/{id}", USERS_WRITE, body="user", status=204)
def update_user(call: Call) -> None:
    """Update a user."""
    given, person = bodies.entity(call, "user"), person_id(call)
    if any(given.get(name) is not None for name in _SIGN_IN):
        must_be_able_to_give_those_of_person(call, person)
    operations.set_(
        *call.change,
        str(person),
        user_principal_name=given.get("userPrincipalName"),
        display_name=given.get("displayName"),
        account_enabled=given.get("accountEnabled"),
        on_premises_user_principal_name=_cleared(given, "onPremisesUserPrincipalName"),
        mail=_cleared(given, "mail"),
        profile=_profile(given) or None,
        **_password(given),
        confirmed=call.confirmed,
    )


@serves("DELETE", "/users/{id}", USERS_WRITE)
def delete_user(call: Call) -> None:
    """Delete a user; memberships and licences come back with them when they are restored."""
    person = person_id(call)
    must_be_able_to_give_those_of_person(call, person)
    operations.delete(*call.change, str(person), confirmed=call.confirmed)


def _profile(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _stored(given[name]) for name in _KEPT if name in given}


def _stored(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _stored(inner) for name, inner in value.items()}
    return plain(value)


def _cleared(given: Mapping[str, Any], name: str) -> str | None:
    """A text to be set; null in the body clears it, which the operation calls an empty text."""
    return None if name not in given else given[name] or ""


def _password(given: Mapping[str, Any]) -> dict[str, Any]:
    profile = given.get("passwordProfile") or {}
    password = profile.get("password")
    if password is None:
        return {}
    return {"password": password, "must_change": profile.get("forceChangePasswordNextSignIn") is not False}
