"""The fields of a network connection's forms, checked as one types by the rules of operations.connections."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import named, sites
from deskwright.operations.connection_rules import HYBRID, broken_rules
from deskwright.operations.connections import CONNECTION
from deskwright.web.view import Answer, View, show
from deskwright.web.wizard import Check

ENTRA = "azureADJoin"
COLUMNS = {
    "network": "network",
    "subnet": "subnet",
    "subscription": "subscription",
    "resourceGroup": "resource_group",
    "adDomainName": "ad_domain_name",
    "organizationalUnit": "organizational_unit",
    "adDomainUsername": "ad_domain_username",
}
"""Field -> the argument of operations.connections, but for those that need more than text."""
CREDENTIALS = ("adDomainName", "organizationalUnit", "adDomainUsername")

TYPE_TEXTS = {
    ENTRA: "Microsoft Entra join",
    HYBRID: "Microsoft Entra hybrid join",
}
TYPE_CHOICES = [
    {
        "value": ENTRA,
        "text": TYPE_TEXTS[ENTRA],
        "note": "Cloud PCs join the directory themselves. No domain and no join account are needed.",
    },
    {
        "value": HYBRID,
        "text": TYPE_TEXTS[HYBRID],
        "note": "Cloud PCs join your Active Directory domain; its credentials are asked for next.",
    },
]


def kind(view: View) -> str:
    """The type that was chosen, right or not; Entra join until one is."""
    return view.form.get("connectionType") or ENTRA


def entered(view: View, connection_type: str) -> dict[str, Any]:
    """What was entered, as operations.connections takes it; of an Entra join without what only a hybrid one has."""
    fields = [f for f in COLUMNS if connection_type == HYBRID or f not in CREDENTIALS]
    return {COLUMNS[f]: view.form.get(f) for f in fields}


def check_site(view: View) -> None:
    """Raises Refused unless the site is one of the tenant's."""
    with view.reading() as connection:
        sites.in_region(connection, view.tenant, view.form.get("region"))


def check_name(view: View, besides: str | None = None) -> None:
    """Raises Refused where the name is none, or that of another connection."""
    name = named.check_name("displayName", view.form.get("displayName"))
    with view.reading() as connection:
        own = named.one(connection, view.tenant, CONNECTION, besides).id if besides else None
        named.refuse_taken(connection, view.tenant, CONNECTION, name, own)


def check_network(view: View) -> None:
    named.check_name("network", view.form.get("network"))


def rule(field: str, connection_type: Callable[[View], str], has_password: Callable[[View], bool]) -> Check:
    """A check of one field by the rules for the whole connection."""

    def check(view: View) -> None:
        if field == "subnet":
            named.check_name("subnet", view.form.get("subnet"))
        chosen = connection_type(view)
        nothing: Mapping[str, Any] = dict.fromkeys(COLUMNS.values(), "")
        values = {**nothing, **entered(view, chosen), "connection_type": chosen}
        for refused in broken_rules(values, has_password=chosen == HYBRID and has_password(view)):
            if refused.field == field:
                raise refused

    return check


def checks(
    fields: tuple[str, ...],
    connection_type: Callable[[View], str] = kind,
    has_password: Callable[[View], bool] = lambda _: True,
    besides: str | None = None,
) -> dict[str, Check]:
    """By field. `besides`: the connection that is edited."""
    own: dict[str, Check] = {
        "region": check_site,
        "displayName": partial(check_name, besides=besides),
        "network": check_network,
    }
    return {f: own.get(f) or rule(f, connection_type, has_password) for f in fields}


def checked(view: View, name: str, rules: Mapping[str, Check]) -> Answer:
    """The error line of one field, as `Wizard.check` answers it for a wizard's."""
    try:
        if name in rules:
            rules[name](view)
    except Refused as refused:
        if refused.field == name:
            view.refuse(refused)
    return show("parts/error.html", name=name)
