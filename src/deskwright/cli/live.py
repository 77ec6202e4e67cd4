"""Watching Cloud PCs come up: one line each, with what is done, what is going on and how long it still takes.

On a terminal the picture is redrawn in place; elsewhere a line is printed when something changes. Nothing is told
by colour alone: every mark has a shape of its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deskwright.cli.output import STATUS_MARKS
from deskwright.domain.runs import RunKind
from deskwright.domain.status import TAKEN_AWAY, USABLE, Status
from deskwright.operations import view
from deskwright.operations.change import TenantRef
from deskwright.provision.pipeline import PIPELINE
from deskwright.store.database import Database

Row = Mapping[str, Any]

# One cell for each step of the pipeline.
_CELLS = {
    "succeeded": ("■", "green"),
    "skipped": ("-", "dim"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "stopped": ("✗", "red"),
    "running": ("▸", "bold cyan"),
}
_TODO = ("·", "dim")
_LEGEND = "■ done  ▸ running  · to come  - not needed  ! warning  ✗ failed"
# What people look for first stands first where not everything fits.
_URGENCY = (
    Status.PROVISIONING,
    Status.RESIZING,
    Status.RESTORING,
    Status.DEPROVISIONING,
    Status.FAILED,
    Status.IN_GRACE,
    Status.PENDING,
)
LABELS: dict[str, str] = {
    Status.NOT_PROVISIONED: "not due",
    Status.PENDING: "waiting",
    Status.PROVISIONING: "provisioning",
    Status.PROVISIONED: "ready",
    Status.WARNINGS: "with warnings",
    Status.FAILED: "failed",
    Status.RESIZING: "resizing",
    Status.RESTORING: "restoring",
    Status.IN_GRACE: "in grace",
    Status.DEPROVISIONING: "being removed",
}
_WAITING = {
    "noPolicy": "no policy applies",
    "accountDisabled": "account disabled",
    "connection": "waits for connection",
    "start": "starts in a moment",
}
# Beyond this many, the live view shows those that are being provisioned, and counts the rest.
_MANY = 500
_REFRESH_SECONDS, _BRIEF_SECONDS = 0.25, 5.0


@dataclass(frozen=True)
class Picture:
    """The tenant at one moment."""

    tenant: str
    rows: Sequence[Row]
    counts: Mapping[str, int]
    under_way: int
    """How much has not settled; zero: nothing more happens by itself."""

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def progress(self) -> float:
        """What is done of all that can be done now: what waits for a seat or a policy is not counted."""
        ended = sum(n for s, n in self.counts.items() if s in USABLE | TAKEN_AWAY or s == Status.FAILED)
        active = self.counts.get(Status.PROVISIONING, 0)
        soon = self.under_way and sum(r["waitingFor"] == "start" for r in self.rows)
        begun = sum(r["progress"] for r in self.rows if r["status"] == Status.PROVISIONING)
        of = ended + active + soon
        return (ended + begun) / of if of else float(self.under_way == 0)

    @property
    def eta_seconds(self) -> float | None:
        return max((r["etaSeconds"] for r in self.rows if r["etaSeconds"] is not None), default=None)


def take(database: Database, tenant: TenantRef) -> Picture:
    """Look at the tenant now."""
    with database.single.connect() as connection:
        under_way = view.unsettled(connection, tenant)
        counts = view.counts(connection, tenant)
        only = None if sum(counts.values()) <= _MANY else (Status.PROVISIONING,)
        rows = view.cloud_pcs(connection, tenant, statuses=only, limit=_MANY)
    return Picture(tenant.name, rows, counts, under_way)


def follow(
    database: Database,
    tenant: TenantRef,
    console: Console,
    *,
    forever: bool = False,
    timeout: float | None = None,
    tick: Callable[[], str | None] = lambda: None,
) -> Picture:
    """Show what happens until all has settled (or for good); returns the last picture, which tells whether it has.

    `tick` is called each time and may give a note to be shown, such as that the service had to be restarted.
    """
    end = None if timeout is None else time.monotonic() + timeout
    screen: Screen | Lines = Screen(console) if console.is_terminal else Lines(console)
    with screen:
        quiet = 0
        while True:
            note = tick()
            picture = take(database, tenant)
            screen.show(picture, note)
            # Twice in a row: between the end of one thing and the start of the next there may be an instant.
            quiet = quiet + 1 if picture.under_way == 0 else 0
            if not forever and (quiet >= 2 or (end is not None and time.monotonic() >= end)):
                return picture
            time.sleep(_REFRESH_SECONDS)


class Screen:
    """The live picture on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "Screen":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, picture: Picture, note: str | None) -> None:
        if note:
            self._console.print(note)
        height = self._console.size.height - 7
        self._live.update(render(picture, self._console.width, max(height, 3)), refresh=True)


@dataclass
class Lines:
    """A line for each change of status, stage or attempt, for logs and pipes."""

    console: Console
    _seen: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _brief: tuple[float, Mapping[str, int]] = field(default_factory=lambda: (0.0, {}))

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, picture: Picture, note: str | None) -> None:
        if note:
            self._print(note)
        if picture.total > _MANY:
            self._show_counts(picture)
            return
        for row in picture.rows:
            now = (row["status"], row["stage"], row["attempt"], row["waitingFor"], row["queuePosition"])
            if self._seen.get(row["id"]) != now:
                self._seen[row["id"]] = now
                self._print(f"{row['userPrincipalName']}  {short_plan(row['servicePlanName'])}  {_line(row)}")
        for gone in self._seen.keys() - {row["id"] for row in picture.rows}:
            del self._seen[gone]

    def _show_counts(self, picture: Picture) -> None:
        at, before = self._brief
        if before != picture.counts and time.monotonic() - at >= _BRIEF_SECONDS:
            self._brief = (time.monotonic(), picture.counts)
            self._print(", ".join(f"{n} {status}" for status, n in picture.counts.items()))

    def _print(self, line: str) -> None:
        self.console.print(f"{datetime.now():%H:%M:%S}  {line}", markup=False, highlight=False, soft_wrap=True)


def render(picture: Picture, width: int, height: int = 1000) -> RenderableType:
    """The picture for a terminal of that width; at most `height` Cloud PCs, the rest is counted."""
    urgent = {status: n for n, status in enumerate(_URGENCY)}
    shown = list(picture.rows)
    if len(shown) > height:
        # Cut by urgency, shown in the usual order: lines that jump about cannot be read.
        chosen = sorted(shown, key=lambda r: urgent.get(r["status"], len(urgent)))[:height]
        keep = {r["id"] for r in chosen}
        shown = [r for r in shown if r["id"] in keep]
    parts: list[RenderableType] = [_header(picture, width), _bar(picture, width), _table(shown, width)]
    if picture.total > len(shown):
        parts.append(Text(f"… and {picture.total - len(shown)} more", style="dim"))
    parts.append(Text(_LEGEND, style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def strip(row: Row) -> Text:
    """Fifteen cells, one for each step, in their three stages: core, configure, assign."""
    line = Text()
    stage = PIPELINE[0].stage
    warned = {w["step"] for w in row["warnings"]}
    usable = row["status"] in USABLE | TAKEN_AWAY
    for step in PIPELINE:
        if step.stage is not stage:
            line.append("│", "dim")
            stage = step.stage
        outcome = row["steps"].get(step.id)
        if usable and outcome not in ("skipped", "running"):
            outcome = "warning" if step.id in warned else "succeeded"
        line.append(*_CELLS.get(outcome or "", _TODO))
    return line


def short_plan(name: str) -> str:
    """``Cloud PC Enterprise 2vCPU/8GB/128GB`` -> ``2/8/128``: the size tells plans apart."""
    size = name.rsplit(" ", 1)[-1]
    return size.replace("vCPU", "").replace("GB", "") if "vCPU" in size else name


def duration(seconds: float | None) -> str:
    """Seconds as a person would say them: ``8 s``, ``2 min``, ``3 h``, ``7 d``."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def doing(row: Row) -> str:
    """What is going on with a Cloud PC, in a few words."""
    if row["runKind"] and not RunKind(row["runKind"]).makes_machine:
        words = RunKind(row["runKind"]).words
        return f"{words}: {row['stepTitle']}" if row["stepTitle"] else words
    match row["status"]:
        case Status.PROVISIONING if row["wakeDateTime"] and not row["steps"]:
            return "pause, then try again"
        case Status.PROVISIONING:
            return row["stepTitle"] or ""
        case Status.FAILED:
            return f"{row['statusDetail']['code']}" if row["statusDetail"] else "failed"
        case Status.WARNINGS:
            return ", ".join(w["code"] for w in row["warnings"]) or "ready, with warnings"
        case Status.PROVISIONED:
            return "powered off" if row["powerState"] == "poweredOff" else "ready"
        case Status.IN_GRACE:
            left = (row["gracePeriodEndDateTime"] - row["now"]).total_seconds()
            return f"in grace, {duration(left)} left"
        case Status.DEPROVISIONING:
            return "being removed"
        case _ if row["queuePosition"]:
            return f"waits for seat, no. {row['queuePosition']}"
        case _:
            return _WAITING.get(row["waitingFor"] or "", "")


def _line(row: Row) -> str:
    attempt = f", attempt {row['attempt']}/{row['attempts']}" if row["attempt"] else ""
    stage = f", {row['stage']}" if row["stage"] and row["status"] == Status.PROVISIONING else ""
    words = doing(row)
    detail = row["statusDetail"]
    because = f" ({detail['message']})" if detail and row["status"] == Status.FAILED else ""
    return f"{row['status']}{stage}{attempt}" + (f": {words}" if words else "") + because


def _header(picture: Picture, width: int) -> Text:
    """Two lines, always: a picture whose height changes flickers."""
    for labels in (LABELS, dict[str, str]()):
        line = Text(no_wrap=True, overflow="ellipsis")
        for status, n in picture.counts.items():
            mark, style = STATUS_MARKS[status]
            line.append(f"{mark} {n} {labels.get(status, '')}".rstrip() + "  ", style)
        if line.cell_len <= width + 2:
            break
    line.rstrip()
    return Text("\n").join(
        (Text.assemble((picture.tenant, "bold"), f" · {picture.total} Cloud PCs", no_wrap=True), line)
    )


def _bar(picture: Picture, width: int) -> Text:
    cells = max(10, min(width, 100) - 26)
    full = int(cells * picture.progress + 1e-9)
    eta = picture.eta_seconds
    left = f"  about {duration(eta)} left" if picture.under_way and eta else ""
    bar = ("━" * full, "green"), ("╌" * (cells - full), "dim")
    return Text.assemble(*bar, f" {picture.progress:4.0%}{left}", no_wrap=True)


def _table(rows: Sequence[Row], width: int) -> Table:
    wide, wider = width >= 100, width >= 130
    people = _people(rows)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("", width=2)  # some marks are two cells wide
    table.add_column("User", width=28 if wider else 20 if wide else 15, no_wrap=True, overflow="ellipsis")
    table.add_column("Plan", width=9, no_wrap=True, overflow="ellipsis")
    if wide:
        table.add_column("Device", width=15, no_wrap=True)
    if wider:
        table.add_column("Policy", width=20, no_wrap=True, overflow="ellipsis")
    table.add_column("core  │config │as", width=17, no_wrap=True)
    table.add_column("Step", ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column("Try", width=3, no_wrap=True)
    table.add_column("Left", width=6, no_wrap=True, justify="right")
    table.expand = True
    for row in rows:
        mark, style = STATUS_MARKS[row["status"]]
        cells: list[RenderableType] = [Text(mark, style), Text(people(row)), Text(short_plan(row["servicePlanName"]))]
        if wide:
            cells.append(Text(row["managedDeviceName"] or ""))
        if wider:
            cells.append(Text(row["provisioningPolicyName"] or "", "dim"))
        attempt = f"{row['attempt']}/{row['attempts']}" if row["attempt"] else ""
        calm = row["status"] in (Status.PROVISIONED, Status.PROVISIONING)
        cells += [strip(row), Text(doing(row), "" if calm else style), attempt, duration(row["etaSeconds"])]
        table.add_row(*cells)
    return table


def listing(rows: Sequence[Row], width: int) -> Table:
    """The same rows for `status`: at one moment, with device, policy and since when, as far as the width allows."""
    full, wide = width >= 140, width >= 110
    people = (lambda row: row["userPrincipalName"]) if wide else _people(rows)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0), expand=not full)
    table.add_column("User", no_wrap=True, overflow="ellipsis", ratio=None if full else 1)
    named = {"managedDeviceName": "Device", "provisioningPolicyName": "Policy"}
    shown = list(named)[: 2 if full else 1 if wide else 0]
    for heading in ("Plan", *(named[key] for key in shown), "Status", "Step", "Try", "Since", "Left"):
        table.add_column(heading, no_wrap=True, min_width=5 if heading in ("Since", "Left") else len(heading))
    for row in rows:
        mark, style = STATUS_MARKS[row["status"]]
        words = row["status"] if full else LABELS.get(row["status"], row["status"])
        table.add_row(
            Text(people(row)),
            short_plan(row["servicePlanName"]),
            *(Text(row[key] or "") for key in shown),
            Text(f"{mark} {words}", style),
            doing(row),
            f"{row['attempt']}/{row['attempts']}" if row["attempt"] else "",
            duration((row["now"] - row["since"]).total_seconds()),
            duration(row["etaSeconds"]),
        )
    return table


def _people(rows: Sequence[Row]) -> Callable[[Row], str]:
    """How to name the users: without the domain, where all have the same."""
    if len({row["userPrincipalName"].rpartition("@")[2] for row in rows}) == 1:
        return lambda row: str(row["userPrincipalName"].rpartition("@")[0])
    return lambda row: str(row["userPrincipalName"])
