"""The audit log: who changed what, when, from what to what."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import audit
from deskwright.operations.policy_view import POLICY
from deskwright.web.pages import page
from deskwright.web.view import Answer, View, show
from deskwright.web.words import of_property, title

_PAGE = 50
KINDS: Mapping[str, str] = {
    "cloudPC": "Cloud PC",
    "provisioningPolicy": "Provisioning policy",
    "onPremisesConnection": "Network connection",
    "deviceImage": "Image",
    "user": "User",
    "group": "Group",
    "servicePlan": "Service plan",
    "license": "Licence",
    "userSetting": "User setting",
    "site": "Site",
    "tenant": "Tenant",
    "roleAssignment": "Role",
}
"""What is changed, as people say it."""


@dataclass(frozen=True)
class Difference:
    name: str
    """As people say it."""
    before: str
    after: str


def differences(event: Mapping[str, Any]) -> list[Difference]:
    """The properties that an event changed, in the order in which they are written."""
    before, after = event["before"] or {}, event["after"] or {}

    def found() -> Iterator[Difference]:
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                told = (of_property(name, side[name]) if name in side else "" for side in (before, after))
                yield Difference(title(name), *told)

    return list(found())


@page("/admin/{tenant}/audit")
def list_(view: View) -> Answer:
    asked = {name: view.asked(name).strip() for name in ("resource", "type", "actor")}
    before = view.asked("before")
    if before:
        _number(before, "before")
    events = audit.list_(
        view.database,
        view.tenant,
        before=int(before) if before else None,
        limit=_PAGE,
        resource=asked["resource"] or None,
        resource_type=asked["type"] or None,
        actor=asked["actor"] or None,
    )
    kept = {n: v for n, v in asked.items() if v}
    listed = ((event, differences(event)) for event in events)
    return show(
        "admin/audit.html",
        "results" if view.fragment else None,
        events=[(event, [c for c in changes if _says_something(c)]) for event, changes in listed],
        asked=asked,
        kinds=KINDS,
        first=view.to("audit", **kept) if before else "",
        following=view.to("audit", **kept, before=str(events[-1]["id"])) if len(events) == _PAGE else "",
    )


@page("/admin/{tenant}/audit/{event}")
def one(view: View) -> Answer:
    event = audit.show(view.database, view.tenant, _number(view.path["event"]))
    return show(
        "admin/audit_event.html",
        event=event,
        kind=KINDS.get(event["resourceType"], event["resourceType"]),
        changes=differences(event),
        puts_back=_assignments(event) is not None,
    )


def _assignments(event: Mapping[str, Any]) -> Any:
    if event["resourceType"] != POLICY.kind or not event["before"] or not event["after"]:
        return None
    return event["before"].get("assignments")


def _says_something(change: Difference) -> bool:
    """In a list identifiers and moments do not; the event's own page has them."""
    bare = re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", change.after or change.before)
    return not bare and not change.name.endswith("date time")


def _number(text: str, field: str = "event") -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Refused(field, text[:20], "must be the number of an event")
    return int(text)
