-- How people dial in to a meeting: the id that they enter, and the PIN that proves the organiser. Made when it is first asked for.
CREATE TABLE dial_in (
    meeting_id     TEXT PRIMARY KEY REFERENCES meeting (id) ON DELETE CASCADE,
    conference_id  TEXT NOT NULL UNIQUE,
    pin            TEXT NOT NULL
) WITHOUT ROWID;
