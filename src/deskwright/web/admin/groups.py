"""Groups: who is in them, and what they bring."""

from deskwright.operations import groups, search
from deskwright.operations.named import cursor
from deskwright.operations.users import USER
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PAGE = 50
_PATH = "/admin/{tenant}/groups"


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after = view.asked("q"), view.asked("after")
    found = search.groups(view.database, view.tenant, wanted, after or None, _PAGE)
    following = cursor(groups.GROUP, found[-1]) if len(found) == _PAGE else None
    block = "results" if view.fragment else None
    return show("admin/groups.html", block, groups=found, wanted=wanted, after=after, following=following)


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/group_new.html")


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    kind = "microsoft365" if view.form.get("kind") == "microsoft365" else "security"
    made = groups.create(view.database, view.tenant, view.actor, display_name=view.form.get("displayName"), kind=kind)
    return Went(view.to("groups", made["id"]), f"The group {made['displayName']} is made. Put people into it.")


@page(f"{_PATH}/{{group}}")
def one(view: View) -> Answer:
    group = groups.show(view.database, view.tenant, view.path["group"])
    after = view.asked("after")
    people = groups.members(view.database, view.tenant, group["id"], after or None, _PAGE)
    following = cursor(USER, people[-1]) if len(people) == _PAGE else None
    block = "members" if view.fragment else None
    return show("admin/group.html", block, group=group, people=people, after=after, following=following)


@action(f"{_PATH}/{{group}}/rename", shown_by=one)
def rename(view: View) -> Answer:
    done = groups.set_(
        view.database, view.tenant, view.actor, view.path["group"], display_name=view.form.get("displayName")
    )
    return Went(view.to("groups", done["id"]), "Renamed.")


@action(f"{_PATH}/{{group}}/members/add", shown_by=one)
def add(view: View) -> Answer:
    people = [line for text in view.form.some("user") for line in text.replace(",", "\n").split()]
    done = groups.add_members(
        view.database, view.tenant, view.actor, view.path["group"], people, confirmed=view.confirmed
    )
    added = done["added"]
    said = f"{', '.join(added[:5])}{' and others' if len(added) > 5 else ''} added." if added else "Nobody new."
    return Went(view.to("groups", view.path["group"]), said)


@action(f"{_PATH}/{{group}}/members/remove")
def remove(view: View) -> Answer:
    people = view.form.some("user")
    groups.remove_members(view.database, view.tenant, view.actor, view.path["group"], people, confirmed=view.confirmed)
    return Went(view.to("groups", view.path["group"]), f"{', '.join(people[:5])} removed.")


@page(f"{_PATH}/{{group}}/delete")
def ask_delete(view: View) -> Answer:
    return show("admin/group_delete.html", group=groups.show(view.database, view.tenant, view.path["group"]))


@action(f"{_PATH}/{{group}}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = groups.delete(view.database, view.tenant, view.actor, view.path["group"], confirmed=view.confirmed)
    return Went(view.to("groups"), f"The group {gone['displayName']} is deleted.")
