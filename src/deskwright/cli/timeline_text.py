"""How `show` and `explain` look: one Cloud PC's timeline, and the verdicts on a user."""

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deskwright.cli.live import doing, duration
from deskwright.cli.output import STATUS_MARKS
from deskwright.domain.status import Status

_OUTCOME_MARKS = {
    "running": ("▸", "bold cyan"),
    "succeeded": ("✓", "green"),
    "skipped": ("-", "dim"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "stopped": ("✗", "red"),
}
_BAR_CELLS = 10
_LOST = {"user": "the user was deleted", "licence": "the licence", "policy": "the policy"}

Facts = Mapping[str, Any]


def print_timeline(console: Console, pc: Facts) -> None:
    """One Cloud PC: what it is, what is wrong and how to mend it, then every run, attempt and step, then the ledger."""
    _heading(console, pc)
    _facts(console, pc)
    if pc["grace"]:
        _grace(console, pc)
    if pc["error"]:
        _error(console, pc["error"], failed=pc["status"] == Status.FAILED)
    for warning in pc["warnings"]:
        _trouble(console, warning, "yellow", f"! {warning['step']} {warning['stepTitle']}")
    for run in pc["runs"]:
        _run(console, run)
    if pc["ledger"]:
        _ledger(console, pc["ledger"])


def print_explanation(console: Console, user: Facts) -> None:
    """The verdict for each licence, its reasons, and what happens next."""
    state = "" if user["accountEnabled"] else ", account disabled"
    state = f", deleted {_time(user['deletedDateTime'])}" if user["deletedDateTime"] else state
    console.print(Text.assemble((user["userPrincipalName"], "bold"), f"  {user['displayName']}{state}"))
    _line(console, f"Direct member of: {', '.join(user['groups']) or 'no group'}", "dim")
    if user["changesWaiting"]:
        _line(console, "A change of this user has not been looked at yet; it will be in a moment.", "yellow")
    if not user["verdicts"]:
        _line(console, "Holds no Cloud PC licence, so no Cloud PC is due.")
    for verdict in user["verdicts"]:
        console.print()
        status = verdict["status"] or verdict["action"]
        mark, style = STATUS_MARKS.get(status, ("→", "cyan"))
        device = f"  {verdict['managedDeviceName']}" if verdict["managedDeviceName"] else ""
        console.print(Text.assemble((f"{verdict['servicePlanName']}{device}  ", "bold"), (f"{mark} {status}", style)))
        for reason in verdict["reasons"]:
            _line(console, f"  · {reason}", under=4)
        at = f" ({_time(verdict['next']['dateTime'])})" if verdict["next"]["dateTime"] else ""
        _line(console, f"  → {verdict['next']['text']}{at}", "bold", under=4)


def _heading(console: Console, pc: Facts) -> None:
    mark, style = STATUS_MARKS.get(pc["status"], ("?", ""))
    console.print(Text.assemble((pc["displayName"], "bold"), "  ", (f"{mark} {pc['status']}", style)), soft_wrap=True)
    words = doing(pc)
    left = f", about {duration(pc['etaSeconds'])} left" if pc["etaSeconds"] else ""
    attempt = f", attempt {pc['attempt']} of {pc['attempts']}" if pc["attempt"] else ""
    if pc["status"] not in (Status.PROVISIONED, Status.WARNINGS, Status.FAILED, "gone"):
        _line(console, f"{words}{attempt}{left}")


def _facts(console: Console, pc: Facts) -> None:
    sign_in = pc["signIn"]
    how = None
    if sign_in:
        how = f"{sign_in['userName']} at {sign_in['portalAddress']}"
        if sign_in["oneTimePasswordWaits"]:
            how += f"; one-time password, shown once by: {sign_in['command']}"
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("User", pc["userPrincipalName"]),
        ("Licence", pc["servicePlanName"]),
        ("Policy", pc["provisioningPolicyName"]),
        ("Device", pc["managedDeviceName"]),
        ("Image", pc["imageDisplayName"]),
        ("Where", " · ".join(filter(None, (pc["siteName"], pc["onPremisesConnectionName"], pc["ipAddress"])))),
        ("Power", "powered off" if pc["powerState"] == "poweredOff" else None),
        ("Provisioned", _time(pc["provisionedDateTime"])),
        ("Sign-in", how),
        ("Id", pc["id"]),
    ):
        if value:
            table.add_row(name, Text(value))
    console.print(table)


def _grace(console: Console, pc: Facts) -> None:
    grace = pc["grace"]
    lost = " and ".join(_LOST.get(what, what) for what in grace["lost"])
    by = f" by {grace['actor']}" if grace["actor"] else ""
    what = f": {grace['activity']} {grace['object'] or ''}".rstrip() if grace["activity"] else ""
    console.print()
    _line(console, f"In grace since {_time(grace['since'])}, lost: {lost}{by}{what}", "magenta")
    _line(console, f"Ends {_time(grace['gracePeriodEndDateTime'])}, in {duration(grace['endsInSeconds'])}.")
    for command, label in (
        (f"deskwright keep {pc['reference']}", "Keep"),
        (f"deskwright end-grace {pc['reference']}", "End"),
    ):
        _action(console, {"label": label, "command": command})


def _error(console: Console, error: Facts, *, failed: bool) -> None:
    at = f" at {error['step']} {error['stepTitle']}" if error["step"] else ""
    _trouble(console, error, "red" if failed else "yellow", f"✗ {'Failed' if failed else 'Stopped'}{at}")
    if error["faultId"] is not None:
        told = f"The simulator was told to fail here (fault {error['faultId']}): clear the fault first, then retry."
        _line(console, f"  {told}", "dim")


def _trouble(console: Console, error: Facts, style: str, heading: str) -> None:
    console.print()
    console.print(Text(f"{heading}: {error['title']} ({error['code']})", f"bold {style}"), soft_wrap=True)
    _line(console, f"  {error['message']}")
    _line(console, f"  Cause   {error['cause']}", under=10)
    for number, remedy in enumerate(error["remedies"], 1):
        _line(console, f"  {'Remedy  ' if number == 1 else '        '}{number}. {remedy}", under=13)
    for action in error["actions"]:
        _action(console, action)


def _action(console: Console, action: Facts) -> None:
    console.print(Text.assemble(f"  ↳ {action['label']}: ", (action["command"], "cyan")), soft_wrap=True)


def _run(console: Console, run: Facts) -> None:
    console.print()
    policy = f", policy '{run['provisioningPolicyName']}'" if run["provisioningPolicyName"] else ""
    console.print(
        Text.assemble(
            (f"Run {run['number']}", "bold"),
            f" {run['kindWords']}, {run['state']}{policy}, asked for by {run['requestedBy']}, {_span(run)}",
        ),
        soft_wrap=True,
    )
    for attempt in run["attempts"]:
        where = ", ".join(filter(None, (attempt["managedDeviceName"], attempt["siteName"], attempt["connectionName"])))
        console.print(f"  Attempt {attempt['number']}  {attempt['outcome']}  {where}", style="bold", highlight=False)
        _steps(console, attempt["steps"])
    if run["waitingReason"]:
        _line(console, f"  waits until {_time(run['wakeDateTime'])}: {run['waitingReason']}")


def _steps(console: Console, steps: Sequence[Facts]) -> None:
    bars = console.width >= 100
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    for width in (3, 1, 2, 22):
        table.add_column(width=width, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True, width=8)
    table.add_column(no_wrap=True, width=_BAR_CELLS if bars else 0)
    table.add_column(justify="right", no_wrap=True, width=4)
    table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    for step in steps:
        mark, style = _OUTCOME_MARKS.get(step["outcome"], ("?", ""))
        bar = "" if not bars else "▪" * max(1 if step["share"] > 0.005 else 0, round(step["share"] * _BAR_CELLS))
        said = step["code"] or (step["output"] or "").strip().split("\n")[0]
        cells = (Text(mark, style), step["step"], step["title"] or "", _seconds(step["durationSeconds"]))
        told = Text(said, style if step["code"] else "dim")
        table.add_row("", *cells, Text(bar, "cyan"), f"{step['share']:.0%}", told)
    console.print(table)
    for step in steps:
        if step["message"]:
            _line(console, f"      {step['message']}", _OUTCOME_MARKS.get(step["outcome"], ("", ""))[1])


def _ledger(console: Console, rows: Sequence[Facts]) -> None:
    console.print()
    left = sum(row["left"] for row in rows)
    _line(
        console,
        f"Outside, by our doing: {len(rows)} objects" + (f", {left} left by earlier attempts" if left else ""),
        "bold",
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        goes = "in use"
        if row["state"] == "disabled":
            goes = "disabled; yours to delete"
        elif row["releaseDateTime"]:
            goes = f"goes in {duration(max(0.0, row['releaseInSeconds']))}" + (
                f" ({row['lastError']})" if row["lastError"] else ""
            )
        elif row["left"]:
            goes = "kept"
        name = str((row["details"] or {}).get("ipAddress") or row["externalId"] or "")
        table.add_row(
            f"  {row['kind']}", f"run {row['run']} attempt {row['attempt']}", row["state"], goes, Text(name, "dim")
        )
    console.print(table)


def _span(facts: Facts) -> str:
    return f"{_time(facts['startedDateTime'])}, {_seconds(facts['durationSeconds'])}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else duration(seconds)


def _time(then: datetime | str | None) -> str:
    if then is None:
        return ""
    at = datetime.fromisoformat(then) if isinstance(then, str) else then
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _line(console: Console, line: str, style: str = "", *, under: int | None = None) -> None:
    """A line of prose; on a terminal folded, the rest beginning at column `under`, else where the line does."""
    if console.is_terminal:
        indent = len(line) - len(line.lstrip())
        rest = " " * (indent if under is None else under)
        line = textwrap.fill(line.strip(), console.width, initial_indent=" " * indent, subsequent_indent=rest)
    console.print(Text(line, style), soft_wrap=True)
