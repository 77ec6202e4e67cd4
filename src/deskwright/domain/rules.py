"""How a rule is refused: the field, the value, the rule, and the way out where there is one."""

from typing import Any


class Refused(Exception):
    """Input breaks a rule. Nothing was changed.

    field: the property as the API spells it; value: what was given; rule: what must hold instead;
    code: an error code for the API; remedy: what to do, when it is not the reverse of the rule.
    """

    def __init__(
        self,
        field: str,
        value: Any,
        rule: str,
        *,
        code: str = "invalidRequest",
        remedy: str = "",
        where: str = "",
    ) -> None:
        super().__init__(field, value, rule)
        self.field, self.value, self.rule = field, value, rule
        self.code, self.remedy, self.where = code, remedy, where

    def __str__(self) -> str:
        shown = "" if self.value is None else f" {self.value!r}"
        where = f"{self.where}: " if self.where else ""
        return f"{where}{self.field}{shown}: {self.rule}" + (f". {self.remedy}" if self.remedy else "")


class NotFound(Refused):
    """The named object does not exist in this tenant."""

    def __init__(self, what: str, name: Any, remedy: str = "") -> None:
        super().__init__(what, name, "no such object in this tenant", code="itemNotFound", remedy=remedy)


class ConfirmationRequired(Refused):
    """The safety brake (R13): too many people would lose their Cloud PC."""

    def __init__(self, losing: int, of: int, who: list[str], limits: str) -> None:
        super().__init__(
            "change",
            None,
            f"{losing} of {of} people would lose their Cloud PC ({limits})",
            code="confirmationRequired",
            remedy="Look at the list, and confirm if it is meant",
        )
        self.losing, self.of, self.who = losing, of, who
