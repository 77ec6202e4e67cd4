"""Changing a provisioning policy: its settings, its groups, and putting earlier groups back. Each shows what it does to
people before it does it."""

import shlex
from collections.abc import Mapping
from typing import Any

from deskwright.domain.rules import Refused
from deskwright.operations import assignments, audit, policies, policy_preview
from deskwright.operations.named import Item
from deskwright.operations.policy_preview import Preview
from deskwright.web.admin import policy_form
from deskwright.web.admin.policy_wizard import again
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.wizard import Step, Wizard

_PATH = "/admin/{tenant}/policies/{policy}"


def _policy(view: View) -> Item:
    return policies.show(view.database, view.tenant, view.path["policy"])


# --- settings ------------------------------------------------------------------------------------------------


def _edit_values(view: View, step: Step) -> Mapping[str, object]:
    policy = _policy(view)
    base = view.to("policies", policy["id"], "edit")
    if step.id != "review":
        return {
            "policy": policy,
            "base": base,
            **policy_form.place_values(view, policy),
            **policy_form.image_values(view, policy),
            **policy_form.configuration_values(view, policy),
        }
    given = _changes(view, policy)
    preview: Preview | None = None
    try:
        preview = policy_preview.of_edit(view.world, view.tenant, view.actor, policy["id"], **given)
    except Refused as refused:
        view.refuse(refused)
    command = policy_form.command("set", policy["displayName"], given, preview.policy if preview else None)
    changed = _told(policy, preview) if preview else []
    return {"policy": policy, "base": base, "preview": preview, "command": command, "changed": changed}


def _told(policy: Item, preview: Preview) -> list[tuple[str, str, str]]:
    return [
        (
            policy_form.LABELS.get(name, name),
            policy_form.told(name, before, policy),
            policy_form.told(name, after, preview.policy),
        )
        for name, before, after in preview.changed
        if name != "imageType"
    ]


def _changes(view: View, policy: Item) -> dict[str, Any]:
    return policy_form.entered(view, policy).changes(policy_form.of(policy))


def _save(view: View) -> Answer:
    policy = _policy(view)
    given = _changes(view, policy)
    done = policies.set_(view.database, view.tenant, view.actor, policy["id"], confirmed=view.confirmed, **given)
    said = (
        "Saved. It counts for Cloud PCs that are provisioned or reprovisioned from now on." if given else "Nothing new."
    )
    return Went(view.to("policies", done["id"]), said)


EDIT = Wizard(
    steps=(
        Step(
            "settings",
            "Settings",
            (*policy_form.GENERAL, *policy_form.IMAGE, *policy_form.CONFIGURATION),
            policy_form.checks(_policy),
        ),
        Step("review", "Review + save", ()),
    ),
    template="admin/policy_edit.html",
    more=_edit_values,
    create=_save,
)


@page(f"{_PATH}/edit", Needs.ADMINISTRATOR)
def edit(view: View) -> Answer:
    return EDIT.shown(view)


@action(f"{_PATH}/edit")
def save(view: View) -> Answer:
    return EDIT.go(view)


@action(f"{_PATH}/edit/check")
def check(view: View) -> Answer:
    return EDIT.check(view)


@action(f"{_PATH}/edit/place")
def place(view: View) -> Answer:
    """The fields of the network, as they follow from the join type and region group chosen."""
    policy = _policy(view)
    base = view.to("policies", policy["id"], "edit")
    return show("admin/policy_place.html", **policy_form.place_values(view, policy), base=base)


# --- groups --------------------------------------------------------------------------------------------------


def _group_values(view: View, step: Step) -> Mapping[str, object]:
    policy = _policy(view)
    base = view.to("policies", policy["id"], "assignments")
    if step.id != "review":
        return {"policy": policy, "base": base, **policy_form.group_values(view, policy)}
    groups = view.form.some("assignments")
    preview: Preview | None = None
    try:
        preview = policy_preview.of_assignments(view.world, view.tenant, view.actor, policy["id"], groups)
    except Refused as refused:
        view.refuse(refused)
    return {"policy": policy, "base": base, "preview": preview, "command": _assign_command(policy, preview)}


def _assign_command(policy: Item, preview: Preview | None) -> str:
    names = [a["groupDisplayName"] for a in preview.policy["assignments"]] if preview else []
    return shlex.join(["deskwright", "policy", "set-assignments", policy["displayName"], *names])


def _assign(view: View) -> Answer:
    done = assignments.set_assignments(
        view.database,
        view.tenant,
        view.actor,
        view.path["policy"],
        view.form.some("assignments"),
        confirmed=view.confirmed,
    )
    return Went(view.to("policies", done["id"]), "Saved. What follows for people happens by itself.")


ASSIGN = Wizard(
    steps=(
        Step("assignments", "Groups", policy_form.ASSIGNMENTS, {"assignments": policy_form.check_assignments}),
        Step("review", "Review + save", ()),
    ),
    template="admin/policy_assignments.html",
    more=_group_values,
    create=_assign,
)


@page(f"{_PATH}/assignments", Needs.ADMINISTRATOR)
def groups(view: View) -> Answer:
    return ASSIGN.shown(view)


@action(f"{_PATH}/assignments")
def assign(view: View) -> Answer:
    return ASSIGN.go(view)


@action(f"{_PATH}/assignments/groups")
def find_groups(view: View) -> Answer:
    if view.fragment:
        policy = _policy(view)
        base = view.to("policies", policy["id"], "assignments")
        return show("admin/policy_groups.html", base=base, **policy_form.group_values(view, policy))
    return again(view, ASSIGN, "assignments")


# --- earlier groups --------------------------------------------------------------------------------------------


@page(f"{_PATH}/restore/{{event}}", Needs.ADMINISTRATOR)
def ask_restore(view: View) -> Answer:
    policy, number = _policy(view), _event(view)
    preview: Preview | None = None
    try:
        preview = policy_preview.of_restore(view.world, view.tenant, view.actor, policy["id"], number)
    except Refused as refused:
        view.refuse(refused)
    event = audit.show(view.database, view.tenant, number)
    return show("admin/policy_restore.html", policy=policy, event=event, preview=preview)


@action(f"{_PATH}/restore/{{event}}", shown_by=ask_restore)
def restore(view: View) -> Answer:
    done = assignments.restore(
        view.database, view.tenant, view.actor, view.path["policy"], _event(view), confirmed=view.confirmed
    )
    return Went(
        view.to("policies", done["id"]), "The groups are as they were, with their places among all assignments."
    )


def _event(view: View) -> int:
    try:
        return int(view.path["event"])
    except ValueError:
        raise Refused("auditEvent", view.path["event"][:40], "must be the number of an audit event") from None
