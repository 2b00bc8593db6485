-- What an operator does about messages: `attempt` counts replays, `edits` is the message that this one corrects.
ALTER TABLE message ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN edits INTEGER;
CREATE INDEX message_edits ON message (edits) WHERE edits IS NOT NULL;
