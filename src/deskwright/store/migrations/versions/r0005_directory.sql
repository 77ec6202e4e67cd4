-- The directory as the API's clients know it: properties that nothing here acts on are kept and told again.

ALTER TABLE users
  ADD COLUMN mail text,
  ADD COLUMN profile jsonb DEFAULT '{}'::jsonb NOT NULL;
CREATE INDEX ix_users_display_name ON users (tenant_id, lower(display_name));
CREATE INDEX ix_users_mail ON users (tenant_id, lower(mail)) WHERE mail IS NOT NULL;
ALTER TABLE groups ADD COLUMN profile jsonb DEFAULT '{}'::jsonb NOT NULL;

-- Device objects and managed devices, listed by the tenant.
CREATE INDEX ix_ledger_objects ON ledger (tenant_id, kind, external_id)
 WHERE kind IN ('device', 'managedDevice') AND state = 'created';

-- One assignment may name several people.
ALTER TABLE role_assignments
  ADD COLUMN assignment_id uuid DEFAULT gen_random_uuid() NOT NULL,
  ADD COLUMN display_name text DEFAULT '' NOT NULL,
  ADD COLUMN description text DEFAULT '' NOT NULL;
CREATE INDEX ix_role_assignments_assignment_id ON role_assignments (assignment_id);

-- Alert rules: of those every tenant has, what was changed; and those that were added.
CREATE TABLE alert_rules (
  tenant_id uuid NOT NULL,
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  template varchar(64) NOT NULL,
  system_rule boolean DEFAULT false NOT NULL,
  display_name text NOT NULL,
  description text DEFAULT '' NOT NULL,
  severity varchar(16) NOT NULL,
  enabled boolean DEFAULT true NOT NULL,
  conditions jsonb NOT NULL,
  notification_channels jsonb NOT NULL,
  created_at timestamptz DEFAULT now() NOT NULL,
  CONSTRAINT pk_alert_rules PRIMARY KEY (tenant_id, id),
  CONSTRAINT fk_alert_rules_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);

CREATE TABLE alert_records (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  rule_id uuid NOT NULL,
  template varchar(64) NOT NULL,
  display_name text NOT NULL,
  severity varchar(16) NOT NULL,
  impact jsonb NOT NULL,
  notification_sent boolean DEFAULT false NOT NULL,
  detected_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  resolved_at timestamptz,
  CONSTRAINT pk_alert_records PRIMARY KEY (id),
  CONSTRAINT fk_alert_records_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_alert_records_active ON alert_records (tenant_id, rule_id) WHERE resolved_at IS NULL;
CREATE INDEX ix_alert_records_tenant ON alert_records (tenant_id, id);
