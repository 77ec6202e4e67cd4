"""One action on many Cloud PCs: what it will do, doing it, and how it goes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import bulk_actions, bulk_preview, bulk_view, cloud_pc_list, licenses
from deskwright.operations.named import as_id
from deskwright.web import words
from deskwright.web.admin.bulk_kinds import OFFERS, Offer
from deskwright.web.admin.cloud_pcs import asked_by
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.words import Word

_PATH = "/admin/{tenant}/bulk"
_PAGE = 100
_PLANS = 1000
TYPED_ABOVE = 10
"""More Cloud PCs than these lose their data only when their number has been typed."""
OUTCOMES: Mapping[str, Word] = {
    "pending": Word("Pending", "wait"),
    "inProgress": Word("In progress", "busy"),
    "successful": Word("Successful", "good"),
    "failed": Word("Failed", "bad"),
    "notSupported": Word("Not supported", "off"),
}
_STATUS = re.compile(rf"\b({'|'.join(cloud_pc_list.STATUSES)})\b")


@page(_PATH)
def list_(view: View) -> Answer:
    after = as_id(view.asked("after"))
    found = bulk_view.list_(view.database, view.tenant, after, _PAGE)
    following = found[-1]["id"] if len(found) == _PAGE else ""
    return show(
        "admin/bulk_list.html",
        "results" if view.fragment else None,
        actions=found,
        following=following,
        after=after,
        outcomes=OUTCOMES,
        offers=OFFERS,
    )


@action(f"{_PATH}/preview")
def preview(view: View) -> Answer:
    """POST, because it carries up to a thousand ids; nothing is changed."""
    offer = _offer(view)
    ids = _chosen(view)
    plans = licenses.list_plans(view.database, view.tenant, limit=_PLANS) if "Resize" in offer.kind else []
    found, options = None, {}
    try:
        options = _options(view, offer)
    except Refused as refused:
        if "again" in view.form:
            view.refuse(refused)
    else:
        found = bulk_preview.preview(
            view.world, view.tenant, view.actor, kind=offer.kind, cloud_pc_ids=ids, options=options
        )
    return show(
        "admin/bulk_preview.html",
        status=422 if view.errors else 200,
        offer=offer,
        ids=ids,
        found=found,
        plans=plans,
        loses_data=offer.kind in bulk_preview.LOSES_DATA,
        typed=found is not None and _must_type(offer, len(found.accepted)),
        back=_back(view),
        plainly=plainly,
    )


@action(f"{_PATH}/begin", shown_by=preview)
def begin(view: View) -> Answer:
    offer, ids = _offer(view), view.form.some("cloudPcIds")
    options = _options(view, offer)
    if _must_type(offer, len(ids)) and view.form.get("typed") != str(len(ids)):
        rule = f"type {len(ids)}, the number of Cloud PCs that lose their data"
        raise Refused("typed", view.form.get("typed")[:20], rule)
    made = bulk_actions.create(
        view.database,
        view.tenant,
        view.actor,
        kind=offer.kind,
        display_name=view.form.get("displayName") or f"{offer.text}: {words.count(len(ids), 'Cloud PC')}",
        cloud_pc_ids=ids,
        options=options,
        user=view.actor,
    )
    return Went(view.to("bulk", str(made)))


@page(f"{_PATH}/{{bulk}}")
def one(view: View) -> Answer:
    bulk = bulk_view.show(view.database, view.tenant, _id(view))
    outcome, after = view.asked("outcome"), view.asked("after")
    items = bulk_view.items(
        view.database,
        view.tenant,
        UUID(bulk["id"]),
        outcome=outcome or None,
        after=int(after) if after.isdecimal() and len(after) < 9 else 0,
        limit=_PAGE,
    )
    following = items[-1]["position"] if len(items) == _PAGE else 0
    return show(
        "admin/bulk.html",
        "progress" if view.fragment else None,
        bulk=bulk,
        items=items,
        outcome=outcome,
        after=after,
        following=following,
        outcomes=OUTCOMES,
        offer=OFFERS.get(bulk["kind"]),
        plainly=plainly,
    )


@action(f"{_PATH}/{{bulk}}/retry", shown_by=one)
def retry(view: View) -> Answer:
    again = bulk_actions.retry(view.database, view.tenant, view.actor, _id(view))
    return Went(view.to("bulk", view.path["bulk"]), f"{words.count(again, 'Cloud PC')} tried again.")


def _id(view: View) -> UUID:
    found = as_id(view.path["bulk"])
    if found is None:
        raise NotFound("bulkAction", view.path["bulk"])
    return found


def _offer(view: View) -> Offer:
    found = OFFERS.get(view.form.get("kind"))
    if found is None:
        raise Refused("kind", view.form.get("kind")[:60], "choose what to do")
    return found


def _chosen(view: View) -> list[str]:
    """The ids that were ticked, or those of all that the list's filter leaves."""
    if view.form.get("scope") == "all":
        wanted = asked_by(view.form.get("filter")).filter
        return cloud_pc_list.ids(view.database, view.tenant, wanted, most=bulk_preview.MOST)
    found = view.form.some("cloudPcIds")
    if not found:
        raise Refused("cloudPcIds", None, "choose at least one Cloud PC")
    return found


def _options(view: View, offer: Offer) -> dict[str, Any]:
    """What the action needs besides; Refused while it is not there."""
    if offer.kind == "cloudPcBulkResize":
        if not view.form.get("targetServicePlanId"):
            raise Refused("targetServicePlanId", None, "choose the plan")
        return {"targetServicePlanId": view.form.get("targetServicePlanId")}
    if offer.kind != "cloudPcBulkRestore":
        return {}
    given, time_range = view.form.get("restorePointDateTime"), view.form.get("timeRange") or "before"
    if time_range not in ("before", "after", "beforeOrAfter"):
        raise Refused("timeRange", time_range[:20], "must be before, after or beforeOrAfter")
    try:
        point = datetime.fromisoformat(given)
    except ValueError:
        raise Refused("restorePointDateTime", given[:40] or None, "must be a date and a time") from None
    utc = point.replace(tzinfo=UTC) if point.tzinfo is None else point
    return {"restorePointDateTime": utc.isoformat(), "timeRange": time_range}


def plainly(reason: str) -> str:
    """With statuses as people call them."""
    return _STATUS.sub(lambda found: words.word(found.group()).text.lower(), reason)


def _must_type(offer: Offer, count: int) -> bool:
    return offer.kind in bulk_preview.LOSES_DATA and count > TYPED_ABOVE


def _back(view: View) -> str:
    query = asked_by(view.form.get("filter")).query()
    return view.to("cloud-pcs") + (f"?{query}" if query else "")
