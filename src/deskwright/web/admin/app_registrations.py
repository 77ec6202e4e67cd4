"""App registrations: programs that may call the API, with their permissions and secrets."""

from deskwright.identity.permissions import PERMISSIONS
from deskwright.operations import applications
from deskwright.operations.applications import APP, LONGEST_SECRET_DAYS, SECRET_DAYS
from deskwright.operations.named import Item, cursor
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PAGE = 50
_PATH = "/admin/{tenant}/access/apps"
_ONE = f"{_PATH}/{{app}}"


@page(_PATH)
def list_(view: View) -> Answer:
    after = view.asked("after")
    found = applications.list_(view.database, view.tenant, after or None, _PAGE)
    following = cursor(APP, found[-1]) if len(found) == _PAGE else None
    return show("admin/apps.html", apps=found, after=after, following=following)


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/app_new.html", permissions=_permissions())


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    form = view.form
    made = applications.create(
        view.database,
        view.tenant,
        view.actor,
        display_name=form.get("displayName"),
        permissions=form.some("permissions"),
        public_client=form.get("kind") == "public",
        redirect_uris=form.get("redirectUris").split(),
    )
    more = "" if made["isFallbackPublicClient"] else " Now make a secret for it."
    return Went(view.to("access", "apps", made["id"]), f"{made['displayName']} is registered.{more}")


@page(_ONE)
def one(view: View) -> Answer:
    app = applications.show(view.database, view.tenant, view.path["app"])
    longest, days = LONGEST_SECRET_DAYS, SECRET_DAYS
    return show("admin/app.html", app=app, permissions=_permissions(), days=days, longest=longest)


@action(f"{_ONE}/edit", shown_by=one)
def edit(view: View) -> Answer:
    form = view.form
    done = applications.set_(
        view.database,
        view.tenant,
        view.actor,
        view.path["app"],
        display_name=form.get("displayName"),
        permissions=form.some("permissions"),
        redirect_uris=form.get("redirectUris").split(),
    )
    return Went(view.to("access", "apps", done["id"]), "Saved. What was taken away counts no more within a minute.")


@action(f"{_ONE}/account", shown_by=one)
def account(view: View) -> Answer:
    wanted = view.form.flag("accountEnabled")
    done = applications.set_(view.database, view.tenant, view.actor, view.path["app"], account_enabled=wanted)
    said = "It may sign in again." if wanted else "It is disabled; its tokens count no more within a minute."
    return Went(view.to("access", "apps", done["id"]), said)


@action(f"{_ONE}/secrets/add", shown_by=one)
def add_secret(view: View) -> Answer:
    """The secret is in this one answer and nowhere else."""
    days = view.form.whole("days")
    made = applications.add_secret(
        view.database,
        view.tenant,
        view.actor,
        view.path["app"],
        display_name=view.form.get("label"),
        days=SECRET_DAYS if days is None else days,
    )
    app = applications.show(view.database, view.tenant, view.path["app"])
    return show("admin/app_secret.html", app=app, secret=made)


@action(f"{_ONE}/secrets/remove")
def remove_secret(view: View) -> Answer:
    app = view.path["app"]
    gone = applications.remove_secret(view.database, view.tenant, view.actor, app, view.form.get("keyId"))
    return Went(view.to("access", "apps", app), f"The secret {gone['displayName'] or gone['hint'] + '…'} is removed.")


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    return show("admin/app_delete.html", app=applications.show(view.database, view.tenant, view.path["app"]))


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = applications.delete_(view.database, view.tenant, view.actor, view.path["app"])
    return Went(view.to("access", "apps"), f"{gone['displayName']} is deleted.")


def _permissions() -> list[Item]:
    """Those that an application may hold by itself."""
    return [{"value": p.name, "text": p.name, "note": p.meaning} for p in PERMISSIONS.values() if p.application]
