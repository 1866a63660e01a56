-- The options of a meeting as one JSON object: only this program reads them, and as a whole.
ALTER TABLE meeting ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
