"""Service plans, and who holds them."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, Table, Text, UniqueConstraint, Uuid

from deskwright.store.tables.columns import id_, metadata, tenant, time

service_plans = Table(
    "service_plans",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("vcpu_count", Integer, nullable=False),
    Column("ram_gb", Integer, nullable=False),
    Column("storage_gb", Integer, nullable=False),
    Column("seats", Integer, nullable=False),
    # Kept by a trigger on cloud_pcs, so that E6's question costs one row and not one scan (E10).
    Column("seats_used", Integer, nullable=False, server_default="0"),
    time("created_at", nullable=False, now=True),
    UniqueConstraint("tenant_id", "display_name"),
    CheckConstraint("seats >= 0", name="seats"),
)

license_users = Table(
    "license_users",
    metadata,
    Column("plan_id", Uuid, ForeignKey("service_plans.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    tenant(),
)

license_groups = Table(
    "license_groups",
    metadata,
    Column("plan_id", Uuid, ForeignKey("service_plans.id", ondelete="CASCADE"), primary_key=True),
    Column("group_id", Uuid, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True, index=True),
    tenant(),
)
