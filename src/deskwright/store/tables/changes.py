"""What changed, who did it, what must be looked at."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from deskwright.store.tables.columns import id_, json, metadata, of, tenant, time

# Users a change touched. A reconcile takes rows and decides; the row's number is the age of the entitlement (E6).
touched_users = Table(
    "touched_users",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    tenant(),
    Column("user_id", Uuid, nullable=False),
    json("cause"),  # {"actor", "activity", "object"}: becomes the reason of a grace period
    time("at", nullable=False, now=True),  # real time
    Index("ix_touched_users_tenant", "tenant_id", "number"),
)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    tenant(),
    time("at", nullable=False, now=True),
    Column("actor", Text, nullable=False),
    Column("activity", Text, nullable=False),
    Column("object_type", String(32), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("object_name", Text, nullable=False, server_default=""),
    json("before", None),
    json("after", None),
    Column("correlation_id", Text),
    Index("ix_audit_events_tenant", "tenant_id", "id"),
    Index("ix_audit_events_object", "object_id"),
)

faults = Table(
    "faults",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    tenant(),
    Column("step", String(32), nullable=False),
    Column("code", String(64), nullable=False),
    Column("user_principal_name", Text),
    Column("policy_name", Text),
    json("attempts", None),  # [1, 2]; null = every attempt
    Column("rate", Double, nullable=False, server_default="1"),
    Column("delay_seconds", Double, nullable=False, server_default="0"),
    Column("from_document", Boolean, nullable=False, server_default=text("false")),
    time("created_at", nullable=False, now=True),
    Index("ix_faults_tenant", "tenant_id"),
)

strangers = Table(
    "strangers",
    metadata,
    of("site_id", "sites", primary_key=True, cascade=True),
    Column("external_id", Text, primary_key=True),
    tenant(),
    Column("kind", String(24), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    time("first_seen_at", nullable=False),
    time("last_seen_at", nullable=False),
)

# Of the rules that every tenant has (domain.alerts), those that were changed; and those that were added.
alert_rules = Table(
    "alert_rules",
    metadata,
    of("tenant_id", "tenants", cascade=True, primary_key=True),
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("template", String(64), nullable=False),  # a domain.alerts.Template
    Column("system_rule", Boolean, nullable=False, server_default=text("false")),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("severity", String(16), nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("conditions", JSONB, nullable=False),
    Column("notification_channels", JSONB, nullable=False),
    time("created_at", nullable=False, now=True),
)

alert_records = Table(
    "alert_records",
    metadata,
    id_(),
    tenant(),
    Column("rule_id", Uuid, nullable=False),  # no foreign key: a record outlives its rule
    Column("template", String(64), nullable=False),
    Column("display_name", Text, nullable=False),  # the rule's, and its severity, when it was raised
    Column("severity", String(16), nullable=False),
    Column("impact", JSONB, nullable=False),  # {"value", "aggregationType", "details": [{"name", "value"}]}
    Column("notification_sent", Boolean, nullable=False, server_default=text("false")),
    time("detected_at", nullable=False),
    time("updated_at", nullable=False),
    time("resolved_at"),  # null: active
    Index("uq_alert_records_active", "tenant_id", "rule_id", unique=True, postgresql_where=text("resolved_at IS NULL")),
    Index("ix_alert_records_tenant", "tenant_id", "id"),
)

# What people are told by mail or webhook: a row for each thing, channel and moment, so that nothing is told twice.
notifications = Table(
    "notifications",
    metadata,
    id_(),
    tenant(),
    of("cloud_pc_id", "cloud_pcs", cascade=True),
    Column("kind", String(32), nullable=False),  # a domain.notices.Kind
    Column("channel", String(16), nullable=False),  # mail | webhook
    time("about", nullable=False),  # when it happened, in the tenant's time
    # pending | sent | failed: given up, over a webhook a dead letter | discarded by an administrator
    Column("state", String(16), nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    time("next_at", nullable=False, now=True),  # real time
    time("sent_at"),
    Column("last_error", Text),
    Column("number", BigInteger, Identity(), nullable=False),  # the order of a Cloud PC's events
    json("data", None),  # of a change of status, written by a trigger: what its event says
    Index(
        "uq_notifications_once",
        "cloud_pc_id",
        "kind",
        "channel",
        "about",
        unique=True,
        postgresql_where=text("kind <> 'statusChanged'"),
    ),
    Index("ix_notifications_mails_due", "next_at", postgresql_where=text("state = 'pending' AND channel = 'mail'")),
    Index(
        "ix_notifications_events_due",
        "tenant_id",
        "next_at",
        "number",
        postgresql_where=text("state = 'pending' AND channel = 'webhook'"),
    ),
    Index("ix_notifications_tenant", "tenant_id", "about"),
    Index(
        "ix_notifications_order",
        "cloud_pc_id",
        "number",
        postgresql_where=text("state = 'pending' AND channel = 'webhook'"),
    ),
    Index(
        "ix_notifications_trouble",
        "tenant_id",
        "channel",
        "number",
        postgresql_where=text("last_error IS NOT NULL AND state IN ('pending', 'failed')"),
    ),
    Index(
        "ix_notifications_mails",
        "tenant_id",
        "sent_at",
        postgresql_where=text("channel = 'mail' AND state = 'sent'"),
    ),
    Index(
        "ix_notifications_events",
        "tenant_id",
        "about",
        postgresql_where=text("kind = 'statusChanged' AND state IN ('sent', 'discarded')"),
    ),
)
