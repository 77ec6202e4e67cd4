"""Which Cloud PCs were made by other settings than their policy has now, and by which: an edit never touches them
(E7, R10)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from deskwright.domain.images import GALLERY
from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item
from deskwright.operations.policy_ground import AUTOMATIC

SETTINGS = ("region", "singleSignOn")
"""What can differ, in the words of Graph's cloudPcPolicySettingType."""

_DIFFERENT = text(
    """
    SELECT c.id, c.display_name, made.sso IS DISTINCT FROM p.single_sign_on AS "singleSignOn",
           (made.region_group, made.region, made.connections) IS DISTINCT FROM (p.region_group, p.region,
             COALESCE((SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
                        WHERE pc.policy_id = p.id), '[]')) AS region
      FROM cloud_pcs c JOIN policies p ON p.id = c.policy_id
      JOIN LATERAL (SELECT CAST(r.policy ->> 'single_sign_on' AS boolean) AS sso, r.policy ->> 'region_group' AS
                           region_group, r.policy ->> 'region' AS region, r.policy -> 'connections' AS connections
                      FROM runs r WHERE r.cloud_pc_id = c.id AND r.kind IN ('provision', 'reprovision')
                     ORDER BY r.number DESC LIMIT 1) made ON true
     WHERE c.tenant_id = :tenant AND c.status NOT IN ('gone', 'deprovisioning')
       AND (CAST(:policy AS uuid) IS NULL OR p.id = :policy)
       AND (CAST(:ids AS uuid[]) IS NULL OR c.id = ANY(:ids))
     ORDER BY c.display_name
    """
)

# What a reprovision would make otherwise (R10): a run keeps the whole policy it was made by.
_DRIFT = """
    SELECT c.id, c.display_name, c.device_name, c.status, u.user_principal_name,
           made.join_type IS DISTINCT FROM p.join_type AS "domainJoinType",
           (made.region_group, made.region, made.connections) IS DISTINCT FROM (p.region_group, p.region,
             COALESCE((SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
                        WHERE pc.policy_id = p.id), '[]')) AS network,
           (made.gallery_image, made.device_image) IS DISTINCT FROM (p.gallery_image, p.device_image) AS image,
           made.naming_template IS DISTINCT FROM p.naming_template AS "cloudPcNamingTemplate",
           made.locale IS DISTINCT FROM p.locale AS locale,
           made.single_sign_on IS DISTINCT FROM p.single_sign_on AS "enableSingleSignOn"
      FROM policies p JOIN cloud_pcs c ON c.policy_id = p.id JOIN users u ON u.id = c.user_id
      JOIN LATERAL (SELECT x.*, r.policy -> 'connections' AS connections
                      FROM (SELECT policy, started_at FROM runs WHERE cloud_pc_id = c.id
                               AND kind IN ('provision', 'reprovision') ORDER BY number DESC LIMIT 1) r,
                      LATERAL jsonb_to_record(r.policy) AS x (revision int, join_type text, region_group text,
                        region text, gallery_image text, device_image text, naming_template text, locale text,
                        single_sign_on boolean)
                     WHERE x.revision IS DISTINCT FROM p.revision) made ON true
     WHERE p.tenant_id = :tenant AND p.id = :policy AND c.status NOT IN ('gone', 'deprovisioning')
       AND (made.join_type, made.region_group, made.region, made.connections, made.gallery_image, made.device_image,
            made.naming_template, made.locale, made.single_sign_on)
         IS DISTINCT FROM (p.join_type, p.region_group, p.region,
            COALESCE((SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
                       WHERE pc.policy_id = p.id), '[]'),
            p.gallery_image, p.device_image, p.naming_template, p.locale, p.single_sign_on)
"""
_DRIFTED = text(f"{_DRIFT} ORDER BY c.display_name, c.id LIMIT :limit")
_DRIFT_COUNT = text(f"SELECT count(*) FROM ({_DRIFT} LIMIT :limit) AS drifted")
PROPERTIES = ("domainJoinType", "network", "image", "cloudPcNamingTemplate", "locale", "enableSingleSignOn")


def drifted(connection: Connection, tenant: TenantRef, policy: UUID, limit: int) -> list[Item]:
    """The first `limit` Cloud PCs of a policy that were made by other settings, and which settings those are."""
    rows = connection.execute(_DRIFTED, {"tenant": tenant.id, "policy": policy, "limit": limit})
    return [
        {
            "id": str(row.id),
            "displayName": row.display_name,
            "managedDeviceName": row.device_name,
            "userPrincipalName": row.user_principal_name,
            "status": row.status,
            "properties": [name for name in PROPERTIES if row._mapping[name]],
        }
        for row in rows
    ]


def drift_count(connection: Connection, tenant: TenantRef, policy: UUID, limit: int) -> int:
    """How many there are; `limit`: that many or more."""
    values = {"tenant": tenant.id, "policy": policy, "limit": limit}
    return int(connection.execute(_DRIFT_COUNT, values).scalar_one())


def different(
    connection: Connection,
    tenant: TenantRef,
    settings: Sequence[str] = SETTINGS,
    *,
    policy: UUID | None = None,
    cloud_pcs: Sequence[UUID] | None = None,
) -> list[str]:
    """Names of the Cloud PCs, of a policy or among those given, that were made by other values of any of `settings`."""
    rows = connection.execute(_DIFFERENT, {"tenant": tenant.id, "policy": policy, "ids": cloud_pcs})
    return [row.display_name for row in rows if any(row._mapping[name] for name in settings)]


def missing(connection: Connection, tenant: TenantRef, cloud_pcs: Sequence[UUID]) -> set[UUID]:
    """Those of `cloud_pcs` that the tenant does not have."""
    query = text("SELECT id FROM cloud_pcs WHERE tenant_id = :tenant AND status <> 'gone' AND id = ANY(:ids)")
    there = connection.execute(query, {"tenant": tenant.id, "ids": list(cloud_pcs)}).scalars()
    return set(cloud_pcs) - set(there)


_TITLES = {
    "imageId": "Image",
    "domainJoinType": "Join type",
    "network": "Network",
    "cloudPcNamingTemplate": "Naming template",
    "locale": "Language",
    "enableSingleSignOn": "Single sign-on",
    "localAdminEnabled": "Local administrator",
}
_JOINS = {"azureADJoin": "Microsoft Entra join", "hybridAzureADJoin": "Hybrid join"}

_MADE_AND_NOW = text(
    """
    SELECT made.policy AS made, to_jsonb(p) || jsonb_build_object('connections', COALESCE(
             (SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
               WHERE pc.policy_id = p.id), '[]')) AS now
      FROM cloud_pcs c JOIN policies p ON p.id = c.policy_id
      JOIN LATERAL (SELECT r.policy FROM runs r WHERE r.cloud_pc_id = c.id AND r.kind IN ('provision', 'reprovision')
                     ORDER BY r.number DESC LIMIT 1) made ON true
     WHERE c.tenant_id = :tenant AND c.id = :id AND c.status NOT IN ('gone', 'deprovisioning')
    """
)
_NOW = text(
    """
    SELECT to_jsonb(p) || jsonb_build_object('connections', COALESCE(
             (SELECT jsonb_agg(pc.connection_id ORDER BY pc.position) FROM policy_connections pc
               WHERE pc.policy_id = p.id), '[]'))
      FROM policies p WHERE p.tenant_id = :tenant AND p.id = :id
    """
)
_NAMES = text("SELECT id::text, display_name FROM connections WHERE tenant_id = :tenant AND id::text = ANY(:ids)")


def drift(connection: Connection, tenant: TenantRef, cloud_pc: UUID) -> list[dict[str, Any]]:
    """The settings in which its policy is another one now than when it was made: what each was, and is."""
    row = connection.execute(_MADE_AND_NOW, {"tenant": tenant.id, "id": cloud_pc}).one_or_none()
    if row is None:
        return []
    made, now = described(connection, tenant, [row.made, row.now])
    return [
        {"setting": name, "title": title, "made": made[name], "now": now[name]}
        for name, title in _TITLES.items()
        if made[name] != now[name]
    ]


def present(connection: Connection, tenant: TenantRef, policy: UUID) -> list[tuple[str, Any]]:
    """A policy's settings as they are now: titles and values in words."""
    kept = connection.execute(_NOW, {"tenant": tenant.id, "id": policy}).scalar_one_or_none()
    return [] if kept is None else titled(described(connection, tenant, [kept])[0])


def titled(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Settings of `described`, by their titles."""
    return [(title, settings[name]) for name, title in _TITLES.items()]


def described(connection: Connection, tenant: TenantRef, policies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Policies as runs keep them (E7): their settings in words. One query, however many."""
    ids = sorted({str(k) for policy in policies for k in policy.get("connections") or ()})
    rows = connection.execute(_NAMES, {"tenant": tenant.id, "ids": ids}).all() if ids else []
    names = {row.id: row.display_name for row in rows}
    return [_described(policy, names) for policy in policies]


def image_name(image: str) -> str:
    """A gallery image's name by its id; any other image's is its own."""
    found = GALLERY.get(image.lower())
    return found.display_name if found else image


def _described(policy: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    connections = [names.get(str(k), "a connection that is deleted") for k in policy.get("connections") or ()]
    hosted = f"Microsoft-hosted, {policy.get('region_group')}, {policy.get('region') or AUTOMATIC}"
    join = policy.get("join_type")
    return {
        "imageId": image_name(policy.get("device_image") or policy.get("gallery_image") or ""),
        "domainJoinType": _JOINS.get(str(join), join),
        "network": ", ".join(connections) or hosted,
        "cloudPcNamingTemplate": policy.get("naming_template"),
        "locale": policy.get("locale"),
        "enableSingleSignOn": policy.get("single_sign_on"),
        "localAdminEnabled": policy.get("local_admin_enabled"),
    }
