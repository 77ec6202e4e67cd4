"""Every table Deskwright owns, in the order a reader needs them.

Times are UTC. Columns that a rule waits for (`wake_at`, `grace_ends_at`, `release_at`, `next_check_at`, ...)
are in the tenant's time (see `clock`), each with a partial index: waiting costs nothing. The job queue's own
tables belong to Procrastinate, the simulated outside world's to `providers.simulator`.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from deskwright.domain.status import Status

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _id() -> "Column[Any]":
    return Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid())


def _tenant() -> "Column[Any]":
    return Column("tenant_id", Uuid, ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False)


def _same_tenant() -> "Column[Any]":
    """The tenant of the row this one hangs on. No foreign key: every step of every run would lock the tenant's row."""
    return Column("tenant_id", Uuid, nullable=False)


def _of(column: str, target: str, *, nullable: bool = False, cascade: bool = False, **kw: Any) -> "Column[Any]":
    key = ForeignKey(f"{target}.id", ondelete="CASCADE" if cascade else None)
    return Column(column, Uuid, key, nullable=nullable, **kw)


def _json(name: str, default: str | None = "{}") -> "Column[Any]":
    given = None if default is None else text(f"'{default}'::jsonb")
    return Column(name, JSONB(none_as_null=True), nullable=default is None, server_default=given)


def _time(name: str, *, nullable: bool = True, now: bool = False) -> "Column[Any]":
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=func.now() if now else None)


# --- the tenant and where its Cloud PCs run ---------------------------------------------------------

tenants = Table(
    "tenants",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False, server_default="0"),  # +1 for each administrative change
    Column("assignments_made", BigInteger, nullable=False, server_default="0"),  # E4: the number that is counted up
    Column("clock_offset", Double, nullable=False, server_default="0"),  # seconds ahead of real time
    Column("speed", Double, nullable=False, server_default="1"),  # simulated durations are divided by it
    Column("seed", BigInteger, nullable=False, server_default="0"),
    _json("settings"),  # overrides of settings.TenantSettings
    _json("organization_settings"),  # Graph's cloudPcOrganizationSettings, as far as it was set
    _time("next_inventory_at"),  # L4: when ledger and inventory are next compared
    _time("created_at", nullable=False, now=True),
)

sites = Table(
    "sites",
    metadata,
    _id(),
    _tenant(),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("region_group", Text, nullable=False),
    _json("compute", '{"kind": "simulator"}'),
    _json("directory", '{"kind": "simulator"}'),
    _json("management", '{"kind": "simulator"}'),
    _time("created_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "name"),
)

# --- the directory -----------------------------------------------------------------------------------

users = Table(
    "users",
    metadata,
    _id(),
    _tenant(),
    Column("user_principal_name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("account_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("on_premises_user_principal_name", Text),
    Column("mail", Text),
    _json("profile"),  # properties nothing here acts on, such as jobTitle, by the API's names: kept and told again
    _time("created_at", nullable=False, now=True),
    _time("deleted_at"),
    Index("ix_users_display_name", "tenant_id", text("lower(display_name)")),
    Index("ix_users_mail", "tenant_id", text("lower(mail)"), postgresql_where=text("mail IS NOT NULL")),
    Index(
        "uq_users_upn",
        "tenant_id",
        text("lower(user_principal_name)"),
        unique=True,
        postgresql_where=text("deleted_at IS NULL"),
    ),
    # Of deleted ones too: their Cloud PCs are found by the name while they are in grace.
    Index("ix_users_upn_all", "tenant_id", text("lower(user_principal_name)")),
)

groups = Table(
    "groups",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("kind", String(16), nullable=False, server_default="security"),  # security | microsoft365
    _json("profile"),
    _time("created_at", nullable=False, now=True),
    Index("uq_groups_name", "tenant_id", text("lower(display_name)"), unique=True),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", Uuid, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    _tenant(),
)

# --- licences ----------------------------------------------------------------------------------------

service_plans = Table(
    "service_plans",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("vcpu_count", Integer, nullable=False),
    Column("ram_gb", Integer, nullable=False),
    Column("storage_gb", Integer, nullable=False),
    Column("seats", Integer, nullable=False),
    # Kept by a trigger on cloud_pcs, so that E6's question costs one row and not one scan (E10).
    Column("seats_used", Integer, nullable=False, server_default="0"),
    _time("created_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "display_name"),
    CheckConstraint("seats >= 0", name="seats"),
)

license_users = Table(
    "license_users",
    metadata,
    Column("plan_id", Uuid, ForeignKey("service_plans.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    _tenant(),
)

license_groups = Table(
    "license_groups",
    metadata,
    Column("plan_id", Uuid, ForeignKey("service_plans.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", Uuid, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True, index=True),
    _tenant(),
)

# --- what a policy points to -------------------------------------------------------------------------

connections = Table(
    "connections",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("connection_type", String(32), nullable=False),  # hybridAzureADJoin | azureADJoin
    _of("site_id", "sites"),
    Column("network", Text, nullable=False),
    Column("subnet", Text, nullable=False),
    Column("subscription", Text),
    Column("resource_group", Text),
    Column("ad_domain_name", Text),
    Column("organizational_unit", Text),
    Column("ad_domain_username", Text),
    Column("ad_domain_password", LargeBinary),  # encrypted, see store.secrets; write-only
    Column("health_status", String(16), nullable=False, server_default="pending"),  # the last settled one (V3)
    Column("checking", Boolean, nullable=False, server_default=text("false")),
    _time("checked_at"),
    _time("next_check_at"),
    # What clients of the API set that has no meaning here: told again as it was given, never acted upon.
    _json("kept_properties"),
    _time("created_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "display_name"),
    Index(
        "ix_connections_next_check",
        "tenant_id",
        "next_check_at",
        postgresql_where=text("next_check_at IS NOT NULL"),
    ),
)

connection_checks = Table(
    "connection_checks",
    metadata,
    _of("connection_id", "connections", cascade=True, primary_key=True),
    Column("check_id", String(48), primary_key=True),
    _tenant(),
    Column("status", String(16), nullable=False),
    Column("error_code", String(64)),
    Column("detail", Text, nullable=False, server_default=""),
    _time("started_at"),
    _time("ended_at"),
)

device_images = Table(
    "device_images",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("version", Text, nullable=False),
    _of("site_id", "sites"),
    _json("source"),
    Column("operating_system", Text, nullable=False, server_default=""),
    Column("os_family", String(16), nullable=False, server_default="linux"),  # windows | linux
    Column("disk_gb", Integer, nullable=False, server_default="64"),
    Column("status", String(16), nullable=False, server_default="pending"),  # pending | ready | failed
    Column("error_code", String(64)),
    Column("error_detail", Text),
    _time("next_step_at"),  # when the build or the validation is looked at again
    # The same at every site: name and version are one image to the API. Set by a trigger.
    Column("image_id", Uuid, nullable=False),
    _time("created_at", nullable=False, now=True),
    _time("modified_at", nullable=False, now=True),
    Index("ix_device_images_image_id", "tenant_id", "image_id"),
    UniqueConstraint("tenant_id", "display_name", "version", "site_id"),
    Index(
        "ix_device_images_next_step",
        "tenant_id",
        "next_step_at",
        postgresql_where=text("next_step_at IS NOT NULL"),
    ),
)

user_settings = Table(
    "user_settings",
    metadata,
    _id(),
    _tenant(),
    Column("number", BigInteger, Identity(), nullable=False),  # on conflict the highest wins: most recently created
    Column("display_name", Text, nullable=False),
    Column("local_admin_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("reset_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("restore_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("restore_frequency_hours", Integer, nullable=False, server_default="12"),
    _json("kept_properties"),  # see connections
    _time("created_at", nullable=False, now=True),
    _time("modified_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "display_name"),
)

user_setting_assignments = Table(
    "user_setting_assignments",
    metadata,
    _of("setting_id", "user_settings", cascade=True, primary_key=True),
    _of("group_id", "groups", cascade=True, primary_key=True, index=True),
    _tenant(),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    _time("created_at", nullable=False, now=True),
)

# --- provisioning policies ---------------------------------------------------------------------------

policies = Table(
    "policies",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("provisioning_type", String(32), nullable=False, server_default="dedicated"),
    Column("join_type", String(32), nullable=False),  # azureADJoin | hybridAzureADJoin
    # Microsoft-hosted kind: region_group, and region where it is not "automatic"; else policy_connections in order.
    Column("region_group", Text),
    Column("region", Text),
    Column("image_type", String(16), nullable=False),  # gallery | custom
    Column("gallery_image", Text),
    Column("device_image", Text),  # a display name: the same image may exist at several sites
    Column("naming_template", Text, nullable=False),
    Column("locale", Text, nullable=False, server_default="en-US"),
    Column("single_sign_on", Boolean, nullable=False, server_default=text("true")),
    Column("local_admin_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("revision", Integer, nullable=False, server_default="1"),
    _json("kept_properties"),  # see connections
    Column("created_by", Text),
    Column("modified_by", Text),
    _time("created_at", nullable=False, now=True),
    _time("modified_at", nullable=False, now=True),
    Index("uq_policies_name", "tenant_id", text("lower(display_name)"), unique=True),
)

policy_connections = Table(
    "policy_connections",
    metadata,
    _of("policy_id", "policies", cascade=True, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    _of("connection_id", "connections", index=True),
    _tenant(),
)

policy_assignments = Table(
    "policy_assignments",
    metadata,
    _of("policy_id", "policies", primary_key=True),  # no cascade: E9
    _of("group_id", "groups", cascade=True, primary_key=True, index=True),
    _tenant(),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("number", BigInteger, nullable=False),  # E4: the smallest that reaches a user wins
    UniqueConstraint("tenant_id", "number"),
)

# --- Cloud PCs and how they came to be ---------------------------------------------------------------

_LIVE = text(f"status <> '{Status.GONE}'")

cloud_pcs = Table(
    "cloud_pcs",
    metadata,
    _id(),
    _tenant(),
    _of("user_id", "users"),
    _of("plan_id", "service_plans"),
    # E8: the policy it was, is being or will be made by. Not a foreign key: a gone Cloud PC outlives its policy.
    Column("policy_id", Uuid),
    Column("policy_name", Text),  # as it was then: renaming the policy does not rename this (E7)
    Column("display_name", Text, nullable=False),
    Column("device_name", Text),
    Column("status", String(32), nullable=False),
    _time("status_since", nullable=False, now=True),
    # Why it is not provisioned, or what a pending one waits for: a Waiting value of decide.verdict.
    Column("waiting_for", String(32)),
    Column("entitled_number", BigInteger, nullable=False),  # E6: the queue's order
    _of("site_id", "sites", nullable=True),
    _of("connection_id", "connections", nullable=True),
    Column("image_name", Text),
    Column("device_image_id", Uuid),  # null: a gallery image
    Column("ip_address", Text),
    _of("target_plan_id", "service_plans", nullable=True),  # while it is resized: its seat is held too
    Column("power_state", String(16)),  # running | poweredOff; null without a machine
    _json("status_detail", None),  # {"code", "values"} of a failed one
    _json("warnings", "[]"),  # [{"step", "code", "values"}]
    Column("user_account_type", String(16)),  # given to a reprovision, counts for its run
    _time("provisioned_at"),
    _time("grace_ends_at"),
    _json("grace", None),  # {"since", "lost": [...], "cause", "was": status before}
    _json("review_status", None),  # Graph's cloudPcReviewStatus, once one was set
    _time("created_at", nullable=False, now=True),
    _time("modified_at", nullable=False, now=True),  # by a trigger, when something changes that people see
    _time("gone_at"),
    # E2, by the database and not only by code:
    Index("uq_cloud_pcs_live_pair", "user_id", "plan_id", unique=True, postgresql_where=_LIVE),
    Index(
        "ix_cloud_pcs_queue",
        "plan_id",
        "waiting_for",
        "entitled_number",
        postgresql_where=text(f"status = '{Status.PENDING}'"),
    ),
    # Lists in pages: the API's order is that of the ids, within a status too.
    Index("ix_cloud_pcs_live", "tenant_id", "status", "id", postgresql_where=_LIVE),
    Index("ix_cloud_pcs_live_id", "tenant_id", "id", postgresql_where=_LIVE),
    Index("ix_cloud_pcs_modified", "tenant_id", "modified_at", "id", postgresql_where=_LIVE),
    Index("ix_cloud_pcs_policy", "policy_id", postgresql_where=_LIVE),
    Index("ix_cloud_pcs_connection", "connection_id", postgresql_where=_LIVE),
    Index("ix_cloud_pcs_grace", "tenant_id", "grace_ends_at", postgresql_where=text("grace_ends_at IS NOT NULL")),
    Index("ix_cloud_pcs_user_all", "user_id"),
    Index("ix_cloud_pcs_target_plan", "target_plan_id", postgresql_where=text("target_plan_id IS NOT NULL")),
    Index("ix_cloud_pcs_device_name", "tenant_id", text("lower(device_name)")),
)

runs = Table(
    "runs",
    metadata,
    _id(),
    _tenant(),
    _of("cloud_pc_id", "cloud_pcs"),
    Column("number", Integer, nullable=False),
    Column("kind", String(32), nullable=False),  # a domain.runs.RunKind
    Column("state", String(16), nullable=False, server_default="active"),  # active | succeeded | failed | stopped
    _json("policy"),  # E7: the snapshot this run uses
    _json("options"),  # e.g. {"steps": ["P3"]} of a repair
    Column("requested_by", Text, nullable=False, server_default="deskwright"),
    # Fencing: every take-over adds one, and a step row is written only under the current one (V6).
    Column("lease", Integer, nullable=False, server_default="0"),
    _time("wake_at"),
    Column("wake_reason", Text),
    _time("started_at", nullable=False, now=True),
    _time("ended_at"),
    _json("error", None),  # {"code", "values"}
    UniqueConstraint("cloud_pc_id", "number"),
    Index("ix_runs_without_deadline", "id", postgresql_where=text("state = 'active' AND wake_at IS NULL")),
    Index("uq_runs_active", "cloud_pc_id", unique=True, postgresql_where=text("state = 'active'")),
    Index(
        "ix_runs_wake",
        "tenant_id",
        "wake_at",
        postgresql_where=text("state = 'active' AND wake_at IS NOT NULL"),
    ),
)

steps = Table(
    "steps",
    metadata,
    _of("run_id", "runs", cascade=True, primary_key=True),
    Column("attempt", SmallInteger, primary_key=True),
    Column("step", String(8), primary_key=True),
    _same_tenant(),
    Column("stage", String(16), nullable=False),
    _time("started_at", nullable=False),
    _time("ended_at"),
    Column("outcome", String(16), nullable=False, server_default="running"),  # a provision.records.Outcome
    Column("code", String(64)),
    Column("message", Text),
    Column("output", Text),
    _json("made"),  # what later steps of the attempt need: ids, names, the address
    Index("ix_steps_durations", "tenant_id", "step", "ended_at", postgresql_where=text("outcome = 'succeeded'")),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _same_tenant(),
    _of("cloud_pc_id", "cloud_pcs", nullable=True, index=True),
    Column("run_number", Integer),
    Column("attempt", SmallInteger),
    Column("step", String(8)),
    Column("kind", String(24), nullable=False),
    Column("key", Text, nullable=False),
    Column("site_id", Uuid, nullable=False),  # no foreign key: every attempt would lock the site's row
    Column("external_id", Text),
    _json("details"),
    # intended -> created -> released | disabled; an intended one that was never made -> released
    Column("state", String(16), nullable=False, server_default="intended"),
    _time("intended_at", nullable=False),
    _time("created_at"),
    _time("release_at"),  # null while in use, or kept
    _time("released_at"),
    Column("release_attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    UniqueConstraint("tenant_id", "key"),
    Index(
        "ix_ledger_release",
        "tenant_id",
        "release_at",
        postgresql_where=text("release_at IS NOT NULL AND state IN ('intended', 'created')"),
    ),
    Index(
        "ix_ledger_objects",
        "tenant_id",
        "kind",
        "external_id",
        postgresql_where=text("kind IN ('device', 'managedDevice') AND state = 'created'"),
    ),
)

# Restore points. The object outside has its row in the ledger; here is what people see and restore to.
snapshots = Table(
    "snapshots",
    metadata,
    _id(),
    _tenant(),
    _of("cloud_pc_id", "cloud_pcs", cascade=True),
    Column("external_id", Text, nullable=False),
    Column("kind", String(16), nullable=False, server_default="manual"),  # manual | automatic
    Column("status", String(16), nullable=False, server_default="ready"),
    _time("created_at", nullable=False),
    _time("expires_at"),
    _time("last_restored_at"),
    Index("ix_snapshots_cloud_pc_id", "cloud_pc_id", "created_at"),
)

# One action on many Cloud PCs. What became of each is read from its run; here is only what no run tells.
bulk_actions = Table(
    "bulk_actions",
    metadata,
    _id(),
    _tenant(),
    Column("kind", String(32), nullable=False),  # a name of operations.bulk_actions.KINDS
    Column("display_name", Text, nullable=False),
    _json("options"),
    Column("requested_by", Text, nullable=False),
    Column("requested_by_user", Text),  # the userPrincipalName, where a person asked for it
    _time("created_at", nullable=False),
    Index("ix_bulk_actions_tenant", "tenant_id", "created_at"),
)

bulk_action_items = Table(
    "bulk_action_items",
    metadata,
    _of("bulk_action_id", "bulk_actions", cascade=True, primary_key=True),
    _of("cloud_pc_id", "cloud_pcs", cascade=True, primary_key=True, index=True),
    Column("position", Integer, nullable=False),
    # pending -> begun -> accepted (its run tells the rest) | done | refused | notSupported
    Column("state", String(16), nullable=False, server_default="pending"),
    Column("run_before", Integer),  # the newest run's number when it began: a newer one is ours (V6)
    Column("run_id", Uuid),
    _json("error", None),  # {"code", "message"} of a refusal
    _time("changed_at", nullable=False),
    Index(
        "ix_bulk_action_items_open",
        "bulk_action_id",
        "position",
        postgresql_where=text("state IN ('pending', 'begun')"),
    ),
)

export_jobs = Table(
    "export_jobs",
    metadata,
    _id(),
    _tenant(),
    Column("report_name", Text, nullable=False),
    Column("format", String(8), nullable=False),  # csv | json
    Column("filter", Text),
    _json("columns", "[]"),
    Column("content", LargeBinary, nullable=False),  # compressed
    _time("requested_at", nullable=False),
    _time("expires_at", nullable=False),
    Index("ix_export_jobs_tenant", "tenant_id", "expires_at"),
)

sign_in_details = Table(
    "sign_in_details",
    metadata,
    _of("cloud_pc_id", "cloud_pcs", cascade=True, primary_key=True),
    _tenant(),
    Column("portal_address", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("one_time_password", LargeBinary),  # encrypted; removed when it has been presented
    _time("presented_at"),
)

# --- what changed, who did it, what must be looked at -------------------------------------------------

# Users a change touched. A reconcile takes rows and decides; the row's number is the age of the entitlement (E6).
touched_users = Table(
    "touched_users",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    _tenant(),
    Column("user_id", Uuid, nullable=False),
    _json("cause"),  # {"actor", "activity", "object"}: becomes the reason of a grace period
    Index("ix_touched_users_tenant", "tenant_id", "number"),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _tenant(),
    _time("at", nullable=False, now=True),
    Column("actor", Text, nullable=False),
    Column("activity", Text, nullable=False),
    Column("object_type", String(32), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_name", Text, nullable=False, server_default=""),
    _json("before", None),
    _json("after", None),
    Column("correlation_id", Text),
    Index("ix_audit_events_tenant", "tenant_id", "id"),
    Index("ix_audit_events_object", "object_id"),
)

faults = Table(
    "faults",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    _tenant(),
    Column("step", String(32), nullable=False),
    Column("code", String(64), nullable=False),
    Column("user_principal_name", Text),
    Column("policy_name", Text),
    _json("attempts", None),  # [1, 2]; null = every attempt
    Column("rate", Double, nullable=False, server_default="1"),
    Column("delay_seconds", Double, nullable=False, server_default="0"),
    Column("from_document", Boolean, nullable=False, server_default=text("false")),
    _time("created_at", nullable=False, now=True),
    Index("ix_faults_tenant", "tenant_id"),
)

strangers = Table(
    "strangers",
    metadata,
    _of("site_id", "sites", primary_key=True, cascade=True),
    Column("external_id", Text, primary_key=True),
    _tenant(),
    Column("kind", String(24), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    _time("first_seen_at", nullable=False),
    _time("last_seen_at", nullable=False),
)

# Of the rules that every tenant has (domain.alerts), those that were changed; and those that were added.
alert_rules = Table(
    "alert_rules",
    metadata,
    _of("tenant_id", "tenants", cascade=True, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("template", String(64), nullable=False),  # a domain.alerts.Template
    Column("system_rule", Boolean, nullable=False, server_default=text("false")),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("severity", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("conditions", JSONB, nullable=False),
    Column("notification_channels", JSONB, nullable=False),
    _time("created_at", nullable=False, now=True),
)

alert_records = Table(
    "alert_records",
    metadata,
    _id(),
    _tenant(),
    Column("rule_id", Uuid, nullable=False),  # no foreign key: a record outlives its rule
    Column("template", String(64), nullable=False),
    Column("display_name", Text, nullable=False),  # the rule's, and its severity, when it was raised
    Column("severity", String(16), nullable=False),
    Column("impact", JSONB, nullable=False),  # {"value", "aggregationType", "details": [{"name", "value"}]}
    Column("notification_sent", Boolean, nullable=False, server_default=text("false")),
    _time("detected_at", nullable=False),
    _time("updated_at", nullable=False),
    _time("resolved_at"),  # null: active
    Index("uq_alert_records_active", "tenant_id", "rule_id", unique=True, postgresql_where=text("resolved_at IS NULL")),
    Index("ix_alert_records_tenant", "tenant_id", "id"),
)

# --- who may call: times of this part are real time (R5) -----------------------------------------------

app_registrations = Table(
    "app_registrations",
    metadata,
    _id(),
    _tenant(),
    Column("display_name", Text, nullable=False),
    Column("permissions", ARRAY(Text), nullable=False, server_default="{}"),  # names of identity.permissions
    Column("public_client", Boolean, nullable=False, server_default=text("false")),
    Column("redirect_uris", ARRAY(Text), nullable=False, server_default="{}"),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    _time("created_at", nullable=False, now=True),
    Index("uq_app_registrations_name", "tenant_id", text("lower(display_name)"), unique=True),
)

app_secrets = Table(
    "app_secrets",
    metadata,
    _id(),
    _of("app_id", "app_registrations", cascade=True, index=True),
    _tenant(),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("hint", String(3), nullable=False),  # its first characters, to tell secrets apart
    Column("hash", Text, nullable=False),  # Argon2; the secret itself is shown once and kept nowhere
    _time("created_at", nullable=False, now=True),
    _time("expires_at", nullable=False),
)

# The installation's, not a tenant's.
signing_keys = Table(
    "signing_keys",
    metadata,
    _id(),
    Column("private_key", LargeBinary, nullable=False),  # PEM, encrypted, see store.secrets
    _time("created_at", nullable=False, now=True),
    _time("retired_at"),  # signs no more; what it signed is accepted until it has expired
)

user_credentials = Table(
    "user_credentials",
    metadata,
    _of("user_id", "users", cascade=True, primary_key=True),
    _tenant(),
    Column("password_hash", Text, nullable=False),  # Argon2
    Column("must_change", Boolean, nullable=False, server_default=text("false")),
    Column("failed_attempts", Integer, nullable=False, server_default="0"),
    _time("locked_until"),
    _time("changed_at", nullable=False, now=True),
)

role_assignments = Table(
    "role_assignments",
    metadata,
    _id(),
    _tenant(),
    Column("role", Text, nullable=False),  # a name of identity.permissions.ROLES
    _of("user_id", "users", cascade=True),
    # What the API calls an assignment may name several people: a row for each.
    Column("assignment_id", Uuid, nullable=False, index=True, server_default=func.gen_random_uuid()),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    _time("created_at", nullable=False, now=True),
    UniqueConstraint("user_id", "role"),
    Index("ix_role_assignments_tenant", "tenant_id"),
)

# Codes and refresh tokens are kept as SHA-256 of what the client has: 256 random bits need no slower hash. `app_id` has
# no foreign key: built-in applications (identity.apps) have no row.

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    _tenant(),
    Column("app_id", Uuid, nullable=False),
    _of("user_id", "users", cascade=True),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("nonce", Text),
    Column("code_challenge", Text),
    Column("code_challenge_method", String(8)),
    Column("family", Uuid, nullable=False),  # of the refresh tokens it leads to
    _time("expires_at", nullable=False),
    _time("used_at"),
    Index("ix_authorization_codes_expires", "expires_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_code", String(16), nullable=False, unique=True),
    _of("tenant_id", "tenants", nullable=True, cascade=True),  # null: the tenant of whoever signs in
    Column("app_id", Uuid, nullable=False),
    Column("scope", Text, nullable=False),
    _of("user_id", "users", nullable=True, cascade=True),  # who approved
    Column("declined", Boolean, nullable=False, server_default=text("false")),
    _time("expires_at", nullable=False),
    _time("polled_at"),
    _time("used_at"),
    Index("ix_device_codes_expires", "expires_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    _tenant(),
    Column("family", Uuid, nullable=False, index=True),  # everything that came of one sign-in
    Column("app_id", Uuid, nullable=False),
    _of("user_id", "users", cascade=True, index=True),
    Column("scope", Text, nullable=False),
    _time("expires_at", nullable=False),
    _time("used_at"),
    _time("revoked_at"),
    Index("ix_refresh_tokens_expires", "expires_at"),
)
