-- What the pages need: sessions, one-time links, roles in other tenants, and what people are told.

CREATE TABLE web_sessions (
  hash varchar(64) NOT NULL,
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  seen_at timestamptz DEFAULT now() NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT pk_web_sessions PRIMARY KEY (hash),
  CONSTRAINT fk_web_sessions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_web_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_web_sessions_user_id ON web_sessions (user_id);
CREATE INDEX ix_web_sessions_expires_at ON web_sessions (expires_at);

CREATE TABLE sign_in_links (
  hash varchar(64) NOT NULL,
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL,
  made_by text NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_sign_in_links PRIMARY KEY (hash),
  CONSTRAINT fk_sign_in_links_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_sign_in_links_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_sign_in_links_user_id ON sign_in_links (user_id);
CREATE INDEX ix_sign_in_links_expires_at ON sign_in_links (expires_at);

CREATE TABLE guest_roles (
  tenant_id uuid NOT NULL,
  user_id uuid NOT NULL,
  role text NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_guest_roles PRIMARY KEY (tenant_id, user_id),
  CONSTRAINT fk_guest_roles_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_guest_roles_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_guest_roles_user_id ON guest_roles (user_id);

CREATE TABLE notifications (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  cloud_pc_id uuid NOT NULL,
  kind varchar(32) NOT NULL,
  channel varchar(16) NOT NULL,
  about timestamptz NOT NULL,
  state varchar(16) DEFAULT 'pending' NOT NULL,
  attempts integer DEFAULT 0 NOT NULL,
  next_at timestamptz DEFAULT now() NOT NULL,
  sent_at timestamptz,
  last_error text,
  CONSTRAINT pk_notifications PRIMARY KEY (id),
  CONSTRAINT fk_notifications_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_notifications_cloud_pc_id FOREIGN KEY (cloud_pc_id) REFERENCES cloud_pcs (id) ON DELETE CASCADE,
  CONSTRAINT uq_notifications_cloud_pc_id_kind_channel_about UNIQUE (cloud_pc_id, kind, channel, about)
);
CREATE INDEX ix_notifications_due ON notifications (next_at) WHERE state = 'pending';
CREATE INDEX ix_notifications_tenant ON notifications (tenant_id, about);

-- How far back the tenant's changes have been looked through for what people are told.
ALTER TABLE tenants ADD COLUMN notified_until timestamptz;
