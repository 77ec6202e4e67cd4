"""What an administrator does with one Cloud PC: a button each, or a page of its own that says what it costs first."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from deskwright.domain.rules import NotFound, Refused
from deskwright.operations import cloud_pc_view, cloud_pcs, connections, faults, policy_drift, remote_actions
from deskwright.operations import resize_checks as resizing
from deskwright.operations.remote_actions import LONGEST_NAME
from deskwright.web.pages import action, page
from deskwright.web.view import Answer, View, Went, show, told

PATH = "/admin/{tenant}/cloud-pcs/{cloud_pc:uuid}"

Pc = Mapping[str, Any]
"""As `cloud_pc_view.whole` tells it."""


def _nothing(_: View, __: Pc) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Choice:
    """One thing to do with a Cloud PC."""

    id: str
    """As in the command and in the address."""
    label: str
    what: str
    """What it does, in a sentence."""
    said: str
    """What is told when it has begun."""
    do: Callable[[View, str], object]
    """Given the Cloud PC's id. Raises Refused."""
    asks: bool = False
    """A page of its own comes first: it takes something away, or needs an answer."""
    loses: str = ""
    """What is lost by it, said on that page."""
    fields: tuple[str, ...] = ()
    """Of the form on that page, by the names that refusals use."""
    more: Callable[[View, Pc], dict[str, Any]] = field(default=_nothing)
    """What that page shows besides."""
    placeholder: str = ""
    """What the command needs after the Cloud PC."""

    def command(self, reference: str) -> str:
        """The same by command; `reference` names the Cloud PC."""
        name = "snapshot create" if self.id == "snapshot" else self.id
        return f"deskwright {name} {shlex.quote(reference)} {self.placeholder}".rstrip()


def _plainly(operation: Callable[..., object]) -> Callable[[View, str], object]:
    """An operation that needs no more than the Cloud PC."""
    return lambda view, pc: operation(view.world, view.tenant, view.actor, pc)


def _keep(view: View, pc: str) -> object:
    hours = view.form.number("hours")
    return cloud_pcs.keep(view.world, view.tenant, view.actor, pc, hours=hours)


def _repair(view: View, pc: str) -> object:
    steps = view.form.some("step")
    return cloud_pcs.repair(view.world, view.tenant, view.actor, pc, steps=steps or None)


def _repairable(_: View, pc: Pc) -> dict[str, Any]:
    steps = cloud_pc_view.repairable(pc["warnings"])
    options = [
        {"value": s["step"], "text": f"{s['step']} {s['title']}", "note": "left a warning" if s["warned"] else ""}
        for s in steps
    ]
    return {"options": options, "chosen": [s["step"] for s in steps if s["warned"]]}


def _rename(view: View, pc: str) -> object:
    name = view.form.get("displayName")
    return remote_actions.rename(view.world, view.tenant, view.actor, pc, display_name=name)


def _account_type(view: View, pc: str) -> object:
    kind = view.form.get("userAccountType")
    return remote_actions.change_user_account_type(view.world, view.tenant, view.actor, pc, user_account_type=kind)


def _restore(view: View, pc: str) -> object:
    point = view.form.get("cloudPcSnapshotId")
    return remote_actions.restore(view.world, view.tenant, view.actor, pc, snapshot_id=point)


def _resize(view: View, pc: str) -> object:
    plan = view.form.get("targetServicePlanId")
    if not plan:
        raise Refused("targetServicePlanId", None, "a plan must be chosen")
    return remote_actions.resize(view.world, view.tenant, view.actor, pc, service_plan=plan)


def _plans(view: View, pc: Pc) -> dict[str, Any]:
    options = [
        {
            "value": plan["id"],
            "text": plan["displayName"],
            "note": f"{plan['freeSeats']} of {plan['seats']} seats free",
            "why": plan["why"] or "",
        }
        for plan in resizing.targets(view.database, view.tenant, UUID(pc["id"]))
    ]
    return {"options": options}


def _reprovision(view: View, pc: str) -> object:
    kind = view.form.get("userAccountType") or None
    return cloud_pcs.reprovision(view.world, view.tenant, view.actor, pc, user_account_type=kind)


def _what_it_uses(view: View, pc: Pc) -> dict[str, Any]:
    preview = cloud_pcs.reprovision_preview(view.world, view.tenant, pc["id"])
    with view.reading() as connection:
        policy = preview["policyId"]
        settings = policy_drift.present(connection, view.tenant, policy) if policy else []
    return {"preview": preview, "settings": settings}


_DISTURBS = "Whoever works on it is thrown out, and loses what is not saved."

CHOICES: dict[str, Choice] = {
    c.id: c
    for c in (
        Choice(
            "retry",
            "Retry",
            "Provision it again: a new run with machines and addresses of its own.",
            "A new run has begun.",
            _plainly(cloud_pcs.retry),
        ),
        Choice(
            "keep",
            "Keep",
            "Let the grace period last longer.",
            "Kept: the grace period lasts longer.",
            _keep,
            asks=True,
            fields=("hours",),
        ),
        Choice(
            "end-grace",
            "End now",
            "End the grace period: the machine and its data go.",
            "The grace period is ended; the machine is being removed.",
            _plainly(cloud_pcs.end_grace),
            asks=True,
            loses="The machine and all data on it are deleted at once. Nothing brings them back.",
        ),
        Choice(
            "cancel",
            "Cancel what is under way",
            "Stop what is under way; a provisioning ends as failed and can be retried.",
            "Cancelled.",
            _plainly(cloud_pcs.cancel),
            asks=True,
            loses="A provisioning that is cancelled ends as failed, and what it has made is cleaned up. Any other "
            "action just ends, and the Cloud PC is what it was before.",
        ),
        Choice(
            "power-on", "Power on", "Start the machine.", "It is being powered on.", _plainly(remote_actions.power_on)
        ),
        Choice(
            "restart",
            "Restart",
            "Restart the machine.",
            "It is being restarted.",
            _plainly(remote_actions.restart),
            asks=True,
            loses=_DISTURBS,
        ),
        Choice(
            "power-off",
            "Power off",
            "Shut the machine down; nobody can sign in until it is on again.",
            "It is being powered off.",
            _plainly(remote_actions.power_off),
            asks=True,
            loses=f"{_DISTURBS} Nobody can sign in until it is powered on again.",
        ),
        Choice(
            "troubleshoot",
            "Troubleshoot",
            "See whether it answers on the way its user takes.",
            "It is being looked at; the timeline tells what was found.",
            _plainly(remote_actions.troubleshoot),
        ),
        Choice(
            "repair",
            "Repair",
            "Run configure steps again in place. Data stays, the user keeps working.",
            "It is being repaired.",
            _repair,
            asks=True,
            fields=("step",),
            more=_repairable,
        ),
        Choice(
            "rename",
            "Rename",
            "Change the name that people see. The device keeps its own.",
            "Renamed.",
            _rename,
            asks=True,
            fields=("displayName",),
            placeholder="NAME",
        ),
        Choice(
            "account-type",
            "Change account type",
            "Make its user a local administrator, or a standard user.",
            "The account type is being changed.",
            _account_type,
            asks=True,
            fields=("userAccountType",),
            placeholder="TYPE",
        ),
        Choice(
            "snapshot",
            "Take a snapshot",
            "Make a restore point of it as it is now.",
            "A snapshot is being taken.",
            _plainly(remote_actions.create_snapshot),
        ),
        Choice(
            "restore",
            "Restore",
            "Make it what it was when a snapshot was taken.",
            "It is being restored.",
            _restore,
            asks=True,
            loses="Everything that came after the snapshot is lost, and it cannot be used meanwhile.",
            fields=("cloudPcSnapshotId",),
            placeholder="SNAPSHOT",
        ),
        Choice(
            "resize",
            "Resize",
            "Move it to another service plan, and its user's licence with it.",
            "It is being resized.",
            _resize,
            asks=True,
            loses="It restarts, and cannot be used meanwhile. Data stays. A disk can grow, but never shrink again.",
            fields=("targetServicePlanId",),
            more=_plans,
            placeholder="PLAN",
        ),
        Choice(
            "reprovision",
            "Reprovision",
            "Delete the machine with all its data, and make it anew.",
            "The machine is deleted, and is being made anew.",
            _reprovision,
            asks=True,
            loses="The machine and all data on it are deleted, and its snapshots with it. Nothing brings them back.",
            fields=("userAccountType",),
            more=_what_it_uses,
        ),
    )
}
DANGEROUS = frozenset({"end-grace", "reprovision", "restore"})


def cloud_pc(view: View) -> UUID:
    """Of the address."""
    return UUID(str(view.path["cloud_pc"]))


def _asking(choice: Choice) -> Callable[[View], Answer]:
    def ask(view: View) -> Answer:
        try:
            pc = cloud_pc_view.whole(view.world, view.tenant, cloud_pc(view))
        except NotFound as missing:
            if not view.errors:
                raise
            return show("problem.html", title="There is no such Cloud PC", text=told(missing))
        if choice.id not in pc["allowed"] and not view.errors:
            said = f"{choice.label}: not possible now; it is {pc['status']}."
            return Went(view.to("cloud-pcs", pc["id"]), said, bad=True)
        # What belongs to no field of this form is told above it.
        view.errors = {name if name in choice.fields else "": text for name, text in view.errors.items()}
        more = choice.more(view, pc) if choice.id in pc["allowed"] else {}
        values = {"preview": None, "settings": [], "options": [], "chosen": [], "longest": LONGEST_NAME, **more}
        dangerous = choice.id in DANGEROUS
        return show("admin/cloud_pc_action.html", pc=pc, choice=choice, dangerous=dangerous, **values)

    return ask


def _doing(choice: Choice) -> Callable[[View], Answer]:
    def do(view: View) -> Answer:
        choice.do(view, str(cloud_pc(view)))
        return Went(view.to("cloud-pcs", str(cloud_pc(view))), choice.said)

    return do


for _choice in CHOICES.values():
    _ask = page(f"{PATH}/{_choice.id}")(_asking(_choice)) if _choice.asks else None
    action(f"{PATH}/{_choice.id}", shown_by=_ask)(_doing(_choice))


@action(f"{PATH}/check-connection")
def check_connection(view: View) -> Answer:
    """The connection's checks, its trial join among them, now."""
    pc = cloud_pc_view.whole(view.world, view.tenant, cloud_pc(view))
    if pc["connectionId"] is None:
        raise Refused("onPremisesConnection", None, "it has no network connection that could be checked")
    found = connections.request_check(view.database, view.tenant, view.actor, pc["connectionId"])
    return Went(view.to("connections", found["id"]), f"The checks of {found['displayName']} run now.")


@action(f"{PATH}/clear-fault")
def clear_fault(view: View) -> Answer:
    """A failure that the simulator was told to produce (R5)."""
    fault = view.form.whole("fault")
    if fault is None:
        raise Refused("fault", None, "the fault's number is missing")
    faults.clear(view.database, view.tenant, view.actor, fault, confirmed=view.confirmed)
    return Went(view.to("cloud-pcs", str(cloud_pc(view))), "The fault is cleared. Retry now.")
