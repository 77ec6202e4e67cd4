"""What `/deskwright` says about Active Directory domains."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from deskwright.api.models import Text

SignIn = Literal["none", "ldap"]
_CONTROLLERS = "Full names, in order, NAME=ADDRESS where DNS does not know one; none: those DNS tells."
_BASES = "Distinguished names of the units that are read; none: the whole domain."
_CERTIFICATE = "Certificates (PEM) of who signed the controllers'; none: whom the machine trusts."
_MOST = 50


class Domain(BaseModel):
    """An Active Directory domain: how it is reached, who reads it, and how its synchronisation stands."""

    id: str
    domainName: str
    controllers: list[str] = Field(description=_CONTROLLERS)
    nameServers: list[str] = Field(description="Addresses of its DNS servers; none: this machine's.")
    caCertificate: str | None = Field(description=_CERTIFICATE)
    startTls: bool
    userName: str
    searchBases: list[str] = Field(description=_BASES)
    signIn: SignIn
    syncEnabled: bool
    syncIntervalInMinutes: int
    syncStatus: Literal["never", "succeeded", "failed", "confirmationRequired"]
    syncErrorCode: str | None
    syncDetail: str
    syncRunning: bool
    syncProgress: str
    lastSyncDateTime: datetime | None = Field(description="Of the last run that succeeded.")
    nextSyncDateTime: datetime | None
    createdDateTime: datetime
    people: int
    groups: int
    computers: int


class SyncRun(BaseModel):
    """One synchronisation."""

    startDateTime: datetime
    status: Literal["succeeded", "failed", "confirmationRequired"]
    complete: bool = Field(description="Everything was read, not only what changed.")
    seconds: float
    errorCode: str | None
    detail: str
    objectsRead: int
    people: int
    peopleAdded: int
    peopleChanged: int
    peopleRemoved: int
    peopleRestored: int
    groups: int
    groupsAdded: int
    groupsChanged: int
    groupsRemoved: int
    membersAdded: int
    membersRemoved: int
    computers: int
    computersAdded: int
    computersRemoved: int


class SyncFinding(BaseModel):
    """An object that was not taken over, or not as one may expect."""

    code: str
    objectType: Literal["user", "group"]
    displayName: str
    sourceId: str = Field(description="objectGUID")
    distinguishedName: str | None = None
    detail: str
    recommendedAction: str


class Losing(BaseModel):
    """Whose Cloud PCs the run that stopped would have taken (the safety brake)."""

    people: int
    of: int
    who: list[str] = Field(description="User principal names, the first 50.")


class DomainDetails(Domain):
    """A domain with its last runs, newest first."""

    wouldLose: Losing | None
    findings: list[SyncFinding]
    lastSyncs: list[SyncRun]


class NewDomain(BaseModel):
    domainName: Text
    userName: Text = Field(description="User principal name of the account that reads the domain.")
    password: Text = Field(description="Kept encrypted, and never told.")
    controllers: list[Text] = Field([], max_length=_MOST, description=_CONTROLLERS)
    nameServers: list[Text] = Field([], max_length=_MOST)
    caCertificate: str = Field("", max_length=100_000, description=_CERTIFICATE)
    startTls: bool = False
    searchBases: list[Text] = Field([], max_length=_MOST, description=_BASES)
    signIn: SignIn = "none"
    syncEnabled: bool = True
    syncIntervalInMinutes: int = 30
    verify: bool = Field(True, description="Sign in there before it is kept.")


class ChangedDomain(BaseModel):
    userName: Text | None = None
    password: Text | None = Field(None, description="A new one; without, the one there is stays.")
    controllers: list[Text] | None = Field(None, max_length=_MOST)
    nameServers: list[Text] | None = Field(None, max_length=_MOST)
    caCertificate: str | None = Field(None, max_length=100_000)
    startTls: bool | None = None
    searchBases: list[Text] | None = Field(None, max_length=_MOST)
    signIn: SignIn | None = None
    syncEnabled: bool | None = None
    syncIntervalInMinutes: int | None = None
    verify: bool = Field(True, description="Sign in there before it is kept, where the way there changes.")


class DomainCheck(BaseModel):
    id: str
    displayName: str
    status: Literal["passed", "warning", "failed"]
    errorType: str | None
    additionalDetail: str
    recommendedAction: str | None
    seconds: float


class DomainTest(BaseModel):
    """What a synchronisation needs, tried now."""

    domainName: str
    passed: bool
    checks: list[DomainCheck]
    counts: dict[str, int] = Field(description="people, groups and computers in the search bases.")


class Synchronise(BaseModel):
    confirm: bool = Field(False, description="The run that stopped and asked is meant.")
    complete: bool = Field(False, description="Read everything, not only what changed.")


class Adopt(BaseModel):
    group: Text = Field(description="A group of the tenant, by id or name, that is called like one of the domain's.")


class AdoptedGroup(BaseModel):
    id: str
    displayName: str
    domainName: str
