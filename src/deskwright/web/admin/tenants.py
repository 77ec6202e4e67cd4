"""The tenants where a person holds a role, side by side: for those who look after several."""

from deskwright.domain.status import Status
from deskwright.operations import overview
from deskwright.operations.change import TenantRef
from deskwright.web.pages import Needs, page
from deskwright.web.view import Answer, View, show

_MOST = 100


@page("/tenants", Needs.PERSON)
def list_(view: View) -> Answer:
    found = []
    for place in list(view.who.places.values())[:_MOST]:
        about = overview.overview(view.database, TenantRef(place.tenant_id, place.tenant_name))
        counts = about["cloudPCs"]
        found.append(
            {
                "place": place,
                "total": sum(counts.values()),
                "counts": [(s, counts[s]) for s in (Status.FAILED, Status.WARNINGS, Status.PENDING) if counts[s]],
                "unhealthy": about["onPremisesConnections"].get("failed", 0),
            }
        )
    return show("tenants.html", tenants=found)
