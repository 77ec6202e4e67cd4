"""Where people and groups come from, in Graph's words."""

import base64
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, select

from deskwright.graph.render import Known
from deskwright.store.tables import domain_objects, domains

_FROM = select(domain_objects, domains.c.name.label("domain"), domains.c.synced_at).join(
    domains, domains.c.id == domain_objects.c.domain_id
)


def origins(connection: Connection, rows: "Iterable[Row[Any]]") -> dict[UUID, Known]:
    """Of users' or groups' rows: what is known of those that are synchronised; the others are left out."""
    ids = [row.id for row in rows if row.domain_id is not None]
    if not ids:
        return {}
    found = connection.execute(_FROM.where(domain_objects.c.object_id.in_(ids)))
    return {
        row.object_id: {
            "onPremisesSyncEnabled": True,
            "onPremisesDomainName": row.domain,
            "onPremisesSamAccountName": row.name,
            "onPremisesDistinguishedName": row.distinguished_name,
            "onPremisesSecurityIdentifier": row.security_identifier or None,
            "onPremisesLastSyncDateTime": row.synced_at,
            # Entra Connect's source anchor: the GUID's bytes as the directory has them.
            "onPremisesImmutableId": base64.b64encode(row.source_id.bytes_le).decode(),
        }
        for row in found
    }


def of_group(origin: Known) -> Known:
    """The part of it that groups have."""
    without = ("onPremisesDistinguishedName", "onPremisesImmutableId")
    return {name: value for name, value in origin.items() if name not in without}
