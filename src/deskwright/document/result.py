"""What a plan says, or an apply has done: small however large the document is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deskwright.domain.rules import Refused

LISTED = 500
"""How many verdicts and examples are listed, and ten times how many changes of a kind; all are counted."""


@dataclass
class Brake:
    """R13: whether so many would lose their Cloud PC that it wants a confirmation."""

    wants_confirmation: bool = False
    losing: int = 0
    of: int = 0
    who: list[str] = field(default_factory=list)
    limits: str = ""


@dataclass
class PlanResult:
    tenant: str
    tenant_id: str
    creates_tenant: bool
    revision: int
    """The tenant's before the change; -1 where the tenant is new."""
    sha256: str
    path: str
    prune: bool
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Kind or list -> create, update, delete, restore, add, remove -> how many."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    touched: int = 0
    """People whose entitlement the change concerns."""
    actions: dict[str, int] = field(default_factory=dict)
    """decide.verdict.Action -> how many pairs of person and licence."""
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    overlaps: int = 0
    """People whom several policies reach (E4), of those the change concerns."""
    overlapping: list[dict[str, Any]] = field(default_factory=list)
    seats: list[dict[str, Any]] = field(default_factory=list)
    addresses: list[dict[str, Any]] = field(default_factory=list)
    brake: Brake = field(default_factory=Brake)
    notes: list[str] = field(default_factory=list)

    @property
    def changes_anything(self) -> bool:
        return bool(self.counts)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "PlanResult":
        """What `as_json` told; the tenant's id is not in it."""
        brake = told["brake"]
        return cls(
            tenant=told["tenant"],
            tenant_id="",
            creates_tenant=told["createsTenant"],
            revision=told["revision"],
            sha256=told["sha256"],
            path=told["path"],
            prune=told["prune"],
            counts=told["counts"],
            changes=told["changes"],
            touched=told["touchedUsers"],
            actions=told["actions"],
            verdicts=told["verdicts"],
            overlaps=told["overlapCount"],
            overlapping=told["overlaps"],
            seats=told["forecast"]["servicePlans"],
            addresses=told["forecast"]["onPremisesConnections"],
            brake=Brake(
                brake["confirmationRequired"], brake["losing"], brake["of"], list(brake["who"]), brake["limits"]
            ),
            notes=told["notes"],
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "createsTenant": self.creates_tenant,
            "revision": self.revision,
            "sha256": self.sha256,
            "path": self.path,
            "prune": self.prune,
            "counts": self.counts,
            "changes": self.changes,
            "touchedUsers": self.touched,
            "actions": self.actions,
            "verdicts": self.verdicts,
            "overlapCount": self.overlaps,
            "overlaps": self.overlapping,
            "forecast": {"servicePlans": self.seats, "onPremisesConnections": self.addresses},
            "brake": {
                "confirmationRequired": self.brake.wants_confirmation,
                "losing": self.brake.losing,
                "of": self.brake.of,
                "who": self.brake.who,
                "limits": self.brake.limits,
            },
            "notes": self.notes,
        }


@dataclass(frozen=True)
class SavedPlan:
    """What was planned, to be applied as long as neither the tenant nor the document has changed since."""

    tenant: str
    revision: int
    sha256: str
    path: Path
    prune: bool

    @classmethod
    def read(cls, path: Path) -> "SavedPlan":
        """A plan that `save` wrote. Raises Refused where it is none."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            document = Path(found["path"])
            return cls(
                str(found["tenant"]), int(found["revision"]), str(found["sha256"]), document, bool(found["prune"])
            )
        except OSError as error:
            raise Refused("plan", str(path), f"cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Refused("plan", str(path), "is not a saved plan; deskwright plan -o writes one") from error


def save(result: PlanResult, path: Path) -> None:
    """Write the plan for `apply --plan`: of what was seen, not the document itself."""
    kept = {**result.as_json(), "path": str(Path(result.path).resolve())}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
