"""Settings of the tenant, and its clock where it is simulated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

from deskwright.domain.rules import Refused
from deskwright.operations import tenants
from deskwright.settings import TenantSettings
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.words import title

_TITLES: Mapping[str, tuple[str, str]] = {
    "gracePeriodInHours": ("Grace period", "hours"),
    "cleanUpDelayInHours": ("Clean-up delay", "hours"),
    "hybridJoinWaitInMinutes": ("Longest wait for a hybrid join", "minutes"),
    "connectionRefreshInHours": ("Connections are checked every", "hours"),
    "inventoryIntervalInHours": ("Inventory is compared every", "hours"),
    "attempts": ("Attempts of a run", ""),
    "backOffInSeconds": ("Pause before the next attempt", "seconds"),
    "brakePeople": ("Safety brake: people", ""),
    "brakeShare": ("Safety brake: share of all people", "0.2 is 20 %"),
    "notifyByMail": ("Notify people by mail", ""),
    "webhookUrl": ("Webhook address", ""),
}
"""What settings are called and measured in; others by their property's name."""
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Setting:
    name: str
    title: str
    unit: str
    about: str
    kind: str
    """bool | number | text"""
    default: Any
    value: Any


def settings_of(view: View) -> list[Setting]:
    """Every setting there is, with its default and the value that counts."""
    now = tenants.get_settings(view.database, view.tenant)
    found = []
    for name, field in TenantSettings.model_fields.items():
        types = {field.annotation, *get_args(field.annotation)}
        kind = "bool" if bool in types else "number" if types & {int, float} else "text"
        called, unit = _TITLES.get(name, (title(name), ""))
        found.append(Setting(name, called, unit, field.description or "", kind, field.default, now[name]))
    return found


@page("/admin/{tenant}/settings")
def see(view: View) -> Answer:
    about = tenants.show(view.database, view.tenant)
    clock = tenants.show_clock(view.database, view.tenant)
    return show("admin/settings.html", settings=settings_of(view), about=about, clock=clock)


@action("/admin/{tenant}/settings", shown_by=see)
def save(view: View) -> Answer:
    changes: dict[str, Any] = {}
    for setting in settings_of(view):
        if setting.name not in view.form:
            continue
        given: Any = view.form.flag(setting.name) if setting.kind == "bool" else view.form.get(setting.name)
        if setting.kind == "number":
            given = view.form.number(setting.name)
            given = int(given) if given is not None and given == int(given) else given
        elif setting.kind == "text":
            given = given or None
        if given != setting.value:
            changes[setting.name] = None if given == setting.default else given
    try:
        tenants.set_settings(view.database, view.tenant, view.actor, changes, confirmed=view.confirmed)
    except Refused as refused:
        refused.field = refused.field.removeprefix("settings.")
        raise
    return Went(view.to("settings"), "Saved." if changes else "Nothing was different.")


@action("/admin/{tenant}/settings/clock", shown_by=see)
def advance(view: View) -> Answer:
    """Move a simulated tenant's time forward."""
    amount, unit = view.form.number("by"), view.form.get("unit")
    if amount is None or unit not in _UNITS:
        raise Refused("by", None, "say by how much the clock is advanced")
    by = timedelta(seconds=min(amount * _UNITS[unit], 366 * 86400.0))
    tenants.advance_clock(view.database, view.tenant, view.actor, by, confirmed=False)
    return Went(view.to("settings"), f"The clock is {amount:g} {unit} further.")
