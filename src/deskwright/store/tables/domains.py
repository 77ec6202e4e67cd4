"""Active Directory domains, and what is synchronised from them."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY

from deskwright.store.tables.columns import id_, json, metadata, of, same_tenant, tenant, time

domains = Table(
    "domains",
    metadata,
    id_(),
    tenant(),
    Column("name", Text, nullable=False),  # full DNS name
    Column("controllers", ARRAY(Text), nullable=False, server_default="{}"),  # see active_directory.discovery.Domain
    Column("name_servers", ARRAY(Text), nullable=False, server_default="{}"),
    Column("ca_certificate", Text),  # PEM; null: whom the machine trusts
    Column("start_tls", Boolean, nullable=False, server_default=text("false")),
    Column("account_name", Text, nullable=False),  # reads the directory: UPN
    Column("account_password", LargeBinary, nullable=False),  # encrypted, see store.secrets; write-only
    Column("search_bases", ARRAY(Text), nullable=False, server_default="{}"),  # empty: the whole domain
    Column("sign_in", String(16), nullable=False, server_default="none"),  # none | ldap
    Column("sync_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("sync_interval_minutes", Integer, nullable=False, server_default="30"),
    time("next_sync_at"),
    time("syncing_since"),
    # never | succeeded | failed | confirmationRequired
    Column("sync_status", String(24), nullable=False, server_default="never"),
    Column("sync_error_code", String(64)),
    Column("sync_detail", Text, nullable=False, server_default=""),
    Column("sync_progress", Text, nullable=False, server_default=""),  # of the one that is under way
    time("synced_at"),  # the last that succeeded
    # R13: who would lose their Cloud PC by the one that stopped: people, of, who (names), ids
    json("sync_losing", None),
    Column("sync_confirmed", Boolean, nullable=False, server_default=text("false")),  # and that this is meant
    json("cursor"),  # up to where changes were read, and of which controller
    time("created_at", nullable=False, now=True),
    Index("uq_domains_name", "tenant_id", text("lower(name)"), unique=True),
    Index("ix_domains_next_sync", "tenant_id", "next_sync_at", postgresql_where=text("next_sync_at IS NOT NULL")),
)

domain_syncs = Table(
    "domain_syncs",
    metadata,
    of("domain_id", "domains", cascade=True, primary_key=True),
    time("at", nullable=False, primary_key=True),
    same_tenant(),
    Column("status", String(24), nullable=False),
    Column("complete", Boolean, nullable=False, server_default=text("false")),  # read everything, not changes only
    Column("seconds", Float, nullable=False, server_default="0"),  # real ones
    Column("error_code", String(64)),
    Column("detail", Text, nullable=False, server_default=""),
    json("counts"),
    json("findings", "[]"),  # objects that could not be taken over, and why
)

domain_objects = Table(
    "domain_objects",
    metadata,
    of("domain_id", "domains", cascade=True, primary_key=True),
    Column("source_id", Uuid, primary_key=True),  # objectGUID
    same_tenant(),
    Column("kind", String(16), nullable=False),  # user | group | computer
    Column("object_id", Uuid),  # users.id or groups.id
    Column("name", Text, nullable=False),  # sAMAccountName
    Column("distinguished_name", Text, nullable=False),
    Column("security_identifier", Text, nullable=False, server_default=""),  # objectSid
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    time("seen_at", nullable=False),
    Index("uq_domain_objects_object_id", "object_id", unique=True, postgresql_where=text("object_id IS NOT NULL")),
    Index("ix_domain_objects_distinguished_name", "domain_id", text("lower(distinguished_name)")),
    Index("ix_domain_objects_name", "domain_id", "kind", text("lower(name)")),
)
