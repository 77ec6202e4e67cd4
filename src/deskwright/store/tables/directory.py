"""People and groups."""

from sqlalchemy import Boolean, Column, Computed, ForeignKey, Index, String, Table, Text, Uuid, text

from deskwright.store.tables.columns import id_, json, metadata, tenant, time

users = Table(
    "users",
    metadata,
    id_(),
    tenant(),
    Column("user_principal_name", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("account_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("on_premises_user_principal_name", Text),
    Column("mail", Text),
    json("profile"),  # properties nothing here acts on, such as jobTitle, by the API's names: kept and told again
    time("created_at", nullable=False, now=True),
    time("deleted_at"),
    Column("domain_id", Uuid, ForeignKey("domains.id", ondelete="SET NULL")),  # synchronised from there
    # What people are searched in: a part of it may be anywhere, so all are read, and lower() is half of the work.
    Column("search_name", Text, Computed("lower(user_principal_name || ' ' || display_name)", persisted=True)),
    Index("ix_users_domain_id", "domain_id", postgresql_where=text("domain_id IS NOT NULL")),
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
    Index(
        "ix_users_suffix",
        text("lower(split_part(user_principal_name, '@'::text, 2))"),
        "tenant_id",
        postgresql_where=text("deleted_at IS NULL"),
    ),
    Index("ix_users_upn_all", "tenant_id", text("lower(user_principal_name)")),
)

groups = Table(
    "groups",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("kind", String(16), nullable=False, server_default="security"),  # security | microsoft365
    json("profile"),
    time("created_at", nullable=False, now=True),
    Column("domain_id", Uuid, ForeignKey("domains.id", ondelete="SET NULL")),  # synchronised from there
    Index("ix_groups_domain_id", "domain_id", postgresql_where=text("domain_id IS NOT NULL")),
    Index("uq_groups_name", "tenant_id", text("lower(display_name)"), unique=True),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", Uuid, ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    tenant(),
)
