"""supportedRegions: where Cloud PCs can be. A region is available where the tenant has a site."""

from dataclasses import replace
from typing import Any

from sqlalchemy import literal, select

from deskwright.domain.regions import REGION_GROUPS
from deskwright.graph.access import READ
from deskwright.graph.answers import number
from deskwright.graph.call import Call
from deskwright.graph.filters import Field, Fields
from deskwright.graph.listing import Source, collection, count, one, values_source
from deskwright.graph.routes import serves
from deskwright.store.tables import sites

PATH = "deviceManagement/virtualEndpoint/supportedRegions"
SET = f"/{PATH}"
TYPE = "cloudPcSupportedRegion"
_SOLUTION = "windows365"
_KINDS = {"displayName": "text", "regionGroup": "enum", "regionStatus": "enum", "geographicLocationType": "enum"}
# Graph's cloudPcGeographicLocationType of a region group whose name is not one itself.
_LOCATIONS = {
    "asia": ("hongKong", "indonesia", "japan", "malaysia", "singapore", "southKorea", "taiwan"),
    "australiaNewZealand": ("australia", "newZealand"),
    "africa": ("kenya",),
    "middleEast": ("israel",),
    "southAmerica": ("brazil",),
    "usGovernment": ("usGovernmentDOD",),
    "usCentral": ("euap",),
    "europe": (
        *("austria", "belgium", "denmark", "europeUnion", "france", "germany", "ireland", "italy", "netherlands"),
        *("norway", "poland", "spain", "sweden", "switzerland", "unitedKingdom"),
    ),
}
_LOCATION = {group: location for location, groups in _LOCATIONS.items() for group in groups}


def _regions(call: Call) -> Source:
    with call.reading() as connection:
        query = select(sites.c.region, sites.c.region_group).where(sites.c.tenant_id == call.tenant.id)
        here = {row.region: row.region_group for row in connection.execute(query.order_by(sites.c.created_at))}
    catalogue = {region: group.name for group in REGION_GROUPS.values() for region in group.regions}
    found = [
        {
            "id": region,
            "displayName": region,
            "regionGroup": group,
            "regionStatus": "available" if region in here else "unavailable",
            "supportedSolution": [_SOLUTION],
            "geographicLocationType": _LOCATION.get(group, group),
        }
        for region, group in {**catalogue, **here}.items()
    ]
    source = values_source(TYPE, found, _KINDS)
    # Clients compare the collection with one member, as if it were a flag.
    solution = {"supportedSolution": Field(literal(_SOLUTION), "enum")}
    return replace(source, fields=Fields({**source.fields.plain, **solution}))


@serves("GET", SET, READ, returns=f"Collection({TYPE})")
def list_regions(call: Call) -> Any:
    """List the regions; those where the tenant has a site are available."""
    return collection(call, _regions(call), path=PATH)


@serves("GET", f"{SET}/$count", READ, returns="Int32")
def count_regions(call: Call) -> Any:
    """Count the regions."""
    return number(count(call, _regions(call)))


@serves("GET", f"{SET}/{{id}}", READ, returns=TYPE)
def get_region(call: Call) -> Any:
    """Get a region."""
    return one(call, _regions(call), "supported region", call.keys[0])
