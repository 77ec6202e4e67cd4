"""What a step is given, and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from deskwright.domain.plans import Size
from deskwright.domain.resources import Kind
from deskwright.domain.runs import RunKind
from deskwright.providers.contract import Call, Made, Providers
from deskwright.settings import Settings, TenantSettings
from deskwright.store.database import Database
from deskwright.store.secrets import Secrets


class StepFailed(Exception):
    """The step could not do its work; `code` stands in the error catalogue, `values` fill its message."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code, values)
        self.code, self.values = code, values


@dataclass(frozen=True)
class World:
    """What steps work with, besides the run's own facts."""

    database: Database
    secrets: Secrets
    settings: Settings

    def __post_init__(self) -> None:
        self.database.secrets = self.secrets  # for the providers, which get the database alone


@dataclass(frozen=True)
class RunFacts:
    """A run as it was taken: read once, under its lease."""

    run_id: UUID
    lease: int
    tenant_id: UUID
    cloud_pc_id: UUID
    cloud_pc_name: str
    number: int
    kind: RunKind
    options: Mapping[str, Any]
    policy: Mapping[str, Any]
    """The snapshot this run uses (E7): columns of `policies`, and ``connections``, ids in order."""
    user_id: UUID
    user: str
    """userPrincipalName"""
    on_premises_user: str | None
    plan_id: UUID
    plan_name: str
    size: Size
    user_account_type: str | None
    settings: TenantSettings
    speed: float


@dataclass(frozen=True)
class Ground:
    """Where an attempt happens, chosen before it begins and kept in its first step's row."""

    site_id: UUID
    site_name: str
    connection_id: UUID | None = None
    connection_name: str | None = None

    def values(self) -> dict[str, str]:
        """For the messages of errors."""
        return {"site": self.site_name} | ({"connection": self.connection_name} if self.connection_name else {})

    def as_json(self) -> dict[str, str | None]:
        return {
            "site_id": str(self.site_id),
            "site_name": self.site_name,
            "connection_id": str(self.connection_id) if self.connection_id else None,
            "connection_name": self.connection_name,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, str]) -> "Ground":
        connection = kept["connection_id"]
        return cls(
            UUID(kept["site_id"]),
            kept["site_name"],
            UUID(connection) if connection else None,
            kept["connection_name"],
        )


@dataclass
class StepContext:
    world: World
    run: RunFacts
    attempt: int
    step: str
    providers: Providers
    ground: Ground
    so_far: dict[str, Any]
    """What the earlier steps of this attempt left: ids, names, the address."""
    started_at: datetime
    now: datetime

    @property
    def call(self) -> Call:
        run = self.run
        return Call(
            tenant_id=run.tenant_id,
            site_id=self.ground.site_id,
            cloud_pc_id=run.cloud_pc_id,
            run=run.number,
            attempt=self.attempt,
            step=self.step,
            user=run.user,
            policy=str(run.policy["display_name"]),
        )

    @property
    def hybrid(self) -> bool:
        return str(self.run.policy["join_type"]) == "hybridAzureADJoin"

    @property
    def local_identity(self) -> bool:
        """Whether the user signs in with an account of the machine itself."""
        return not self.hybrid and self.providers.directory.identity == "local"

    @property
    def account_name(self) -> str:
        """The local account's name: the part of the UPN before the @, in what every OS accepts."""
        name = "".join(c for c in self.run.user.split("@")[0].lower() if c.isascii() and (c.isalnum() or c in "._-"))
        return name[:20] or "user"

    @property
    def member(self) -> str:
        """The user as the machine names them: on-premises if hybrid joined, in Entra if Entra joined, else local."""
        if self.hybrid:
            return self.run.on_premises_user or self.run.user
        return self.account_name if self.local_identity else f"AzureAD\\{self.run.user}"


@dataclass(frozen=True)
class Done:
    """The step's work is done."""

    made: Mapping[Kind, Made] = field(default_factory=dict)
    keep: Mapping[str, Any] = field(default_factory=dict)
    """For later steps and the timeline; JSON."""
    output: str = ""
    skipped: bool = False
    """It does not apply here; `output` says why."""
    secret: str | None = field(default=None, repr=False)
    """A1: the one-time password, to be stored encrypted when the run ends."""
