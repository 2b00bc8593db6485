-- How often a message was begun after an engine had died over it, or over what came with it.
ALTER TABLE message ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
