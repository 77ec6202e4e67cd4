"""What is said when everything has settled: how many, what failed and how to mend it, who waits for what, what next."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deskwright.cli.live import Picture, short_plan
from deskwright.cli.output import STATUS_MARKS
from deskwright.domain.status import Status
from deskwright.operations import view
from deskwright.operations.change import TenantRef
from deskwright.store.database import Database

# Beyond this many of a kind, `deskwright status` and `show` are the better place to read.
_DETAILED = 5

_STATUS_MEANING = {
    Status.NOT_PROVISIONED: "a licence without a policy, or a disabled account",
    Status.PENDING: "due, and waiting",
    Status.PROVISIONING: "under way",
    Status.PROVISIONED: "ready",
    Status.WARNINGS: "ready, but a configuration step did not succeed",
    Status.FAILED: "all attempts failed",
    Status.RESIZING: "being resized",
    Status.RESTORING: "being restored",
    Status.IN_GRACE: "usable until its grace period ends",
    Status.DEPROVISIONING: "being removed",
}


def print_summary(
    database: Database, tenant: TenantRef, console: Console, picture: Picture, command: str = "deskwright"
) -> None:
    """The closing summary. `command` is how deskwright is called here, such as with its data directory set."""
    failed = [r for r in picture.rows if r["status"] == Status.FAILED]
    warned = [r for r in picture.rows if r["status"] == Status.WARNINGS]
    with database.engine.connect() as connection:
        told = {
            row["id"]: view.timeline(connection, tenant, UUID(row["id"]))
            for row in failed[:_DETAILED] + warned[:_DETAILED]
        }
        secret = view.one_time_passwords(connection, tenant)
    console.print()
    _counts(console, picture)
    for row in failed[:_DETAILED]:
        _failure(console, told[row["id"]], command)
    _more(console, failed, f"{command} status --status failed")
    for row in warned[:_DETAILED]:
        _warning(console, told[row["id"]], command)
    _more(console, warned, f"{command} status --status provisionedWithWarnings")
    _waiting(console, picture.rows)
    if secret:
        names = ", ".join(s["userPrincipalName"] for s in secret[:_DETAILED]) + (
            " …" if len(secret) > _DETAILED else ""
        )
        console.print()
        _print(console, f"{len(secret)} one-time passwords wait to be passed on ({names}); each is shown once:", "bold")
        _command(console, f"{command} credentials {secret[0]['reference']}")
    _next(console, picture, failed, command)


def _counts(console: Console, picture: Picture) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    for status, n in picture.counts.items():
        mark, style = STATUS_MARKS[status]
        table.add_row(str(n), Text(f"{mark} {status}", style), _STATUS_MEANING.get(Status(status), ""))
    _print(console, f"{picture.tenant}: {picture.total} Cloud PCs", "bold")
    console.print(table)


def _failure(console: Console, pc: Mapping[str, Any], command: str) -> None:
    error = pc["error"]
    console.print()
    _print(
        console,
        f"✗ {pc['userPrincipalName']} ({short_plan(pc['servicePlanName'])}) failed: {error['title']}",
        "bold red",
    )
    at = f"{error['step']} {error['stepTitle']}, " if error["step"] else ""
    _print(console, f"  {at}{error['code']}: {error['message']}")
    _print(console, f"  Cause   {error['cause']}")
    for remedy in error["remedies"][:2]:
        _print(console, f"  Remedy  {remedy}")
    if error["faultId"] is not None:
        _print(console, "  The simulator was told to fail here. Clear that fault, then retry:")
        _command(console, f"{command} fault clear {error['faultId']}", indent=4)
        _command(console, f"{command} retry {pc['reference']}", indent=4)
    _print(console, "  All of it, with the commands that mend it:")
    _command(console, f"{command} show {pc['reference']}", indent=4)


def _warning(console: Console, pc: Mapping[str, Any], command: str) -> None:
    console.print()
    _print(
        console,
        f"! {pc['userPrincipalName']} ({short_plan(pc['servicePlanName'])}) is ready, with warnings",
        "bold yellow",
    )
    for warning in pc["warnings"]:
        _print(console, f"  {warning['step']} {warning['stepTitle']}: {warning['message']}")
    _print(console, "  Repair runs the step again and leaves the person's data alone:")
    _command(console, f"{command} repair {pc['reference']}", indent=4)


def _waiting(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    waiting = [(row, why) for row in rows if (why := view.waiting_text(row))]
    if not waiting:
        return
    console.print()
    _print(console, "Waiting, and starting by themselves when what they wait for is there:", "bold")
    for row, why in waiting[: 2 * _DETAILED]:
        mark, _ = STATUS_MARKS[row["status"]]
        _print(console, f"  {mark} {row['userPrincipalName']} ({short_plan(row['servicePlanName'])}): {why}")
    _more(console, waiting, "", 2 * _DETAILED)


def _next(console: Console, picture: Picture, failed: Sequence[Mapping[str, Any]], command: str) -> None:
    console.print()
    _print(console, "What to type next", "bold")
    someone = (failed or picture.rows or [{"userPrincipalName": "USER"}])[0]["userPrincipalName"]
    queued = next((r["userPrincipalName"] for r in picture.rows if r["queuePosition"]), someone)
    lines = (
        (f"{command} status", "all Cloud PCs"),
        (f"{command} explain {queued}", "who gets what, by which policy, why, and when"),
        (f"{command} ledger --left", "what failed attempts left behind, and when it goes"),
        (f"{command} doctor", "what this installation can do, and what it needs"),
    )
    width = max(len(line) for line, _ in lines) + 2
    beside = width + max(len(meaning) for _, meaning in lines) + 2 <= console.width
    for line, meaning in lines:
        if beside:
            console.print(Text.assemble((f"  {line.ljust(width)}", "cyan"), (meaning, "dim")), soft_wrap=True)
        else:
            _print(console, f"  {meaning}", "dim")
            _command(console, line, indent=4)


def _more(console: Console, rows: Sequence[Any], command: str, shown: int = _DETAILED) -> None:
    if len(rows) > shown:
        _print(console, f"  … and {len(rows) - shown} more" + (f": {command}" if command else ""), "dim")


def _command(console: Console, command: str, *, indent: int = 2) -> None:
    console.print(Text(" " * indent + command, "cyan"), soft_wrap=True)


def _print(console: Console, line: str, style: str = "") -> None:
    """A line of prose; on a terminal folded under its own indentation, elsewhere left whole for grep."""
    if console.is_terminal:
        indent = " " * (len(line) - len(line.lstrip()))
        under = indent + " " * 8 if line.lstrip().startswith(("Cause", "Remedy")) else indent
        line = textwrap.fill(line.strip(), console.width, initial_indent=indent, subsequent_indent=under)
    console.print(Text(line, style), soft_wrap=True)
