"""What may be done with a Cloud PC as it stands. Pure; the actions themselves look again, and refuse.

The names are those of the commands.
"""

from collections.abc import Callable, Mapping
from typing import Any

from deskwright.domain.runs import IRREVOCABLE, RunKind
from deskwright.domain.status import TAKEN_AWAY, USABLE, Status

Row = Mapping[str, Any]
"""A row of `listing.cloud_pcs`."""

_SETTLED = frozenset({Status.PROVISIONED, Status.WARNINGS})


def allowed_actions(pc: Row, *, enabled: bool, snapshots: bool) -> tuple[str, ...]:
    """The names of the actions that its status, its power and what is under way allow, in a person's order.

    enabled: whether its user's account is; snapshots: whether it has any.
    """
    possible = {name for name, may in _RULES.items() if may(pc)}
    if not enabled:
        possible -= {"retry", "reprovision"}  # it would start something new (E1)
    if not snapshots:
        possible -= {"restore"}
    return tuple(name for name in _RULES if name in possible)


def _free(pc: Row) -> bool:
    return pc["runKind"] is None


def _on(pc: Row) -> bool:
    return bool(pc["powerState"] != "poweredOff")


def _cancellable(pc: Row) -> bool:
    if _free(pc) or pc["status"] not in {Status.PROVISIONING, *USABLE, *TAKEN_AWAY}:
        return False
    return RunKind(pc["runKind"]) not in IRREVOCABLE or not pc["steps"]


_RULES: dict[str, Callable[[Row], bool]] = {
    "retry": lambda pc: pc["status"] == Status.FAILED,
    "keep": lambda pc: pc["status"] == Status.IN_GRACE,
    "end-grace": lambda pc: pc["status"] == Status.IN_GRACE,
    "cancel": _cancellable,
    "power-on": lambda pc: pc["status"] in USABLE and _free(pc) and not _on(pc),
    "restart": lambda pc: pc["status"] in USABLE and _free(pc) and _on(pc),
    "power-off": lambda pc: pc["status"] in USABLE and _free(pc) and _on(pc),
    "troubleshoot": lambda pc: pc["status"] in USABLE and _free(pc),
    "repair": lambda pc: pc["status"] in USABLE and _free(pc) and _on(pc),
    "rename": lambda pc: pc["status"] in USABLE,
    "account-type": lambda pc: pc["status"] in _SETTLED and _free(pc) and _on(pc),
    "snapshot": lambda pc: pc["status"] in USABLE and _free(pc),
    "restore": lambda pc: pc["status"] in _SETTLED and _free(pc),
    "resize": lambda pc: pc["status"] in _SETTLED and _free(pc),
    "reprovision": lambda pc: pc["status"] in {*_SETTLED, Status.FAILED},
}
