"""Tenants, and the sites where their Cloud PCs run."""

from sqlalchemy import BigInteger, Column, Double, Integer, Table, Text, UniqueConstraint

from deskwright.store.tables.columns import id_, json, metadata, tenant, time

tenants = Table(
    "tenants",
    metadata,
    id_(),
    Column("name", Text, nullable=False, unique=True),
    Column("revision", BigInteger, nullable=False, server_default="0"),  # +1 for each administrative change
    Column("assignments_made", BigInteger, nullable=False, server_default="0"),  # E4: the number that is counted up
    Column("clock_offset", Double, nullable=False, server_default="0"),  # seconds ahead of real time
    Column("speed", Double, nullable=False, server_default="1"),  # simulated durations are divided by it
    Column("seed", BigInteger, nullable=False, server_default="0"),
    json("settings"),  # overrides of settings.TenantSettings
    json("organization_settings"),  # Graph's cloudPcOrganizationSettings, as far as it was set
    time("next_inventory_at"),  # L4: when ledger and inventory are next compared
    time("notified_until"),  # how far its changes were looked through for what people are told
    Column("webhook_failures", Integer, nullable=False, server_default="0"),  # in a row, of the whole webhook
    time("webhook_retry_at"),  # until then it is left alone (real time)
    time("created_at", nullable=False, now=True),
)

sites = Table(
    "sites",
    metadata,
    id_(),
    tenant(),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("region_group", Text, nullable=False),
    json("compute", '{"kind": "simulator"}'),
    json("directory", '{"kind": "simulator"}'),
    json("management", '{"kind": "simulator"}'),
    time("created_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "name"),
)
