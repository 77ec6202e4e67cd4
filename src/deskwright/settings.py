"""Settings: of the installation (environment) and of a tenant (stored, changeable while running).

Every field's description is printed in docs/settings.md; a test compares the two.
"""

import ipaddress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
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
    image_dir: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("deskwright") / "images",
        description="Where gallery images are built and kept, on the machine that builds them; it can be emptied.",
    )
    import_dir: Path | None = Field(
        default=None,
        description="The folder that image files are imported from, each tenant's in a folder named by its id; unset: "
        "imports in the data directory. "
        "Files elsewhere are refused.",
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
    smtp_url: SecretStr | None = Field(
        default=None,
        description="The mail server that people are told by: smtp://user:password@host:587?starttls=1 or smtps://...; "
        "unset: no mail is sent. The same on every worker.",
    )
    mail_from: str | None = Field(
        default=None,
        max_length=320,
        description="Sender of mails, such as Deskwright <desktops@contoso.com>; unset: the mail server's user, "
        "where that is an address.",
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
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="text or json, a line for each event; unset: text on a terminal, else json."
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What Prometheus presents as its bearer token to read /metrics; unset: only calls from the same "
        "machine, not through a proxy, may read it.",
    )
    metrics_by_tenant: bool = Field(
        default=False, description="Whether metrics that can be told apart by tenant are, by the label tenant (its id)."
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Where deskwright worker answers /metrics and /healthz; unset: nowhere; 0: any free port.",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="The address of that port; one that others reach wants a token.",
    )

    def imports_of(self, tenant: UUID) -> Path:
        """Where a tenant's files to import lie: what one brings, no other may read."""
        return (self.import_dir or self.data_dir / "imports") / str(tenant)


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
    connectionFailuresUntilUnhealthy: int = Field(
        default=1,
        ge=1,
        le=10,
        description="So many failed results in a row make a healthy connection unhealthy; until then it is checked "
        "again every minute and stays usable (V3).",
    )
    connectionPassesUntilHealthy: int = Field(
        default=1,
        ge=1,
        le=10,
        description="So many results in a row without a failure make an unhealthy connection healthy again; until "
        "then it is checked again every minute.",
    )
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
    notifyByMail: bool = Field(
        default=True,
        description="Tell people by mail when their Cloud PC is ready or will be removed, where a mail server is set "
        "(R16).",
    )
    webhookUrl: str | None = Field(
        default=None,
        max_length=2000,
        description="Where the same, and every change of a status, is sent as signed CloudEvents: https://..., or "
        "http:// on this machine. Whoever may read settings sees it (R16, R6).",
    )
    webhookStatusChanges: bool = Field(
        default=True, description="Whether the webhook is told of every change of a Cloud PC's status (R6)."
    )

    @field_validator("webhookUrl")
    @classmethod
    def _check_webhook(cls, url: str | None) -> str | None:
        return None if url is None else check_webhook(url)


def check_webhook(url: str) -> str:
    """The address, or ValueError with the rule. Any host may be named: what it reaches is the operator's network."""
    rule = "must be https://HOST/..., or http:// on this machine (127.0.0.1, ::1, localhost)"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(rule) from None
    if not url.isascii() or not url.isprintable() or " " in url or not host:
        raise ValueError(rule)
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("must not have a user, a password or a fragment: the signature proves who sends")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise ValueError(rule)
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
