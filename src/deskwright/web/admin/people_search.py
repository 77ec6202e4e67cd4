"""Names for pickers, while one types."""

from deskwright.operations import search
from deskwright.web.pages import page
from deskwright.web.view import Answer, View, show


@page("/admin/{tenant}/suggest/users")
def users(view: View) -> Answer:
    found = search.users(view.database, view.tenant, _typed(view, "user", "users"), None, 8)
    return show("parts/suggestions.html", names=[(u["userPrincipalName"], u["displayName"]) for u in found])


@page("/admin/{tenant}/suggest/groups")
def groups(view: View) -> Answer:
    found = search.groups(view.database, view.tenant, _typed(view, "group", "groups"), None, 8)
    return show("parts/suggestions.html", names=[(g["displayName"], "") for g in found])


def _typed(view: View, *names: str) -> str:
    """What stands in the field, by whichever of these names it is sent; `q` for a search of its own."""
    return next((text for name in (*names, "q") if (text := view.asked(name))), "")
