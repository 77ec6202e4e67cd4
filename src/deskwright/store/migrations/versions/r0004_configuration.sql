-- Configuration as clients of the API write it.

ALTER TABLE tenants ADD COLUMN organization_settings jsonb DEFAULT '{}'::jsonb NOT NULL;

ALTER TABLE connections ADD COLUMN kept_properties jsonb DEFAULT '{}'::jsonb NOT NULL;

ALTER TABLE policies
  ADD COLUMN kept_properties jsonb DEFAULT '{}'::jsonb NOT NULL,
  ADD COLUMN created_by text,
  ADD COLUMN modified_by text;

ALTER TABLE user_settings
  ADD COLUMN kept_properties jsonb DEFAULT '{}'::jsonb NOT NULL,
  ADD COLUMN modified_at timestamptz DEFAULT now() NOT NULL;
UPDATE user_settings SET modified_at = created_at;

ALTER TABLE user_setting_assignments
  ADD COLUMN id uuid DEFAULT gen_random_uuid() NOT NULL,
  ADD COLUMN created_at timestamptz DEFAULT now() NOT NULL;

ALTER TABLE device_images
  ADD COLUMN image_id uuid,
  ADD COLUMN modified_at timestamptz DEFAULT now() NOT NULL;
UPDATE device_images i SET modified_at = created_at,
       image_id = (SELECT o.id FROM device_images o
                    WHERE o.tenant_id = i.tenant_id AND lower(o.display_name) = lower(i.display_name)
                      AND o.version = i.version ORDER BY o.created_at, o.id LIMIT 1);
ALTER TABLE device_images ALTER COLUMN image_id SET NOT NULL;
CREATE INDEX ix_device_images_image_id ON device_images (tenant_id, image_id);

-- The API knows an image, not its copy at each site: name and version make it the same one, whoever adds the row.
CREATE FUNCTION name_device_image() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.image_id := COALESCE(
    (SELECT o.image_id FROM device_images o
      WHERE o.tenant_id = NEW.tenant_id AND lower(o.display_name) = lower(NEW.display_name)
        AND o.version = NEW.version LIMIT 1),
    NEW.id);
  RETURN NEW;
END $$;
CREATE TRIGGER device_images_named BEFORE INSERT ON device_images
  FOR EACH ROW EXECUTE FUNCTION name_device_image();
