"""Making a network connection: Site, Detail, Credentials (of a hybrid join), Review and save; then it is checked.

The type stands on the page Detail and decides whether there are credentials at all, so that page comes first.
"""

import shlex

from deskwright.checks.table import checks_for
from deskwright.operations import connection_view, connections, sites
from deskwright.operations.connection_rules import HYBRID
from deskwright.web.admin.connection_fields import (
    COLUMNS,
    CREDENTIALS,
    ENTRA,
    TYPE_CHOICES,
    TYPE_TEXTS,
    checks,
    entered,
    kind,
)
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, View, Went
from deskwright.web.wizard import Step, Wizard

_PATH = "/admin/{tenant}/connections/new"
_SEALED = "adDomainPassword"


def _has_password(view: View) -> bool:
    return bool(_HYBRID.secret(view, _SEALED))


def _more(view: View, step: Step) -> dict[str, object]:
    chosen = kind(view)
    values: dict[str, object] = {
        "kind": chosen,
        "hybrid": chosen == HYBRID,
        "type_text": TYPE_TEXTS.get(chosen, chosen),
        "type_choices": TYPE_CHOICES,
        "check": view.to("connections", "new", "check"),
        "has_password": _has_password(view),
    }
    if step.id == "site":
        values["site_choices"] = [
            {"value": s["name"], "text": s["name"], "note": f"{s['regionName']}, {s['regionGroup']}"}
            for s in sites.list_(view.database, view.tenant, limit=1000)
        ]
    if step.id == "review":
        where = (view.form.get("region"), view.form.get("network"), view.form.get("subnet"))
        values |= {
            "free": connection_view.free_in(view.database, view.tenant, *where),
            "each": connection_view.ADDRESSES_EACH,
            "health_checks": checks_for(chosen),
            "command": _command(view, chosen),
        }
    return values


def _command(view: View, chosen: str) -> str:
    """The command that makes the same."""
    options = [
        ("--region", "region"),
        ("--network", "network"),
        ("--subnet", "subnet"),
        ("--subscription", "subscription"),
        ("--resource-group", "resourceGroup"),
    ]
    words = ["deskwright", "connection", "create", shlex.quote(view.form.get("displayName"))]
    if chosen == HYBRID:
        options += [("--domain", "adDomainName"), ("--ou", "organizationalUnit"), ("--username", "adDomainUsername")]
    for option, field in options:
        if view.form.get(field):
            words += [option, shlex.quote(view.form.get(field))]
    words += ["--type", chosen]
    return " ".join([*words, "--password-stdin < password.txt"] if chosen == HYBRID else words)


def _create(view: View) -> Answer:
    chosen = kind(view)
    made = connections.create(
        view.database,
        view.tenant,
        view.actor,
        secrets=view.world.secrets,
        display_name=view.form.get("displayName"),
        connection_type=chosen,
        region=view.form.get("region"),
        **entered(view, chosen),
        ad_domain_password=_HYBRID.secret(view, _SEALED) if chosen == HYBRID else "",
        confirmed=view.confirmed,
    )
    return Went(
        view.to("connections", made["id"]), f"The connection {made['displayName']} is made. It is being checked."
    )


_SITE = Step("site", "Site", ("region",), checks(("region",)))
_DETAIL = Step(
    "detail",
    "Detail",
    ("displayName", "connectionType", *(f for f in COLUMNS if f not in CREDENTIALS)),
    checks(("displayName", "connectionType", "network", "subnet")),
)
_CREDENTIALS = Step(
    "credentials",
    "Credentials",
    (*CREDENTIALS, _SEALED),
    checks((*CREDENTIALS, _SEALED), lambda _: HYBRID, lambda view: _has_password(view)),
)
_REVIEW = Step("review", "Review and save", ())
_TEMPLATE = "admin/connection_new.html"
_HYBRID = Wizard((_SITE, _DETAIL, _CREDENTIALS, _REVIEW), _TEMPLATE, _more, _create, frozenset({_SEALED}))
_ENTRA = Wizard((_SITE, _DETAIL, _REVIEW), _TEMPLATE, _more, _create, frozenset({_SEALED}))


def _wizard(view: View) -> Wizard:
    """That of the chosen type; until one is chosen, that with all pages."""
    return _ENTRA if view.form.get("connectionType") == ENTRA else _HYBRID


@page(_PATH, Needs.ADMINISTRATOR)
def begin(view: View) -> Answer:
    return _wizard(view).shown(view)


@action(_PATH)
def go(view: View) -> Answer:
    return _wizard(view).go(view)


@action(f"{_PATH}/check")
def check(view: View) -> Answer:
    return _wizard(view).check(view)
