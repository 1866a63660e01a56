-- Calls of phones, out of meetings and into them. A call that came in and found no meeting has none. Numbers are masked.
CREATE TABLE phone_call (
    id              TEXT PRIMARY KEY,
    meeting_id      TEXT REFERENCES meeting (id) ON DELETE CASCADE,
    direction       TEXT NOT NULL,
    status          TEXT NOT NULL,
    number          TEXT,
    display_name    TEXT,
    participant_id  TEXT,
    created         BIGINT NOT NULL,
    answered        BIGINT,
    joined          BIGINT,
    ended           BIGINT,
    end_reason      TEXT,
    sip_code        BIGINT,
    trunk           TEXT
);
CREATE INDEX phone_call_by_meeting ON phone_call (meeting_id, id);
CREATE INDEX phone_call_open ON phone_call (status) WHERE status <> 'ended';
