"""People: the list, and one person with everything that decides about their Cloud PCs (R2)."""

from typing import Any
from uuid import UUID

from deskwright.operations import credentials, groups, invitations, licenses, user_view, users
from deskwright.operations import view as seen
from deskwright.operations.named import LARGEST_PAGE, Item, cursor
from deskwright.operations.users import USER
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PAGE = 50
_PATH = "/admin/{tenant}/users"
_ONE = f"{_PATH}/{{user}}"


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after, deleted = view.asked("q"), view.asked("after"), view.asked("deleted") == "true"
    with view.reading() as connection:
        found = user_view.people(connection, view.tenant, wanted, after or None, _PAGE, deleted=deleted)
    following = cursor(USER, found[-1]) if len(found) == _PAGE else None
    block = "results" if view.fragment else None
    values: dict[str, Any] = {"wanted": wanted, "after": after, "following": following, "deleted": deleted}
    return show("admin/users.html", block, people=found, **values)


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/user_new.html")


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    form = view.form
    made = users.create(
        view.database,
        view.tenant,
        view.actor,
        user_principal_name=form.get("userPrincipalName"),
        display_name=form.get("displayName"),
        mail=form.get("mail") or None,
        on_premises_user_principal_name=form.get("onPremisesUserPrincipalName") or None,
    )
    said = f"{made['displayName']} is in the directory. With a licence and a group, a Cloud PC follows by itself."
    return Went(view.to("users", made["id"]), said)


@page(_ONE)
def one(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"], deleted=True)
    with view.reading() as connection:
        about = user_view.about(connection, view.tenant, UUID(user["id"]))
        explained = seen.explain_user(connection, view.tenant, user["id"])
    ids = {
        "policies": {p["displayName"]: p["id"] for p in about["policies"]},
        "groups": {g["displayName"]: g["id"] for g in about["groups"]},
        "plans": {p["servicePlanName"]: p for p in user["licenses"]},
    }
    values: dict[str, Any] = {"user": user, "about": about, "explained": explained, "known": ids}
    if view.fragment:
        return show("admin/user.html", "explained", **values)
    plans = licenses.list_plans(view.database, view.tenant, None, LARGEST_PAGE) if view.may_change else []
    held = {str(licence["servicePlanId"]) for licence in user["licenses"] if licence["assignedDirectly"]}
    offered = [_offer(plan) for plan in plans if plan["id"] not in held]
    return show("admin/user.html", offered=offered, own=UUID(user["id"]) == view.who.user_id, **values)


@action(f"{_ONE}/edit", shown_by=one)
def edit(view: View) -> Answer:
    form = view.form
    done = users.set_(
        view.database,
        view.tenant,
        view.actor,
        view.path["user"],
        user_principal_name=form.get("userPrincipalName"),
        display_name=form.get("displayName"),
        mail=form.get("mail"),
        on_premises_user_principal_name=form.get("onPremisesUserPrincipalName"),
        confirmed=view.confirmed,
    )
    return Went(view.to("users", done["id"]), "Saved.")


@action(f"{_ONE}/account", shown_by=one)
def account(view: View) -> Answer:
    """Enable or disable: starts nothing new, ends the sign-in, takes nothing away (E1)."""
    wanted = view.form.flag("accountEnabled")
    user, confirmed = view.path["user"], view.confirmed
    done = users.set_(view.database, view.tenant, view.actor, user, account_enabled=wanted, confirmed=confirmed)
    name = done["userPrincipalName"]
    said = f"{name} may sign in again." if wanted else f"{name} is disabled: no sign-in, nothing new, nothing taken."
    return Went(view.to("users", done["id"]), said)


@action(f"{_ONE}/groups/add", shown_by=one)
def join(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"])
    wanted = view.form.get("group")
    done = groups.add_members(view.database, view.tenant, view.actor, wanted, [user["id"]], confirmed=view.confirmed)
    said = f"Put into {done['displayName']}." if done["added"] else f"They are in {done['displayName']} already."
    return Went(view.to("users", user["id"]), said)


@action(f"{_ONE}/groups/remove", shown_by=one)
def leave(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"])
    done = groups.remove_members(
        view.database, view.tenant, view.actor, view.form.get("group"), [user["id"]], confirmed=view.confirmed
    )
    return Went(view.to("users", user["id"]), f"Taken out of {done['displayName']}.")


@action(f"{_ONE}/licences/add", shown_by=one)
def license_(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"])
    done = licenses.assign(
        view.database,
        view.tenant,
        view.actor,
        view.form.get("servicePlan"),
        users=[user["id"]],
        confirmed=view.confirmed,
    )
    return Went(view.to("users", user["id"]), f"{done['displayName']} is assigned.")


@action(f"{_ONE}/licences/remove", shown_by=one)
def unlicense(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"])
    done = licenses.remove(
        view.database,
        view.tenant,
        view.actor,
        view.form.get("servicePlan"),
        users=[user["id"]],
        confirmed=view.confirmed,
    )
    return Went(view.to("users", user["id"]), f"{done['displayName']} is taken away.")


@page(f"{_ONE}/password")
def ask_password(view: View) -> Answer:
    return show("admin/user_password.html", user=users.show(view.database, view.tenant, view.path["user"]))


@action(f"{_ONE}/password", shown_by=ask_password)
def set_password(view: View) -> Answer:
    """A password that is made here is in this one answer and nowhere else."""
    password = None
    if view.form.get("kind") == "chosen":
        password = next((value for name, value in view.form.fields if name == "password"), "")
    done = credentials.set_password(
        view.database,
        view.tenant,
        view.actor,
        view.path["user"],
        password,
        must_change=None if password is None else view.form.flag("forceChangePasswordNextSignIn"),
    )
    if password is not None:
        return Went(view.to("users", done["id"]), "The password is set; what was signed in with the old one is not.")
    own = UUID(done["id"]) == view.who.user_id
    return show("admin/user_secret.html", user=done, password=done["password"], link=None, own=own)


@action(f"{_ONE}/invite")
def invite(view: View) -> Answer:
    """The link is in this one answer and nowhere else."""
    user = users.show(view.database, view.tenant, view.path["user"])
    settings = view.world.settings
    link = invitations.invite(view.database, view.tenant, view.actor, user["id"], base=view.base, settings=settings)
    return show("admin/user_secret.html", user=user, password=None, link=link, own=False)


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    user = users.show(view.database, view.tenant, view.path["user"])
    with view.reading() as connection:
        about = user_view.about(connection, view.tenant, UUID(user["id"]))
    return show("admin/user_delete.html", user=user, about=about)


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = users.delete(view.database, view.tenant, view.actor, view.path["user"], confirmed=view.confirmed)
    return Went(view.to("users", gone["id"]), f"{gone['userPrincipalName']} is deleted, and can be restored.")


@action(f"{_ONE}/restore")
def restore(view: View) -> Answer:
    back = users.restore(view.database, view.tenant, view.actor, view.path["user"], confirmed=view.confirmed)
    return Went(view.to("users", back["id"]), f"{back['userPrincipalName']} is back, with groups and licences.")


def _offer(plan: Item) -> tuple[str, str]:
    return plan["id"], f"{plan['displayName']} ({plan['seatsInUse']:,} of {plan['seats']:,} seats in use)"
