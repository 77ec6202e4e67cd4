"""organizationSettings: what new policies and Cloud PCs take where nothing else says so."""

from typing import Any

from deskwright.graph import bodies
from deskwright.graph.access import READ, WRITE
from deskwright.graph.call import Call
from deskwright.graph.render import entity
from deskwright.graph.routes import serves
from deskwright.operations import organization

SET = "/deviceManagement/virtualEndpoint/organizationSettings"
TYPE = "cloudPcOrganizationSettings"


def _told(call: Call, item: dict[str, Any]) -> Any:
    context = f"{call.root}/$metadata#deviceManagement/virtualEndpoint/organizationSettings/$entity"
    return {"@odata.context": context, **entity(call, TYPE, item)}


@serves("GET", SET, READ, returns=TYPE)
def get_settings(call: Call) -> Any:
    """Get the organization's settings."""
    return _told(call, organization.get(*call.change[:2]))


@serves("PATCH", SET, WRITE, body=TYPE, returns=TYPE)
def update_settings(call: Call) -> Any:
    """Change the organization's settings; null puts one back to its default."""
    given = bodies.entity(call, TYPE)
    changes = {name: value for name, value in given.items() if name != "id" and not name.startswith("@")}
    return _told(call, organization.set_(*call.change, changes, confirmed=call.confirmed))
