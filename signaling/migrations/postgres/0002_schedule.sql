-- When a meeting takes place; neither: one that was met in at once, whose link is good for hours instead of weeks.
ALTER TABLE meeting ADD COLUMN starts BIGINT;
ALTER TABLE meeting ADD COLUMN ends BIGINT;
-- What another program calls it.
ALTER TABLE meeting ADD COLUMN external_id TEXT;
-- How often what stands in its invitation has changed: calendars ask for it.
ALTER TABLE meeting ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX meeting_by_external_id ON meeting (organizer, external_id) WHERE external_id IS NOT NULL;
-- Links of before, which were good for ever, are good for weeks and not for hours.
UPDATE meeting SET starts = created;
