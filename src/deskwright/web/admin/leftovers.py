"""What past attempts have left outside, until when, and what an administrator has to remove (R8, L3, L4)."""

from deskwright.domain.rules import Refused
from deskwright.operations import leftovers
from deskwright.web.pages import page
from deskwright.web.view import Answer, View, show

_PAGE = 100


@page("/admin/{tenant}/leftovers")
def list_(view: View) -> Answer:
    after = view.asked("after")
    if after and not (after.isdecimal() and len(after) <= 18):
        raise Refused("after", after[:20], "is not where a page ended")
    found = leftovers.page(view.database, view.tenant, int(after) if after else 0, _PAGE)
    return show(
        "admin/leftovers.html",
        "results" if view.fragment else None,
        rows=found,
        strangers=leftovers.strangers(view.database, view.tenant),
        counts=leftovers.counts(view.database, view.tenant),
        first=view.to("leftovers") if after else "",
        following=view.to("leftovers", after=str(found[-1]["id"])) if len(found) == _PAGE else "",
    )
