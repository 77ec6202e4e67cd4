"""The audit log: who changed what, when, from what to what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import audit
from deskwright.operations.policy_view import POLICY
from deskwright.web.pages import page
from deskwright.web.view import Answer, View, show
from deskwright.web.words import plain

_PAGE = 50


@dataclass(frozen=True)
class Difference:
    name: str
    before: str
    after: str


def differences(event: Mapping[str, Any]) -> list[Difference]:
    """The properties that an event changed, in the order in which they are written."""
    before, after = event["before"] or {}, event["after"] or {}

    def found() -> Iterator[Difference]:
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                yield Difference(
                    name, plain(before[name]) if name in before else "", plain(after[name]) if name in after else ""
                )

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
    return show(
        "admin/audit.html",
        "results" if view.fragment else None,
        events=[(event, differences(event)) for event in events],
        asked=asked,
        first=view.to("audit", **kept) if before else "",
        following=view.to("audit", **kept, before=str(events[-1]["id"])) if len(events) == _PAGE else "",
    )


@page("/admin/{tenant}/audit/{event}")
def one(view: View) -> Answer:
    event = audit.show(view.database, view.tenant, _number(view.path["event"]))
    return show(
        "admin/audit_event.html", event=event, changes=differences(event), puts_back=_assignments(event) is not None
    )


def _assignments(event: Mapping[str, Any]) -> Any:
    if event["resourceType"] != POLICY.kind or not event["before"] or not event["after"]:
        return None
    return event["before"].get("assignments")


def _number(text: str, field: str = "event") -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Refused(field, text[:20], "must be the number of an event")
    return int(text)
