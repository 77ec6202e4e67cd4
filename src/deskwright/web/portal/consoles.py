"""The console: a Cloud PC's screen in the browser, for its user; the WebSockets of all consoles."""

from starlette.routing import BaseRoute, WebSocketRoute

from deskwright.provision.context import World
from deskwright.web import console
from deskwright.web.admission import Doors, opened
from deskwright.web.pages import Needs, action, page
from deskwright.web.portal.cloud_pcs import PATH, here, own, theirs
from deskwright.web.view import Answer, View, Went, show


def sockets(world: World) -> list[BaseRoute]:
    """Where consoles connect: those of people to their own Cloud PCs, and those of administrators."""
    doors = Doors(world)
    admin = "/admin/{tenant}/cloud-pcs/{cloud_pc}/console/socket"
    return [
        WebSocketRoute(f"{PATH}/console/socket", console.endpoint(doors.own, doors.still_own)),
        WebSocketRoute(admin, console.endpoint(doors.administrators, doors.still_administrators)),
    ]


@page(f"{PATH}/console", Needs.PERSON)
@theirs
def show_console(view: View) -> Answer:
    pc = own(view)
    if not pc["connects"]:
        return Went(here(pc["id"]), "It cannot be used at the moment.", bad=True)
    return show("console.html", name=pc["displayName"], back=here(pc["id"]), opens=here(pc["id"], "console", "open"))


@action(f"{PATH}/console/open", Needs.PERSON)
def open_console(view: View) -> Answer:
    """As `static/console.js` wants it."""
    pc = own(view)["id"]
    return opened(view, view.home, pc, here(pc, "console", "socket"), own=view.who.user_id)
