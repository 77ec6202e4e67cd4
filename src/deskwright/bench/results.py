"""What a benchmark found: measures with their goals, as tables and as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Measure:
    """One measured value. `at_most` is the goal in the same unit; None where a value only informs."""

    name: str
    value: float | None
    unit: str = ""
    at_most: float | None = None

    @property
    def met(self) -> bool | None:
        """None without a goal, or where nothing could be measured."""
        return None if self.at_most is None or self.value is None else self.value <= self.at_most

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.name,
            "value": None if self.value is None else round(self.value, 6),
            "unit": self.unit,
            "goal": self.at_most,
            "met": self.met,
        }


@dataclass
class Part:
    """What one part of the benchmark found."""

    name: str
    title: str
    measures: list[Measure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    """What stands behind the measures, for the JSON: rounds, rows by table, ..."""

    def add(self, name: str, value: float | None, unit: str = "", *, at_most: float | None = None) -> None:
        self.measures.append(Measure(name, value, unit, at_most))

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "measures": [m.as_json() for m in self.measures],
            "notes": self.notes,
            "details": self.details,
        }


def show_part(console: Console, part: Part) -> None:
    table = Table(title=part.title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for heading in ("Measure", "Value", "Goal", "Met"):
        table.add_column(heading, justify="left" if heading in ("Measure", "Met") else "right", overflow="fold")
    for m in part.measures:
        goal = "" if m.at_most is None else f"≤ {number(m.at_most)} {m.unit}".rstrip()
        # The word says it; the colour only helps.
        met = {None: "", True: "[green]yes[/]", False: "[bold red]no[/]"}[m.met]
        value = "not measured" if m.value is None else f"{number(m.value)} {m.unit}".rstrip()
        table.add_row(m.name, value, goal, met)
    console.print(table)
    for note in part.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def show_machine(console: Console, machine: Mapping[str, Any]) -> None:
    table = Table(title="Machine", title_justify="left", show_header=False, box=None, pad_edge=False)
    for name, value in machine.items():
        table.add_row(name, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    console.print(table)
    console.print()


def number(value: float) -> str:
    """Three significant digits, and no false precision for large numbers."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
