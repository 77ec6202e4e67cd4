"""Network connections: how healthy each is, what it serves, and what its checks found."""

import shlex
from typing import Any
from uuid import UUID

from deskwright.checks.table import CHECKS, checks_for
from deskwright.errors import Explained, explain
from deskwright.operations import audit, connection_view, connections, sites
from deskwright.operations.connection_rules import HYBRID
from deskwright.operations.connections import CONNECTION
from deskwright.operations.named import Item, cursor
from deskwright.web.admin.connection_fields import COLUMNS, CREDENTIALS, TYPE_TEXTS, checked, checks, entered
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.words import HEALTH, Word, duration, word

_PAGE = 25
_PATH = "/admin/{tenant}/connections"
_ONE = f"{_PATH}/{{connection}}"
_HISTORY = 15
CHECK_WORDS = {
    "passed": Word("Passed", "good"),
    "warning": Word("Warning", "warn"),
    "failed": Word("Failed", "bad"),
    "running": Word("Running", "busy"),
    "pending": Word("Waiting", "wait"),
    "informational": Word("Information", "off"),
}
_NOT_TRIED = Word("Not tried", "off")
_WORST_FIRST = {"failed": 0, "warning": 1}
# What a failed check asks for that a form here can change.
_EDITABLE = (
    "dns",
    "joinAccount",
    "organizationalUnitRights",
    "adDomainJoin",
    "ipAddresses",
    "tenantReadiness",
    "networkReadiness",
)
_BAR_LEAST, _BAR_MOST = 4, 40
"""Of the picture of the last times, in its own units."""


@page(_PATH)
def list_(view: View) -> Answer:
    wanted, after = view.asked("q"), view.asked("after")
    found = connections.list_(view.database, view.tenant, after or None, _PAGE, wanted)
    return show(
        "admin/connections.html",
        "results" if view.fragment else None,
        connections=connection_view.about(view.database, view.tenant, found),
        wanted=wanted,
        after=after,
        following=cursor(CONNECTION, found[-1]) if len(found) == _PAGE else None,
        type_texts=TYPE_TEXTS,
        due=lambda item: _due(view, item),
    )


@page(_ONE)
def one(view: View) -> Answer:
    found = connections.show(view.database, view.tenant, view.path["connection"])
    if view.fragment:
        return show("admin/connection.html", "health", **_health(view, found))
    (about,) = connection_view.about(view.database, view.tenant, [found])
    return show(
        "admin/connection.html",
        **_health(view, about),
        about=about,
        type_text=TYPE_TEXTS[about["connectionType"]],
        hybrid=about["connectionType"] == HYBRID,
    )


@action(f"{_ONE}/check")
def check(view: View) -> Answer:
    asked = connections.request_check(
        view.database, view.tenant, view.actor, view.path["connection"], confirmed=view.confirmed
    )
    return Went(view.to("connections", asked["id"]), f"{asked['displayName']} is being checked.")


@page(f"{_ONE}/edit")
def edit(view: View) -> Answer:
    found = connections.show(view.database, view.tenant, view.path["connection"])
    return show(
        "admin/connection_edit.html",
        connection=found,
        hybrid=found["connectionType"] == HYBRID,
        type_text=TYPE_TEXTS[found["connectionType"]],
        site_options=[(s["name"], s["name"]) for s in sites.list_(view.database, view.tenant, limit=1000)],
        quoted=shlex.quote(found["displayName"]),
        check=view.to("connections", found["id"], "edit", "check"),
    )


@action(f"{_ONE}/edit", shown_by=edit)
def save(view: View) -> Answer:
    before = connections.show(view.database, view.tenant, view.path["connection"])
    region = view.form.get("region")
    after = connections.set_(
        view.database,
        view.tenant,
        view.actor,
        before["id"],
        display_name=view.form.get("displayName"),
        region=region if region and region != before["region"] else None,
        **entered(view, before["connectionType"]),
        confirmed=view.confirmed,
    )
    changed = {k: v for k, v in after.items() if before.get(k) != v} != {}
    said = "Saved. It is checked anew; until then its last result counts." if changed else "Nothing was changed."
    return Went(view.to("connections", after["id"]), said)


@action(f"{_ONE}/edit/check")
def check_field(view: View) -> Answer:
    """One field of the form while somebody types: its error line."""
    name = view.form.get("_field")
    found = connections.show(view.database, view.tenant, view.path["connection"])
    fields = tuple(f for f in ("displayName", *COLUMNS) if found["connectionType"] == HYBRID or f not in CREDENTIALS)
    rules = checks(fields, lambda _: str(found["connectionType"]), besides=found["id"])
    return checked(view, name, rules)


@action(f"{_ONE}/password", shown_by=edit)
def set_password(view: View) -> Answer:
    done = connections.set_password(
        view.database,
        view.tenant,
        view.actor,
        view.path["connection"],
        dict(view.form.fields).get("adDomainPassword", ""),
        secrets=view.world.secrets,
        confirmed=view.confirmed,
    )
    return Went(view.to("connections", done["id"]), "The password is set. A trial domain join checks it now.")


@page(f"{_ONE}/delete")
def ask_delete(view: View) -> Answer:
    found = connections.show(view.database, view.tenant, view.path["connection"])
    (about,) = connection_view.about(view.database, view.tenant, [found])
    return show("admin/connection_delete.html", connection=about, quoted=shlex.quote(about["displayName"]))


@action(f"{_ONE}/delete", shown_by=ask_delete)
def delete(view: View) -> Answer:
    gone = connections.delete(view.database, view.tenant, view.actor, view.path["connection"], confirmed=view.confirmed)
    return Went(view.to("connections"), f"The connection {gone['displayName']} is deleted.")


def _due(view: View, item: Item) -> bool:
    """Whether its checks are under way, or about to begin."""
    at = item["nextCheckDateTime"]
    return bool(item["healthCheckRunning"] or (at is not None and at <= view.now))


def _health(view: View, item: Item) -> dict[str, Any]:
    """What the part of the page shows that renews itself."""
    due = _due(view, item)
    results = [_result(view, item, found, waiting=due and _is_of_before(item, found)) for found in _found(item)]
    if not due:  # while they run, nothing changes its place
        results.sort(key=lambda result: _WORST_FIRST.get(result["status"], len(_WORST_FIRST)))
    outcomes = connection_view.results(view.database, view.tenant, UUID(item["id"]))
    events = audit.list_(view.database, view.tenant, resource=item["id"], resource_type=CONNECTION.kind, limit=_HISTORY)
    return {
        "connection": item,
        "due": due,
        "waiting_word": CHECK_WORDS["pending"],
        "check_words": {status: word.text for status, word in CHECK_WORDS.items()},
        "quoted": shlex.quote(item["displayName"]),
        "results": results,
        "done": sum(1 for result in results if result["endDateTime"] and not result["waiting"]),
        "took": took(sum(result["seconds"] or 0 for result in results)),
        "explained": _explained(item, outcomes),
        "outcomes": outcomes,
        "bars": _bars(outcomes),
        **connection_view.standing(view.database, view.tenant, UUID(item["id"])),
        "history": [{**event, "told": _told(event)} for event in events],
    }


def _is_of_before(item: Item, found: Item) -> bool:
    """Whether a result is of the time before: its check was asked for, and has not begun again."""
    since = item["healthCheckStartedDateTime"] if item["healthCheckRunning"] else None
    return found["startDateTime"] is not None and (since is None or found["startDateTime"] < since)


def _found(item: Item) -> list[Item]:
    """What each check found; of one that never ran, that it waits."""
    found = {result["id"]: result for result in item["healthChecks"]}
    nothing = dict.fromkeys(
        ("errorType", "additionalDetail", "recommendedAction", "startDateTime", "endDateTime", "durationInSeconds")
    )
    expected = [
        found.pop(check.id, {"id": check.id, "displayName": check.title, "status": "pending", **nothing})
        for check in checks_for(item["connectionType"])
    ]
    return [*expected, *found.values()]


def _result(view: View, item: Item, found: Item, *, waiting: bool) -> Item:
    untried = (found["additionalDetail"] or "").startswith("not tried")
    check_ = CHECKS.get(found["id"])
    wrong = found["status"] in ("failed", "warning")
    return {
        **found,
        "word": _NOT_TRIED if untried else CHECK_WORDS.get(found["status"], Word(found["status"], "off")),
        "does": check_.does if check_ else "",
        "required": bool(check_ and check_.required),
        "waiting": waiting,
        "seconds": found["durationInSeconds"] if found["endDateTime"] else None,
        "took": took(found["durationInSeconds"]) if found["endDateTime"] and not untried else "",
        "edit": view.to("connections", item["id"], "edit") if wrong and found["id"] in _EDITABLE else "",
    }


def took(seconds: float | None) -> str:
    """How long a check took, as exactly as anybody needs it: ``4 ms``, ``0.2 s``, ``1 min 5 s``."""
    if seconds is None:
        return ""
    if seconds < 0.1:
        return f"{max(round(seconds * 1000), 1)} ms"
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _bars(outcomes: list[Item]) -> list[Item]:
    """The last times as a picture, oldest first: how it ended, and the longer it took the higher."""
    longest = max([0.2, *(outcome["seconds"] for outcome in outcomes)])
    return [
        {
            "x": place * 16,
            "height": max(_BAR_LEAST, round(outcome["seconds"] / longest * _BAR_MOST)),
            "word": word(outcome["status"], HEALTH),
            "took": took(outcome["seconds"]),
            "at": outcome["at"],
        }
        for place, outcome in enumerate(reversed(outcomes))
    ]


def _told(event: Item) -> str:
    """A line of what happened."""
    before, after = event["before"] or {}, event["after"] or {}
    if event["activity"] == "Connection health changed":
        told = [word(v.get("healthCheckStatus", ""), HEALTH).text for v in (before, after)]
        return f"{told[0]} → {told[1]}"
    names = ", ".join(after) if before and after else ""
    return f"{event['activity']}: {names}" if names else str(event["activity"])


def _explained(item: Item, outcomes: list[Item]) -> Explained | None:
    """What an unhealthy connection means for provisioning, in the words of the error catalogue."""
    if item["healthCheckStatus"] != "failed":
        return None
    failed = [found["displayName"] for found in item["healthChecks"] if found["status"] == "failed"]
    if item["healthCheckRunning"] and outcomes:  # what is being looked at again counts until it has ended
        failed = [finding["title"] for finding in outcomes[0]["findings"] if finding["status"] == "failed"]
    return explain("canaryCheckUnpass", {"connection": item["displayName"], "reason": ", ".join(failed)})
