-- What is SQL and not a table: the tenant's clock, and the count of seats in use.

-- Every deadline is read against this clock, which `deskwright clock advance` moves (SPEC section 8, R5).
CREATE FUNCTION tenant_now(tenant uuid) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT now() + make_interval(secs => clock_offset) FROM tenants WHERE id = tenant
$$;

-- E6: in use = every live Cloud PC but notProvisioned and pendingProvision.
CREATE FUNCTION holds_seat(status text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN status IN ('notProvisioned', 'pendingProvision', 'gone') THEN 0 ELSE 1 END
$$;

CREATE FUNCTION count_seats_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used + d.n
    FROM (SELECT plan_id, sum(holds_seat(status)) AS n FROM new_rows GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

CREATE FUNCTION count_seats_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used + d.n
    FROM (SELECT plan_id, sum(n) AS n FROM (
            SELECT plan_id, holds_seat(status) AS n FROM new_rows
            UNION ALL SELECT plan_id, -holds_seat(status) FROM old_rows) both_sides
          GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

CREATE FUNCTION count_seats_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE service_plans p SET seats_used = p.seats_used - d.n
    FROM (SELECT plan_id, sum(holds_seat(status)) AS n FROM old_rows GROUP BY plan_id) d
   WHERE p.id = d.plan_id AND d.n <> 0;
  RETURN NULL;
END $$;

CREATE TRIGGER seats_inserted AFTER INSERT ON cloud_pcs
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_seats_inserted();
CREATE TRIGGER seats_updated AFTER UPDATE ON cloud_pcs
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION count_seats_updated();
CREATE TRIGGER seats_deleted AFTER DELETE ON cloud_pcs
  REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION count_seats_deleted();
