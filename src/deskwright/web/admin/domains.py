"""Active Directory domains: how each is reached, what its runs did, and the run that waits for a yes."""

import shlex
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import domain_fields, domains
from deskwright.operations.domain_sync import KEPT
from deskwright.operations.domains import DOMAIN
from deskwright.operations.named import Item, cursor
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.words import Word, word

_PAGE = 25
_PATH = "/admin/{tenant}/domains"
_ONE = f"{_PATH}/{{domain}}"
SYNC = {
    "never": Word("Not synchronised yet", "wait"),
    "succeeded": Word("Synchronised", "good"),
    "failed": Word("Failed", "bad"),
    "confirmationRequired": Word("Waits for a confirmation", "warn"),
}
CHECKS = {"passed": Word("Passed", "good"), "warning": Word("Warning", "warn"), "failed": Word("Failed", "bad")}
SIGN_IN_CHOICES = [
    {"value": "none", "text": "No", "note": "People have a password of this installation, or another issuer's."},
    {"value": "ldap", "text": "Yes, by LDAP", "note": "People sign in with the password they have in the domain."},
]
_DID = {
    "peopleAdded": ("person came", "people came"),
    "peopleRestored": ("person came back", "people came back"),
    "peopleChanged": ("person changed", "people changed"),
    "peopleRemoved": ("person went", "people went"),
    "groupsAdded": ("group came", "groups came"),
    "groupsChanged": ("group changed", "groups changed"),
    "groupsRemoved": ("group went", "groups went"),
    "membersAdded": ("membership came", "memberships came"),
    "membersRemoved": ("membership went", "memberships went"),
    "computersAdded": ("computer came", "computers came"),
    "computersRemoved": ("computer went", "computers went"),
}
_BAR, _HEIGHT, _LOWEST = 14, 60, 3
"""Of the picture of the last runs: a bar's width with its gap, and heights, in units of its view box."""


@page(_PATH)
def list_(view: View) -> Answer:
    after = view.asked("after")
    found = domains.list_(view.database, view.tenant, after or None, _PAGE)
    return show(
        "admin/domains.html",
        "results" if view.fragment else None,
        domains=found,
        after=after,
        following=cursor(DOMAIN, found[-1]) if len(found) == _PAGE else None,
        sync_word=lambda item: word(item["syncStatus"], SYNC),
        due=lambda item: _due(view, item),
    )


@page(f"{_PATH}/new")
def new(view: View) -> Answer:
    return show("admin/domain_new.html", **_form(view, None))


@action(f"{_PATH}/new", shown_by=new)
def create(view: View) -> Answer:
    form = view.form
    made = domains.create(
        view.database,
        view.tenant,
        view.actor,
        secrets=view.world.secrets,
        domain_name=form.get("domainName"),
        password=_password(view),
        **_entered(view),
    )
    return Went(view.to("domains", made["id"]), f"{made['domainName']} is added. Its first synchronisation starts now.")


@page(_ONE)
def one(view: View) -> Answer:
    found = domains.show(view.database, view.tenant, view.path["domain"])
    return show("admin/domain.html", "runs" if view.fragment else None, **_about(view, found))


@action(f"{_ONE}/sync")
def sync(view: View) -> Answer:
    complete = view.form.flag("complete")
    asked = domains.synchronise(view.database, view.tenant, view.actor, view.path["domain"], complete=complete)
    return Went(view.to("domains", asked["id"]), f"{asked['domainName']} is being synchronised.")


@action(f"{_ONE}/confirm")
def confirm(view: View) -> Answer:
    asked = domains.synchronise(view.database, view.tenant, view.actor, view.path["domain"], confirm=True)
    return Went(view.to("domains", asked["id"]), "Confirmed. The run goes ahead now.")


@action(f"{_ONE}/adopt")
def adopt(view: View) -> Answer:
    domain = view.path["domain"]
    done = domains.adopt(view.database, view.tenant, view.actor, domain, view.form.get("group"))
    said = f"The group {done['displayName']} is {done['domainName']}'s from its next run on, which starts now."
    return Went(view.to("domains", domain), said)


@action(f"{_ONE}/test")
def test(view: View) -> Answer:
    """Tried while the page is being made: seconds at most."""
    found = domains.show(view.database, view.tenant, view.path["domain"])
    seen = domains.test(view.database, view.tenant, found["id"], secrets=view.world.secrets)
    return show("admin/domain_test.html", domain=found, seen=seen, check_words=CHECKS, quoted=_quoted(found))


@page(f"{_ONE}/edit")
def edit(view: View) -> Answer:
    found = domains.show(view.database, view.tenant, view.path["domain"])
    return show("admin/domain_edit.html", **_form(view, found))


@action(f"{_ONE}/edit", shown_by=edit)
def save(view: View) -> Answer:
    done = domains.set_(
        view.database,
        view.tenant,
        view.actor,
        view.path["domain"],
        secrets=view.world.secrets,
        password=_password(view) or None,
        **_entered(view),
    )
    return Went(view.to("domains", done["id"]), "Saved.")


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    found = domains.show(view.database, view.tenant, view.path["domain"])
    return show("admin/domain_delete.html", domain=found, quoted=_quoted(found))


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = domains.delete(view.database, view.tenant, view.actor, view.path["domain"])
    return Went(view.to("domains"), f"The domain {gone['domainName']} is forgotten. Its people and groups stay.")


def _due(view: View, item: Item) -> bool:
    """Whether a run is under way, or about to begin."""
    at = item["nextSyncDateTime"]
    return bool(item["syncRunning"] or (at is not None and at <= view.now))


def _about(view: View, item: Item) -> dict[str, Any]:
    runs = [{**run, "word": word(run["status"], SYNC), "did": _did(run)} for run in item["lastSyncs"]]
    return {
        "domain": item,
        "due": _due(view, item),
        "sync_word": word(item["syncStatus"], SYNC),
        "runs": runs,
        "bars": _bars(runs),
        "width": KEPT * _BAR,
        "height": _HEIGHT,
        "quoted": _quoted(item),
        "sign_in": next(c["text"] for c in SIGN_IN_CHOICES if c["value"] == item["signIn"]),
    }


def _did(run: Item) -> list[str]:
    """What a run did, or would have done, in words."""
    return [f"{run[name]:,} {one_ if run[name] == 1 else many}" for name, (one_, many) in _DID.items() if run[name]]


def _bars(runs: list[Item]) -> list[Item]:
    """Oldest first: how long each took, against the longest."""
    most = max((run["seconds"] for run in runs), default=0.0) or 1.0
    found = []
    for n, run in enumerate(reversed(runs)):
        height = max(run["seconds"] / most * _HEIGHT, _LOWEST)
        found.append({"run": run, "x": n * _BAR, "y": round(_HEIGHT - height, 1), "height": round(height, 1)})
    return found


def _form(view: View, item: Item | None) -> dict[str, Any]:
    return {
        "domain": item,
        "quoted": _quoted(item) if item else "",
        "sign_in_choices": SIGN_IN_CHOICES,
        "shortest": domain_fields.SHORTEST,
        "longest": domain_fields.LONGEST,
        "lines": lambda name: view.value(name, "\n".join(item[name]) if item else ""),
    }


def _entered(view: View) -> dict[str, Any]:
    """What was entered, as operations.domains takes it, but for the name and the password."""
    form = view.form
    interval = form.whole("syncIntervalInMinutes")
    if interval is None:
        raise Refused("syncIntervalInMinutes", None, "must not be empty")
    return {
        "user_name": form.get("userName"),
        "controllers": form.get("controllers").splitlines(),
        "name_servers": form.get("nameServers").splitlines(),
        "ca_certificate": form.get("caCertificate"),
        "start_tls": form.get("startTls") == "true",
        "search_bases": form.get("searchBases").splitlines(),
        "sign_in": form.get("signIn") or "none",
        "sync_enabled": form.flag("syncEnabled"),
        "sync_interval_minutes": interval,
        "verify": not form.flag("untried"),
    }


def _password(view: View) -> str:
    """As it was typed: blanks belong to it."""
    return dict(view.form.fields).get("password", "")


def _quoted(item: Item) -> str:
    return shlex.quote(item["domainName"])
