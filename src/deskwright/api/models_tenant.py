"""What `/deskwright` answers about the tenant itself: plans, faults, the clock, audit, sites, the catalogue."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from deskwright.api.models import Described, Text


class Forecast(BaseModel):
    servicePlans: list[dict[str, Any]]
    onPremisesConnections: list[dict[str, Any]]


class Brake(BaseModel):
    """Whether so many people would lose their Cloud PC that it wants a confirmation."""

    confirmationRequired: bool
    losing: int
    of: int
    who: list[str]
    limits: str


class Plan(BaseModel):
    """What a document would change, or has changed. Lists are cut to what a person can read, counts are complete."""

    tenant: str
    createsTenant: bool
    revision: int = Field(description="The tenant's before the change.")
    sha256: str = Field(description="Of the document.")
    path: str
    prune: bool
    counts: dict[str, dict[str, int]] = Field(description="Kind -> create, update, delete, add, remove -> how many.")
    changes: list[dict[str, Any]]
    touchedUsers: int
    actions: dict[str, int] = Field(description="Verdict -> how many pairs of user and licence.")
    verdicts: list[dict[str, Any]]
    overlapCount: int
    overlaps: list[dict[str, Any]]
    forecast: Forecast
    brake: Brake
    notes: list[str]


class Settling(BaseModel):
    """How far the tenant is with what was changed."""

    settled: bool
    undecidedUsers: int
    cloudPCs: int
    settledCloudPCs: int


class Fault(BaseModel):
    """What the simulator does wrong on request."""

    id: int
    step: str
    code: str
    user: str | None
    policy: str | None
    attempts: list[int] | None
    rate: float
    delaySeconds: float
    fromDocument: bool


class NewFault(BaseModel):
    step: Text = Field(description="C1 to A1, a remote action's step, release, image or health:CHECK.")
    code: Text = Field(description="An error code of that step, or delay.")
    user: Text | None = Field(None, description="Only for this person.")
    policy: Text | None = Field(None, description="Only under this policy.")
    attempts: list[int] = Field([], description="Only in these; counted from 1.", max_length=100)
    rate: float = Field(1.0, description="For this share of them, more than 0 to 1.")
    delaySeconds: float = Field(0.0, description="So much later.")


class Clock(BaseModel):
    now: datetime = Field(description="The tenant's time, which all deadlines read.")
    clockOffsetInSeconds: float


class Advance(BaseModel):
    seconds: float = Field(gt=0, le=366 * 86400.0)


class Finding(BaseModel):
    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    mend: str | None


class Simulation(BaseModel):
    speed: float | str
    seed: int


class Tenant(BaseModel):
    """The token's tenant at a glance."""

    id: str
    name: str
    revision: int
    settings: dict[str, Any]
    simulation: Simulation
    clockOffsetInSeconds: float
    createdDateTime: datetime
    overview: dict[str, Any] = Field(description="Cloud PCs by status, seats, health, numbers of objects.")


class AuditEvent(BaseModel):
    id: int
    activityDateTime: datetime
    activity: str
    actor: str
    resourceType: str
    resourceId: str | None
    displayName: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    correlationId: str | None


class Site(BaseModel):
    id: str
    name: str
    regionName: str
    regionGroup: str
    compute: dict[str, Any]
    directory: dict[str, Any]
    management: dict[str, Any]
    createdDateTime: datetime


class CatalogueEntry(Described):
    """An error as the catalogue has it; words in braces stand for the actual values."""

    documentTitle: str
    steps: list[str]
    effect: str
