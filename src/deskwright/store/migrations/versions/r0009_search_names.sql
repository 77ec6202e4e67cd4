-- Finding people by a part of their names, without putting each name into lower case again.

ALTER TABLE users
  ADD COLUMN search_name text GENERATED ALWAYS AS (lower(user_principal_name || ' ' || display_name)) STORED;
