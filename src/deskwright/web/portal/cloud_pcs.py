"""My Cloud PCs: each as a card, one of them large, and what is wrong with it in words its user understands."""

import codecs
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import consoles, own_cloud_pcs
from deskwright.operations import view as views
from deskwright.web.pages import Needs, action, page
from deskwright.web.portal import sentences
from deskwright.web.view import Answer, File, View, Went, show, told

PATH = "/portal/cloud-pcs/{cloud_pc}"

Handler = Callable[[View], Answer]
Pc = Mapping[str, Any]
"""As `own_cloud_pcs.show` tells it."""


def here(cloud_pc: str, *parts: str) -> str:
    """The address of the page of a Cloud PC, or of one below it."""
    return "/".join(("/portal/cloud-pcs", cloud_pc, *parts))


def own(view: View) -> Pc:
    """The Cloud PC of the address. Raises NotFound where it is not this person's."""
    return own_cloud_pcs.show(view.database, view.home, view.who.user_id, view.path["cloud_pc"])


def theirs(serve: Handler) -> Handler:
    """What is not theirs is told like what does not exist, and the way back."""

    @wraps(serve)
    def guarded(view: View) -> Answer:
        try:
            return serve(view)
        except NotFound as missing:
            if missing.field != "cloudPC":
                raise
            return show("portal/not_here.html", status=404)

    return guarded


def contacts(view: View) -> list[dict[str, Any]]:
    return own_cloud_pcs.contacts(view.database, view.home, view.who.user_id)


@page("/portal", Needs.PERSON)
def list_(view: View) -> Answer:
    pcs = own_cloud_pcs.list_(view.database, view.home, view.who.user_id)
    states = [(pc, sentences.told(pc)) for pc in pcs]
    without = None
    if not pcs:
        with view.reading() as connection:
            without = sentences.none_yet(views.explain_user(connection, view.home, str(view.who.user_id)))
    shown = [state for _, state in states] + ([without] if without else [])
    return show(
        "portal/cloud_pcs.html",
        "cards" if view.fragment else None,
        states=states,
        without=without,
        contacts=contacts(view) if any(state.ask for state in shown) else [],
        moves=any(state.moves for state in shown),
        sentences=sentences,
        here=here,
    )


@page(PATH, Needs.PERSON)
@theirs
def one(view: View) -> Answer:
    pc = own(view)
    state = sentences.told(pc)
    return show(
        "portal/cloud_pc.html",
        "now" if view.fragment else None,
        pc=pc,
        state=state,
        contacts=contacts(view) if state.ask else [],
        unlucky=sentences.unlucky(pc),
        sentences=sentences,
        here=here,
    )


@page(f"{PATH}/trouble", Needs.PERSON)
@theirs
def trouble(view: View) -> Answer:
    """Something is wrong: what is known, and what to do about it."""
    pc = own(view)
    return show(
        "portal/trouble.html",
        "now" if view.fragment else None,
        pc=pc,
        state=sentences.told(pc),
        result=sentences.result(pc),
        contacts=contacts(view),
        sentences=sentences,
        here=here,
    )


@action(f"{PATH}/trouble", Needs.PERSON, shown_by=trouble)
@theirs
def check(view: View) -> Answer:
    pc = view.path["cloud_pc"]
    own_cloud_pcs.act(view.world, view.home, view.actor, view.who.user_id, pc, "troubleshoot")
    return Went(here(pc, "trouble"), "It is being checked. This page tells what is found.")


@action(f"{PATH}/sign-in", Needs.PERSON, shown_by=one)
@theirs
def reveal(view: View) -> Answer:
    """The sign-in details, on an answer of their own that nobody keeps; a one-time password only the first time."""
    found = own_cloud_pcs.reveal_sign_in(view.world, view.home, view.actor, view.who.user_id, view.path["cloud_pc"])
    return show("portal/sign_in_details.html", details=found, here=here)


@page(f"{PATH}/rdp", Needs.PERSON)
@theirs
def rdp(view: View) -> Answer:
    pc = own(view)
    try:
        text = consoles.rdp_file(view.world, view.home, pc["id"], own=view.who.user_id)
    except NotFound:
        raise
    except Refused as refused:
        return Went(here(pc["id"]), told(refused), bad=True)
    content = codecs.BOM_UTF16_LE + text.encode("utf-16-le")
    return File(content, "application/x-rdp", f"{pc['managedDeviceName'] or 'cloud-pc'}.rdp")
