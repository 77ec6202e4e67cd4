"""Events that the tenant's webhook did not take: sending them again, or letting them go (R6)."""

from uuid import UUID

from deskwright.domain.rules import Refused
from deskwright.operations import dead_letters
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/health/events"
_PAGE = 100


@page(_PATH)
def list_(view: View) -> Answer:
    after = view.asked("after")
    if after and not (after.isascii() and after.isdecimal() and len(after) <= 18):
        raise Refused("after", after[:20], "is not where a page ended")
    found = dead_letters.list_(view.database, view.tenant, after=int(after) if after else 0, limit=_PAGE)
    return show(
        "admin/webhook_events.html",
        letters=found,
        total=dead_letters.count(view.database, view.tenant),
        first=view.to("health", "events") if after else "",
        following=view.to("health", "events", after=str(found[-1]["number"])) if len(found) == _PAGE else "",
    )


@action(f"{_PATH}/retry", shown_by=list_)
def retry(view: View) -> Answer:
    n = dead_letters.retry(view.database, view.tenant, view.actor, _chosen(view))
    return Went(view.to("health", "events"), f"{n} will be sent again.")


@action(f"{_PATH}/discard", shown_by=list_)
def discard(view: View) -> Answer:
    n = dead_letters.discard(view.database, view.tenant, view.actor, _chosen(view))
    return Went(view.to("health", "events"), f"{n} discarded.")


def _chosen(view: View) -> list[UUID] | None:
    """None: all of them."""
    given = view.form.get("event")
    if given == "all":
        return None
    try:
        return [UUID(given)]
    except ValueError:
        raise Refused("event", given[:40], "is not the id of an event") from None
