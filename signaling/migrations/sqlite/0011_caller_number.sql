-- The whole number of whoever called somebody's own number, for the called alone: a message is to be answered. None for all other
-- calls, and where it is withheld.
ALTER TABLE phone_call ADD COLUMN caller_number TEXT;
