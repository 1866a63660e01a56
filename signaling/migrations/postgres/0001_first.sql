-- The same tables as SQLite's, as they are after its fifth migration; see there for what each is for. Ids are kept as their
-- printed form, times are milliseconds since 1970 (UTC).

CREATE TABLE thread (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    tenant      TEXT NOT NULL,
    seq         BIGINT NOT NULL DEFAULT 0,
    topic       TEXT NOT NULL DEFAULT '',
    created     BIGINT NOT NULL DEFAULT 0,
    pair        TEXT,
    place       BIGINT NOT NULL DEFAULT 0
);

CREATE UNIQUE INDEX thread_by_pair ON thread (pair) WHERE pair IS NOT NULL;

CREATE TABLE feed (
    one         BIGINT PRIMARY KEY CHECK (one = 1),
    epoch       TEXT NOT NULL,
    place       BIGINT NOT NULL
);
INSERT INTO feed (one, epoch, place) VALUES (1, substr(md5(random()::text || clock_timestamp()::text), 1, 16), 0);

CREATE TABLE event (
    place       BIGINT PRIMARY KEY,
    thread_id   TEXT NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    seq         BIGINT NOT NULL,
    id          TEXT NOT NULL,
    at          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    body        TEXT NOT NULL,
    client_id   TEXT,
    -- A message's words, and its thread's id as one more: a search over the caller's chats is an intersection within the
    -- index, however many others have said the same word. Set by a trigger, for it changes with the body.
    words       TSVECTOR
);
CREATE UNIQUE INDEX event_by_seq ON event (thread_id, seq);
CREATE UNIQUE INDEX event_by_client_id ON event (thread_id, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX event_by_kind ON event (thread_id, kind, seq) WHERE kind <> 'message';
CREATE INDEX event_words ON event USING gin (words);

CREATE FUNCTION note_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := to_tsvector('simple', coalesce(NEW.body::json ->> 'text', '')) || array_to_tsvector(ARRAY[NEW.thread_id]);
    RETURN NEW;
END $$;
CREATE TRIGGER event_words BEFORE INSERT OR UPDATE OF body ON event
    FOR EACH ROW WHEN (NEW.kind = 'message') EXECUTE FUNCTION note_words();

CREATE TABLE account (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    admin       BOOLEAN NOT NULL,
    created     BIGINT NOT NULL,
    mail        TEXT NOT NULL DEFAULT '',
    valid_after BIGINT NOT NULL DEFAULT 0,
    UNIQUE (tenant, name)
);
CREATE INDEX account_by_name ON account (tenant, lower(name) text_pattern_ops);

CREATE TABLE sign_in_link (
    key_hash    BYTEA PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    expires     BIGINT NOT NULL,
    used        BIGINT
);

CREATE TABLE session (
    cookie_hash BYTEA PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    expires     BIGINT NOT NULL,
    created     BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE member (
    thread_id       TEXT NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    added           BIGINT NOT NULL,
    visible_after   BIGINT NOT NULL,
    until           BIGINT,
    read_seq        BIGINT NOT NULL DEFAULT 0,
    read_place      BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (thread_id, user_id)
);
CREATE INDEX member_by_user ON member (user_id);

CREATE TABLE meeting (
    id              TEXT PRIMARY KEY,
    thread_id       TEXT NOT NULL UNIQUE REFERENCES thread (id),
    tenant          TEXT NOT NULL,
    organizer       TEXT NOT NULL REFERENCES account (id),
    subject         TEXT NOT NULL,
    join_secret     TEXT NOT NULL,
    join_hash       BYTEA NOT NULL UNIQUE,
    join_number     TEXT NOT NULL UNIQUE,
    passcode        TEXT NOT NULL,
    created         BIGINT NOT NULL,
    settings        TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX meeting_by_organizer ON meeting (organizer, created);

CREATE TABLE removed (
    meeting_id      TEXT NOT NULL REFERENCES meeting (id) ON DELETE CASCADE,
    participant_id  TEXT NOT NULL,
    PRIMARY KEY (meeting_id, participant_id)
);

CREATE TABLE recording (
    id              TEXT PRIMARY KEY,
    meeting_id      TEXT NOT NULL REFERENCES meeting (id) ON DELETE CASCADE,
    run_seq         BIGINT NOT NULL,
    state           TEXT NOT NULL,
    started         BIGINT NOT NULL,
    ended           BIGINT,
    started_by      TEXT NOT NULL
);
CREATE INDEX recording_by_meeting ON recording (meeting_id, started);
