"""One Cloud PC: how it stands, what is wrong and the button that mends it, everything that happened to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from deskwright.domain.status import USABLE
from deskwright.operations import cloud_pc_view, consoles
from deskwright.operations import view as views
from deskwright.web import admission
from deskwright.web.admin.cloud_pc_actions import CHOICES, DANGEROUS, PATH, Pc, cloud_pc
from deskwright.web.pages import Needs, action, page
from deskwright.web.view import Answer, File, View, show

_STAGES = {"core": "Core", "configure": "Configure", "assign": "Assign", "action": "Action"}
_LOST = {"user": "the user was deleted", "licence": "the licence", "policy": "the policy"}
_KINDS = {
    "capacity": "Capacity",
    "vm": "Machine",
    "disk": "Disk",
    "nic": "Network interface",
    "computerAccount": "Computer account",
    "device": "Device object",
    "managedDevice": "Managed device",
    "snapshot": "Snapshot",
}
_FIRST = ("retry", "cancel", "power-on", "restart")
"""Those of the actions that stand in the head, too."""

_RUNS = 20
"""The newest ones; the rest is a link away."""


@dataclass(frozen=True)
class Offer:
    """What Deskwright can do about an error: a form of one button, or a link to where it is done."""

    label: str
    command: str
    url: str
    posts: bool
    fields: Sequence[tuple[str, str]] = ()


@page(PATH)
def one(view: View) -> Answer:
    pc = cloud_pc_view.whole(view.world, view.tenant, cloud_pc(view))
    everything = view.asked("runs") == "all"
    usable = pc["status"] in USABLE and pc["powerState"] != "poweredOff"
    return show(
        "admin/cloud_pc.html",
        "now" if view.fragment else None,
        pc=pc,
        address=view.to("cloud-pcs", pc["id"]),
        renewed_by=view.to("cloud-pcs", pc["id"], **({"runs": "all"} if everything else {})),
        runs=pc["runs"] if everything else pc["runs"][:_RUNS],
        choices=[CHOICES[name] for name in pc["allowed"]] if view.may_change else [],
        first=[name for name in pc["allowed"] if name in _FIRST] if view.may_change else [],
        dangerous=DANGEROUS,
        error_offers=_offers(view, pc, pc["error"]) if pc["error"] else [],
        warnings=[(warning, _offers(view, pc, warning)) for warning in pc["warnings"]],
        bars=_Bars(pc),
        stages=_STAGES,
        by_stage=_by_stage,
        lost=_lost(pc["grace"]),
        screen=usable and view.may_change,
        kinds=_KINDS,
        left=sum(1 for row in pc["ledger"] if row["left"]),
    )


@action(f"{PATH}/sign-in")
def reveal(view: View) -> Answer:
    """The sign-in details, on an answer of their own that nobody keeps; a one-time password only the first time."""
    found = views.reveal_sign_in(view.world, view.tenant, view.actor, str(cloud_pc(view)))
    return show("admin/cloud_pc_sign_in.html", details=found, address=view.to("cloud-pcs", found["id"]))


@page(f"{PATH}/screenshot", Needs.ADMINISTRATOR)
def screenshot(view: View) -> Answer:
    picture = consoles.screenshot(view.world, view.tenant, view.actor, str(cloud_pc(view)))
    return File(picture, "image/png")


@page(f"{PATH}/console", Needs.ADMINISTRATOR)
def console(view: View) -> Answer:
    pc = cloud_pc_view.whole(view.world, view.tenant, cloud_pc(view))
    here = view.to("cloud-pcs", pc["id"])
    return show("console.html", name=pc["displayName"], back=here, opens=f"{here}/console")


@action(f"{PATH}/console")
def open_console(view: View) -> Answer:
    """As `static/console.js` wants it."""
    pc = str(cloud_pc(view))
    return admission.opened(view, view.tenant, pc, view.to("cloud-pcs", pc, "console", "socket"))


def _offers(view: View, pc: Pc, error: Mapping[str, Any]) -> list[Offer]:
    """The buttons of an error: those that can be pressed now, by this person; each command once."""
    found: dict[str, Offer] = {}
    for offered in error["actions"]:
        made = _offer(view, pc, error, offered["id"], offered["label"], offered["command"])
        if made is not None and (view.may_change or not made.posts):
            found.setdefault(made.command, made)
    return list(found.values())


def _offer(view: View, pc: Pc, error: Mapping[str, Any], name: str, label: str, command: str) -> Offer | None:
    here = ("cloud-pcs", str(pc["id"]))
    match name:
        case "retry" | "repair" if name in pc["allowed"]:
            return Offer(label, command, view.to(*here, name), True)
        case "reprovision" if name in pc["allowed"] and view.may_change:
            return Offer(label, command, view.to(*here, name), False)
        case "clearFault":
            fields = [("fault", str(error["faultId"]))]
            return Offer(label, command, view.to(*here, "clear-fault"), True, fields)
        case "checkConnection" | "trialJoin" if pc["connectionId"]:
            return Offer(label, command, view.to(*here, "check-connection"), True)
        case "showAddresses" if pc["connectionId"]:
            return Offer(label, command, view.to("connections", pc["connectionId"]), False)
        case "showPolicy" if pc["policyId"]:
            return Offer(label, command, view.to("policies", pc["policyId"]), False)
        case "explainUser" if not pc["userDeleted"]:
            return Offer(label, command, view.to("users", pc["userId"]), False)
    lists = {"listLicenses": "licences", "listImages": "images", "showSites": "sites", "doctor": "health"}
    return Offer(label, command, view.to(lists[name]), False) if name in lists else None


def _lost(grace: Mapping[str, Any] | None) -> str:
    return " and ".join(_LOST.get(what, what) for what in grace["lost"]) if grace else ""


def _by_stage(steps: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [(stage, list(of)) for stage, of in groupby(steps, key=lambda step: step["stage"])]


@dataclass(frozen=True)
class _Bars:
    """Where in its run a step lies, from 0 to 100."""

    pc: Pc

    def of(self, run: Mapping[str, Any], step: Mapping[str, Any]) -> tuple[float, float]:
        """Begin and width; at least a hair, so that one sees it."""
        whole = run["durationSeconds"] or 1e-9
        since = (step["startedDateTime"] - run["startedDateTime"]).total_seconds()
        begin = min(max(since / whole * 100, 0.0), 99.0)
        return round(begin, 2), round(max(min(step["share"] * 100, 100 - begin), 0.8), 2)

    def after(self, run: Mapping[str, Any], step: Mapping[str, Any]) -> float:
        """Seconds from the run's begin to the step's."""
        return float((step["startedDateTime"] - run["startedDateTime"]).total_seconds())

    def usual(self, step: str) -> float | None:
        """Seconds; None where it takes none worth telling."""
        usual = self.pc["usualSeconds"].get(step)
        return None if usual is None or usual < 0.5 else float(usual)
