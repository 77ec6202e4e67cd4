-- Remote actions: runs that act on a machine which is there, and what they change.

ALTER TABLE runs ALTER COLUMN kind TYPE varchar(32);

ALTER TABLE cloud_pcs
  ADD COLUMN target_plan_id uuid,
  ADD COLUMN power_state varchar(16),
  ADD COLUMN review_status jsonb,
  ADD COLUMN modified_at timestamptz NOT NULL DEFAULT now(),
  ADD CONSTRAINT fk_cloud_pcs_target_plan_id FOREIGN KEY (target_plan_id) REFERENCES service_plans (id);
UPDATE cloud_pcs SET modified_at = status_since,
       power_state = CASE WHEN status IN ('provisioned', 'provisionedWithWarnings', 'inGracePeriod') THEN 'running' END;
CREATE INDEX ix_cloud_pcs_target_plan ON cloud_pcs (target_plan_id) WHERE target_plan_id IS NOT NULL;

CREATE TABLE snapshots (
  id uuid DEFAULT gen_random_uuid() NOT NULL,
  tenant_id uuid NOT NULL,
  cloud_pc_id uuid NOT NULL,
  external_id text NOT NULL,
  kind varchar(16) DEFAULT 'manual' NOT NULL,
  status varchar(16) DEFAULT 'ready' NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  last_restored_at timestamptz,
  CONSTRAINT pk_snapshots PRIMARY KEY (id),
  CONSTRAINT fk_snapshots_tenant_id FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
  CONSTRAINT fk_snapshots_cloud_pc_id FOREIGN KEY (cloud_pc_id) REFERENCES cloud_pcs (id) ON DELETE CASCADE
);
CREATE INDEX ix_snapshots_cloud_pc_id ON snapshots (cloud_pc_id, created_at);

-- E6: a resize holds a seat of both plans until it has ended, so that nobody takes the one it is going to.
CREATE OR REPLACE FUNCTION count_seats_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used + d.n
    FROM (SELECT plan_id, sum(n) AS n FROM (
            SELECT plan_id, holds_seat(status) AS n FROM new_rows
            UNION ALL SELECT target_plan_id, holds_seat(status) FROM new_rows WHERE target_plan_id IS NOT NULL) held
          GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_seats_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used + d.n
    FROM (SELECT plan_id, sum(n) AS n FROM (
            SELECT plan_id, holds_seat(status) AS n FROM new_rows
            UNION ALL SELECT plan_id, -holds_seat(status) FROM old_rows
            UNION ALL SELECT target_plan_id, holds_seat(status) FROM new_rows WHERE target_plan_id IS NOT NULL
            UNION ALL SELECT target_plan_id, -holds_seat(status) FROM old_rows WHERE target_plan_id IS NOT NULL
            ) both_sides
          GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION count_seats_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used - d.n
    FROM (SELECT plan_id, sum(n) AS n FROM (
            SELECT plan_id, holds_seat(status) AS n FROM old_rows
            UNION ALL SELECT target_plan_id, holds_seat(status) FROM old_rows WHERE target_plan_id IS NOT NULL) held
          GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

-- When a Cloud PC last changed in what people see of it, in the tenant's time. Every move of the status brings that
-- time along; only the rest looks at the clock.
CREATE FUNCTION cloud_pc_modified() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW.status_since IS DISTINCT FROM OLD.status_since THEN
    NEW.modified_at := NEW.status_since;
  ELSE
    NEW.modified_at := COALESCE(tenant_now(NEW.tenant_id), now());
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER cloud_pc_inserted BEFORE INSERT ON cloud_pcs FOR EACH ROW EXECUTE FUNCTION cloud_pc_modified();
CREATE TRIGGER cloud_pc_updated BEFORE UPDATE ON cloud_pcs FOR EACH ROW
  WHEN ((OLD.status, OLD.status_since, OLD.display_name, OLD.device_name, OLD.plan_id, OLD.policy_id, OLD.policy_name,
         OLD.site_id, OLD.connection_id, OLD.image_name, OLD.status_detail, OLD.warnings, OLD.power_state,
         OLD.grace_ends_at, OLD.review_status)
        IS DISTINCT FROM
        (NEW.status, NEW.status_since, NEW.display_name, NEW.device_name, NEW.plan_id, NEW.policy_id, NEW.policy_name,
         NEW.site_id, NEW.connection_id, NEW.image_name, NEW.status_detail, NEW.warnings, NEW.power_state,
         NEW.grace_ends_at, NEW.review_status))
  EXECUTE FUNCTION cloud_pc_modified();
