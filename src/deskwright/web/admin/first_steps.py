"""The first steps: from an empty tenant to the first Cloud PC, on one page that can be left and come back to (R16)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from deskwright.domain.likely_region import likely_region_group
from deskwright.domain.naming import DEFAULT_TEMPLATE
from deskwright.domain.regions import REGION_GROUPS
from deskwright.domain.rules import Refused
from deskwright.domain.runs import RunKind
from deskwright.domain.status import USABLE, Status
from deskwright.operations import (
    cloud_pc_view,
    cloud_pcs,
    connections,
    first_steps,
    invitations,
    licenses,
    mail,
    policies,
    policy_choices,
)
from deskwright.operations.named import Item
from deskwright.web.admin.cloud_pc_actions import CHOICES
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show

_PATH = "/admin/{tenant}/start"
_REQUIRED = ("site", "plan", "group", "policy")
_FIELDS = {
    "site": ("name", "regionGroup"),
    "plan": ("displayName", "seats"),
    "group": ("users", "groupName"),
    "policy": (
        "displayName",
        "groups",
        "regionGroup",
        "onPremisesConnection",
        "image",
        "cloudPcNamingTemplate",
    ),
}
"""What the form of each step has."""


@page(_PATH)
def start(view: View) -> Answer:
    now = first_steps.stand(view.world, view.tenant, _me(view))
    due = next((step for step in _REQUIRED if now[step] is None), "")
    if view.errors:
        # What no field of the open form has is told above it.
        view.errors = {n if n in _FIELDS.get(due, ()) else "": text for n, text in view.errors.items()}
    watched = now["cloudPcId"]
    pc = cloud_pc_view.whole(view.world, view.tenant, watched) if watched else None
    ready = pc is not None and pc["status"] in USABLE
    rests = pc is not None and pc["runKind"] is None and (ready or pc["status"] == Status.FAILED)
    values = {
        "now": now,
        "due": due if view.may_change else "",
        "done": sum(now[step] is not None for step in _REQUIRED) + now["usable"] + now["others"],
        "of": len(_REQUIRED) + 2,
        "pc": pc,
        "mine": pc is not None and pc["userId"] == str(_me(view)),
        "missing": _missing(now, own=_me(view) is not None),
        "moves": bool(now["policy"]) and not (rests and not now["undecided"]),
        "retry_command": CHOICES["retry"].command(pc["reference"]) if pc else "",
        "steps": _steps(pc) if pc else [],
        "ready": ready,
        "mailed": _mail_is_set(view),
        "words_of": first_steps.size_words,
        **_form(view, due),
    }
    with view.reading() as connection:
        waiting = first_steps.to_invite(connection, view.tenant, _me(view)) if now["policy"] else []
    return show("admin/start.html", "steps" if view.fragment else None, waiting=waiting, **values)


@action(_PATH, shown_by=start)
def go_on(view: View) -> Answer:
    """One step, named by the form's `step`, with what its form has."""
    wanted = view.form.get("step")
    if wanted not in _DO:
        raise Refused("step", wanted[:60], f"must be one of {', '.join(_DO)}")
    return Went(view.to("start"), _DO[wanted](view))


@action(f"{_PATH}/invite", shown_by=start)
def invite(view: View) -> Answer:
    """The links are in this one answer and nowhere else."""
    chosen = view.form.some("users")[: first_steps.TO_INVITE]
    if not chosen:
        raise Refused("", None, "choose whom to invite")
    links = [
        invitations.invite(view.database, view.tenant, view.actor, user, base=view.base, settings=view.world.settings)
        for user in chosen
    ]
    return show("admin/start_links.html", links=links)


@page(f"{_PATH}/people")
def more_people(view: View) -> Answer:
    now = first_steps.stand(view.world, view.tenant, _me(view))
    return show("admin/start_people.html", group=now["group"])


@action(f"{_PATH}/people", shown_by=more_people)
def add_people(view: View) -> Answer:
    group = first_steps.stand(view.world, view.tenant, _me(view))["group"]
    if group is None:
        raise Refused("", None, "make a group first, on the page before")
    first_steps.bring_people(
        view.database, view.tenant, view.actor, names=_names(view), group=group["displayName"], domain=_domain(view)
    )
    return Went(view.to("start"), f"They are in {group['displayName']}. Invite them below.")


# --- what each form does; each answers what is told then ---------------------------------------------


def _everything(view: View) -> str:
    with view.reading() as connection:
        here = frozenset(first_steps.places(connection, view.tenant))
    made = first_steps.with_examples(
        view.database, view.tenant, view.actor, region_group=_likely(view, here), me=_my_name(view)
    )
    return "Everything is there. Watch the first Cloud PC come up." if made else "Everything was there already."


def _site(view: View) -> str:
    made = first_steps.make_site(
        view.database,
        view.tenant,
        view.actor,
        region_group=view.form.get("regionGroup"),
        name=view.form.get("name"),
    )
    return f"The site {made['name']} is made."


def _licence(view: View) -> str:
    name, seats = view.form.get("displayName"), view.form.whole("seats")
    if seats is None or seats < 1:
        raise Refused("seats", seats, "at least one seat is needed for a Cloud PC")
    made = licenses.create_plan(view.database, view.tenant, view.actor, display_name=name, seats=seats)
    return f"{made['seats']} seats of {made['displayName']}."


def _people(view: View) -> str:
    now = first_steps.stand(view.world, view.tenant, _me(view))
    if now["plan"] is None:
        raise Refused("", None, "make a service plan first")
    me = _my_name(view)
    names = [me] if me and view.form.flag("me") else []
    made = first_steps.bring_people(
        view.database,
        view.tenant,
        view.actor,
        names=[*names, *_names(view)],
        group=view.form.get("groupName"),
        plan=now["plan"]["id"],
        domain=_domain(view),
    )
    return f"The group {made['displayName']} has its people, and the licence."


def _policy(view: View) -> str:
    form = view.form
    kind, _, image = form.get("image").partition(":")
    through = form.get("onPremisesConnection")
    network: dict[str, Any] = {"region_group": form.get("regionGroup")}
    if through:
        found = connections.show(view.database, view.tenant, through)
        network = {"join_type": found["connectionType"], "connections": [found["id"]]}
    groups = form.some("groups")
    if not groups:
        raise Refused("groups", None, "choose the group whose people get a Cloud PC")
    made = policies.create(
        view.database,
        view.tenant,
        view.actor,
        display_name=form.get("displayName"),
        gallery_image=image if kind == "gallery" else None,
        device_image=image if kind == "device" else None,
        naming_template=form.get("cloudPcNamingTemplate"),
        groups=groups,
        confirmed=view.confirmed,
        **network,
    )
    return f"{made['displayName']} is assigned. Watch the first Cloud PC come up."


def _retry(view: View) -> str:
    cloud_pcs.retry(view.world, view.tenant, view.actor, view.form.get("cloudPc"))
    return "A new run has begun."


def _quick(view: View) -> str:
    first_steps.make_quick(view.database, view.tenant, view.actor)
    return f"The simulation runs {first_steps.QUICK:g} times as fast from the next step on."


_DO: dict[str, Callable[[View], str]] = {
    "everything": _everything,
    "site": _site,
    "licence": _licence,
    "people": _people,
    "policy": _policy,
    "retry": _retry,
    "quick": _quick,
}


# --- what the page shows -----------------------------------------------------------------------------


def _form(view: View, due: str) -> dict[str, Any]:
    """What the form of the step that is due is filled with."""
    with view.reading() as connection:
        match due:
            case "site":
                return {"groups": [(g.name, g.display_name) for g in REGION_GROUPS.values()], "likely": _likely(view)}
            case "plan":
                sizes = [
                    {"value": plan, "text": first_steps.size_words(plan), "note": note}
                    for plan, note in first_steps.SIZES.items()
                ]
                return {"sizes": sizes, "plan": first_steps.USUAL_PLAN, "seats": first_steps.USUAL_SEATS}
            case "group":
                return {"me": _my_name(view), "domain": _domain(view), "group_name": first_steps.GROUP_NAME}
            case "policy":
                here = first_steps.places(connection, view.tenant)
                networks = [c for c in policy_choices.connections(connection, view.tenant) if not c["why"]]
                images = first_steps.images(connection, view.tenant)
                return {
                    "likely": _likely(view, frozenset(here)),
                    "places": [(name, REGION_GROUPS[name].display_name) for name in here],
                    "networks": [(c["id"], f"{c['displayName']} ({c['region']})") for c in networks],
                    "groups": [
                        (g["id"], f"{g['displayName']} ({g['memberCount']:,} in it)")
                        for g in first_steps.licensed_groups(connection, view.tenant)
                    ],
                    "images": [(i["value"], f"{i['displayName']}{', recommended' * i['recommended']}") for i in images],
                    "image": f"gallery:{first_steps.usual_image()}",
                    "policy_name": first_steps.POLICY_NAME,
                    "naming": DEFAULT_TEMPLATE,
                    "example": policies.example_names(connection, view.tenant, DEFAULT_TEMPLATE)[0],
                }
    return {}


def _missing(now: Item, *, own: bool) -> str:
    """What `everything` would make, in words."""
    parts = {
        "site": "a simulated site",
        "plan": f"{first_steps.USUAL_SEATS} seats",
        "group": f"a group with {'you' if own else 'one person'} in it",
        "policy": "a provisioning policy",
    }
    *some, last = [parts[step] for step in _REQUIRED if now[step] is None] or ["nothing"]
    return f"{', '.join(some)} and {last}" if some else last


def _steps(pc: Item) -> list[dict[str, Any]]:
    """Of the last provisioning: each step of its last attempt with its outcome, and those that come."""
    runs = [run for run in pc["runs"] if RunKind(run["kind"]).makes_machine]
    last = runs[0]["attempts"][-1]["steps"] if runs and runs[0]["attempts"] else []
    coming = pc["upcoming"] if pc["runKind"] and RunKind(pc["runKind"]).makes_machine else []
    return [*last, *({**step, "outcome": "", "durationSeconds": None} for step in coming)]


def _likely(view: View, among: frozenset[str] = frozenset()) -> str:
    languages = view.request.headers.get("accept-language", "")
    return likely_region_group(languages, among or frozenset(REGION_GROUPS))


def _me(view: View) -> UUID | None:
    """Who is signed in, where they are of this tenant."""
    return view.who.user_id if view.who.tenant_id == view.tenant.id else None


def _my_name(view: View) -> str | None:
    return view.actor if _me(view) else None


def _names(view: View) -> list[str]:
    return view.form.get("users").replace(",", " ").replace(";", " ").split()


def _domain(view: View) -> str:
    """What is added to a user name without one."""
    return view.actor.partition("@")[2] if _me(view) else first_steps.domain_of(view.tenant)


def _mail_is_set(view: View) -> bool:
    try:
        return mail.server(view.world.settings) is not None
    except Refused:
        return False
