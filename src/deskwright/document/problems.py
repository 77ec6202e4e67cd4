"""What is wrong with a document: all of it at once, each with its line, field, value and rule."""

from dataclasses import dataclass, field
from typing import Any

from deskwright.domain.rules import Refused

SHOWN = 200
"""How many problems are kept; the rest is counted."""
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One broken rule. `line` counts from 1; 0: it belongs to no line."""

    file: str
    line: int
    field: str
    value: Any
    rule: str
    column: int = 0

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line or "", self.column or "") if part != "")
        shown = "" if self.value is None else f" {_shortened(self.value)}"
        return f"{where}: {self.field}{shown}: {self.rule}"

    def as_json(self) -> dict[str, Any]:
        value = (
            self.value if self.value is None or isinstance(self.value, str | int | float) else _shortened(self.value)
        )
        place = {"file": self.file, "line": self.line} | ({"column": self.column} if self.column else {})
        return {**place, "field": self.field, "value": value, "rule": self.rule}


def _shortened(value: Any) -> str:
    try:
        shown = repr(value)
    except ValueError:  # a number too long to be written
        return "…"
    return shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 1] + "…"


class DocumentProblems(Refused):
    """The document breaks rules; nothing was changed. `count` may exceed the problems listed."""

    def __init__(self, problems: list[Problem], count: int) -> None:
        first = problems[0]
        super().__init__(first.field, first.value, first.rule, code="invalidDocument")
        self.problems, self.count = problems, count

    def __str__(self) -> str:
        lines = [str(p) for p in self.problems]
        if self.count > len(lines):
            lines.append(f"… and {self.count - len(lines)} more")
        return "\n".join(lines)


@dataclass
class Problems:
    """Collects problems of one document."""

    file: str
    found: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, field: str, value: Any, rule: str, *, column: int = 0) -> None:
        self.count += 1
        if len(self.found) < SHOWN:
            self.found.append(Problem(self.file, line, field, value, rule, column))

    def refused(self, line: int, field: str, refused: Refused) -> None:
        """The same from a rule of the domain, which names its own field where `field` is empty."""
        rule = refused.rule + (f". {refused.remedy}" if refused.remedy else "")
        self.add(line, field or refused.field, refused.value, rule)

    def raise_any(self) -> None:
        if self.found:
            raise DocumentProblems(sorted(self.found, key=lambda p: (p.line, p.column)), self.count)
