"""What people do with their own Cloud PC: a button each, or a page of its own that says first what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import own_cloud_pcs
from deskwright.operations.remote_actions import LONGEST_NAME
from deskwright.web.pages import Needs, action, page
from deskwright.web.portal.cloud_pcs import PATH, here, own, theirs
from deskwright.web.view import Answer, View, Went, show


def _nothing(_: View) -> dict[str, Any]:
    return {}


def _name(view: View) -> dict[str, Any]:
    return {"display_name": view.form.get("displayName")}


def _snapshot(view: View) -> dict[str, Any]:
    chosen = view.form.get("cloudPcSnapshotId")
    if not chosen:
        raise Refused("cloudPcSnapshotId", None, "one of them must be chosen")
    return {"snapshot_id": chosen}


@dataclass(frozen=True)
class Choice:
    """One thing to do with an own Cloud PC."""

    id: str
    """Of `own_cloud_pcs.ACTIONS`."""
    path: str
    """The last part of its address."""
    label: str
    what: str
    """What it does, in a sentence."""
    said: str
    """What is told when it has begun."""
    asks: bool = True
    """A page of its own comes first."""
    loses: str = ""
    """What is lost by it, said on that page."""
    field: str = ""
    """Of the form on that page, by the name that refusals use."""
    values: Callable[[View], Mapping[str, Any]] = _nothing
    """What the operation is given from that form."""


CHOICES: dict[str, Choice] = {
    c.id: c
    for c in (
        Choice(
            "power-on",
            "power-on",
            "Power on",
            "Switch it on.",
            "It is being switched on. That takes about a minute.",
            asks=False,
        ),
        Choice(
            "restart",
            "restart",
            "Restart",
            "Close everything on it and start it anew.",
            "It is being restarted. That takes about a minute.",
            loses="What you have not saved on it is lost. Your files stay.",
        ),
        Choice(
            "rename",
            "rename",
            "Rename",
            "Give it a name you know it by.",
            "Renamed.",
            field="displayName",
            values=_name,
        ),
        Choice(
            "restore",
            "restore",
            "Restore",
            "Make it what it was at an earlier time.",
            "It is being restored. You cannot use it meanwhile.",
            loses="Everything that came after that time is lost, your files too. You cannot use it meanwhile.",
            field="cloudPcSnapshotId",
            values=_snapshot,
        ),
        Choice(
            "reprovision",
            "reset",
            "Reset",
            "Delete everything on it, and make it anew.",
            "Everything on it is deleted, and it is being made anew.",
            loses="Everything on it is deleted: your files, your programs, all earlier states. Nothing brings them "
            "back. Making it anew takes a while.",
        ),
    )
}
DANGEROUS = frozenset({"restore", "reprovision"})


def _asking(choice: Choice) -> Callable[[View], Answer]:
    @theirs
    def ask(view: View) -> Answer:
        pc = own(view)
        if choice.id not in pc["allowed"] and not view.errors:
            grant = own_cloud_pcs.GRANTS.get(choice.id, "")
            why = "is not possible at the moment." if pc["grants"].get(grant, True) else "is not allowed to you."
            return Went(here(pc["id"]), f"{choice.label}: this {why}", bad=True)
        # What belongs to no field of this form is told above it.
        view.errors = {name if name == choice.field else "": text for name, text in view.errors.items()}
        return show(
            "portal/action.html",
            pc=pc,
            choice=choice,
            dangerous=choice.id in DANGEROUS,
            longest=LONGEST_NAME,
            here=here,
        )

    return ask


def _doing(choice: Choice) -> Callable[[View], Answer]:
    @theirs
    def do(view: View) -> Answer:
        pc, values = view.path["cloud_pc"], choice.values(view)
        own_cloud_pcs.act(view.world, view.home, view.actor, view.who.user_id, pc, choice.id, **values)
        return Went(here(pc), choice.said)

    return do


for _choice in CHOICES.values():
    _ask = page(f"{PATH}/{_choice.path}", Needs.PERSON)(_asking(_choice)) if _choice.asks else None
    action(f"{PATH}/{_choice.path}", Needs.PERSON, shown_by=_ask)(_doing(_choice))
