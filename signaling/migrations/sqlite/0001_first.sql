-- The whole of signalling's memory. Ids are kept as their printed form ("mtg_..."), so that a person with the sqlite3
-- tool can follow a complaint from a log line to a row. Times are milliseconds since 1970 (UTC).

-- A thread is one ordered, gap-free sequence of events; seq is the number of its newest.
CREATE TABLE thread (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    tenant      TEXT NOT NULL,
    seq         INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE event (
    thread_id   TEXT NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    id          TEXT NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    body        TEXT NOT NULL,
    -- Sender and the sender's own message id: a resend finds its first copy here.
    client_id   TEXT,
    PRIMARY KEY (thread_id, seq),
    UNIQUE (thread_id, client_id)
);
-- Runs, unread counts and rosters are questions about a few kinds of event.
CREATE INDEX event_by_kind ON event (thread_id, kind, seq);

CREATE TABLE user (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    admin       INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE sign_in_link (
    key_hash    BLOB PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    expires     INTEGER NOT NULL,
    used        INTEGER
);

CREATE TABLE session (
    cookie_hash BLOB PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    expires     INTEGER NOT NULL
);

CREATE TABLE meeting (
    id              TEXT PRIMARY KEY,
    thread_id       TEXT NOT NULL UNIQUE REFERENCES thread (id),
    tenant          TEXT NOT NULL,
    organizer       TEXT NOT NULL REFERENCES user (id),
    subject         TEXT NOT NULL,
    -- The secret is shown again to its organiser; looking it up goes by its hash, so that the time a lookup takes
    -- says nothing about the secret.
    join_secret     TEXT NOT NULL,
    join_hash       BLOB NOT NULL UNIQUE,
    join_number     TEXT NOT NULL UNIQUE,
    passcode        TEXT NOT NULL,
    created         INTEGER NOT NULL,
    -- The newest event that the organiser has seen.
    read_seq        INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX meeting_by_organizer ON meeting (organizer, created);

-- Who was put out; such a participant never comes back.
CREATE TABLE removed (
    meeting_id      TEXT NOT NULL REFERENCES meeting (id) ON DELETE CASCADE,
    participant_id  TEXT NOT NULL,
    PRIMARY KEY (meeting_id, participant_id)
) WITHOUT ROWID;

CREATE TABLE recording (
    id              TEXT PRIMARY KEY,
    meeting_id      TEXT NOT NULL REFERENCES meeting (id) ON DELETE CASCADE,
    -- The run that it belongs to: the seq of the run's meetingStarted.
    run_seq         INTEGER NOT NULL,
    state           TEXT NOT NULL,
    started         INTEGER NOT NULL,
    ended           INTEGER,
    started_by      TEXT NOT NULL
);
CREATE INDEX recording_by_meeting ON recording (meeting_id, started);
