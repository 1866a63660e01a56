-- A recording has an owner, may be a part of several, expires, is deleted softly, and may be shared by a link.
ALTER TABLE recording ADD COLUMN starter TEXT;
ALTER TABLE recording ADD COLUMN first_part TEXT;
ALTER TABLE recording ADD COLUMN part BIGINT NOT NULL DEFAULT 1;
ALTER TABLE recording ADD COLUMN duration_ms BIGINT;
ALTER TABLE recording ADD COLUMN size BIGINT;
ALTER TABLE recording ADD COLUMN expires BIGINT;
ALTER TABLE recording ADD COLUMN deleted BIGINT;
ALTER TABLE recording ADD COLUMN purged BIGINT;
ALTER TABLE recording ADD COLUMN share TEXT;
