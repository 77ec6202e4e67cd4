"""The first page: what needs somebody now, how many of what, and how long it takes."""

from deskwright.operations import attention, connections, overview
from deskwright.web.pages import page
from deskwright.web.plot import plot
from deskwright.web.view import Answer, View, show

_CONNECTIONS = 12


@page("/admin/{tenant}")
def at_a_glance(view: View) -> Answer:
    return show(
        "admin/overview.html",
        "glance" if view.fragment else None,
        about=overview.overview(view.database, view.tenant),
        attention=attention.attention(view.database, view.tenant),
        plot=plot(attention.provisioning_times(view.database, view.tenant)),
    )


@page("/admin/{tenant}/addresses")
def addresses(view: View) -> Answer:
    """Asked for after the first page is there: providers count them, which may take a moment."""
    listed = connections.list_(view.database, view.tenant, None, _CONNECTIONS)
    free = [(c, connections.free_addresses(view.database, view.tenant, c["id"])) for c in listed]
    return show("admin/overview_addresses.html", free=free)
