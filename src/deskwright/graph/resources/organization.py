"""organization: the tenant, as the directory tells it."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from deskwright.graph.access import ORGANIZATION_READ
from deskwright.graph.call import Call
from deskwright.graph.errors import not_found
from deskwright.graph.listing import list_of
from deskwright.graph.render import Known, entity, plain
from deskwright.graph.routes import serves
from deskwright.store.tables import domains, tenants


def organization(call: Call) -> Known:
    """The call's tenant."""
    with call.reading() as connection:
        row = connection.execute(select(tenants).where(tenants.c.id == call.tenant.id)).one()
        synchronised = select(func.count(), func.bool_or(domains.c.sync_enabled), func.max(domains.c.synced_at))
        there, enabled, last = connection.execute(synchronised.where(domains.c.tenant_id == call.tenant.id)).one()
    return {
        "id": str(row.id),
        "displayName": row.name,
        "tenantType": "AAD",
        "createdDateTime": plain(row.created_at),
        "onPremisesSyncEnabled": enabled if there else None,  # null: never was
        "onPremisesLastSyncDateTime": plain(last),
        "mobileDeviceManagementAuthority": "unknown",
        "verifiedDomains": [
            {"name": row.name, "isDefault": True, "isInitial": True, "type": "Managed", "capabilities": ""}
        ],
    }


@serves("GET", "/organization", ORGANIZATION_READ, returns="Collection(organization)")
def list_organizations(call: Call) -> Any:
    """List the organization: the one tenant of the call."""
    return list_of(call, "organization", [organization(call)], {"displayName": "text"})


@serves("GET", "/organization/{id}", ORGANIZATION_READ, returns="organization", extra=True)
def get_organization(call: Call) -> Any:
    """Get the organization."""
    if call.key("organization") != UUID(str(call.tenant.id)):
        raise not_found("organization", call.keys[0])
    context = f"{call.root}/$metadata#organization/$entity"
    return {"@odata.context": context, **entity(call, "organization", organization(call))}
