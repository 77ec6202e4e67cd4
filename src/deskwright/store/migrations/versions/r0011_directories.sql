-- Active Directory: domains, what is synchronised from them, and computer accounts that were made there.

-- A domain that people come from, computers join, or both. Network connections name it by its DNS name.
CREATE TABLE domains (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  tenant_id uuid NOT NULL,
  name text NOT NULL,
  controllers text[] NOT NULL DEFAULT '{}',
  name_servers text[] NOT NULL DEFAULT '{}',
  ca_certificate text,
  start_tls boolean NOT NULL DEFAULT false,
  account_name text NOT NULL,
  account_password bytea NOT NULL,
  search_bases text[] NOT NULL DEFAULT '{}',
  sign_in varchar(16) NOT NULL DEFAULT 'none',
  sync_enabled boolean NOT NULL DEFAULT true,
  sync_interval_minutes integer NOT NULL DEFAULT 30,
  next_sync_at timestamptz,
  syncing_since timestamptz,
  sync_status varchar(24) NOT NULL DEFAULT 'never',
  sync_error_code varchar(64),
  sync_detail text NOT NULL DEFAULT '',
  sync_progress text NOT NULL DEFAULT '',
  synced_at timestamptz,
  sync_losing jsonb,
  sync_confirmed boolean NOT NULL DEFAULT false,
  cursor jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_domains PRIMARY KEY (id),
  CONSTRAINT fk_domains_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_domains_name ON domains (tenant_id, lower(name));
CREATE INDEX ix_domains_next_sync ON domains (tenant_id, next_sync_at) WHERE next_sync_at IS NOT NULL;

-- What the last synchronisations did, newest kept.
CREATE TABLE domain_syncs (
  domain_id uuid NOT NULL,
  at timestamptz NOT NULL,
  tenant_id uuid NOT NULL,
  status varchar(24) NOT NULL,
  complete boolean NOT NULL DEFAULT false,
  seconds double precision NOT NULL DEFAULT 0,
  error_code varchar(64),
  detail text NOT NULL DEFAULT '',
  counts jsonb NOT NULL DEFAULT '{}',
  findings jsonb NOT NULL DEFAULT '[]',
  CONSTRAINT pk_domain_syncs PRIMARY KEY (domain_id, at),
  CONSTRAINT fk_domain_syncs_domain_id FOREIGN KEY (domain_id) REFERENCES domains (id) ON DELETE CASCADE
);

-- Which object here is which there. `object_id` is a user's or a group's id; of a computer there is only this row.
CREATE TABLE domain_objects (
  domain_id uuid NOT NULL,
  source_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  kind varchar(16) NOT NULL,
  object_id uuid,
  name text NOT NULL,
  distinguished_name text NOT NULL,
  security_identifier text NOT NULL DEFAULT '',
  enabled boolean NOT NULL DEFAULT true,
  seen_at timestamptz NOT NULL,
  CONSTRAINT pk_domain_objects PRIMARY KEY (domain_id, source_id),
  CONSTRAINT fk_domain_objects_domain_id FOREIGN KEY (domain_id) REFERENCES domains (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_domain_objects_object_id ON domain_objects (object_id) WHERE object_id IS NOT NULL;
CREATE INDEX ix_domain_objects_distinguished_name ON domain_objects (domain_id, lower(distinguished_name));
CREATE INDEX ix_domain_objects_name ON domain_objects (domain_id, kind, lower(name));

-- Where a person or a group comes from; then the domain alone says what it is.
ALTER TABLE users ADD COLUMN domain_id uuid CONSTRAINT fk_users_domain_id REFERENCES domains (id) ON DELETE SET NULL;
ALTER TABLE groups ADD COLUMN domain_id uuid CONSTRAINT fk_groups_domain_id REFERENCES domains (id) ON DELETE SET NULL;
CREATE INDEX ix_users_domain_id ON users (domain_id) WHERE domain_id IS NOT NULL;
CREATE INDEX ix_groups_domain_id ON groups (domain_id) WHERE domain_id IS NOT NULL;

-- Roles that the members of a group hold.
CREATE TABLE role_groups (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  tenant_id uuid NOT NULL,
  role text NOT NULL,
  group_id uuid NOT NULL,
  assignment_id uuid NOT NULL DEFAULT gen_random_uuid(),
  display_name text NOT NULL DEFAULT '',
  description text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_role_groups PRIMARY KEY (id),
  CONSTRAINT uq_role_groups_group_id_role UNIQUE (group_id, role),
  CONSTRAINT fk_role_groups_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_role_groups_group_id FOREIGN KEY (group_id) REFERENCES groups (id) ON DELETE CASCADE
);
CREATE INDEX ix_role_groups_tenant_id ON role_groups (tenant_id);
CREATE INDEX ix_role_groups_assignment_id ON role_groups (assignment_id);

-- Who holds which role, and how: by themselves, through a group, or as a guest. Whatever asks about roles asks here.
CREATE VIEW held_roles AS
  SELECT tenant_id, user_id, role, CAST(NULL AS uuid) AS group_id, false AS guest, created_at FROM role_assignments
  UNION ALL
  SELECT r.tenant_id, m.user_id, r.role, r.group_id, false, r.created_at FROM role_groups r
    JOIN memberships m ON m.group_id = r.group_id AND m.tenant_id = r.tenant_id
  UNION ALL
  SELECT tenant_id, user_id, role, CAST(NULL AS uuid), true, created_at FROM guest_roles;

-- Who has no password here has errors counted all the same.
ALTER TABLE user_credentials ALTER COLUMN password_hash DROP NOT NULL;
-- Which tenants have people whose names end so: see identity.issuers.
CREATE INDEX ix_users_suffix ON users (lower(split_part(user_principal_name, '@', 2)), tenant_id)
  WHERE deleted_at IS NULL;

-- OpenID Connect issuers that people may sign in with.
CREATE TABLE identity_providers (
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  tenant_id uuid NOT NULL,
  display_name text NOT NULL,
  issuer text NOT NULL,
  client_id text NOT NULL,
  client_secret bytea,
  user_claim text NOT NULL DEFAULT 'preferred_username',
  enabled boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_identity_providers PRIMARY KEY (id),
  CONSTRAINT fk_identity_providers_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_identity_providers_display_name ON identity_providers (tenant_id, lower(display_name));

-- Health checks: how long each took in real time, and how often in a row a connection has failed or passed.
ALTER TABLE connection_checks ADD COLUMN seconds double precision;
ALTER TABLE connections ADD COLUMN failures_in_a_row integer NOT NULL DEFAULT 0;
ALTER TABLE connections ADD COLUMN passes_in_a_row integer NOT NULL DEFAULT 0;
-- When the present look at all of them began: a check that began before it is still to come.
ALTER TABLE connections ADD COLUMN checking_since timestamptz;
-- Of each result every check, so that the next one can tell what changed.
ALTER TABLE connection_results ADD COLUMN checks jsonb NOT NULL DEFAULT '{}';
ALTER TABLE connection_results ADD COLUMN seconds double precision NOT NULL DEFAULT 0;

-- What the Active Directory provider remembers of the accounts it made.
CREATE SCHEMA activedirectory;

CREATE TABLE activedirectory.computer_accounts (
  key text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  site_id uuid NOT NULL,
  connection_id uuid NOT NULL,
  domain text NOT NULL,
  name text NOT NULL,
  -- How often it was given a one-time password: each is derived from this number, none is kept.
  turn integer NOT NULL DEFAULT 0,
  source_id uuid,
  distinguished_name text NOT NULL DEFAULT '',
  -- HOST=ADDRESS of where it has that password: a domain's controllers do not all know it at once.
  controller text NOT NULL DEFAULT '',
  preset_at timestamptz,
  joined_at timestamptz,
  released_at timestamptz,
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX computer_accounts_site ON activedirectory.computer_accounts (tenant_id, site_id);
CREATE INDEX computer_accounts_connection ON activedirectory.computer_accounts (connection_id) WHERE released_at IS NULL;

-- The one account of each connection that trial joins use.
CREATE TABLE activedirectory.trial_accounts (
  connection_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  name text NOT NULL,
  distinguished_name text NOT NULL,
  state varchar(16) NOT NULL,
  tried_at timestamptz NOT NULL DEFAULT now()
);
