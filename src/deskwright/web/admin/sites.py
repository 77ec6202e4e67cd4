"""Sites: where Cloud PCs run, and which providers serve them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deskwright.domain.regions import REGION_GROUPS
from deskwright.domain.rules import Refused
from deskwright.operations import sites
from deskwright.operations.named import cursor
from deskwright.providers.registry import KINDS
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PAGE = 100
_PROVIDERS = ("compute", "directory", "management")


@page("/admin/{tenant}/sites")
def list_(view: View) -> Answer:
    found = sites.list_(view.database, view.tenant, view.asked("after") or None, _PAGE)
    following = view.to("sites", after=cursor(sites.SITE, found[-1])) if len(found) == _PAGE else ""
    return show("admin/sites.html", sites=found, following=following, groups=REGION_GROUPS)


@page("/admin/{tenant}/sites/new")
def new(view: View) -> Answer:
    return show("admin/site_form.html", site=None, groups=REGION_GROUPS, kinds=KINDS, configuration=_texts(None))


@action("/admin/{tenant}/sites/new", shown_by=new)
def create(view: View) -> Answer:
    with _fields():
        made = sites.create(
            view.database,
            view.tenant,
            view.actor,
            name=view.form.get("name"),
            region_group=view.form.get("regionGroup"),
            region=view.form.get("region"),
            confirmed=view.confirmed,
            **_configuration(view),
        )
    return Went(view.to("sites", made["id"]), f"The site {made['name']} is made.")


@page("/admin/{tenant}/sites/{site}")
def one(view: View) -> Answer:
    site = sites.show(view.database, view.tenant, view.path["site"])
    return show("admin/site_form.html", site=site, groups=REGION_GROUPS, kinds=KINDS, configuration=_texts(site))


@action("/admin/{tenant}/sites/{site}", shown_by=one)
def change(view: View) -> Answer:
    with _fields():
        done = sites.set_(
            view.database,
            view.tenant,
            view.actor,
            view.path["site"],
            name=view.form.get("name"),
            confirmed=view.confirmed,
            **_configuration(view),
        )
    return Went(view.to("sites", done["id"]), "Saved.")


@action("/admin/{tenant}/sites/{site}/delete", shown_by=one)
def delete(view: View) -> Answer:
    gone = sites.delete(view.database, view.tenant, view.actor, view.path["site"], confirmed=view.confirmed)
    return Went(view.to("sites"), f"The site {gone['name']} is deleted.")


def _texts(site: dict[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Provider -> (its kind, the rest of its configuration as JSON)."""
    found = {}
    for provider in _PROVIDERS:
        # A new site's directory and management are those that go with its machines, unless chosen.
        held = dict(site[provider]) if site else {"kind": "simulator" if provider == "compute" else ""}
        kind = held.pop("kind", "simulator")
        found[provider] = (kind, json.dumps(held, indent=2) if held else "")
    return found


@contextmanager
def _fields() -> Iterator[None]:
    """Refusals of a provider's configuration, such as ``compute.kind``, belong to the form's fields."""
    try:
        yield
    except Refused as refused:
        provider, dot, rest = refused.field.partition(".")
        if dot and provider in _PROVIDERS:
            refused.field = provider if rest == "kind" else f"{provider}Configuration"
        raise


def _configuration(view: View) -> dict[str, dict[str, Any]]:
    """As the form has it. Raises Refused naming the field."""
    found = {}
    for provider in _PROVIDERS:
        text = view.form.get(f"{provider}Configuration")
        try:
            more = json.loads(text) if text else {}
        except ValueError as unreadable:
            raise Refused(f"{provider}Configuration", None, f"must be JSON: {unreadable}") from None
        if not isinstance(more, dict):
            raise Refused(f"{provider}Configuration", text[:60], "must be a JSON object, such as {}")
        kind = view.form.get(provider)
        if kind or more:
            found[provider] = {**more, "kind": kind} if kind else more
    return found
