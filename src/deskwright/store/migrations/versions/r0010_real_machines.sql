-- Real machines: what the libvirt provider and the built-in directory and management remember.

CREATE SCHEMA libvirt;

-- What was promised of a host, which several sites and tenants may share.
CREATE TABLE libvirt.reservations (
  key text PRIMARY KEY,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  site_id uuid NOT NULL,
  host text NOT NULL,
  cloud_pc_id uuid NOT NULL,
  run integer NOT NULL,
  attempt integer NOT NULL,
  vcpu integer NOT NULL,
  ram_gb integer NOT NULL,
  storage_gb integer NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reservations_host ON libvirt.reservations (host);
CREATE INDEX reservations_cloud_pc ON libvirt.reservations (tenant_id, cloud_pc_id, run, attempt);
CREATE INDEX reservations_site ON libvirt.reservations (tenant_id, site_id);

-- All tenants' promises on one host, as numbers: the only thing that is looked at across tenants.
CREATE FUNCTION libvirt.used(wanted text, besides text)
RETURNS TABLE (vcpu bigint, ram_gb bigint, storage_gb bigint) LANGUAGE sql VOLATILE AS $$
  SELECT coalesce(sum(r.vcpu), 0), coalesce(sum(r.ram_gb), 0), coalesce(sum(r.storage_gb), 0)
    FROM libvirt.reservations r WHERE r.host = wanted AND r.key <> besides
$$;

-- Which part of a host's hosted networks a site has.
CREATE TABLE libvirt.networks (
  site_id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  host text NOT NULL,
  subnet cidr NOT NULL,
  UNIQUE (host, subnet)
);

CREATE FUNCTION libvirt.subnets(wanted text) RETURNS SETOF cidr LANGUAGE sql STABLE AS $$
  SELECT n.subnet FROM libvirt.networks n WHERE n.host = wanted
$$;

CREATE TABLE libvirt.nics (
  key text PRIMARY KEY,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  site_id uuid NOT NULL,
  host text NOT NULL,
  network text NOT NULL,
  mac text NOT NULL,
  address inet,
  machine uuid NOT NULL,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  UNIQUE (host, mac),
  UNIQUE (host, network, address)
);
CREATE INDEX nics_site ON libvirt.nics (tenant_id, site_id);
CREATE INDEX nics_machine ON libvirt.nics (tenant_id, machine);

-- When an address was given back: the longest ago is given away first.
CREATE TABLE libvirt.freed_addresses (
  host text NOT NULL,
  network text NOT NULL,
  address inet NOT NULL,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  freed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (host, network, address)
);

-- What a machine was told once, under one call's name.
CREATE TABLE libvirt.operations (
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  machine uuid NOT NULL,
  operation text NOT NULL,
  done boolean NOT NULL DEFAULT false,
  note text NOT NULL DEFAULT '',
  claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, machine, operation)
);

CREATE SCHEMA builtin;

-- Device records and managed devices of sites without a directory or device management of their own.
CREATE TABLE builtin.objects (
  key text PRIMARY KEY,
  external_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
  tenant_id uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
  site_id uuid NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  data jsonb NOT NULL DEFAULT '{}',
  made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX builtin_objects_site ON builtin.objects (tenant_id, site_id, kind);

-- How far a device image is, and what was seen of it.
ALTER TABLE device_images
  ADD COLUMN progress_share double precision,
  ADD COLUMN progress_text text,
  ADD COLUMN seen text,
  ADD COLUMN checksum varchar(64);
