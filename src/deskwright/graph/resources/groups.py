"""groups: security and Microsoft 365 groups, by which policies, licences and settings reach people."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, exists, literal, literal_column, select

from deskwright.graph import bodies
from deskwright.graph.access import GROUPS_READ, GROUPS_WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_possible
from deskwright.graph.filters import Condition, Field, Fields
from deskwright.graph.giving_roles import must_be_able_to_give_those_of_group
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.on_premises import of_group, origins
from deskwright.graph.references import people
from deskwright.graph.render import Known, plain
from deskwright.graph.routes import serves
from deskwright.operations import groups as operations
from deskwright.store.tables import groups, license_groups

_g = groups.c
_TEXTS = ("description", "mailNickname", "visibility")
_KEPT = (*_TEXTS, "classification", "isAssignableToRole", "preferredDataLocation", "preferredLanguage", "theme")
_UNIFIED = _g.kind == "microsoft365"


def _rows(call: Call) -> "Select[Any]":
    return select(groups).where(_g.tenant_id == call.tenant.id)


def _licensed(condition: Condition) -> Condition:
    held = select(literal(1)).select_from(license_groups).where(license_groups.c.group_id == _g.id, condition)
    return exists(held.correlate(groups))


def _of_type(condition: Condition) -> Condition:
    return _UNIFIED & condition


FIELDS = Fields(
    {
        "id": Field(_g.id, "id"),
        "displayName": Field(_g.display_name),
        "createdDateTime": Field(_g.created_at, "time"),
        "securityEnabled": Field(_g.kind == "security", "bool"),
        "mailEnabled": Field(_UNIFIED, "bool"),
        **{name: Field(_g.profile[name].astext) for name in _TEXTS},
    },
    {
        "assignedLicenses": (Fields({"skuId": Field(license_groups.c.plan_id, "id")}), _licensed),
        # The only type a group here can have; `groupTypes/any(c:c eq 'Unified')`.
        "groupTypes": (Fields({"": Field(literal_column("'Unified'"))}), _of_type),
    },
    search=("displayName", "description"),
)


def present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    """Groups as the API knows them."""
    held: dict[UUID, list[UUID]] = defaultdict(list)
    if call.options.wants("assignedLicenses") and rows:
        query = select(license_groups).where(license_groups.c.group_id.in_([row.id for row in rows]))
        for licence in connection.execute(query.order_by(license_groups.c.plan_id)):
            held[licence.group_id].append(licence.plan_id)
    synchronised = origins(connection, rows)
    return [
        {
            **row.profile,
            **of_group(synchronised.get(row.id, {})),
            "id": row.id,
            "displayName": row.display_name,
            "groupTypes": ["Unified"] if row.kind == "microsoft365" else [],
            "mailEnabled": row.kind == "microsoft365",
            "securityEnabled": row.kind == "security",
            "createdDateTime": row.created_at,
            "renewedDateTime": row.created_at,
            "assignedLicenses": [{"skuId": plan, "disabledPlans": []} for plan in held[row.id]],
        }
        for row in rows
    ]


GROUPS = Source("group", _rows, _g.id, FIELDS, present, {})


@serves("GET", "/groups", GROUPS_READ, returns="Collection(group)")
def list_groups(call: Call) -> Any:
    """List groups."""
    return collection(call, GROUPS, path="groups")


@serves("GET", "/groups/$count", GROUPS_READ, returns="Int32", extra=True)
def count_groups(call: Call) -> Any:
    """Count groups."""
    return number(count(call, GROUPS))


@serves("GET", "/groups/{id}", GROUPS_READ, returns="group")
def get_group(call: Call) -> Any:
    """Get a group."""
    return one(call, GROUPS, "group", call.key("group"))


@serves("POST", "/groups", GROUPS_WRITE, body="group", returns="group")
def create_group(call: Call) -> Any:
    """Create a group, with `members@odata.bind` also with its first members."""
    given = bodies.entity(call, "group")
    if not given.get("displayName"):
        raise bad("A value is required for property 'displayName' of resource 'Group'.", "displayName")
    made = operations.create(
        *call.change,
        display_name=given["displayName"],
        kind=_kind(given),
        members=people(call, "members@odata.bind"),
        profile=_profile(given),
        confirmed=call.confirmed,
    )
    return Created(one(call, GROUPS, "group", UUID(made["id"])))


@serves("PATCH", "/groups/{id}", GROUPS_WRITE, body="group", status=204)
def update_group(call: Call) -> None:
    """Update a group; `members@odata.bind` adds people."""
    given = bodies.entity(call, "group")
    group = call.key("group")
    if given.keys() & {"groupTypes", "securityEnabled", "mailEnabled", "membershipRule"}:
        _must_stay(call, group, given)
    added = people(call, "members@odata.bind")
    if added:
        must_be_able_to_give_those_of_group(call, group)
    operations.set_(
        *call.change,
        str(group),
        display_name=given.get("displayName"),
        profile=_profile(given) or None,
        add=added,
        confirmed=call.confirmed,
    )


@serves("DELETE", "/groups/{id}", GROUPS_WRITE)
def delete_group(call: Call) -> None:
    """Delete a group: its members lose what they had through it."""
    group = call.key("group")
    must_be_able_to_give_those_of_group(call, group)
    operations.delete(*call.change, str(group), confirmed=call.confirmed)


def _profile(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain(given[name]) for name in _KEPT if name in given}


def _kind(given: Mapping[str, Any]) -> str:
    """security or microsoft365; what a group cannot be here is refused by name."""
    types = [str(t) for t in given.get("groupTypes") or []]
    if any(t.lower() == "dynamicmembership" for t in types) or given.get("membershipRule"):
        raise not_possible(
            "Groups with dynamic membership are not served yet: 'groupTypes' must not have DynamicMembership."
        )
    for other in types:
        if other.lower() != "unified":
            raise bad(f"The value '{other[:60]}' of 'groupTypes' is not Unified.", "groupTypes")
    if types:
        return "microsoft365"
    if given.get("mailEnabled"):
        raise not_possible(
            "Mail-enabled groups are not served: 'mailEnabled' may be true only with groupTypes Unified."
        )
    if given.get("securityEnabled") is False:
        raise bad("A group must have 'securityEnabled' true, or be Unified by 'groupTypes'.", "securityEnabled")
    return "security"


def _must_stay(call: Call, group: UUID, given: Mapping[str, Any]) -> None:
    """What kind of group it is was said when it was created, and stays."""
    with call.reading() as connection:
        row = connection.execute(_rows(call).where(_g.id == group)).one_or_none()
    if row is None:
        return  # the operation says so
    types = ["Unified"] if row.kind == "microsoft365" else []
    asked = {"groupTypes": types, "mailEnabled": bool(types), "securityEnabled": not types, **given}
    if _kind({k: v for k, v in asked.items() if k in ("groupTypes", "membershipRule") or k in given}) != row.kind:
        raise bad(f"What kind of group '{row.display_name}' is cannot be changed.", "groupTypes")
