"""Who may call: times of this part are real time (R5)."""

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
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
from sqlalchemy.dialects.postgresql import ARRAY

from deskwright.store.tables.columns import id_, metadata, of, tenant, time

app_registrations = Table(
    "app_registrations",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("permissions", ARRAY(Text), nullable=False, server_default="{}"),  # names of identity.permissions
    Column("public_client", Boolean, nullable=False, server_default=text("false")),
    Column("redirect_uris", ARRAY(Text), nullable=False, server_default="{}"),
    Column("disabled", Boolean, nullable=False, server_default=text("false")),
    time("created_at", nullable=False, now=True),
    Index("uq_app_registrations_name", "tenant_id", text("lower(display_name)"), unique=True),
)

app_secrets = Table(
    "app_secrets",
    metadata,
    id_(),
    of("app_id", "app_registrations", cascade=True, index=True),
    tenant(),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("hint", String(3), nullable=False),  # its first characters, to tell secrets apart
    Column("hash", Text, nullable=False),  # Argon2; the secret itself is shown once and kept nowhere
    time("created_at", nullable=False, now=True),
    time("expires_at", nullable=False),
)

# The installation's, not a tenant's.
signing_keys = Table(
    "signing_keys",
    metadata,
    id_(),
    Column("private_key", LargeBinary, nullable=False),  # PEM, encrypted, see store.secrets
    time("created_at", nullable=False, now=True),
    time("retired_at"),  # signs no more; what it signed is accepted until it has expired
)

user_credentials = Table(
    "user_credentials",
    metadata,
    of("user_id", "users", cascade=True, primary_key=True),
    tenant(),
    Column("password_hash", Text),  # Argon2; null: no password here, only errors are counted
    Column("must_change", Boolean, nullable=False, server_default=text("false")),
    Column("failed_attempts", Integer, nullable=False, server_default="0"),
    time("locked_until"),
    time("changed_at", nullable=False, now=True),
)

role_assignments = Table(
    "role_assignments",
    metadata,
    id_(),
    tenant(),
    Column("role", Text, nullable=False),  # a name of identity.permissions.ROLES
    of("user_id", "users", cascade=True),
    # What the API calls an assignment may name several people: a row for each.
    Column("assignment_id", Uuid, nullable=False, index=True, server_default=func.gen_random_uuid()),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    time("created_at", nullable=False, now=True),
    UniqueConstraint("user_id", "role"),
    Index("ix_role_assignments_tenant", "tenant_id"),
)

# Roles that the members of a group hold. Who holds which role after all says the view `held_roles`.
role_groups = Table(
    "role_groups",
    metadata,
    id_(),
    tenant(),
    Column("role", Text, nullable=False),
    of("group_id", "groups", cascade=True),
    Column("assignment_id", Uuid, nullable=False, index=True, server_default=func.gen_random_uuid()),
    Column("display_name", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    time("created_at", nullable=False, now=True),
    UniqueConstraint("group_id", "role"),
    Index("ix_role_groups_tenant_id", "tenant_id"),
)

# OpenID Connect issuers that people may sign in with.
identity_providers = Table(
    "identity_providers",
    metadata,
    id_(),
    tenant(),
    Column("display_name", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_secret", LargeBinary),  # encrypted, see store.secrets; write-only
    Column("user_claim", Text, nullable=False, server_default="preferred_username"),  # whose value is a UPN
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    time("created_at", nullable=False, now=True),
    Index("uq_identity_providers_display_name", "tenant_id", text("lower(display_name)"), unique=True),
)

# Codes and refresh tokens are kept as SHA-256 of what the client has: 256 random bits need no slower hash. `app_id` has
# no foreign key: built-in applications (identity.apps) have no row.

authorization_codes = Table(
    "authorization_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    tenant(),
    Column("app_id", Uuid, nullable=False),
    of("user_id", "users", cascade=True),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("nonce", Text),
    Column("code_challenge", Text),
    Column("code_challenge_method", String(8)),
    Column("family", Uuid, nullable=False),  # of the refresh tokens it leads to
    time("expires_at", nullable=False),
    time("used_at"),
    Index("ix_authorization_codes_expires", "expires_at"),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user_code", String(16), nullable=False, unique=True),
    of("tenant_id", "tenants", nullable=True, cascade=True),  # null: the tenant of whoever signs in
    Column("app_id", Uuid, nullable=False),
    Column("scope", Text, nullable=False),
    of("user_id", "users", nullable=True, cascade=True),  # who approved
    Column("declined", Boolean, nullable=False, server_default=text("false")),
    time("expires_at", nullable=False),
    time("polled_at"),
    time("used_at"),
    Index("ix_device_codes_expires", "expires_at"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    tenant(),
    Column("family", Uuid, nullable=False, index=True),  # everything that came of one sign-in
    Column("app_id", Uuid, nullable=False),
    of("user_id", "users", cascade=True, index=True),
    Column("scope", Text, nullable=False),
    time("expires_at", nullable=False),
    time("used_at"),
    time("revoked_at"),
    Index("ix_refresh_tokens_expires", "expires_at"),
)

# A browser that is signed in. The cookie's token is kept as its SHA-256, like the codes above.
web_sessions = Table(
    "web_sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    tenant(),  # the person's own; they may hold roles in others
    of("user_id", "users", cascade=True, index=True),
    time("created_at", nullable=False, now=True),
    time("seen_at", nullable=False, now=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)

# Leads a person to choosing their password, once: the first administrator, and everybody who is invited.
sign_in_links = Table(
    "sign_in_links",
    metadata,
    Column("hash", String(64), primary_key=True),
    tenant(),
    of("user_id", "users", cascade=True, index=True),
    Column("made_by", Text, nullable=False),
    time("created_at", nullable=False, now=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    time("used_at"),
)

# A role in a tenant for a person of another one, such as an MSP's administrator.
guest_roles = Table(
    "guest_roles",
    metadata,
    Column("tenant_id", Uuid, ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    of("user_id", "users", cascade=True, primary_key=True, index=True),
    Column("role", Text, nullable=False),  # a name of identity.permissions.ROLES
    time("created_at", nullable=False, now=True),
)
