"""How a plan is printed for people: what changes, what becomes of Cloud PCs, overlaps, and what may run short."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from deskwright.decide.verdict import Action
from deskwright.document.kinds import KINDS, RELATIONS
from deskwright.document.result import PlanResult

_SHOWN = 12
# Never told by colour alone.
_MARKS = {
    "create": ("+", "green"),
    "add": ("+", "green"),
    "restore": ("↺", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "remove": ("-", "red"),
}
_BECOMES: dict[str, str] = {
    Action.CREATE: "are due and are created as seats allow",
    Action.QUEUE: "have become due",
    Action.LEAVE_GRACE: "leave grace, untouched",
    Action.AIM: "wait, and will be made by another policy",
    Action.ENTER_GRACE: "ENTER GRACE: usable until it ends, then gone",
    Action.GRACE_LATER: "ENTER GRACE when its remote action has ended: usable until that ends, then gone",
    Action.STOP: "ARE STOPPED while being provisioned, and cleaned up",
    Action.REMOVE: "never provisioned, no longer due: removed",
    Action.UNQUEUE: "are not due now",
    Action.LIST: "cannot start yet, and are listed with the reason",
    Action.NOTHING: "are left alone",
}


def print_plan(console: Console, plan: PlanResult, *, applied: bool = False) -> None:
    if not plan.changes_anything:
        console.print(f"[bold]{plan.tenant}[/] is as the document says: nothing changes.", highlight=False)
        return
    heading = "has been changed" if applied else "would be made" if plan.creates_tenant else "would be changed"
    if applied and plan.creates_tenant:
        heading = "has been made"
    console.print(f"[bold]{plan.tenant}[/] {heading}", highlight=False)
    console.print(_tree(plan), highlight=False)
    _cloud_pcs(console, plan)
    _overlaps(console, plan)
    _forecast(console, plan)
    for note in plan.notes:
        console.print(f"Note: {note}", highlight=False, markup=False)
    if plan.brake.wants_confirmation and not applied:
        brake = plan.brake
        console.print(
            f"[bold red]Wants a confirmation:[/] {brake.losing} of {brake.of} people would lose their Cloud PC. "
            "apply needs --confirm.",
            highlight=False,
        )
        _names(console, brake.who, brake.losing)


def _tree(plan: PlanResult) -> Tree:
    tree = Tree("Changes", guide_style="dim")
    for section in ("tenant", *KINDS):
        counts = plan.counts.get(section, {})
        lists = {name: plan.counts.get(name, {}) for name, r in RELATIONS.items() if r.owner.section == section}
        if not counts and not any(lists.values()):
            continue
        said = [_counted(what, number) for what, number in counts.items()]
        branch = tree.add(f"{section}: {', '.join(said)}" if said else section)
        listed = [change for change in plan.changes if change["kind"] == section]
        for change in listed[:_SHOWN]:
            branch.add(_change(change))
        hidden = sum(counts.values()) - sum("list" not in change for change in listed[:_SHOWN])
        if section != "tenant" and len(listed) > _SHOWN:
            branch.add(f"… {hidden:,} more" if hidden > 0 else "… and what is in them", style="dim")
    return tree


def _counted(what: str, number: int) -> str:
    past = {"create": "new", "update": "changed", "delete": "deleted", "restore": "brought back"}
    return f"{number:,} {past[what]}"


def _change(change: Mapping[str, Any]) -> str:
    mark, style = _MARKS[change["change"]]
    head = f"[{style}]{mark}[/] {_plain(change['name'])}"
    if "list" in change:
        more = change["count"] - len(change["examples"])
        names = ", ".join(_plain(n) for n in change["examples"]) + (f" and {more:,} more" if more else "")
        return f"{head}  {change['list']}: {change['change']} {names}"
    properties = change.get("properties")
    return f"{head}  [dim]{', '.join(properties)}[/]" if properties else head


def _cloud_pcs(console: Console, plan: PlanResult) -> None:
    if not plan.actions:
        console.print("No Cloud PC is concerned.", style="dim")
        return
    table = Table(title="Cloud PCs", title_justify="left", box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right")
    table.add_column()
    for action, said in _BECOMES.items():
        if action in plan.actions:
            table.add_row(f"{plan.actions[action]:,}", said)
    console.print(table)
    losing = {Action.ENTER_GRACE, Action.GRACE_LATER, Action.STOP, Action.REMOVE}
    for row in [v for v in plan.verdicts if v["action"] in losing][:_SHOWN]:
        lost = ", ".join(row["lost"])
        said = f"  {row['action']}: {row['userPrincipalName']} ({row['servicePlanName']}): lost {lost}"
        console.print(said, highlight=False, markup=False)


def _overlaps(console: Console, plan: PlanResult) -> None:
    if not plan.overlaps:
        return
    console.print(f"Overlaps: {plan.overlaps:,} reached by several policies; the first assigned wins", highlight=False)
    for row in plan.overlapping[:_SHOWN]:
        ignored = ", ".join(i["provisioningPolicyName"] for i in row["ignored"])
        winner = row["winner"]["provisioningPolicyName"] if row["winner"] else "none"
        console.print(f"  {row['userPrincipalName']}: {winner}; ignored: {ignored}", highlight=False, markup=False)


def _forecast(console: Console, plan: PlanResult) -> None:
    _table(
        console,
        "Seats",
        ("service plan", "seats", "in use", "needed", "start", "wait"),
        (
            (s["servicePlanName"], s["seats"], s["seatsInUse"], s["needed"], s["start"], s["short"] or "")
            for s in plan.seats
        ),
    )
    _table(
        console,
        "Addresses (three each)",
        ("connection", "subnet", "free", "may need", ""),
        (
            (
                a["onPremisesConnection"],
                a["subnetId"],
                "?" if a["free"] is None else a["free"],
                a["mayNeed"],
                f"! {a['short']} short" if a["short"] else "",
            )
            for a in plan.addresses
        ),
    )


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    listed = list(rows)
    if not listed:
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 or column in ("subnet", "") else "right")
    for row in listed[:_SHOWN]:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else _plain(str(v)) for v in row))
    console.print(table)


def _names(console: Console, names: Sequence[str], total: int) -> None:
    for name in names[:_SHOWN]:
        console.print(f"  {name}", highlight=False, markup=False)
    if total > _SHOWN:
        console.print(f"  … and {total - _SHOWN} more", style="dim")


def _plain(name: str) -> str:
    """A name with brackets is no markup."""
    return name.replace("[", "\\[")
