-- Tokens that were issued before are good no more.
ALTER TABLE account ADD COLUMN valid_after INTEGER NOT NULL DEFAULT 0;
-- When a session got its present cookie; old cookies are exchanged.
ALTER TABLE session ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
