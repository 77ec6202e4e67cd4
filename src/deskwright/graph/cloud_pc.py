"""How a Cloud PC is told: the rows, what one may filter and sort by, and every property of the contract.

A page costs one statement for the rows and one for what lives elsewhere and is asked for (`cloud_pc_about`); a client
that selects few properties pays for few.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, case, literal_column, select

from deskwright import errors
from deskwright.domain.images import GALLERY
from deskwright.domain.status import TAKEN_AWAY, USABLE, Status
from deskwright.graph import cloud_pc_about
from deskwright.graph.call import Call, Options
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source
from deskwright.graph.render import Known
from deskwright.operations import remote_actions
from deskwright.operations.listing import WAITING_TEXTS, image_title
from deskwright.store.statements import compiled
from deskwright.store.tables import cloud_pcs, connections, device_images, ledger, service_plans, sites, users

_c, _u, _p, _s, _k, _i = cloud_pcs.c, users.c, service_plans.c, sites.c, connections.c, device_images.c
_device, _managed = ledger.alias("device"), ledger.alias("managed")

WITH_MACHINE = USABLE | TAKEN_AWAY
"""There is a machine which was handed over."""
_STATUSES = tuple(status.value for status in Status if status is not Status.GONE)

# Left joins by the primary key: the planner leaves out those whose columns a call does not use.
_JOINED = (
    cloud_pcs.outerjoin(users, and_(_u.id == _c.user_id, _u.tenant_id == _c.tenant_id))
    .outerjoin(service_plans, _p.id == _c.plan_id)
    .outerjoin(sites, _s.id == _c.site_id)
    .outerjoin(connections, _k.id == _c.connection_id)
    .outerjoin(device_images, _i.id == _c.device_image_id)
)
_COLUMNS: dict[str, tuple["ColumnElement[Any]", ...]] = {
    "userPrincipalName": (_u.user_principal_name,),
    "userDetail": (_u.display_name.label("user_name"),),
    "servicePlanName": (_p.display_name.label("plan_name"),),
    "deviceRegionName": (_s.region,),
    "onPremisesConnectionName": (_k.display_name.label("connection_name"),),
    "osVersion": (_i.operating_system,),
    "statusDetail": (_c.status_detail, _c.warnings, _c.waiting_for, _c.grace, _u.user_principal_name),
}
_COLUMNS["statusDetails"] = _COLUMNS["statusDetail"]
_ALWAYS: tuple["ColumnElement[Any]", ...] = (
    _c.id,
    _c.user_id,
    _c.plan_id,
    _c.policy_id,
    _c.policy_name,
    _c.display_name,
    _c.device_name,
    _c.status,
    _c.image_name,
    _c.power_state,
    _c.provisioned_at,
    _c.grace_ends_at,
    _c.modified_at,
)


def rows(call: Call) -> "Select[Any]":
    """The tenant's Cloud PCs that are not gone, with the columns that the call's `$select` needs."""
    wanted, names = call.options, _names(call.options)
    columns = frozenset(name for name in _COLUMNS if wanted.wants(name))
    chosen = _select(columns, "aaddeviceid" in names, "manageddeviceid" in names)
    return chosen.where(_c.tenant_id == call.tenant.id)


def row(call: Call) -> tuple[str, dict[str, Any]]:
    """The same, to read one of them: with everything that `present` would have to look up."""
    columns = frozenset(name for name in _COLUMNS if call.options.wants(name))
    return _row(columns, cloud_pc_about.asked(call))


@lru_cache(maxsize=512)
def _row(names: frozenset[str], parts: frozenset[str]) -> tuple[str, dict[str, Any]]:
    mine = _c.tenant_id == bindparam("tenant"), _c.id == bindparam("key")
    return compiled(_select(names, parts=parts).where(*mine))


@lru_cache(maxsize=512)
def _select(
    names: frozenset[str],
    by_device: bool = False,
    by_managed_device: bool = False,
    parts: frozenset[str] = frozenset(),
) -> "Select[Any]":
    """Made once for each choice of properties; `by_...`: with those tables, to choose or sort by."""
    columns: dict[ColumnElement[Any], None] = dict.fromkeys(_ALWAYS)
    for name, needed in _COLUMNS.items():
        if name in names:
            columns.update(dict.fromkeys(needed))
    joined: Any = _JOINED
    if by_device:
        joined = joined.outerjoin(_device, _in_use(_device, "'device'"))
    if by_managed_device:
        joined = joined.outerjoin(_managed, _in_use(_managed, "'managedDevice'"))
    joined, about = cloud_pc_about.beside(joined, parts)
    # Written out, not bound: that is how the planner sees that the indexes on the living will do.
    return select(*columns, *about).select_from(joined).where(_c.status != literal_column("'gone'"))


def _names(wanted: Options) -> str:
    """Where a property's name may stand that the rows are chosen or sorted by."""
    return f"{wanted.filter} {wanted.search} {wanted.orderby}".lower()


def _in_use(objects: Any, kind: str) -> "ColumnElement[bool]":
    o = objects.c
    same = and_(o.cloud_pc_id == _c.id, o.tenant_id == _c.tenant_id, o.kind == literal_column(kind))
    return and_(same, o.state == literal_column("'created'"), o.release_at.is_(None))


def _always(value: str) -> Field:
    return Field(literal_column(f"'{value}'"), "enum", (value,))


_IMAGE_TITLE = case(
    {image.id: image.display_name for image in GALLERY.values()}, value=_c.image_name, else_=_c.image_name
)
FIELDS = Fields(
    {
        "id": Field(_c.id, "id"),
        "displayName": Field(_c.display_name),
        "status": Field(_c.status, "enum", _STATUSES),
        "userPrincipalName": Field(_u.user_principal_name),
        "userDetail/userId": Field(_c.user_id, "id"),
        "userDetail/userDisplayName": Field(_u.display_name),
        "managedDeviceName": Field(_c.device_name),
        "managedDeviceId": Field(_managed.c.external_id, "key"),
        "aadDeviceId": Field(_device.c.external_id, "key"),
        "provisioningPolicyId": Field(_c.policy_id, "id"),
        "provisioningPolicyName": Field(_c.policy_name),
        "servicePlanId": Field(_c.plan_id, "id"),
        "servicePlanName": Field(_p.display_name),
        "imageDisplayName": Field(_IMAGE_TITLE),
        "onPremisesConnectionName": Field(_k.display_name),
        "deviceRegionName": Field(_s.region),
        "powerState": Field(_c.power_state, "enum", ("running", "poweredOff")),
        "gracePeriodEndDateTime": Field(_c.grace_ends_at, "time"),
        "lastModifiedDateTime": Field(_c.modified_at, "time"),
        "provisionedDateTime": Field(_c.provisioned_at, "time"),
        "provisioningType": _always("dedicated"),
        "productType": _always("enterprise"),
        "servicePlanType": _always("enterprise"),
        "userExperienceType": _always("cloudPc"),
        "disasterRecoveryCapability/capabilityType": _always("none"),
    },
    search=("displayName", "userPrincipalName", "managedDeviceName"),
)


def present(call: Call, connection: Connection, page: "Sequence[Row[Any]]") -> list[Known]:
    """What is known of a page of Cloud PCs, but for what the call does not ask for."""
    more = _more(call, connection, page) if page else {}
    told = [(name, tell) for name, tell in _TOLD.items() if call.options.wants(name)]
    return [{**{name: tell(row) for name, tell in told}, **more.get(row.id, {})} for row in page]


def _more(call: Call, connection: Connection, page: "Sequence[Row[Any]]") -> dict[UUID, dict[str, Any]]:
    """What lives elsewhere, by the Cloud PC's id."""
    parts = cloud_pc_about.asked(call)
    if not parts:
        return {}
    about = {row.id: row for row in page}
    if not cloud_pc_about.brought(page[0], parts):
        about = cloud_pc_about.of_page(connection, parts, list(about))
    more: dict[UUID, dict[str, Any]] = {row.id: {} for row in page}
    for row in page:
        found, known = about[row.id], more[row.id]
        if "devices" in parts:
            known["aadDeviceId"] = guid(found.device) if found.device else None
            known["managedDeviceId"] = guid(found.managed_device) if found.managed_device else None
        if "made" in parts:
            known |= _how_made(found)
        if "walked" in parts and found.outcome:
            known["connectivityResult"] = _connectivity(row, found)
        if "account" in parts and row.status in WITH_MACHINE:
            known["userAccountType"] = remote_actions.account_type(found.administrator)
    if "acted" in parts and (acted := [row.id for row in page if about[row.id].acted]):
        for cloud_pc, results in remote_actions.results(connection, call.tenant, acted).items():
            more[cloud_pc]["lastRemoteActionResult"] = action_result(results[0])
    return more


CLOUD_PCS = Source("cloudPC", rows, _c.id, FIELDS, present, row=row)


def source_where(*conditions: "ColumnElement[bool]") -> Source:
    """The set of those that fulfil `conditions`."""
    return Source("cloudPC", lambda call: rows(call).where(*conditions), _c.id, FIELDS, present)


def of_user(user: UUID) -> "ColumnElement[bool]":
    return _c.user_id == user


def guid(external_id: str) -> str:
    """A provider's id of a device as the GUID that the API promises: itself, or one that follows from it."""
    try:
        return str(UUID(external_id))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"deskwright:{external_id}"))


def action_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result of `operations.remote_actions` under the contract's old and new names."""
    return {**result, "statusDetails": result["statusDetail"]}


@lru_cache(maxsize=256)
def _os_version(image: str | None, operating_system: str | None) -> str | None:
    """Graph's cloudPcOperatingSystem, which knows Windows alone."""
    said = f"{image} {operating_system}".lower().replace(" ", "")
    return next((v for v in ("windows11", "windows10") if v in said or v.replace("dows", "") in said), None)


def _how_made(made: "Row[Any]") -> dict[str, Any]:
    known: dict[str, Any] = {}
    if made.single_sign_on is not None:
        known["connectionSetting"] = known["connectionSettings"] = {"enableSingleSignOn": made.single_sign_on}
    if made.join_type is not None:
        known["provisioningConfiguration"] = {"domainJoinType": made.join_type}
    return known


def _connectivity(row: "Row[Any]", checked: "Row[Any]") -> dict[str, Any]:
    """What the last walk along the sign-in path found; a machine that is off cannot be reached."""
    answered = checked.outcome == "succeeded"
    usable = row.status in USABLE and row.power_state == "running"
    item = {
        "displayName": "Sign-in path",
        "lastHealthCheckDateTime": checked.ended_at,
        "result": "failure",
        "additionalDetails": checked.message,
    }
    return {
        "status": "available" if answered and usable else "unavailable",
        "updatedDateTime": checked.ended_at,
        "lastModifiedDateTime": checked.ended_at,
        "failedHealthCheckItems": [] if answered else [item],
    }


def status_detail(row: "Row[Any]") -> dict[str, Any] | None:
    """Why it is what it is: the error of a failed one, warnings, what a waiting one waits for, what was lost."""
    values = {
        "user": row.user_principal_name,
        "policy": row.policy_name,
        "cloudPc": row.display_name,
        "device": row.device_name,
    }
    if row.status_detail:
        code = row.status_detail["code"]
        said = errors.explain(code, {**values, **(row.status_detail.get("values") or {})})
        about: dict[str, str | None] = {
            "retriable": str(said.retry_helps).lower(),
            "failedAction": "Provision",
            "cause": said.cause,
            "remedy": " ".join(said.remedies),
        }
        return _detail(code, said.message, about)
    if row.status == Status.WARNINGS and row.warnings:
        told = [w.get("message") or errors.explain(w["code"], values).message for w in row.warnings]
        about = {f"{w['step']}/{w['code']}": said for w, said in zip(row.warnings, told, strict=True)}
        return _detail(row.warnings[0]["code"], " ".join(told), about)
    if row.status in (Status.NOT_PROVISIONED, Status.PENDING) and row.waiting_for:
        return _detail(row.waiting_for, f"{WAITING_TEXTS.get(row.waiting_for, row.waiting_for)}.".capitalize(), {})
    if row.status == Status.IN_GRACE and row.grace:
        cause = row.grace.get("cause") or {}
        lost = _words(row.grace.get("lost") or [])
        about = {"lost": lost, "activity": cause.get("activity"), "actor": cause.get("actor")}
        return _detail("inGracePeriod", f"{lost.capitalize()} lost; it goes when the grace period ends.", about)
    return None


def _words(lost: Collection[str]) -> str:
    return ", ".join("license" if what == "licence" else what for what in lost) or "entitlement"


def _detail(code: str, message: str, about: Mapping[str, str | None]) -> dict[str, Any]:
    more = [{"name": name, "value": value} for name, value in about.items() if value]
    return {"code": code, "message": message, "additionalInformation": more}


# Each property the row itself tells. Columns of `_COLUMNS` are there when the property that needs them is asked for.
_TOLD: Mapping[str, Callable[["Row[Any]"], Any]] = {
    "id": lambda row: row.id,
    "displayName": lambda row: row.display_name,
    "status": lambda row: row.status,
    "statusDetail": status_detail,
    "statusDetails": status_detail,
    "userPrincipalName": lambda row: row.user_principal_name,
    "userDetail": lambda row: {"userId": row.user_id, "userDisplayName": row.user_name},
    "provisioningPolicyId": lambda row: row.policy_id,
    "provisioningPolicyName": lambda row: row.policy_name,
    "provisioningType": lambda _: "dedicated",
    "productType": lambda _: "enterprise",
    "userExperienceType": lambda _: "cloudPc",
    "servicePlanId": lambda row: row.plan_id,
    "servicePlanName": lambda row: row.plan_name,
    "servicePlanType": lambda _: "enterprise",
    "imageDisplayName": lambda row: image_title(row.image_name),
    "managedDeviceName": lambda row: row.device_name,
    "deviceRegionName": lambda row: row.region,
    "onPremisesConnectionName": lambda row: row.connection_name,
    "osVersion": lambda row: _os_version(row.image_name, row.operating_system),
    "diskEncryptionState": lambda _: "notAvailable",
    "powerState": lambda row: row.power_state,
    "gracePeriodEndDateTime": lambda row: row.grace_ends_at,
    "lastModifiedDateTime": lambda row: row.modified_at,
    "provisionedDateTime": lambda row: row.provisioned_at,
    "frontlineCloudPcAvailability": lambda _: "notApplicable",
    "isDisasterRecoveryActive": lambda _: False,
    "disasterRecoveryCapability": lambda _: {"capabilityType": "none", "licenseType": "none"},
    "scopeIds": lambda _: ("0",),
}
