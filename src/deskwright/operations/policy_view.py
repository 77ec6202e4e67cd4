"""How a provisioning policy is shown: in the API's words, with its network and its assignments."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from deskwright.operations.change import TenantRef
from deskwright.operations.named import Item, Noun
from deskwright.operations.policy_ground import AUTOMATIC
from deskwright.store.tables import policies


def _present(row: "Row[Any]") -> Item:
    return {
        "id": str(row.id),
        "displayName": row.display_name,
        "description": row.description,
        "provisioningType": row.provisioning_type,
        "imageType": row.image_type,
        "imageId": row.gallery_image or row.device_image,
        "cloudPcNamingTemplate": row.naming_template,
        "windowsSetting": {"locale": row.locale},
        "enableSingleSignOn": row.single_sign_on,
        "localAdminEnabled": row.local_admin_enabled,
        **({"keptProperties": row.kept_properties} if row.kept_properties else {}),
        "revision": row.revision,
        "createdDateTime": row.created_at,
        "lastModifiedDateTime": row.modified_at,
    }


POLICY = Noun("provisioningPolicy", "provisioning policy", policies, "displayName", "display_name", _present, "policy")

_CONNECTIONS = text(
    """
    SELECT pc.policy_id, k.id, k.display_name FROM policy_connections pc JOIN connections k ON k.id = pc.connection_id
     WHERE pc.tenant_id = :tenant AND pc.policy_id = ANY(:policies) ORDER BY pc.position
    """
)
_ASSIGNMENTS = text(
    """
    SELECT a.policy_id, a.id, a.number, a.group_id, g.display_name
      FROM policy_assignments a JOIN groups g ON g.id = a.group_id
     WHERE a.tenant_id = :tenant AND a.policy_id = ANY(:policies) ORDER BY a.number
    """
)


def present(connection: Connection, tenant: TenantRef, rows: "Sequence[Row[Any]]") -> list[Item]:
    """Policies with their network and assignments, in the API's words; two more queries, however many."""
    of = {"tenant": tenant.id, "policies": [row.id for row in rows]}
    networks: dict[UUID, list[Any]] = {row.id: [] for row in rows}
    for found in connection.execute(_CONNECTIONS, of):
        networks[found.policy_id].append(found)
    assigned: dict[UUID, list[Item]] = {row.id: [] for row in rows}
    for a in connection.execute(_ASSIGNMENTS, of):
        assigned[a.policy_id].append(
            {"id": str(a.id), "groupId": str(a.group_id), "groupDisplayName": a.display_name, "number": a.number}
        )
    return [
        {**_present(row), "domainJoinConfigurations": _joins(row, networks[row.id]), "assignments": assigned[row.id]}
        for row in rows
    ]


def _joins(row: "Row[Any]", networks: list[Any]) -> list[Item]:
    hosted = {"regionGroup": row.region_group, "regionName": row.region or AUTOMATIC, "onPremisesConnectionId": None}
    if not networks:
        return [{"domainJoinType": row.join_type, **hosted}]
    return [
        {
            "domainJoinType": row.join_type,
            "onPremisesConnectionId": str(k.id),
            "onPremisesConnection": k.display_name,
        }
        for k in networks
    ]
