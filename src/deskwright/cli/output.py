"""How commands print: Rich tables for people, JSON for scripts, errors on stderr; exit codes 0, 1, 2."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deskwright.domain.rules import ConfirmationRequired, Refused

out = Console()
err = Console(stderr=True)

TenantOption = Annotated[
    str | None, typer.Option("--tenant", "-T", help="The tenant; needed only where there are several.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON with the API's property names.")]
ConfirmOption = Annotated[
    bool, typer.Option("--confirm", help="Do it even though many people would lose their Cloud PC.")
]

# Status is never told by colour alone: each has a mark of its own.
STATUS_MARKS: dict[str, tuple[str, str]] = {
    "notProvisioned": ("○", "dim"),
    "pendingProvision": ("◷", "yellow"),
    "provisioning": ("▶", "cyan"),
    "provisioned": ("✓", "green"),
    "provisionedWithWarnings": ("!", "yellow"),
    "failed": ("✗", "red"),
    "resizing": ("⇕", "cyan"),
    "restoring": ("↶", "cyan"),
    "inGracePeriod": ("◔", "magenta"),
    "deprovisioning": ("⌫", "magenta"),
    "gone": ("·", "dim"),
    # of a domain's synchronisation
    "succeeded": ("✓", "green"),
    "confirmationRequired": ("!", "yellow"),
    "never": ("○", "dim"),
}


def status_text(status: str) -> str:
    """A status with its mark and colour, as Rich markup."""
    mark, style = STATUS_MARKS.get(status, ("?", ""))
    return f"[{style}]{mark} {status}[/]" if style else f"{mark} {status}"


def print_json(data: Any) -> None:
    """JSON on stdout, dates in ISO 8601."""
    json.dump(data, sys.stdout, indent=2, default=_plain, ensure_ascii=False)
    sys.stdout.write("\n")


def show(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    *,
    as_json: bool,
    title: str = "",
    empty: str = "",
    cell: Callable[[str, Any], str] | None = None,
) -> None:
    """Print objects: all of them as JSON, or as a table with `columns` (key -> heading)."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        out.print(empty or "Nothing to show.", style="dim")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*((cell or _cell)(key, row.get(key)) for key in columns))
    out.print(table)


@contextmanager
def refusals() -> Any:
    """Turn a broken rule into its message on stderr and exit code 1."""
    try:
        yield
    except ConfirmationRequired as stop:
        err.print(f"[bold red]Stopped:[/] {escape(str(stop))}", highlight=False, soft_wrap=True)
        for name in stop.who[:10]:
            err.print(f"  {name}")
        if stop.losing > 10:
            err.print(f"  … and {stop.losing - 10} more")
        err.print("Run it again with --confirm if this is meant.")
        raise typer.Exit(1) from stop
    except Refused as refused:
        err.print(f"[bold red]Refused:[/] {escape(str(refused))}", highlight=False, soft_wrap=True)
        if refused.code == "confirmationRequired":
            err.print("Run it again with --confirm if this is meant.")
        raise typer.Exit(1) from refused


def _cell(key: str, value: Any) -> str:
    if key == "status" and isinstance(value, str):
        return status_text(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, Iterable):
        return ", ".join(str(v) for v in value)
    return str(value)


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return str(value)
