"""Settings: of the installation (environment) and of a tenant (stored, changeable while running).

Every field's description is printed in docs/settings.md; a test compares the two.
"""

from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class Settings(BaseSettings):
    """Installation settings, read from environment variables named DESKWRIGHT_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="DESKWRIGHT_", extra="ignore")

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("deskwright"),
        description="Where state lives: the embedded PostgreSQL, keys, logs.",
    )
    database_url: str | None = Field(
        default=None, description="A PostgreSQL of yours (postgresql://...); unset: the embedded one."
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="Runs that one worker process carries at once.")
    heartbeat_seconds: float = Field(
        default=2.0, gt=0, description="How often a worker says that it lives (real time)."
    )
    stalled_seconds: float = Field(
        default=6.0,
        gt=0,
        description="Silence after which a worker counts as dead and others take its runs over (real time).",
    )
    sweep_seconds: float = Field(
        default=1.0, gt=0, description="Longest pause between two looks at the deadlines (real time)."
    )
    secret_key_file: Path | None = Field(
        default=None,
        description="The key that encrypts secrets at rest; unset: secret.key in the data directory. "
        "The same on every worker.",
    )
    gateway_address: str = Field(
        default="127.0.0.1", description="Where users' sessions come from: excepted from the port block of P7."
    )
    portal_address: str = Field(
        default="http://127.0.0.1:8765/portal", description="Address of the user portal in sign-in details."
    )
    public_address: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+$",
        description="Where clients reach the service (https://...), when it is behind a proxy; "
        "unset: the address each request names. Tokens name it as their issuer.",
    )
    requests_at_once: int = Field(
        default=24,
        ge=1,
        description="Requests to the Graph API that one token may have under way in a process; more get 429.",
    )
    url: str | None = Field(
        default=None,
        description="A service elsewhere (https://...): with the token, commands call its API instead of working on "
        "this machine's installation.",
    )
    token: SecretStr | None = Field(
        default=None, description="An access token for that service; it also says which tenant."
    )
    log_level: str = Field(default="warning", description="debug, info, warning or error.")


class TenantSettings(BaseModel):
    """Settings of one tenant, all durations in the tenant's time. Names are those of the tenant document."""

    model_config = ConfigDict(extra="forbid")

    gracePeriodInHours: float = Field(
        default=7 * 24,
        ge=0,
        le=8784,
        description="How long a Cloud PC stays usable after its licence or policy is lost (E8).",
    )
    cleanUpDelayInHours: float = Field(
        default=3, ge=0, le=8784, description="When the rest of a failed or deleted Cloud PC is removed (L2)."
    )
    hybridJoinWaitInMinutes: float = Field(
        default=90, gt=0, le=300, description="How long C4 waits for the computer object (five hours at most)."
    )
    connectionRefreshInHours: float = Field(default=6, gt=0, le=8784, description="How often connections are checked.")
    inventoryIntervalInHours: float = Field(
        default=1, gt=0, le=8784, description="How often ledger and inventory are compared (L4)."
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Attempts of one run before it counts as failed (V1).")
    backOffInSeconds: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="Pause before the second attempt, doubled for the third; divided by the simulation's speed (V1).",
    )
    keepFailedMachines: bool = Field(
        default=False, description="Keep a failed attempt's machine and disk for diagnosis (L2)."
    )
    brakePeople: int = Field(
        default=25,
        ge=0,
        le=100_000_000,
        description="Safety brake: people that may lose their Cloud PC in one change without a confirmation (R13).",
    )
    brakeShare: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Safety brake: their share of all people with one; both must be exceeded (R13).",
    )
