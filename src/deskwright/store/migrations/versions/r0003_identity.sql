-- Identity: who may call, and what the sign-in flows have under way.

CREATE TABLE app_registrations (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    tenant_id UUID NOT NULL,
    display_name TEXT NOT NULL,
    permissions TEXT[] DEFAULT '{}' NOT NULL,
    public_client BOOLEAN DEFAULT false NOT NULL,
    redirect_uris TEXT[] DEFAULT '{}' NOT NULL,
    disabled BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_app_registrations PRIMARY KEY (id),
    CONSTRAINT fk_app_registrations_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_app_registrations_name ON app_registrations (tenant_id, lower(display_name));

CREATE TABLE app_secrets (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    app_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    display_name TEXT DEFAULT '' NOT NULL,
    hint VARCHAR(3) NOT NULL,
    hash TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_app_secrets PRIMARY KEY (id),
    CONSTRAINT fk_app_secrets_app_id FOREIGN KEY(app_id) REFERENCES app_registrations (id) ON DELETE CASCADE,
    CONSTRAINT fk_app_secrets_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX ix_app_secrets_app_id ON app_secrets (app_id);

CREATE TABLE signing_keys (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    private_key BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_signing_keys PRIMARY KEY (id)
);

CREATE TABLE user_credentials (
    user_id UUID NOT NULL,
    tenant_id UUID NOT NULL,
    password_hash TEXT NOT NULL,
    must_change BOOLEAN DEFAULT false NOT NULL,
    failed_attempts INTEGER DEFAULT '0' NOT NULL,
    locked_until TIMESTAMP WITH TIME ZONE,
    changed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_user_credentials PRIMARY KEY (user_id),
    CONSTRAINT fk_user_credentials_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_credentials_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);

CREATE TABLE role_assignments (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    tenant_id UUID NOT NULL,
    role TEXT NOT NULL,
    user_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_role_assignments PRIMARY KEY (id),
    CONSTRAINT uq_role_assignments_user_id_role UNIQUE (user_id, role),
    CONSTRAINT fk_role_assignments_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_role_assignments_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_role_assignments_tenant ON role_assignments (tenant_id);

CREATE TABLE authorization_codes (
    hash VARCHAR(64) NOT NULL,
    tenant_id UUID NOT NULL,
    app_id UUID NOT NULL,
    user_id UUID NOT NULL,
    redirect_uri TEXT NOT NULL,
    scope TEXT NOT NULL,
    nonce TEXT,
    code_challenge TEXT,
    code_challenge_method VARCHAR(8),
    family UUID NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_authorization_codes PRIMARY KEY (hash),
    CONSTRAINT fk_authorization_codes_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_authorization_codes_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_authorization_codes_expires ON authorization_codes (expires_at);

CREATE TABLE device_codes (
    hash VARCHAR(64) NOT NULL,
    user_code VARCHAR(16) NOT NULL,
    tenant_id UUID,
    app_id UUID NOT NULL,
    scope TEXT NOT NULL,
    user_id UUID,
    declined BOOLEAN DEFAULT false NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    polled_at TIMESTAMP WITH TIME ZONE,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_device_codes PRIMARY KEY (hash),
    CONSTRAINT uq_device_codes_user_code UNIQUE (user_code),
    CONSTRAINT fk_device_codes_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_device_codes_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_device_codes_expires ON device_codes (expires_at);

CREATE TABLE refresh_tokens (
    hash VARCHAR(64) NOT NULL,
    tenant_id UUID NOT NULL,
    family UUID NOT NULL,
    app_id UUID NOT NULL,
    user_id UUID NOT NULL,
    scope TEXT NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (hash),
    CONSTRAINT fk_refresh_tokens_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    CONSTRAINT fk_refresh_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_refresh_tokens_expires ON refresh_tokens (expires_at);
CREATE INDEX ix_refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX ix_refresh_tokens_user_id ON refresh_tokens (user_id);
