-- What an organisation lets its people do, and what of that single people may; JSON that only this program reads.
CREATE TABLE organization (
    tenant      TEXT PRIMARY KEY,
    policy      TEXT NOT NULL
);
ALTER TABLE account ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
