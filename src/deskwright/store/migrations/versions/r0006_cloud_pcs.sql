-- Lists of Cloud PCs by index, and what the API keeps of bulk actions and exported reports.

DROP INDEX ix_cloud_pcs_live;
CREATE INDEX ix_cloud_pcs_live ON cloud_pcs (tenant_id, status, id) WHERE status <> 'gone';
CREATE INDEX ix_cloud_pcs_live_id ON cloud_pcs (tenant_id, id) WHERE status <> 'gone';
CREATE INDEX ix_cloud_pcs_modified ON cloud_pcs (tenant_id, modified_at, id) WHERE status <> 'gone';
CREATE INDEX ix_users_upn_all ON users (tenant_id, lower(user_principal_name));

CREATE TABLE bulk_actions (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  kind varchar(32) NOT NULL,
  display_name text NOT NULL,
  options jsonb DEFAULT '{}' NOT NULL,
  requested_by text NOT NULL,
  requested_by_user text,
  created_at timestamptz NOT NULL,
  CONSTRAINT pk_bulk_actions PRIMARY KEY (id),
  CONSTRAINT fk_bulk_actions_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX ix_bulk_actions_tenant ON bulk_actions (tenant_id, created_at);

CREATE TABLE bulk_action_items (
  bulk_action_id uuid NOT NULL,
  cloud_pc_id uuid NOT NULL,
  position integer NOT NULL,
  state varchar(16) DEFAULT 'pending' NOT NULL,
  run_before integer,
  run_id uuid,
  error jsonb,
  changed_at timestamptz NOT NULL,
  CONSTRAINT pk_bulk_action_items PRIMARY KEY (bulk_action_id, cloud_pc_id),
  CONSTRAINT fk_bulk_action_items_bulk_action_id FOREIGN KEY (bulk_action_id)
    REFERENCES bulk_actions (id) ON DELETE CASCADE,
  CONSTRAINT fk_bulk_action_items_cloud_pc_id FOREIGN KEY (cloud_pc_id) REFERENCES cloud_pcs (id) ON DELETE CASCADE
);
CREATE INDEX ix_bulk_action_items_cloud_pc_id ON bulk_action_items (cloud_pc_id);
CREATE INDEX ix_bulk_action_items_open ON bulk_action_items (bulk_action_id, position)
  WHERE state IN ('pending', 'begun');

CREATE TABLE export_jobs (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  report_name text NOT NULL,
  format varchar(8) NOT NULL,
  filter text,
  columns jsonb DEFAULT '[]' NOT NULL,
  content bytea NOT NULL,
  requested_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  CONSTRAINT pk_export_jobs PRIMARY KEY (id),
  CONSTRAINT fk_export_jobs_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE INDEX ix_export_jobs_tenant ON export_jobs (tenant_id, expires_at);
