-- Chats beside meetings: members, one sequence over all threads (what a client's cursor counts), and full-text search.

-- "user" is a word of PostgreSQL's own, and the queries are written once for both.
ALTER TABLE user RENAME TO account;
ALTER TABLE account ADD COLUMN mail TEXT NOT NULL DEFAULT '';
CREATE INDEX account_by_name ON account (tenant, name COLLATE NOCASE);

-- One row. `place` numbers everything that a client can hear of, in the order in which it was committed; `epoch` names
-- this history, so that a cursor from another one (a restored backup) is not taken for one of ours.
CREATE TABLE feed (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    epoch       TEXT NOT NULL,
    place       INTEGER NOT NULL
);

ALTER TABLE thread ADD COLUMN topic TEXT NOT NULL DEFAULT '';
ALTER TABLE thread ADD COLUMN created INTEGER NOT NULL DEFAULT 0;
-- Of a one-to-one chat: its two members, the smaller id first. There is one such chat for each pair.
ALTER TABLE thread ADD COLUMN pair TEXT;
-- The place of its newest event.
ALTER TABLE thread ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX thread_by_pair ON thread (pair) WHERE pair IS NOT NULL;

-- Whoever may read a thread. A row outlives the membership, so that its end is heard of: `until` is the event that ended it.
CREATE TABLE member (
    thread_id       TEXT NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    user_id         TEXT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    role            TEXT NOT NULL,
    added           INTEGER NOT NULL,
    -- Events after this one are theirs to see ...
    visible_after   INTEGER NOT NULL,
    -- ... and none any more, once this is set.
    until           INTEGER,
    -- The newest event that they have read, and the place of that news.
    read_seq        INTEGER NOT NULL DEFAULT 0,
    read_place      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (thread_id, user_id)
) WITHOUT ROWID;
CREATE INDEX member_by_user ON member (user_id);

-- Events get their place as key: it orders those of all threads.
DROP TRIGGER event_numbers_thread;
ALTER TABLE event RENAME TO old_event;
DROP INDEX event_by_kind;
CREATE TABLE event (
    place       INTEGER PRIMARY KEY,
    thread_id   TEXT NOT NULL REFERENCES thread (id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    id          TEXT NOT NULL,
    at          INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    body        TEXT NOT NULL,
    -- Sender and the sender's own message id: a resend finds its first copy here.
    client_id   TEXT
);
INSERT INTO event (place, thread_id, seq, id, at, kind, body, client_id)
    SELECT row_number() OVER (ORDER BY rowid), thread_id, seq, id, at, kind, body, client_id FROM old_event;
DROP TABLE old_event;
CREATE UNIQUE INDEX event_by_seq ON event (thread_id, seq);
CREATE UNIQUE INDEX event_by_client_id ON event (thread_id, client_id) WHERE client_id IS NOT NULL;
-- Runs and rosters are questions about a few kinds of event; messages are the many, and not among them.
CREATE INDEX event_by_kind ON event (thread_id, kind, seq) WHERE kind <> 'message';

INSERT INTO feed (one, epoch, place)
    SELECT 1, lower(hex(randomblob(8))), coalesce((SELECT max(place) FROM event), 0);
UPDATE thread SET place = coalesce((SELECT max(place) FROM event WHERE thread_id = thread.id), 0);

-- What the organiser has read is now what a member has read.
INSERT INTO member (thread_id, user_id, role, added, visible_after, read_seq)
    SELECT thread_id, organizer, 'owner', created, 0, read_seq FROM meeting;
ALTER TABLE meeting DROP COLUMN read_seq;
UPDATE thread SET created = (SELECT created FROM meeting WHERE thread_id = thread.id),
                  topic = (SELECT subject FROM meeting WHERE thread_id = thread.id) WHERE kind = 'meeting';

-- Words of messages, each with the thread's id as a word of its own: a search over the caller's chats is an intersection
-- within the index, however many others have said the same word. The text itself stays in the event alone.
CREATE VIRTUAL TABLE message_word USING fts5 (
    thread, words, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 2"
);
INSERT INTO message_word (rowid, thread, words)
    SELECT place, substr(thread_id, 5), json_extract(body, '$.text') FROM event WHERE kind = 'message';

-- What follows from an event follows by itself, so that appending a batch is one statement: one way to the database's
-- thread and back, and one commit.
CREATE TRIGGER event_numbers AFTER INSERT ON event
BEGIN
    UPDATE thread SET seq = new.seq, place = new.place WHERE id = new.thread_id;
    UPDATE feed SET place = new.place;
END;
CREATE TRIGGER event_words AFTER INSERT ON event WHEN new.kind = 'message'
BEGIN
    INSERT INTO message_word (rowid, thread, words)
        VALUES (new.place, substr(new.thread_id, 5), json_extract(new.body, '$.text'));
END;
CREATE TRIGGER event_words_change AFTER UPDATE OF body ON event WHEN new.kind = 'message'
BEGIN
    DELETE FROM message_word WHERE rowid = new.place;
    INSERT INTO message_word (rowid, thread, words)
        VALUES (new.place, substr(new.thread_id, 5), json_extract(new.body, '$.text'));
END;
CREATE TRIGGER event_words_gone AFTER DELETE ON event WHEN old.kind = 'message'
BEGIN
    DELETE FROM message_word WHERE rowid = old.place;
END;
