"""The wizard that makes a provisioning policy: General, Image, Configuration, Assignments, Review + create."""

from collections.abc import Mapping

from deskwright.domain.rules import Refused
from deskwright.operations import policies, policy_preview
from deskwright.web import words
from deskwright.web.admin import policy_form
from deskwright.web.forms import Form
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, View, Went, show
from deskwright.web.wizard import Step, Wizard

_PATH = "/admin/{tenant}/policies/new"
_CHECKS = policy_form.checks(lambda view: None)


def _more(view: View, step: Step) -> Mapping[str, object]:
    base = view.to("policies", "new")
    if step.id != "review":
        return {**_VALUES[step.id](view), "base": base}
    now, groups = policy_form.entered(view), view.form.some("assignments")
    preview = None
    try:
        preview = policy_preview.of_create(view.world, view.tenant, view.actor, **now.settings, groups=groups)
    except Refused as refused:
        view.refuse(refused)
    command = policy_form.command("create", now.display_name, now.settings, preview.policy if preview else None)
    joins = policy_form.JOINS
    return {"now": now, "preview": preview, "base": base, "command": command, "joins": joins, **_told(preview)}


def _told(preview: policy_preview.Preview | None) -> Mapping[str, object]:
    if preview is None:
        return {}
    return {"image_name": policy_form.image_name(preview.policy), "hosted": policy_form.hosted(preview.policy)}


def _create(view: View) -> Answer:
    now, groups = policy_form.entered(view), view.form.some("assignments")
    made = policies.create(
        view.database, view.tenant, view.actor, **now.settings, groups=groups, confirmed=view.confirmed
    )
    n = len(made["assignments"])
    then = f"It is assigned to {words.count(n, 'group')}." if n else "Assign it to a group, and it provisions."
    return Went(view.to("policies", made["id"]), f"The policy {made['displayName']} is made. {then}")


_VALUES = {
    "general": policy_form.place_values,
    "image": policy_form.image_values,
    "configuration": policy_form.configuration_values,
    "assignments": policy_form.group_values,
}
WIZARD = Wizard(
    steps=(
        Step(
            "general",
            "General",
            policy_form.GENERAL,
            {name: _CHECKS[name] for name in ("displayName", "domainJoinType")},
        ),
        Step("image", "Image", policy_form.IMAGE, {"image": _CHECKS["image"]}),
        Step(
            "configuration",
            "Configuration",
            policy_form.CONFIGURATION,
            {name: _CHECKS[name] for name in ("cloudPcNamingTemplate", "windowsSetting.locale")},
        ),
        Step("assignments", "Assignments", policy_form.ASSIGNMENTS, {"assignments": policy_form.check_assignments}),
        Step("review", "Review + create", ()),
    ),
    template="admin/policy_new.html",
    more=_more,
    create=_create,
)


@page(_PATH, Needs.ADMINISTRATOR)
def new(view: View) -> Answer:
    return WIZARD.shown(view)


@action(_PATH)
def go(view: View) -> Answer:
    return WIZARD.go(view)


@action(f"{_PATH}/check")
def check(view: View) -> Answer:
    return WIZARD.check(view)


@action(f"{_PATH}/place")
def place(view: View) -> Answer:
    """The fields of the network, as they follow from the join type and region group chosen."""
    return show("admin/policy_place.html", **policy_form.place_values(view), base=view.to("policies", "new"))


@action(f"{_PATH}/groups")
def find_groups(view: View) -> Answer:
    """The groups found, below those chosen: for browsers with JavaScript only that, for others the page."""
    if view.fragment:
        return show("admin/policy_groups.html", **policy_form.group_values(view), base=view.to("policies", "new"))
    return again(view, WIZARD, "assignments")


@page("/admin/{tenant}/policies/names", Needs.ADMINISTRATOR)
def names(view: View) -> Answer:
    """What Cloud PCs would be called by a naming template."""
    return show("admin/policy_names.html", **policy_form.names(view, view.asked("cloudPcNamingTemplate").strip()))


def again(view: View, wizard: Wizard, step: str) -> Answer:
    """The same page of a wizard once more with what was entered: as one who comes back to it from the last."""
    kept = [(n, v) for n, v in view.form.fields if n not in ("step", "go")]
    view.form = Form((*kept, ("step", wizard.steps[-1].id), ("go", step)))
    return wizard.go(view)
