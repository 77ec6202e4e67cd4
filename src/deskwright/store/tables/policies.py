"""Provisioning policies."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from deskwright.store.tables.columns import id_, json, metadata, of, tenant, time

policies = Table(
    "policies",
    metadata,
    id_(),
    tenant(),
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
    json("kept_properties"),  # see connections
    Column("created_by", Text),
    Column("modified_by", Text),
    time("created_at", nullable=False, now=True),
    time("modified_at", nullable=False, now=True),
    Index("uq_policies_name", "tenant_id", text("lower(display_name)"), unique=True),
)

policy_connections = Table(
    "policy_connections",
    metadata,
    of("policy_id", "policies", cascade=True, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    of("connection_id", "connections", index=True),
    tenant(),
)

policy_assignments = Table(
    "policy_assignments",
    metadata,
    of("policy_id", "policies", primary_key=True),  # no cascade: E9
    of("group_id", "groups", cascade=True, primary_key=True, index=True),
    tenant(),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("number", BigInteger, nullable=False),  # E4: the smallest that reaches a user wins
    UniqueConstraint("tenant_id", "number"),
)
