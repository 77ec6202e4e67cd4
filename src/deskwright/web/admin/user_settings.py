"""User settings: what people may do on their Cloud PC. The most recently created one that reaches a person wins."""

from typing import Any

from deskwright.operations import user_settings
from deskwright.operations.user_settings import FREQUENCIES
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/user-settings"
_ONE = f"{_PATH}/{{setting}}"


@page(_PATH)
def list_(view: View) -> Answer:
    with view.reading() as connection:
        return show("admin/user_settings.html", settings=user_settings.in_order(connection, view.tenant))


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/user_setting_new.html", frequencies=tuple(FREQUENCIES))


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    made = user_settings.create(
        view.database,
        view.tenant,
        view.actor,
        groups=view.form.some("group"),
        confirmed=view.confirmed,
        **_entered(view),
    )
    said = f"{made['displayName']} is made. Being the newest, it wins where several reach a person."
    return Went(view.to("user-settings", made["id"]), said)


@page(_ONE)
def one(view: View) -> Answer:
    with view.reading() as connection:
        conflicts = user_settings.conflicts(connection, view.tenant, view.path["setting"])
    setting = user_settings.show(view.database, view.tenant, view.path["setting"])
    return show("admin/user_setting.html", setting=setting, conflicts=conflicts, frequencies=tuple(FREQUENCIES))


@action(f"{_ONE}/edit", shown_by=one)
def edit(view: View) -> Answer:
    done = user_settings.set_(
        view.database, view.tenant, view.actor, view.path["setting"], confirmed=view.confirmed, **_entered(view)
    )
    said = "Saved. It takes effect at the next sign-in, or when the Cloud PC is repaired."
    return Went(view.to("user-settings", done["id"]), said)


@action(f"{_ONE}/assign", shown_by=one)
def assign(view: View) -> Answer:
    add = view.form.some("group")
    done = user_settings.assign(
        view.database, view.tenant, view.actor, view.path["setting"], add=add, confirmed=view.confirmed
    )
    return Went(view.to("user-settings", done["id"]), f"Assigned to {', '.join(add)}." if add else "Nothing to assign.")


@action(f"{_ONE}/unassign")
def unassign(view: View) -> Answer:
    drop = view.form.some("group")
    done = user_settings.assign(
        view.database, view.tenant, view.actor, view.path["setting"], drop=drop, confirmed=view.confirmed
    )
    return Went(view.to("user-settings", done["id"]), "The group has it no longer.")


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    setting = user_settings.show(view.database, view.tenant, view.path["setting"])
    return show("admin/user_setting_delete.html", setting=setting)


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    setting, confirmed = view.path["setting"], view.confirmed
    gone = user_settings.delete(view.database, view.tenant, view.actor, setting, confirmed=confirmed)
    return Went(view.to("user-settings"), f"{gone['displayName']} is deleted.")


def _entered(view: View) -> dict[str, Any]:
    form = view.form
    return {
        "display_name": form.get("displayName"),
        "local_admin_enabled": form.flag("localAdminEnabled"),
        "reset_enabled": form.flag("resetEnabled"),
        "restore_enabled": form.flag("userRestoreEnabled"),
        "restore_frequency_hours": form.whole("restorePointSetting.frequencyInHours") or 12,
    }
