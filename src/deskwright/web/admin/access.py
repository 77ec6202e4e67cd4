"""Administrators: who holds a role in this tenant, guests of other tenants among them."""

from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import guests, roles
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/access"
_MEANING = {
    ADMINISTRATOR: "Sees and changes everything in this tenant.",
    READER: "Sees everything in this tenant and changes nothing.",
}


@page(_PATH)
def list_(view: View) -> Answer:
    held = roles.list_(view.database, view.tenant)
    come = guests.list_(view.database, view.tenant)
    holders = [*({**item, "tenant": None} for item in held), *come]
    by_role = [
        (role, meaning, sorted((h for h in holders if h["role"] == role), key=lambda h: h["userPrincipalName"].lower()))
        for role, meaning in _MEANING.items()
    ]
    return show("admin/access.html", by_role=by_role, meaning=_MEANING)


@action(f"{_PATH}/give", shown_by=list_)
def give(view: View) -> Answer:
    assign = guests.assign if view.form.get("from") == "elsewhere" else roles.assign
    done = assign(view.database, view.tenant, view.actor, view.form.get("role"), view.form.get("user"))
    return Went(view.to("access"), f"{done['userPrincipalName']} is {done['role']} now.")


@action(f"{_PATH}/take", shown_by=list_)
def take(view: View) -> Answer:
    """Raises Refused where the last administrator would take their own role."""
    unassign = guests.unassign if view.form.flag("guest") else roles.unassign
    done = unassign(view.database, view.tenant, view.actor, view.form.get("role"), view.form.get("principal"))
    own = done["userPrincipalName"].lower() == view.actor.lower()
    said = f"{done['userPrincipalName']} is {done['role']} no longer."
    return Went("/" if own else view.to("access"), said)
