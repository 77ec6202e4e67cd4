"""Administrators: who holds a role in this tenant, by themselves, through groups, and guests of other tenants."""

from deskwright.identity.permissions import ADMINISTRATOR, READER
from deskwright.operations import guests, role_groups, roles
from deskwright.operations.named import Item
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/access"
_MEANING = {
    ADMINISTRATOR: "Sees and changes everything in this tenant.",
    READER: "Sees everything in this tenant and changes nothing.",
}
_GIVE = {"here": roles.assign, "group": role_groups.assign, "elsewhere": guests.assign}
_TAKE = {"person": roles.unassign, "group": role_groups.unassign, "guest": guests.unassign}


@page(_PATH)
def list_(view: View) -> Answer:
    where = view.database, view.tenant
    holders = [
        *({**item, "kind": "person", "name": item["userPrincipalName"]} for item in roles.list_(*where)),
        *({**item, "kind": "group", "name": item["groupDisplayName"]} for item in role_groups.list_(*where)),
        *({**item, "kind": "guest", "name": item["userPrincipalName"]} for item in guests.list_(*where)),
    ]
    through = role_groups.people(*where)
    by_role = [
        (
            role,
            meaning,
            sorted((h for h in holders if h["role"] == role), key=lambda h: (h["kind"] != "group", h["name"].lower())),
            [person for person in through if person["role"] == role],
        )
        for role, meaning in _MEANING.items()
    ]
    return show("admin/access.html", by_role=by_role, meaning=_MEANING)


@action(f"{_PATH}/give", shown_by=list_)
def give(view: View) -> Answer:
    assign = _GIVE.get(view.form.get("from"), roles.assign)
    done = assign(view.database, view.tenant, view.actor, view.form.get("role"), view.form.get("user"))
    return Went(view.to("access"), f"{_who(done)} {done['role']} now.")


@action(f"{_PATH}/take", shown_by=list_)
def take(view: View) -> Answer:
    """Raises Refused where the last administrator would take their own role."""
    unassign = _TAKE.get(view.form.get("kind"), roles.unassign)
    done = unassign(view.database, view.tenant, view.actor, view.form.get("role"), view.form.get("principal"))
    own = str(done.get("userPrincipalName", "")).lower() == view.actor.lower()
    return Went("/" if own else view.to("access"), f"{_who(done)} {done['role']} no longer.")


def _who(done: Item) -> str:
    if "groupDisplayName" in done:
        return f"Everybody in {done['groupDisplayName']} is"
    return f"{done['userPrincipalName']} is"
