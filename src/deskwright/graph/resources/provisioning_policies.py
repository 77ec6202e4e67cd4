"""provisioningPolicies: where, what and how. Assigning them is in `policy_assignments`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, String, Text, cast, desc, func, literal, select

from deskwright.domain.images import GALLERY
from deskwright.domain.regions import REGION_GROUPS
from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.answers import Created, number
from deskwright.graph.call import Call
from deskwright.graph.errors import bad, not_found, not_possible
from deskwright.graph.filters import Field, Fields
from deskwright.graph.kept import kept
from deskwright.graph.listing import Source, collection, count, one
from deskwright.graph.render import Known
from deskwright.graph.resources.policy_assignments import expand_assignments
from deskwright.graph.routes import serves
from deskwright.operations import organization, policies, policy_drift
from deskwright.operations.images import IMAGE
from deskwright.operations.named import as_id
from deskwright.operations.policy_ground import AUTOMATIC
from deskwright.settings import TenantSettings
from deskwright.store.tables import device_images, policy_connections, tenants
from deskwright.store.tables import policies as table

PATH = "deviceManagement/virtualEndpoint/provisioningPolicies"
SET = f"/{PATH}"
TYPE = "cloudPcProvisioningPolicy"
KEPT = (
    "autopatch",
    "autopilotConfiguration",
    "managedBy",
    "microsoftManagedDesktop",
    "scopeIds",
    "snapshotResetMode",
    "userExperienceType",
    "userSettingsPersistenceConfiguration",
)
"""Answered as they were given; no Cloud PC is made differently by them."""
_p, _i = table.c, device_images.c

# A policy names an image, not a version of it: clients that gave an id are told it again while it means the same.
_CUSTOM_IMAGE = (
    select(cast(_i.image_id, Text))
    .where(_i.tenant_id == _p.tenant_id, func.lower(_i.display_name) == func.lower(_p.device_image))
    .order_by(
        desc(cast(_i.image_id, Text) == func.coalesce(_p.kept_properties["imageId"].astext, "")), desc(_i.created_at)
    )
    .limit(1)
    .correlate(table)
    .scalar_subquery()
)
_IMAGE_ID = func.coalesce(_p.gallery_image, _CUSTOM_IMAGE, _p.device_image, type_=String())


def _rows(call: Call) -> "Select[Any]":
    return select(table, _IMAGE_ID.label("image_id")).where(_p.tenant_id == call.tenant.id)


def _present(call: Call, connection: Connection, rows: "Sequence[Row[Any]]") -> list[Known]:
    settings = connection.execute(select(tenants.c.settings).where(tenants.c.id == call.tenant.id)).scalar_one()
    grace = round(TenantSettings(**settings).gracePeriodInHours)
    networks = _networks(connection, call, [row.id for row in rows])
    return [_known(row, networks.get(row.id, []), grace) for row in rows]


def _known(row: "Row[Any]", networks: Sequence[UUID], grace: int) -> Known:
    had = dict(row.kept_properties)
    desktop = had.get("microsoftManagedDesktop") or {}
    managed = desktop.get("managedType") or desktop.get("type") or "notManaged"
    gallery = GALLERY.get(row.gallery_image or "")
    return {
        **{name: had.get(name) for name in KEPT},
        "id": row.id,
        "displayName": row.display_name,
        "description": row.description or None,
        "provisioningType": row.provisioning_type,
        "imageType": row.image_type,
        "imageId": row.image_id,
        "imageDisplayName": gallery.display_name if gallery else row.device_image or row.gallery_image,
        "domainJoinConfigurations": _joins(row, networks, had.get("geographicLocationType")),
        "cloudPcNamingTemplate": row.naming_template,
        "enableSingleSignOn": row.single_sign_on,
        "localAdminEnabled": row.local_admin_enabled,
        "windowsSetting": {"locale": row.locale},
        "windowsSettings": {"language": row.locale},
        "microsoftManagedDesktop": {"managedType": managed, "type": managed, "profile": desktop.get("profile")},
        "managedBy": had.get("managedBy") or ["windows365"],
        "scopeIds": had.get("scopeIds") or ["0"],
        "userExperienceType": had.get("userExperienceType") or "cloudPc",
        "snapshotResetMode": had.get("snapshotResetMode") or "notApplicable",
        "gracePeriodInHours": grace,
        "createdBy": row.created_by,
        "createdDateTime": row.created_at,
        "lastModifiedBy": row.modified_by,
        "lastModifiedDateTime": row.modified_at,
    }


def _joins(row: "Row[Any]", networks: Sequence[UUID], location: str | None) -> list[Known]:
    join = {"domainJoinType": row.join_type, "type": row.join_type}
    if networks:
        return [{**join, "onPremisesConnectionId": str(network)} for network in networks]
    place = {"regionGroup": row.region_group, "regionName": row.region or AUTOMATIC}
    return [{**join, **place, "geographicLocationType": location}]


def _networks(connection: Connection, call: Call, ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    c = policy_connections.c
    query = select(c.policy_id, c.connection_id).where(c.tenant_id == call.tenant.id, c.policy_id.in_(ids))
    found: dict[UUID, list[UUID]] = {}
    for row in connection.execute(query.order_by(c.policy_id, c.position)):
        found.setdefault(row.policy_id, []).append(row.connection_id)
    return found


POLICIES = Source(
    TYPE,
    _rows,
    _p.id,
    Fields(
        {
            "id": Field(_p.id, "id"),
            "displayName": Field(_p.display_name),
            "description": Field(func.nullif(_p.description, "")),
            "provisioningType": Field(_p.provisioning_type, "enum"),
            "imageType": Field(_p.image_type, "enum"),
            "imageId": Field(_IMAGE_ID),
            "imageDisplayName": Field(
                func.coalesce(
                    literal(json.dumps({i.id: i.display_name for i in GALLERY.values()}))
                    .cast(_p.kept_properties.type)[_p.gallery_image]
                    .astext,
                    _p.device_image,
                )
            ),
            "cloudPcNamingTemplate": Field(_p.naming_template),
            "enableSingleSignOn": Field(_p.single_sign_on, "bool"),
            "localAdminEnabled": Field(_p.local_admin_enabled, "bool"),
            "managedBy": Field(func.coalesce(_p.kept_properties["managedBy"][0].astext, "windows365"), "enum"),
            "userExperienceType": Field(
                func.coalesce(_p.kept_properties["userExperienceType"].astext, "cloudPc"), "enum"
            ),
            "windowsSetting/locale": Field(_p.locale),
            "createdDateTime": Field(_p.created_at, "time"),
            "lastModifiedDateTime": Field(_p.modified_at, "time"),
        }
    ),
    _present,
    {"assignments": expand_assignments},
)


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_policies(call: Call) -> Any:
    """List provisioning policies."""
    return collection(call, POLICIES, path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_policies(call: Call) -> Any:
    """Count provisioning policies."""
    return number(count(call, POLICIES))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_policy(call: Call) -> Any:
    """Get a provisioning policy."""
    return one(call, POLICIES, "provisioning policy", call.key("provisioning policy"))


@serves("POST", SET, WRITE, body=TYPE, returns=TYPE)
def create_policy(call: Call) -> Any:
    """Create a provisioning policy."""
    given = bodies.newest(call, TYPE)
    if not given.get("displayName"):
        raise bad("The property 'displayName' is missing.", "displayName")
    values = _values(call, given)
    values.setdefault("single_sign_on", bool(organization.get(*call.change[:2])["enableSingleSignOn"]))
    item = policies.create(*call.change, confirmed=call.confirmed, **{"join_type": "azureADJoin", **values})
    return Created(one(call, POLICIES, "provisioning policy", UUID(item["id"])))


@serves("PATCH", f"{SET}/{{id}}", WRITE, body=TYPE, returns=TYPE)
def update_policy(call: Call) -> Any:
    """Update a provisioning policy, for the Cloud PCs provisioned or reprovisioned from now on."""
    policy = call.key("provisioning policy")
    values = _values(call, bodies.newest(call, TYPE))
    policies.set_(*call.change, str(policy), confirmed=call.confirmed, **values)
    return one(call, POLICIES, "provisioning policy", policy)


@serves("DELETE", f"{SET}/{{id}}", WRITE)
def delete_policy(call: Call) -> None:
    """Delete a provisioning policy, while it is assigned to no group."""
    policies.delete(*call.change, str(call.key("provisioning policy")), confirmed=call.confirmed)


# --- changes that Windows 365 carries to existing Cloud PCs -------------------------------------------


@serves("POST", f"{SET}/{{id}}/apply", WRITE)
def apply(call: Call) -> None:
    """Apply the region or single sign-on to existing Cloud PCs: possible only where none differs."""
    policy = call.key("provisioning policy")
    one(call, POLICIES, "provisioning policy", policy)
    _refuse_differing(call, policy=policy)


@serves("POST", f"{SET}/applyConfig", WRITE)
def apply_config(call: Call) -> None:
    """Apply their policies' settings to the named Cloud PCs: possible only where none differs."""
    ids = call.fields.get("cloudpcids")
    if not isinstance(ids, list) or not ids or not all(isinstance(i, str) for i in ids):
        raise bad("The parameter 'cloudPcIds' must be a list of ids of Cloud PCs.", "cloudPcIds")
    known = [found for i in ids if (found := as_id(i)) is not None]
    with call.reading() as connection:
        missing = policy_drift.missing(connection, call.tenant, known)
    for name in ids:
        if as_id(name) is None or as_id(name) in missing:
            raise not_found("Cloud PC", name)
    _refuse_differing(call, cloud_pcs=known)


@serves("GET", f"{SET}/{{id}}/retrievePolicyUpdateStatusResult", READ, returns="cloudPcPolicyPendingApplyStatusResult")
def policy_update_status(call: Call) -> Any:
    """Whether Cloud PCs of the policy were made by other settings than it has now."""
    policy = call.key("provisioning policy")
    one(call, POLICIES, "provisioning policy", policy)
    with call.reading() as connection:
        differing = policy_drift.different(connection, call.tenant, policy=policy)
    context = f"{call.root}/$metadata#microsoft.graph.cloudPcPolicyPendingApplyStatusResult"
    return {"@odata.context": context, "hasUnappliedPolicyUpdate": bool(differing)}


@serves("GET", f"{SET}/{{id}}/retrievePolicyApplyActionResult", READ, returns="cloudPcPolicyApplyActionResult")
def policy_apply_result(call: Call) -> Any:
    """The result of the last apply: there never is one, as `apply` has nothing to wait for."""
    one(call, POLICIES, "provisioning policy", call.key("provisioning policy"))
    raise not_found("apply action of this policy", call.keys[0])


@serves("GET", f"{SET}/{{id}}/retrievePolicyApplySchedule", READ, returns="cloudPcPolicyScheduledApplyActionDetail")
def policy_apply_schedule(call: Call) -> Any:
    """The schedule of applies: there is none."""
    one(call, POLICIES, "provisioning policy", call.key("provisioning policy"))
    raise not_found("apply schedule of this policy", call.keys[0])


def _refuse_differing(call: Call, **of: Any) -> None:
    given = call.fields.get("policysettings") or ["region"]
    settings = [given] if isinstance(given, str) else given
    words = {word.lower(): word for word in policy_drift.SETTINGS}
    if not isinstance(settings, list) or not all(isinstance(s, str) and s.lower() in words for s in settings):
        raise bad(f"The parameter 'policySettings' must be of: {', '.join(words.values())}.", "policySettings")
    with call.reading() as connection:
        differing = policy_drift.different(connection, call.tenant, [words[s.lower()] for s in settings], **of)
    if differing:
        names = ", ".join(differing[:10]) + (f" and {len(differing) - 10} more" if len(differing) > 10 else "")
        raise not_possible(
            f"These Cloud PCs were made by other settings: {names}. Deskwright cannot change {' or '.join(settings)} "
            "in place. Nothing was changed. Reprovision them to apply the policy; that deletes their data."
        )


# --- reading a body ------------------------------------------------------------------------------------


def _values(call: Call, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a body says, as `operations.policies` has it; what it leaves out or says null of is not there."""
    locale = (given.get("windowsSetting") or {}).get("locale") or (given.get("windowsSettings") or {}).get("language")
    extras = kept(TYPE, given, KEPT)
    values = {
        "display_name": given.get("displayName"),
        "description": given.get("description") or "" if "description" in given else None,
        "provisioning_type": given.get("provisioningType"),
        "naming_template": given.get("cloudPcNamingTemplate") or None,
        "locale": locale or None,
        "single_sign_on": given.get("enableSingleSignOn"),
        "local_admin_enabled": given.get("localAdminEnabled"),
        **_image(call, given, extras),
        **_network(given, extras),
        "kept": extras or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _image(call: Call, given: Mapping[str, Any], extras: dict[str, Any]) -> dict[str, Any]:
    name = given.get("imageId")
    if not name:
        return {}
    image = as_id(name)
    custom = given["imageType"] == "custom" if given.get("imageType") else image is not None
    extras["imageId"] = str(image) if custom and image else None
    if not custom:
        return {"gallery_image": name}
    if image is not None:
        with call.reading() as connection:
            query = select(_i.display_name).where(_i.tenant_id == call.tenant.id, _i.image_id == image).limit(1)
            name = connection.execute(query).scalar_one_or_none()
        if name is None:
            raise IMAGE.missing(image)
    return {"device_image": name}


def _network(given: Mapping[str, Any], extras: dict[str, Any]) -> dict[str, Any]:
    """Where they go: network connections in order, or one place of the Microsoft-hosted kind."""
    joins = given.get("domainJoinConfigurations")
    if joins is None:
        return {}
    field = "domainJoinConfigurations"
    types = {join.get("domainJoinType") or join.get("type") for join in joins}
    if len(types) != 1 or None in types:
        raise bad(f"Every element of '{field}' must have the same 'domainJoinType', and there must be one.", field)
    wired = [join["onPremisesConnectionId"] for join in joins if join.get("onPremisesConnectionId")]
    if len(wired) not in (0, len(joins)) or (not wired and len(joins) > 1):
        rule = "must name a network connection each, or be one region"
        raise bad(f"The elements of '{field}' {rule}.", field)
    found: dict[str, Any] = {"join_type": types.pop()}
    if wired:
        extras["geographicLocationType"] = None
        return {**found, "connections": wired}
    (place,) = joins
    location = place.get("geographicLocationType")
    group = next((g for g in (place.get("regionGroup"), location) if g in REGION_GROUPS), "")
    region = place.get("regionName") or AUTOMATIC
    if not group and region.lower() == AUTOMATIC:
        raise bad(f"'{field}[0]/regionGroup' must say where, as '{region}' is any region of a group.", field)
    extras["geographicLocationType"] = location
    return {**found, "region_group": group, "region": region}
