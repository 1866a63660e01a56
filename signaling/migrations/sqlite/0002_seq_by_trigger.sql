-- A thread's seq follows its events by itself, so that appending a batch is one statement: one way to the database's
-- thread and back, and one commit.
CREATE TRIGGER event_numbers_thread AFTER INSERT ON event
BEGIN
    UPDATE thread SET seq = new.seq WHERE id = new.thread_id;
END;
