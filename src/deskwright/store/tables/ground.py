"""What a policy points to: connections with their checks, images, user settings."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from deskwright.store.tables.columns import id_, json, metadata, of, same_tenant, tenant, time

connections = Table(
    "connections",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("connection_type", String(32), nullable=False),  # hybridAzureADJoin | azureADJoin
    of("site_id", "sites"),
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
    time("checking_since"),  # when the present look at all checks began; null: none is under way
    time("checked_at"),
    time("next_check_at"),
    Column("failures_in_a_row", Integer, nullable=False, server_default="0"),
    Column("passes_in_a_row", Integer, nullable=False, server_default="0"),
    # What clients of the API set that has no meaning here: told again as it was given, never acted upon.
    json("kept_properties"),
    time("created_at", nullable=False, now=True),
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
    of("connection_id", "connections", cascade=True, primary_key=True),
    Column("check_id", String(48), primary_key=True),
    tenant(),
    Column("status", String(16), nullable=False),
    Column("error_code", String(64)),
    Column("detail", Text, nullable=False, server_default=""),
    time("started_at"),
    time("ended_at"),
    Column("seconds", Float),  # real ones, that the look took
)

# What all checks together have come to, the last times they ended; `reconcile.health` keeps a number of them.
connection_results = Table(
    "connection_results",
    metadata,
    of("connection_id", "connections", primary_key=True, cascade=True),
    time("at", nullable=False, primary_key=True),
    same_tenant(),
    Column("status", String(16), nullable=False),
    json("findings", "[]"),  # [{"check", "status", "code"}] of those that did not pass
    json("checks"),  # {check id: {"status" (or notTried), "code", "seconds"}} of all of them
    Column("seconds", Float, nullable=False, server_default="0"),  # real ones, of all checks together
)

device_images = Table(
    "device_images",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("version", Text, nullable=False),
    of("site_id", "sites"),
    json("source"),
    Column("operating_system", Text, nullable=False, server_default=""),
    Column("os_family", String(16), nullable=False, server_default="linux"),  # windows | linux
    Column("disk_gb", Integer, nullable=False, server_default="64"),
    Column("status", String(16), nullable=False, server_default="pending"),  # pending | ready | failed
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("progress_share", Float),  # from 0 to 1, where the provider knows it
    Column("progress_text", Text),
    Column("seen", Text),  # what its trial saw
    Column("checksum", String(64)),  # SHA-256 of its disk
    time("next_step_at"),  # when the build or the validation is looked at again
    # The same at every site: name and version are one image to the API. Set by a trigger.
    Column("image_id", Uuid, nullable=False),
    time("created_at", nullable=False, now=True),
    time("modified_at", nullable=False, now=True),
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
    id_(),
    tenant(),
    Column("number", BigInteger, Identity(), nullable=False),  # on conflict the highest wins: most recently created
    Column("display_name", Text, nullable=False),
    Column("local_admin_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("reset_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("restore_enabled", Boolean, nullable=False, server_default=text("false")),
    Column("restore_frequency_hours", Integer, nullable=False, server_default="12"),
    json("kept_properties"),  # see connections
    time("created_at", nullable=False, now=True),
    time("modified_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "display_name"),
)

user_setting_assignments = Table(
    "user_setting_assignments",
    metadata,
    of("setting_id", "user_settings", cascade=True, primary_key=True),
    of("group_id", "groups", cascade=True, primary_key=True, index=True),
    tenant(),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    time("created_at", nullable=False, now=True),
)
