"""Which calls of the published contract are served, per version."""

from dataclasses import dataclass
from enum import StrEnum

from deskwright.graph import resources
from deskwright.graph.contract import Operation, model
from deskwright.graph.routes import router


class Answer(StrEnum):
    SERVED = "served"
    NOT_ALLOWED = "405"
    """Only the generator of the SDKs knows the call: the set is read-only."""
    NOT_SERVED = "501"


@dataclass(frozen=True)
class Share:
    """How much of what the reference documents is served."""

    version: str
    served: int
    of: int

    def __str__(self) -> str:
        return f"{self.version}: {self.served} of {self.of} operations served ({self.served / self.of:.0%})"


def answers(version: str) -> list[tuple[Operation, Answer]]:
    """Every operation of the contract, and what it gets."""
    resources.load()
    found, here = [], router(version)
    for operation in model(version).operations:
        if here.serving(operation.method, operation.path):
            found.append((operation, Answer.SERVED))
        else:
            found.append((operation, Answer.NOT_ALLOWED if operation.generated else Answer.NOT_SERVED))
    return found


def share(version: str) -> Share:
    """Calls that only the generator knows do not count."""
    told = [answer for _, answer in answers(version) if answer is not Answer.NOT_ALLOWED]
    return Share(version, told.count(Answer.SERVED), len(told))


def set_of(path: str) -> str:
    """The entity set a call belongs to: ``deviceManagement/virtualEndpoint/cloudPCs``, ``users``."""
    words = [segment.split("(")[0] for segment in path.split("/") if segment and not segment.startswith(("{", "$"))]
    deep = {"virtualEndpoint", "monitoring", "cloudPC"}
    length = (
        3 if len(words) > 2 and words[1] in deep else 2 if words[0] in ("deviceManagement", "roleManagement") else 1
    )
    return "/".join(words[:length])
