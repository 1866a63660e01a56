-- A recording has an owner, may be a part of several, expires, is deleted softly, and may be shared by a link.
ALTER TABLE recording ADD COLUMN starter TEXT;
CREATE INDEX recording_by_starter ON recording (starter);
ALTER TABLE recording ADD COLUMN first_part TEXT;
ALTER TABLE recording ADD COLUMN part BIGINT NOT NULL DEFAULT 1;
ALTER TABLE recording ADD COLUMN duration_ms BIGINT;
ALTER TABLE recording ADD COLUMN size BIGINT;
ALTER TABLE recording ADD COLUMN expires BIGINT;
CREATE INDEX recording_by_expiry ON recording (expires);
ALTER TABLE recording ADD COLUMN deleted BIGINT;
CREATE INDEX recording_by_deletion ON recording (deleted);
ALTER TABLE recording ADD COLUMN purged BIGINT;
ALTER TABLE recording ADD COLUMN share TEXT;

-- Who agreed to be recorded, in all parts of what began with that one.
CREATE TABLE recording_consent (
    first_part      TEXT NOT NULL REFERENCES recording (id) ON DELETE CASCADE,
    participant_id  TEXT NOT NULL,
    PRIMARY KEY (first_part, participant_id)
);
