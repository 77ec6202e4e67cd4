"""Cloud PCs and how they came to be."""

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

from deskwright.domain.status import Status
from deskwright.store.tables.columns import id_, json, metadata, of, same_tenant, tenant, time

_LIVE = text(f"status <> '{Status.GONE}'")

cloud_pcs = Table(
    "cloud_pcs",
    metadata,
    id_(),
    tenant(),
    of("user_id", "users"),
    of("plan_id", "service_plans"),
    # E8: the policy it was, is being or will be made by. Not a foreign key: a gone Cloud PC outlives its policy.
    Column("policy_id", Uuid),
    Column("policy_name", Text),  # as it was then: renaming the policy does not rename this (E7)
    Column("display_name", Text, nullable=False),
    Column("device_name", Text),
    Column("status", String(32), nullable=False),
    time("status_since", nullable=False, now=True),
    # Why it is not provisioned, or what a pending one waits for: a Waiting value of decide.verdict.
    Column("waiting_for", String(32)),
    Column("entitled_number", BigInteger, nullable=False),  # E6: the queue's order
    of("site_id", "sites", nullable=True),
    of("connection_id", "connections", nullable=True),
    Column("image_name", Text),
    Column("device_image_id", Uuid),  # null: a gallery image
    Column("ip_address", Text),
    of("target_plan_id", "service_plans", nullable=True),  # while it is resized: its seat is held too
    Column("power_state", String(16)),  # running | poweredOff; null without a machine
    json("status_detail", None),  # {"code", "values"} of a failed one
    json("warnings", "[]"),  # [{"step", "code", "values"}]
    Column("user_account_type", String(16)),  # given to a reprovision, counts for its run
    time("provisioned_at"),
    time("grace_ends_at"),
    json("grace", None),  # {"since", "lost": [...], "cause", "was": status before}
    json("review_status", None),  # Graph's cloudPcReviewStatus, once one was set
    time("created_at", nullable=False, now=True),
    time("modified_at", nullable=False, now=True),  # by a trigger, when something changes that people see
    time("gone_at"),
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
    id_(),
    tenant(),
    of("cloud_pc_id", "cloud_pcs"),
    Column("number", Integer, nullable=False),
    Column("kind", String(32), nullable=False),  # a domain.runs.RunKind
    Column("state", String(16), nullable=False, server_default="active"),  # active | succeeded | failed | stopped
    json("policy"),  # E7: the snapshot this run uses
    json("options"),  # e.g. {"steps": ["P3"]} of a repair
    Column("requested_by", Text, nullable=False, server_default="deskwright"),
    # Fencing: every take-over adds one, and a step row is written only under the current one (V6).
    Column("lease", Integer, nullable=False, server_default="0"),
    time("wake_at"),
    Column("wake_reason", Text),
    time("started_at", nullable=False, now=True),
    time("ended_at"),
    json("error", None),  # {"code", "values"}
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
    of("run_id", "runs", cascade=True, primary_key=True),
    Column("attempt", SmallInteger, primary_key=True),
    Column("step", String(8), primary_key=True),
    same_tenant(),
    Column("stage", String(16), nullable=False),
    time("started_at", nullable=False),
    time("ended_at"),
    Column("outcome", String(16), nullable=False, server_default="running"),  # a provision.records.Outcome
    Column("code", String(64)),
    Column("message", Text),
    Column("output", Text),
    json("made"),  # what later steps of the attempt need: ids, names, the address
    Index("ix_steps_durations", "tenant_id", "step", "ended_at", postgresql_where=text("outcome = 'succeeded'")),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    same_tenant(),
    of("cloud_pc_id", "cloud_pcs", nullable=True, index=True),
    Column("run_number", Integer),
    Column("attempt", SmallInteger),
    Column("step", String(8)),
    Column("kind", String(24), nullable=False),
    Column("key", Text, nullable=False),
    Column("site_id", Uuid, nullable=False),  # no foreign key: every attempt would lock the site's row
    Column("external_id", Text),
    json("details"),
    # intended -> created -> released | disabled; an intended one that was never made -> released
    Column("state", String(16), nullable=False, server_default="intended"),
    time("intended_at", nullable=False),
    time("created_at"),
    time("release_at"),  # null while in use, or kept
    time("released_at"),
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
        "ix_ledger_refused",
        "tenant_id",
        postgresql_where=text("release_attempts > 0 AND release_at IS NOT NULL AND state IN ('intended', 'created')"),
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
    id_(),
    tenant(),
    of("cloud_pc_id", "cloud_pcs", cascade=True),
    Column("external_id", Text, nullable=False),
    Column("kind", String(16), nullable=False, server_default="manual"),  # manual | automatic
    Column("status", String(16), nullable=False, server_default="ready"),
    time("created_at", nullable=False),
    time("expires_at"),
    time("last_restored_at"),
    Index("ix_snapshots_cloud_pc_id", "cloud_pc_id", "created_at"),
)

sign_in_details = Table(
    "sign_in_details",
    metadata,
    of("cloud_pc_id", "cloud_pcs", cascade=True, primary_key=True),
    tenant(),
    Column("portal_address", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("one_time_password", LargeBinary),  # encrypted; removed when it has been presented
    time("presented_at"),
)
