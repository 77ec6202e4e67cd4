"""Service plans: their seats, who holds a licence, and who waits for a seat (E6)."""

from typing import Any

from deskwright.operations import licence_view, licenses
from deskwright.operations.licenses import PLAN
from deskwright.operations.named import cursor
from deskwright.operations.users import USER
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PAGE = 50
_PATH = "/admin/{tenant}/licences"
_ONE = f"{_PATH}/{{plan}}"


@page(_PATH)
def list_(view: View) -> Answer:
    after = view.asked("after")
    with view.reading() as connection:
        found = licence_view.plans(connection, view.tenant, after or None, _PAGE)
    following = cursor(PLAN, found[-1]) if len(found) == _PAGE else None
    block = "results" if view.fragment else None
    return show("admin/licences.html", block, plans=found, after=after, following=following)


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/licence_new.html")


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    form = view.form
    made = licenses.create_plan(
        view.database,
        view.tenant,
        view.actor,
        display_name=form.get("displayName"),
        seats=form.whole("seats") or 0,
        vcpu_count=form.whole("vCpuCount"),
        ram_gb=form.whole("ramInGB"),
        storage_gb=form.whole("storageInGB"),
        confirmed=view.confirmed,
    )
    return Went(view.to("licences", made["id"]), f"{made['displayName']} is made. Assign it to people and groups.")


@page(_ONE)
def one(view: View) -> Answer:
    wanted, after, place = view.path["plan"], view.asked("after"), view.asked("place")
    with view.reading() as connection:
        plan = licence_view.plan(connection, view.tenant, wanted)
        queue = licence_view.waiting(connection, view.tenant, wanted, place or None, _PAGE)
    if view.fragment:
        return show("admin/licence.html", "seats", plan=plan, queue=queue, place=place, last=_last(queue))
    people = licenses.holders(view.database, view.tenant, plan["id"], after or None, _PAGE)
    following = cursor(USER, people[-1]) if len(people) == _PAGE else None
    values: dict[str, Any] = {"plan": plan, "queue": queue, "place": place, "last": _last(queue)}
    return show("admin/licence.html", people=people, after=after, following=following, **values)


@action(f"{_ONE}/seats", shown_by=one)
def set_seats(view: View) -> Answer:
    seats = view.form.whole("seats")
    done = licenses.set_plan(
        view.database,
        view.tenant,
        view.actor,
        view.path["plan"],
        seats=-1 if seats is None else seats,
        confirmed=view.confirmed,
    )
    return Went(view.to("licences", done["id"]), f"{done['displayName']} has {done['seats']:,} seats now.")


@action(f"{_ONE}/assign", shown_by=one)
def assign(view: View) -> Answer:
    people = [name for text in view.form.some("user") for name in text.replace(",", " ").split()]
    groups = view.form.some("group")
    done = licenses.assign(
        view.database,
        view.tenant,
        view.actor,
        view.path["plan"],
        users=people,
        groups=groups,
        confirmed=view.confirmed,
    )
    given = [*done["users"], *(f"group {name}" for name in done["groups"])]
    said = f"Assigned to {_names(given)}." if given else "Nobody new: they hold it already."
    return Went(view.to("licences", view.path["plan"]), said)


@action(f"{_ONE}/remove", shown_by=one)
def remove(view: View) -> Answer:
    done = licenses.remove(
        view.database,
        view.tenant,
        view.actor,
        view.path["plan"],
        users=view.form.some("user"),
        groups=view.form.some("group"),
        confirmed=view.confirmed,
    )
    taken = [*done["users"], *(f"group {name}" for name in done["groups"])]
    said = f"Taken from {_names(taken)}." if taken else "Nobody of them held it."
    return Went(view.to("licences", view.path["plan"]), said)


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    with view.reading() as connection:
        plan = licence_view.plan(connection, view.tenant, view.path["plan"])
    return show("admin/licence_delete.html", plan=plan)


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    plan, confirmed = view.path["plan"], view.confirmed
    gone = licenses.delete_plan(view.database, view.tenant, view.actor, plan, confirmed=confirmed)
    return Went(view.to("licences"), f"{gone['displayName']} is deleted.")


def _last(queue: list[dict[str, Any]]) -> str:
    """Where the next page of the queue begins; empty where there is none."""
    return str(queue[-1]["entitledNumber"]) if len(queue) == _PAGE else ""


def _names(names: list[str]) -> str:
    more = f" and {len(names) - 5} others" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"
