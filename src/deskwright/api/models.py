"""What `/deskwright` answers and reads: property names as everywhere, times in the tenant's time."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from deskwright.domain.status import Status
from deskwright.graph.filters import storable
from deskwright.provision.records import Outcome

T = TypeVar("T")


def _storable(text: str) -> str:
    if not storable(text):
        raise ValueError("it holds a character that no text can, such as U+0000")
    return text


Text = Annotated[str, AfterValidator(_storable)]
"""What people and scripts write."""


class Problem(BaseModel):
    """Part of an error."""

    model_config = ConfigDict(extra="allow")
    code: str
    message: str
    target: str | None = None


class InnerError(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    date: str
    requestId: str = Field(alias="request-id")
    clientRequestId: str = Field(alias="client-request-id")


class ErrorBody(BaseModel):
    code: str
    message: str
    target: str | None = None
    details: list[Problem] | None = None
    innerError: InnerError


class ErrorAnswer(BaseModel):
    """A refusal, in Graph's envelope. Nothing was changed."""

    error: ErrorBody


class Page(BaseModel, Generic[T]):
    """Some of a list. `nextLink` is there while there are more."""

    value: list[T]
    nextLink: str | None = None


class Everything(BaseModel, Generic[T]):
    """All of a list."""

    value: list[T]


# --- Cloud PCs -------------------------------------------------------------------------------------


class StatusDetail(BaseModel):
    code: str
    message: str


class StepWarning(BaseModel):
    """A configure step that failed; the Cloud PC works."""

    model_config = ConfigDict(extra="allow")
    step: str
    code: str
    message: str | None = None


class CloudPC(BaseModel):
    """A Cloud PC with where its run is, how long it still takes, and its place in the queue."""

    id: str
    userPrincipalName: str
    userId: str
    userDisplayName: str
    displayName: str | None
    managedDeviceName: str | None
    servicePlanId: str
    servicePlanName: str
    provisioningPolicyId: str | None
    provisioningPolicyName: str | None
    onPremisesConnectionId: str | None
    onPremisesConnectionName: str | None
    imageDisplayName: str | None
    siteName: str | None
    status: Status
    statusDetail: StatusDetail | None
    warnings: list[StepWarning]
    run: int | None = Field(description="Number of its last run.")
    runKind: str | None = Field(description="What is under way; null: nothing.")
    stage: str | None
    step: str | None
    stepTitle: str | None
    steps: dict[str, Outcome] = Field(description="Of the present attempt: step -> outcome.")
    attempt: int | None
    attempts: int = Field(description="How many there are at most.")
    powerState: Literal["running", "poweredOff"] | None = Field(description="null: there is no machine.")
    since: datetime = Field(description="Since when it has this status.")
    waitingFor: str | None = Field(description="seat, connection, start, policy ... while it waits.")
    waitingText: str = Field(description="The same in words; empty while it waits for nothing.")
    waitingReason: str | None
    wakeDateTime: datetime | None = Field(description="When the run goes on.")
    queuePosition: int | None
    gracePeriodEndDateTime: datetime | None
    etaSeconds: float | None = Field(description="Estimated from past runs.")
    progress: float = Field(ge=0, le=1)
    now: datetime = Field(description="The tenant's time.")


class CloudPCPage(Page[CloudPC]):
    lastEventId: str = Field(description="For `Last-Event-ID` of /cloudPCs/events: goes on where this list ends.")


class Offered(BaseModel):
    """What Deskwright itself can do about an error."""

    id: str
    label: str
    command: str


class Described(BaseModel):
    """An error of the catalogue, with the actual values."""

    code: str
    title: str
    stage: str
    message: str
    cause: str
    remedies: list[str]
    retryHelps: bool
    actions: list[Offered]


class StepError(Described):
    step: str | None
    stepTitle: str | None
    faultId: int | None = Field(description="The simulator's fault that caused it, where there is one.")


class DescribedWarning(Described):
    step: str
    stepTitle: str | None


class Step(BaseModel):
    step: str
    title: str | None
    stage: str
    outcome: Outcome
    startedDateTime: datetime
    endedDateTime: datetime | None
    durationSeconds: float
    share: float = Field(description="Of the run's duration.")
    code: str | None
    message: str | None
    output: str | None


class Attempt(BaseModel):
    number: int
    outcome: Outcome
    siteName: str | None
    connectionName: str | None
    managedDeviceName: str | None
    ipAddress: str | None
    startedDateTime: datetime
    endedDateTime: datetime | None
    durationSeconds: float
    steps: list[Step]


class Run(BaseModel):
    number: int
    kind: str
    kindWords: str = Field(description="The kind as people call it.")
    state: Literal["active", "succeeded", "failed", "stopped"]
    provisioningPolicyName: str | None
    policy: dict[str, Any] = Field(description="The snapshot of the policy that this run uses.")
    requestedBy: str
    startedDateTime: datetime
    endedDateTime: datetime | None
    durationSeconds: float
    wakeDateTime: datetime | None
    waitingReason: str | None
    error: Described | None
    attempts: list[Attempt]


class Grace(BaseModel):
    """Why it is in grace, by whom, and until when."""

    since: datetime | None
    lost: list[str]
    actor: str | None
    activity: str | None
    object: str | None
    statusBefore: str | None
    gracePeriodEndDateTime: datetime
    endsInSeconds: float


class SignIn(BaseModel):
    userName: str
    portalAddress: str | None
    oneTimePasswordWaits: bool
    presentedDateTime: datetime | None
    command: str | None


class LedgerEntry(BaseModel):
    """Something that exists in the outside world by our doing."""

    kind: str
    state: str
    left: bool = Field(description="Left by a past attempt, or not in use any more.")
    externalId: str | None
    details: dict[str, Any] | None
    key: str
    userPrincipalName: str | None
    cloudPc: str | None
    cloudPcId: str | None
    siteName: str
    run: int | None
    attempt: int | None
    step: str | None
    intendedDateTime: datetime
    ageSeconds: float
    releaseDateTime: datetime | None
    releaseInSeconds: float | None
    releasedDateTime: datetime | None
    releaseAttempts: int
    lastError: str | None


class Timeline(CloudPC):
    """A Cloud PC and everything that happened to it."""

    reference: str = Field(description="By what commands can name it.")
    imageDisplayName: str | None
    ipAddress: str | None
    onPremisesConnectionName: str | None
    createdDateTime: datetime
    provisionedDateTime: datetime | None
    goneDateTime: datetime | None
    error: StepError | None
    warnings: list[DescribedWarning]  # type: ignore[assignment]
    grace: Grace | None
    signIn: SignIn | None
    runs: list[Run]
    ledger: list[LedgerEntry]


class Acted(BaseModel):
    """What an action answers at once; what it does goes on by itself."""

    id: str
    status: Status
    runId: str | None = None
    steps: list[str] | None = None
    gracePeriodEndDateTime: datetime | None = None


class RepairOptions(BaseModel):
    steps: list[Text] | None = Field(None, description="Only these configure steps; unset: those that left a warning.")


class ReprovisionOptions(BaseModel):
    userAccountType: Text | None = Field(None, description="standardUser or administrator, for this run.")


class KeepOptions(BaseModel):
    hours: float | None = Field(
        None, gt=0, le=8784, description="At least so long from now; unset: a whole grace period."
    )


# --- explain ---------------------------------------------------------------------------------------


class Candidate(BaseModel):
    displayName: str
    groupName: str
    assignmentNumber: int = Field(description="The lowest wins.")


class Next(BaseModel):
    text: str
    dateTime: datetime | None


class Verdict(BaseModel):
    """What is decided for one licence of the user."""

    servicePlanName: str
    action: str
    status: Status | None
    cloudPcId: str | None
    managedDeviceName: str | None
    provisioningPolicyName: str | None
    policy: Candidate | None
    ignoredPolicies: list[Candidate]
    waitingFor: str | None
    queuePosition: int | None
    lost: list[str]
    reasons: list[str]
    next: Next


class Explanation(BaseModel):
    userPrincipalName: str
    displayName: str
    accountEnabled: bool
    deletedDateTime: datetime | None
    groups: list[str]
    changesWaiting: bool = Field(description="A change of theirs has not been looked at yet.")
    verdicts: list[Verdict]
