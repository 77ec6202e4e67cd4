"""subscribedSkus, licenseDetails and assignLicense: service plans as licences. A plan's id is its skuId."""

from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, select

from deskwright.domain.rules import NotFound
from deskwright.graph.access import GROUP_LICENSES_WRITE, LICENSES_READ, ME, USER_LICENSES_WRITE
from deskwright.graph.answers import Accepted, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_possible
from deskwright.graph.listing import Source, collection, count, one, values_source
from deskwright.graph.resources import groups as group_set
from deskwright.graph.resources import users as user_set
from deskwright.graph.routes import Access, serves
from deskwright.operations import licenses as operations
from deskwright.operations.named import as_id
from deskwright.store.tables import service_plans

_p = service_plans.c
_HELD_READ = Access(("LicenseAssignment.Read.All", "User.Read.All"))


def part_number(row: "Row[Any]") -> str:
    """How Microsoft numbers such a licence: ``CPC_E_2C_8GB_128GB``."""
    return f"CPC_E_{row.vcpu_count}C_{row.ram_gb}GB_{row.storage_gb}GB"


def _service_plans(row: "Row[Any]") -> list[dict[str, Any]]:
    """The one service in the licence; its id follows from the plan's."""
    return [
        {
            "servicePlanId": str(uuid5(row.id, "servicePlan")),
            "servicePlanName": part_number(row),
            "provisioningStatus": "Success",
            "appliesTo": "User",
        }
    ]


def _skus(call: Call) -> Source:
    with call.reading() as connection:
        plans = connection.execute(select(service_plans).where(_p.tenant_id == call.tenant.id).order_by(_p.id)).all()
        consumed = operations.consumption(connection, call.tenant) if call.options.wants("consumedUnits") else {}
    values = [
        {
            "id": f"{call.tenant.id}_{row.id}",
            "skuId": str(row.id),
            "skuPartNumber": part_number(row),
            "accountId": str(call.tenant.id),
            "accountName": call.tenant.name,
            "appliesTo": "User",
            "capabilityStatus": "Enabled",
            "consumedUnits": consumed.get(row.id, 0),
            "prepaidUnits": {"enabled": row.seats, "suspended": 0, "warning": 0, "lockedOut": 0},
            "servicePlans": _service_plans(row),
            "subscriptionIds": [],
        }
        for row in plans
    ]
    return values_source("subscribedSku", values, {"skuId": "text", "skuPartNumber": "text", "consumedUnits": "int"})


@serves("GET", "/subscribedSkus", LICENSES_READ, returns="Collection(subscribedSku)")
def list_skus(call: Call) -> Any:
    """List the licences the tenant has, with seats and how many people hold one."""
    return collection(call, _skus(call), path="subscribedSkus")


@serves("GET", "/subscribedSkus/{id}", LICENSES_READ, returns="subscribedSku")
def get_sku(call: Call) -> Any:
    """Get a licence the tenant has, by ``{tenant}_{skuId}``."""
    return one(call, _skus(call), "subscribedSku", call.keys[0].lower())


# --- what a person holds -------------------------------------------------------------------------------


def _details(call: Call, person: UUID) -> Source:
    held = user_set.HELD
    query = select(service_plans).where(
        _p.tenant_id == call.tenant.id, _p.id.in_(select(held.c.plan_id).where(held.c.user_id == person))
    )
    with call.reading() as connection:
        rows = connection.execute(query.order_by(_p.id)).all()
    values = [
        {
            "id": str(uuid5(row.id, str(person))),
            "skuId": str(row.id),
            "skuPartNumber": part_number(row),
            "servicePlans": _service_plans(row),
        }
        for row in rows
    ]
    return values_source("licenseDetails", values, {"skuId": "text", "skuPartNumber": "text"})


@serves("GET", "/users/{id}/licenseDetails", _HELD_READ, returns="Collection(licenseDetails)")
def list_details(call: Call) -> Any:
    """List the licences a user holds, directly or through groups."""
    return collection(call, _details(call, user_set.person_id(call)))


@serves("GET", "/users/{id}/licenseDetails/$count", _HELD_READ, returns="Int32")
def count_details(call: Call) -> Any:
    """Count the licences a user holds."""
    return number(count(call, _details(call, user_set.person_id(call))))


@serves("GET", "/users/{id}/licenseDetails/{id}", _HELD_READ, returns="licenseDetails")
def get_details(call: Call) -> Any:
    """Get a licence a user holds."""
    return one(call, _details(call, user_set.person_id(call)), "licence", call.keys[1].lower())


@serves("GET", "/me/licenseDetails", ME, returns="Collection(licenseDetails)", extra=True)
def list_my_details(call: Call) -> Any:
    """List the licences the signed-in person holds."""
    assert call.caller.user_id is not None
    return collection(call, _details(call, call.caller.user_id))


# --- giving and taking ---------------------------------------------------------------------------------


@serves("POST", "/users/{id}/assignLicense", USER_LICENSES_WRITE, returns="user")
def assign_to_user(call: Call) -> Any:
    """Give a user licences, and take others away: all or nothing."""
    person = user_set.person_id(call)
    _exchange(call, user=str(person))
    return one(call, user_set.USERS, "user", person)


@serves("POST", "/groups/{id}/assignLicense", GROUP_LICENSES_WRITE, returns="group", status=202)
def assign_to_group(call: Call) -> Any:
    """Give the members of a group licences, and take others away: all or nothing."""
    group = call.key("group")
    one(call, group_set.GROUPS, "group", group)
    _exchange(call, group=str(group))
    return Accepted(one(call, group_set.GROUPS, "group", group))


def _exchange(call: Call, *, user: str | None = None, group: str | None = None) -> None:
    add = [_added(item, f"addLicenses[{n}]") for n, item in enumerate(_list(call, "addLicenses"))]
    remove = [_sku(item, f"removeLicenses[{n}]") for n, item in enumerate(_list(call, "removeLicenses"))]
    if not add and not remove:
        raise bad("One of 'addLicenses' and 'removeLicenses' must name a licence.", "addLicenses")
    try:
        operations.exchange(*call.change, add=add, remove=remove, user=user, group=group, confirmed=call.confirmed)
    except NotFound as missing:
        if missing.field != operations.PLAN.kind:
            raise
        message = f"License {missing.value} does not correspond to a valid company License."
        raise bad(message, "skuId") from None


def _list(call: Call, name: str) -> list[Any]:
    if name.lower() not in call.fields:
        raise bad(f"The parameter '{name}' is missing; both addLicenses and removeLicenses are required.", name)
    given = call.fields[name.lower()]
    if not isinstance(given, list) or len(given) > 100:
        raise bad(f"'{name}' must be a list of at most 100 licences.", name)
    return given


def _added(item: Any, path: str) -> str:
    if not isinstance(item, dict):
        raise bad(f"'{path}' must be an object with a skuId.", path)
    members = {str(name).lower(): value for name, value in item.items()}
    if members.get("disabledplans"):
        raise not_possible(
            "A Cloud PC licence has one service: 'disabledPlans' cannot turn it off. Remove the licence instead."
        )
    return _sku(members.get("skuid"), f"{path}/skuId")


def _sku(value: Any, path: str) -> str:
    found = as_id(value) if isinstance(value, str) else None
    if found is None:
        raise bad(f"The value {value!r:.60} of '{path}' is not the skuId of a licence, a GUID.", path)
    return str(found)
