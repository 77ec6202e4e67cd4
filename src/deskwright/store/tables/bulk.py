"""Bulk actions on Cloud PCs, and exported reports."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text, Uuid, text

from deskwright.store.tables.columns import id_, json, metadata, of, tenant, time

# One action on many Cloud PCs. What became of each is read from its run; here is only what no run tells.
bulk_actions = Table(
    "bulk_actions",
    metadata,
    id_(),
    tenant(),
    Column("kind", String(32), nullable=False),  # a name of operations.bulk_actions.KINDS
    Column("display_name", Text, nullable=False),
    json("options"),
    Column("requested_by", Text, nullable=False),
    Column("requested_by_user", Text),  # the userPrincipalName, where a person asked for it
    time("created_at", nullable=False),
    Index("ix_bulk_actions_tenant", "tenant_id", "created_at"),
)

bulk_action_items = Table(
    "bulk_action_items",
    metadata,
    of("bulk_action_id", "bulk_actions", cascade=True, primary_key=True),
    of("cloud_pc_id", "cloud_pcs", cascade=True, primary_key=True, index=True),
    Column("position", Integer, nullable=False),
    # pending -> begun -> accepted (its run tells the rest) | done | refused | notSupported
    Column("state", String(16), nullable=False, server_default="pending"),
    Column("run_before", Integer),  # the newest run's number when it began: a newer one is ours (V6)
    Column("run_id", Uuid),
    json("error", None),  # {"code", "message"} of a refusal
    time("changed_at", nullable=False),
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
    id_(),
    tenant(),
    Column("report_name", Text, nullable=False),
    Column("format", String(8), nullable=False),  # csv | json
    Column("filter", Text),
    json("columns", "[]"),
    Column("content", LargeBinary, nullable=False),  # compressed
    time("requested_at", nullable=False),
    time("expires_at", nullable=False),
    Index("ix_export_jobs_tenant", "tenant_id", "expires_at"),
)
